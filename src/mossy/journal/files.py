"""Files beside those of SQLite: failures of the system by name, and what it takes to be on disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mossy.errors import JournalError, MossyError, NoRoom, ReadOnly

__all__ = ["on_disk", "sync_folder"]

# What the system reports, and what that is for a user.
NAMED: dict[int, tuple[type[JournalError], str]] = {
    errno.ENOSPC: (NoRoom, "the disk is full; free some room"),
    errno.EDQUOT: (NoRoom, "a quota is reached; free some room"),
    errno.EFBIG: (NoRoom, "a limit of the size of files is reached; raise it"),
    errno.EACCES: (ReadOnly, "it may not be written there; change the permissions"),
    errno.EPERM: (ReadOnly, "it may not be written there; change the permissions"),
    errno.EROFS: (ReadOnly, "the disk can only be read; give another place"),
}


@contextmanager
def on_disk(path: Path) -> Iterator[None]:
    """Raise what the system reports of files as an error of mossy's that says what to do."""
    try:
        yield
    except OSError as error:
        if isinstance(error, MossyError):
            raise
        kind, told = NAMED.get(error.errno or 0, (JournalError, "the disk does not answer as it should"))
        raise kind(f"{path}: {told} ({error.strerror or error}).") from error


def sync_folder(folder: Path) -> None:
    """See the names in a folder onto the disk."""
    file = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(file)
    finally:
        os.close(file)

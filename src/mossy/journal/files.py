"""Files beside those of SQLite: failures of the system by name, and what it takes to be on disk."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mossy.errors import Damaged, JournalError, MossyError, NoRoom, NotAMemory, ReadOnly

__all__ = ["check_one_name", "check_remains", "identity", "on_disk", "sync_folder"]

SMALLEST = 512  # bytes of the smallest page of SQLite, which takes what is shorter for nothing

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


def identity(path: Path) -> tuple[int, int] | None:
    """Return what tells a file from another of its name, None if there is none."""
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def check_one_name(path: Path) -> None:
    """Raise ``JournalError`` if the file has a second name, by which another writer would have another log."""
    if path.stat().st_nlink > 1:
        raise JournalError(f"{path}: it has a second name (a hard link), whose log would be another; remove that.")


def check_remains(path: Path, noted: bool) -> None:
    """Raise ``Damaged`` if the file is empty or gone, and what lies beside it says that it held memories.

    ``noted`` is whether a writer that died has left a note in the lock.
    """
    size = path.stat().st_size if path.exists() else 0
    if 0 < size < SMALLEST:
        raise NotAMemory(f"{path}: it is not a file of mossy's, or is cut off: it has {size} bytes.")
    if size:
        return
    beside = [path.with_name(path.name + end) for end in (("-wal", ".arrays") if path.exists() else ("-wal",))]
    remains = [file.name for file in beside if file.exists() and file.stat().st_size]
    if noted and path.exists():
        remains.append(path.name + ".lock")
    if remains:
        raise Damaged(
            f"{path}: it is empty or gone, and {remains[0]} beside it says that it held memories. Bring the file back "
            "from a copy, or delete what lies beside it to begin anew."
        )

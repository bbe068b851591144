"""One writer: a lock on a file of its own, which the system takes back from a process that dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from pathlib import Path
from typing import final

from mossy.errors import HeldByWriter, ReadOnly

__all__ = ["WriterLock", "readers_of"]


@final
class WriterLock:
    """Held by who writes to ``path``, from its making to ``release``.

    It is a lock on the whole file ``path.lock`` and not on ``path`` itself, where closing any handle would take
    SQLite's own locks away. The file says who holds it.

    Raises
    ------
    HeldByWriter
        Another handle holds it; the message says which process.
    ReadOnly
        The folder cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.with_name(path.name + ".lock")
        while True:
            try:
                self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            except OSError as error:
                raise ReadOnly(
                    f"{path}: its folder cannot be written ({error.strerror}); open it with mode='r' to read."
                ) from error
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                holder = self._holder()
                os.close(self._file)
                raise HeldByWriter(
                    f"{path}: {holder} has it open to write, and there is one writer at a time. Close it there, or "
                    "open it here with mode='r', which reads beside a writer and follows it."
                ) from error
            if self._is_there():
                break
            os.close(self._file)  # its holder has just removed it
        told = {"pid": os.getpid(), "host": socket.gethostname(), "program": _program(), "since": time.time()}
        os.ftruncate(self._file, 0)
        os.pwrite(self._file, json.dumps(told).encode(), 0)

    def release(self) -> None:
        """Let another write; a second call does nothing."""
        if self._file >= 0:
            if self._is_there():
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def abandon(self) -> None:
        """Close it in a forked child; the parent holds on to it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _holder(self) -> str:
        try:
            told = json.loads(os.pread(self._file, 4096, 0))
            if told["pid"] == os.getpid() and told["host"] == socket.gethostname():
                return "this process"
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["since"]))
            return f"process {told['pid']} ({told['program']}) on {told['host']}, since {since},"
        except (ValueError, KeyError, TypeError):  # it has not said yet
            return "another process"


def readers_of(path: Path) -> str:
    """Return who else has the file open, as far as the system tells: this process, or others by number."""
    name, found = os.path.realpath(path), []
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            mine = folder.parent.name == str(os.getpid())
            opened = sum(os.readlink(link).startswith(name) for link in folder.iterdir())
        except OSError:  # it ended, or is another user's
            continue
        if opened and not mine:
            found.append(f"process {folder.parent.name}")
    return ", ".join(found) or "another handle of this process, or a process that cannot be named"


def _program() -> str:
    return " ".join(Path(part).name for part in sys.argv[:2]) or "python"

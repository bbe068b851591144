"""One writer: a lock on a file of its own, which the system takes back from a process that dies."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import struct
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import final
from weakref import WeakSet
from zlib import crc32

from mossy.errors import HeldByWriter, JournalError, NoRoom, ReadOnly

__all__ = ["WriterLock", "left_note", "readers_of"]

NOTE = struct.Struct("<qq")  # next_id, version
NOTE_AT = 1024


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
            except FileNotFoundError as error:
                raise JournalError(f"{path}: its folder is not there; make it first.") from error
            except OSError as error:
                raise ReadOnly(
                    f"{path}: its folder cannot be written ({error.strerror}); open it with mode='r' to read."
                ) from error
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = self._holder()
                os.close(self._file)
                raise HeldByWriter(
                    f"{path}: {holder} has it open to write, and there is one writer at a time. Close it there, or "
                    "open it here with mode='r', which reads beside a writer and follows it."
                ) from None
            except OSError as error:
                os.close(self._file)
                raise JournalError(
                    f"{path}: this file system has no locks ({error.strerror}); use a local disk."
                ) from error
            if self._is_there():
                break
            os.close(self._file)  # its holder has just removed it
        _HELD.add(self)
        self.left = _read_note(self._file)
        told = {"pid": os.getpid(), "host": socket.gethostname(), "program": _program(), "since": time.time()}
        try:
            os.pwrite(self._file, json.dumps(told).encode()[:NOTE_AT].ljust(NOTE_AT, b"\0"), 0)
        except OSError as error:
            os.close(self._file)
            raise NoRoom(f"{path}: its lock cannot be written ({error.strerror}); free some room.") from error

    def note(self, next_id: int, version: int) -> None:
        """Note how far the journal was written; whoever finds the note of a process that died can compare."""
        numbers = NOTE.pack(next_id, version)
        with suppress(OSError):  # what it is about is done; an older note says less, and nothing false
            os.pwrite(self._file, numbers + crc32(numbers).to_bytes(4, "little"), NOTE_AT)

    def settle(self) -> None:
        """Take note that what ``left`` tells was compared with the journal, and told."""
        self.left = None

    def release(self) -> None:
        """Let another write; a second call does nothing. A note that nobody was told of is left for the next."""
        if self._file >= 0:
            if self.left is None and self._is_there():
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1
            _HELD.discard(self)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.stat(self.path), os.fstat(self._file))
        except FileNotFoundError:
            return False

    def _holder(self) -> str:
        try:
            told = json.loads(os.pread(self._file, NOTE_AT, 0).rstrip(b"\0"))
            if told["pid"] == os.getpid() and told["host"] == socket.gethostname():
                return "this process"
            since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(told["since"]))
            return f"process {told['pid']} ({told['program']}) on {told['host']}, since {since},"
        except (ValueError, KeyError, TypeError):  # it has not said yet
            return "another process"


_HELD: WeakSet[WriterLock] = WeakSet()


def _let_go_in_child() -> None:
    """Close the locks that a forked process got with its parent's files, so that they end with the parent."""
    for lock in list(_HELD):
        os.close(lock._file)
        lock._file = -1
    _HELD.clear()


os.register_at_fork(after_in_child=_let_go_in_child)


def left_note(path: Path) -> tuple[int, int] | None:
    """Return what the writer of ``path`` noted last, None if it was closed or noted nothing."""
    try:
        file = os.open(path.with_name(path.name + ".lock"), os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return _read_note(file)
    finally:
        os.close(file)


def _read_note(file: int) -> tuple[int, int] | None:
    content = os.pread(file, NOTE.size + 4, NOTE_AT)
    numbers = content[: NOTE.size]
    if len(content) < NOTE.size + 4 or crc32(numbers).to_bytes(4, "little") != content[NOTE.size :]:
        return None
    next_id, version = NOTE.unpack(numbers)
    return next_id, version


def readers_of(path: Path) -> str:
    """Return who else has the file open, as far as the system tells: this process, or others by number."""
    name, found = os.path.realpath(path), []
    files = {name, name + "-wal", name + "-shm"}
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            mine = folder.parent.name == str(os.getpid())
            opened = any(os.readlink(link) in files for link in folder.iterdir())
        except OSError:  # it ended, or is another user's
            continue
        if opened and not mine:
            found.append(f"process {folder.parent.name}")
    return ", ".join(found) or "another handle of this process, or a process that cannot be named"


def _program() -> str:
    return " ".join(Path(part).name for part in sys.argv[:2]) or "python"

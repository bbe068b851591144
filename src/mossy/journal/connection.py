"""A connection to SQLite as a journal needs it, and its failures by name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mossy.errors import Damaged, HeldByWriter, InvalidParameter, JournalError, NoRoom, NotAMemory, ReadOnly
from mossy.journal.layout import PAGE

__all__ = [
    "DURABILITY",
    "FAILURES",
    "check_path",
    "connect",
    "named",
    "named_error",
    "prepare_to_write",
    "truncate_log",
]

DURABILITY = {"full": "FULL", "process": "NORMAL"}
WAIT = 5.0  # seconds to wait for another program that locks the file
CACHE = 32768  # KiB of pages

# SQLite's names of errors, by how they begin, in the order in which they are looked up.
NAMED: tuple[tuple[str, type[JournalError], str], ...] = (
    ("SQLITE_FULL", NoRoom, "the disk is full; free some room. The memory is as it was before"),
    ("SQLITE_IOERR_WRITE", NoRoom, "it cannot grow: a limit of the file's size or a quota is reached. Raise it"),
    ("SQLITE_IOERR_SHM", NoRoom, "its index of the log cannot grow: the disk is full. Free some room"),
    ("SQLITE_READONLY", ReadOnly, "it may not be written; change its permissions, or open it with mode='r'"),
    ("SQLITE_PERM", ReadOnly, "it may not be opened; change its permissions"),
    ("SQLITE_CANTOPEN", ReadOnly, "it, or a file beside it, may not be opened; change the permissions of the folder"),
    ("SQLITE_BUSY", HeldByWriter, "another program locks it; try again when that is done"),
    ("SQLITE_LOCKED", HeldByWriter, "another program locks it; try again when that is done"),
    ("SQLITE_CORRUPT", Damaged, "it is torn or altered; mossy verify names what, mossy repair rescues the rest"),
    ("SQLITE_NOTADB", NotAMemory, "it is not a file of mossy's, or its beginning is damaged"),
    ("SQLITE_IOERR", JournalError, "the disk does not answer; look at it before you go on"),
)


FAILURES = (sqlite3.DatabaseError, sqlite3.InterfaceError, UnicodeDecodeError)


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Raise what SQLite reports as an error of mossy's that says what to do."""
    try:
        yield
    except FAILURES as error:
        raise named_error(path, error) from error


def named_error(path: Path, error: BaseException) -> JournalError:
    """Return the error of mossy's for what SQLite reported."""
    torn = "SQLITE_CORRUPT" if isinstance(error, UnicodeDecodeError) else "SQLITE_MISUSE"
    code = getattr(error, "sqlite_errorname", torn)
    if code == "SQLITE_ERROR" and "no such" in str(error):
        code = "SQLITE_CORRUPT"
    for begin, kind, told in NAMED:
        if code.startswith(begin):
            return kind(f"{path}: {told} ({error}).")
    return JournalError(f"{path}: {error} ({code}).")


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open ``path``: with ``"r"`` to read, with ``"a"`` to read and write. Nothing is written yet.

    The file is never opened but by SQLite: closing any other handle of it would take SQLite's locks away. Statements
    commit by themselves; what belongs together is put between BEGIN and COMMIT.
    """
    writable = os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)
    # A reader that may write does so in one case: the last to close a file removes its log.
    location = f"file:{quote(str(path.absolute()))}?mode={'rwc' if mode == 'a' else 'rw' if writable else 'ro'}"
    beside = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    if mode == "r" and not os.access(path.parent, os.W_OK) and not any(file.exists() for file in beside):
        location += "&immutable=1"  # nobody has it open, and SQLite may not make here what it needs to watch for that
    connection = sqlite3.connect(location, uri=True, timeout=WAIT, isolation_level=None, check_same_thread=False)
    try:
        connection.execute(f"PRAGMA cache_size = -{CACHE}")
        if mode == "r":
            connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def prepare_to_write(connection: sqlite3.Connection, path: Path, durability: str) -> None:
    """Set a connection to a file of ours, or an empty one, as writing needs it."""
    if not os.access(path, os.W_OK):  # SQLite would open it to read, and say so only when something is stored
        raise ReadOnly(f"{path}: it may not be written; change its permissions, or open it with mode='r'.")
    connection.execute(f"PRAGMA page_size = {PAGE}")
    connection.execute("PRAGMA secure_delete = ON")
    connection.execute("PRAGMA auto_vacuum = NONE")
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        connection.close()
        raise JournalError(f"{path}: this file system has no shared memory, which a log needs; use a local disk.")
    connection.execute(f"PRAGMA synchronous = {DURABILITY[durability]}")
    if durability == "full":  # where a plain sync stops at the disk's own cache
        connection.execute("PRAGMA fullfsync = ON")
        connection.execute("PRAGMA checkpoint_fullfsync = ON")


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Move the log into the file and leave nothing of it; False if an open reader prevents that."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def check_path(given: object) -> Path:
    """Return a path to a file, or raise ``InvalidParameter``."""
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise InvalidParameter(f"path: {given!r} was given; the path of a file is allowed, such as 'life.mossy'.")
    if "\0" in os.fsdecode(given):
        raise InvalidParameter(f"path: {given!r} was given; the path of a file is allowed, which has no zero byte.")
    path = Path(os.path.realpath(Path(os.fsdecode(given)).expanduser()))  # one file has one lock, by whatever name
    if path.is_dir():
        raise InvalidParameter(f"path: {path} is a folder; give the path of a file in it.")
    return path

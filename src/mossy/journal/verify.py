"""Whether a file is as it was written: all of it is compared with its checksums, and what is damaged is named."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
import time
from array import array
from collections.abc import Callable, Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, final
from urllib.parse import quote
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mossy.errors import Damaged, NewerLayout, NotAMemory, WrongKey
from mossy.journal.connection import WAIT, check_path, named
from mossy.journal.files import on_disk
from mossy.journal.layout import APPLICATION, BLOCK, GONE, LAYOUT, MIGRATIONS, state_dtype
from mossy.journal.lock import left_note
from mossy.journal.meta import SPARED, Head
from mossy.journal.packing import unpack
from mossy.journal.payload import decode
from mossy.journal.remains import MAGIC, Log, Pages, Row, is_open_here, look_through
from mossy.journal.rows import Width, crc_of_row, crc_of_state, is_whole, place_of
from mossy.journal.seal import Seal, as_secret, seal_for
from mossy.journal.sidecar import ROWS, Sidecar

__all__ = ["Progress", "Verified", "is_out_of_reach", "is_torn", "layout_of", "looking", "spans", "verify"]

Ids = NDArray[np.int64]
Progress = Callable[[int, int], None]

MEMBER = 9  # bytes of a member of short-term memory: its id and its flags
PAIR = 16  # bytes of two ids that name one memory
TOLD = 1024  # rows after which progress is told
TRIES, PAUSE = 5, 0.05  # how often, and after how many seconds, what a writer may just be writing is read again
TORN = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_ERROR", "SQLITE_IOERR_SHORT_READ", "SQLITE_FORMAT", "SQLITE_MISUSE")
ENTRIES = {
    "salt": "the salt of the encryption",
    "configuration": "the configuration",
    "head": "the count of the memories",
    "short": "the list of short-term memory",
    "merged": "the list of merged ids",
}
# What the beginning of every file of ours has, and where.
HEADER = (
    (0, MAGIC),
    (18, b"\x02\x02"),  # there is a log
    (21, b"\x40\x20\x20"),
    (44, b"\0\0\0\4"),
    (52, b"\0\0\0\0\0\0\0\1"),
    (64, b"\0\0\0\0"),
)


@dataclass(frozen=True)
class Verified:
    """What ``verify`` found: how many memories are intact, and what is damaged. It is true if nothing is."""

    memories: int
    damage: list[str]

    def __bool__(self) -> bool:
        return not self.damage


def verify(path: str | os.PathLike[str], key: str | None = None, progress: Progress | None = None) -> Verified:
    """Compare a file, its log and the arrays beside it with their checksums, and change nothing.

    It reads one state of the file, beside a writer too. A file that SQLite cannot read any more is looked through page
    by page.

    Parameters
    ----------
    path
        The file of a durable memory.
    key
        ``"env:NAME"`` or ``"file:PATH"``, if it is encrypted.
    progress
        Is told how much is done, and of how much.

    Raises
    ------
    NotAMemory
        It is not there, or it is a sound file of another program.
    NewerLayout, WrongKey, ReadOnly, HeldByWriter, InvalidInput
    """
    file, secret = check_path(path), as_secret(key)
    if not file.exists():
        raise NotAMemory(f"{file}: it is not there; give the file of a memory.")
    check = _Check(file, secret, progress or (lambda done, total: None))
    with named(file), on_disk(file):
        try:
            with closing(looking(file)) as connection:
                memories = check.by_sqlite(connection)
        except sqlite3.DatabaseError as error:
            if not is_torn(error) and not is_out_of_reach(file, error):
                raise
            memories = check.by_pages(error)
    return Verified(memories, check.damage)


def looking(path: Path) -> sqlite3.Connection:
    """Open a file to read that is not to be changed: its log stays as it is, also when nobody else has it open."""
    location = f"file:{quote(str(path))}?mode=ro"
    beside = [path.with_name(path.name + end) for end in ("-wal", "-shm")]
    if not os.access(path.parent, os.W_OK) and not any(file.exists() for file in beside):
        location += "&immutable=1"  # nobody has it open, and SQLite may not make here what it needs to watch for that
    return sqlite3.connect(location, uri=True, timeout=WAIT, isolation_level=None)


class _Source(Protocol):
    """Where the content of a journal is read from."""

    @property
    def entries(self) -> dict[str, bytes | None]:
        """Configuration, head and small arrays as they stand on disk, None where that does not fit its checksum."""

    def rows(self) -> Iterable[Row]:
        """Return the rows of the memories by rising ids, empty ones too."""

    def blocks(self) -> Iterable[tuple[int, int, Any, int]]:
        """Return block, version, content and checksum of the state, by rising blocks."""

    def weights(self) -> Iterable[tuple[int, Any, int]]:
        """Return number, content and checksum of the parts of the weights, by rising numbers."""


@final
class _Tables:
    """The tables as SQLite reads them, in one transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute

    @property
    def entries(self) -> dict[str, bytes | None]:
        return self._entries("SELECT * FROM meta")

    @property
    def spare(self) -> dict[str, bytes | None]:
        """The second copies of what nothing could be read without."""
        return self._entries("SELECT * FROM spare")

    def _entries(self, query: str) -> dict[str, bytes | None]:
        entries: dict[str, bytes | None] = {}
        for name, content, crc in self._execute(query):
            if isinstance(name, str):
                sound = isinstance(content, bytes) and crc32(content, crc32(os.fsencode(name))) == crc
                entries[name] = content if sound else None
        return entries

    def rows(self) -> Iterable[Row]:
        return self._execute("SELECT * FROM memory ORDER BY id")

    def blocks(self) -> Iterable[tuple[int, int, Any, int]]:
        return self._execute("SELECT * FROM state ORDER BY block")

    def weights(self) -> Iterable[tuple[int, Any, int]]:
        return self._execute("SELECT * FROM weights ORDER BY part")


@final
class _Check:
    """The checking of one file. ``damage`` names what was found."""

    def __init__(self, path: Path, secret: bytes | None, tell: Progress) -> None:
        self.damage: list[str] = []
        self._path, self._secret, self._tell = path, secret, tell
        self._left = left_note(path)  # before the file is read, so that no writer's is ahead of what is found there
        self._structure = _altered(path)
        self._seal: Seal | None = None
        self._head: Head | None = None
        self._lineage = b""
        self._blocks: list[int] = []  # of state
        self._flags: dict[int, NDArray[np.uint8]] = {}  # of those of them that are sound
        self._ids: Ids = np.empty(0, np.int64)
        self._crcs: Ids = np.empty(0, np.int64)

    def by_sqlite(self, connection: sqlite3.Connection) -> int:
        """Check all of it, and return how many memories are intact."""
        connection.text_factory = lambda raw: raw.decode(errors="surrogateescape")
        connection.execute("BEGIN")
        before = _version(connection)
        self._look_at_structure(connection)
        self._look_at_log()
        self.damage = list(self._structure)
        tables = _Tables(connection)
        memories = self._look_at_content(tables)
        for name in SPARED:
            if name in tables.entries and tables.spare.get(name) is None:
                self.damage.append(f"the second copy of {ENTRIES[name]} is missing, or does not fit its checksum")
        connection.execute("COMMIT")
        self._look_at_sidecar(lambda: _version(connection) != before)
        return memories

    def by_pages(self, error: sqlite3.DatabaseError) -> int:
        """Check what is left of a file that SQLite cannot read, and return how many memories are intact."""
        if is_torn(error):
            self._structure.append(f"its structure is torn: SQLite cannot read it ({error})")
        self._look_at_log()
        self.damage = [*dict.fromkeys(self._structure)]
        with Pages(self._path) as pages:
            remains = look_through(pages, self._tell)
            if not remains:
                self.damage.append("nothing of a memory is found in it: all of it is lost, or it is another's file")
                return 0
            memories = self._look_at_content(remains)
        self._look_at_sidecar(lambda: False)
        return memories

    # -- the file -------------------------------------------------------------------------------------------------

    def _look_at_structure(self, connection: sqlite3.Connection) -> None:
        known = layout_of(self._path, connection)
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        tables = _tables(connection)
        if known is not None and kind != APPLICATION:
            self._structure.append("its header does not say any more that it is a file of mossy's")
        if known is not None and layout != known:
            self._structure.append(f"its header says that it has layout {layout}, and it has layout {known}")
        if known is None and tables:
            self._structure.append("the description of its tables is damaged")
        if not tables:
            self._structure.append("no tables are in it: nothing was ever written, or it was cut off")
        for (message,) in connection.execute("PRAGMA integrity_check"):
            if message != "ok":
                self._structure += [f"its structure: {line}" for line in message.splitlines() if line[:1] != "*"]

    def _look_at_log(self) -> None:
        """Name a log that is torn. What a writer is just writing looks so for a moment, and is then looked at again."""
        seen: list[int | None] = []
        while len(seen) < TRIES:
            with closing(Log(self._path)) as log:
                seen.append(log.torn)
            if seen[-1] is None:
                return
            time.sleep(PAUSE)
        if len(set(seen)) == 1:
            self._left = None  # which says the same
            self._structure.append(f"its log (-wal) is damaged at frame {seen[-1]}: what was written later is lost")

    # -- the tables -----------------------------------------------------------------------------------------------

    def _look_at_content(self, source: _Source) -> int:
        told = self._look_at_entries(source.entries)
        self._head = Head.decode(told["head"]) if "head" in told else None
        configuration = json.loads(told.get("configuration", b"{}"))
        self._lineage = bytes.fromhex(configuration.get("lineage", ""))
        if configuration.get("kind") == "weights":
            return self._look_at_weights(source)
        self._blocks, self._flags = [], {}
        self._look_at_state(source, configuration)
        sound = self._look_at_rows(source)
        self._compare()
        return sound

    def _look_at_entries(self, entries: dict[str, bytes | None]) -> dict[str, bytes]:
        self._seal = self._seal_of(entries)
        told, closed = {}, []
        for name, words in ENTRIES.items():
            content = entries.get(name)
            if name == "salt":  # it is not encrypted itself, and was looked at
                continue
            if content is None:
                self.damage.append(f"{words} is missing, or does not fit its checksum")
            elif self._seal is not None:
                try:
                    told[name] = self._seal.open(content, name.encode())
                except WrongKey as error:
                    closed.append((words, error))
        if closed and not told:
            raise WrongKey(f"{self._path}: {closed[0][1]}")
        self.damage += [f"{words} was altered" for words, _ in closed]
        if len(told.get("short", b"")) % MEMBER not in (0, 8) or len(told.get("merged", b"")) % PAIR:
            self.damage.append("the list of short-term memory or that of merged ids has another length")
        return told

    def _seal_of(self, entries: dict[str, bytes | None]) -> Seal | None:
        """Return the encryption, None if it cannot be known: then checksums alone are compared."""
        salt = entries.get("salt")
        clear = (entries.get("configuration") or b"").startswith(b"{")
        if salt is None and ("salt" in entries or (self._secret is not None and not clear)):
            self.damage.append("the salt of its encryption is damaged, without which no key opens it")
            return None
        try:
            return seal_for(self._secret, salt)
        except WrongKey as error:
            raise WrongKey(f"{self._path}: {error}") from error

    def _look_at_state(self, source: _Source, configuration: dict[str, Any]) -> None:
        dtype = state_dtype(configuration["modes"], configuration["links"]) if configuration else None
        for block, version, content, crc in source.blocks():
            self._blocks.append(block)
            sound = isinstance(content, bytes) and crc_of_state(block, version, content) == crc
            if sound and self._seal is not None and dtype is not None:
                records = _records(self._seal, block, content, dtype)
                if records is None:
                    sound = False
                else:
                    self._flags[block] = records["flags"].copy()
            if not sound:
                self.damage.append(
                    f"memories {block * BLOCK} to {block * BLOCK + BLOCK - 1}: strengths, pins and links do not fit "
                    "their checksum"
                )

    def _look_at_rows(self, source: _Source) -> int:
        ids, crcs = array("q"), array("q")
        bad: dict[str, list[int]] = {}
        total = 0 if self._head is None else self._head.memories
        width = None if self._head is None or self._head.d is None else Width(self._head.d, self._head.d_value)
        for row in source.rows():
            wrong = self._wrong(row, width)
            if wrong:
                bad.setdefault(wrong, []).append(row[0])
            id, crc = row[0], row[5]
            if crc is not None:
                ids.append(id)
                crcs.append(crc if isinstance(crc, int) else 0)
                if len(ids) % TOLD == 0:
                    self._tell(len(ids), max(total, len(ids)))
        self._tell(len(ids), len(ids))
        for wrong, these in bad.items():
            self.damage += [f"{some}: {wrong}" for some in spans(these)]
        self._ids, self._crcs = np.array(ids, np.int64), np.array(crcs, np.int64)
        return len(ids) - len(np.intersect1d(self._ids, [one for these in bad.values() for one in these]))

    def _wrong(self, row: Row, width: Width | None) -> str:
        """Return what is wrong with a row, "" if nothing is."""
        id, stored, key, value, payload, crc = row
        if crc is None:
            return "" if row[1:] == (None,) * 5 else "forgotten, and a part of the row is still there"
        try:
            if not is_whole(key, value, payload) or crc_of_row(id, stored, key, value, payload) != crc:
                return "the row does not fit its checksum"
            if self._seal is None:
                return ""
            place = place_of(id, stored)
            d = len(self._seal.open(key, b"k" + place)) / 4
            d_value = None if value is None else len(self._seal.open(value, b"v" + place)) / 4
            if payload is not None:
                decode(self._seal.open(payload, b"p" + place))
        except WrongKey:
            return "the row was altered"
        except (TypeError, ValueError, EOFError, struct.error):  # a column of another type, or a payload that is none
            return "the row is not what is written, or the payload cannot be read"
        if width is not None and (d, d_value) != (width.d, width.d_value):
            return "pattern or value have another length than those of the others"
        return ""

    def _compare(self) -> None:
        """Compare the rows with the state, and with what was counted."""
        head, ids = self._head, self._ids
        last = int(ids[-1]) + 1 if len(ids) else 0
        next_id = last if head is None else max(head.next_id, last)
        blocks = np.array(list(self._flags), np.int64)
        every = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        flags = np.concatenate([np.empty(0, np.uint8), *self._flags.values()])
        there = every[(flags & GONE == 0) & (every < next_id)]
        self._name("the row is missing", np.setdiff1d(there, ids))
        self._name("forgotten, and the row is still there", np.setdiff1d(ids[np.isin(ids // BLOCK, blocks)], there))
        self._name("strength, pin and links are missing", ids[~np.isin(ids // BLOCK, self._blocks)])
        if head is None:
            return
        known = ids < head.next_id
        count, digest = int(known.sum()), int(self._crcs[known].sum())
        if not self.damage and (count, digest) != (head.memories, head.digest):
            self.damage.append(f"{head.memories} memories were counted; {count} are there, and not all are the same")
        if self._left is not None and (self._left[0] > next_id or self._left[1] > head.version):
            self.damage.append(
                f"its last writer had stored the memories up to {self._left[0] - 1}, and those up to {next_id - 1} are "
                "there: the end of its log (-wal) is lost"
            )

    def _name(self, wrong: str, ids: Ids) -> None:
        self.damage += [f"{some}: {wrong}" for some in spans(ids.tolist())]

    def _look_at_weights(self, source: _Source) -> int:
        parts = []
        for number, (part, content, crc) in enumerate(source.weights()):
            if part != number or not isinstance(content, bytes) or crc32(content, part) != crc:
                self.damage.append(f"part {number} of the weights is missing, or does not fit its checksum")
                return 0
            try:
                parts.append(content if self._seal is None else self._seal.open(content, b"w%d" % part))
            except WrongKey:
                self.damage.append(f"part {number} of the weights was altered")
                return 0
        try:
            if parts and self._seal is not None:
                unpack(b"".join(parts))
        except Damaged as error:
            self.damage.append(str(error))
            return 0
        return 0 if self._head is None else self._head.memories

    # -- the arrays beside it -------------------------------------------------------------------------------------

    def _look_at_sidecar(self, changed: Callable[[], bool]) -> None:
        """Compare the blocks of arrays; ``changed`` tells whether a writer has changed the file since it was read."""
        path, head = self._path.with_name(self._path.name + ".arrays"), self._head
        if not path.exists() or head is None or head.d is None or self._seal is None or not self._lineage:
            return
        sidecar = Sidecar(path, Width(head.d, head.d_value), self._lineage, self._seal)
        number_of_blocks, mend = sidecar.blocks(), f"delete {path.name}, it is made again"
        if not number_of_blocks and path.stat().st_size > 4 * head.d * ROWS:
            self.damage.append(f"the arrays beside it do not begin as its own do; {mend}")
        for number in range(number_of_blocks):
            wrong = self._wrong_block(sidecar, number)
            for _ in range(TRIES):
                if not wrong:
                    break
                time.sleep(PAUSE)  # a writer may just be writing it
                wrong = self._wrong_block(sidecar, number)
            if wrong and not changed():
                self.damage.append(
                    f"block {number} of the arrays beside it {wrong}; delete {path.name}, it is made again"
                )

    def _wrong_block(self, sidecar: Sidecar, number: int) -> str:
        block = sidecar.block(number)
        if block is None:
            return "does not fit its checksum"
        rows = np.minimum(np.searchsorted(self._ids, block.ids), max(len(self._ids) - 1, 0))
        there = self._ids[rows] == block.ids if len(self._ids) else np.zeros(ROWS, bool)
        same = bool((self._crcs[rows[there]] == block.crcs[there]).all())
        return "" if same and (np.diff(block.ids) > 0).all() else "is not that of these memories"


def _records(seal: Seal, block: int, content: bytes, dtype: np.dtype[Any]) -> NDArray[Any] | None:
    try:
        content = seal.open(content, b"s%d" % block)
    except WrongKey:
        return None
    return np.frombuffer(content, dtype) if len(content) == BLOCK * dtype.itemsize else None


def _altered(path: Path) -> list[str]:
    """Name what is altered in the header, as far as SQLite does not look at it.

    Where this process has the file open that is left out, since closing it again would take SQLite's locks away.
    """
    header = b""
    if not is_open_here(path):
        with path.open("rb") as file:
            header = file.read(HEADER[-1][0] + 4)
    altered = [at for at, told in HEADER if header[at : at + len(told)] != told]
    return [f"its header is altered, from byte {altered[0]} on"] if header and altered else []


def _version(connection: sqlite3.Connection) -> int:
    """Return a number that changes when another connection has written."""
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return int(connection.execute("PRAGMA data_version").fetchone()[0])


def _tables(connection: sqlite3.Connection) -> set[tuple[str, str, str]]:
    return set(connection.execute("SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"))


def _tables_of(layout: int) -> set[tuple[str, str, str]]:
    """Return the tables that a file of this layout has."""
    with closing(sqlite3.connect(":memory:")) as connection:
        for statements in MIGRATIONS[:layout]:
            for statement in statements:
                connection.execute(statement)
        return _tables(connection)


def is_torn(error: sqlite3.DatabaseError) -> bool:
    """Return whether SQLite says that the file is damaged, and not that it cannot be read just now."""
    return getattr(error, "sqlite_errorname", "").startswith(TORN)


def is_out_of_reach(path: Path, error: sqlite3.DatabaseError) -> bool:
    """Return whether SQLite cannot read a file only because it may not write beside it, where the log needs that."""
    code = getattr(error, "sqlite_errorname", "")
    return not os.access(path.parent, os.W_OK) and code.startswith(("SQLITE_CANTOPEN", "SQLITE_READONLY"))


def layout_of(path: Path, connection: sqlite3.Connection) -> int | None:
    """Return the layout that the tables of a file show, whatever its header says; None if they are damaged.

    Raises
    ------
    NotAMemory, NewerLayout
    """
    tables = _tables(connection)
    known = next((n for n in range(LAYOUT, 0, -1) if _tables_of(n) <= tables), None)
    if known is None and tables:
        (kind,) = connection.execute("PRAGMA application_id").fetchone()
        (layout,) = connection.execute("PRAGMA user_version").fetchone()
        if kind != APPLICATION:
            raise NotAMemory(f"{path}: it is an SQLite file of another program.")
        if layout > LAYOUT:
            raise NewerLayout(f"{path}: it has layout {layout}, and this mossy knows {LAYOUT} at most.")
    return known


def spans(ids: Iterable[int]) -> list[str]:
    """Return ids in words, those that follow each other together: ``memory 3``, ``memories 7 to 9``."""
    told: list[list[int]] = []
    for id in ids:
        if told and id == told[-1][1] + 1:
            told[-1][1] = id
        else:
            told.append([id, id])
    return [f"memory {one}" if one == other else f"memories {one} to {other}" for one, other in told]

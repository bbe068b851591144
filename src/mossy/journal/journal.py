"""The journal: one SQLite file that holds every memory, from which a memory is rebuilt."""

from __future__ import annotations

import json
import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import (
    Damaged,
    HeldByWriter,
    JournalError,
    NewerLayout,
    NoRoom,
    NotAMemory,
    ReadOnly,
    UnknownMemory,
)
from mossy.journal import meta, weights
from mossy.journal.connection import FAILURES, connect, named, named_error, prepare_to_write, truncate_log
from mossy.journal.files import check_one_name, check_remains, identity
from mossy.journal.layout import APPLICATION, BLOCK, GONE, LAYOUT, MIGRATIONS, state_dtype
from mossy.journal.lock import WriterLock, left_note
from mossy.journal.meta import Head
from mossy.journal.payload import decode
from mossy.journal.rows import Chunk, Width, crc_of_row, crc_of_state, is_whole, place_of, read_rows, rows_to_write
from mossy.journal.seal import SALT, Plain, seal_for
from mossy.journal.sidecar import ROWS, Sidecar

__all__ = ["Journal"]

Ids = NDArray[np.int64]
Blocks = NDArray[np.int64]
Content = NDArray[Any]  # (blocks, BLOCK) of state_dtype

ENTRIES = ("configuration", "short", "merged")
ASKED = 500  # ids in one SELECT
EMPTY = 4096  # empty rows from which it may be written anew


@final
class Journal:
    """Reads and writes one file. It takes arrays and a configuration, and knows no memory.

    What is written stands between ``with journal.transaction():``, which is one commit: all of it is on disk when the
    block ends, or nothing of it.

    Parameters
    ----------
    path
        The file; with mode ``"a"`` it is made if it is not there.
    mode
        ``"a"`` to read and write, ``"r"`` to read.
    durability
        ``"full"``: on disk, power loss included, at the end of a transaction; ``"process"``: safe from the end of this
        process, not from that of the machine.
    secret
        The key of an encrypted file, from ``as_secret``.
    configuration
        With what a new file is made; JSON. Needs ``"modes"`` and ``"links"``, the sizes of a memory's state.

    Raises
    ------
    JournalError
        One of its kinds, as the tree in ``mossy.errors`` tells.
    """

    def __init__(
        self, path: Path, mode: str, durability: str, secret: bytes | None, configuration: dict[str, Any]
    ) -> None:
        self.path, self.mode = path, mode
        self.closed = False
        self.lost = ""
        self.gaps = 0
        self._stale = False  # whether the head may be another than that on disk
        self._appends_only = True
        self.process = os.getpid()
        self._lock = WriterLock(path) if mode == "a" else None
        try:
            with named(path):
                self._connect(durability, secret, configuration)
        except BaseException:
            if hasattr(self, "connection"):
                self.connection.close()
            self._release()
            raise

    def _connect(self, durability: str, secret: bytes | None, configuration: dict[str, Any]) -> None:
        path = self.path
        if self.mode == "r" and not path.exists():
            raise NotAMemory(f"{path}: it is not there; open it with mode='a' to make it.")
        check_remains(path, self._lock is not None and self._lock.left is not None)
        self.connection = connect(path, self.mode)
        self._identity = identity(path)
        if self.mode == "a":
            check_one_name(path)
        self.new = self.connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] == 0
        if not self.new:
            self._check_kind()
        if self.mode == "a":
            prepare_to_write(self.connection, path, durability)
        if self.new:
            if self.mode == "r":
                raise NotAMemory(f"{path}: it is empty; open it with mode='a' to make it a memory.")
            self._create(secret, configuration)
        else:
            self._seal = seal_for(secret, self._salt())
            self._migrate()
        left = left_note(path) if self._lock is None else self._lock.left
        self.connection.execute("BEGIN")  # one state of it, whatever a writer does meanwhile
        self.read_entries()
        self.connection.execute("COMMIT")
        if left is not None and (left[0] > self.head.next_id or left[1] > self.head.version):
            self.lost = (
                f"{path}: its last writer had stored the memories up to {left[0] - 1}, and those up to "
                f"{self.head.next_id - 1} are there: the end of its log (-wal) is torn. What is there is sound"
            )
        else:
            self.settle()
        self.lineage = bytes.fromhex(self.configuration["lineage"])
        self.dtype = state_dtype(self.configuration["modes"], self.configuration["links"])
        if self.mode == "a":
            if self.head.torn:
                self.tidy(always=True)
            truncate_log(self.connection)  # finishes what an open reader kept from being forgotten
        self._seen = self._data_version()

    def settle(self) -> None:
        """Take note that what is lost, if anything, was told."""
        self.lost = ""
        if self._lock is not None:
            self._lock.settle()

    # -- opening ------------------------------------------------------------------------------------------------

    def _check_kind(self) -> None:
        (kind,) = self.connection.execute("PRAGMA application_id").fetchone()
        if kind != APPLICATION:
            raise NotAMemory(f"{self.path}: it is an SQLite file of another program, or its header is damaged.")
        (layout,) = self.connection.execute("PRAGMA user_version").fetchone()
        if layout < 1:
            raise Damaged(f"{self.path}: its header is damaged: it tells the layout {layout}. See mossy verify.")
        if layout > LAYOUT:
            raise NewerLayout(
                f"{self.path}: it has layout {layout}, and this mossy knows {LAYOUT} at most. Install a newer mossy."
            )

    def _create(self, secret: bytes | None, configuration: dict[str, Any]) -> None:
        salt = None if secret is None else os.urandom(SALT)
        self._seal = seal_for(secret, salt)
        lineage = os.urandom(16).hex()
        with self._commit():
            self.connection.execute(f"PRAGMA application_id = {APPLICATION}")
            self._apply(0)
            if salt is not None:
                meta.put(self.connection, Plain(), "salt", salt)
            meta.put(self.connection, self._seal, "configuration", _json(configuration | {"lineage": lineage}))
            meta.put(self.connection, self._seal, "head", Head().encode())
            meta.put(self.connection, self._seal, "short", b"")
            meta.put(self.connection, self._seal, "merged", b"")

    def _salt(self) -> bytes | None:
        if self.connection.execute("SELECT 1 FROM meta WHERE name = 'salt'").fetchone() is None:
            return None
        return meta.get(self.connection, Plain(), "salt")

    def _migrate(self) -> None:
        (layout,) = self.connection.execute("PRAGMA user_version").fetchone()
        if layout < LAYOUT:
            if self.mode == "r":
                raise ReadOnly(f"{self.path}: it has the older layout {layout}; open it once with mode='a'.")
            with self._commit():
                self._apply(layout)

    def _apply(self, layout: int) -> None:
        for statements in MIGRATIONS[layout:]:
            for statement in statements:
                self.connection.execute(statement)
        self.connection.execute(f"PRAGMA user_version = {LAYOUT}")

    def read_entries(self) -> None:
        """Read configuration, head, and the small arrays."""
        try:
            entries = {name: meta.get(self.connection, self._seal, name) for name in ENTRIES}
            self.configuration: dict[str, Any] = json.loads(entries["configuration"])
            self._read_head()
        except Damaged as error:
            raise Damaged(f"{self.path}: {error}; mossy repair rescues the rest.") from error
        self.short, self.merged = entries["short"], entries["merged"]

    def _read_head(self) -> None:
        """Read the head, and add what was appended since it was written, which the rows themselves tell."""
        head = Head.decode(meta.get(self.connection, self._seal, "head"))
        self.gaps = 0
        query = (
            "SELECT count(crc), sum(crc), max(id), max(CASE typeof(stored) WHEN 'real' THEN stored END) FROM memory "
            "WHERE id >= ?"
        )
        count, digest, last, latest = self.connection.execute(query, (head.next_id,)).fetchone()
        if last is not None:
            self.gaps = last + 1 - head.next_id - count  # plain appends leave out no id
            if self.gaps:  # or an id was altered
                last = head.next_id + count - 1
            head.memories += count
            head.digest += digest or 0
            head.next_id = last + 1
            head.latest = max(head.latest, latest or 0.0)
        self.head, self._stale = head, False

    # -- reading ------------------------------------------------------------------------------------------------

    @property
    def width(self) -> Width | None:
        """The neurons of keys and values, None before they are known."""
        return None if self.head.d is None else Width(self.head.d, self.head.d_value)

    @property
    def nbytes(self) -> int:
        """Bytes on disk: of the file, its log, and the arrays beside it."""
        files = [self.path.with_name(self.path.name + end) for end in ("", "-wal", ".arrays")]
        return sum(file.stat().st_size for file in files if file.exists())

    @property
    def sidecar(self) -> Sidecar | None:
        """The arrays beside it, None before anything is stored."""
        path = self.path.with_name(self.path.name + ".arrays")
        return None if self.width is None else Sidecar(path, self.width, self.lineage, self._seal)

    def state(self, damage: list[str], since: int = -1) -> tuple[Blocks, Content]:
        """Return the state of the blocks that were written after the version ``since``; damaged ones are named."""
        numbers: list[int] = []
        contents: list[bytes] = []
        size = BLOCK * self.dtype.itemsize
        query = "SELECT block, version, content, crc FROM state WHERE version > ? ORDER BY block"
        for block, version, content, crc in self.connection.execute(query, (since,)):
            whole = isinstance(content, bytes) and isinstance(version, int)
            if not whole or crc_of_state(block, version, content) != crc:
                damage.append(f"state of the memories {block * BLOCK} to {block * BLOCK + BLOCK - 1}: wrong checksum")
                continue
            opened = self._seal.open(content, b"s%d" % block)
            if len(opened) != size:
                damage.append(f"state of the memories {block * BLOCK} to {block * BLOCK + BLOCK - 1}: wrong length")
                continue
            numbers.append(block)
            contents.append(opened)
        array = np.frombuffer(b"".join(contents), self.dtype).reshape(-1, BLOCK)
        return np.array(numbers, np.int64), array

    def alive(self, blocks: Blocks, content: Content) -> NDArray[np.bool_]:
        """Return for each id from 0 whether it is there, as the state tells."""
        alive = np.zeros(-(-self.head.next_id // BLOCK) * BLOCK, bool)
        places = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        inside = places < len(alive)
        alive[places[inside]] = (content["flags"].ravel() & GONE == 0)[inside]
        return alive[: self.head.next_id]

    def rows(self, damage: list[str], first: int = 0) -> Iterator[Chunk]:
        """Yield the memories from the id ``first`` on, in chunks; damaged ones are named and left out."""
        if self.width is not None:
            query = "SELECT * FROM memory WHERE id >= ? AND crc IS NOT NULL ORDER BY id"
            yield from read_rows(self.connection.execute(query, (first,)), self.width, self._seal, damage)

    def payloads(self, ids: Ids) -> list[Any]:
        """Return the payload of each id.

        Raises
        ------
        Damaged
            A row is missing, or does not fit its checksum.
        UnknownMemory
            It was forgotten meanwhile.
        ReadOnly
            This process was forked from the one that opened it.
        """
        if self.forked:
            raise ReadOnly(
                f"{self.path}: payloads are read from the file, which a forked process must not touch. Recall them in "
                "the process that opened it, or start this one with the method 'spawn' and open it here."
            )
        with named(self.path):
            found = {}
            for first in range(0, len(ids), ASKED):
                some = ids[first : first + ASKED].tolist()
                marks = ",".join("?" * len(some))
                for row in self.connection.execute(f"SELECT * FROM memory WHERE id IN ({marks})", some):
                    found[row[0]] = self._payload(row)
            try:
                return [found[id] for id in ids.tolist()]
            except KeyError as error:
                raise Damaged(f"{self.path}: memory {error.args[0]} has no row; see mossy verify.") from error

    def _payload(self, row: Any) -> Any:
        id, stored, key, value, payload, crc = row
        if crc is None:
            raise UnknownMemory(f"ids: the memory {id} was forgotten meanwhile.")
        try:
            sound = is_whole(key, value, payload) and crc_of_row(id, stored, key, value, payload) == crc
            if sound and payload is not None:
                return decode(self._seal.open(payload, b"p" + place_of(id, stored)))
        except (TypeError, ValueError, struct.error):  # a column of another type than was written
            sound = False
        if not sound:
            raise Damaged(
                f"{self.path}: the row of memory {id} does not fit its checksum; mossy repair rescues the rest."
            )
        return None

    @property
    def forked(self) -> bool:
        """Whether this process was forked from the one that opened it, where SQLite may not touch the file."""
        return os.getpid() != self.process

    @contextmanager
    def snapshot(self) -> Iterator[bool]:
        """Read one and the same state in the block; it yields whether that changed since the last snapshot."""
        self._check_there()
        with named(self.path):
            self.connection.execute("BEGIN")
            seen = self._data_version()
        try:
            yield seen != self._seen
            self._seen = seen
        finally:
            with named(self.path):
                self.connection.execute("COMMIT")

    def _check_there(self) -> None:
        """Raise ``JournalError`` if the file was removed or replaced: what is written now would be in no file."""
        if identity(self.path) != self._identity:
            raise JournalError(
                f"{self.path}: the file was removed or replaced while it was open; nothing was changed. Close this "
                "memory, and open it again."
            )

    def _data_version(self) -> int:
        """Return a number that changes when another connection has written."""
        self.connection.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        return int(self.connection.execute("PRAGMA data_version").fetchone()[0])

    # -- writing ------------------------------------------------------------------------------------------------

    @property
    def writes(self) -> bool:
        """Whether it may be written from here: it was opened to write, in this process."""
        return self.mode == "a" and not self.forked

    def check_writes(self) -> None:
        """Raise ``ReadOnly`` if it may not be written from here."""
        if not self.writes:
            raise ReadOnly(
                f"{self.path}: it was opened to read (mode='r'), or by the process that this one was forked from; "
                "nothing was changed. Store from the process that opened it to write."
            )

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit what is written in the block as one; if it fails, nothing of it is written.

        Raises
        ------
        ReadOnly, NoRoom, HeldByWriter, JournalError
        """
        self.check_writes()
        if self._stale:
            with named(self.path):
                self._read_head()
        self._check_there()
        self._appends_only = True
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            if not self._appends_only:
                self.head.version += 1
                meta.put(self.connection, self._seal, "head", self.head.encode())
            self.connection.execute("COMMIT")
        except BaseException as error:
            self._go_back()
            if isinstance(error, FAILURES):
                raise named_error(self.path, error) from error
            raise
        if self._lock is not None:
            self._lock.note(self.head.next_id, self.head.version)

    def _go_back(self) -> None:
        """Have the head as it is on disk: an interruption may have come before the commit or after it."""
        self._stale = True
        try:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            self._read_head()
        except (sqlite3.Error, JournalError):  # the disk does not even let it be read
            self.close()

    @contextmanager
    def _commit(self) -> Iterator[None]:
        self.connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
            raise

    def append(
        self,
        ids: Ids,
        stored: float | NDArray[np.float64],
        keys: NDArray[np.float32],
        values: NDArray[np.float32] | None,
        payloads: list[bytes | None] | None,
    ) -> None:
        """Add memories with rising ids, ``next_id`` or above, stored at one time or each at its own."""
        head = self.head
        if head.memories == 0:
            head.d, head.d_value = keys.shape[1], None if values is None else values.shape[1]
            self._appends_only = False
        crcs: list[int] = []
        times = [stored] * len(ids) if isinstance(stored, float) else stored.tolist()
        rows = rows_to_write(ids.tolist(), times, keys, values, payloads, self._seal, crcs)
        self.connection.executemany("INSERT INTO memory VALUES (?, ?, ?, ?, ?, ?)", rows)
        begun = -(-head.next_id // BLOCK)  # the first block that has no row yet
        head.next_id = int(ids[-1]) + 1
        if head.next_id > begun * BLOCK:
            blocks = np.unique(ids // BLOCK)
            fresh = blocks[blocks >= begun]
            self._put_state(fresh, np.zeros((len(fresh), BLOCK), self.dtype))
        head.memories += len(crcs)
        head.digest += sum(crcs)
        head.latest = max(head.latest, max(times))

    def remove(self, ids: Ids) -> None:
        """Empty the rows of ``ids``."""
        head = self.head
        self._appends_only = False
        for first in range(0, len(ids), ASKED):
            some = ids[first : first + ASKED].tolist()
            marks = ",".join("?" * len(some))
            query = f"SELECT count(crc), sum(crc) FROM memory WHERE id IN ({marks})"
            count, digest = self.connection.execute(query, some).fetchone()
            head.memories -= count
            head.digest -= digest or 0
            head.empty += count
            self.connection.execute(
                "UPDATE memory SET stored = NULL, key = NULL, value = NULL, payload = NULL, crc = NULL "
                f"WHERE id IN ({marks})",
                some,
            )
        if head.memories == 0:
            head.d = head.d_value = None

    def put_state(self, blocks: Blocks, content: Content) -> None:
        """Write the state of ``blocks (b,)``: ``(b, 64)`` records."""
        self._appends_only = False
        self._put_state(blocks, content)

    def _put_state(self, blocks: Blocks, content: Content) -> None:
        version = self.head.version + 1

        def rows() -> Iterator[tuple[int, int, bytes, int]]:
            for block, records in zip(blocks.tolist(), content, strict=True):
                closed = self._seal.close(records.tobytes(), b"s%d" % block)
                yield block, version, closed, crc_of_state(block, version, closed)

        self.connection.executemany(
            "INSERT INTO state VALUES (?, ?, ?, ?) ON CONFLICT (block) DO UPDATE SET "
            "version = excluded.version, content = excluded.content, crc = excluded.crc",
            rows(),
        )

    def put_weights(self, content: bytes, written: int) -> None:
        """Write the weights of a memory that keeps nothing else, of which ``written`` pairs made them."""
        self._appends_only = False
        self.head.memories = written
        weights.put(self.connection, self._seal, content)

    def weights(self) -> bytes:
        """Return what ``put_weights`` was given, and zeros; nothing if it was not called. Raises ``Damaged``."""
        try:
            return weights.get(self.connection, self._seal)
        except Damaged as error:
            raise Damaged(f"{self.path}: {error}.") from error

    def put(self, name: str, content: bytes) -> None:
        """Write one of the small arrays, or the configuration."""
        meta.put(self.connection, self._seal, name, content)

    def configure(self, configuration: dict[str, Any]) -> None:
        """Write another configuration; the lineage stays."""
        self._appends_only = False
        self.configuration = configuration | {"lineage": self.configuration["lineage"]}
        self.put("configuration", _json(self.configuration))

    # -- housekeeping -------------------------------------------------------------------------------------------

    def scrub(self, alive: NDArray[np.bool_]) -> bool:
        """Leave no byte of what was forgotten beside the file or in its log; False if an open reader prevents it."""
        sidecar = self.sidecar
        if sidecar is not None:
            sidecar.scrub(alive)
        else:
            Sidecar(self.path.with_name(self.path.name + ".arrays"), Width(1, None), b"", self._seal).remove()
        with named(self.path):
            if self.head.torn:
                return self.tidy(always=True)
            return truncate_log(self.connection)

    def tidy(self, always: bool = False) -> bool:
        """Write the file anew without its empty rows, if they are the most; False if that could not be done now.

        It needs as much room again as the file has. Where there is none, or another program reads just now, the file
        stays as it is, and right.
        """
        if not always and self.head.empty <= max(self.head.memories, EMPTY):
            return True
        try:
            if not self.head.torn:
                with self.transaction():
                    self._delete_empty()
            with named(self.path):
                self.connection.execute("VACUUM")
            with self.transaction():
                self._appends_only = False
                self.head.torn = False
            return truncate_log(self.connection)
        except (NoRoom, HeldByWriter):
            return False

    def _delete_empty(self) -> None:
        """Take empty rows out, which leaves copies of their neighbours in the pages until these are written anew."""
        self._appends_only = False
        self.connection.execute("DELETE FROM memory WHERE crc IS NULL")
        self.connection.execute(
            "DELETE FROM state WHERE block < ? AND NOT EXISTS "
            f"(SELECT 1 FROM memory WHERE id BETWEEN block * {BLOCK} AND block * {BLOCK} + {BLOCK - 1})",
            (self.head.next_id // BLOCK,),
        )
        self.head.empty = 0
        self.head.epoch += 1
        self.head.torn = True

    def stamps(self, first: int, n: int) -> Iterator[tuple[Ids, NDArray[np.float64], NDArray[np.uint32]]]:
        """Yield ids, times and checksums of ``n`` memories from the id ``first`` on, ``ROWS`` at a time."""
        query = "SELECT id, stored, crc FROM memory WHERE id >= ? AND crc IS NOT NULL ORDER BY id LIMIT ?"
        rows = self.connection.execute(query, (first, n))
        while some := rows.fetchmany(ROWS):
            ids, stored, crcs = zip(*some, strict=True)
            yield np.array(ids, np.int64), np.array(stored, np.float64), np.array(crcs, np.uint32)

    def write_sidecar(self, chunks: Iterator[Chunk], covered: int) -> int:
        """Add whole blocks to the sidecar, which has the memories up to ``covered``; return up to which it has then.

        Where there is no room for it there is none, which makes opening slower and nothing else.
        """
        sidecar = self.sidecar
        if sidecar is None:
            return -1
        try:
            for chunk in chunks:
                sidecar.append(chunk)
                covered = int(chunk.ids[-1])
        except OSError:
            sidecar.remove()
            return -1
        return covered

    def close(self) -> None:
        """Let another write; a second call does nothing."""
        if not self.closed:
            self.closed = True
            if not self.forked:  # what a child closed would take nothing from its parent, but SQLite forbids it
                self.connection.close()
            self._release()

    def _release(self) -> None:
        if self._lock is not None:
            if not self.forked:
                self._lock.release()
            self._lock = None


def _json(configuration: dict[str, Any]) -> bytes:
    return json.dumps(configuration, sort_keys=True).encode()

"""What keeps a store on disk: it notes what changes, writes it to the journal, and builds it again from there."""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.clock import Clock
from mossy.errors import ClosedMemory, Damaged, DamageWarning, ForgetPending, JournalError
from mossy.journal import BLOCK, ROWS, Chunk, Journal, Sidecar, named, readers_of
from mossy.memory.catalog import GONE, LONG, PINNED, SHORT, USED

if TYPE_CHECKING:
    from mossy.memory.configuration import Configuration
    from mossy.memory.store import Store

__all__ = ["Durable"]

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]

LAG = 1.0  # seconds after which the next call writes reinforcement
NAMED = 5  # damaged parts named in one message
KEPT = PINNED | USED | LONG  # the flags that are written
SHORT_ENTRY = np.dtype([("id", "<i8"), ("flags", "u1")])
NO_IDS: Ids = np.empty(0, np.int64)


def _warn(message: str, kind: type[Warning]) -> None:
    """Warn at the line of the program that called mossy."""
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and frame.f_back.f_globals.get("__name__", "").split(".")[0] in (
        "mossy",
        "contextlib",
    ):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, kind, stacklevel=level + 1)


@final
class Durable:
    """The journal of a store, and what of the store is not written yet.

    Storing, forgetting, pinning and consolidating are on disk when they return. Reinforcement, links, short-term
    memory and what was let go are written together, by the next call after one second and on closing.

    Parameters
    ----------
    journal
        The open file.
    store
        Makes an empty store for it.
    """

    def __init__(self, journal: Journal, store: Callable[[Configuration, Durable], Store]) -> None:
        self.journal = journal
        self._store = store
        self.damage: list[str] = []
        self._dirty: list[Ids] = []
        self._let_go: list[Ids] = []
        self._pending = False
        self._written = time.monotonic()
        self._current: Store | None = None
        self._covered = -1  # the last id in the sidecar
        self._renamings = self._renaming = -1  # of the catalog, when it was written, and as it is being written
        self._epoch = -1

    @property
    def writes(self) -> bool:
        """Whether it may be written from here."""
        return self.journal.writes

    def check_writes(self) -> None:
        """Raise ``ReadOnly`` if it may not be written from here."""
        self.journal.check_writes()

    def check_open(self) -> None:
        """Raise ``ClosedMemory`` if it was closed."""
        if self.journal.closed:
            raise ClosedMemory(f"{self.journal.path}: the memory was closed; open it again with mossy.open().")

    @contextmanager
    def seen(self) -> Iterator[bool]:
        """Let a reader see one state of the file in the block; it yields whether that is another than before."""
        if self.writes or self.journal.forked:
            yield False
            return
        with self.journal.snapshot() as changed:
            yield changed

    # -- noting ---------------------------------------------------------------------------------------------------

    def note(self, ids: Ids) -> None:
        """Note that strength, flags or links of ``ids`` changed, or short-term memory did."""
        self._dirty.append(ids)
        self._pending = True

    def let_go(self, ids: Ids) -> None:
        """Note that ``ids`` were let go."""
        self._let_go.append(ids)
        self._pending = True

    # -- writing --------------------------------------------------------------------------------------------------

    def stored(self, store: Store, rows: Rows, payloads: list[Any] | None, pin: bool, now: float) -> None:
        """Write the memories in ``rows``, in one commit."""
        ids = store.catalog.ids[rows]
        index = store.index
        first, last = int(rows[0]), int(rows[-1]) + 1
        at_once = pin or store.links is not None or self._is_due()
        with self.journal.transaction():
            values = index.values[first:last] if index.has_values else None
            self.journal.append(ids, now, index.keys[first:last], values, payloads)
            if at_once:
                self._dirty.append(ids)
                self._write(store, now)
        if at_once:
            self._clear()
        else:
            self._pending = True  # short-term memory changed

    def brought(self, store: Store, rows: Rows, stored: NDArray[np.float64], payloads: list[Any], now: float) -> None:
        """Write the memories in ``rows``, stored at times of their own, and all that was noted, in one commit."""
        index = store.index
        with self.journal.transaction():
            if len(rows):
                first, last = int(rows[0]), int(rows[-1]) + 1
                values = index.values[first:last] if index.has_values else None
                self.journal.append(store.catalog.ids[rows], stored, index.keys[first:last], values, payloads)
            self.journal.head.next_id = store.catalog.next_id
            self._write(store, now)
        self._clear()

    def forget(self, store: Store, rows: Rows, now: float) -> None:
        """Write that ``rows`` are forgotten, before they are."""
        ids = store.catalog.ids[rows]
        if store.links is not None:
            self._dirty.append(store.catalog.ids[store.links.pointing(rows)])
        with self.journal.transaction():
            self.journal.remove(ids)
            self._dirty.append(ids)
            self._write(store, now, rows)
        self._clear()

    def scrub(self, store: Store) -> None:
        """Leave no byte of what was forgotten, or raise ``ForgetPending``."""
        if not self.journal.scrub(self._alive(store)):
            path = self.journal.path
            why = (
                "there is no room to write the file anew"
                if self.journal.head.torn
                else f"another reads there ({readers_of(path)})"
            )
            raise ForgetPending(
                f"{path}: it is forgotten, and no recall finds it. Bytes of it stay in the file while {why}; the next "
                "forget, or the next opening to write, takes them out."
            )

    def flush(self, store: Store, now: float) -> None:
        """Write what was noted."""
        if not self._pending:
            return
        with self.journal.transaction():
            self._write(store, now)
        self._clear()

    def flush_if_due(self, store: Store, now: float) -> None:
        """Write what was noted if the last writing is long enough ago; where it cannot be, warn, and keep it noted."""
        if self._pending and self.writes and self._is_due():
            try:
                self.flush(store, now)
            except JournalError as error:
                self._written = time.monotonic()
                _warn(f"reinforcement is not on disk yet: {error}", RuntimeWarning)

    def tidy(self, store: Store) -> None:
        """Write the file anew if most of its rows are empty, and bring the sidecar up to date."""
        self.journal.tidy()
        self.journal.scrub(self._alive(store))
        sidecar = self.journal.sidecar
        if sidecar is None:
            return
        ids = store.catalog.ids[store.catalog.alive()]
        covered = int(np.searchsorted(ids, self._covered, "right"))
        blocks = sidecar.blocks()
        if not covered <= blocks * ROWS <= covered + covered // 4 + ROWS:  # it was deleted, or much of it is gone
            sidecar.remove()
            self._covered, covered = -1, 0
        whole = (len(ids) - covered) // ROWS * ROWS
        if whole:
            self._covered = self.journal.write_sidecar(self._fresh_chunks(store, whole), self._covered)

    def close_at(self, clock: Clock, torn: bool = False) -> None:
        """Write what was noted, tidy, and let another write. A forked child only lets go of it."""
        if self.journal.closed:
            return
        try:
            if self.writes and self._current is not None and not torn:
                self.flush(self._current, max(clock.now(), self.journal.head.latest))
                self.tidy(self._current)
        finally:
            self.journal.close()

    def _is_due(self) -> bool:
        return time.monotonic() - self._written >= LAG

    def _clear(self) -> None:
        self._dirty, self._let_go, self._pending = [], [], False
        self._renamings = self._renaming
        self._written = time.monotonic()

    def _write(self, store: Store, now: float, without: Rows | None = None) -> None:
        """Write all that was noted, as if the rows ``without`` were gone; inside a transaction."""
        journal, catalog = self.journal, store.catalog
        let_go = np.concatenate([NO_IDS, *self._let_go])
        journal.remove(let_go)
        blocks = np.unique(np.concatenate([NO_IDS, *self._dirty, let_go]) // BLOCK)
        without = np.empty(0, np.intp) if without is None else without
        journal.put_state(blocks, self._content(store, blocks, without))
        gone = set(catalog.ids[without].tolist())
        rows = store.short.rows
        entries = np.zeros(len(rows), SHORT_ENTRY)
        entries["id"], entries["flags"] = catalog.ids[rows], catalog.flags[rows] & KEPT
        entries = entries[~np.isin(entries["id"], list(gone))]
        journal.put("short", np.int64(catalog.next_id).tobytes() + entries.tobytes())
        if catalog.renamings != self._renamings or gone.intersection(catalog.merged):
            pairs = [(one, name) for name, ids in catalog.merged.items() if name not in gone for one in ids]
            journal.put("merged", np.array(pairs, "<i8").tobytes())
            self._renaming = -1 if gone else catalog.renamings
        journal.head.latest = max(journal.head.latest, now)

    def _content(self, store: Store, blocks: Ids, without: Rows) -> NDArray[Any]:
        """Return the state of whole blocks ``(b, 64)``; an id that is not there is marked as gone."""
        ids = store.catalog.ids
        content = np.zeros((len(blocks), BLOCK), self.journal.dtype)
        places = blocks[:, None] * BLOCK + np.arange(BLOCK)
        content["flags"][places < store.catalog.next_id] = GONE
        first, last = np.searchsorted(ids, blocks * BLOCK), np.searchsorted(ids, blocks * BLOCK + BLOCK)
        rows = np.concatenate([np.empty(0, np.intp), *(np.arange(*both) for both in zip(first, last, strict=True))])
        rows = rows[store.catalog.flags[rows] & GONE == 0]
        rows = np.setdiff1d(rows, without, assume_unique=True)
        records = np.zeros(len(rows), self.journal.dtype)
        records["flags"] = store.catalog.flags[rows] & KEPT
        store.strengths.describe(rows, records)
        if store.links is not None:
            store.links.describe(rows, ids, records, without)
        content[np.searchsorted(blocks, ids[rows] // BLOCK), ids[rows] % BLOCK] = records
        return content

    def _alive(self, store: Store) -> NDArray[np.bool_]:
        alive = np.zeros(store.catalog.next_id, bool)
        alive[store.catalog.ids[store.catalog.alive()]] = True
        return alive

    def _fresh_chunks(self, store: Store, n: int) -> Any:
        """Yield the next ``n`` memories that the sidecar lacks, ``ROWS`` at a time."""
        index = store.index
        for ids, stored, crcs in self.journal.stamps(self._covered + 1, n):
            rows = store.catalog.present(ids)
            yield Chunk(ids, stored, crcs, index.keys[rows], index.values[rows] if index.has_values else None)

    # -- building again -------------------------------------------------------------------------------------------

    def rebuild(self, configuration: Configuration, now: float) -> Store:
        """Return the store that the journal holds.

        Raises
        ------
        Damaged
            A part is damaged, and it was opened to write. Opened to read, it warns, and gives what is intact.
        """
        if self.writes:
            with named(self.journal.path):
                self.journal.read_entries()
            return self._rebuild(configuration, now)
        if self.journal.connection.in_transaction:
            return self._rebuild(configuration, now)
        with self.journal.snapshot(), named(self.journal.path):  # what is committed meanwhile is for the next call
            self.journal.read_entries()
            return self._rebuild(configuration, now)

    def _rebuild(self, configuration: Configuration, now: float) -> Store:
        self._renaming = -1
        self._clear()
        with named(self.journal.path):
            for sidecar in (self.journal.sidecar, None):
                store = self._store(configuration, self)
                if self.load(store, now, sidecar):
                    break
                if sidecar is not None and self.writes:
                    sidecar.remove()
        if self.journal.lost:
            _warn(self.journal.lost, DamageWarning)
            self.journal.settle()
        if self.damage:
            if self.writes:
                raise Damaged(self._told())
            _warn(self._told(), DamageWarning)
        self._current = store
        return store

    def load(self, store: Store, now: float, sidecar: Sidecar | None) -> bool:
        """Fill an empty store from the journal, by way of the sidecar if one is given; False if that does not fit.

        What is damaged is named in ``damage``, and left out.
        """
        journal = self.journal
        self.damage = []
        self._epoch = journal.head.epoch
        blocks, content = journal.state(self.damage)
        alive = journal.alive(blocks, content)
        if journal.width is not None:
            store.reserve(journal.head.memories, journal.width.d, journal.width.d_value)
        digest = 0
        self._covered = -1
        if sidecar is not None:
            for chunk in sidecar.read():
                if chunk is None or chunk.ids[0] <= self._covered or chunk.ids[-1] >= len(alive):
                    return False
                self._covered = int(chunk.ids[-1])
                part = chunk.part(alive[chunk.ids])
                if len(part.ids):
                    store.adopt(part)
                    digest += int(part.crcs.sum(dtype=np.int64))
        for chunk in journal.rows(self.damage, self._covered + 1):
            store.adopt(chunk)
            digest += int(chunk.crcs.sum(dtype=np.int64))
        ids = store.catalog.ids
        if digest != journal.head.digest or len(ids) != journal.head.memories:
            if self._covered >= 0:
                return False
            missing = np.setdiff1d(np.flatnonzero(alive), ids).tolist()
            named_already = {told.partition(":")[0] for told in self.damage}
            self.damage += [f"memory {id}: its row is missing" for id in missing if f"memory {id}" not in named_already]
        if not np.isin(ids // BLOCK, blocks).all():
            self.damage.append("the state of some memories is missing")
        if (len(ids) != journal.head.memories or digest != journal.head.digest) and not self.damage:
            self.damage.append(f"{journal.head.memories} memories were counted, and {len(ids)} are there")
        if journal.gaps:
            self.damage.append(f"of the memories stored last, {journal.gaps} are missing")
        self._apply(store, blocks, content)
        store.catalog.next_id = journal.head.next_id
        self._apply_entries(store, now)
        return True

    def _told(self) -> str:
        """Return a message that names the damage."""
        more = "" if len(self.damage) <= NAMED else f" and {len(self.damage) - NAMED} more"
        return (
            f"{self.journal.path}: {'; '.join(self.damage[:NAMED])}{more}. Open it with mode='r' to read what is "
            "intact, or rescue that into a new file with mossy repair."
        )

    def refresh(self, store: Store, now: float) -> bool:
        """Follow what another process wrote; False if the store must be built anew."""
        with named(self.journal.path):
            return self._refresh(store, now)

    def _refresh(self, store: Store, now: float) -> bool:
        journal = self.journal
        version, next_id, width = journal.head.version, journal.head.next_id, journal.width
        journal.read_entries()
        if journal.head.epoch != self._epoch or journal.width != width or journal.head.version < version:
            return False
        self.damage = []
        blocks, content = journal.state(self.damage, version)
        for chunk in journal.rows(self.damage, next_id):
            store.adopt(chunk)
        self._apply(store, blocks, content)
        store.catalog.next_id = journal.head.next_id
        self._apply_entries(store, now)
        if self.damage:
            _warn(self._told(), DamageWarning)
        return True

    def _apply(self, store: Store, blocks: Ids, content: NDArray[Any]) -> None:
        """Give the memories in ``blocks`` the state that was written."""
        catalog = store.catalog
        if not len(catalog.ids):
            return
        records = content.ravel()
        ids = (blocks[:, None] * BLOCK + np.arange(BLOCK)).ravel()
        rows = np.minimum(np.searchsorted(catalog.ids, ids), len(catalog.ids) - 1)
        there = (catalog.ids[rows] == ids) & (catalog.flags[rows] & GONE == 0)
        gone = there & (records["flags"] & GONE > 0)
        known = there & ~gone
        rows_known, records_known = rows[known], records[known]
        catalog.mark(rows_known, (records_known["flags"] & (PINNED | USED)) | LONG)
        touched = records_known["modes"].any(axis=1)
        store.strengths.put(rows_known[touched], records_known[touched])
        if store.links is not None:
            store.links.put(rows_known, records_known, catalog.places)
        store.drop(rows[gone])

    def _apply_entries(self, store: Store, now: float) -> None:
        """Take over short-term memory and which memories have several ids."""
        catalog, short = store.catalog, self.journal.short
        pairs = np.frombuffer(self.journal.merged, "<i8").reshape(-1, 2)
        merged: dict[int, list[int]] = {}
        for one, name in pairs.tolist():
            merged.setdefault(name, []).append(one)
        catalog.rename({name: tuple(sorted(ids)) for name, ids in merged.items()})
        alive = catalog.alive()
        catalog.mark(alive, (catalog.flags[alive] & ~SHORT) | LONG)  # who is not in short-term memory
        next_id = int(np.frombuffer(short[:8], "<i8")[0]) if short else 0
        entries = np.frombuffer(short[8:], SHORT_ENTRY)
        rows, there = catalog.places(entries["id"])
        catalog.mark(rows[there], (entries["flags"][there] & KEPT) | SHORT)
        store.short.rows = rows[there]
        after = np.flatnonzero((catalog.ids >= next_id) & (catalog.flags & GONE == 0))
        if len(after):
            catalog.mark(after, catalog.flags[after] & ~LONG)
            out = store.short.enter(after, catalog, store.strengths, now)
            if self.writes:
                store.erase(out)

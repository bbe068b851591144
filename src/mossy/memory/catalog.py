"""Who is in which row: ids, what is known of each memory, its payload, and the ids of merged memories."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column, as_array
from mossy.errors import InvalidDtype, InvalidShape, UnknownMemory
from mossy.memory.payloads import Here, Payloads

__all__ = ["GONE", "LONG", "PINNED", "SHORT", "USED", "Catalog"]

LOOKED_AT = 4096  # rows at once, from the end on, for the last that is there
ENTRY = 100  # bytes of an id that was merged, in a dict and a tuple, about

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]

# What is known of a row, as bits of its flags.
LONG, USED, PINNED, SHORT, GONE = (np.uint8(1 << bit) for bit in range(5))
KINDS = 1 << 5  # what flags together can be


@final
class Catalog:
    """Ids rise with the rows, so that a row is found by bisection; a forgotten row keeps its place until compaction.

    It is counted how many rows have which flags together, so that asking how many have a flag looks at no row.
    """

    def __init__(self) -> None:
        self._ids = Column((), np.int64)
        self._flags = Column((), np.uint8)
        self._counts: list[int] | None = None  # rows that have these flags; None while that is not known
        self.payloads: Payloads = Here()
        self._merged: dict[int, tuple[int, ...]] = {}
        self._stands_for: dict[int, int] = {}
        self.next_id = 0
        self.renamings = 0  # how often memories got several ids

    @property
    def ids(self) -> Ids:
        """The id of each row ``(rows,)``: a view to read."""
        return self._ids.rows

    @property
    def flags(self) -> NDArray[np.uint8]:
        """The flags of each row ``(rows,)``: a view to read; ``mark`` changes them."""
        flags = self._flags.rows.view()
        flags.flags.writeable = False
        return flags

    def mark(self, rows: Rows, flags: NDArray[np.uint8] | np.uint8) -> None:
        """Give ``rows`` these flags."""
        counts, self._counts = self._counts, None  # an interruption leaves it to be counted again
        once = rows if len(rows) < 2 else np.unique(rows)
        if counts is not None:
            _count(counts, self._flags.rows[once], -1)
        self._flags.rows[rows] = flags
        if counts is not None:
            _count(counts, self._flags.rows[once], 1)
        self._counts = counts

    @property
    def nbytes(self) -> int:
        """Bytes held; a payload counts as a reference."""
        return self._ids.nbytes + self._flags.nbytes + self.payloads.nbytes + ENTRY * len(self._stands_for)

    @property
    def names_of_several(self) -> int:
        """How many ids name memories that have several."""
        return len(self._stands_for)

    def alive(self) -> Rows:
        """Return the rows that are not forgotten."""
        return np.flatnonzero(self.flags & GONE == 0)

    def having(self, flag: np.uint8) -> int:
        """Return how many memories have this flag."""
        if self._counts is None:
            self._counts = np.bincount(self._flags.rows, minlength=KINDS).tolist()
        asked, told = int(flag | GONE), int(flag)
        return sum(count for flags, count in enumerate(self._counts) if flags & asked == told)

    def last(self) -> Rows:
        """Return the last row that is not forgotten, none if all are."""
        flags, end = self._flags.rows, len(self._flags.rows)
        while end:
            part = np.flatnonzero(flags[max(0, end - LOOKED_AT) : end] & GONE == 0)
            if len(part):
                return part[-1:] + max(0, end - LOOKED_AT)
            end = max(0, end - LOOKED_AT)
        return np.empty(0, np.intp)

    def append(self, n: int, flag: np.uint8, payloads: list[Any] | None) -> Ids:
        """Add ``n`` rows with new ids, which are returned."""
        first = len(self.ids)
        ids = np.arange(self.next_id, self.next_id + n, dtype=np.int64)
        self._ids.append(ids)
        self._add(n, flag)
        self.next_id += n
        self.payloads.append(first, n, payloads)
        return ids

    def extend(self, ids: Ids, flags: NDArray[np.uint8]) -> None:
        """Add rows with these ids, which rise and are above all that were ever there; their payloads are elsewhere."""
        self._ids.append(ids)
        self._add(len(ids), flags)
        self.next_id = int(ids[-1]) + 1

    def _add(self, n: int, flags: NDArray[np.uint8] | np.uint8) -> None:
        """Add ``n`` rows with these flags."""
        counts, self._counts = self._counts, None
        if counts is not None:
            if isinstance(flags, np.ndarray):
                _count(counts, flags, 1)
            else:
                counts[flags] += n
        self._flags.fill(n, flags)
        self._counts = counts

    def rows_of(self, ids: int | Iterable[int]) -> Rows:
        """Return the row of each id, or raise ``UnknownMemory``; the id of a merged memory is each of its ids."""
        wanted = _as_ids(ids)
        rows, there = self.places(wanted)
        if not there.all():
            raise UnknownMemory(
                f"ids: no memory has the id {wanted[~there][0]}; memory.ids lists those that are there. "
                "Nothing was changed."
            )
        return rows

    def holds(self, id: int) -> bool:
        """Return whether a memory has this id."""
        return bool(len(self.present(np.array([id]))))

    def present(self, ids: Ids) -> Rows:
        """Return the rows of those ``ids`` that are there."""
        rows, there = self.places(ids)
        return rows[there]

    def places(self, ids: Ids) -> tuple[Rows, NDArray[np.bool_]]:
        """Return the row of each id, and whether it is there."""
        return self._find(ids) if len(self.ids) else (np.zeros(len(ids), np.intp), np.zeros(len(ids), bool))

    def _find(self, ids: Ids) -> tuple[Rows, NDArray[np.bool_]]:
        names = ids
        if self._stands_for:
            names = np.array([self._stands_for.get(one, one) for one in ids.tolist()])
        rows = np.minimum(np.searchsorted(self.ids, names), len(self.ids) - 1)
        return rows, (self.ids[rows] == names) & (self.flags[rows] & GONE == 0)

    def payload(self, row: int) -> Any:
        """Return the payload of a row, None if it has none."""
        return self.payload_of(np.array([row]))[0]

    def payload_of(self, rows: Rows) -> list[Any]:
        """Return the payload of each row, None where there is none."""
        return self.payloads.get(rows, self.ids[rows])

    def names(self, row: int) -> tuple[int, ...]:
        """Return all ids of the memory in a row, rising."""
        name = int(self.ids[row])
        return self._merged.get(name, (name,))

    def absorb(self, main: int, rows: Rows) -> None:
        """Let the memory in ``main`` take over the ids and flags of those in ``rows``, which then have none."""
        name = int(self.ids[main])
        every = sorted(one for row in (main, *rows.tolist()) for one in self.names(row))
        for row in rows.tolist():
            self._merged.pop(int(self.ids[row]), None)
        self._merged[name] = tuple(every)
        self._stands_for.update(dict.fromkeys(every, name))
        self.renamings += 1
        together = np.bitwise_or.reduce(self.flags[rows]) & (PINNED | LONG) | USED
        self.mark(np.array([main]), self.flags[main] | together)

    def erase(self, rows: Rows) -> None:
        """Mark ``rows`` as forgotten and drop what is known of them."""
        self.payloads.erase(rows)
        if self._merged:
            for name in self.ids[rows].tolist():
                for one in self._merged.pop(name, ()):
                    del self._stands_for[one]
                    self.renamings += 1
        self.mark(rows, GONE)

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory."""
        return [self._ids, self._flags]

    def truncate(self, n: int, next_id: int) -> None:
        """Keep the first ``n`` rows, as when ``next_id`` was the id of the next."""
        self._counts = None
        for column in self.columns():
            column.truncate(min(n, len(column.rows)))
        self.payloads.truncate(n)
        self.next_id = next_id

    @property
    def merged(self) -> dict[int, tuple[int, ...]]:
        """All ids of each memory that has several, by the id of its row."""
        return self._merged

    def several(self) -> Ids:
        """Return the ids of the rows whose memories have several."""
        return np.fromiter(self._merged, np.int64, len(self._merged))

    def rename(self, merged: dict[int, tuple[int, ...]]) -> None:
        """Take over which memories have several ids."""
        self._merged = merged
        self._stands_for = {one: name for name, ids in merged.items() for one in ids}

    def state(self) -> dict[str, Any]:
        """Return copies of the arrays; payloads are referred to."""
        return {
            "ids": self.ids.copy(),
            "flags": self.flags.copy(),
            "payload": self.payload_of(np.arange(len(self.ids))),
            "merged": dict(self._merged),
            "next_id": self.next_id,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state()`` returned; the catalog is empty before."""
        self._ids.append(state["ids"])
        self._add(len(state["flags"]), state["flags"])
        payload = list(state["payload"])
        self.payloads = Here(payload if any(one is not None for one in payload) else None)
        self.rename(dict(state["merged"]))
        self.next_id = state["next_id"]


def _count(counts: list[int], flags: NDArray[np.uint8], sign: int) -> None:
    """Add rows with these flags to the counts, or take them off."""
    if len(flags) == 1:
        counts[flags[0]] += sign
        return
    for kind, count in enumerate(np.bincount(flags, minlength=KINDS).tolist()):
        counts[kind] += sign * count


def _as_ids(ids: int | Iterable[int]) -> Ids:
    if not isinstance(ids, int | np.integer | np.ndarray) and not isinstance(ids, Iterable):
        raise InvalidDtype(f"ids: {ids!r} was given; an integer or several, as store() returned them, are allowed.")
    given = as_array(ids if isinstance(ids, int | np.integer | np.ndarray) else list(ids), "ids")
    if given.size == 0:
        raise InvalidShape("ids: none were given; give at least one id.")
    if given.dtype == object and all(isinstance(one, int) for one in given.flat):
        raise UnknownMemory(f"ids: no memory has the id {max(given.flat, key=abs)}. Nothing was changed.")
    if given.dtype.kind not in "iu":
        raise InvalidDtype(f"ids: dtype {given.dtype} was given; integers, as store() returned them, are allowed.")
    return np.asarray(np.minimum(given.reshape(-1), np.iinfo(np.int64).max), np.int64)

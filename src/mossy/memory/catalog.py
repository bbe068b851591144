"""Who is in which row: ids, what is known of each memory, its payload, and the ids of merged memories."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Set, Sized
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column, as_array
from mossy.errors import InvalidDtype, InvalidShape, UnknownMemory

__all__ = ["GONE", "LONG", "PINNED", "SHORT", "USED", "Catalog", "as_payloads", "same_payload"]

ENTRY = 100  # bytes of an id that was merged, in a dict and a tuple, about

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]

# What is known of a row, as bits of its flags.
LONG, USED, PINNED, SHORT, GONE = (np.uint8(1 << bit) for bit in range(5))


@final
class Catalog:
    """Ids rise with the rows, so that a row is found by bisection; a forgotten row keeps its place until ``keep``."""

    def __init__(self) -> None:
        self._ids = Column((), np.int64)
        self._flags = Column((), np.uint8)
        self._payload: list[Any] | None = None
        self._merged: dict[int, tuple[int, ...]] = {}
        self._stands_for: dict[int, int] = {}
        self.next_id = 0

    @property
    def ids(self) -> Ids:
        """The id of each row ``(rows,)``: a view to read."""
        return self._ids.rows

    @property
    def flags(self) -> NDArray[np.uint8]:
        """The flags of each row ``(rows,)``: a view to read and write."""
        return self._flags.rows

    @property
    def nbytes(self) -> int:
        """Bytes held; a payload counts as a reference."""
        payloads = 0 if self._payload is None else 8 * len(self._payload)
        return self._ids.nbytes + self._flags.nbytes + payloads + ENTRY * len(self._stands_for)

    def alive(self) -> Rows:
        """Return the rows that are not forgotten."""
        return np.flatnonzero(self.flags & GONE == 0)

    def having(self, flag: np.uint8) -> int:
        """Return how many memories have this flag."""
        return int((self.flags & (flag | GONE) == flag).sum())

    def append(self, n: int, flag: np.uint8, payloads: list[Any] | None) -> Ids:
        """Add ``n`` rows with new ids, which are returned."""
        first = len(self.ids)
        ids = np.arange(self.next_id, self.next_id + n, dtype=np.int64)
        self.next_id += n
        self._ids.append(ids)
        self._flags.append(np.full(n, flag))
        if payloads is not None and self._payload is None:
            self._payload = [None] * first
        if self._payload is not None:
            self._payload.extend([None] * n if payloads is None else payloads)
        return ids

    def rows_of(self, ids: int | Iterable[int]) -> Rows:
        """Return the row of each id, or raise ``UnknownMemory``; the id of a merged memory is each of its ids."""
        wanted = _as_ids(ids)
        rows, there = self._find(wanted) if len(self.ids) else (wanted, np.zeros(len(wanted), bool))
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
        if not len(self.ids):
            return np.empty(0, np.intp)
        rows, there = self._find(ids)
        return rows[there]

    def _find(self, ids: Ids) -> tuple[Rows, NDArray[np.bool_]]:
        names = ids
        if self._stands_for:
            names = np.array([self._stands_for.get(one, one) for one in ids.tolist()])
        rows = np.minimum(np.searchsorted(self.ids, names), len(self.ids) - 1)
        return rows, (self.ids[rows] == names) & (self.flags[rows] & GONE == 0)

    def payload(self, row: int) -> Any:
        """Return the payload of a row, None if it has none."""
        return None if self._payload is None else self._payload[row]

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
        self.flags[main] |= np.bitwise_or.reduce(self.flags[rows]) & (PINNED | LONG) | USED

    def erase(self, rows: Rows) -> None:
        """Mark ``rows`` as forgotten and drop what is known of them."""
        if self._payload is not None:
            for row in rows.tolist():
                self._payload[row] = None
        if self._merged:
            for name in self.ids[rows].tolist():
                for one in self._merged.pop(name, ()):
                    del self._stands_for[one]
        self.flags[rows] = GONE

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory."""
        return [self._ids, self._flags]

    def keep_payloads(self, rows: Rows) -> None:
        """Keep the payloads of ``rows``."""
        if self._payload is not None:
            self._payload = [self._payload[row] for row in rows.tolist()]

    def mark(self) -> tuple[int, bool]:
        """Return what ``truncate`` needs to come back to here."""
        return self.next_id, self._payload is not None

    def truncate(self, n: int, mark: tuple[int, bool]) -> None:
        """Keep the first ``n`` rows, as if no other had been appended since ``mark``."""
        for column in self.columns():
            column.truncate(min(n, len(column.rows)))
        self.next_id, payloads = mark
        self._payload = self._payload[:n] if payloads and self._payload is not None else None

    def state(self) -> dict[str, Any]:
        """Return copies of the arrays; payloads are referred to."""
        return {
            "ids": self.ids.copy(),
            "flags": self.flags.copy(),
            "payload": None if self._payload is None else list(self._payload),
            "merged": dict(self._merged),
            "next_id": self.next_id,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what ``state()`` returned; the catalog is empty before."""
        self._ids.append(state["ids"])
        self._flags.append(state["flags"])
        self._payload = None if state["payload"] is None else list(state["payload"])
        self._merged = dict(state["merged"])
        self._stands_for = {one: name for name, ids in self._merged.items() for one in ids}
        self.next_id = state["next_id"]


def as_payloads(payload: Any, n: int, single: bool) -> list[Any] | None:
    """Return one payload for each of ``n`` patterns, None if there are none, or raise ``InvalidShape``."""
    if payload is None:
        return None
    if single:
        return [payload]
    listed = isinstance(payload, Sized) and isinstance(payload, Iterable)
    if not listed or isinstance(payload, str | bytes | Mapping | Set) or getattr(payload, "ndim", 1) == 0:
        raise InvalidShape(
            f"payload: one {type(payload).__name__} was given for {n} patterns; give a list of {n}, one for each."
        )
    if len(payload) != n:
        raise InvalidShape(f"payload: {len(payload)} were given for {n} patterns; give one for each.")
    return list(payload)


def same_payload(one: Any, other: Any) -> bool:
    """Whether two payloads are surely equal: the same object, or of one type and equal (arrays entry by entry)."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return bool(np.array_equal(one, other))
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 whatever a payload raises when it is compared: what cannot be compared is not merged
        return False


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

"""Where payloads are: in this process by reference, or on disk by id."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set, Sized
from typing import Any, Protocol, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import InvalidShape
from mossy.journal import encode, same_on_disk

__all__ = ["Here", "OnDisk", "Payloads", "as_payloads", "same_payload"]

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]


class Payloads(Protocol):
    """The payloads of the memories, in rows that stay in step with the others."""

    def prepare(self, payloads: list[Any] | None) -> list[Any] | None:
        """Return payloads as they will be kept, or raise ``InvalidDtype``; the others take them so."""

    def same(self, one: Any, other: Any) -> bool:
        """Whether two prepared payloads are surely equal."""

    def matches(self, row: int, id: int, prepared: Any) -> bool:
        """Whether the payload in a row is surely equal to a prepared one."""

    def append(self, first: int, n: int, payloads: list[Any] | None) -> None:
        """Add those of ``n`` memories behind the first ``first`` rows."""

    def get(self, rows: Rows, ids: Ids) -> list[Any]:
        """Return the payload of each row, None where there is none."""

    def erase(self, rows: Rows) -> None:
        """Drop those of ``rows``."""

    def keep(self, rows: Rows) -> None:
        """Keep those of ``rows``, in this order."""

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows."""

    @property
    def nbytes(self) -> int:
        """Bytes held here."""


@final
class Here:
    """Payloads of a memory in this process: references, and nothing at all before the first."""

    def __init__(self, payloads: list[Any] | None = None) -> None:
        self._kept = payloads

    def prepare(self, payloads: list[Any] | None) -> list[Any] | None:
        """Return the same objects."""
        return payloads

    def same(self, one: Any, other: Any) -> bool:
        """Whether two payloads are surely equal."""
        return same_payload(one, other)

    def matches(self, row: int, id: int, prepared: Any) -> bool:
        """Whether the payload in a row is surely equal to this one."""
        return same_payload(None if self._kept is None else self._kept[row], prepared)

    def append(self, first: int, n: int, payloads: list[Any] | None) -> None:
        """Add those of ``n`` memories behind the first ``first`` rows."""
        if payloads is not None and self._kept is None:
            self._kept = [None] * first
        if self._kept is not None:
            self._kept.extend([None] * n if payloads is None else payloads)

    def get(self, rows: Rows, ids: Ids) -> list[Any]:
        """Return the payload of each row, None where there is none."""
        return [None] * len(rows) if self._kept is None else [self._kept[row] for row in rows.tolist()]

    def erase(self, rows: Rows) -> None:
        """Drop those of ``rows``."""
        if self._kept is not None:
            for row in rows.tolist():
                self._kept[row] = None

    def keep(self, rows: Rows) -> None:
        """Keep those of ``rows``, in this order."""
        if self._kept is not None:
            self._kept = [self._kept[row] for row in rows.tolist()]

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows."""
        if self._kept is not None:
            del self._kept[n:]

    @property
    def nbytes(self) -> int:
        """Bytes held; a payload counts as a reference."""
        return 0 if self._kept is None else 8 * len(self._kept)


@final
class OnDisk:
    """Payloads of a durable memory: the journal writes them with their memories, and they are read when asked for.

    Parameters
    ----------
    read
        From ids to payloads.
    """

    def __init__(self, read: Callable[[Ids], list[Any]]) -> None:
        self._read = read

    def prepare(self, payloads: list[Any] | None) -> list[Any] | None:
        """Return payloads as bytes, or raise ``InvalidDtype``."""
        return None if payloads is None else [encode(one) for one in payloads]

    def same(self, one: Any, other: Any) -> bool:
        """Whether two prepared payloads are surely equal."""
        return same_on_disk(one, other)

    def matches(self, row: int, id: int, prepared: Any) -> bool:
        """Whether the payload of an id is surely equal to a prepared one."""
        return same_on_disk(encode(self._read(np.array([id]))[0]), prepared)

    def append(self, first: int, n: int, payloads: list[Any] | None) -> None:
        """Nothing: the journal has them."""

    def get(self, rows: Rows, ids: Ids) -> list[Any]:
        """Return the payload of each row, None where there is none."""
        return self._read(ids)

    def erase(self, rows: Rows) -> None:
        """Nothing: the journal does."""

    def keep(self, rows: Rows) -> None:
        """Nothing: on disk a payload is known by its id."""

    def truncate(self, n: int) -> None:
        """Nothing: what failed was not written."""

    @property
    def nbytes(self) -> int:
        """No bytes here."""
        return 0


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
    """Whether two payloads are surely equal: the same object, or of one type and equal, part by part."""
    if one is other:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, np.ndarray):
        return one.dtype == other.dtype and bool(np.array_equal(one, other))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same_payload, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same_payload(one[name], other[name]) for name in one)
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 whatever a payload raises when it is compared: what cannot be compared is not merged
        return False

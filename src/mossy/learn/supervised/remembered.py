"""Examples remembered one by one: an index neuron each, with what is to be recalled and an id."""

from __future__ import annotations

from collections import defaultdict
from math import prod
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mossy.arrays import Column
from mossy.errors import UnknownMemory
from mossy.substrate import Index

__all__ = ["Remembered"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]

CUES = 1024  # cues at once


@final
class Remembered:
    """Keys in an ``Index``, and for each what it recalls (a class or numbers) and its id.

    Parameters
    ----------
    shape, dtype
        Of what one key recalls.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.index = Index("euclidean", "softmax")
        self._targets = Column(shape, dtype)
        self._ids = Column((), np.int64)
        self.tuned: Any = None  # what was found out about these examples, until there are others

    def __len__(self) -> int:
        return len(self.index)

    @property
    def keys(self) -> NDArray[np.float32]:
        """The keys ``(n, d)``."""
        return self.index.keys

    @property
    def targets(self) -> NDArray[Any]:
        """What each recalls ``(n, ...)``."""
        return self._targets.rows

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids ``(n,)``, rising."""
        return self._ids.rows

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.index.nbytes + self._targets.nbytes + self._ids.nbytes

    def room(self, budget: int) -> int:
        """Return for how many there is room in so many bytes."""
        columns = [*self.index.columns(), self._targets, self._ids]
        row = sum(column.rows.itemsize * prod(column.rows.shape[1:]) for column in columns)
        return max(budget - (self.nbytes - sum(column.nbytes for column in columns)), 0) // row

    def write(self, keys: NDArray[Any], targets: NDArray[Any], ids: NDArray[np.int64]) -> None:
        """Remember keys ``(n, d)`` with what they recall and their ids, which rise."""
        before = len(self)
        try:
            self.index.write(keys)
            self._targets.append(targets)
            self._ids.append(ids)
        except BaseException:
            self.truncate(before)
            raise
        self.tuned = None

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows, as if no other had been written, even if not all of another was."""
        if self.index.rows > n or len(self.index.dead) > n:
            self.index.truncate(n)
        for column in (self._targets, self._ids):
            if len(column.rows) > n:
                column.truncate(n)
        self.tuned = None

    def retarget(self, targets: NDArray[Any]) -> None:
        """Let each key recall this instead ``(n, ...)``."""
        self._targets.put(targets)
        self.tuned = None

    # --- forget ----------------------------------------------------------------------------------

    def of_ids(self, given: ArrayLike) -> Rows:
        """Return the rows of these ids, or raise ``UnknownMemory``."""
        wanted = np.unique(np.atleast_1d(np.asarray(given)))
        if wanted.dtype.kind not in "iu" or not len(wanted):
            raise ValueError("ids must be one or more integers, as last_ids_ holds them.")
        rows = np.minimum(np.searchsorted(self.ids, wanted), max(len(self.ids) - 1, 0))
        known = self.ids[rows] == wanted if len(self.ids) else np.zeros(len(wanted), np.bool_)
        if not known.all():
            raise UnknownMemory(f"forget: no example has the id {wanted[~known][0]}; nothing was forgotten.")
        return rows

    def of_pairs(self, keys: NDArray[np.float32], targets: NDArray[Any] | None) -> Rows:
        """Return for each key (with what it recalls, if given) the oldest row that has it, no row twice."""
        places: dict[bytes, list[int]] = defaultdict(list)
        for row in range(len(self.keys) - 1, -1, -1):
            places[_name(self.keys[row], None if targets is None else self.targets[row])].append(row)
        found = []
        for item, key in enumerate(keys):
            same = places.get(_name(key, None if targets is None else targets[item]))
            if not same:
                raise UnknownMemory(f"forget: no example (any more) equals item {item}; nothing was forgotten.")
            found.append(same.pop())
        return np.array(found, np.intp)

    def remove(self, rows: Rows) -> None:
        """Forget these rows; no byte of them is left."""
        kept = np.setdiff1d(np.arange(len(self.ids)), rows)
        targets, ids = self._targets.rows[kept], self._ids.rows[kept]  # what may fail comes first
        self.index.erase(np.asarray(rows, np.intp))
        self.index.compact()
        self._targets.put(targets)
        self._ids.put(ids)
        self.tuned = None

    # --- recall ----------------------------------------------------------------------------------

    def nearest(self, cues: NDArray[Any], k: int, own: Rows | None = None) -> tuple[Rows, Floats]:
        """Return for each cue ``(c, d)`` its ``k`` nearest rows ``(c, m)``, and half their squared distances.

        Rows as near as the ``k``-th are all there; where fewer are, the distance is infinite. ``own (c,)`` names for
        each cue a row that is left out.
        """
        parts = []
        for first in range(0, len(cues), CUES):
            part = slice(first, first + CUES)
            parts.append(self._nearest(cues[part], k, None if own is None else own[part]))
        width = max(rows.shape[1] for rows, _ in parts)
        rows = np.concatenate([np.pad(r, ((0, 0), (0, width - r.shape[1]))) for r, _ in parts])
        pad = [np.pad(g, ((0, 0), (0, width - g.shape[1])), constant_values=np.inf) for _, g in parts]
        return rows, np.concatenate(pad)

    def _nearest(self, cues: NDArray[Any], k: int, own: Rows | None) -> tuple[Rows, Floats]:
        prepared = self.index.prepare(cues, None)
        k = min(k, len(self) if own is None else len(self) - 1)
        which, rows = self.index.scan(prepared, 0.0, 0.0, k if own is None else k + 1)
        gaps = -self.index.exact(prepared, which, rows) * prepared.scale[0]
        if own is not None:
            other = rows != own[which]
            which, rows, gaps = which[other], rows[other], gaps[other]
        order = np.lexsort((gaps, which))
        which, rows, gaps = which[order], rows[order], gaps[order]
        starts = np.searchsorted(which, np.arange(len(cues)))
        near = gaps <= gaps[starts + k - 1][which]
        place = (np.arange(len(which)) - starts[which])[near]
        which, rows, gaps = which[near], rows[near], gaps[near]
        shape = (len(cues), int(place.max()) + 1)
        found, away = np.zeros(shape, np.intp), np.full(shape, np.inf)
        found[which, place], away[which, place] = rows, gaps
        return found, away

    def activity(self, gaps: Floats, sharpness: float) -> Floats:
        """Return how active each of the nearest is: the separation of ``-sharpness · gaps``."""
        return self.index.separation.activity(-sharpness * gaps, gaps.shape[1])


def _name(key: NDArray[Any], target: Any) -> bytes:
    return (key + 0.0).tobytes() + (b"" if target is None else np.asarray(target).tobytes())  # -0.0 is 0.0

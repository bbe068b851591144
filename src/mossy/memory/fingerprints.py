"""Which memories have the same pattern, found by a hash of it."""

from __future__ import annotations

from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fingerprints"]

Rows = NDArray[np.intp]
Patterns = NDArray[np.float32]
Hashes = NDArray[np.uint32]

AT_ONCE = 1024  # patterns hashed at once
RECENT = 4096  # rows that may be looked for in a dict before they are sorted in
SHARE = 8  # the part of all, as a fraction of 1, that may be sorted in a run of its own
ENTRY = 150  # bytes of a row in the dict, about


@final
class _Run(NamedTuple):
    """Rows, sorted by hash, and those of one hash by row; 8 bytes each."""

    hashes: Hashes
    rows: NDArray[np.int32]

    def with_others(self, other: _Run) -> _Run:
        """Return the run of both; the rows of the other come after all of these."""
        at = self.hashes.searchsorted(other.hashes, "right")
        return _Run(np.insert(self.hashes, at, other.hashes), np.insert(self.rows, at, other.rows))

    def of(self, which: NDArray[np.bool_], rows: Rows) -> _Run:
        """Return the run of those of it that ``which`` names, in these ``rows``."""
        return _Run(self.hashes[which], rows[which].astype(np.int32, copy=False))

    def find_one(self, hashes: Hashes) -> list[int]:
        """Return the rows of one hash."""
        place, found = int(self.hashes.searchsorted(hashes[0])), []
        while place < len(self.hashes) and self.hashes[place] == hashes[0]:
            found.append(int(self.rows[place]))
            place += 1
        return found


NOTHING = _Run(np.empty(0, np.uint32), np.empty(0, np.int32))


@final
class Fingerprints:
    r"""A hash of 32 bits for each row, sorted, so that equal patterns are found in logarithmic time.

    .. math::  h(x) = \Big\lfloor 2^{-32} \sum_i c_i\,\text{bits}(x_i) \bmod 2^{64} \Big\rfloor, \qquad c_i \text{ odd}

    Rows that came last are in a dict; when they are more than 4,096, they are sorted into a run of its own, and when
    that is an eighth of all, it is merged into the run of all others. It is made when it is first asked for. A row
    costs 8 bytes, and one of the last 4,096 about 150.

    References
    ----------
    Lemire & Kaser (2014), Strongly universal string hashing is fast, doi:10.1093/comjnl/bxt070 (multilinear).
    """

    def __init__(self) -> None:
        self._multipliers = np.empty(0, np.uint64)
        self._begin()

    def _begin(self) -> None:
        # The rows of the first are before those of the second, and these before the dict.
        self._runs = [NOTHING, NOTHING]
        self._recent: dict[int, list[int]] = {}
        self._seen = 0

    def find(self, patterns: Patterns, keys: Patterns) -> list[list[int]]:
        """Return for each pattern the rows of ``keys`` that may be equal to it, rising; these are all there are."""
        self._see(keys)
        hashes = self._hash(patterns)
        if len(hashes) == 1:
            recent = self._recent.get(int(hashes[0]), [])
            return [self._runs[0].find_one(hashes) + self._runs[1].find_one(hashes) + recent]
        found: list[list[int]] = [[]] * len(patterns)
        for run in self._runs:
            first, last = run.hashes.searchsorted(hashes, "left"), run.hashes.searchsorted(hashes, "right")
            for i in np.flatnonzero(last > first).tolist():
                found[i] = found[i] + run.rows[first[i] : last[i]].tolist()
        if self._recent:
            for i, h in enumerate(hashes.tolist()):
                some = self._recent.get(h)
                if some is not None:
                    found[i] = found[i] + some
        return found

    def groups(self, patterns: Patterns) -> list[list[int]]:
        """Return groups of those of ``patterns`` that may be equal to each other."""
        hashes = self._hash(patterns)
        order = np.argsort(hashes, kind="stable")
        groups: dict[int, list[int]] = {}
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        for i in np.union1d(same, same + 1).tolist():
            groups.setdefault(int(hashes[order[i]]), []).append(int(order[i]))
        return list(groups.values())

    def moved(self, place: Rows) -> None:
        """Take note that row ``i`` is row ``place[i]`` from now on, -1 for none; their order stays."""
        place = place[: self._seen]
        for i, run in enumerate(self._runs):
            rows = place[run.rows]
            self._runs[i] = run.of(rows >= 0, rows)
        recent: dict[int, list[int]] = {}
        for h, some in self._recent.items():
            left = [row for row in place[some].tolist() if row >= 0]
            if left:
                recent[h] = left
        self._recent, self._seen = recent, int((place >= 0).sum())

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows."""
        if n < self._seen:
            place = np.arange(self._seen)
            place[n:] = -1
            self.moved(place)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(run.hashes.nbytes + run.rows.nbytes for run in self._runs) + ENTRY * len(self._recent)

    def _see(self, keys: Patterns) -> None:
        """Take in the rows that came since the last time."""
        if self._seen == len(keys):
            return
        try:
            self._catch_up(keys)
        except BaseException:  # an interruption: what is asked next is hashed anew
            self._begin()
            raise

    def _catch_up(self, keys: Patterns) -> None:
        first = self._seen
        hashes = self._hash(keys[first:])
        last = first - len(self._runs[0].rows) - len(self._runs[1].rows)
        if last + len(hashes) > RECENT:
            self._settle(first, hashes)
        else:
            for row, h in enumerate(hashes.tolist(), first):
                self._recent.setdefault(h, []).append(row)
        self._seen = len(keys)

    def _settle(self, first: int, hashes: Hashes) -> None:
        """Sort the dict and the rows from ``first`` on in."""
        recent = [(h, row) for h, rows in self._recent.items() for row in rows]
        every = np.concatenate([np.array([h for h, _ in recent], np.uint32), hashes])
        rows = np.concatenate([np.array([row for _, row in recent]), np.arange(first, first + len(hashes))])
        order = np.lexsort((rows, every))
        main, second = self._runs
        second = second.with_others(_Run(every[order], rows[order].astype(np.int32)))
        if len(second.rows) > max(RECENT, len(main.rows) // SHARE):
            main, second = main.with_others(second), NOTHING
        self._runs, self._recent = [main, second], {}

    def _hash(self, patterns: Patterns) -> Hashes:
        d = patterns.shape[1]
        if len(self._multipliers) != d:
            self._multipliers = np.random.default_rng(d).integers(0, 2**63, d, np.uint64) * np.uint64(2) + np.uint64(1)
        hashes = np.empty(len(patterns), np.uint32)
        for first in range(0, len(patterns), AT_ONCE):
            bits = (patterns[first : first + AT_ONCE] + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 one
            hashes[first : first + AT_ONCE] = (bits @ self._multipliers) >> np.uint64(32)
        return hashes

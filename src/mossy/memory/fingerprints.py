"""Which memories have the same pattern, found by a hash of it."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column

__all__ = ["Fingerprints"]

Rows = NDArray[np.intp]
Patterns = NDArray[np.float32]

AT_ONCE = 1024  # patterns hashed at once
RECENT = 4096  # rows that may be looked for in a dict before they are sorted in


@final
class Fingerprints:
    r"""A hash of 32 bits for each row, sorted, so that equal patterns are found in logarithmic time.

    .. math::  h(x) = \Big\lfloor 2^{-32} \sum_i c_i\,\text{bits}(x_i) \bmod 2^{64} \Big\rfloor, \qquad c_i \text{ odd}

    Rows that came last are in a dict; when they are an eighth of all, everything is sorted again. It is made when it is
    first asked for, and costs 8 bytes a row.

    References
    ----------
    Lemire & Kaser (2014), Strongly universal string hashing is fast, doi:10.1093/comjnl/bxt070 (multilinear).
    """

    def __init__(self) -> None:
        self._hashes = Column((), np.uint32)
        self._sorted = np.empty(0, np.uint32)
        self._order = np.empty(0, np.int32)
        self._recent: dict[int, list[int]] = {}
        self._multipliers = np.empty(0, np.uint64)

    def find(self, patterns: Patterns, keys: Patterns) -> list[list[int]]:
        """Return for each pattern the rows of ``keys`` that may be equal to it; these are all rows there are."""
        self._see(keys)
        hashes = self._hash(patterns)
        if len(hashes) == 1:
            return [self._find_one(hashes)]
        first = np.searchsorted(self._sorted, hashes, "left")
        last = np.searchsorted(self._sorted, hashes, "right")
        found: list[list[int]] = [[]] * len(patterns)
        for i in np.flatnonzero(last > first).tolist():
            found[i] = self._order[first[i] : last[i]].tolist()
        if self._recent:
            for i, h in enumerate(hashes.tolist()):
                recent = self._recent.get(h)
                if recent is not None:
                    found[i] = found[i] + recent
        return found

    def _find_one(self, hashes: NDArray[np.uint32]) -> list[int]:
        place, found = int(self._sorted.searchsorted(hashes[0])), []
        while place < len(self._sorted) and self._sorted[place] == hashes[0]:
            found.append(int(self._order[place]))
            place += 1
        return found + self._recent.get(int(hashes[0]), [])

    def groups(self, patterns: Patterns) -> list[list[int]]:
        """Return groups of those of ``patterns`` that may be equal to each other."""
        hashes = self._hash(patterns)
        order = np.argsort(hashes, kind="stable")
        groups: dict[int, list[int]] = {}
        same = np.flatnonzero(hashes[order[1:]] == hashes[order[:-1]])
        for i in np.union1d(same, same + 1).tolist():
            groups.setdefault(int(hashes[order[i]]), []).append(int(order[i]))
        return list(groups.values())

    def forget(self) -> None:
        """Drop everything, since the rows have moved; what is asked next is hashed again."""
        self._hashes.truncate(0)
        self._settle()

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows."""
        if n < len(self._hashes.rows):
            self._hashes.truncate(n)
            self._settle()

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._hashes.nbytes + self._sorted.nbytes + self._order.nbytes + 150 * len(self._recent)

    def _see(self, keys: Patterns) -> None:
        """Take in the rows that came since the last time."""
        first = len(self._hashes.rows)
        if first == len(keys):
            return
        hashes = self._hash(keys[first:])
        self._hashes.append(hashes)
        if len(keys) - len(self._sorted) > max(RECENT, len(self._sorted) // 8):
            self._settle()
            return
        for row, h in enumerate(hashes.tolist(), first):
            self._recent.setdefault(h, []).append(row)

    def _settle(self) -> None:
        self._order = np.argsort(self._hashes.rows, kind="stable").astype(np.int32)
        self._sorted = self._hashes.rows[self._order]
        self._recent = {}

    def _hash(self, patterns: Patterns) -> NDArray[np.uint32]:
        d = patterns.shape[1]
        if len(self._multipliers) != d:
            self._multipliers = np.random.default_rng(d).integers(0, 2**63, d, np.uint64) * np.uint64(2) + np.uint64(1)
        hashes = np.empty(len(patterns), np.uint32)
        for first in range(0, len(patterns), AT_ONCE):
            bits = (patterns[first : first + AT_ONCE] + np.float32(0)).view(np.uint32)  # + 0 makes -0 and 0 one
            hashes[first : first + AT_ONCE] = (bits @ self._multipliers) >> np.uint64(32)
        return hashes

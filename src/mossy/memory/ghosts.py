"""What is left of memories that the capacity let go: a keyed hash of each pattern, and how often it was needed."""

from __future__ import annotations

import secrets
from collections import OrderedDict
from hashlib import blake2b
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column

__all__ = ["GHOST", "Ghosts"]

Ids = NDArray[np.int64]
Slots = NDArray[np.intp]
Patterns = NDArray[np.float32]

GHOST = 270  # bytes of one besides its modes: its place in a dict, which was measured, and in the arrays
FIRST = 16  # ghosts for which there is room at first
NONE = -1


@final
class Ghosts:
    r"""Ghosts by the keyed hash of their patterns, the oldest first.

    .. math::  h(x) = \text{BLAKE2b}_{\text{key}}(\text{bits}(x + 0)), \qquad 8 \text{ bytes}

    The key is drawn for each memory and stays in this process, so a hash tells nobody which pattern it is of. A ghost
    has the id that its memory had, by which it is forgotten, and the modes of its strength. There is one of a pattern.

    Parameters
    ----------
    modes
        How many modes a strength has.
    """

    def __init__(self, modes: int) -> None:
        self._key = secrets.token_bytes(16)
        self._slots: OrderedDict[int, int] = OrderedDict()
        self._free: list[int] = []
        self._ids = Column((), np.int64)
        self._when = Column((), np.float64)
        self._modes = Column((modes,), np.float32)
        self._credited = Column((), np.bool_)

    def __len__(self) -> int:
        return len(self._slots)

    def hashes(self, patterns: Patterns) -> list[int]:
        """Return the hash of each pattern ``(n, d)``; -0 and 0 are the same."""
        rows: Patterns = np.ascontiguousarray(patterns, np.float32) + np.float32(0)
        return [int.from_bytes(blake2b(row, key=self._key, digest_size=8).digest(), "little") for row in rows]

    def find(self, hashes: list[int]) -> tuple[Slots, Slots]:
        """Return which of ``hashes`` are of ghosts, each ghost once, and the slots of these."""
        seen: dict[int, int] = {}
        for i, one in enumerate(hashes):
            slot = self._slots.get(one, NONE)
            if slot != NONE:
                seen.setdefault(slot, i)
        return np.fromiter(seen.values(), np.intp, len(seen)), np.fromiter(seen, np.intp, len(seen))

    def add(self, hashes: list[int], ids: Ids, modes: NDArray[Any], when: NDArray[np.float64], most: int) -> None:
        """Add ghosts, and let the oldest go where there are more than ``most``, and a pattern's older ghost."""
        for i in range(max(len(hashes) - most, 0), len(hashes)):
            self._drop(hashes[i])
            while len(self._slots) >= most:
                self._drop(next(iter(self._slots)))
            slot = self._free.pop() if self._free else self._grow(most)
            self._ids.rows[slot], self._when.rows[slot], self._modes.rows[slot] = ids[i], when[i], modes[i]
            self._slots[hashes[i]] = slot

    def of(self, slots: Slots) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return copies of the modes ``(g, m)`` of ghosts, and when these were current ``(g,)``."""
        return self._modes.rows[slots], self._when.rows[slots]

    def every(self) -> Slots:
        """Return the slots of all ghosts."""
        return np.fromiter(self._slots.values(), np.intp, len(self._slots))

    def credit(self, slots: Slots) -> Slots:
        """Take note that ghosts were asked for, and return those for which that is news."""
        fresh: Slots = slots[~self._credited.rows[slots]]
        self._credited.rows[slots] = True
        return fresh

    def lay(self, hashes: list[int]) -> None:
        """Let the ghosts with these hashes go."""
        for one in hashes:
            self._drop(one)

    @property
    def ids(self) -> set[int]:
        """The ids that memories had which left ghosts."""
        return set(self._ids.rows[self.every()].tolist())

    def forget(self, ids: set[int]) -> None:
        """Let the ghosts with these ids go; no byte of them is left."""
        self.lay([one for one, slot in self._slots.items() if int(self._ids.rows[slot]) in ids])

    @property
    def nbytes(self) -> int:
        """Bytes held, about."""
        arrays = sum(column.nbytes for column in self._columns())
        places = GHOST - 17  # the arrays count by themselves
        return arrays + places * len(self._slots) + 8 * len(self._free)

    def _columns(self) -> list[Column]:
        return [self._ids, self._when, self._modes, self._credited]

    def _drop(self, hash: int) -> None:
        slot = self._slots.pop(hash, NONE)
        if slot != NONE:
            for column in self._columns():
                column.rows[slot] = 0
            self._free.append(slot)

    def _grow(self, most: int) -> int:
        """Return a new slot; the arrays grow to ``most`` at the most."""
        slot = len(self._ids.rows)
        for column in self._columns():
            if slot == column.room:
                column.reserve(min(max(slot + 1, slot + slot // 8, FIRST), max(most, slot + 1)))
            column.fill(1, 0)
        return slot

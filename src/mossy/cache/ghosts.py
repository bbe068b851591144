"""Which slots are ghosts: found by the keyed hash of a key, and let go in the order in which they came."""

from __future__ import annotations

from array import array
from typing import Final, final

__all__ = ["NONE", "Ghosts"]

NONE: Final = -1


@final
class Ghosts:
    """A hash table of slots (open addressing, linear probing, half full at most), and a list through them.

    It is written out because a dict would hold each ghost in about ten times the bytes.
    """

    def __init__(self) -> None:
        self._marks = array("Q")  # by slot, as are the two that follow
        self._older, self._newer = array("i"), array("i")
        self._table = array("i", [NONE] * 16)
        self._oldest = self._newest = NONE
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def find(self, mark: int) -> int:
        """Return the slot of the ghost with this hash, or ``NONE``."""
        return self._table[self._seek(mark)]

    def add(self, slot: int, mark: int) -> None:
        """Add the ghost in ``slot`` as the newest; no other may have its hash."""
        if 2 * (self._count + 1) > len(self._table):
            self._rebuild(2 * len(self._table))
        missing = slot + 1 - len(self._marks)
        if missing > 0:
            self._marks.extend([0] * missing)
            self._older.extend([NONE] * missing)
            self._newer.extend([NONE] * missing)
        self._marks[slot] = mark
        self._table[self._seek(mark)] = slot
        self._older[slot], self._newer[slot] = self._newest, NONE
        if self._newest == NONE:
            self._oldest = slot
        else:
            self._newer[self._newest] = slot
        self._newest = slot
        self._count += 1

    def remove(self, slot: int) -> None:
        """Remove the ghost in ``slot``; nothing of its hash is left."""
        self._close(self._seek(self._marks[slot]))
        older, newer = self._older[slot], self._newer[slot]
        if older == NONE:
            self._oldest = newer
        else:
            self._newer[older] = newer
        if newer == NONE:
            self._newest = older
        else:
            self._older[newer] = older
        self._marks[slot], self._older[slot], self._newer[slot] = 0, NONE, NONE
        self._count -= 1

    def pop_oldest(self) -> int:
        """Remove the oldest ghost and return its slot."""
        slot = self._oldest
        self.remove(slot)
        return slot

    def _seek(self, mark: int) -> int:
        """Return the place of a hash in the table, or the empty one where it would be."""
        mask = len(self._table) - 1
        place = mark & mask
        while (slot := self._table[place]) != NONE and self._marks[slot] != mark:
            place = (place + 1) & mask
        return place

    def _close(self, hole: int) -> None:
        """Empty a place, and move up those behind it that could not have their own."""
        mask = len(self._table) - 1
        place = hole
        while (slot := self._table[place := (place + 1) & mask]) != NONE:
            home = self._marks[slot] & mask
            if (place - home) & mask >= (place - hole) & mask:
                self._table[hole] = slot
                hole = place
        self._table[hole] = NONE

    def _rebuild(self, size: int) -> None:
        slots = [slot for slot in self._table if slot != NONE]
        self._table = array("i", [NONE] * size)
        for slot in slots:
            self._table[self._seek(self._marks[slot])] = slot

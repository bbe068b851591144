"""The rows behind a cache's items and ghosts, how needed each is, and which is needed least."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.cache.ghosts import NONE
from mossy.strength.need import GROUP_OF, Need

__all__ = ["Table"]

POOL = 1024  # up to here the weakest is found among all
WARM = 4096  # uses that NumPy takes note of, so that a small cache never waits for a compiler
LOG = 256  # uses that wait to be taken note of together


@final
class Table:
    """Slots with a row of modes each. A slot is free, held, or a ghost.

    Uses are logged, and taken note of together, in their order: nothing is read in between. The weakest is sought in
    a pool. Up to 1,024 held slots it is all of them. Beyond, it is the 1,024 weakest when it was filled and all that
    came since; it is filled again after 512 were taken. What is in it is compared exactly.

    Parameters
    ----------
    need
        What is learnt; this table is the only one that it has rows in.
    """

    def __init__(self, need: Need) -> None:
        self.need = need
        self.steps = 0  # uses taken note of; the time of the law
        self.rows = np.zeros((0, need.law.modes), np.float32)
        self.uses = np.zeros(0, np.uint8)
        self.sizes = np.zeros(0, np.int64)
        self.held = np.zeros(0, np.bool_)
        self._place = np.zeros(0, np.int32)  # in the pool
        self._pool = np.zeros(0, np.int32)
        self._pooled = 0
        self._count = 0  # held slots
        self._taken = 0  # since the pool was filled
        self._free: list[int] = []
        self._log: list[int] = []

    def take(self) -> int:
        """Return a free slot, whose row is zero."""
        if not self._free:
            self._grow()
        return self._free.pop()

    def free(self, slot: int) -> None:
        """Make a slot free, and leave nothing in it; its share of all uses goes with it."""
        self.settle()
        self.need.forget(self.rows[slot], int(self.uses[slot]))
        self.discard(slot)

    def discard(self, slot: int) -> None:
        """Make a slot free, and leave nothing in it; that it was used stays in the count of all uses."""
        self.settle()
        self.let_go(slot)
        self.rows[slot] = 0
        self.uses[slot] = 0
        self._free.append(slot)

    def hold(self, slot: int, size: int) -> None:
        """Make a slot held, at this size."""
        self.sizes[slot] = size
        if not self.held[slot]:
            self.held[slot] = True
            self._count += 1
            self._enter_pool(slot)

    def let_go(self, slot: int) -> None:
        """Make a held slot a ghost."""
        if self.held[slot]:
            self.held[slot] = False
            self._count -= 1
            self._leave_pool(slot)
        self.sizes[slot] = 0

    def use(self, slot: int) -> None:
        """Log that a slot is used."""
        self._log.append(slot)
        if len(self._log) >= LOG:
            self.settle()

    def settle(self) -> None:
        """Take note of the uses that were logged."""
        if not self._log:
            return
        slots, self._log = self._log, []
        need, start = self.need, self.steps
        if need.is_due(start + len(slots)):
            fall = need.rebase(start, start + len(slots)).astype(np.float32)
            for mode in np.flatnonzero(fall != 1):
                self.rows[:, mode] *= fall[mode]
        if start < WARM:
            for step, slot in enumerate(slots, start):
                self.uses[slot] = need.use(self.rows[slot], int(self.uses[slot]), need.gain(step))
        else:
            since = start - need.landmarks
            state = self.rows, self.uses, need.shares, need.totals
            _kernels()[0](np.array(slots, np.int32), since, need.law.rates, need.rate, *state, GROUP_OF)
        self.steps = start + len(slots)

    def weakest(self, skip: int) -> int:
        """Return the held slot that is needed least a byte, other than ``skip``; ``NONE`` where there is none."""
        self.settle()
        if self._pooled > 2 * POOL or (self._taken >= POOL // 2 and self._pooled < self._count):
            self._fill_pool()
        self._taken += 1
        pool = self._pool[: self._pooled]
        place = self._place_by_numpy(pool, skip) if self.steps < WARM else self._place_by_kernel(pool, skip)
        return int(pool[place]) if place >= 0 else NONE

    def _place_by_numpy(self, pool: NDArray[np.int32], skip: int) -> int:
        values = self._values(pool)
        values[pool == skip] = np.inf
        return int(values.argmin()) if len(pool) > (skip >= 0 and self.held[skip]) else NONE

    def _place_by_kernel(self, pool: NDArray[np.int32], skip: int) -> int:
        need = self.need
        since, state = self.steps - need.landmarks, (need.shares, need.totals)
        place: int = _kernels()[1](
            pool, skip, since, need.law.rates, self.rows, self.uses, self.sizes, *state, GROUP_OF
        )
        return place

    @property
    def nbytes(self) -> int:
        """Bytes held, spare room included."""
        arrays = (self.rows, self.uses, self.sizes, self.held, self._place, self._pool)
        return sum(array.nbytes for array in arrays)

    def _values(self, slots: NDArray[Any]) -> NDArray[np.float64]:
        gain = self.need.gain(self.steps)
        values: NDArray[np.float64] = self.need.chance(self.rows[slots], self.uses[slots], gain) / self.sizes[slots]
        return values

    def _fill_pool(self) -> None:
        slots = np.flatnonzero(self.held)
        self._place[slots] = NONE
        if len(slots) > POOL:
            slots = np.sort(slots[np.argpartition(self._values(slots), POOL)[:POOL]])
        self._pooled = len(slots)
        self._pool[: self._pooled] = slots
        self._place[slots] = np.arange(self._pooled)
        self._taken = 0

    def _enter_pool(self, slot: int) -> None:
        self._place[slot] = self._pooled
        self._pool[self._pooled] = slot
        self._pooled += 1

    def _leave_pool(self, slot: int) -> None:
        place = int(self._place[slot])
        if place == NONE:
            return
        self._pooled -= 1
        last = int(self._pool[self._pooled])
        self._pool[place], self._place[last] = last, place
        self._place[slot] = NONE

    def _grow(self) -> None:
        old = len(self.uses)
        new = max(16, old + old // 4)
        self.rows = np.concatenate([self.rows, np.zeros((new - old, self.rows.shape[1]), np.float32)])
        for name, fill in (("uses", 0), ("sizes", 0), ("held", False), ("_place", NONE), ("_pool", NONE)):
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.full(new - old, fill, array.dtype)]))
        self._free.extend(range(new - 1, old - 1, -1))


@cache
def _kernels() -> tuple[Callable[..., None], Callable[..., int]]:
    """Import the kernels when they are first needed, since a small cache need not wait for a compiler."""
    from mossy.kernels.need import use_all, weakest

    return use_all, weakest

"""The strengths of many memories under one law."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column
from mossy.strength.ages import FIRST, NEVER, STALE, Ages
from mossy.strength.ages import MOST as MOST_AGES
from mossy.strength.base import LinearLaw

__all__ = ["TOLERANCE", "Strengths"]

TOLERANCE = 0.01  # by how much a cached ln s may be too high

LEAST, MOST = 1e-30, 1e30  # an event leaves every mode between them, so that ln s is finite

BLOCK = 4096  # rows of which is kept when the first is due
FEW = 32_768  # rows up to which NumPy does without a compiler

Rows = NDArray[np.intp]


class Strengths:
    """Modes ``(n, m)``, when they were current, and a cached ``ln s`` for choosing among many.

    Recall computes the strengths of the memories that fit, and does not touch the cache. What the cache tells is that
    of the last of the law's ``Ages`` that a memory has reached since its last event: **never too low, and too high by
    at most the tolerance**, since ``ln s`` only falls until the next event, and falls ever more slowly. It is a
    function of the modes, their time and now: it does not matter who looked at it when. A memory is due again after
    about a fiftieth of its age, and an old one hardly ever. Of each 4,096 rows the time is kept at which the first is
    due, so that where none is, none is looked at.

    The tolerance holds for modes as events leave them, where no mode is greater than a slower one. A memory takes
    ``4m + 8`` bytes, and 6 more from the first time that the cache is asked.

    Parameters
    ----------
    law
        The law that all of them share.
    tolerance
        By how much a cached ``ln s`` may be too high, above 0. With ten times as much, a tenth as much is computed.
    ages
        How many ages are kept, at most; see ``Ages``.
    """

    def __init__(self, law: LinearLaw, tolerance: float = TOLERANCE, ages: int = MOST_AGES) -> None:
        self.law = law
        self._modes = Column((law.modes,), np.float32)
        self._when = Column((), np.float64)
        self._cache = Column((), np.float32)
        self._age = Column((), np.uint16)  # the number of the age that the cache is of
        self._caching = False  # until somebody asks
        self._ages = Ages(law, tolerance, ages)
        self._due: NDArray[np.float64] = np.empty(0)  # when the first of each block is due, or earlier
        self._seen = 0  # rows that these are of
        self._oldest = np.inf  # no row was current before
        self._fresh: tuple[float, Any] = (0.0, 0.0)  # an amount and ln s of what it has just excited

    def __len__(self) -> int:
        return len(self._when.rows)

    @property
    def tolerance(self) -> float:
        """By how much a cached ``ln s`` may be too high."""
        return self._ages.tolerance

    def append(self, n: int, now: float, amount: float = 1.0) -> None:
        """Add ``n`` fresh memories, excited by ``amount`` at the time ``now``."""
        if self._caching:
            self._blocks()
            self._cache.fill(n, self._log_of(amount))
            self._age.fill(n, FIRST)
        self._modes.fill(n, amount)
        self._when.fill(n, now)
        if self._caching:
            self._cover(now, now + self._ages.until[FIRST])

    def _log_of(self, amount: float) -> Any:
        """Return ``ln s`` of a memory that is excited by ``amount`` now, as it is computed later."""
        if amount != self._fresh[0]:
            total = sum((self._ages.factors[FIRST] * float(np.float32(amount))).tolist())
            self._fresh = amount, np.log(total)
        return self._fresh[1]

    def adopt(self, when: NDArray[np.float64]) -> None:
        """Add memories that were excited by 1 at the times ``when``, and not since."""
        self._add(when, np.float32(1))

    def describe(self, rows: Rows, records: NDArray[Any]) -> None:
        """Write ``modes`` and ``when`` of ``rows`` into records of these names."""
        records["modes"], records["when"] = self._modes.rows[rows], self._when.rows[rows]

    def put(self, rows: Rows, records: NDArray[Any]) -> None:
        """Take ``modes`` and ``when`` of ``rows`` over from records of these names."""
        self._changes(rows)
        self._oldest = min(self._oldest, records["when"].min(initial=np.inf))
        self._modes.rows[rows], self._when.rows[rows] = records["modes"], records["when"]

    def excite(self, rows: Rows, amounts: NDArray[Any], now: float) -> None:
        """Excite the memories in ``rows`` (each named once) by ``amounts (len(rows),)`` at the time ``now``."""
        self._changes(rows)
        modes = self.law.decay(self._modes.rows[rows], now - self._when.rows[rows])
        modes += amounts[:, None]
        self._modes.rows[rows] = np.maximum(np.minimum(modes, MOST), LEAST)
        self._when.rows[rows] = now

    def refreshed(self, now: float) -> NDArray[np.float32]:
        """Return ``ln s (n,)`` of all, ``-inf`` of what is erased: a view to read, until the next call.

        Never too low, and too high by at most the tolerance.
        """
        self._begin_to_cache()
        due = self._blocks()
        for block in np.flatnonzero(due <= now).tolist():
            due[block] = self._refresh_block(slice(block * BLOCK, (block + 1) * BLOCK), now)
        return self._cache.rows

    def _begin_to_cache(self) -> None:
        """Have a cache, of which everything is due."""
        if self._caching:
            return
        gone = (self._modes.rows == 0).all(axis=1)
        self._cache.put(np.where(gone, np.float32(-np.inf), np.float32(0)))
        self._age.put(np.where(gone, NEVER, STALE).astype(np.uint16))
        self._oldest = self._when.rows.min(initial=np.inf)
        self._seen, self._caching = -1, True

    def _refresh_block(self, part: slice, now: float) -> float:
        """Compute again what is due of a block, and return when the next is due, or a little earlier."""
        if len(self) > FEW:
            from mossy.kernels.strengths import refresh

            self._ages.see(now - self._oldest)
            modes, when, logs, numbers = (column.rows[part] for column in self.every_column())
            ages = (self._ages.ages, self._ages.until, self._ages.factors)
            law = (self.law.rates, self.law.readout)
            first = refresh(modes, when, numbers, logs, float(now), *ages, *law, NEVER)
        else:
            self._refresh(np.arange(part.start, min(part.stop, len(self))), now)
            first = (self._when.rows[part] + self._ages.until[self._age.rows[part]]).min()
        return float(np.nextafter(np.nextafter(first, -np.inf), -np.inf))  # sums of times are rounded

    def log_near(self, rows: Rows, now: float) -> NDArray[np.float32]:
        """Return ``ln s`` of ``rows``, as ``refreshed`` does of all."""
        if not self._caching:
            return self._told(rows, np.maximum(now - self._when.rows.take(rows), 0))[0].astype(np.float32)
        self._refresh(rows, now)
        return self._cache.rows.take(rows)

    def _refresh(self, rows: Rows, now: float) -> None:
        """Compute again what is due of ``rows``, as the kernel does."""
        age = now - self._when.rows.take(rows)
        due = age >= self._ages.until.take(self._age.rows.take(rows))
        if not due.any():
            return
        rows, age = rows[due], np.maximum(age[due], 0)
        self._cache.rows[rows], self._age.rows[rows] = self._told(rows, age)

    def _told(self, rows: Rows, age: NDArray[np.float64]) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return what the cache tells of ``rows`` of this age, and the numbers of the ages that they have reached."""
        self._ages.see(float(age.max(initial=0)))
        numbers = self._ages.numbers(age)
        modes = self._modes.rows.take(rows, axis=0)
        parts = self._ages.factors.take(numbers, axis=0) * modes
        total = np.add.accumulate(parts, axis=1)[:, -1]  # one after the other, as the kernel adds
        logs = np.log(total) - self._ages.slowest * self._ages.ages.take(numbers - FIRST)
        beyond = numbers == FIRST + len(self._ages.ages) - 1
        if beyond.any():
            logs[beyond] = self.law.log_strength(modes[beyond].astype(np.float64), age[beyond])
        return logs, numbers

    def log(self, rows: Rows, now: float) -> NDArray[Any]:
        """Return ``ln s`` of ``rows`` exactly, in float64."""
        return self.law.log_strength(self._modes.rows[rows].astype(np.float64), now - self._when.rows[rows])

    def modes(self, rows: NDArray[np.intp], now: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return copies of the modes of ``rows (...)``, ``(..., m)``, and how long ago ``(...)`` they were current."""
        return self._modes.rows[rows], now - self._when.rows[rows]

    def merge(self, into: int, rows: Rows, now: float) -> None:
        """Add the modes of ``rows`` to those of the memory ``into``: the law is linear, so nothing is lost."""
        self._changes(np.array([into]))
        modes, elapsed = self.modes(np.append(rows, into), now)
        self._modes.rows[into] = np.clip(self.law.decay(modes, elapsed).sum(axis=0), LEAST, MOST)
        self._when.rows[into] = now

    def erase(self, rows: Rows) -> None:
        """Overwrite ``rows`` with nothing: no modes, no time, ``ln s = -inf``, never due."""
        self._modes.rows[rows] = 0
        self._when.rows[rows] = 0
        if self._caching:
            self._cache.rows[rows] = -np.inf
            self._age.rows[rows] = NEVER

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory; others may take rows out."""
        return self.every_column() if self._caching else [self._modes, self._when]

    def every_column(self) -> list[Column]:
        """Return these, and those of the cache even if nobody has asked for it yet."""
        return [self._modes, self._when, self._cache, self._age]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(column.nbytes for column in self.columns()) + (self._ages.nbytes if len(self) else 0)

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the modes and of the times at which they were current."""
        return {"modes": self._modes.rows.copy(), "when": self._when.rows.copy()}

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Append what ``state()`` returned."""
        self._add(state["when"], state["modes"])

    # -- what is due --------------------------------------------------------------------------------------------------

    def _add(self, when: NDArray[np.float64], modes: NDArray[Any] | np.float32) -> None:
        """Add memories of whom nothing is cached."""
        n = len(when)
        if self._caching:
            self._blocks()
            self._cache.fill(n, 0)
            self._age.fill(n, STALE)
        self._modes.fill(n, modes)
        self._when.append(when)
        if self._caching:
            self._cover(float(when.min(initial=np.inf)), -np.inf)

    def _blocks(self) -> NDArray[np.float64]:
        """Return when the first of each block is due; where rows were taken out, every block may be."""
        if self._seen != len(self):
            self._due, self._seen = np.full(-(-len(self) // BLOCK), -np.inf), len(self)
        return self._due

    def _cover(self, oldest: float, due: float) -> None:
        """Take note of rows that came, which are due at the time ``due``."""
        first = self._seen // BLOCK
        more = -(-len(self) // BLOCK) - len(self._due)
        if more > 0:
            self._due = np.concatenate([self._due, np.full(more, np.inf)])
        self._due[first:] = np.minimum(self._due[first:], due)
        self._seen, self._oldest = len(self), min(self._oldest, oldest)

    def _changes(self, rows: Rows) -> None:
        """Take note that ``rows`` will change: first of all, so that an interruption leaves nothing wrong."""
        if not self._caching:
            return
        self._blocks()[rows // BLOCK] = -np.inf
        self._age.rows[rows] = STALE

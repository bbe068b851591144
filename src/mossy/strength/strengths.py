"""The strengths of many memories under one law."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column
from mossy.strength.base import LinearLaw

__all__ = ["TOLERANCE", "Strengths"]

TOLERANCE = 0.01  # by how much a cached ln s may be too high

LEAST, MOST = 1e-30, 1e30  # an event leaves every mode between them, so that ln s is finite

Rows = NDArray[np.intp]


class Strengths:
    """Modes ``(n, m)``, when they were current, and a cached ``ln s`` for choosing the weakest among many.

    Recall computes the strengths of the memories that fit, and does not touch the cache. The cache of a memory is
    computed again when its ``ln s`` may have lost ``TOLERANCE``. A strength falls ever more slowly (``ln s`` is
    convex), so that a memory of age ``t`` is due again after about ``t/50``, and an old one hardly ever. Without an
    event ``ln s`` only falls: a cached value is never too low.

    Parameters
    ----------
    law
        The law that all of them share.
    """

    def __init__(self, law: LinearLaw) -> None:
        self.law = law
        self._modes = Column((law.modes,), np.float32)
        self._when = Column((), np.float64)
        self._cache = Column((), np.float32)
        self._due = Column((), np.float64)

    def __len__(self) -> int:
        return len(self._when.rows)

    def append(self, n: int, now: float, amount: float = 1.0) -> None:
        """Add ``n`` fresh memories, excited by ``amount`` at the time ``now``."""
        log, rate = self.law.fresh
        self._modes.fill(n, amount)
        self._when.fill(n, now)
        self._cache.fill(n, log + math.log(amount))
        self._due.fill(n, now + TOLERANCE / rate)

    def adopt(self, when: NDArray[np.float64]) -> None:
        """Add memories that were excited by 1 at the times ``when``, and not since."""
        n = len(when)
        self._modes.fill(n, 1.0)
        self._when.append(when)
        self._cache.fill(n, 0.0)
        self._due.fill(n, 0.0)

    def describe(self, rows: Rows, records: NDArray[Any]) -> None:
        """Write ``modes`` and ``when`` of ``rows`` into records of these names."""
        records["modes"], records["when"] = self._modes.rows[rows], self._when.rows[rows]

    def put(self, rows: Rows, records: NDArray[Any]) -> None:
        """Take ``modes`` and ``when`` of ``rows`` over from records of these names."""
        self._modes.rows[rows], self._when.rows[rows] = records["modes"], records["when"]
        self._due.rows[rows] = 0.0

    def excite(self, rows: Rows, amounts: NDArray[Any], now: float) -> None:
        """Excite the memories in ``rows`` (each named once) by ``amounts (len(rows),)`` at the time ``now``."""
        modes = self.law.decay(self._modes.rows[rows], now - self._when.rows[rows])
        modes += amounts[:, None]
        self._modes.rows[rows] = np.maximum(np.minimum(modes, MOST), LEAST)
        self._when.rows[rows] = now
        self._due.rows[rows] = now

    def log_all(self, now: float) -> NDArray[np.float32]:
        """Return ``ln s (n,)`` of all, each too high by at most ``TOLERANCE``."""
        return self.log_near(np.arange(len(self)), now)

    def log_near(self, rows: Rows, now: float) -> NDArray[np.float32]:
        """Return ``ln s`` of ``rows``, each too high by at most ``TOLERANCE``."""
        due = rows[self._due.rows[rows] <= now]
        if len(due):
            logs, rate = self.law.log_strength_and_rate(self._modes.rows[due], now - self._when.rows[due])
            self._cache.rows[due] = logs
            self._due.rows[due] = now + TOLERANCE / rate.astype(np.float64)  # a float32 is minutes wide today
        return self._cache.rows[rows]

    def log(self, rows: Rows, now: float) -> NDArray[Any]:
        """Return ``ln s`` of ``rows`` exactly, in float64."""
        return self.law.log_strength(self._modes.rows[rows].astype(np.float64), now - self._when.rows[rows])

    def modes(self, rows: NDArray[np.intp], now: float) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return copies of the modes of ``rows (...)``, ``(..., m)``, and how long ago ``(...)`` they were current."""
        return self._modes.rows[rows], now - self._when.rows[rows]

    def merge(self, into: int, rows: Rows, now: float) -> None:
        """Add the modes of ``rows`` to those of the memory ``into``: the law is linear, so nothing is lost."""
        modes, elapsed = self.modes(np.append(rows, into), now)
        self._modes.rows[into] = np.clip(self.law.decay(modes, elapsed).sum(axis=0), LEAST, MOST)
        self._when.rows[into] = now
        self._due.rows[into] = now

    def erase(self, rows: Rows) -> None:
        """Overwrite ``rows`` with nothing: no modes, no time, ``ln s = -inf``, never due."""
        self._modes.rows[rows] = 0
        self._when.rows[rows] = 0
        self._cache.rows[rows] = -np.inf
        self._due.rows[rows] = np.inf

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory."""
        return [self._modes, self._when, self._cache, self._due]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(column.nbytes for column in self.columns())

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the modes and of the times at which they were current."""
        return {"modes": self._modes.rows.copy(), "when": self._when.rows.copy()}

    def restore(self, state: dict[str, NDArray[Any]], now: float) -> None:
        """Append what ``state()`` returned."""
        first = len(self)
        n = len(state["when"])
        self._modes.append(state["modes"])
        self._when.append(state["when"])
        self._cache.append(np.zeros(n, np.float32))
        self._due.append(np.zeros(n))
        self.log_near(np.arange(first, first + n), now)

r"""Ages at which the logarithm of a strength is computed anew, so that it is never off by more than a tolerance.

.. math::  g_0 = 0, \qquad g_{i+1} = g_i + \frac{ε}{ρ(g_i)}, \qquad
           ρ(t) = -\frac{d \ln r}{dt} = \frac{\sum_k λ_k w_k e^{-λ_k t}}{\sum_k w_k e^{-λ_k t}}

``ln r`` is convex, so from ``g_i`` to ``g_{i+1}`` it loses at most ``ε``. A memory that was used again and again has
more in its slow modes than one that was used once, and loses less.
"""

from __future__ import annotations

import math
from typing import final

import numpy as np
from numpy.typing import NDArray

from mossy.strength.base import LinearLaw

__all__ = ["MOST", "NEVER", "STALE", "Ages"]

STALE, NEVER = 0, 1  # in place of an age: to be computed when it is looked at; not to be computed
FIRST = 2  # the number of the age 0
MOST = 1 << 14  # ages: with a tolerance of .01, to when a strength is down to exp(-164)
MORE = 1.5  # ages are added up to so many times the one that is looked for


@final
class Ages:
    """The ages of one law, made as far as they are needed, whatever is looked at in which order.

    Parameters
    ----------
    law
        The law.
    tolerance
        ``ε``: what ``ln r`` loses from one age to the next, at most.
    most
        How many ages are made, from 2 to 16,384: each takes ``8m + 16`` bytes. What is older is computed always.

    Attributes
    ----------
    slowest
        ``λ_min``.
    ages
        ``g (a,)``, rising, in the clock's unit.
    until
        ``(a + 2,)``: the age at which that with this number ends; -inf for one that is always to be computed again.
    factors
        ``(a + 2, m)``: ``w_k exp(-(λ_k - λ_min) g)`` of the age with this number.
    """

    def __init__(self, law: LinearLaw, tolerance: float, most: int = MOST) -> None:
        self.law, self.tolerance, self.most = law, tolerance, most
        self._rates, self._readout = law.rates.tolist(), law.readout.tolist()
        self.slowest = min(self._rates)
        self._grow([0.0, self._after(0.0)])

    def see(self, age: float) -> None:
        """Make the ages up to this one, as far as there are any."""
        last = float(self.ages[-1])
        if age < last or len(self.ages) >= self.most:
            return
        every = self.ages.tolist()
        while every[-1] <= MORE * age and len(every) < self.most:
            every.append(self._after(every[-1]))
        self._grow(every)

    def numbers(self, age: NDArray[np.float64]) -> NDArray[np.uint16]:
        """Return the number of the last of the ages that is not above ``age (n,)``; they were made."""
        return np.asarray(np.searchsorted(self.ages, age, "right") + (FIRST - 1), np.uint16)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.ages.nbytes + self.until.nbytes + self.factors.nbytes

    def _after(self, age: float) -> float:
        parts = [w * math.exp((self.slowest - rate) * age) for rate, w in zip(self._rates, self._readout, strict=True)]
        falls = sum(rate * part for rate, part in zip(self._rates, parts, strict=True))
        return float(age + self.tolerance * sum(parts) / falls)

    def _grow(self, every: list[float]) -> None:
        self.ages = np.array(every)
        nothing = np.array([-np.inf, np.inf])
        # Of the last, which is passed by none until there are more.
        end = -np.inf if len(every) == self.most else np.inf
        self.until = np.concatenate([nothing, self.ages[1:], [end]])
        factors = np.exp(np.multiply.outer(self.ages, self.slowest - self.law.rates)) * self.law.readout
        self.factors = np.concatenate([np.zeros((2, len(self._rates))), factors])

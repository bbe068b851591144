r"""The linear strength law that all parametrisations share.

A strength is the readout of ``m`` modes that fade, each at its own rate, and are driven by events
(an experience stored, a memory used) at the times ``t_e`` with the amounts ``a_e``:

.. math::  \frac{dz_k}{dt} = -λ_k z_k + \sum_e a_e\,δ(t - t_e), \qquad s = \sum_k w_k z_k .

Between events ``z_k(t + Δ) = z_k(t)·exp(-λ_k Δ)``: closed form, so nothing ticks and a thousand years
cost one ``exp``. The drive of each mode is scaled into its readout ``w_k > 0``, so that one unit event
adds 1 to every mode; ``Σ w_k = 1``, so that a fresh memory has the strength 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LinearLaw"]

Floats = NDArray[np.float64]

UNDERFLOW = 1e-35  # sums below it have lost digits in float32


@final
@dataclass(frozen=True, eq=False)
class LinearLaw:
    """How a strength fades and lasts.

    Parameters
    ----------
    name
        The name in the registry.
    parameters
        What it was made from, so that ``LAWS[name](**parameters)`` makes it again.
    rates
        ``λ (m,)``, ascending or not, all above 0, in 1 / the clock's unit.
    readout
        ``w (m,)``, all above 0, with sum 1.
    parts
        ``(2, m)``: the readout of the short and of the long part; their sum is ``readout``.
    phases
        Whether the two parts are phases of their own, one of which can be moved into the other: ``parts`` is then
        square and invertible.
    """

    name: str
    parameters: dict[str, Any]
    rates: Floats
    readout: Floats
    parts: Floats
    phases: bool = False

    @cached_property
    def fresh(self) -> tuple[float, float]:
        """``ln s`` of a memory that was excited by 1 just now, and the rate at which it falls."""
        log, rate = self.log_strength_and_rate(np.ones((1, self.modes), np.float32), 0.0)
        return float(log[0]), float(rate[0])

    @cached_property
    def _slowest(self) -> float:
        return float(self.rates.min())

    @cached_property
    def _fall(self) -> Floats:
        return self._slowest - self.rates

    @cached_property
    def _typed(self) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """The readout and the rates in each dtype that modes have."""
        return {np.dtype(t).char: (self.readout.astype(t), self.rates.astype(t)) for t in (np.float32, np.float64)}

    @property
    def modes(self) -> int:
        """The number of modes ``m``."""
        return len(self.rates)

    def decay(self, z: NDArray[Any], elapsed: ArrayLike) -> NDArray[Any]:
        """Return the modes ``z (..., m)`` after ``elapsed (...)`` units: ``z·exp(-λ·elapsed)``."""
        kept: NDArray[Any] = z * np.exp(np.multiply.outer(elapsed, -self.rates))
        return kept

    def excite(self, z: NDArray[Any], amount: ArrayLike) -> NDArray[Any]:
        """Return the modes ``z (..., m)`` after an event of ``amount (...)``: ``z + amount``."""
        excited: NDArray[Any] = z + np.asarray(amount)[..., None]
        return excited

    def strength(self, z: NDArray[Any], elapsed: ArrayLike = 0.0) -> NDArray[Any]:
        """Return ``s (...)`` of modes ``z (..., m)`` that were current ``elapsed`` units ago."""
        return np.asarray(self.decay(z, elapsed) @ self.readout)

    def split(self, z: NDArray[Any], elapsed: ArrayLike = 0.0) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return the short and the long part ``(...)`` of the strength; they sum to it."""
        both = self.decay(z, elapsed) @ self.parts.T
        return both[..., 0], both[..., 1]

    def log_strength(self, z: NDArray[Any], elapsed: ArrayLike) -> NDArray[Any]:
        """Return ``ln s (...)``, finite however long ago ``z (..., m)`` was current.

        The slowest mode is taken out before the exponentials, so that nothing underflows:
        ``ln s = -λ_min·Δ + ln Σ w_k z_k exp(-(λ_k - λ_min)Δ)``.
        """
        return self.log_strength_and_rate(z, elapsed)[0]

    def log_strength_and_rate(self, z: NDArray[Any], elapsed: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return ``ln s`` and the rate ``-d ln s/dt`` at which it falls now, in 1 / the clock's unit.

        ``ln s`` is convex in time, so without an event the rate only falls: after ``Δ`` more units,
        ``ln s`` has lost at most ``rate·Δ``.
        """
        age = np.asarray(elapsed, np.float64)
        readout, rates = self._typed[z.dtype.char]
        part = np.multiply.outer(age, self._fall).astype(z.dtype, copy=False)
        np.exp(part, out=part)
        part = part * z
        part *= readout
        total = np.add.reduce(part, -1)
        if z.dtype == np.float32 and not (total > UNDERFLOW).all():
            return self.log_strength_and_rate(z.astype(np.float64), elapsed)
        part *= rates
        rate = np.add.reduce(part, -1) / total
        return np.log(total) - self._slowest * age, rate

    def response(self, t: ArrayLike) -> Floats:
        """Return ``r(t)``: the strength ``t`` units after one unit event, ``Σ w_k exp(-λ_k t)``."""
        return np.asarray(np.exp(-np.multiply.outer(np.asarray(t, np.float64), self.rates)) @ self.readout)

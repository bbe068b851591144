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
from functools import cached_property, lru_cache
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["LinearLaw"]

Floats = NDArray[np.float64]

UNDERFLOW = 1e-35  # sums below it have lost digits in float32

LOOKED_AT = 64  # times at which a coarse law is compared with its own
TRIES = 60  # steps of the fit of a coarse law, at most
STEP, DAMPED, DONE = 1e-4, 1e-6, 1e-6  # of its derivative; the least damping; the gain of a step that is the last
DIGITS = 6  # of its rates and readout, so that the last bits of a library do not show


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

    def coarse(self, m: int) -> LinearLaw:
        r"""Return the law of at most ``m`` modes that stays closest to this one: for what is held too often for more.

        .. math::  \min_{τ_1, τ_m, w} \int \Big(\ln \frac{\sum_k w_k e^{-t/τ_k}}{r(t)}\Big)^2 d\ln t, \qquad
                   w_k > 0,\; \sum_k w_k = 1,\; τ_k \text{ log-spaced}

        over the span of its time constants, from the fastest to the slowest. A law that has no more than ``m`` modes is
        returned as it is. By how much the strength after one event is off, as a factor, over all of the span (the root
        mean square, and the most):

        ==================  ============  ============  ============
        law                 m = 2         m = 3         m = 4
        ==================  ============  ============  ============
        ``power_law()``     4.5 (14)      2.1 (3.7)     1.5 (2.2)
        ``benna_fusi()``    3.2 (7.8)     1.7 (2.6)     1.3 (1.6)
        ==================  ============  ============  ============

        Its name and parameters are those of this law, of which it is a coarse form.
        """
        if m >= self.modes:
            return self
        rates, readout = _fit(self.rates.tobytes(), self.readout.tobytes(), m)
        order = np.argsort(self.rates)
        share = np.interp(np.log(rates), np.log(self.rates[order]), (self.parts[0] / self.readout)[order])
        share = np.clip(share, 0, 1)
        return LinearLaw(self.name, self.parameters, rates, readout, np.stack([share, 1 - share]) * readout)


@lru_cache(maxsize=64)
def _fit(rates_told: bytes, readout_told: bytes, m: int) -> tuple[Floats, Floats]:
    """Return rates and readout of the coarse form of a law: damped Gauss–Newton steps from modes of even spacing."""
    rates, readout = np.frombuffer(rates_told), np.frombuffer(readout_told)
    first, last = -np.log(rates.max()), -np.log(rates.min())
    times = np.exp(np.linspace(first, last, LOOKED_AT))
    logs = np.log(np.exp(-np.multiply.outer(times, rates)) @ readout)

    def unfolded(x: Floats) -> tuple[Floats, Floats]:
        """Return ``ln τ`` and ``ln w`` of the parameters: both ends of ``ln τ``, and ``ln w`` but for a constant."""
        ends = np.clip(np.sort(x[:2]), first, last) if m > 1 else np.clip(x[:1].repeat(2), first, last)
        return np.linspace(ends[0], ends[1], m), x[2:] - np.logaddexp.reduce(x[2:])

    def off(x: Floats) -> Floats:
        taus, weights = unfolded(x)
        return np.asarray(np.logaddexp.reduce(weights - np.multiply.outer(times, np.exp(-taus)), axis=1) - logs)

    edge = (last - first) / (2 * m)
    x = np.concatenate(
        [[first + edge, last - edge], np.interp(np.linspace(first + edge, last - edge, m), np.log(times), logs)]
    )
    error, damping = off(x), 1.0
    for _ in range(TRIES):
        slope = np.stack([(off(x + h) - off(x - h)) / (2 * STEP) for h in STEP * np.eye(len(x))], axis=1)
        step = np.linalg.solve(slope.T @ slope + damping * np.eye(len(x)), slope.T @ error)
        nearer = off(x - step)
        before, gain = error @ error, error @ error - nearer @ nearer
        if gain > 0:
            x, error, damping = x - step, nearer, max(damping / 4, DAMPED)
            if gain < DONE * before:
                break
        else:
            damping *= 8
    taus, weights = unfolded(x)
    fitted = np.exp(np.stack([-taus, weights]))
    rates, readout = np.array([[float(f"{one:.{DIGITS}g}") for one in part] for part in fitted.tolist()])
    return rates, readout / readout.sum()

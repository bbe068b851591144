"""A random sparse expansion, as the dentate gyrus makes of its input before the mossy fibres."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.activations import KWinners
from mossy.arrays import as_batch, check_integer, check_number
from mossy.errors import InvalidParameter

__all__ = ["Dentate"]


@final
class Dentate:
    r"""Expand ``x (d,)`` over fixed random synapses into a pattern of many ``units``.

    .. math::  h = W(x - μ)/σ + b, \qquad φ(x) = \max(h, 0) \ \text{ or } \ φ(x) = \text{winners}_k(h)

    ``W`` is normal with variance ``1/d`` and ``b`` normal with standard deviation ``bias``, so that ``h`` is
    of order one for entries of order one. Similar inputs become patterns that overlap less: a linear memory
    behind it can separate what it could not before. The random numbers follow from ``seed`` and are never
    learned.

    Parameters
    ----------
    d
        Entries of the input.
    units
        Entries of the pattern.
    k
        None: rectified drives (real, about half of them 0). An integer: ``k`` units fire (1), the others are
        silent (0).
    seed
        What the random numbers follow from.
    mean, scale
        ``μ`` and ``σ``: what an entry of the input is on average, and by how much it usually differs. One
        number each.
    bias
        Spread of the thresholds of the units, at least 0.

    Raises
    ------
    InvalidParameter

    Source: random expansion before a linear readout, G.-B. Huang et al. (2006),
    doi:10.1016/j.neucom.2005.12.126, with
    ``k`` winners S. Dasgupta et al. (2017), doi:10.1126/science.aam9868.
    """

    def __init__(
        self,
        d: int,
        units: int = 1000,
        k: int | None = None,
        seed: int = 0,
        mean: float = 0.0,
        scale: float = 1.0,
        bias: float = 1.0,
    ) -> None:
        self.d = check_integer(d, "Dentate.d", 1)
        self.units = check_integer(units, "Dentate.units", 1)
        self.k = None if k is None else check_integer(k, "Dentate.k", 1)
        if self.k is not None and self.k > self.units:
            raise InvalidParameter(f"Dentate.k: {k} was given; an integer from 1 to {self.units} (units) is allowed.")
        self.seed = check_integer(seed, "Dentate.seed", 0)
        self.mean = check_number(mean, "Dentate.mean")
        self.scale = check_number(scale, "Dentate.scale", 0.0, open_low=True)
        self.bias = check_number(bias, "Dentate.bias", 0.0)
        rng = np.random.default_rng(self.seed)
        self._weights: NDArray[np.float64] = rng.standard_normal((self.units, self.d)) / np.sqrt(self.d)
        self._thresholds: NDArray[np.float64] = self.bias * rng.standard_normal(self.units)

    def encode(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the pattern ``(units,)`` of one input ``(d,)``, or ``(n, units)`` of a batch ``(n, d)``.

        Raises
        ------
        InvalidInput
        """
        batch, single = as_batch(x, "x", self.d, np.float64)
        drive = (batch - self.mean) / self.scale @ self._weights.T + self._thresholds
        found: NDArray[np.float64] = np.maximum(drive, 0.0) if self.k is None else KWinners(self.k)(drive)
        return found[0] if single else found

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._weights.nbytes + self._thresholds.nbytes

    def state(self) -> dict[str, Any]:
        """Return the configuration; the random numbers follow from it."""
        return {
            "d": self.d,
            "units": self.units,
            "k": self.k,
            "seed": self.seed,
            "mean": self.mean,
            "scale": self.scale,
            "bias": self.bias,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Dentate:
        """Make the encoder again that ``state()`` was taken from."""
        return cls(**state)

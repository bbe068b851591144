"""A sparse expansion, as the dentate gyrus makes of its input before the mossy fibres."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mossy.activations import KWinners
from mossy.arrays import as_batch, check_integer, check_number
from mossy.encode.patches import compete, start
from mossy.errors import InvalidParameter

__all__ = ["Dentate"]


@final
class Dentate:
    r"""Expand ``x (d,)`` over fixed random synapses into a pattern of many ``units``.

    .. math::  h = W(x - μ)/σ + b, \qquad φ(x) = \max(h, 0) \ \text{ or } \ φ(x) = \text{winners}_k(h)

    ``W`` is normal with variance ``1/d`` and ``b`` normal with standard deviation ``bias``, so that ``h`` is
    of order one for entries of order one. Similar inputs become patterns that overlap less: a linear memory
    behind it can separate what it could not before. The random numbers follow from ``seed``; they stay as they are
    unless ``learn`` lets the units compete for what they are shown.

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

    Source: random expansion before a linear readout, G.-B. Huang et al. (2006), doi:10.1016/j.neucom.2005.12.126; with
    ``k`` winners S. Dasgupta et al. (2017), doi:10.1126/science.aam9868; competition D. E. Rumelhart and D. Zipser
    (1985), doi:10.1207/s15516709cog0901_5.
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
        self._weights: NDArray[Any] = rng.standard_normal((self.units, self.d)) / np.sqrt(self.d)
        self._thresholds: NDArray[np.float64] = self.bias * rng.standard_normal(self.units)
        self._middle: NDArray[np.float32] | None = None
        self._wins = np.zeros(self.units, np.int64)

    def learn(self, x: ArrayLike) -> Dentate:
        """Let the units compete for a batch ``(n, d)``; a second time goes on where the first ended.

        Inputs are taken about their mean ``m`` in the first batch, also when they are encoded from then on, since units
        would else learn what all inputs have in common: ``h = W((x - μ)/σ - m) + b``. Units begin as inputs drawn at
        random, of length 1; those beyond ``n`` stay random. The unit that is most like an input moves to it by one over
        its wins, so that there are more units where there is more to tell apart. What was encoded before is not like
        what is encoded after it.

        Raises
        ------
        InvalidInput
            Nothing was learned.
        """
        batch, _ = as_batch(x, "x", self.d, np.float32)
        inputs = (batch - np.float32(self.mean)) / np.float32(self.scale)
        if self._middle is None:
            self._middle = inputs.mean(axis=0)
            self._weights = start(inputs - self._middle, self.units, np.random.default_rng((self.seed, 1)))
        compete(inputs - self._middle, self._weights, self._wins)
        return self

    def synapses(self, dtype: DTypeLike = np.float32) -> tuple[NDArray[Any], NDArray[Any]]:
        """Return ``V (d, units)`` and ``t (units,)`` of the drive ``h = xV + t``, with ``μ`` and ``σ`` taken in."""
        weights = self._weights.T.astype(np.float64) / self.scale
        thresholds = self._thresholds - self.mean * weights.sum(axis=0)
        if self._middle is not None:
            thresholds -= self._middle.astype(np.float64) @ self._weights.T
        return np.ascontiguousarray(weights, dtype), thresholds.astype(dtype)

    def encode(self, x: ArrayLike) -> NDArray[np.float64]:
        """Return the pattern ``(units,)`` of one input ``(d,)``, or ``(n, units)`` of a batch ``(n, d)``.

        Raises
        ------
        InvalidInput
        """
        batch, single = as_batch(x, "x", self.d, np.float64)
        inputs = (batch - self.mean) / self.scale
        if self._middle is not None:
            inputs -= self._middle
        drive = inputs @ self._weights.T + self._thresholds
        found: NDArray[np.float64] = np.maximum(drive, 0.0) if self.k is None else KWinners(self.k)(drive)
        return found[0] if single else found

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        middle = 0 if self._middle is None else self._middle.nbytes
        return self._weights.nbytes + self._thresholds.nbytes + self._wins.nbytes + middle

    def state(self) -> dict[str, Any]:
        """Return the configuration, from which the random numbers follow, and copies of what was learned."""
        learned: dict[str, Any] = {}
        if self._middle is not None:
            parts = {"weights": self._weights, "wins": self._wins, "middle": self._middle}
            learned = {f"learned.{name}": array.copy() for name, array in parts.items()}
        return {
            "d": self.d,
            "units": self.units,
            "k": self.k,
            "seed": self.seed,
            "mean": self.mean,
            "scale": self.scale,
            "bias": self.bias,
            **learned,
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Dentate:
        """Make the encoder again that ``state()`` was taken from."""
        encoder = cls(**{name: value for name, value in state.items() if not name.startswith("learned.")})
        if "learned.middle" in state:
            encoder._weights, encoder._wins, encoder._middle = (
                state[f"learned.{name}"].copy() for name in ("weights", "wins", "middle")
            )
        return encoder

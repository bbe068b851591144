"""Polynomial: the rectified power of a dense associative memory."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_number
from mossy.separation.base import Separation, in_order

__all__ = ["Polynomial"]


@final
class Polynomial(Separation):
    """``a_i = [e_i]₊ᵖ / Σ_j [e_j]₊ᵖ``; ``Ω*(e) = Σ [e_j]₊^(p+1) / (p+1)``.

    Nothing is active where no evidence is above 0.

    Parameters
    ----------
    power
        ``p``, above 0. The energy then has the order ``p + 1``, the capacity is about ``d^p``.

    References
    ----------
    Krotov & Hopfield (2016), Dense Associative Memory for Pattern Recognition, NeurIPS, arXiv:1606.01164, eq. 4.
    """

    name = "polynomial"
    shift_invariant = False

    def __init__(self, power: float = 10.0) -> None:
        self.power = check_number(power, "Polynomial.power", 0, open_low=True)
        self.parameters = {"power": self.power}

    def reach(self, n: int) -> float:
        """Return infinity: every positive evidence counts."""
        return np.inf

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the normalised rectified power over the last axis."""
        e = np.maximum(np.asarray(evidence, np.float64), 0.0)
        top = e.max(axis=-1, keepdims=True)
        a = (e / np.where(top > 0, top, 1.0)) ** self.power
        return np.asarray(a / np.where(top > 0, in_order(a), 1.0))

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``Σ [e]₊^(p+1) / (p+1)`` over the last axis."""
        highest = 1e300 ** (1 / (self.power + 1))  # beyond it the sum is not finite
        e = np.clip(np.asarray(evidence, np.float64), 0.0, highest)
        return np.asarray(in_order(e ** (self.power + 1))[..., 0] / (self.power + 1))

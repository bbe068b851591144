"""Sparsemax: a distribution in which most memories are exactly silent."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.separation.base import Separation, in_order

__all__ = ["Sparsemax"]


@final
class Sparsemax(Separation):
    """``a = argmin_p ‖p - e‖²`` over distributions ``p``: ``a_i = [e_i - τ]₊``, with ``τ`` found by sorting.

    One neuron alone is active as soon as it leads by 1, so recall is exact in finite steps at a finite β.
    ``Ω*(e) = a·e - ½‖a‖² + ½``.

    Martins & Astudillo (2016), From Softmax to Sparsemax, ICML, arXiv:1602.02068, alg. 1.
    """

    name = "sparsemax"
    shift_invariant = True

    def __init__(self) -> None:
        self.parameters = {}

    def reach(self, n: int) -> float:
        """Return 1: ``τ ≥ max e - 1``."""
        return 1.0

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the projection of the last axis onto the simplex."""
        e = np.asarray(evidence, np.float64)
        e = np.maximum(e - e.max(axis=-1, keepdims=True), -2.0)
        falling = -np.sort(-e, axis=-1)
        total = np.cumsum(falling, axis=-1)
        place = np.arange(1, e.shape[-1] + 1)
        support = (1 + place * falling > total).sum(axis=-1, keepdims=True)
        tau = (np.take_along_axis(total, support - 1, axis=-1) - 1) / support
        return np.asarray(np.maximum(e - tau, 0.0))

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``a·e - ½‖a‖² + ½`` over the last axis."""
        e = np.asarray(evidence, np.float64)
        a = self.activity(e, e.shape[-1])
        return np.asarray((in_order(a * np.where(a > 0, e, 0.0)) + (0.5 - 0.5 * in_order(a * a)))[..., 0])

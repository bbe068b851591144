"""Softmax: the posterior of memories that compete."""

from __future__ import annotations

import math
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.separation.base import Separation, in_order

__all__ = ["Softmax"]

SILENT = 24 * math.log(2)  # float32 has 24 significant bits


@final
class Softmax(Separation):
    """``a_i = exp(e_i) / Σ_j exp(e_j)``; ``Ω*(e) = ln Σ_j exp(e_j)``.

    Neurons that together hold less than ``2^-24`` of the activity, the resolution of a float32, are silent (exactly 0):
    those more than ``24 ln 2 + ln n`` below the best. So a recall that is certain to float32 returns a stored
    pattern bit for bit.

    Ramsauer et al. (2021), Hopfield Networks is All You Need, ICLR, arXiv:2008.02217, eq. 3.
    """

    name = "softmax"
    shift_invariant = True

    def __init__(self) -> None:
        self.parameters = {}

    def reach(self, n: int) -> float:
        """Return ``24 ln 2 + ln n``."""
        return SILENT + math.log(max(n, 1))

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the softmax over the last axis."""
        e = np.asarray(evidence, np.float64)
        below = e - e.max(axis=-1, keepdims=True)
        a = np.exp(below)
        a[below < -self.reach(n)] = 0.0
        return np.asarray(a / in_order(a))

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``ln Σ exp(e)`` over the last axis."""
        e = np.asarray(evidence, np.float64)
        top = e.max(axis=-1, keepdims=True)
        return np.asarray((np.log(in_order(np.exp(e - top))) + top)[..., 0])

"""Entmax with α = 1.5: between softmax and sparsemax."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.separation.base import Separation, in_order

__all__ = ["Entmax"]


@final
class Entmax(Separation):
    """``a_i = [e_i/2 - τ]₊²``, with ``τ`` found exactly by sorting (Tsallis entropy of order 1.5).

    One neuron alone is active as soon as it leads by 2. ``Ω*(e) = a·e + 4/3·(1 - Σ a^1.5)``.

    Peters, Niculae & Martins (2019), Sparse Sequence-to-Sequence Models, ACL, arXiv:1905.05702, alg. 2.
    """

    name = "entmax"
    shift_invariant = True

    def __init__(self) -> None:
        self.parameters = {}

    def reach(self, n: int) -> float:
        """Return 2: ``τ ≥ max e/2 - 1``."""
        return 2.0

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the 1.5-entmax of the last axis."""
        e = np.asarray(evidence, np.float64)
        half = np.maximum((e - e.max(axis=-1, keepdims=True)) / 2, -2.0)
        falling = -np.sort(-half, axis=-1)
        place = np.arange(1, e.shape[-1] + 1)
        mean = np.cumsum(falling, axis=-1) / place
        square = np.cumsum(falling**2, axis=-1) / place
        spread = place * (square - mean**2)
        taus = mean - np.sqrt(np.maximum((1 - spread) / place, 0.0))
        support = (taus <= falling).sum(axis=-1, keepdims=True)
        tau = np.take_along_axis(taus, support - 1, axis=-1)
        return np.asarray(np.maximum(half - tau, 0.0) ** 2)

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``a·e + 4/3·(1 - Σ a^1.5)`` over the last axis."""
        e = np.asarray(evidence, np.float64)
        a = self.activity(e, e.shape[-1])
        return np.asarray((in_order(a * np.where(a > 0, e, 0.0)) + 4 / 3 * (1 - in_order(a**1.5)))[..., 0])

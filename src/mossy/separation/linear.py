"""Linear: no separation, as in the classical Hopfield network."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.separation.base import Separation, in_order

__all__ = ["Linear"]


@final
class Linear(Separation):
    """``a_i = e_i / Σ_j |e_j|``; ``Ω*(e) = ½ Σ e_j²``. It recalls a mixture: it is there as the baseline.

    Hopfield (1982), PNAS 79, 2554–2558, doi:10.1073/pnas.79.8.2554; Millidge et al. (2022), arXiv:2202.04557, table 1.
    """

    name = "linear"
    shift_invariant = False

    def __init__(self) -> None:
        self.parameters = {}

    def reach(self, n: int) -> float:
        """Return infinity: every evidence counts."""
        return np.inf

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the evidence over the last axis, divided by the sum of its absolute values."""
        e = np.asarray(evidence, np.float64)
        e = np.where(np.isfinite(e), e, 0.0)
        total = in_order(np.abs(e))
        return np.asarray(e / np.where(total > 0, total, 1.0))

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``½ Σ e²`` over the last axis."""
        e = np.asarray(evidence, np.float64)
        return np.asarray(0.5 * in_order(np.where(np.isfinite(e), e, 0.0) ** 2)[..., 0])

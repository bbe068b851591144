"""Winner: the one memory with the most evidence, as a nearest-neighbour search returns it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.separation.base import Separation

__all__ = ["Winner"]


@final
class Winner(Separation):
    """``a_i = 1`` for the greatest ``e_i`` (the first of equals), else 0; ``Ω*(e) = max e``."""

    name = "winner"
    shift_invariant = True

    def __init__(self) -> None:
        self.parameters = {}

    def reach(self, n: int) -> float:
        """Return 0: only the best is active."""
        return 0.0

    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return 1 at the maximum of the last axis."""
        e = np.asarray(evidence, np.float64)
        a = np.zeros(e.shape)
        np.put_along_axis(a, e.argmax(axis=-1)[..., None], 1.0, axis=-1)
        return a

    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return the maximum of the last axis."""
        return np.asarray(np.asarray(evidence, np.float64).max(axis=-1))

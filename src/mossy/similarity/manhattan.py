"""Manhattan distance: robust where few entries are far off."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.similarity.base import UNIT, Cues, KeyStatistics, Similarity

__all__ = ["Manhattan"]

COMPILED_FROM = 4_000_000  # differences, above which the compiled loop is faster in spite of its start


UNRELATED = np.array([-1.0])


@final
class Manhattan(Similarity):
    """``sim = -Σ_known |k_j - q_j| / σ`` with ``σ = Σ_known √Var(k_j)``.

    A perfect fit has 0, unrelated Gaussian keys about -1.1.

    The log-likelihood of a key under Laplacian noise: one entry that is far off costs less than under squared distance.

    By default β is 2,000, and a key is recognised from -0.25.
    """

    name = "manhattan"
    beta = 2000.0
    reflexive = True
    zero_based = False

    def norms(self, keys: NDArray[np.float32]) -> None:
        """Return None: distances need none."""

    def prepare(self, cues: NDArray[np.float64], known: NDArray[np.bool_] | None, keys: KeyStatistics) -> Cues:
        """Keep the cues; the scale divides at the end."""
        mask = None if known is None else known.astype(np.float64)
        scale = keys.scale("deviation", mask)
        scan = None if mask is None else mask.astype(np.float32)
        return Cues(cues, mask, scale, UNRELATED, 0.0, cues.astype(np.float32), scan)

    def scores(self, cues: Cues, keys: NDArray[np.float32], norms: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return the distances, summed entry by entry."""
        c, d = cues.scan.shape
        mask = np.ones((1, d), np.float32) if cues.mask is None else cues.mask
        if c * keys.size >= COMPILED_FROM:
            from mossy.kernels import distance

            total = distance.absolute(cues.scan, mask, keys)
        else:
            total = np.empty((c, len(keys)), np.float32)
            for i in range(c):
                gap = np.abs(keys - cues.scan[i])
                total[i] = gap @ mask[i % len(mask)]
        return np.multiply(total, (-1 / cues.scale).astype(np.float32)[:, None], out=total)

    def rounding(self, cues: Cues, longest: float) -> NDArray[np.float64]:
        """Return ``(d + 4)·u·(‖q‖₁ + ‖k‖₁)/σ``, with ``‖k‖₁ ≤ √d·‖k‖``."""
        d = cues.exact.shape[1]
        return np.asarray((d + 4) * UNIT * (np.abs(cues.exact).sum(axis=1) + d**0.5 * longest) / cues.scale)

    def cue_energy(self, cues: Cues) -> NDArray[np.float64]:
        """Return 0."""
        return np.zeros(1)

    def exact(
        self,
        cues: NDArray[np.float64],
        known: NDArray[np.float64] | None,
        scale: NDArray[np.float64],
        keys: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return ``-‖k - q‖₁/σ``."""
        gap = np.abs(keys - cues)
        if known is not None:
            gap *= known
        return np.asarray(-gap.sum(axis=1) / scale)

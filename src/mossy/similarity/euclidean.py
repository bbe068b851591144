"""Squared euclidean distance: the log-likelihood of a key under Gaussian noise."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.similarity.base import UNIT, Cues, KeyStatistics, Similarity, lengths, products

__all__ = ["Euclidean"]


UNRELATED = np.array([-1.0])


@final
class Euclidean(Similarity):
    """``sim = -½ Σ_known (k_j - q_j)² / σ²`` with ``σ² = Σ_known Var(k_j)``.

    A perfect fit has 0, an unrelated key about -1.

    With softmax separation it gives the posterior of a mixture of Gaussians around the stored keys,
    and completing a cue is mean shift, whose energy always falls.

    By default β is 2,000, and a key is recognised from -0.25.
    """

    name = "euclidean"
    beta = 2000.0
    reflexive = True
    zero_based = False

    def norms(self, keys: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``½‖k‖²``."""
        return np.asarray(0.5 * np.einsum("nd,nd->n", keys, keys, dtype=np.float64), np.float32)

    def prepare(self, cues: NDArray[np.float64], known: NDArray[np.bool_] | None, keys: KeyStatistics) -> Cues:
        """Scale the cues by ``1/σ²`` and the mask by ``1/(2σ²)``."""
        mask = None if known is None else known.astype(np.float64)
        scale = keys.scale("variance", mask)
        scan = (cues / scale[:, None]).astype(np.float32)
        scaled = None if mask is None else (0.5 * mask / scale[:, None]).astype(np.float32)
        return Cues(cues, mask, scale, UNRELATED, 0.0, scan, scaled)

    def scores(self, cues: Cues, keys: NDArray[np.float32], norms: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return ``(k·q - ½‖k‖²)/σ²``: one matrix product, two with a mask."""
        product = products(cues.scan, keys)
        if cues.mask is not None:
            product -= cues.mask @ np.square(keys).T
        elif norms is not None:
            product -= norms * (1 / cues.scale).astype(np.float32)[:, None]
        return product

    def rounding(self, cues: Cues, longest: float) -> NDArray[np.float64]:
        """Return ``(d + 4)·u·(‖q‖‖k‖ + ½‖k‖²)/σ²``."""
        d = cues.exact.shape[1]
        length = lengths(cues.exact)
        return np.asarray((d + 4) * UNIT * (length * longest + 0.5 * longest**2) / cues.scale)

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
        """Return ``-½‖k - q‖²/σ²`` from the differences."""
        gap = keys - cues
        if known is not None:
            gap *= known
        return np.asarray(-0.5 * np.einsum("pd,pd->p", gap, gap) / scale)

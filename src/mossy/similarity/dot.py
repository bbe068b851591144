"""Dot product: the similarity of the Hopfield network and of attention."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.similarity.base import UNIT, Cues, KeyStatistics, Similarity, lengths, products

__all__ = ["Dot"]


@final
class Dot(Similarity):
    """``sim = Σ_known k_j q_j / σ²`` with ``σ² = Σ_known E[k_j²]``.

    A key of average length has 1 with itself, unrelated ones 0.

    Longer keys win: it does not find the stored key that equals the cue, but the one that answers it loudest.
    Entries that are unknown count as silent; so it is the one similarity that bears an unmarked black half.

    By default β is 2,000, and a key is recognised from ``1 - (1 - c)/4``, with ``c`` the cosine to expect of
    unrelated keys.
    """

    name = "dot"
    beta = 2000.0
    reflexive = False
    zero_based = True

    def norms(self, keys: NDArray[np.float32]) -> None:
        """Return None: a dot product needs none."""

    def prepare(self, cues: NDArray[np.float64], known: NDArray[np.bool_] | None, keys: KeyStatistics) -> Cues:
        """Scale the cues by ``1/σ²``."""
        mask = None if known is None else known.astype(np.float64)
        scale = keys.scale("power", mask)
        return Cues(cues, mask, scale, keys.unrelated(mask), 1.0, (cues / scale[:, None]).astype(np.float32), None)

    def scores(self, cues: Cues, keys: NDArray[np.float32], norms: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return one matrix product."""
        return products(cues.scan, keys)

    def rounding(self, cues: Cues, longest: float) -> NDArray[np.float64]:
        """Return ``(d + 4)·u·‖q‖‖k‖/σ²``."""
        d = cues.exact.shape[1]
        return np.asarray((d + 4) * UNIT * lengths(cues.exact) * longest / cues.scale)

    def cue_energy(self, cues: Cues) -> NDArray[np.float64]:
        """Return ``½‖q‖²/σ²``, which holds the cue back where the dot product alone would let it grow."""
        return np.asarray(0.5 * lengths(cues.exact) ** 2 / cues.scale)

    def exact(
        self,
        cues: NDArray[np.float64],
        known: NDArray[np.float64] | None,
        scale: NDArray[np.float64],
        keys: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return ``k·q/σ²``; the cue is 0 where unknown."""
        return np.asarray(np.einsum("pd,pd->p", cues, keys) / scale)

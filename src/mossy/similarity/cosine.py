"""Cosine: the angle between key and cue, as vector search uses it."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.similarity.base import LEAST, UNIT, Cues, KeyStatistics, Similarity, products

__all__ = ["Cosine"]


@final
class Cosine(Similarity):
    """``sim = Σ_known k_j q_j / (‖k‖_known ‖q‖_known)``, from -1 to 1; 0 where one of the two has no length.

    Keys that are multiples of each other are the same to it.

    By default β is 2,000, and a key is recognised from ``1 - (1 - c)/4``, with ``c`` the cosine to expect of
    unrelated keys.
    """

    name = "cosine"
    beta = 2000.0
    reflexive = True
    zero_based = True

    def norms(self, keys: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return ``1/‖k‖``, or 0 for a key of zeros."""
        return _inverse_length(np.einsum("nd,nd->n", keys, keys, dtype=np.float64)).astype(np.float32)

    def prepare(self, cues: NDArray[np.float64], known: NDArray[np.bool_] | None, keys: KeyStatistics) -> Cues:
        """Scale the cues to the length 1 over the known entries."""
        mask = None if known is None else known.astype(np.float64)
        unit = cues * _inverse_length(np.einsum("cd,cd->c", cues, cues))[:, None]
        scan = None if mask is None else mask.astype(np.float32)
        return Cues(cues, mask, np.ones(1), keys.unrelated(mask), 1.0, unit.astype(np.float32), scan)

    def scores(self, cues: Cues, keys: NDArray[np.float32], norms: NDArray[Any] | None) -> NDArray[np.float32]:
        """Return a matrix product over the lengths of the keys; with a mask, over their lengths under it."""
        product = products(cues.scan, keys)
        if cues.mask is not None:
            product *= _inverse_length(cues.mask @ np.square(keys).T)
        elif norms is not None:
            product *= norms
        return product

    def rounding(self, cues: Cues, longest: float) -> NDArray[np.float64]:
        """Return ``2(d + 4)·u``: both factors have at most the length 1."""
        return np.full(len(cues.exact), 2 * (cues.exact.shape[1] + 4) * UNIT)

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
        """Return the cosine over the known entries."""
        keys = keys if known is None else keys * known
        cue_squares, key_squares = np.einsum("pd,pd->p", cues, cues), np.einsum("pd,pd->p", keys, keys)
        there = np.minimum(cue_squares, key_squares) > LEAST
        product = np.einsum("pd,pd->p", cues, keys)
        return np.asarray(there * product / np.sqrt(np.where(there, cue_squares * key_squares, 1)))


def _inverse_length(squares: NDArray[Any]) -> NDArray[Any]:
    """Return ``1/√squares``, 0 where there is as good as no length."""
    there = squares > LEAST
    return np.asarray(there / np.sqrt(np.where(there, squares, 1)), squares.dtype)

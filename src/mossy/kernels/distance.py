"""Compiled distances. Arrays in, arrays out, no errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["absolute"]

Float32s = NDArray[np.float32]


@compiled(reassociate=True)
def absolute(cues: Float32s, mask: Float32s, keys: Float32s) -> Float32s:
    """Return ``Σ_j mask_j·|keys_ij - cues_cj|`` as ``(c, n)``; the mask is ``(c, d)`` or ``(1, d)``."""
    total = np.empty((len(cues), len(keys)), np.float32)
    for i in range(keys.shape[0]):
        for c in range(cues.shape[0]):
            m = c % mask.shape[0]
            gap = np.float32(0.0)
            for j in range(keys.shape[1]):
                gap += mask[m, j] * abs(keys[i, j] - cues[c, j])
            total[c, i] = gap
    return total

"""A random rotation in D log D steps: signs are flipped, then halves are added and subtracted (Hadamard), thrice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["rotate", "rotate_all"]

Array = NDArray[Any]


@compiled(reassociate=True)
def _hadamard(x: Array, first: int, n: int) -> None:
    """Apply the orthonormal Walsh–Hadamard transform to ``x[first : first + n]``, ``n`` a power of two."""
    h = 1
    while h < n:
        for low in range(first, first + n, 2 * h):
            for j in range(low, low + h):
                a, b = x[j], x[j + h]
                x[j] = a + b
                x[j + h] = a - b
        h *= 2
    scale = np.float32(1.0 / np.sqrt(n))
    for j in range(first, first + n):
        x[j] *= scale


@compiled(reassociate=True)
def rotate(x: Array, signs: Array) -> None:
    """Rotate ``x (D,)`` in place; the signs are ``(rounds, D)``.

    Where D is no power of two, the rounds take turns on the first and the last ``2^j`` entries, so that all mix.
    """
    size = x.shape[0]
    head = 1
    while 2 * head <= size:
        head *= 2
    for r in range(signs.shape[0]):
        for j in range(size):
            x[j] *= signs[r, j]
        _hadamard(x, 0 if r % 2 == 0 else size - head, head)


@compiled()
def rotate_all(patterns: Array, scales: Array, signs: Array, out: Array) -> None:
    """Write each of ``patterns (n, d)``, times its scale ``(n,)``, rotated, into ``out (n, D)``."""
    d = patterns.shape[1]
    for i in range(patterns.shape[0]):
        x = out[i]
        x[d:] = 0
        for j in range(d):
            x[j] = patterns[i, j] * scales[i]
        rotate(x, signs)

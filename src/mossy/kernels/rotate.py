"""A random rotation in D log D steps: signs are flipped, then halves are added and subtracted (Hadamard), thrice."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["rotate", "rotate_all"]

Array = NDArray[Any]


@compiled(reassociate=True)
def _eight(x: Array, low: int) -> None:
    """Transform ``x[low : low + 8]``: three rounds in registers."""
    a, b, c, d = x[low] + x[low + 4], x[low + 1] + x[low + 5], x[low + 2] + x[low + 6], x[low + 3] + x[low + 7]
    e, f, g, h = x[low] - x[low + 4], x[low + 1] - x[low + 5], x[low + 2] - x[low + 6], x[low + 3] - x[low + 7]
    a, b, c, d = a + c, b + d, a - c, b - d
    e, f, g, h = e + g, f + h, e - g, f - h
    x[low], x[low + 1], x[low + 2], x[low + 3] = a + b, a - b, c + d, c - d
    x[low + 4], x[low + 5], x[low + 6], x[low + 7] = e + f, e - f, g + h, g - h


@compiled(reassociate=True)
def _hadamard(x: Array) -> None:
    """Apply the orthonormal Walsh–Hadamard transform to ``x (n,)``, ``n`` a power of two from 8 on."""
    n = x.shape[0]
    for low in range(0, n, 8):
        _eight(x, low)
    h = 8
    while h < n:
        for low in range(0, n, 2 * h):
            first, second = x[low : low + h], x[low + h : low + 2 * h]
            for j in range(h):
                a, b = first[j], second[j]
                first[j] = a + b
                second[j] = a - b
        h *= 2


@compiled(reassociate=True)
def rotate(x: Array, signs: Array) -> None:
    """Rotate ``x (D,)`` in place; the signs are ``(rounds, D)``.

    Where D is no power of two, the rounds take turns on the first and the last ``2^j`` entries, so that all mix.
    """
    size = x.shape[0]
    head = 1
    while 2 * head <= size:
        head *= 2
    scale = np.float32(1.0 / np.sqrt(head))
    for r in range(signs.shape[0]):
        flips = signs[r]
        for j in range(size):
            x[j] *= flips[j]
        part = x[:head] if r % 2 == 0 else x[size - head :]
        _hadamard(part)
        for j in range(head):
            part[j] *= scale


@compiled()
def rotate_all(patterns: Array, scales: Array, signs: Array, out: Array) -> None:
    """Write each of ``patterns (n, d)``, times its scale ``(n,)``, rotated, into ``out (n, D)``."""
    d = patterns.shape[1]
    for i in range(patterns.shape[0]):
        x, pattern, scale = out[i], patterns[i], scales[i]
        for j in range(d):
            x[j] = pattern[j] * scale
        for j in range(d, x.shape[0]):
            x[j] = 0
        rotate(x, signs)

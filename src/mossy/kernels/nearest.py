"""The nearest of many centres: by the signs of their entries first, then exactly among the few that are most alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled
from mossy.kernels.instructions import population

__all__ = ["nearest", "shortlist", "signs"]

Array = NDArray[Any]

COMPARED = 48  # centres that are compared exactly, and those that are as much alike as the last of them


@compiled(reassociate=True)
def _score(pattern: Array, centre: Array, half: Any) -> Any:
    """Return ``x·c - ½‖c‖²``, which is greatest for the nearest centre."""
    total = np.float32(0)
    for j in range(pattern.shape[0]):
        total += pattern[j] * centre[j]
    return total - half


@compiled()
def signs(patterns: Array, middle: Array, out: Array) -> None:
    """Write for each entry of ``patterns (n, D)`` whether it exceeds ``middle (D,)`` into bits ``out (n, D/64)``."""
    for i in range(patterns.shape[0]):
        for w in range(out.shape[1]):
            word = np.uint64(0)
            for bit in range(64):
                word |= np.uint64(patterns[i, 64 * w + bit] > middle[64 * w + bit]) << np.uint64(bit)
            out[i, w] = word


@compiled()
def _count_unlike(bits: Array, word: Array, out: Array) -> None:
    """Write in how many bits each of ``bits (W, n)`` differs from ``word (W,)`` into ``out (n,)``."""
    words, n = bits.shape[0], out.shape[0]
    out[:] = 0
    for w in range(0, words - 3, 4):  # four words at a time, so that sums stay in registers
        a, b, c, d = word[w], word[w + 1], word[w + 2], word[w + 3]
        for i in range(n):
            here = population(bits[w, i] ^ a) + population(bits[w + 1, i] ^ b)
            out[i] += here + population(bits[w + 2, i] ^ c) + population(bits[w + 3, i] ^ d)
    for w in range(words - words % 4, words):
        for i in range(n):
            out[i] += population(bits[w, i] ^ word[w])


@compiled()
def shortlist(bits: Array, word: Array, few: int, unlike: Array, tally: Array, out: Array) -> int:
    """Write which of ``bits (W, C)`` differ least from ``word (W,)`` into ``out``, and return how many these are.

    They are at least ``few`` (at most C), and those that differ as little as the last of them. ``unlike (C,)`` and
    ``tally (64 W + 1,)`` are room.
    """
    _count_unlike(bits, word, unlike)
    tally[:] = 0
    for c in range(unlike.shape[0]):
        tally[unlike[c]] += 1
    cut, n = 0, tally[0]
    while n < few and cut + 1 < tally.shape[0]:
        cut += 1
        n += tally[cut]
    n = 0
    for c in range(unlike.shape[0]):
        out[n] = c
        n += unlike[c] <= cut
    return int(n)


@compiled()
def nearest(patterns: Array, middle: Array, centres: Array, halves: Array, bits: Array, out: Array) -> None:
    """Write the nearest of ``centres (C, D)`` for each of ``patterns (n, D)`` into ``out (n,)``, seldom the next.

    ``halves (C,)`` are ``½‖c‖²``, ``bits (D/64, C)`` the signs of the centres about ``middle (D,)``.
    """
    words = np.empty((patterns.shape[0], bits.shape[0]), np.uint64)
    signs(patterns, middle, words)
    unlike, alike = np.empty(centres.shape[0], np.uint16), np.empty(centres.shape[0] + 1, np.int32)
    tally = np.empty(64 * bits.shape[0] + 1, np.int64)
    for i in range(patterns.shape[0]):
        best = np.float32(-np.inf)
        for c in alike[: shortlist(bits, words[i], COMPARED, unlike, tally, alike)]:
            score = _score(patterns[i], centres[c], halves[c])
            if score > best:
                best, out[i] = score, c

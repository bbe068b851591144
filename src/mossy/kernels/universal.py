"""NH: a keyed hash of blocks, for which the chance that two inputs meet is known, whoever chose them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["BLOCK", "KEYS", "universal"]

Array = NDArray[Any]

BLOCK = 1024  # words of 32 bits that are hashed together
KEYS = BLOCK // 2 + 3  # words in each row of the key


@compiled(reassociate=True)
def universal(words: Array, key: Array, out: Array) -> None:
    r"""Write four hashes of each block of ``words (n, B, BLOCK)`` into ``out (n, B, 4)``.

    ``h_t = Σ_j (x_j + a_{j+t}) (y_j + b_{j+t})``, ``t = 0 … 3``: x and y are the halves of a block, a and b the rows of
    ``key (2, KEYS)``; words and keys are ``uint32``, sums in brackets modulo 2³², the outer sum modulo 2⁶⁴ (NH with a
    Toeplitz key, Black, Halevi, Krawczyk, Krovetz & Rogaway 1999, "UMAC", CRYPTO, sections 4.1 and 4.2). For two
    blocks that differ, the chance over the key that all four are equal is at most 2⁻¹²⁸.
    """
    half = words.shape[2] // 2
    for i in range(words.shape[0]):
        for b in range(words.shape[1]):
            x, y = words[i, b, :half], words[i, b, half:]
            h0, h1, h2, h3 = np.uint64(0), np.uint64(0), np.uint64(0), np.uint64(0)
            for j in range(half):
                h0 += np.uint64(np.uint32(x[j] + key[0, j])) * np.uint64(np.uint32(y[j] + key[1, j]))
                h1 += np.uint64(np.uint32(x[j] + key[0, j + 1])) * np.uint64(np.uint32(y[j] + key[1, j + 1]))
                h2 += np.uint64(np.uint32(x[j] + key[0, j + 2])) * np.uint64(np.uint32(y[j] + key[1, j + 2]))
                h3 += np.uint64(np.uint32(x[j] + key[0, j + 3])) * np.uint64(np.uint32(y[j] + key[1, j + 3]))
            out[i, b, 0], out[i, b, 1], out[i, b, 2], out[i, b, 3] = h0, h1, h2, h3

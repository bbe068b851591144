"""NH: a keyed hash of blocks, for which the chance that two inputs meet is known, whoever chose them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["HASHES", "PAIRS", "universal"]

Array = NDArray[Any]

PAIRS = 512  # pairs of 32-bit words in a block
HASHES = 4  # of each block

LOW, HALF = np.uint64(0xFFFFFFFF), np.uint64(32)


@compiled(reassociate=True)
def universal(words: Array, key: Array, out: Array) -> None:
    r"""Write four hashes of each block of ``words (n, B, PAIRS)`` into ``out (n, B, HASHES)``.

    ``h_t = Σ_j (x_j + a_{j+t}) (y_j + b_{j+t})``, ``t = 0 … 3``: x and y are the halves of a 64-bit word, a and b the
    rows of ``key (2, PAIRS + 3)``, all of 32 bits in ``uint64``; sums in brackets are modulo 2³², the outer sum modulo
    2⁶⁴ (NH with a Toeplitz key: Black, Halevi, Krawczyk, Krovetz & Rogaway 1999, "UMAC", CRYPTO,
    doi:10.1007/3-540-48405-1_14, section 4). For two blocks that differ, the chance over the key that all four are
    equal is at most 2⁻¹²⁸.
    """
    for i in range(words.shape[0]):
        for b in range(words.shape[1]):
            block = words[i, b]
            for t in range(out.shape[2]):  # the block is in the nearest cache, and so few sums stay in registers
                total = np.uint64(0)
                for j in range(block.shape[0]):
                    total += ((block[j] + key[0, j + t]) & LOW) * (((block[j] >> HALF) + key[1, j + t]) & LOW)
                out[i, b, t] = total

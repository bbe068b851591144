"""The sketch of a pattern, as loops copied from its equations."""

from __future__ import annotations

import math


def hadamard(x):
    """The Walsh–Hadamard transform ``H x / √n``, ``H_ij = (-1)^popcount(i AND j)``."""
    n = len(x)
    return [sum((-1) ** bin(i & j).count("1") * x[j] for j in range(n)) / math.sqrt(n) for i in range(n)]


def rotated(x, signs):
    """Signs are flipped, then the first (in every other round the last) 2^j entries are transformed."""
    x, head = list(x) + [0.0] * (len(signs[0]) - len(x)), 1
    while 2 * head <= len(x):
        head *= 2
    for r, flips in enumerate(signs):
        x = [a * b for a, b in zip(x, flips, strict=True)]
        if r % 2 == 0:
            x = hadamard(x[:head]) + x[head:]
        else:
            x = x[: len(x) - head] + hadamard(x[len(x) - head :])
    return x


def sketch(x, centre, signs):
    """Return the bits, ``r`` and ``f = r²/Σ|o_j|`` of ``o = R(x - c)``."""
    o = rotated([a - b for a, b in zip(x, centre, strict=True)], signs)
    square, total = sum(a * a for a in o), sum(abs(a) for a in o)
    return [a > 0 for a in o], math.sqrt(square), square / total if total else 0.0


def estimate(bits, f, z, signs):
    """Return ``f·Σ_j b_j (Rz)_j`` with ``b_j = ±1``, which estimates ``<x - c, z>``."""
    return f * sum((1 if bit else -1) * a for bit, a in zip(bits, rotated(z, signs), strict=True))

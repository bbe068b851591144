"""What a calibration counts, as loops: streams that are looked up one by one, and binomial sums."""

from math import comb

import numpy as np


def near_hits(inputs, tolerance):
    """Return pairs: an input that is a near hit, and the stored one that it takes the output of."""
    stored, pairs = [], []
    for i, x in enumerate(inputs):
        distances = [np.sqrt(np.mean((x - inputs[j]) ** 2)) for j in stored]
        if distances and min(distances) <= tolerance:
            pairs.append((i, stored[int(np.argmin(distances))]))
        else:
            stored.append(i)
    return pairs


def at_most(false, n, p):
    """Return P(X ≤ false) of the binomial distribution."""
    return sum(comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(false + 1))


def block_hash(words, key):
    """Return the four sums of NH with a Toeplitz key over a block of pairs of 32-bit words."""
    x, y = [int(word) % 2**32 for word in words], [int(word) >> 32 for word in words]
    a, b = [int(word) for word in key[0]], [int(word) for word in key[1]]
    sums = []
    for t in range(4):
        products = [((x[j] + a[j + t]) % 2**32) * ((y[j] + b[j + t]) % 2**32) for j in range(len(words))]
        sums.append(sum(products) % 2**64)
    return sums

"""The similarities as loops over entries, in the scale of the stored keys."""

import math
from statistics import median


def sample(keys: list[list[float]]) -> list[list[float]]:
    """Return the keys by which similarities are scaled: of the first, without those that are very long."""
    n = len(keys)
    first = n if n <= 64 else 2 ** int(math.log2(n))
    taken = [keys[i] for i in range(0, first, max(first // 1024, 1))]
    squares = [sum(x * x for x in key) for key in taken]
    usual = [key for key, square in zip(taken, squares, strict=True) if square <= 25 * median(squares)]
    return usual or taken


def moments(keys: list[list[float]]) -> tuple[list[float], list[float]]:
    """Return the variance and the mean square of each entry of the sampled keys."""
    keys = sample(keys)
    n, d = len(keys), len(keys[0])
    variance, power = [], []
    for j in range(d):
        mean = sum(key[j] for key in keys) / n
        variance.append(sum((key[j] - mean) ** 2 for key in keys) / n)
        power.append(sum(key[j] ** 2 for key in keys) / n)
    return variance, power


def similarity(
    name: str, keys: list[list[float]], key: list[float], cue: list[float], known: list[bool] | None
) -> float:
    """Return how well ``key`` fits ``cue`` over the known entries; ``keys`` are all that is stored."""
    d = len(key)
    entries = [j for j in range(d) if known is None or known[j]]
    variance, power = moments(keys)
    if name == "cosine":
        k2 = sum(key[j] ** 2 for j in entries)
        q2 = sum(cue[j] ** 2 for j in entries)
        if k2 == 0 or q2 == 0:
            return 0.0
        return sum(key[j] * cue[j] for j in entries) / math.sqrt(k2 * q2)
    if name == "dot":
        scale = sum(power[j] for j in entries) or 1.0
        return sum(key[j] * cue[j] for j in entries) / scale
    if name == "euclidean":
        scale = sum(variance[j] for j in entries) or sum(power[j] for j in entries) or 1.0
        return -0.5 * sum((key[j] - cue[j]) ** 2 for j in entries) / scale
    if name == "manhattan":
        spread = sum(math.sqrt(variance[j]) for j in entries)
        scale = spread or sum(math.sqrt(power[j]) for j in entries) or 1.0
        return -sum(abs(key[j] - cue[j]) for j in entries) / scale
    raise KeyError(name)

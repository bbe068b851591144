"""The separations as loops; the thresholds of sparsemax and entmax by bisection."""

import math

SILENT = 24 * math.log(2)


def softmax(e: list[float]) -> list[float]:
    """``a_i = exp(e_i)/Σ_j exp(e_j)`` over ``n`` memories; 0 more than ``24 ln 2 + ln n`` below the best."""
    top = max(e)
    there = sum(1 for x in e if math.isfinite(x))
    raw = [math.exp(x - top) if x - top >= -(SILENT + math.log(there)) else 0.0 for x in e]
    return [x / sum(raw) for x in raw]


def _threshold(total, low: float, high: float) -> float:
    """Return the ``τ`` at which the falling function ``total`` is 1."""
    for _ in range(200):
        middle = (low + high) / 2
        if total(middle) > 1:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def sparsemax(e: list[float]) -> list[float]:
    """``a_i = [e_i - τ]₊`` with ``Σ a = 1``."""
    top = max(e)
    e = [x - top for x in e]
    tau = _threshold(lambda t: sum(max(x - t, 0.0) for x in e), -1.0, 0.0)
    return [max(x - tau, 0.0) for x in e]


def entmax(e: list[float]) -> list[float]:
    """``a_i = [e_i/2 - τ]₊²`` with ``Σ a = 1``."""
    top = max(e)
    e = [(x - top) / 2 for x in e]
    tau = _threshold(lambda t: sum(max(x - t, 0.0) ** 2 for x in e), -1.0, 0.0)
    return [max(x - tau, 0.0) ** 2 for x in e]


def winner(e: list[float]) -> list[float]:
    """Return 1 for the first of the greatest, else 0."""
    best = 0
    for i, x in enumerate(e):
        if x > e[best]:
            best = i
    return [1.0 if i == best else 0.0 for i in range(len(e))]


def polynomial(e: list[float], power: float = 10.0) -> list[float]:
    """``a_i = [e_i]₊^p / Σ_j [e_j]₊^p``; nothing where no evidence is above 0."""
    top = max(e)
    if top <= 0:
        return [0.0 for _ in e]
    raw = [(x / top) ** power if x > 0 else 0.0 for x in e]
    return [x / sum(raw) for x in raw]


def linear(e: list[float]) -> list[float]:
    """``a_i = e_i / Σ_j |e_j|``, where ``-inf`` counts as 0."""
    e = [x if math.isfinite(x) else 0.0 for x in e]
    total = sum(abs(x) for x in e)
    return [x / total if total > 0 else 0.0 for x in e]


def conjugate(name: str, e: list[float], power: float = 10.0) -> float:
    """``Ω*(e)``: ``max_a a·e - Ω(a)`` over distributions, or the sum of powers where that is what defines it."""
    e = [x for x in e if math.isfinite(x)]
    if name == "softmax":
        return max(e) + math.log(sum(math.exp(x - max(e)) for x in e))
    if name == "winner":
        return max(e)
    if name == "linear":
        return sum(x * x for x in e) / 2
    if name == "polynomial":
        return sum(max(x, 0.0) ** (power + 1) for x in e) / (power + 1)
    a = {"sparsemax": sparsemax, "entmax": entmax}[name](e)
    fit = sum(x * y for x, y in zip(a, e, strict=True))
    if name == "sparsemax":
        return fit - (sum(x * x for x in a) - 1) / 2
    return fit - 4 / 3 * (sum(x**1.5 for x in a) - 1)


SEPARATIONS = {
    "linear": linear,
    "polynomial": polynomial,
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax": entmax,
    "winner": winner,
}

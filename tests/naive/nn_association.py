"""Retrieval as loops, copied from its equation: one head of one item at a time, in float64."""

import math

from tests.naive.separation import SEPARATIONS

Row = list[float]


def similar(name: str, q: Row, k: Row, counts: list[bool]) -> float:
    """``Σ q_j k_j``, or ``-½ Σ (q_j - k_j)²``, over the entries that count."""
    pairs = [(x, y) for x, y, c in zip(q, k, counts, strict=True) if c]
    return sum(x * y if name == "dot" else -0.5 * (x - y) ** 2 for x, y in pairs)


def activity(
    q: Row,
    keys: list[Row],
    beta: float,
    separation: str,
    allowed: list[bool],
    counts: list[bool] | None = None,
    similarity: str = "dot",
) -> Row:
    """``a = separation(β sim(q, k_i))``; a key that may not be read has the evidence ``-inf``."""
    counts = [True] * len(q) if counts is None else counts
    evidence = [
        beta * similar(similarity, q, k, counts) if may else -math.inf for k, may in zip(keys, allowed, strict=True)
    ]
    if not any(allowed):
        return [0.0] * len(keys)
    return SEPARATIONS[separation](evidence)


def mixture(a: Row, rows: list[Row]) -> Row:
    """``Σ a_i r_i``."""
    return [sum(x * row[j] for x, row in zip(a, rows, strict=True)) for j in range(len(rows[0]))]


def retrieve(
    q: Row,
    keys: list[Row],
    values: list[Row],
    beta: float,
    separation: str = "softmax",
    steps: int = 0,
    eps: float = 0.0,
    known: list[bool] | None = None,
    allowed: list[bool] | None = None,
    similarity: str = "dot",
) -> Row:
    """``q ← Σ a_i k_i`` with the known entries clamped, at most ``steps`` times, then ``Σ a_i v_i``."""
    may = [True] * len(keys) if allowed is None else allowed
    sure = [False] * len(q) if known is None else known
    cue = q if known is None else [x if s else 0.0 for x, s in zip(q, known, strict=True)]
    q, counts = list(cue), known
    for _ in range(steps):
        new = mixture(activity(q, keys, beta, separation, may, counts, similarity), keys)
        counts = None  # after the first step the whole state is compared
        new = [c if s else x for x, c, s in zip(new, cue, sure, strict=True)]
        gap = math.sqrt(sum((x - y) ** 2 for x, y in zip(new, q, strict=True)))
        length = math.sqrt(sum(x * x for x in new))
        q = new
        if gap <= eps * length:
            break
    return mixture(activity(q, keys, beta, separation, may, counts, similarity), values)


def layer_norm(x: Row, gain: Row, offset: Row, eps: float = 1e-5) -> Row:
    """``γ (x - mean)/√(variance + ε) + β``."""
    mean = sum(x) / len(x)
    variance = sum((each - mean) ** 2 for each in x) / len(x)
    return [g * (each - mean) / math.sqrt(variance + eps) + b for each, g, b in zip(x, gain, offset, strict=True)]


def project(x: Row, weight: list[Row], bias: Row) -> Row:
    """``W x + b``."""
    return [sum(w * each for w, each in zip(row, x, strict=True)) + b for row, b in zip(weight, bias, strict=True)]

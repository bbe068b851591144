"""What stays and what is drawn, as loops from the equations of ``mossy.nn.replay``."""

from __future__ import annotations

import math

__all__ = ["loss", "odds", "staying"]


def staying(lots, codes, room):
    """Let go, from the largest class, the one of the greatest lot, until the rest fits."""
    left = set(range(len(lots)))
    while len(left) > room:
        sizes = {c: sum(codes[i] == c for i in left) for c in {codes[i] for i in left}}
        largest = [i for i in left if sizes[codes[i]] == max(sizes.values())]
        left.remove(max(largest, key=lambda i: lots[i]))
    return sorted(left)


def odds(weights, codes):
    """``w_i / Σ_{j in c} w_j``, summing to 1."""
    classes = set(codes)
    sums = {c: sum(w for w, k in zip(weights, codes, strict=True) if k == c) for c in classes}
    return [w / sums[c] / len(classes) for w, c in zip(weights, codes, strict=True)]


def loss(outputs, y, new, logits, match):
    """Cross-entropy of the new among their own classes, of the old among all, and the squares to what was stored."""
    total, own = 0.0, sorted(set(y[:new]))
    old = len(outputs) - new
    for i, z in enumerate(outputs):
        among = own if i < new else range(len(z))
        total += (math.log(sum(math.exp(z[c]) for c in among)) - z[y[i]]) / (new if i < new else old)
    for z, h in zip(outputs[new:], logits, strict=True):
        total += match * sum((a - b) ** 2 for a, b in zip(z, h, strict=True)) / (old * len(z))
    return total

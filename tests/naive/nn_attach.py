"""What memories vote for, and how it is mixed in, as loops copied from the equations."""

from __future__ import annotations

import math


def votes(fit, targets, temperature, classes):
    """``p_mem(y) = Σ_{i : y_i = y} softmax(f / T)_i`` for one cue."""
    odds = [math.exp((one - max(fit)) / temperature) for one in fit]
    return [sum(o for o, t in zip(odds, targets, strict=True) if t == y) / sum(odds) for y in range(classes)]


def softmax(logits):
    odds = [math.exp(one - max(logits)) for one in logits]
    return [one / sum(odds) for one in odds]


def mixture(logits, memory, weight):
    """``ln(λ p_mem + (1 − λ) p_model)`` for one cue."""
    return [math.log(weight * m + (1 - weight) * p) for m, p in zip(memory, softmax(logits), strict=True)]


def loss(model, memory, weight):
    """Mean ``−ln(λ p_mem(y) + (1 − λ) p_model(y))``."""
    return -sum(math.log(weight * m + (1 - weight) * p) for m, p in zip(memory, model, strict=True)) / len(model)

"""Loops copied from the equations of the estimators."""

from __future__ import annotations

import math

import numpy as np


def ridge(patterns, values, ridge):
    """``argmin Σ‖v − Wφ − b‖²/n + λ s²‖W‖²``, with ``s²`` the mean variance of a unit."""
    n, p = len(patterns), len(patterns[0])
    mean = [sum(row[j] for row in patterns) / n for j in range(p)]
    centre = [sum(row[c] for row in values) / n for c in range(len(values[0]))]
    gram, cross = np.zeros((p, p)), np.zeros((len(values[0]), p))
    for row, value in zip(patterns, values, strict=True):
        for i in range(p):
            for j in range(p):
                gram[i, j] += (row[i] - mean[i]) * (row[j] - mean[j]) / n
            for c in range(len(value)):
                cross[c, i] += (value[c] - centre[c]) * (row[i] - mean[i]) / n
    shrink = ridge * np.trace(gram) / p
    weights = cross @ np.linalg.inv(gram + shrink * np.eye(p))
    return weights, np.array(centre) - weights @ np.array(mean)


def vote(keys, classes, cue, n_classes, neighbours, sharpness, doubt):
    """The probability of each class by the nearest memories."""
    gaps = [0.5 * sum((k - q) ** 2 for k, q in zip(key, cue, strict=True)) for key in keys]
    near = sorted(range(len(keys)), key=lambda i: gaps[i])[:neighbours]
    weights = [math.exp(-sharpness * (gaps[i] - gaps[near[0]])) for i in near]
    total = sum(weights)
    activity = [w / total for w in weights]
    effective = 1 / sum(a * a for a in activity)
    votes = [0.0] * n_classes
    for i, a in zip(near, activity, strict=True):
        votes[classes[i]] += a
    return [(v * effective + doubt / n_classes) / (effective + doubt) for v in votes]


def herd(x, quota):
    """Rows whose running mean stays nearest to the mean of all."""
    mean = [sum(row[j] for row in x) / len(x) for j in range(len(x[0]))]
    kept = []
    while len(kept) < quota:
        best = None
        for i in range(len(x)):
            if i in kept:
                continue
            chosen = [*kept, i]
            gap = sum((sum(x[k][j] for k in chosen) / len(chosen) - mean[j]) ** 2 for j in range(len(mean)))
            if best is None or gap < best[0] - 1e-12:
                best = (gap, i)
        kept.append(best[1])
    return kept

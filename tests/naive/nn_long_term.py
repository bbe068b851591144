"""The layer of long-term memory, as loops copied from its equations."""

from __future__ import annotations

import math

import numpy as np


def best_sums(first, second, k):
    """Return the ``k`` greatest of all sums, greatest first, with both indices."""
    sums = [(float(a + b), i, j) for i, a in enumerate(first) for j, b in enumerate(second)]
    return sorted(sums, key=lambda one: -one[0])[:k]


def layer_norm(x, weight, bias, epsilon=1e-5):
    mean = sum(x) / len(x)
    variance = sum((one - mean) ** 2 for one in x) / len(x)
    return np.array(
        [(one - mean) / math.sqrt(variance + epsilon) * w + b for one, w, b in zip(x, weight, bias, strict=True)]
    )


def learned(x, query, weight, bias, sub_keys, values, k):
    """``l(x) = Σ_heads Σ softmax(top k of q_1·c_i + q_2·c'_j) v_ij``."""
    _, heads, n, d_key = sub_keys.shape
    q = query @ x
    answer = np.zeros(values.shape[1])
    for head in range(heads):
        scores = []
        for half in range(2):
            at = (half * heads + head) * d_key
            part = layer_norm(q[at : at + d_key], weight, bias)
            scores.append([float(part @ key) for key in sub_keys[half, head]])
        best = best_sums(*scores, k)
        total = sum(math.exp(score - best[0][0]) for score, _, _ in best)
        for score, i, j in best:
            answer += math.exp(score - best[0][0]) / total * values[i * n + j]
    return answer


def with_written(x, known, keys, contents, sharpness, familiar):
    """``y = (1 − Σ a_m) l(x) + Σ a_m u_m``, with what was learned as a memory whose cosine is ``familiar``."""
    odds = [
        math.exp(sharpness * (float(x @ key) / math.sqrt(float(x @ x) * float(key @ key)) - familiar)) for key in keys
    ]
    answer = known / (1 + sum(odds))
    for each, content in zip(odds, contents, strict=True):
        answer = answer + each / (1 + sum(odds)) * content
    return answer

"""The nearest of many centres, by way of the groups that these are in."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["nearest_in_groups"]

Array = NDArray[Any]

TRIED = 10  # groups that are looked into


@compiled(reassociate=True)
def _score(pattern: Array, centre: Array, half: Any) -> Any:
    """Return ``x·c - ½‖c‖²``, which is greatest for the nearest centre."""
    total = np.float32(0)
    for j in range(pattern.shape[0]):
        total += pattern[j] * centre[j]
    return total - half


@compiled()
def nearest_in_groups(
    patterns: Array, heads: Array, head_halves: Array, centres: Array, halves: Array, starts: Array, out: Array
) -> None:
    """Write the nearest of ``centres (C, d)`` for each pattern ``(n, d)`` into ``out``: of those in the nearest groups.

    The centres of group ``g``, whose own centre is ``heads[g]``, are those from ``starts[g]`` to ``starts[g + 1]``;
    ``halves`` are ``½‖c‖²``.
    """
    groups = np.empty(TRIED, np.int64)
    scores = np.empty(TRIED, np.float32)
    for i in range(patterns.shape[0]):
        scores[:] = -np.inf
        groups[:] = 0
        for g in range(heads.shape[0]):
            score = _score(patterns[i], heads[g], head_halves[g])
            at = TRIED
            while at > 0 and scores[at - 1] < score:
                if at < TRIED:
                    scores[at], groups[at] = scores[at - 1], groups[at - 1]
                at -= 1
            if at < TRIED:
                scores[at], groups[at] = score, g
        best = np.float32(-np.inf)
        for t in range(min(TRIED, heads.shape[0])):
            for c in range(starts[groups[t]], starts[groups[t] + 1]):
                score = _score(patterns[i], centres[c], halves[c])
                if score > best:
                    best, out[i] = score, c

"""The true nearest neighbours by cosine, from NumPy products alone and not from mossy, and how many of them were found.

The similarity of a cue ``q`` and a vector ``x``, both of any length:

- ``⟨q, x⟩ / (‖q‖ ‖x‖)``, or with a mask the same over the known entries only;
- with strengths ``s_i``, the score is that similarity plus ``δ/L · ln s_i``, L = 20: mossy's prior, which is bounded,
  but not where all strengths lie within a factor ``exp(L/2)`` of each other.

A product in float32 finds the ``k + SPARE`` best of each block, float64 decides among them. An answer is right when its
true score is not below the ``k``-th best by more than ``SAME``: which of two equal vectors is returned is not asked.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SAME", "Truth", "neighbours", "prior", "score"]

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

BLOCK = 65_536  # vectors whose products are looked at together
TOGETHER = 256  # cues that are compared together
SPARE = 32  # candidates beyond k that float64 looks at
DEEPEST = 20.0  # L
SAME = 1e-6  # scores that differ by less are equal: vectors have 24 bits an entry


@dataclass(frozen=True)
class Truth:
    """The ``k`` best of each cue, best first, ``(c, k)``, with their scores in float64."""

    ids: Ids
    scores: NDArray[np.float64]

    def recall(self, found: Ids, scores: NDArray[np.float64]) -> float:
        """Return which share of the true ``k`` best is among ``found (c, k)``, whose true scores are given.

        An id below 0 is no answer; one that is named twice counts once.
        """
        right = (scores >= self.scores[:, -1:] - SAME) & (found >= 0)
        order = np.argsort(found, axis=1, kind="stable")
        ids, right = np.take_along_axis(found, order, 1), np.take_along_axis(right, order, 1)
        right[:, 1:] &= ids[:, 1:] != ids[:, :-1]
        return float(right.sum() / self.ids.size)


def prior(strengths: NDArray[np.float64], delta: float) -> NDArray[np.float64]:
    """Return what strengths ``(n,)`` add to the similarities."""
    if strengths.max() > strengths.min() * np.exp(DEEPEST / 2):
        raise ValueError("strengths: they lie so far apart that mossy's prior is clipped; the score is another then.")
    return delta / DEEPEST * np.log(strengths)


def score(
    vectors: Floats,
    cues: Floats,
    ids: Ids,
    known: NDArray[np.bool_] | None = None,
    added: NDArray[np.float64] | None = None,
) -> NDArray[np.float64]:
    """Return the true scores ``(c, m)`` of the vectors ``ids (c, m)`` for each cue; those of ids below 0 are -inf."""
    scores = np.full(ids.shape, -np.inf)
    for i, (cue, mine) in enumerate(zip(cues.astype(np.float64), ids, strict=True)):
        there = mine >= 0
        rows = vectors[mine[there]].astype(np.float64)
        if known is not None:
            rows, cue = rows * known[i], cue * known[i]
        length = np.linalg.norm(rows, axis=1) * np.linalg.norm(cue)
        scores[i, there] = rows @ cue / np.where(length > 0, length, 1)
        if added is not None:
            scores[i, there] += added[mine[there]]
    return scores


def neighbours(
    vectors: Floats,
    cues: Floats,
    k: int = 10,
    known: NDArray[np.bool_] | None = None,
    added: NDArray[np.float64] | None = None,
) -> Truth:
    """Find the ``k`` best vectors ``(n, d)`` for cues ``(c, d)``, with masks ``(c, d)`` and added scores ``(n,)``."""
    parts = [slice(first, first + TOGETHER) for first in range(0, len(cues), TOGETHER)]
    found = [_few(vectors, cues[part], k, None if known is None else known[part], added) for part in parts]
    return Truth(np.concatenate([of.ids for of in found]), np.concatenate([of.scores for of in found]))


def _few(
    vectors: Floats, cues: Floats, k: int, known: NDArray[np.bool_] | None, added: NDArray[np.float64] | None
) -> Truth:
    asked = cues if known is None else cues * known
    asked = asked / np.linalg.norm(asked, axis=1, keepdims=True)
    take = min(k + SPARE, len(vectors))
    best_ids, best = np.empty((len(cues), 0), np.int64), np.empty((len(cues), 0), np.float32)
    for first in range(0, len(vectors), BLOCK):
        part = vectors[first : first + BLOCK]
        rough = asked @ part.T
        if known is None:
            rough /= np.linalg.norm(part, axis=1)
        else:
            rough /= np.sqrt(np.maximum(known.astype(np.float32) @ np.square(part).T, 1e-30))
        if added is not None:
            rough += added[first : first + BLOCK].astype(np.float32)
        some = np.argpartition(-rough, min(take, len(part)) - 1, axis=1)[:, :take]
        best_ids = np.concatenate([best_ids, some + first], axis=1)
        best = np.concatenate([best, np.take_along_axis(rough, some, 1)], axis=1)
        if best.shape[1] > take:
            some = np.argpartition(-best, take - 1, axis=1)[:, :take]
            best_ids, best = np.take_along_axis(best_ids, some, 1), np.take_along_axis(best, some, 1)
    scores = score(vectors, cues, best_ids, known, added)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
    return Truth(np.take_along_axis(best_ids, order, 1), np.take_along_axis(scores, order, 1))

r"""Few examples that stand for many: of each class those that all others of it lie near to.

.. math::  \min_{K \subset c,\; |K| = q} \; \sum_{i \in c} \min_{k \in K} \|x_i - x_k\|

The greedy choice takes at each step what lowers the sum most: it gains at least ``1 - 1/e`` of what can be gained
(Nemhauser, Wolsey and Fisher 1978, doi:10.1007/BF01588971). Then each of those chosen gives way to the middle of what
lies nearest to it, as long as that lowers the sum (Kaufman and Rousseeuw 1990, doi:10.1002/9780470316801.ch2).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.learn.herding import quotas

__all__ = ["medoids"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float32]

PART = 2048  # examples of a class that are compared with each other
ROUNDS = 10  # in which the chosen give way, at most


def medoids(x: NDArray[np.floating], classes: NDArray[np.integer], most: int) -> Rows:
    """Return at most ``most`` rows of ``x (n, d)``, rising, shared evenly among the ``classes (n,)``.

    A class of more than 2,048 is taken in parts of no more, which follow one another, each with its share.
    """
    sizes = np.bincount(classes)
    shares = quotas(sizes, most)
    kept = []
    for code in np.flatnonzero(sizes):
        rows = np.flatnonzero(classes == code)
        parts = np.array_split(rows, -(-len(rows) // PART))
        share = np.diff(np.round(np.linspace(0, shares[code], len(parts) + 1)).astype(np.intp))
        kept += [part[_medoids(x[part], int(q))] for part, q in zip(parts, share, strict=True) if q]
    return np.sort(np.concatenate(kept))


def _medoids(x: NDArray[np.floating], q: int) -> Rows:
    if q >= len(x):
        return np.arange(len(x))
    away = _distances(x)
    kept = _greedy(away, q)
    total = away[kept].min(axis=0).sum()
    for _ in range(ROUNDS):
        nearest = away[kept].argmin(axis=0)
        middle = kept.copy()
        for place in range(q):
            mine = np.flatnonzero(nearest == place)
            if len(mine):  # not where another chosen one is equal to it
                middle[place] = mine[away[np.ix_(mine, mine)].sum(axis=1).argmin()]
        lower = away[middle].min(axis=0).sum()
        if not lower < total:
            break
        kept, total = middle, lower
    return kept


def _greedy(away: Floats, q: int) -> Rows:
    nearest = np.full(len(away), 2 * away.max() + 1, np.float32)
    kept = np.empty(q, np.intp)
    for place in range(q):
        gain = np.maximum(nearest - away, 0).sum(axis=1)
        gain[kept[:place]] = -1
        kept[place] = gain.argmax()
        nearest = np.minimum(nearest, away[kept[place]])
    return kept


def _distances(x: NDArray[np.floating]) -> Floats:
    x = x.astype(np.float64)
    squares = np.einsum("nd,nd->n", x, x)
    far = squares[:, None] + squares - 2 * (x @ x.T)
    return np.asarray(np.sqrt(np.maximum(far, 0)), np.float32)

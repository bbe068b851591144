"""Search all keys in float32 blocks for those that can still matter; the exact similarity then decides among them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.similarity.base import Cues, Similarity

__all__ = ["exact", "scan", "seen"]

SCORES = 1 << 20  # scores at once: 4 MiB; fewer and larger products leave less waiting for the threads of BLAS
ENTRIES = 1 << 21  # entries of masked keys at once
CUES = 256  # cues at once
PAIRS = 1 << 20  # entries of float64 key at once, when similarities are computed exactly
GROUP = 32  # scores whose maximum stands for them while the k-th best is sought
LOWEST = np.float32(-3.0e38)

Rows = NDArray[np.intp]


def scan(
    similarity: Similarity,
    cues: Cues,
    keys: NDArray[np.float32],
    norms: NDArray[np.float32] | None,
    bias: NDArray[np.float32] | None,
    reach: float,
    margin: NDArray[np.float64],
    k: int,
) -> tuple[Rows, Rows]:
    """Return every pair of a cue and a key that is among the ``k`` best or within ``reach`` of the best.

    A pair is returned if its score in float32 leaves that open, so there can be a few too many, never one too few.

    Parameters
    ----------
    similarity
        The similarity, by which ``cues`` were prepared.
    cues
        ``c`` prepared cues.
    keys, norms
        The stored keys ``(n, d)`` and what the similarity keeps of each ``(n,)``.
    bias
        ``(n,)``: added to the similarity of each key (a prior, in its units; ``-inf`` leaves a key out), or None.
    reach
        In units of similarity, 0 or more; infinity returns all.
    margin
        ``(c,)``: by how much two scores together can be off.
    k
        At least 1.

    Returns
    -------
    tuple
        The cue and the row of each pair, ordered by cue, then by row.
    """
    found = [
        _scan(
            similarity, cues.part(slice(first, first + CUES)), keys, norms, bias, reach, margin[first : first + CUES], k
        )
        for first in range(0, len(cues.exact), CUES)
    ]
    if len(found) == 1:
        return found[0]
    which = np.concatenate([pair[0] + CUES * i for i, pair in enumerate(found)])
    return which, np.concatenate([pair[1] for pair in found])


def _scan(
    similarity: Similarity,
    cues: Cues,
    keys: NDArray[np.float32],
    norms: NDArray[np.float32] | None,
    bias: NDArray[np.float32] | None,
    reach: float,
    margin: NDArray[np.float64],
    k: int,
) -> tuple[Rows, Rows]:
    c, n = len(cues.exact), len(keys)
    block = min(max(SCORES // c, 4096), 65_536)
    if cues.known is not None:
        block = min(block, max(ENTRIES // keys.shape[1], 256))  # what is made of the keys stays in the cache
    top = np.full((c, k), -np.inf, np.float32)
    floor = np.full(c, LOWEST)
    hits: list[tuple[Rows, Rows, NDArray[np.float32]]] = []
    for first in range(0, n, block):
        part = slice(first, min(first + block, n))
        scores = similarity.scores(cues, *seen(similarity, cues, keys[part], None if norms is None else norms[part]))
        if bias is not None:
            scores += bias[part]
        peak = scores.max(axis=1)
        top = _best(top, scores, peak, k)
        lowest = np.minimum(top[:, -1], top[:, 0] - reach) - margin
        floor = np.maximum(lowest, LOWEST).astype(np.float32)
        open_ = np.flatnonzero(peak >= floor)
        near = scores >= floor[:, None] if len(open_) == c else scores[open_] >= floor[open_, None]
        which, row = np.divmod(np.flatnonzero(near), scores.shape[1])  # faster than np.nonzero of two axes
        which = open_[which]
        hits.append((which, row + first, scores[which, row]))
    if len(hits) == 1:
        return hits[0][:2]
    which, row, score = (np.concatenate([hit[i] for hit in hits]) for i in range(3))
    kept = score >= floor[which]
    which, row = which[kept], row[kept]
    order = np.argsort(which, kind="stable")
    return which[order], row[order]


def _best(
    top: NDArray[np.float32], scores: NDArray[np.float32], peak: NDArray[np.float32], k: int
) -> NDArray[np.float32]:
    """Return ``(c, k)``, falling: the best score so far, and a bound that at least ``k`` scores reach last."""
    if k == 1:
        return np.maximum(top, peak[:, None])
    c, n = scores.shape
    whole = n - n % GROUP if n >= 4 * GROUP * k else 0
    groups = scores[:, :whole].reshape(c, whole // GROUP, GROUP).max(axis=2)
    both = np.concatenate([top, groups, scores[:, whole:]], axis=1)
    return -np.sort(-np.partition(both, both.shape[1] - k, axis=1)[:, -k:], axis=1)


def seen(
    similarity: Similarity, cues: Cues, keys: NDArray[np.float32], norms: NDArray[np.float32] | None
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return keys and norms as cues with a shared mask see them: the known columns, and the norms of these."""
    if cues.columns is None:
        return keys, norms
    keys = keys.take(cues.columns, axis=1)
    return keys, similarity.norms(keys)


def exact(
    similarity: Similarity, cues: Cues, keys: NDArray[np.float32], which: Rows, rows: Rows
) -> NDArray[np.float64]:
    """Return the exact similarity, in float64, of each pair of the cue ``which`` and the key in ``rows``."""
    found = np.empty(len(rows))
    step = max(PAIRS // keys.shape[1], 1)
    for first in range(0, len(rows), step):
        part = slice(first, first + step)
        mine = which[part]
        known, scale = cues.known, cues.scale
        if known is not None and len(known) > 1:
            known = known[mine]
        if len(scale) > 1:
            scale = scale[mine]
        cue = cues.exact if len(cues.exact) == 1 else cues.exact[mine]
        found[part] = similarity.exact(cue, known, scale, keys[rows[part]].astype(np.float64))
    return found

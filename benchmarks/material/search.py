"""Exact search in float64, written from the formulas and not from mossy: what a recall must agree with.

For each cue ``q`` and key ``k``, over the known entries only:

- euclidean: ``-Σ (k - q)²``
- manhattan: ``-Σ |k - q|``
- dot: ``Σ k·q``
- cosine: ``Σ k·q / (‖k‖ ‖q‖)``, 0 where one of the two has no length
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
SAME = 1e-12  # fits that differ by less, relative to the terms they are summed from, are equally good
NEAR = 1e-7  # what the expanded square leaves open is computed again from the differences


@dataclass(frozen=True)
class Found:
    """The best key of each cue ``(c,)``, and all that are equally good, as a list of rows for each cue."""

    best: NDArray[np.intp]
    equal: list[NDArray[np.intp]]

    def agrees(self, rows: NDArray[np.intp]) -> NDArray[np.bool_]:
        """Return whether each row is the best of its cue, or as good as the best."""
        return np.array([row in equal for row, equal in zip(rows, self.equal, strict=True)])

    @property
    def ties(self) -> int:
        """The number of cues for which several keys are equally good."""
        return sum(len(equal) > 1 for equal in self.equal)


def search(similarity: str, keys: Floats, cues: Floats, known: NDArray[np.bool_] | None = None) -> Found:
    """Return the best keys ``(n, d)`` for cues ``(c, d)`` with a mask ``(d,)`` or ``(c, d)``, exactly."""
    if known is not None and known.ndim == 1:  # one mask for all: leave the unknown entries out
        keys, cues, known = keys[:, known], cues[:, known], None
    step = max(1, 20_000_000 // len(keys))
    parts = [slice(first, first + step) for first in range(0, len(cues), step)]
    equal = [
        rows
        for part in parts
        for rows in _equally_good(similarity, keys, cues[part], None if known is None else known[part])
    ]
    return Found(np.array([rows[0] for rows in equal]), equal)


def _equally_good(
    similarity: str, keys: Floats, cues: Floats, known: NDArray[np.bool_] | None
) -> list[NDArray[np.intp]]:
    if known is not None:
        cues = cues * known
    if similarity == "manhattan":
        fit, size = _manhattan(keys, cues, known)
    elif similarity == "euclidean":
        return _euclidean(keys, cues, known)
    else:
        fit = cues @ keys.T
        size = np.abs(cues) @ np.abs(keys).max(axis=0)
        if similarity == "cosine":
            squares = (keys**2).sum(axis=1)[None] if known is None else known @ (keys**2).T
            with np.errstate(divide="ignore"):
                fit *= np.where(squares > 0, 1 / np.sqrt(squares), 0)
            size = np.linalg.norm(cues, axis=1)
    top = fit.max(axis=1)
    return [np.flatnonzero(fit[i] >= top[i] - SAME * size[i]) for i in range(len(cues))]


def _manhattan(keys: Floats, cues: Floats, known: NDArray[np.bool_] | None) -> tuple[Floats, Floats]:
    if known is None:
        from scipy.spatial.distance import cdist

        fit = -cdist(cues, keys, "cityblock")
    else:
        fit = np.stack([-np.abs(keys[:, mine] - cue[mine]).sum(axis=1) for cue, mine in zip(cues, known, strict=True)])
    return fit, np.abs(cues).sum(axis=1) + np.abs(keys).sum(axis=1).max()


def _euclidean(keys: Floats, cues: Floats, known: NDArray[np.bool_] | None) -> list[NDArray[np.intp]]:
    squares = (keys**2).sum(axis=1)[None] if known is None else known @ (keys**2).T
    rough = 2 * cues @ keys.T - squares
    size = (cues**2).sum(axis=1) + squares.max()
    near = rough >= (rough.max(axis=1) - NEAR * size)[:, None]
    found = []
    for i, cue in enumerate(cues):
        rows = np.flatnonzero(near[i])
        gap = keys[rows] - cue if known is None else (keys[rows] - cue) * known[i]
        fit = -(gap**2).sum(axis=1)
        found.append(rows[fit >= fit.max() - SAME * size[i]])
    return found

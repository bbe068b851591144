"""The common case, with a tenth of the array operations: one cue, which one memory alone can answer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.recall.evidence import Settings, prior
from mossy.similarity import Cues
from mossy.strength import Fading, Strengths
from mossy.substrate.index import Index

__all__ = ["lone"]

LARGEST = 16_384  # rows in one block of scores

Rows = NDArray[np.intp]
FIRST: Rows = np.zeros(1, np.intp)


def lone(
    index: Index, strengths: Strengths, cues: Cues, settings: Settings, now: float
) -> tuple[Rows, float, float, Fading | None] | None:
    """Return the row, the similarity, the prior and the fading of the only memory that can be active.

    None if there may be more.

    All other keys lie so far below the best that no prior and no rounding can bring them within the separation's reach.
    The numbers are those of ``gather``.
    """
    n = index.rows
    if n > LARGEST or len(index.silent) or not index.separation.shift_invariant:
        return None
    scores = index.scores(cues)[0]
    row = int(scores.argmax())
    margin = 2 * float(index.rounding(cues)[0]) + settings.delta
    floor = float(scores[row]) - index.separation.reach(n) / index.beta - 1.0001 * margin
    if np.count_nonzero(scores >= floor) > 1:
        return None
    rows: Rows = np.array([row])
    fit = float(index.exact(cues, FIRST, rows)[0])
    if settings.delta == 0:
        return rows, fit, 0.0, None
    strongest = float(strengths.log_all(now).max())
    fading = strengths.fading(rows, now)
    return rows, fit, float(prior(fading[0], strongest, index.beta, settings.delta)[0]), fading

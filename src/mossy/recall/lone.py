"""The common case, with a tenth of the array operations: one cue, which one memory alone can answer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mossy.recall.evidence import Settings
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["Lone", "lone"]

ROWS = 16_384  # beyond, scanning costs far more than what this saves

Rows = NDArray[np.intp]


@dataclass(slots=True)
class Lone:
    """The one memory that answers a cue: its row ``(1,)``, how it fits, its evidence, and the energy."""

    rows: Rows
    fit: float
    evidence: float
    energy: float


def lone(index: Index, cues: Cues, settings: Settings) -> Lone | None:
    """Return the only memory that can be active for one cue, or None if there may be more.

    All other keys lie so far below the best that no prior and no rounding can bring them within the separation's reach.
    As the memory that fits best, it has the prior 0. The numbers are those of ``gather``.
    """
    n = index.rows
    if n > ROWS or index.n_silent or not index.separation.shift_invariant:
        return None
    scores = index.scores(cues)[0]
    row = int(scores.argmax())
    margin = 2 * float(index.rounding(cues)[0]) + settings.delta
    floor = float(scores[row]) - index.separation.reach(n) / index.beta - 1.0001 * margin
    if np.count_nonzero(scores >= floor) > 1:
        return None
    rows: Rows = np.array([row])
    fit = float(index.similarity.exact(cues.exact, cues.known, cues.scale, index.keys[rows].astype(np.float64))[0])
    evidence = index.beta * fit
    return Lone(rows, fit, evidence, index.beta * float(index.similarity.cue_energy(cues)[0]) - evidence)

"""Dense recall over incomplete memories: each entry from the memories that know it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["BETAS", "Gain", "Memories", "fit_gain", "recall"]

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

BETAS = (10.0, 20.0, 40.0, 80.0)
CUES = 512  # cues at once


class Memories(NamedTuple):
    """Completed patterns and which of their entries are known, ``(n, d)`` both, and ``2σ²``: twice their summed variance."""

    patterns: Array
    known: Mask
    unit: float


class Gain(NamedTuple):
    """How sharply memories are recalled, and how much of what they say is taken."""

    beta: float
    share: float


def recall(memories: Memories, cues: Array, beta: float, own: NDArray[np.intp] | None = None) -> Array:
    r"""Return for each completed cue ``(c, d)`` how the memories that know an entry would change it, ``(c, d)``.

    .. math::  \frac{\sum_i a_i κ_{ij} (k_{ij} - q_j)}{\sum_i a_i κ_{ij} + e^{-β}}, \qquad
               a_i = e^{-β \lVert k_i - q\rVert^2/2σ^2}

    with ``κ_ij`` 1 where memory ``i`` knows entry ``j``, else 0. The cue counts as one more memory, as far away as an
    unrelated one. ``own (c,)``: a row that each cue does not recall.
    """
    change = np.empty_like(cues)
    knows = memories.known.astype(cues.dtype)
    said = np.where(memories.known, memories.patterns, 0).astype(cues.dtype)
    squares = np.einsum("nd,nd->n", memories.patterns, memories.patterns)
    for first in range(0, len(cues), CUES):
        part = slice(first, first + CUES)
        q = cues[part]
        apart = squares - 2 * (q @ memories.patterns.T) + np.einsum("cd,cd->c", q, q)[:, None]
        activity = np.exp(np.maximum(apart, 0, out=apart) * (-beta / memories.unit))
        if own is not None:
            activity[np.arange(len(q)), own[part]] = 0
        weight = activity @ knows
        change[part] = (activity @ said - q * weight) / (weight + np.exp(-beta))
    return change


def fit_gain(memories: Memories, cues: Array, own: NDArray[np.intp], hidden: Mask, truth: Array) -> Gain:
    """Return the gain by which entries that were hidden from the cues are recalled best.

    Parameters
    ----------
    memories
        They are not changed.
    cues
        ``(c, d)``: rows of the memories, in which some known entries are replaced by what the projection says.
    own
        ``(c,)``: which rows they are.
    hidden, truth
        ``(c, d)``: those entries, and what they were.
    """
    wanted = (truth - cues)[hidden]
    best, least = Gain(BETAS[0], 0.0), float(np.square(wanted).sum())
    for beta in BETAS:
        change = recall(memories, cues, beta, own)[hidden]
        power = float(change @ change)
        share = min(max(float(change @ wanted) / power, 0.0), 1.0) if power else 0.0
        error = float(np.square(wanted - share * change).sum())
        if error < least:
            best, least = Gain(beta, share), error
    return best

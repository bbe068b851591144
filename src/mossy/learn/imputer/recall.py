"""Dense recall over incomplete memories: each entry from the memories that know it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Gain", "Memories", "fit_gain", "recall"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]
Rows = NDArray[np.intp]

LOWEST = 10.0  # β
DOUBLINGS = 6  # β up to 640
LEAST = 1e-30  # variance of a cue of which nothing is known
CHANCE = 4.0  # squared standard errors
CUES = 256  # cues at once


class Memories(NamedTuple):
    """Completed patterns and which of their entries are known, ``(n, d)`` both, and the variance of each ``(d,)``."""

    patterns: NDArray[np.float32]
    known: Mask
    variance: Floats


class Gain(NamedTuple):
    """How sharply memories are recalled, and how much of what they say is taken."""

    beta: float
    share: float


def recall(memories: Memories, cues: Floats, known: Mask, beta: float) -> Floats:
    r"""Return for each completed cue ``(c, d)`` how the memories that know an entry would change it, ``(c, d)``.

    .. math::  \frac{\sum_i a_i κ_{ij} (k_{ij} - q_j)}{\sum_i a_i κ_{ij} + e^{-β}}, \qquad
               a_i = e^{β\,\mathrm{sim}(k_i, q)}, \qquad
               \mathrm{sim}(k, q) = -\frac{\sum_{j\,\text{known}} (k_j - q_j)^2}{2 \sum_{j\,\text{known}} σ_j^2}

    with ``κ_ij`` 1 where memory ``i`` knows entry ``j``, else 0; the similarity is over what is ``known (c, d)`` of the
    cue. The completed cue counts as one more memory, as far away as an unrelated one.
    """
    values = _values(memories)
    change = np.empty_like(cues)
    for part, activity in _activities(memories, cues, known, beta):
        change[part] = _change(activity, values, cues[part], beta)
    return change


def fit_gain(memories: Memories, cues: Floats, known: Mask, own: Rows, hidden: Mask, truth: Floats) -> Gain:
    r"""Return the gain by which entries that were hidden from the cues are recalled best.

    For each β from 10 to 640 it is least squares, ``g = \sum c w / \sum c^2`` of what recall would change, ``c``, and
    what should be changed, ``w``; less what chance gives: two standard errors are no gain.

    Parameters
    ----------
    memories
        They are not changed.
    cues
        ``(c, d)``: rows of the memories, in which some known entries are replaced by what the projection says.
    known
        ``(c, d)``: what is left known of them.
    own
        ``(c,)``: which rows they are; none recalls itself.
    hidden, truth
        ``(c, d)``: those entries, and what they were.
    """
    values = _values(memories)
    betas = LOWEST * 2.0 ** np.arange(DOUBLINGS + 1)
    fit, power, noise = np.zeros((3, len(betas)))
    for part, activity in _activities(memories, cues, known, LOWEST):
        activity[np.arange(len(activity)), own[part]] = 0
        wanted = (truth[part] - cues[part])[hidden[part]]
        for i, beta in enumerate(betas):
            if i:
                np.square(activity, out=activity)  # twice the β
            change = _change(activity, values, cues[part], beta)[hidden[part]]
            fit[i] += change @ wanted
            power[i] += change @ change
            noise[i] += np.square(change) @ np.square(wanted)
    certain = np.zeros_like(fit)
    np.divide(noise, fit, out=certain, where=fit > 0)
    certain = np.where(fit > 0, np.maximum(fit - CHANCE * certain, 0), 0)
    share = np.clip(np.divide(certain, power, out=np.zeros_like(fit), where=power > 0), 0, 1)
    best = int((2 * share * fit - share**2 * power).argmax())
    return Gain(float(betas[best]), float(share[best]))


def _values(memories: Memories) -> Floats:
    """Return ``[κk, κ] (n, 2d)``: what each memory says, and whether it knows."""
    return np.hstack([np.where(memories.known, memories.patterns, 0), memories.known]).astype(np.float64)


def _activities(memories: Memories, cues: Floats, known: Mask, beta: float) -> Iterator[tuple[slice, Floats]]:
    """Give ``a (c, n)`` for a few cues at a time."""
    keys = memories.patterns.astype(np.float64)
    scale = beta / np.maximum(2 * known @ memories.variance, LEAST)[:, None]
    seen = np.where(known, cues, 0)
    ones = np.hstack([2 * scale * seen, -scale * known, -scale * np.einsum("cd,cd->c", seen, seen)[:, None]])
    against = np.hstack([keys, np.square(keys), np.ones((len(keys), 1))]).T
    for first in range(0, len(cues), CUES):
        part = slice(first, first + CUES)
        evidence = ones[part] @ against
        np.minimum(evidence, 0, out=evidence)
        yield part, np.exp(evidence, out=evidence)


def _change(activity: Floats, values: Floats, cues: Floats, beta: float) -> Floats:
    said, weight = np.hsplit(activity @ values, 2)
    return np.asarray((said - cues * weight) / (weight + np.exp(-beta)))

"""From what a memory recalls to the probability of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_drives", "from_votes"]

Floats = NDArray[np.float64]

SHARPEST = 12.0  # what a difference of 1 between drives is worth, where they tell the classes apart without error


def from_drives(drives: Floats, classes: NDArray[np.bool_], fit: float) -> Floats:
    r"""Return the probability of each class by the drive ``(c, m)`` of its one-hot value.

    .. math::  p_c ∝ \exp(β s_c), \qquad β = k + (12 − k) R^8, \qquad k = \min(m, 12)

    A drive is the best linear estimate of the probability of its class. Where it moves little from ``1/m``, the softmax
    moves with it if ``β = m``. Where drives are nearly 0 and 1, which ``R²`` says (without the example's own share, by
    generalised cross-validation), that would leave too much doubt. 12 and the power are measured: see the benchmarks.
    Classes without examples have probability 0.
    """
    least = min(float(np.count_nonzero(classes)), SHARPEST)
    evidence = drives * (least + (SHARPEST - least) * max(fit, 0.0) ** 4)
    evidence[:, ~classes] = -np.inf
    evidence -= evidence.max(axis=1, keepdims=True)
    np.exp(evidence, out=evidence)
    evidence /= evidence.sum(axis=1, keepdims=True)
    return evidence


def from_votes(votes: Floats, effective: Floats, doubt: float) -> Floats:
    """Return ``(votes · effective + doubt/m) / (effective + doubt)`` over ``m`` classes.

    ``effective (c,)`` is how many examples took part, ``1/Σa²``; ``doubt`` counts as so many of no class.
    """
    weight = (effective / (effective + doubt))[:, None]
    return np.asarray(votes * weight + (1 - weight) / votes.shape[1])

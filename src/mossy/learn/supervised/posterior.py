"""From what a memory recalls to the probability of each class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["from_drives", "from_votes"]

Floats = NDArray[np.float64]

MOST = 10  # classes from which on β rises no more with their number
GAIN = 3.0  # what a perfect fit adds to β


def from_drives(drives: Floats, classes: NDArray[np.bool_], fit: float) -> Floats:
    r"""Return the probability of each class by the drive ``(c, m)`` of its one-hot value.

    .. math::  p_c ∝ \exp(β s_c), \qquad β = \min(m, 10) + 3R^2

    A drive is the best linear estimate of the probability of its class. Where it moves little from ``1/m``, the softmax
    moves with it if ``β = m``. Where drives are nearly 0 and 1 that leaves too much doubt; ``R²``, without the
    example's own share (generalised cross-validation), says how near they are. Both constants, and this form among
    others, were chosen by cross-validation on training data, see ``benchmarks/calibration.py``. ``m`` counts the
    classes that have examples; the others have probability 0.
    """
    beta = min(int(np.count_nonzero(classes)), MOST) + GAIN * max(fit, 0.0)
    evidence = drives * beta
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

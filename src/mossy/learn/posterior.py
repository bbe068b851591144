"""From what a memory recalls to the probability of each class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from mossy.learn.superposed import Solution

__all__ = ["Discriminant", "discriminant", "shared"]

Floats = NDArray[np.float64]

MOST = 0.95  # of an average leverage
SMALLEST = 1e-6  # variance that counts, as a share of the largest


@final
@dataclass(frozen=True)
class Discriminant:
    """The logarithm of the posterior of each class, up to a constant: ``Wφ + b``."""

    weights: Floats
    intercept: Floats


def discriminant(solution: Solution, counts: NDArray[np.int64]) -> Discriminant:
    r"""Return the posterior of the classes that have examples by what the matrix reads for their examples.

    .. math::  \ln p_c(s) = \ln π_c + m_c^T P s - ½ m_c^T P m_c

    ``s`` is what is read, ``m_c`` its mean in class ``c`` and ``P`` the inverse of its covariance within classes, as
    they would be if each example had been left out: with the mean leverage ``h`` an example is read as
    ``v − (v − s)/(1 − h)`` without itself. Linear discriminant analysis of a ridge regression: T. Hastie, R. Tibshirani
    and A. Buja (1994), doi:10.1080/01621459.1994.10476866.
    """
    there = np.flatnonzero(counts)
    share = counts[there] / counts.sum()
    left = 1 - min(solution.leverage, MOST)
    means = solution.means[np.ix_(there, there)]
    about = means - share @ means
    within = (solution.spread[np.ix_(there, there)] - (about.T * share) @ about) / left**2
    classes = np.eye(len(means))
    means = classes - (classes - means) / left
    values, vectors = np.linalg.eigh((within + within.T) / 2)
    wide = values > SMALLEST * max(float(values[-1]), 1e-12)
    precision = (vectors[:, wide] / values[wide]) @ vectors[:, wide].T
    readout = means @ precision
    prior = np.log(share) - 0.5 * np.einsum("cm,cm->c", readout, means)
    return Discriminant(readout @ solution.weights[there], readout @ solution.intercept[there] + prior)


def shared(votes: Floats, effective: Floats, doubt: float) -> Floats:
    """Return ``(votes · effective + doubt/m) / (effective + doubt)`` over ``m`` classes.

    ``effective (c,)`` is how many examples took part, ``1/Σa²``; ``doubt`` counts as so many of no class.
    """
    weight = (effective / (effective + doubt))[:, None]
    return np.asarray(votes * weight + (1 - weight) / votes.shape[1])

"""The projection under a mask: synapses learned from incomplete patterns, and where their network settles."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Precision", "complete", "learn"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]

ENTRIES = 1 << 21  # entries of the square matrices that are solved at once
FIRST = 2000  # rows from which it learns before it goes through all


class Precision(NamedTuple):
    """Mean ``(d,)`` and precision ``(d, d)`` of the patterns."""

    mean: Floats
    precision: Floats

    @classmethod
    def of(cls, mean: Floats, gram: Floats, n: int, ridge: float) -> Precision:
        """Take ``Σ (x - μ)(x - μ)ᵀ`` over ``n`` patterns."""
        return cls(mean, np.asarray(n * np.linalg.inv(gram + ridge * np.eye(len(gram))), np.float64))


def learn(patterns: Floats, known: Mask, ridge: float, passes: int, settled: float) -> tuple[Precision, int]:
    r"""Learn from patterns ``(n, d)`` of which some entries are not known.

    The projection rule keeps ``A = Σ x xᵀ + λI``. Of what is not known in a pattern, ``A`` takes what is to be
    expected by the synapses so far, and its uncertainty:

    .. math::  A = \sum_i \left(\hat x_i - μ)(\hat x_i - μ)^T + V_i\right) + λI, \qquad
               Λ = n A^{-1}, \qquad V_i = Λ_{mm}^{-1}

    and so on until ``x̂`` changes no more: expectation maximisation of a Gaussian with a ridge.

    Parameters
    ----------
    patterns
        In units in which each entry has mean 0 and variance 1; 0 where not known.
    known
        ``(n, d)``.
    ridge
        λ, in patterns: how many patterns of independent entries it is worth.
    passes
        At most. Where there are more than 2,000 patterns, all but the last see 2,000 of them, evenly drawn.
    settled
        A pass that changes what is not known by less than this, in root mean square, is the last.

    Returns
    -------
    tuple
        The projection, and how many passes it took.

    References
    ----------
    Dempster, Laird & Rubin (1977), doi:10.1111/j.2517-6161.1977.tb01600.x; the ridge is Schafer's (1997), section 5.2.
    """
    n = len(patterns)
    few = slice(None, None, -(-n // FIRST))
    projection = _beginning(patterns[few], ridge)
    if n <= FIRST:
        return _passes(patterns, known, projection, ridge, passes, settled)
    projection, first = _passes(patterns[few], known[few], projection, ridge, max(passes - 1, 1), settled)
    projection, last = _passes(patterns, known, projection, ridge, 1, settled)
    return projection, first + last


def _beginning(patterns: Floats, ridge: float) -> Precision:
    """Begin from half the correlations of what is known."""
    n, d = patterns.shape
    gram = 0.5 * (patterns.T @ patterns)
    np.fill_diagonal(gram, n)
    return Precision.of(np.zeros(d), gram, n, ridge)


def _passes(
    patterns: Floats, known: Mask, projection: Precision, ridge: float, passes: int, settled: float
) -> tuple[Precision, int]:
    unknown = max(int(np.count_nonzero(~known)), 1)
    before = patterns
    done = 0
    while done < passes:
        done += 1
        filled, uncertain = complete(patterns, known, projection, uncertainty=True)
        mean = filled.mean(axis=0)
        centred = filled - mean
        projection = Precision.of(mean, centred.T @ centred + uncertain, len(patterns), ridge)
        if np.square(filled - before).sum() <= settled**2 * unknown:
            break
        before = filled
    return projection, done


def complete(patterns: Floats, known: Mask, projection: Precision, uncertainty: bool = False) -> tuple[Floats, Floats]:
    r"""Return the patterns with what is not known filled in, and the summed ``V (d, d)`` if asked for.

    .. math::  x_m = μ_m - Λ_{mm}^{-1} Λ_{mk} (x_k - μ_k)

    There the autoassociator ``x_j ← μ_j - Σ_{i≠j} Λ_{ji}/Λ_{jj}·(x_i - μ_i)``, without synapses from a neuron to
    itself, settles with the known entries clamped. It is solved for, for all patterns that lack as many
    entries at once.
    """
    mean, precision = projection
    d = len(mean)
    filled = np.where(known, patterns, mean)
    drive = (filled - mean) @ precision
    lacking = np.count_nonzero(~known, axis=1)
    uncertain: Floats = np.zeros(d * d)
    for count in np.unique(lacking[lacking > 0]):
        rows = np.flatnonzero(lacking == count)
        step = max(ENTRIES // (count * count), 1)
        for first in range(0, len(rows), step):
            part = rows[first : first + step]
            entries = np.nonzero(~known[part])[1].reshape(len(part), count)
            among = precision[entries[:, :, None], entries[:, None, :]]
            driven = np.take_along_axis(drive[part], entries, axis=1)[:, :, None]
            if uncertainty:
                spread = np.linalg.inv(among)
                change = np.asarray(spread @ driven, np.float64)
                places = entries[:, :, None] * d + entries[:, None, :]
                uncertain = np.asarray(uncertain + np.bincount(places.ravel(), spread.ravel(), d * d))
            else:
                change = np.asarray(np.linalg.solve(among, driven), np.float64)
            filled[part[:, None], entries] -= change[:, :, 0]
    return filled, uncertain.reshape(d, d)

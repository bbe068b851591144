"""Units that learn what patches look like, each from those that it wins."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["compete", "lengths", "start", "whitening"]

Floats: TypeAlias = NDArray[np.float32]

ROUND = 256  # patches that units compete for before the winners move


def whitening(patches: Floats, floor: float) -> tuple[Floats, Floats]:
    """Return the mean ``μ (p,)`` of patches ``(n, p)`` and the symmetric ``Z (p, p)`` that whitens them.

    ``Z = U (Λ + floor)^(−1/2) Uᵀ`` of the covariance ``UΛUᵀ``: neighbouring pixels are alike, and without it all units
    would learn that.
    """
    mean = patches.mean(axis=0, dtype=np.float64)
    centred = patches - mean
    values, vectors = np.linalg.eigh(centred.T @ centred / max(len(patches), 1))
    z = (vectors / np.sqrt(np.maximum(values, 0) + floor)) @ vectors.T
    return mean.astype(np.float32), z.astype(np.float32)


def lengths(rows: Floats) -> Floats:
    """Return the length of each row ``(n, 1)``, or 1 where it is 0."""
    found = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.where(found > 0, found, np.float32(1)).astype(np.float32)


def start(patches: Floats, n: int, rng: np.random.Generator) -> Floats:
    """Return ``n`` units ``(n, p)`` of length 1: patches drawn at random, then random ones where there are too few."""
    taken = patches[rng.permutation(len(patches))[:n]]
    random = rng.standard_normal((n - len(taken), patches.shape[1]), np.float32)
    units: Floats = np.concatenate([taken, random], dtype=np.float32)
    units /= lengths(units)
    return units


def compete(patches: Floats, units: Floats, wins: NDArray[np.int64]) -> None:
    """Let ``units (n, p)`` of length 1 learn ``patches (m, p)`` in one pass; ``units`` and ``wins`` are changed.

    The unit that is most like a patch wins it and moves to it, ``w ← w + (x/‖x‖ − w)/wins``. Winners are decided for
    256 patches at a time, and then lengths are made 1 again.

    References
    ----------
    D. E. Rumelhart and D. Zipser (1985), doi:10.1207/s15516709cog0901_5; the rate of J. MacQueen (1967),
    *Some methods for classification and analysis of multivariate observations*; for patches of images, A. Coates and
    A. Y. Ng (2012), doi:10.1007/978-3-642-35289-8_30.
    """
    from mossy.kernels.patches import move  # not before it is needed: it loads the compiler

    for first in range(0, len(patches), ROUND):
        these = patches[first : first + ROUND]
        these = these / lengths(these)
        winners = (these @ units.T).argmax(axis=1)
        move(these, winners, units, wins)
        units /= lengths(units)

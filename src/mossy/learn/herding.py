"""Which examples stay when not all can: those whose mean stays that of their class."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["herd", "quotas"]

Rows = NDArray[np.intp]


def herd(keys: NDArray[np.float32], classes: NDArray[np.intp], most: int) -> Rows:
    """Return at most ``most`` rows, shared evenly among the classes.

    In each class the next one to stay is that which brings the mean of what stays nearest to the mean of all:
    M. Welling (2009), doi:10.1145/1553374.1553517; as in S.-A. Rebuffi et al. (2017), doi:10.1109/CVPR.2017.587.
    """
    sizes = np.bincount(classes)
    shares = quotas(sizes, most)
    kept = []
    for code in np.flatnonzero(sizes):
        rows = np.flatnonzero(classes == code)
        kept.append(rows[_herd(keys[rows].astype(np.float64), int(shares[code]))])
    return np.sort(np.concatenate(kept))


def quotas(sizes: NDArray[np.int64], most: int) -> NDArray[np.int64]:
    """Return how many of each class may stay: as even as their sizes allow."""
    there = np.count_nonzero(sizes)
    if most < there:
        raise ValueError(f"budget is too small: it has room for {most} examples, and there are {there} classes.")
    level = most // there
    while True:
        more = int(np.minimum(sizes, level + 1).sum())
        if more > most or level >= sizes.max():
            return np.minimum(sizes, level)
        level += 1


def _herd(x: NDArray[np.float64], quota: int) -> Rows:
    if quota >= len(x):
        return np.arange(len(x))
    mean = x.mean(axis=0)
    free = np.ones(len(x), np.bool_)
    squares = np.einsum("nd,nd->n", x, x)
    total = np.zeros(x.shape[1])
    kept = []
    for n in range(1, quota + 1):
        far = squares + 2 * x @ (total - n * mean)  # ‖total + x − n·mean‖² up to a constant
        far[~free] = np.inf
        kept.append(int(far.argmin()))
        free[kept[-1]] = False
        total += x[kept[-1]]
    return np.array(kept, np.intp)

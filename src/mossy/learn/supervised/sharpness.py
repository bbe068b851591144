"""How sharply memories compete: β, found by leaving examples out one at a time."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from mossy.learn.supervised.remembered import Remembered

__all__ = ["DOUBTS", "sharpnesses", "tuned_on"]

Floats = NDArray[np.float64]

MOST = 1024  # examples that are left out in turn
# What leaving out chooses among. Cross-validation on training data finds no ranges that are better by .001, see
# benchmarks/calibration.py.
DOUBTS = (0.03, 0.1, 0.3, 1.0)  # examples of no class
GRID = 2.0 ** np.arange(-3.0, 5.0)  # in units of the typical distance


def tuned_on(keys: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return the rows of at most 1,024 keys, chosen by what they are and not by when they came."""
    if len(keys) <= MOST:
        return np.arange(len(keys))
    names = np.array([zlib.crc32(key.tobytes()) for key in keys])
    return np.argsort(names, kind="stable")[:MOST]


def sharpnesses(remembered: Remembered, beta: float | str, gaps: Floats | None) -> list[float]:
    """Return what to try: the one that ``beta`` sets, or a grid about the distances ``gaps (c, m)`` of neighbours."""
    if not isinstance(beta, str):
        scale = remembered.index.statistics().scale("variance", None)[0]
        return [float(beta) / float(scale)]
    if gaps is None:
        size = float(remembered.index.statistics().scale("variance", None)[0]) / 8
    else:
        near = gaps[:, : max(gaps.shape[1] // 4, 1)]
        near = near[np.isfinite(near) & (near > 0)]
        size = float(np.median(near)) if len(near) else 1.0
    return list(np.asarray(GRID / max(size, 1e-30))) if gaps is not None else [4.0 / max(size, 1e-30)]

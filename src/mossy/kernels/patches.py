"""Patches of images: cut out, won by units, and their drives rectified and pooled."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["cut", "move", "pool"]

Array = NDArray[Any]


@compiled(reassociate=True)
def cut(images: Array, width: int, across: int, down: int, rows: Array, columns: Array, floor: Any, out: Array) -> None:
    """Write patches of ``images (n, height · width)``, each less its mean and divided by its contrast.

    They are those with their corner in each of ``rows`` and each of ``columns``, image by image; a patch ``out[k]`` is
    ``down`` rows of ``across`` entries. ``width`` and ``columns`` count entries, so they are multiplied by the
    channels. The contrast is the root of the variance and ``floor``.
    """
    k = 0
    share = np.float32(1) / np.float32(across * down)
    for i in range(images.shape[0]):
        for r in range(rows.shape[0]):
            for c in range(columns.shape[0]):
                patch = out[k]
                total = np.float32(0)
                for a in range(down):
                    corner = (rows[r] + a) * width + columns[c]
                    for b in range(across):
                        entry = images[i, corner + b]
                        patch[a * across + b] = entry
                        total += entry
                mean = total * share
                squares = np.float32(0)
                for j in range(patch.shape[0]):
                    entry = patch[j] - mean
                    squares += entry * entry
                gain = np.float32(1) / np.sqrt(squares * share + floor)
                for j in range(patch.shape[0]):
                    patch[j] = (patch[j] - mean) * gain
                k += 1


@compiled(reassociate=True)
def move(patches: Array, winners: Array, units: Array, wins: Array) -> None:
    """Move the unit that won each patch to it by one over its wins: ``w ← w + (x − w)/wins``, in their order."""
    for i in range(patches.shape[0]):
        unit = winners[i]
        wins[unit] += 1
        rate = np.float32(1) / np.float32(wins[unit])
        for j in range(patches.shape[1]):
            units[unit, j] += rate * (patches[i, j] - units[unit, j])


@compiled(reassociate=True)
def pool(drives: Array, sign: Any, thresholds: Array, rows: Array, columns: Array, which: int, out: Array) -> None:
    """Add ``max(sign · drive − threshold, 0)`` to the cell of each position.

    ``drives (n, down, across, units)`` are at positions whose cells are ``rows (down,)`` and ``columns (across,)``;
    they are added to ``out[:, row, column, which]`` of ``out (n, rows, columns, kinds, units)``.
    """
    nothing = np.float32(0)
    for i in range(drives.shape[0]):
        for r in range(drives.shape[1]):
            for c in range(drives.shape[2]):
                given = drives[i, r, c]
                cell = out[i, rows[r], columns[c], which]
                for j in range(given.shape[0]):
                    cell[j] += max(sign * given[j] - thresholds[j], nothing)

"""Encoders as loops, copied from their equations."""

from __future__ import annotations

import math

import numpy as np


def image(pixels, shape, stride, cells, learned, bias=0.0, polarity=False, power=1.0):
    """Return the pattern of one image ``(height, width, channels)`` for patches of ``shape``."""
    height, width = pixels.shape[:2]
    down, across = shape
    rows, columns = range(0, height - down + 1, stride), range(0, width - across + 1, stride)
    grid_r, grid_c = min(cells, len(rows)), min(cells, len(columns))
    signs = (1, -1) if polarity else (1,)
    units = len(learned["w"])
    total = np.zeros((grid_r, grid_c, len(signs), units))
    count = np.zeros((grid_r, grid_c))
    for i, r in enumerate(rows):
        for j, c in enumerate(columns):
            x = pixels[r : r + down, c : c + across].reshape(-1).astype(float)
            x = (x - x.mean()) / math.sqrt(x.var() + float(learned["floor"]))
            white = learned["z"].astype(float) @ (x - learned["mean"])
            cell = i * grid_r // len(rows), j * grid_c // len(columns)
            count[cell] += 1
            for s, sign in enumerate(signs):
                for u in range(units):
                    total[(*cell, s, u)] += max(0.0, sign * float(learned["w"][u] @ white) - bias)
    return (total / count[:, :, None, None]).reshape(-1) ** power


def compete(patches, units, wins, round_of=256):
    """Return the units after each winner of each patch moved to it by one over its wins."""
    units, wins = [list(map(float, unit)) for unit in units], list(wins)
    for first in range(0, len(patches), round_of):
        these = [np.array(x, float) / (np.linalg.norm(x) or 1.0) for x in patches[first : first + round_of]]
        won = [max(range(len(units)), key=lambda u: float(np.dot(x, units[u]))) for x in these]
        for x, u in zip(these, won, strict=True):
            wins[u] += 1
            units[u] = [w + (e - w) / wins[u] for w, e in zip(units[u], x, strict=True)]
        units = [list(np.array(unit) / (np.linalg.norm(unit) or 1.0)) for unit in units]
    return np.array(units), wins

"""What an image shows, moved to its middle and brought to one size."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

__all__ = ["FRAMES", "framed"]

Floats: TypeAlias = NDArray[np.float32]

FRAMES = {"given": (False, False), "centred": (True, False), "scaled": (True, True)}  # whether it is moved, and scaled
EXTENT = 0.2  # standard deviation of what is shown around its middle, as a share of the mean side
LARGEST = 4.0  # times that it is made larger or smaller, at most
BLOCK = 256  # images at once


def framed(images: Floats, frame: str) -> Floats:
    """Return ``images (n, height, width, channels)``, each with its centre of mass in the middle.

    The mass of a pixel is what it has above the least of the image, so a character must be light on dark ground.
    ``"scaled"`` also brings its spread around the middle to one fifth of the side, up and across alike. Between pixels
    it is interpolated linearly; beyond the edge there is the least of the image. An image without mass stays as it is.
    """
    move, scale = FRAMES[frame]
    if not move:
        return images
    out = np.empty_like(images)
    for first in range(0, len(images), BLOCK):
        part = images[first : first + BLOCK]
        least = part.min(axis=(1, 2, 3), keepdims=True)
        mass = part - least
        weight = mass.sum(axis=3, dtype=np.float64)
        middles, spreads = zip(*(_moments(weight.sum(axis=axis)) for axis in (2, 1)), strict=True)
        zoom = np.ones(len(part))
        if scale:
            spread = np.sqrt((spreads[0] + spreads[1]) / 2)
            zoom = np.clip(spread / (EXTENT * np.mean(part.shape[1:3])), 1 / LARGEST, LARGEST)
            zoom[spread == 0] = 1.0
        down, across = (_hats(n, middle, zoom) for n, middle in zip(part.shape[1:3], middles, strict=True))
        rows = np.einsum("nrs,nswc->nrwc", down, mass, optimize=True)
        out[first : first + BLOCK] = np.einsum("ntw,nrwc->nrtc", across, rows, optimize=True) + least
    return out


def _moments(weight: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and variance of the place along a side of the weights ``(n, side)``."""
    side = np.arange(weight.shape[1], dtype=np.float64)
    total = weight.sum(axis=1)
    empty = total <= 0
    shares = np.where(empty[:, None], 1 / weight.shape[1], weight / np.where(empty, 1, total)[:, None])
    mean: NDArray[np.float64] = shares @ side
    variance: NDArray[np.float64] = (shares * (side - mean[:, None]) ** 2).sum(axis=1)
    variance[empty] = 0.0
    return mean, variance


def _hats(n: int, middle: NDArray[np.float64], zoom: NDArray[np.float64]) -> Floats:
    """Return how much of each old place ``s`` is in each new place ``r``, ``(images, n, n)``."""
    at = middle[:, None] + zoom[:, None] * (np.arange(n) - (n - 1) / 2)
    wide = np.maximum(zoom, 1.0)[:, None, None]  # a smaller picture takes the mean of what falls together
    hats = np.maximum(0.0, 1 - np.abs(at[:, :, None] - np.arange(n)) / wide) / wide
    return hats.astype(np.float32)

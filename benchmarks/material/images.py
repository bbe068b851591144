"""Real images as patterns, and the ways in which cues are made of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from record import data_dir

Patterns = NDArray[np.float32]
Mask = NDArray[np.bool_]

HALVES = ("top", "bottom", "left", "right")
RESTS = ("black", "grey", "noise", "another image")


@dataclass(frozen=True)
class Images:
    """Square images with pixels from 0 to 1, one a row ``(n, side²)``, and where they are from."""

    name: str
    pixels: Patterns
    side: int

    def first(self, n: int) -> Patterns:
        """Return the first ``n``, or all where there are fewer."""
        return self.pixels[:n]


def digits() -> Images:
    """Return the 1,797 digits of 8 × 8 pixels that come with scikit-learn."""
    from sklearn.datasets import load_digits

    return Images("digits (scikit-learn)", (load_digits().data / 16).astype(np.float32), 8)


def mnist() -> Images:
    """Return MNIST's 10,000 test images, or the digits, by their name, where the data set is not there."""
    try:
        folder = data_dir("mnist_t10k")
    except SystemExit as missing:
        print(f"{missing} This run is on scikit-learn's digits instead.")
        return digits()
    images = np.load(folder / "mnist_t10k.npz")["images"]
    return Images("MNIST (test images)", (images.reshape(len(images), -1) / 255).astype(np.float32), 28)


def both() -> list[Images]:
    """Return the digits, and MNIST if it is there."""
    small, large = digits(), mnist()
    return [small] if large.name == small.name else [small, large]


def half(side: int, which: str) -> Mask:
    """Return the mask ``(side²,)`` of one half: top, bottom, left or right."""
    mask = np.zeros((side, side), bool)
    middle = side // 2
    part = {
        "top": np.s_[:middle],
        "bottom": np.s_[middle:],
        "left": np.s_[:, :middle],
        "right": np.s_[:, middle:],
    }[which]
    mask[part] = True
    return mask.ravel()


def noisy(images: Patterns, level: float, rng: np.random.Generator) -> Patterns:
    """Add Gaussian noise of standard deviation ``level`` to every pixel; nothing is cut off."""
    return (images + level * rng.standard_normal(images.shape)).astype(np.float32)


def cover(images: Patterns, known: Mask, rest: str, others: Patterns, rng: np.random.Generator) -> Patterns:
    """Keep the known pixels; the rest becomes black, grey, noise from 0 to 1, or ``others``, row by row."""
    cover_with = {
        "black": lambda: np.zeros(images.shape, np.float32),
        "grey": lambda: np.full(images.shape, 0.5, np.float32),
        "noise": lambda: rng.random(images.shape, np.float32),
        "another image": lambda: others,
    }[rest]()
    return np.where(known, images, cover_with)

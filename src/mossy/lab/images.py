"""The real images of the demo: scikit-learn's handwritten digits, and its photographs cut into patches."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import MissingExtra

__all__ = ["Images", "digits", "photo_patches"]

Floats: TypeAlias = NDArray[np.float32]
Mask: TypeAlias = NDArray[np.bool_]

KNOWN = {"half": (1, 2), "quarter": (2, 2)}  # rows and columns are divided by these; the first part is known


@final
@dataclass(frozen=True)
class Images:
    """Images of one kind.

    Attributes
    ----------
    name, one
        What they are, and what one of them is.
    origin
        How large they are and where they come from.
    pictures
        ``(n, height, width)`` grey or ``(n, height, width, 3)`` in colour, from 0 to 1.
    source
        ``(n,)``: which photograph each was cut from, or which digit it shows.
    """

    name: str
    one: str
    origin: str
    pictures: Floats
    source: NDArray[np.intp]

    def __len__(self) -> int:
        return len(self.pictures)

    @property
    def patterns(self) -> Floats:
        """The images as patterns ``(n, d)``."""
        return self.pictures.reshape(len(self), -1)

    def known(self, share: str) -> Mask:
        """Return which entries ``(d,)`` a cue knows: its left ``"half"``, or its upper left ``"quarter"``."""
        height, width = self.pictures.shape[1:3]
        rows, columns = KNOWN[share]
        mask = np.zeros(self.pictures.shape[1:], dtype=np.bool_)
        mask[: height // rows, : width // columns] = True
        return mask.ravel()

    def others(self, random: np.random.Generator) -> NDArray[np.intp]:
        """Return for each image ``(n,)`` another one of the same kind, from another source, drawn at random."""
        drawn = np.empty(len(self), np.intp)
        for one in np.unique(self.source):
            mine = self.source == one
            drawn[mine] = random.choice(np.flatnonzero(~mine), int(mine.sum()))
        return drawn

    def first(self, n: int | None) -> Images:
        """Return ``n`` of them, evenly spread over all, or all if None."""
        if n is None or n >= len(self):
            return self
        rows = np.linspace(0, len(self) - 1, n).astype(np.intp)
        return replace(self, pictures=self.pictures[rows], source=self.source[rows])


def digits() -> Images:
    """Return 1,797 handwritten digits, 8 × 8, grey.

    Raises
    ------
    MissingExtra
        scikit-learn is not installed.
    """
    data: Any = _datasets().load_digits()
    pictures, source = (data.images / 16).astype(np.float32), data.target.astype(np.intp)
    return Images("digits", "digit", "8 x 8 pixels, handwritten", pictures, source)


def photo_patches(size: int = 24) -> Images:
    """Return the patches ``size × size``, in colour, of two photographs: a temple in China and a flower.

    Raises
    ------
    MissingExtra
        scikit-learn or Pillow is not installed.
    """
    load = _datasets().load_sample_images
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn's own, about how it reads its file
            pictures = load().images
    except ImportError as missing:
        raise MissingExtra("pillow", "lab") from missing
    patches = [_cut(picture, size) for picture in pictures]
    source = np.repeat(np.arange(len(patches)), [len(one) for one in patches])
    pixels = np.concatenate(patches).astype(np.float32) / np.float32(255)
    return Images("photo patches", "photo patch", f"{size} x {size} pixels of two photographs", pixels, source)


def _cut(picture: NDArray[Any], size: int) -> NDArray[Any]:
    rows, columns = picture.shape[0] // size, picture.shape[1] // size
    whole = picture[: rows * size, : columns * size]
    grid = whole.reshape(rows, size, columns, size, 3).swapaxes(1, 2)
    return grid.reshape(-1, size, size, 3)


def _datasets() -> Any:
    try:
        import sklearn.datasets
    except ModuleNotFoundError as missing:
        raise MissingExtra("scikit-learn", "lab") from missing
    return sklearn.datasets

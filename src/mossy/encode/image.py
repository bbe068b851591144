"""A convolution with patches that it learned in one pass, then pooling: images as patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import as_batch, check_flag, check_integer, check_number, choose
from mossy.encode.framing import FRAMES, framed
from mossy.encode.patches import compete, start, whitening
from mossy.errors import EmptyMemory, InvalidParameter

__all__ = ["LEARNING", "ImageEncoder"]

Floats: TypeAlias = NDArray[np.float32]
Filter: TypeAlias = tuple[Floats, Floats, NDArray[np.int64]]

LEARNING = {"competitive": True, "random": False}  # whether units move to what they win
BLOCK = 1 << 18  # drives at once, so that they stay in the processor's cache
FLAT = 0.01  # a patch with a smaller share of the usual variance shows nothing to learn


@final
class ImageEncoder:
    r"""Turn an image into the pattern of how strongly it shows each of many small patches, and where.

    .. math::

        x' = \frac{x - \bar x}{\sqrt{\operatorname{var} x + ε\bar v}}, \qquad
        φ_{cu} = \Bigl( \frac{1}{|c|} \sum_{x \in c} \max(w_u·Z(x' - μ) - b,\ 0) \Bigr)^{p}

    for each cell ``c`` of a grid over the image, each patch ``x`` in it and each unit ``u``. The mean ``μ`` and the
    whitening ``Z`` are those of the patches that it learned from, ``v̄`` is their usual variance: neither the brightness
    nor the unit of a pixel matters. Units learn by competition (``mossy.encode.patches``): the winner of a patch moves
    to it by one over its wins. One pass, no labels, no gradient.

    Parameters
    ----------
    shape
        ``(height, width)`` or ``(height, width, channels)``. An image is a row of ``height·width·channels`` entries, as
        ``image.reshape(-1)`` gives it.
    patches
        Units, each for one patch.
    size
        Height and width of a patch, in pixels; no more than the image has.
    stride
        Pixels from one patch to the next.
    grid
        Cells down and across that patches are pooled in.
    bias
        ``b``: how much of a patch must be there for its unit to fire, in lengths of the whitened patch.
    polarity
        Units fire on the negative of their patch as well, as units of their own: twice as many entries.
    mirror
        An image and its mirror image have the same pattern, the sum of what each shows: a readout then learns both
        from one, as if mirror images had been written too. Twice the time. ``stride`` must divide the width of an
        image less that of a patch, so that mirrored patches lie where patches are looked at.
    power
        ``p``: 1 leaves the pooled activity as it is, 0.5 takes its root.
    frame
        ``"centred"``: what an image shows is moved to its middle first, so that a character is the same wherever it
        stands; ``"scaled"``: and brought to one size. ``"given"``: the image is taken as it is.
    contrast
        ``ε``: share of the usual variance that is added to the variance of a patch, so that flat patches stay quiet.
    whiten
        What is added to the eigenvalues of the covariance before ``Z`` is made of it; a normalised patch has entries of
        variance 1.
    learning
        ``"competitive"``, or ``"random"``: units are random and do not learn, for comparison.
    samples
        Patches that it learns from in one ``learn``.
    seed
        What random numbers follow from.

    Raises
    ------
    InvalidInput
        A parameter is outside its range; the message names it.

    Source: A. Coates, H. Lee and A. Y. Ng (2011), *An analysis of single-layer networks in unsupervised feature
    learning*, AISTATS; competition D. E. Rumelhart and D. Zipser (1985), doi:10.1207/s15516709cog0901_5.
    """

    def __init__(
        self,
        shape: Sequence[int],
        patches: int = 200,
        size: int = 6,
        stride: int = 1,
        grid: int = 3,
        bias: float = 0.0,
        polarity: bool = False,
        mirror: bool = False,
        power: float = 1.0,
        frame: str = "given",
        contrast: float = 0.1,
        whiten: float = 0.1,
        learning: str = "competitive",
        samples: int = 20_000,
        seed: int = 0,
    ) -> None:
        if len(shape) not in (2, 3):
            raise InvalidParameter(f"ImageEncoder.shape: {shape!r} was given; (height, width[, channels]) is allowed.")
        height, width, *channels = (check_integer(side, "ImageEncoder.shape", 1) for side in shape)
        self.shape = (height, width, *channels)
        self.channels = channels[0] if channels else 1
        self.d = height * width * self.channels
        self.patches = check_integer(patches, "ImageEncoder.patches", 1)
        self.size = check_integer(size, "ImageEncoder.size", 1)
        self.stride = check_integer(stride, "ImageEncoder.stride", 1)
        self.grid = check_integer(grid, "ImageEncoder.grid", 1)
        self.bias = check_number(bias, "ImageEncoder.bias", 0.0)
        self.polarity = check_flag(polarity, "ImageEncoder.polarity")
        self.mirror = check_flag(mirror, "ImageEncoder.mirror")
        self.power = check_number(power, "ImageEncoder.power", 0.0, 1.0, open_low=True)
        choose(FRAMES, frame, "ImageEncoder.frame")
        self.frame = frame
        self.contrast = check_number(contrast, "ImageEncoder.contrast", 0.0, open_low=True)
        self.whiten = check_number(whiten, "ImageEncoder.whiten", 0.0, open_low=True)
        choose(LEARNING, learning, "ImageEncoder.learning")
        self.learning = learning
        self.samples = check_integer(samples, "ImageEncoder.samples", 1)
        self.seed = check_integer(seed, "ImageEncoder.seed", 0)
        self._down, self._across = min(self.size, height), min(self.size, width)
        self._rows = np.arange(0, height - self._down + 1, self.stride)
        self._columns = np.arange(0, width - self._across + 1, self.stride) * self.channels
        self._cells = _cells(len(self._rows), self.grid), _cells(len(self._columns), self.grid)
        if self.mirror and (width - self._across) % self.stride:
            raise InvalidParameter(
                f"ImageEncoder.stride: {stride} was given with mirror=True; a divisor of {width - self._across} (width "
                "less size) is allowed, so that mirrored patches lie where patches are looked at."
            )
        self._learned: dict[str, NDArray[Any]] = {}

    @property
    def units(self) -> int:
        """Entries of a pattern: cells × patches, and twice that with ``polarity``."""
        rows, columns = (int(cells[-1]) + 1 for cells in self._cells)
        return rows * columns * (2 if self.polarity else 1) * self.patches

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(array.nbytes for array in self._learned.values())

    # --- learn -----------------------------------------------------------------------------------

    def learn(self, images: ArrayLike) -> ImageEncoder:
        """Learn patches of images ``(n, d)``; a second time goes on where the first ended.

        What was encoded before is not like what is encoded after it. The whitening is that of the first images.

        Raises
        ------
        InvalidInput
            Nothing was learned.
        """
        x = self._framed(as_batch(images, "images", self.d)[0])
        times = int(self._learned["times"]) if self._learned else 0
        rng = np.random.default_rng((self.seed, times))
        raw = self._sample(x, rng)
        variance = raw.var(axis=1, dtype=np.float64)
        if not self._learned:
            usual = float(variance.mean())
            self._learned["floor"] = np.array(self.contrast * usual if usual > 0 else 1.0, np.float32)
        floor = self._learned["floor"]
        shown = variance > FLAT / self.contrast * float(floor)
        raw, variance = raw[shown], variance[shown]
        normal = (raw - raw.mean(axis=1, keepdims=True)) / np.sqrt(variance + floor)[:, None].astype(np.float32)
        if not times:
            mean, z = whitening(normal, self.whiten) if len(normal) else (np.zeros(raw.shape[1], np.float32), None)
            self._learned |= {"mean": mean, "z": np.eye(len(mean), dtype=np.float32) if z is None else z}
        white = (normal - self._learned["mean"]) @ self._learned["z"]
        if not times:
            moved = LEARNING[self.learning]
            self._learned["w"] = start(white if moved else white[:0], self.patches, rng)
            self._learned["wins"] = np.zeros(self.patches, np.int64)
        if LEARNING[self.learning]:
            compete(white, self._learned["w"], self._learned["wins"])
        self._learned["times"] = np.array(times + 1)
        return self

    def _framed(self, x: Floats) -> Floats:
        if not any(FRAMES[self.frame]):
            return x
        laid = x.reshape(len(x), self.shape[0], self.shape[1], self.channels)
        return framed(laid, self.frame).reshape(x.shape)

    def _sample(self, x: Floats, rng: np.random.Generator) -> Floats:
        """Return patches ``(samples, p)`` from random places of random images."""
        n = self.samples
        image, row, column = (rng.integers(0, len(some), n) for some in (x, self._rows, self._columns))
        height, width = self.shape[:2]
        cells = x.reshape(len(x), height, width * self.channels)
        windows = np.lib.stride_tricks.sliding_window_view(cells, (self._down, self._across * self.channels), (1, 2))
        found: Floats = windows[image, self._rows[row], self._columns[column]].reshape(n, -1)
        return found

    # --- encode ----------------------------------------------------------------------------------

    def encode(self, x: ArrayLike) -> Floats:
        """Return the pattern ``(units,)`` of one image ``(d,)``, or ``(n, units)`` of a batch ``(n, d)``.

        Raises
        ------
        EmptyMemory
            It has learned from no image yet.
        InvalidInput
        """
        if not self._learned:
            raise EmptyMemory("encode: no patches are learned; call learn(images) first.")
        images, single = as_batch(x, "x", self.d)
        rows, columns = self._cells
        kinds = 2 if self.polarity else 1
        out = np.zeros((len(images), rows[-1] + 1, columns[-1] + 1, kinds, self.patches), np.float32)
        places = len(rows) * len(columns)
        step = max(1, BLOCK // (places * self.patches))
        patches = np.empty((step * places, len(self._learned["mean"])), np.float32)
        drives = np.empty((step * places, self.patches), np.float32)
        filters = self._filters()
        for first in range(0, len(images), step):
            part = slice(first, first + step)
            self._pool(self._framed(images[part]), filters, patches, drives, out[part])
        out /= np.outer(np.bincount(rows), np.bincount(columns)).astype(np.float32)[:, :, None, None]
        if self.power == 0.5:
            np.sqrt(out, out=out)
        elif self.power != 1:
            np.power(out, np.float32(self.power), out=out)
        found: Floats = out.reshape(len(images), -1)
        return found[0] if single else found

    def _pool(self, images: Floats, filters: list[Filter], patches: Floats, drives: Floats, out: Floats) -> None:
        """Add to ``out (n, rows, columns, kinds, units)`` what these images show; the other arrays are room for it."""
        from mossy.kernels.patches import cut, pool  # not before they are needed: it loads the compiler

        rows, columns = self._cells
        across, width = self._across * self.channels, self.shape[1] * self.channels
        n = len(images) * len(rows) * len(columns)
        cut(images, width, across, self._down, self._rows, self._columns, self._learned["floor"][()], patches)
        for weights, offset, cells in filters:
            np.dot(patches[:n], weights, out=drives[:n])
            laid = drives[:n].reshape(len(images), len(rows), len(columns), -1)
            for which in range(out.shape[3]):
                sign = np.float32(1 - 2 * which)
                pool(laid, sign, sign * offset + np.float32(self.bias), rows, cells, which, out)

    def _filters(self) -> list[Filter]:
        """Return weights ``(p, patches)``, what they give for the mean patch, and the cells across; mirrored too."""
        weights = self._learned["z"] @ self._learned["w"].T
        offset = self._learned["mean"] @ weights
        columns = self._cells[1]
        found = [(np.ascontiguousarray(weights), offset, columns)]
        if self.mirror:
            laid = weights.reshape(self._down, self._across, self.channels, -1)[:, ::-1]
            found.append((np.ascontiguousarray(laid).reshape(weights.shape), offset, columns[::-1].copy()))
        return found

    # --- state -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return the configuration, and copies of the arrays that it learned under ``learned.``, flat."""
        names = ("shape", "patches", "size", "stride", "grid", "bias", "polarity", "mirror", "power", "frame")
        state = {name: getattr(self, name) for name in (*names, "contrast", "whiten", "learning", "samples", "seed")}
        return state | {f"learned.{name}": array.copy() for name, array in self._learned.items()}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> ImageEncoder:
        """Make the encoder again that ``state()`` was taken from."""
        encoder = cls(**{name: value for name, value in state.items() if not name.startswith("learned.")})
        learned = {name: value for name, value in state.items() if name.startswith("learned.")}
        encoder._learned = {name.removeprefix("learned."): np.array(array) for name, array in learned.items()}
        return encoder


def _cells(positions: int, grid: int) -> NDArray[np.int64]:
    """Return the cell of each position along one side."""
    return np.arange(positions) * min(grid, positions) // positions

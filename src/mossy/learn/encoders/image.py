"""Images as patterns of learned patches, for scikit-learn."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt
from numbers import Integral, Real
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from mossy import encode
from mossy.encode.framing import FRAMES
from mossy.encode.image import LEARNING
from mossy.learn.encoders.base import Transformer

__all__ = ["ImageEncoder"]


@final
class ImageEncoder(Transformer):
    """Turns images into patterns by a convolution with patches that it learned in one pass, then pooling.

    Patches of the images compete: each moves the unit that is most like it, by one over what that unit has won. No
    labels and no gradient are used, and one batch is enough: patches learned from images of one class serve others
    too. See ``mossy.encode.ImageEncoder`` for the equations.

    Parameters
    ----------
    shape : tuple (height, width) or (height, width, channels), default=None
        Of an image; a row of ``X`` is ``image.reshape(-1)``. None: a square, if the number of features is a square
        number, else one line.
    patches : int, default=200
        Units, each for one patch.
    size : int, default=6
        Height and width of a patch in pixels; no more than the image has.
    stride : int, default=1
        Pixels from one patch to the next. 2 takes a quarter of the time.
    grid : int, default=3
        Cells down and across that patches are pooled in.
    bias : float, default=0.0
        How much of its patch a unit needs to fire.
    polarity : bool, default=False
        Also units for the negative of each patch: twice the features.
    mirror : bool, default=False
        Mirror images have the same pattern, as if each had been learned with its mirror image. Twice the time.
    power : float in (0, 1], default=1.0
        Exponent of the pooled activity; 0.5 is its root.
    frame : {"given", "centred", "scaled"}, default="given"
        Move what an image shows to its middle, and bring it to one size, before it is encoded.
    contrast, whiten : float, default=0.1
        Regularisation of the contrast normalisation and of the whitening of patches.
    learning : {"competitive", "random"}, default="competitive"
        ``"random"`` leaves the units random, for comparison.
    samples : int, default=20000
        Patches that one ``fit`` or ``partial_fit`` learns from.
    random_state : int, default=0
        What random numbers follow from.

    Attributes
    ----------
    encoder_ : mossy.encode.ImageEncoder
        The fitted encoder.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where ``X`` has names that are all strings.

    Notes
    -----
    After ``partial_fit`` patterns are no longer like those that were made before it. ``MemoryClassifier(encoder=...)``
    fits an encoder on its first batch only.

    References
    ----------
    A. Coates, H. Lee and A. Y. Ng (2011), *An analysis of single-layer networks in unsupervised feature learning*;
    A. Coates and A. Y. Ng (2012), doi:10.1007/978-3-642-35289-8_30.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from mossy.learn import ImageEncoder
    >>> X = load_digits().data
    >>> ImageEncoder(shape=(8, 8), patches=50, size=4).fit_transform(X).shape
    (1797, 450)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "shape": [None, tuple, list],
        "patches": [Interval(Integral, 1, None, closed="left")],
        "size": [Interval(Integral, 1, None, closed="left")],
        "stride": [Interval(Integral, 1, None, closed="left")],
        "grid": [Interval(Integral, 1, None, closed="left")],
        "bias": [Interval(Real, 0, None, closed="left")],
        "polarity": ["boolean"],
        "mirror": ["boolean"],
        "power": [Interval(Real, 0, 1, closed="right")],
        "frame": [StrOptions(set(FRAMES))],
        "contrast": [Interval(Real, 0, None, closed="neither")],
        "whiten": [Interval(Real, 0, None, closed="neither")],
        "learning": [StrOptions(set(LEARNING))],
        "samples": [Interval(Integral, 1, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        shape: Sequence[int] | None = None,
        *,
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
        random_state: int = 0,
    ) -> None:
        self.shape = shape
        self.patches = patches
        self.size = size
        self.stride = stride
        self.grid = grid
        self.bias = bias
        self.polarity = polarity
        self.mirror = mirror
        self.power = power
        self.frame = frame
        self.contrast = contrast
        self.whiten = whiten
        self.learning = learning
        self.samples = samples
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn more patches from images ``X (n, d)``; the first call is as ``fit``. ``y`` is not used."""
        if not hasattr(self, "encoder_"):
            fitted: Self = self.fit(X)
            return fitted
        self._learn(self._checked(X, reset=False))
        return self

    def _make(self, X: NDArray[np.float32]) -> encode.ImageEncoder:
        given = {name: value for name, value in self.get_params().items() if name not in ("shape", "random_state")}
        return encode.ImageEncoder(self._shape(X.shape[1]), seed=self.random_state, **given)

    def _shape(self, d: int) -> tuple[int, ...]:
        """Return the shape of an image of ``d`` entries."""
        if self.shape is None:
            side = isqrt(d)
            return (side, side) if side * side == d else (1, d)
        shape = tuple(self.shape)
        if len(shape) not in (2, 3) or not all(isinstance(side, Integral) and side > 0 for side in shape):
            raise ValueError(f"shape={self.shape!r} should be (height, width) or (height, width, channels).")
        if int(np.prod(shape)) != d:
            raise ValueError(f"shape={self.shape!r} has {int(np.prod(shape))} entries, but X has {d} features.")
        return shape

    def _learn(self, X: NDArray[np.float32]) -> None:
        self.encoder_.learn(X)

    def _encode(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.encoder_.encode(X)
        return found

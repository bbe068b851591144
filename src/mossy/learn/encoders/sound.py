"""Recordings as mel spectra over time, for scikit-learn."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray
from sklearn.utils._param_validation import Interval

from mossy import encode
from mossy.learn.encoders.base import Transformer

__all__ = ["SoundEncoder"]


@final
class SoundEncoder(Transformer):
    """Turns recordings into patterns of how loud each band of pitch is, in each part of the time that they sound.

    Silence before and after, length and loudness do not matter. Nothing is learned: ``fit`` only takes note of how long
    recordings are. Without ``deltas`` a pattern is an image of ``(steps, bands)``, so an ``ImageEncoder`` can follow.
    See ``mossy.encode.SoundEncoder`` for the equations.

    Parameters
    ----------
    rate : float, default=8000.0
        Samples a second. A row of ``X`` is one recording; fill up short ones with zeros.
    bands : int, default=40
        Bands of pitch between ``low`` and ``high``.
    steps : int, default=20
        Parts of time.
    window, hop : float, default=0.032, 0.01
        Seconds of a frame, and from one frame to the next.
    low, high : float, default=60.0, None
        Hertz. None: half of ``rate``.
    deltas : bool, default=True
        Add the changes over time: twice the features.
    range : float, default=60.0
        Decibels below the loudest that are still told from silence.
    silence : float, default=30.0
        Decibels below the loudest frame under which the ends of a recording count as silence.

    Attributes
    ----------
    encoder_ : mossy.encode.SoundEncoder
        The fitted encoder.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where ``X`` has names that are all strings.

    References
    ----------
    S. B. Davis and P. Mermelstein (1980), doi:10.1109/TASSP.1980.1163420.

    Examples
    --------
    >>> import numpy as np
    >>> from mossy.learn import SoundEncoder
    >>> tones = np.sin(np.outer([1.0, 2.0], np.arange(4000)))
    >>> SoundEncoder(rate=8000, bands=30, steps=10).fit_transform(tones).shape
    (2, 600)
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "rate": [Interval(Real, 0, None, closed="neither")],
        "bands": [Interval(Integral, 1, None, closed="left")],
        "steps": [Interval(Integral, 1, None, closed="left")],
        "window": [Interval(Real, 0, None, closed="neither")],
        "hop": [Interval(Real, 0, None, closed="neither")],
        "low": [Interval(Real, 0, None, closed="left")],
        "high": [None, Interval(Real, 0, None, closed="neither")],
        "deltas": ["boolean"],
        "range": [Interval(Real, 0, None, closed="neither")],
        "silence": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        rate: float = 8000.0,
        *,
        bands: int = 40,
        steps: int = 20,
        window: float = 0.032,
        hop: float = 0.01,
        low: float = 60.0,
        high: float | None = None,
        deltas: bool = True,
        range: float = 60.0,
        silence: float = 30.0,
    ) -> None:
        self.rate = rate
        self.bands = bands
        self.steps = steps
        self.window = window
        self.hop = hop
        self.low = low
        self.high = high
        self.deltas = deltas
        self.range = range
        self.silence = silence

    def _make(self, X: NDArray[np.float32]) -> encode.SoundEncoder:
        return encode.SoundEncoder(X.shape[1], **self.get_params())

    def _learn(self, X: NDArray[np.float32]) -> None:
        pass

    def _encode(self, X: NDArray[np.float32]) -> NDArray[np.float32]:
        found: NDArray[np.float32] = self.encoder_.encode(X)
        return found

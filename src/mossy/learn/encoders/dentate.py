"""A sparse expansion, for scikit-learn."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import _fit_context
from sklearn.utils._param_validation import Interval, StrOptions

from mossy import encode
from mossy.activations import KWinners
from mossy.learn.encoders.base import Transformer

__all__ = ["Dentate"]

BLOCK = 1024  # rows that are dense at once where they were sparse


@final
class Dentate(Transformer):
    """Expands rows over random or learned synapses into patterns of many units, most of them silent.

    What a linear model behind it could not tell apart before, it often can after it. Rows are scaled by one mean and
    one standard deviation of all entries of the first batch, so bring columns to one scale first
    (``StandardScaler``). See ``mossy.encode.Dentate`` for the equations.

    Parameters
    ----------
    units : int, default=1000
        Features that come out.
    k : int, default=None
        None: rectified drives, about half of them 0. An integer: the ``k`` units with the largest drive are 1, the
        others 0.
    learning : {"random", "competitive"}, default="random"
        ``"competitive"``: the unit that is most like a row moves to it, by one over its wins.
    bias : float, default=1.0
        Spread of the thresholds of the units.
    random_state : int, default=0
        What random numbers follow from.

    Attributes
    ----------
    encoder_ : mossy.encode.Dentate
        The fitted encoder.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where ``X`` has names that are all strings.

    References
    ----------
    G.-B. Huang et al. (2006), doi:10.1016/j.neucom.2005.12.126; S. Dasgupta et al. (2017),
    doi:10.1126/science.aam9868.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from mossy.learn import Dentate
    >>> Dentate(500, k=25).fit_transform(load_digits().data).sum(axis=1)[:3]
    array([25., 25., 25.], dtype=float32)
    """

    accepts = ("csr",)

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "units": [Interval(Integral, 1, None, closed="left")],
        "k": [None, Interval(Integral, 1, None, closed="left")],
        "learning": [StrOptions({"random", "competitive"})],
        "bias": [Interval(Real, 0, None, closed="left")],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        units: int = 1000,
        *,
        k: int | None = None,
        learning: str = "random",
        bias: float = 1.0,
        random_state: int = 0,
    ) -> None:
        self.units = units
        self.k = k
        self.learning = learning
        self.bias = bias
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn more from rows ``X (n, d)``; the first call is as ``fit``. ``y`` is not used."""
        if not hasattr(self, "encoder_"):
            fitted: Self = self.fit(X)
            return fitted
        self._learn(self._checked(X, reset=False))
        return self

    def _make(self, X: Any) -> encode.Dentate:
        if self.k is not None and self.k > self.units:
            raise ValueError(f"k={self.k} should be at most units={self.units}.")
        mean, spread = _moments(X)
        scale = spread if spread > 1e-6 * abs(mean) else max(abs(mean), 1.0)  # less is rounding
        return encode.Dentate(X.shape[1], self.units, self.k, self.random_state, mean, scale, self.bias)

    def _learn(self, X: Any) -> None:
        if self.learning == "competitive":
            for part in _dense(X):
                self.encoder_.learn(part)
        self._weights, self._thresholds = self.encoder_.synapses()

    def _encode(self, X: Any) -> NDArray[np.float32]:
        drive: NDArray[np.float32] = np.asarray(X @ self._weights)
        drive += self._thresholds
        if self.k is None:
            return np.maximum(drive, 0, out=drive)
        return np.asarray(KWinners(self.k)(drive), np.float32)


def _moments(X: Any) -> tuple[float, float]:
    """Return mean and standard deviation of all entries."""
    entries = X.data if hasattr(X, "toarray") else X.reshape(-1)
    n = int(np.prod(X.shape))
    mean = float(entries.sum(dtype=np.float64)) / n
    squares = float(np.square(entries - mean, dtype=np.float64).sum()) + (n - len(entries)) * mean**2
    return mean, float(np.sqrt(squares / n))


def _dense(X: Any) -> list[NDArray[np.float32]]:
    """Return parts of ``X`` that are dense."""
    if not hasattr(X, "toarray"):
        return [X]
    return [X[first : first + BLOCK].toarray() for first in range(0, X.shape[0], BLOCK)]

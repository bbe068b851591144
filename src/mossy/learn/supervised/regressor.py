"""A regressor whose fitted state is a memory."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin

from mossy.errors import CannotForget, UnknownMemory
from mossy.learn.herding import herd
from mossy.learn.supervised.base import MemoryEstimator
from mossy.learn.supervised.explanation import Explanation
from mossy.learn.supervised.remembered import Remembered
from mossy.learn.supervised.sharpness import sharpnesses, tuned_on
from mossy.memory.undisturbed import undisturbed

__all__ = ["MemoryRegressor"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]


@final
class MemoryRegressor(RegressorMixin, MemoryEstimator):  # type: ignore[misc]
    r"""Learns examples with numbers to be recalled in one pass, in any order, and forgets them exactly.

    .. math::  \hat y = \sum_i a_i y_i, \quad a = \text{softmax}(-γ‖k_i - x‖²/2)
               \qquad\text{or}\qquad  \hat y = Wφ(x) + b

    over the nearest examples of an index, with the ``γ`` that tells examples best by the others; or read from a matrix
    by ridge regression. Targets may be several. Predicting changes nothing.

    Parameters
    ----------
    substrate
        ``"index"`` remembers each example, with an index neuron of its own, and recalls the nearest. ``"matrix"``
        superposes all in the sums of the projection rule, behind a random expansion: its size does not grow, and no
        example is kept. ``"auto"`` is an index as long as that takes fewer bytes than the matrix would, and a matrix
        from then on, also where forgetting leaves few; where a matrix with all of its units is more than ``budget``
        allows, or an ``encoder`` returns no more columns than ``X`` has, it stays an index. ``substrate_`` tells which
        it is.
    encoder
        A transformer whose output is remembered in place of ``X``. It is cloned as ``encoder_``, fitted on the first
        batch, and then held fixed: with another code, what is remembered would be strange. A matrix then takes its
        output as it is, without the expansion, and sums are rounded to float32 products.
    units
        Units of the expansion of a matrix, at least 8. Their input is scaled by one number, the power of two nearest
        to half the root mean square of the first batch. Bring columns of different scale to one (``StandardScaler``).
    ridge
        λ of the matrix, as a share of the mean variance of a unit, above 0. ``"auto"`` chooses it by generalised
        cross-validation from the sums, at the first prediction after something was learned. That solves for the weights
        about five times: give a number (0.01 suits many) where features are several thousand.
    neighbours
        How many of the nearest examples an index recalls.
    beta
        β of an index: how sharply they compete, in units of ``mossy.Index``. ``"auto"`` chooses what tells the examples
        best by the others, on at most 1,024 of them.
    budget
        The most bytes of the fitted state: an integer, or a string such as ``"0.5 MB"``. An index then keeps
        those examples whose mean stays nearest to that of all that were there (herding); the others are let go and
        cannot be had back. A matrix has as many units as fit. None sets no bound.
    keep_examples
        A matrix keeps every example beside its sums, so that they can be forgotten by id or by ``X`` alone.
    random_state
        The seed of the expansion, an integer.

    Attributes
    ----------
    substrate_, last_ids_, ids_, nbytes_, encoder_, n_features_in_, feature_names_in_
        As of ``MemoryClassifier``, and so are the notes on order.

    References
    ----------
    As of ``MemoryClassifier``.

    Examples
    --------
    >>> import numpy as np
    >>> from mossy.learn import MemoryRegressor
    >>> x = np.linspace(0, 1, 200)[:, None]
    >>> memory = MemoryRegressor("matrix", units=100).fit(x, x[:, 0] ** 2)
    >>> bool(abs(memory.predict([[0.5]])[0] - 0.25) < 0.01)
    True
    """

    def __init__(
        self,
        substrate: str = "auto",
        *,
        encoder: Any = None,
        units: int = 1000,
        ridge: float | str = "auto",
        neighbours: int = 32,
        beta: float | str = "auto",
        budget: int | str | None = None,
        keep_examples: bool = False,
        random_state: int = 0,
    ) -> None:
        self.substrate = substrate
        self.encoder = encoder
        self.units = units
        self.ridge = ridge
        self.neighbours = neighbours
        self.beta = beta
        self.budget = budget
        self.keep_examples = keep_examples
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    # --- learn -----------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike) -> MemoryRegressor:
        """Forget all, then learn examples ``X (n, d)`` with targets ``y (n,)`` or ``(n, m)``."""
        self._begin()
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> MemoryRegressor:
        """Learn examples beside those that are known."""
        if not self._started():
            self._begin()
        first = self._next == 0
        x, targets = self._with_targets(X, y, first)
        features = self._features(x, targets, first)
        self._check_budget(features.shape[1], self._outputs(), 2)
        self._learn(features, targets)
        return self

    def _with_targets(self, X: Any, y: Any, first: bool) -> tuple[NDArray[Any], Floats]:
        X, y = self._checked(X, first, y=y, multi_output=True, y_numeric=True)
        if first:
            self._shape = y.shape[1:]
        elif y.shape[1:] != self._shape:
            raise ValueError(f"y has shape {y.shape}, but {('n', *self._shape)} is expected, as it was seen before.")
        return X, np.asarray(y, np.float64).reshape(len(y), -1)

    def _empty(self) -> Remembered:
        return Remembered((self._outputs(),), np.float64)

    def _values(self, targets: NDArray[Any]) -> Floats:
        return targets

    def _outputs(self) -> int:
        return int(np.prod(self._shape, dtype=int))

    def _target_entries(self) -> int:
        return self._outputs()

    def _choose_kept(self, remembered: Remembered, most: int) -> Rows:
        joint = np.hstack([remembered.keys, remembered.targets])
        return herd(joint, np.zeros(len(joint), np.intp), most)

    def _count_kinds(self, held: Remembered | None, targets: NDArray[Any], sign: int) -> None:
        pass  # numbers are of one kind

    # --- forget ----------------------------------------------------------------------------------

    def forget(
        self, X: ArrayLike | None = None, y: ArrayLike | None = None, *, ids: ArrayLike | None = None
    ) -> MemoryRegressor:
        """Forget examples as if they had never been seen: those of ``X`` and ``y``, or of ``ids``.

        See ``MemoryClassifier.forget``. Raises ``CannotForget`` and ``UnknownMemory``.
        """
        self._check_named(X, None, ids)
        with undisturbed():
            if ids is not None:
                self._forget_rows(self._of_their_own("id").of_ids(ids))
            else:
                x, targets = (self._checked(X, False), None) if y is None else self._with_targets(X, y, False)
                features = self._features(x)
                if self._remembered is not None:
                    self._forget_rows(self._remembered.of_pairs(features.astype(np.float32), targets))
                elif targets is None:
                    raise CannotForget("forget: examples are superposed; say with y which target each had.")
                elif len(features) > self._seen:
                    raise UnknownMemory("forget: more examples were given than are known; nothing was forgotten.")
                else:
                    self._subtract(features, targets)
            if self._seen == 0:
                self._begin()
        return self

    # --- recall ----------------------------------------------------------------------------------

    def predict(self, X: ArrayLike) -> Floats:
        """Return what is recalled for each, ``(n,)`` or ``(n, m)`` as the targets were."""
        cues = self._cues(X)
        found = self._by_index(cues) if self._superposed is None else self._superposed.read(cues)
        return np.asarray(found.reshape(len(cues), *self._shape))

    def explain(self, x: ArrayLike) -> Explanation:
        """Return why one ``x (d,)`` or ``(1, d)`` is given its numbers: see ``Explanation``."""
        x = self._one(x)
        told = self.predict(x)[0], None
        if self._superposed is not None:
            return self._parts_of_matrix(x, told, np.arange(self._outputs()))
        remembered = self._of_their_own("id")
        return self._parts_of_index(
            x, told, remembered.tuned, lambda rows: remembered.targets[rows].reshape(-1, *self._shape)
        )

    def _by_index(self, cues: NDArray[Any]) -> Floats:
        remembered = self._of_their_own("id")
        if remembered.tuned is None:
            remembered.tuned = self._tune(remembered)
        rows, gaps = remembered.nearest(cues, int(self.neighbours))
        return _recalled(remembered, rows, remembered.activity(gaps, remembered.tuned))

    def _tune(self, remembered: Remembered) -> float:
        """Return the sharpness by which examples are best told by the others."""
        if len(remembered) < 3:
            return sharpnesses(remembered, self.beta, None)[0]
        rows = tuned_on(remembered.keys)
        near, gaps = remembered.nearest(remembered.keys[rows], int(self.neighbours), rows)
        best = (np.inf, 0.0)
        for sharpness in sharpnesses(remembered, self.beta, gaps):
            error = _recalled(remembered, near, remembered.activity(gaps, sharpness)) - remembered.targets[rows]
            best = min(best, (float(np.square(error).mean()), sharpness))
        return best[1]


def _recalled(remembered: Remembered, rows: Rows, activity: Floats) -> Floats:
    return np.asarray(np.einsum("ck,ckm->cm", activity, remembered.targets[rows]))

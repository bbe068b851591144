"""An imputer that completes rows from a memory of incomplete ones."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Integral, Real
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.impute import MissingIndicator
from sklearn.utils import check_random_state
from sklearn.utils._missing import is_scalar_nan
from sklearn.utils._param_validation import Interval, MissingValues
from sklearn.utils._set_output import _get_output_config
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted, validate_data

from mossy.learn.imputer.columns import Columns, bound, learn_columns, to_patterns, to_table
from mossy.learn.imputer.projection import complete, learn
from mossy.learn.imputer.recall import Memories, fit_gain, recall
from mossy.learn.imputer.table import check_finite, find_categorical, is_known, to_frame

__all__ = ["MemoryImputer"]

PROBES = 1000  # rows in which entries are hidden to find the gain, at most
ROUNDS = 5  # times that a row can be such, at most

Mask = NDArray[np.bool_]


@final
class MemoryImputer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    r"""Fills in missing values by pattern completion: what is known of a row is the cue.

    1. The projection rule, learned from incomplete rows, completes a row ``x`` with known entries ``k`` and missing
       ones ``m``:  ``x̂_m = μ_m - Λ_mm⁻¹ Λ_mk (x_k - μ_k)``, where its autoassociator settles with ``k`` clamped.
    2. The completed row recalls similar rows, and each missing entry moves towards those of them that know it:

    .. math::  \tilde x_j = \hat x_j + g\,\frac{\sum_i a_i κ_{ij} (x_{ij} - \hat x_j)}{\sum_i a_i κ_{ij} + e^{-β}},
               \qquad a_i = e^{β\,\mathrm{sim}(\hat x_i, x)}

    with ``κ_ij`` 1 where row ``i`` knows entry ``j``, and the euclidean similarity over what is known of ``x``. The
    gain ``g`` from 0 to 1, and β, are those that recall best what is hidden, for the purpose, in some of the rows
    that were given. So a table that is linear is completed by the projection alone.

    What is filled in lies between the least and the greatest value of its column.

    A numeric column is one neuron, in units of its spread; a categorical one has a neuron for each category, of which
    the most active wins.

    Parameters
    ----------
    missing_values
        What stands for a missing value. With NaN, None and pandas' NA count as well in columns that are no numbers.
    categorical_features
        ``"from_dtype"``: columns of strings, and of pandas' categories. Else a mask, or the places or names of such.
    ridge
        λ of the projection, in rows.
    max_iter
        Passes in which the projection learns, at most.
    tol
        A pass that changes the missing values by less, in units of spread, is the last.
    hidden
        Share of the known entries that is hidden to find the gain.
    max_memories
        Rows that can be recalled, at most; of more, so many are drawn.
    add_indicator
        Append the columns of ``MissingIndicator``.
    keep_empty_features
        Whether a column without any known value is kept, filled with 0, or left out.
    random_state
        Seed of what is hidden and drawn.

    Attributes
    ----------
    gain_ : Gain
        β and ``g``.
    projection_ : Precision
        Mean and precision of the patterns.
    memories_ : Memories
        Completed rows, and which of their entries are known.
    columns_ : Columns
        How columns become neurons.
    indicator_ : MissingIndicator
        None without ``add_indicator``.
    n_iter_ : int
        Passes in which the projection learned.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where ``X`` has names that are all strings.

    Notes
    -----
    Values missing at random are assumed: that one is missing may depend on what is known, not on what it is. Learning
    costs ``O(n·m³)`` a pass for ``m`` missing values a row, completing ``O(max_memories·d)`` a row besides.
    ``partial_fit`` keeps all rows and learns from all of them again: it gives what ``fit`` on all would.

    References
    ----------
    Dempster, Laird & Rubin (1977), doi:10.1111/j.2517-6161.1977.tb01600.x; Ramsauer et al. (2021), arXiv:2008.02217.

    Examples
    --------
    >>> import numpy as np
    >>> from mossy.learn import MemoryImputer
    >>> X = np.arange(100.0)[:, None] * [1, 2]
    >>> MemoryImputer().fit(X).transform([[40, np.nan]]).round()
    array([[40., 80.]])
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "missing_values": [MissingValues()],
        "categorical_features": ["array-like", str],
        "ridge": [Interval(Real, 0, None, closed="neither")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "tol": [Interval(Real, 0, None, closed="left")],
        "hidden": [Interval(Real, 0, 1, closed="neither")],
        "max_memories": [Interval(Integral, 1, None, closed="left")],
        "add_indicator": ["boolean"],
        "keep_empty_features": ["boolean"],
        "random_state": ["random_state"],
    }

    columns_: Columns

    def __init__(
        self,
        *,
        missing_values: Any = np.nan,
        categorical_features: ArrayLike | str = "from_dtype",
        ridge: float = 1.0,
        max_iter: int = 20,
        tol: float = 0.02,
        hidden: float = 0.1,
        max_memories: int = 3000,
        add_indicator: bool = False,
        keep_empty_features: bool = False,
        random_state: Any = 0,
    ) -> None:
        self.missing_values = missing_values
        self.categorical_features = categorical_features
        self.ridge = ridge
        self.max_iter = max_iter
        self.tol = tol
        self.hidden = hidden
        self.max_memories = max_memories
        self.add_indicator = add_indicator
        self.keep_empty_features = keep_empty_features
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn from the rows ``X (n, columns)``, and nothing else; ``y`` is ignored."""
        with self._all_or_nothing():
            self._categorical = find_categorical(X, self.categorical_features)
            self._learn(*self._read(X, reset=True))
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Add the rows ``X (n, columns)`` to those that were given; ``y`` is ignored."""
        if not hasattr(self, "columns_"):
            self.fit(X)
            return self
        table, known = self._read(X, reset=False)
        with self._all_or_nothing():
            self._learn(np.concatenate([self._table, table]), np.concatenate([self._known, known]))
        return self

    def transform(self, X: ArrayLike) -> Any:
        """Return ``X (n, columns)`` with what is missing filled in; what is known is handed back as it was.

        A table with categories is an array of objects; as a frame of pandas (``set_output``) it has float64 for
        numbers, and categories where ``X`` has them.
        """
        check_is_fitted(self)
        table, known = self._read(X, reset=False)
        some = self.columns_.some
        patterns, there = to_patterns(table[:, some], known[:, some], self.columns_)
        filled = self._complete(patterns, there)
        if self.gain_.share:
            lacking = np.flatnonzero(~there.all(axis=1))
            change = self.gain_.share * recall(self.memories_, filled[lacking], there[lacking], self.gain_.beta)
            filled[lacking] += np.where(there[lacking], 0.0, change)
        made = to_table(filled, table[:, some], known[:, some], self.columns_)
        if self.keep_empty_features and not some.all():
            whole = np.zeros(table.shape, table.dtype)
            whole[:, some] = made
            made = whole
        if self.indicator_ is not None:
            made = np.hstack([made, self.indicator_.transform((~known).astype(np.int8))])
        if made.dtype == object and _get_output_config("transform", self)["dense"] == "pandas":
            kept = np.arange(len(some)) if self.keep_empty_features else np.flatnonzero(some)
            learned = dict(zip(np.flatnonzero(some).tolist(), self.columns_.categories, strict=True))
            categories = [learned.get(j, np.empty(0, object) if self._categorical[j] else None) for j in kept.tolist()]
            return to_frame(made, X, kept, categories)
        return made

    def get_feature_names_out(self, input_features: ArrayLike | None = None) -> NDArray[Any]:
        """Return the names of the columns that ``transform`` returns."""
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        kept = names if self.keep_empty_features else names[self.columns_.some]
        if self.indicator_ is None:
            return np.asarray(kept)
        return np.concatenate([kept, self.indicator_.get_feature_names_out(names)])

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = is_scalar_nan(self.missing_values)
        return tags

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Be as before if what is done within fails or is interrupted: learning sets attributes and changes none."""
        held = vars(self).copy()
        try:
            yield
        except BaseException:
            self.__dict__ = held
            raise

    def _read(self, X: ArrayLike, reset: bool) -> tuple[NDArray[Any], Mask]:
        """Return the table, floats, or objects where a column is categorical; and what of it is known."""
        dtype = object if len(self._categorical) and self._categorical.any() else [np.float64, np.float32]
        finite = "allow-nan" if is_scalar_nan(self.missing_values) or dtype is object else True
        table = np.asarray(validate_data(self, X, dtype=dtype, ensure_all_finite=finite, reset=reset))
        known = is_known(table, self.missing_values)
        if dtype is object:
            check_finite(table[:, ~self._categorical], known[:, ~self._categorical])
        return table, known

    def _learn(self, table: NDArray[Any], known: Mask) -> None:
        random = check_random_state(self.random_state)
        some = np.asarray(known.any(axis=0))
        categorical = self._categorical if len(self._categorical) else np.zeros(len(some), np.bool_)
        self._table, self._known = table, known
        columns = learn_columns(table[:, some], known[:, some], categorical[some])
        self.columns_ = columns._replace(some=some)
        patterns, there = to_patterns(table[:, some], known[:, some], self.columns_)
        self.projection_, self.n_iter_ = learn(patterns, there, float(self.ridge), int(self.max_iter), float(self.tol))
        n = len(table)
        kept = np.sort(random.permutation(n)[: self.max_memories])
        filled = self._complete(patterns[kept], there[kept])
        self.memories_ = Memories(filled.astype(np.float32), there[kept], filled.var(axis=0))
        own = np.sort(random.permutation(len(kept))[:PROBES])
        own = np.tile(own, min(max(PROBES // len(own), 1), ROUNDS))
        probes, seen = patterns[kept[own]], there[kept[own]]
        hidden = seen & (random.uniform(size=seen.shape) < self.hidden)
        cues = self._complete(probes, seen & ~hidden)
        self.gain_ = fit_gain(self.memories_, cues, seen & ~hidden, own, hidden, probes)
        self.indicator_ = None
        if self.add_indicator:
            self.indicator_ = MissingIndicator(missing_values=1, error_on_new=False).fit((~known).astype(np.int8))

    def _complete(self, patterns: NDArray[np.float64], known: Mask) -> NDArray[np.float64]:
        return bound(complete(patterns, known, self.projection_)[0], known, self.columns_)

"""Recognition memory as an outlier detector: what excites no memory is new."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from numbers import Real
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted, validate_data

from mossy.errors import UnknownMemory
from mossy.substrate.index import Index

__all__ = ["NoveltyDetector"]

UNRELATED = -1.0  # the similarity of an unrelated key: what a memory without any other has
SAMPLE = 2048  # memories by which the threshold is set, at most
FENCE = 1.5  # quartile ranges below the lower quartile (Tukey)
CUES = 1024  # cues at once
MEMORIES = 4096  # memories at once
ROUNDING = 1e-9  # of the threshold: scores that differ by less are the same
CLOSE = 1e-9  # of the squared length: what is closer may be equal

Floats = NDArray[np.float64]
Patterns = NDArray[np.float32]


@final
class NoveltyDetector(OutlierMixin, BaseEstimator):  # type: ignore[misc]
    r"""Tells new patterns from familiar ones by the energy of a dense associative memory.

    Every pattern of ``fit`` becomes a memory ``k_i``. The familiarity of a pattern ``x`` is minus the energy

    .. math::  E(x) = -\tfrac1β \ln \sum_i e^{β\,\mathrm{sim}(k_i, x)}, \qquad
               \mathrm{sim}(k, x) = -\tfrac{\lVert k - x\rVert^2}{2σ^2}

    with ``σ²`` the summed variance of the memories. Where memories lie far apart, a pattern that is as far from them is
    nothing new. So a part of the energy that the memories it recalls have among the others is taken off:

    .. math::  \text{score}(x) = -E(x) + \text{local}·\sum_i a_i E_{-i}(k_i), \qquad
               a = \text{softmax}(β\,\mathrm{sim}(k_i, x))

    ``E_{-i}`` is the energy without memory ``i`` itself.

    Parameters
    ----------
    beta
        β, dimensionless: low, and many memories judge together; high, and the nearest one does. It holds from the
        first batch on; another one takes a new ``fit``.
    local
        From 0 (the energy alone) to 1 (only what is left of it beside that of the recalled memories).
    contamination
        ``"auto"``: a score is new below the lower quartile less 1.5 quartile ranges of the memories' own scores, each
        without itself. A number in ``(0, 0.5]``: the share of the memories that is new to the others.
    count_copies
        False: of the memories that equal a pattern to the bit, one does not count. So the patterns of ``fit`` are
        judged by the others, and ``fit_predict`` finds those among them that are new to the rest. True: what was seen
        once is familiar, as recognition wants it.

    Attributes
    ----------
    index_ : Index
        The memories, in float32, relative to ``centre_``.
    ids_ : ndarray of shape (n_memories,)
        Their ids, by which they can be forgotten: 0, 1, 2 … in the order in which they were given.
    familiarity_ : ndarray of shape (n_memories,)
        ``-E_{-i}(k_i)`` of each.
    offset_ : float
        ``decision_function`` is ``score_samples`` less this.
    centre_ : ndarray of shape (n_features_in_,)
        The mean of the first batch.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features_in_,)
        Only where ``X`` has names that are all strings.

    Notes
    -----
    ``fit`` on ``n`` patterns of ``d`` entries takes ``O(n²d)``, ``partial_fit`` of ``b`` ``O(n·(b + 2048)·d)``, but
    all ``O(n²d)`` whenever ``n`` passes a power of two (the scale ``σ²`` is then taken anew); a score takes ``O(nd)``.
    Bring the columns to one scale first (``StandardScaler``) unless they have one, as pixels do.

    References
    ----------
    Ramsauer et al. (2021), Hopfield Networks is All You Need, ICLR, arXiv:2008.02217, eq. 1, for the energy. Breunig et
    al. (2000), LOF, SIGMOD, doi:10.1145/342009.335388, for the comparison with the memories nearby.

    Examples
    --------
    >>> import numpy as np
    >>> from mossy.learn import NoveltyDetector
    >>> known = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = NoveltyDetector(count_copies=True).fit(known)
    >>> detector.predict([[0, 0, 0], [9, 9, 9]])
    array([ 1, -1])
    >>> detector.partial_fit([[9, 9, 9]]).predict([[9, 9, 9]])
    array([1])
    """

    index_: Index
    ids_: NDArray[np.int64]

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "beta": [Interval(Real, 0, None, closed="neither")],
        "local": [Interval(Real, 0, 1, closed="both")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "count_copies": ["boolean"],
    }

    def __init__(
        self,
        *,
        beta: float = 40.0,
        local: float = 0.5,
        contamination: float | str = "auto",
        count_copies: bool = False,
    ) -> None:
        self.beta = beta
        self.local = local
        self.contamination = contamination
        self.count_copies = count_copies

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Hold the patterns ``X (n, d)`` as memories, and nothing else; ``y`` is ignored."""
        with self._all_or_nothing():
            patterns = validate_data(self, X, dtype=np.float64)
            self._begin(patterns)
            self._store(patterns)
        return self

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def partial_fit(self, X: ArrayLike, y: object = None) -> Self:
        """Add the patterns ``X (n, d)`` to the memories; ``y`` is ignored."""
        self._validate_params()
        first = not hasattr(self, "index_")
        with self._all_or_nothing():
            patterns = validate_data(self, X, dtype=np.float64, reset=first)
            if first:
                self._begin(patterns)
            self._store(patterns)
        return self

    def forget(self, ids: ArrayLike) -> Self:
        """Forget the memories of these ids, as if they had never been given.

        Only ``centre_`` stays, the origin from which memories are measured; no score depends on it.

        Raises
        ------
        UnknownMemory
            There is no such id, or it would be the last memory; nothing was forgotten.
        """
        check_is_fitted(self)
        wanted = np.unique(np.atleast_1d(np.asarray(ids)))
        if wanted.dtype.kind not in "iu":
            raise ValueError(f"ids should be integers, as in ids_. Got dtype {wanted.dtype} instead.")
        there = np.isin(wanted, self.ids_)
        if not there.all():
            raise UnknownMemory(f"forget: no memory has the id {wanted[~there][0]}; nothing was forgotten.")
        if len(wanted) == len(self.ids_):
            raise UnknownMemory("forget: no memory would be left to judge by; nothing was forgotten.")
        rows = np.flatnonzero(np.isin(self.ids_, wanted))
        if len(rows):
            before = self.index_
            with self._all_or_nothing():
                self.index_ = Index("euclidean", "softmax", before.beta)
                self.index_.write(np.delete(before.keys, rows, axis=0))
                self.ids_ = np.delete(self.ids_, rows)
                self._excited = np.empty(0)
                self._judge_stored()
            before.erase(rows)  # no byte of them is left
        return self

    def score_samples(self, X: ArrayLike) -> Floats:
        """Return how familiar each pattern is, ``(n,)``: the lower, the newer; ``-inf`` beyond what float32 holds."""
        check_is_fitted(self)
        patterns = validate_data(self, X, dtype=np.float64, reset=False)
        with np.errstate(over="ignore"):
            cues = (patterns - self.centre_).astype(np.float32)  # as the memories are, so that copies are the same
        within = np.isfinite(cues).all(axis=1)
        scores = np.full(len(cues), -np.inf)
        scores[within] = self._scores(cues[within], but_one_copy=not self.count_copies)
        return scores

    def decision_function(self, X: ArrayLike) -> Floats:
        """Return ``score_samples(X) - offset_``, ``(n,)``: negative for what is new."""
        return np.asarray(self.score_samples(X) - self.offset_)

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """Return 1 for the familiar and -1 for the new, ``(n,)``."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Be as before if what is done within fails or is interrupted."""
        held = vars(self).copy()
        index = held.get("index_")
        rows = 0 if index is None else index.rows
        try:
            yield
        except BaseException:
            self.__dict__ = held
            if index is not None:
                index.truncate(rows)
            raise

    def _begin(self, X: Floats) -> None:
        self.centre_ = X.mean(axis=0)
        self.index_ = Index("euclidean", "softmax", float(self.beta))
        self.ids_ = np.empty(0, np.int64)
        self._next = 0
        self._excited = np.empty(0)
        self._measured_in = np.nan

    def _store(self, X: Floats) -> None:
        self.index_.write(X - self.centre_)
        self.ids_ = np.concatenate([self.ids_, np.arange(self._next, self._next + len(X))])
        self._next += len(X)
        self._judge_stored()

    def _judge_stored(self) -> None:
        """Bring what the memories say about each other up to date."""
        keys = self.index_.keys
        unit = float(self.index_.statistics().scale("variance", None)[0])
        old = len(self._excited) if unit == self._measured_in else 0
        new, _ = _excite(self.index_, keys[old:], but_one_copy=True)
        if old:
            more, _ = _excite(self.index_, keys[:old], first=old)
            new = np.concatenate([np.logaddexp(self._excited, more), new])
        self._excited, self._measured_in = new, unit
        self.familiarity_ = self._as_familiarity(new)
        scores = self._scores(keys[:: -(-len(keys) // SAMPLE)], but_one_copy=True)
        if self.contamination == "auto":
            low, high = np.percentile(scores, [25, 75])
            offset = float(low - FENCE * (high - low))
        else:
            offset = float(np.percentile(scores, 100.0 * float(self.contamination)))
        self.offset_ = offset - ROUNDING * max(1.0, abs(offset))

    def _scores(self, cues: Patterns, but_one_copy: bool) -> Floats:
        excited, nearby = _excite(self.index_, cues, values=self.familiarity_, but_one_copy=but_one_copy)
        return np.asarray(self._as_familiarity(excited) - float(self.local) * nearby)

    def _as_familiarity(self, excited: Floats) -> Floats:
        return np.where(np.isneginf(excited), UNRELATED, excited / self.index_.beta)


def _excite(
    index: Index, cues: Patterns, first: int = 0, values: Floats | None = None, but_one_copy: bool = False
) -> tuple[Floats, Floats]:
    r"""Return how much each cue excites the memories, and the mean of ``values`` over what it excites.

    .. math::  s = \ln \sum_i e^{β\,\mathrm{sim}(k_i, q)}, \qquad \bar v = \sum_i e^{β\,\mathrm{sim}(k_i, q) - s}\,v_i

    It is one pass of float64 products over all memories, without the bound that ``Index.scan`` puts on what counts:
    at the low β of recognition many memories do. One row gives the same as many, up to rounding of float64.

    Parameters
    ----------
    index
        Memories under the euclidean similarity; no row is silent.
    cues
        ``(c, d)``.
    first
        The row of the first memory that is excited.
    values
        ``(rows,)``, or None.
    but_one_copy
        Whether one of the memories that equal a cue, if there are any, is not excited by it.

    Returns
    -------
    tuple
        ``s (c,)``, ``-inf`` where there is nothing to excite, and ``v̄ (c,)``, 0 there and without ``values``.
    """
    summed, mean = np.full(len(cues), -np.inf), np.zeros(len(cues))
    scale = index.beta / float(index.statistics().scale("variance", None)[0])
    to_skip = np.full(len(cues), but_one_copy)
    for start in range(first, index.rows, MEMORIES):
        rows = slice(start, start + MEMORIES)
        keys = index.keys[rows].astype(np.float64)
        halves = 0.5 * np.einsum("nd,nd->n", keys, keys)
        for begin in range(0, len(cues), CUES):
            these = slice(begin, begin + CUES)
            q = cues[these].astype(np.float64)
            own = 0.5 * np.einsum("cd,cd->c", q, q)
            evidence = q @ keys.T
            evidence -= halves
            evidence -= own[:, None]
            if but_one_copy:
                near = np.flatnonzero(to_skip[these] & (evidence.max(axis=1) >= -CLOSE * own))
                for c in near:  # rounding hides which of those that are close is equal
                    same = np.flatnonzero(evidence[c] >= -CLOSE * own[c])
                    same = same[(keys[same] == q[c]).all(axis=1)]
                    if len(same):
                        evidence[c, same[0]] = -np.inf
                        to_skip[begin + c] = False
            evidence *= scale
            np.minimum(evidence, 0.0, out=evidence)
            top = np.maximum(summed[these], evidence.max(axis=1))
            top[np.isneginf(top)] = 0.0
            activity = np.exp(evidence - top[:, None], out=evidence)
            before = np.exp(summed[these] - top)
            total = before + activity.sum(axis=1)
            if values is not None:
                weighted = before * mean[these] + activity @ values[rows]
                mean[these] = np.divide(weighted, total, out=np.zeros_like(total), where=total > 0)
            with np.errstate(divide="ignore"):
                summed[these] = top + np.log(total)
    return summed, mean

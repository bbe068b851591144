"""A classifier whose fitted state is a memory."""

from __future__ import annotations

from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels

from mossy.errors import CannotForget, UnknownMemory
from mossy.learn.herding import herd
from mossy.learn.supervised.base import MemoryEstimator
from mossy.learn.supervised.explanation import Explanation
from mossy.learn.supervised.posterior import from_drives, from_votes
from mossy.learn.supervised.remembered import Remembered
from mossy.learn.supervised.sharpness import DOUBTS, sharpnesses, tuned_on
from mossy.memory.undisturbed import undisturbed

__all__ = ["MemoryClassifier"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]


@final
class MemoryClassifier(ClassifierMixin, MemoryEstimator):  # type: ignore[misc]
    r"""Learns examples in one pass, in any order, with new classes at any time, and forgets them exactly.

    An index votes by its ``k`` nearest examples; a matrix reads the drive of each class:

    .. math::  p_c ∝ n\sum_{i\,\text{of}\,c} a_i + \text{doubt}/m, \quad
               a = \text{softmax}(-γ‖k_i - x‖²/2), \quad n = 1/\sum a_i^2
               \qquad\text{or}\qquad  p = \text{softmax}(β(Wφ(x) + b))

    ``γ`` and the doubt are those that give each example the most probability by the others; ``W`` is ridge regression
    on one-hot values, and β follows from how well it fits (see ``mossy.learn.supervised.posterior``). Predicting
    changes nothing.

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
        The most bytes of the fitted state: an integer, or a string such as ``"0.5 MB"``. An index then keeps of each
        class those examples whose mean stays nearest to that of all that are there (herding); the others are let go and
        cannot be had back. That is decided again for every batch that comes, which takes the time of so many
        comparisons as there are pairs of what stays, and lets late examples weigh more. A matrix has as many units as
        fit. None sets no bound.
    keep_examples
        A matrix keeps every example beside its sums, so that they can be forgotten by id, by class or by ``X`` alone.
    per_class
        A matrix keeps a sum for each class, so that a class can be forgotten. It costs the size of the sums once more
        for each class.
    random_state
        The seed of the expansion, an integer.

    Attributes
    ----------
    classes_ : ndarray
        The classes that are known, sorted.
    substrate_ : str
        ``"index"`` or ``"matrix"``.
    last_ids_ : ndarray
        The ids of the examples of the last ``fit`` or ``partial_fit``: 0, 1, 2 … in the order in which they come.
    ids_ : ndarray
        The ids of the examples that are remembered one by one.
    nbytes_ : int
        Bytes of the fitted state, without ``encoder_``.
    encoder_, n_features_in_, feature_names_in_

    Notes
    -----
    Any order and any batches of the same examples give the same predictions: of an index exactly; of a matrix to the
    bit where the first batch leads to the same scale (one power of two), since patterns are whole numbers whose sums
    are exact. Columns that in the first batch lie a thousand spreads from 0 are measured from their mean there, since
    float32 could not tell them apart; then other first batches round otherwise. With an encoder of yours, what its
    first batch teaches it, and rounding, can differ; and what a budget lets go depends on when.

    References
    ----------
    Personnaz, Guyon and Dreyfus (1985), doi:10.1051/jphyslet:01985004608035900, the projection rule. Hoerl and Kennard
    (1970), doi:10.1080/00401706.1970.10488634, ridge regression. Ramsauer et al. (2021), arXiv:2008.02217, recall by
    softmax.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mossy.learn import MemoryClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> memory = MemoryClassifier()
    >>> for c in (2, 0, 1):  # one class after another
    ...     memory = memory.partial_fit(X[y == c], y[y == c])
    >>> memory.predict(X[:2])
    array([0, 0])
    >>> memory.forget(classes=[0]).classes_
    array([1, 2])
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        **MemoryEstimator._parameter_constraints,
        "per_class": ["boolean"],
    }

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
        per_class: bool = False,
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
        self.per_class = per_class
        self.random_state = random_state

    classes_: NDArray[Any]
    _labels: NDArray[Any]
    _declared: NDArray[Any]
    _counts: NDArray[np.int64]

    # --- learn -----------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike) -> MemoryClassifier:
        """Forget all, then learn examples ``X (n, d)`` of the classes ``y (n,)``."""
        self._forget_all()
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike, classes: ArrayLike | None = None) -> MemoryClassifier:
        """Learn examples beside those that are known.

        Parameters
        ----------
        X, y
            ``(n, d)`` and the class of each, ``(n,)``. Classes may be new.
        classes
            Classes that are to count from now on, whether they have examples or not. Not needed.
        """
        if not self._started():
            self._forget_all()
        first = self._next == 0
        x, labels = self._checked(X, first, y=y)
        check_classification_targets(labels)
        declared = [] if classes is None else [np.asarray(classes)]
        named = unique_labels(*([self._labels] if len(self._labels) else []), labels, *declared)
        features = self._features(x, labels, first)
        self._check_budget(features.shape[1], len(named), len(named))
        self._name_classes(named)
        try:
            self._learn(features, self._codes(labels))
        except BaseException:
            self._drop_classes()  # those that were only named
            raise
        if declared:
            self._declared = unique_labels(*([self._declared] if len(self._declared) else []), *declared)
        return self

    def _forget_all(self) -> None:
        self._begin()
        if hasattr(self, "classes_"):
            del self.classes_
        self._labels = np.empty(0)
        self._declared = np.empty(0)
        self._counts = np.empty(0, np.int64)

    def _name_classes(self, labels: NDArray[Any]) -> None:
        """Know these classes, which are all that there are, in order; the old ones get new numbers."""
        if not len(self._labels):
            self._labels, self._counts = labels, np.zeros(len(labels), np.int64)
        elif len(labels) > len(self._labels):
            place = np.searchsorted(labels, self._labels)
            counts = np.zeros(len(labels), np.int64)
            counts[place] = self._counts
            self._renumber(place, len(labels))
            self._labels, self._counts = labels, counts
        self.classes_ = self._labels

    def _renumber(self, place: Rows, m: int) -> None:
        """Give class ``i`` the number ``place[i]`` of ``m``; -1 for a class that is gone."""
        if self._remembered is not None:
            self._remembered.retarget(place[self._remembered.targets])
        if self._superposed is not None:
            self._superposed.renumber(place, m)

    def _codes(self, y: NDArray[Any]) -> Rows:
        return np.searchsorted(self._labels, y)

    def _empty(self) -> Remembered:
        return Remembered((), np.intp)

    def _values(self, targets: NDArray[Any]) -> Floats:
        return np.asarray(np.eye(len(self._labels))[targets])

    def _outputs(self) -> int:
        return len(self._labels)

    def _target_entries(self) -> int:
        return 1

    def _choose_kept(self, remembered: Remembered, most: int) -> Rows:
        return herd(remembered.keys, remembered.targets, max(most, len(np.unique(remembered.targets))))

    def _count_kinds(self, held: Remembered | None, targets: NDArray[Any], sign: int) -> None:
        m = len(self._labels)
        if held is None:
            self._counts = self._counts + sign * np.bincount(targets, minlength=m)
        else:
            self._counts = np.bincount(held.targets, minlength=m)

    # --- forget ----------------------------------------------------------------------------------

    def forget(
        self,
        X: ArrayLike | None = None,
        y: ArrayLike | None = None,
        *,
        classes: ArrayLike | None = None,
        ids: ArrayLike | None = None,
    ) -> MemoryClassifier:
        """Forget examples as if they had never been seen: those of ``X`` and ``y``, of ``classes``, or of ``ids``.

        Parameters
        ----------
        X, y
            Examples as they were given, and their classes. Of equal ones the oldest is forgotten, once for each row.
            An index, and a matrix with ``keep_examples``, needs no ``y``. A matrix without subtracts what it is told:
            that it was learned is for the caller to know, though impossible sums are found out.
        classes
            Every example of these classes, and the classes themselves.
        ids
            Examples by id, as ``last_ids_`` held them.

        Raises
        ------
        CannotForget
            A matrix does not keep what this needs: ``keep_examples``, or ``per_class`` for classes.
        UnknownMemory
            One of them is not known. Nothing was forgotten.
        """
        self._check_named(X, classes, ids)
        with undisturbed():
            if X is not None:
                self._forget_pairs(X, y)
            elif ids is not None:
                self._forget_rows(self._of_their_own("id").of_ids(ids))
                self._drop_classes()
            else:
                self._forget_classes(np.atleast_1d(np.asarray(classes)))
        return self

    def _forget_pairs(self, X: Any, y: Any) -> None:
        if y is None:
            if self._remembered is None:
                raise CannotForget("forget: examples are superposed; say with y which class each had.")
            X = self._checked(X, False)
            codes = None
        else:
            X, y = self._checked(X, False, y=y)
            unknown = np.setdiff1d(y, self._labels)
            if len(unknown):
                raise UnknownMemory(f"forget: nothing of class {unknown[0]!r} is known; nothing was forgotten.")
            codes = self._codes(y)
        features = self._features(X)
        if self._remembered is not None:
            rows = self._remembered.of_pairs(features.astype(np.float32), codes)
            self._forget_rows(rows)
            self._drop_classes()
            return
        if codes is None:
            return
        if (np.bincount(codes, minlength=len(self._counts)) > self._counts).any():
            raise UnknownMemory("forget: more examples of a class were given than are known; nothing was forgotten.")
        self._subtract(features, codes)
        self._drop_classes()

    def _forget_classes(self, classes: NDArray[Any]) -> None:
        unknown = np.setdiff1d(classes, self._labels)
        if len(unknown):
            raise UnknownMemory(f"forget: nothing of class {unknown[0]!r} is known; nothing was forgotten.")
        codes = self._codes(np.unique(classes))
        if self._remembered is not None:
            self._forget_rows(np.flatnonzero(np.isin(self._remembered.targets, codes)))
            self._drop_classes(codes)
        elif self._superposed is not None and self._superposed.per_class:
            gone = np.repeat(codes, self._counts[codes])
            self._superposed.drop(codes)
            self._count(gone, -1)
            self._drop_classes(codes)
        else:
            raise CannotForget(
                "forget: which examples belong to a class is not kept. Use per_class=True or keep_examples=True, or "
                "give X and y."
            )
        if len(self._declared):
            self._declared = np.setdiff1d(self._declared, classes)

    def _drop_classes(self, gone: NDArray[Any] | None = None) -> None:
        """Know those classes no more that nothing is left of, and ``gone``."""
        if self._seen == 0:
            self._forget_all()
            return
        kept = (self._counts > 0) | np.isin(self._labels, self._declared)
        if gone is not None:
            kept[gone] = False
        if not kept.all():
            self._renumber(np.where(kept, np.cumsum(kept) - 1, -1), int(kept.sum()))
            self._labels, self._counts = self._labels[kept], self._counts[kept]
        self.classes_ = self._labels

    # --- recall ----------------------------------------------------------------------------------

    def predict_proba(self, X: ArrayLike) -> Floats:
        """Return the probability of each class of ``classes_``, ``(n, n_classes)``."""
        cues = self._cues(X)
        if self._superposed is None:
            return self._by_index(cues)
        fit = self._superposed.solve().fit
        return from_drives(self._superposed.read(cues), self._counts > 0, fit)

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each, ``(n,)``."""
        cues = self._cues(X)
        if self._superposed is None:
            return np.asarray(self._labels[self._by_index(cues).argmax(axis=1)])
        drives = self._superposed.read(cues)
        drives[:, self._counts == 0] = -np.inf
        return np.asarray(self._labels[drives.argmax(axis=1)])

    def explain(self, x: ArrayLike) -> Explanation:
        """Return why one ``x (d,)`` or ``(1, d)`` is put into its class: see ``Explanation``."""
        x = self._one(x)
        probability = self.predict_proba(x)[0]
        best = int(probability.argmax())
        told = self._labels[best], float(probability[best])
        if self._superposed is not None:
            return self._parts_of_matrix(x, told, np.array([best]))
        remembered = self._of_their_own("id")
        return self._parts_of_index(x, told, remembered.tuned[0], lambda rows: self._labels[remembered.targets[rows]])

    def _by_index(self, cues: NDArray[Any]) -> Floats:
        remembered = self._of_their_own("id")
        if remembered.tuned is None:
            remembered.tuned = self._tune(remembered)
        sharpness, doubt = remembered.tuned
        rows, gaps = remembered.nearest(cues, int(self.neighbours))
        return self._vote(remembered, rows, remembered.activity(gaps, sharpness), doubt)

    def _vote(self, remembered: Remembered, rows: Rows, activity: Floats, doubt: float) -> Floats:
        m = len(self._labels)
        at = remembered.targets[rows] + m * np.arange(len(rows))[:, None]
        votes = np.bincount(at.ravel(), activity.ravel(), m * len(rows)).reshape(-1, m).astype(np.float64)
        return from_votes(votes, 1 / np.square(activity).sum(axis=1), doubt)

    def _tune(self, remembered: Remembered) -> tuple[float, float]:
        """Return sharpness and doubt: those by which examples are best told by the others."""
        rows = tuned_on(remembered.keys)
        rows = rows[self._counts[remembered.targets[rows]] > 1]
        if not len(rows):
            return sharpnesses(remembered, self.beta, None)[0], 1.0
        near, gaps = remembered.nearest(remembered.keys[rows], int(self.neighbours), rows)
        right = remembered.targets[rows]
        best = (np.inf, 0.0, 0.0)
        for sharpness in sharpnesses(remembered, self.beta, gaps):
            activity = remembered.activity(gaps, sharpness)
            for doubt in DOUBTS:
                p = self._vote(remembered, near, activity, doubt)
                loss = float(-np.log(p[np.arange(len(rows)), right]).mean())
                best = min(best, (loss, sharpness, doubt))
        return best[1], best[2]

"""A memory of training examples under a byte budget, from which any model is reminded of what it learned."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_array, check_is_fitted, check_scalar, validate_data

from mossy.arrays import LARGEST, Column, as_bytes
from mossy.errors import UnknownMemory
from mossy.learn.coreset import medoids
from mossy.memory.draw import draw
from mossy.strength import LAWS, LinearLaw, Strengths, as_law

__all__ = ["TrainingMemory"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]
Batch = tuple[NDArray[Any], NDArray[Any], NDArray[np.int64]]
Surprise = Callable[[NDArray[Any], NDArray[Any]], ArrayLike]

POOL = 8  # times what is to be drawn is looked at for surprise, as in ``Memory.replay``
MODES = 2  # of the strength of an example: it is held for every one
FIXED = 256  # bytes that do not depend on how many examples there are
LEAST = 1e-30  # a surprise below it counts as much


@final
class TrainingMemory(BaseEstimator):  # type: ignore[misc]
    r"""Holds a stream of training examples in a bounded number of bytes, and replays it to a model.

    A model that learns a stream batch by batch forgets what the stream no longer shows. With each batch, ``drive``
    lets it learn as many examples again that are remembered. Example ``i`` of class ``c`` is replayed with odds

    .. math::  p_i \propto \frac{s_i u_i}{\sum_{j \in c} s_j u_j}

    so that every class comes equally often, and within it what is strong and surprised the model. The strength ``s``
    falls as a power of time (``mossy.strength.power_law``); time is counted in examples stored. The surprise ``u`` is
    what ``report`` gave back, and the greatest of what was reported for those of which nothing was.

    Parameters
    ----------
    budget
        The most bytes of all arrays: an integer, or a string such as ``"1 MB"``. Examples are held in the dtype of the
        first batch, so that images of bytes take a quarter of what they do as float32.
    keep
        Which examples stay when not all can; the classes share the room evenly. ``"reservoir"``: of each class a random
        sample of all that came. ``"strong"``: the strongest; unless reinforced, those are the newest.
    balanced
        ``y`` are classes, that share the room and the replay. False: ``y`` are numbers, and all examples are alike.
    law
        How strength fades, with one example stored as the unit of time: ``"power_law"``, ``"two_phase"``,
        ``"benna_fusi"`` or a law of ``mossy``. It is taken in its coarse form of two modes.
    random_state
        The seed, an integer, of what stays and what is replayed.

    Attributes
    ----------
    classes_ : ndarray
        The classes that are remembered, sorted; only if ``balanced``.
    ids_ : ndarray
        The ids of the examples that are remembered, rising.
    nbytes_ : int
        Bytes of all arrays.
    n_features_in_, feature_names_in_

    References
    ----------
    J. S. Vitter (1985), doi:10.1145/3147.3165, reservoirs; A. Prabhu, P. Torr and P. Dokania (2020),
    doi:10.1007/978-3-030-58536-5_31, classes that share the room evenly; T. Schaul et al. (2016), arXiv:1511.05952,
    replay by surprise.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import SGDClassifier
    >>> from mossy.learn import TrainingMemory
    >>> X, y = load_digits(return_X_y=True)
    >>> memory, model = TrainingMemory("100 kB", random_state=0), SGDClassifier(random_state=0)
    >>> for c in range(10):  # one class after another
    ...     for part in np.array_split(np.flatnonzero(y == c), 10):
    ...         model = memory.drive(model, X[part], y[part], classes=range(10), replay=50)
    >>> bool(model.score(X, y) > 0.5)  # without the memory: 0.1 to 0.3
    True
    >>> memory.nbytes_ <= 100_000
    True
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "budget": [str, Interval(Integral, 1, None, closed="left")],
        "keep": [StrOptions({"reservoir", "strong"})],
        "balanced": ["boolean"],
        "law": [StrOptions(set(LAWS)), LinearLaw],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    def __init__(
        self,
        budget: int | str = "1 MB",
        *,
        keep: str = "reservoir",
        balanced: bool = True,
        law: str | LinearLaw = "power_law",
        random_state: int = 0,
    ) -> None:
        self.budget = budget
        self.keep = keep
        self.balanced = balanced
        self.law = law
        self.random_state = random_state

    _balanced: bool  # as the memory began: codes of classes are read otherwise than numbers
    _labels: NDArray[Any]
    _held: dict[str, Column]
    _strengths: Strengths

    # --- store -----------------------------------------------------------------------------------

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Forget all, then store examples ``X (n, d)`` with their classes or numbers ``y (n,)``."""
        if hasattr(self, "_held"):
            del self._held
        return self.partial_fit(X, y)

    def partial_fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Store examples, as ``store`` does, and return the memory."""
        self.store(X, y)
        return self

    def store(self, X: ArrayLike, y: ArrayLike) -> NDArray[np.int64]:
        """Remember examples ``X (n, d)`` with their classes or numbers ``y (n,)``, and return their ids ``(n,)``.

        What the budget has no room for is let go: of the new as of the old.

        Raises
        ------
        ValueError
            ``X`` or ``y`` is not sound, has other features than before or numbers that its dtype cannot hold; or the
            budget has no room for an example of each class. Nothing was stored.
        """
        return self._store(*self._checked(X, y))

    def drive(
        self,
        model: Any,
        X: ArrayLike,
        y: ArrayLike,
        *,
        replay: int | None = None,
        classes: ArrayLike | None = None,
        surprise: Surprise | None = None,
    ) -> Any:
        """Let a model learn a new batch together with a replayed one, then store the new one. Return the model.

        Parameters
        ----------
        model
            Whatever has ``partial_fit(X, y)``.
        X, y
            The new batch, ``(n, d)`` and ``(n,)``.
        replay
            How many remembered examples are learned with it, at most; None takes as many as are new.
        classes
            Passed to ``partial_fit``, if given: models of scikit-learn want to know all classes beforehand.
        surprise
            As in ``replay``.

        Raises
        ------
        TypeError
            The model has no ``partial_fit``.
        ValueError
            As ``store`` does; or what the model raises. Nothing was stored.
        """
        if not hasattr(model, "partial_fit"):
            raise TypeError(f"model should be an estimator implementing 'partial_fit'. Got {model!r} instead.")
        x, targets, labels = self._checked(X, y)
        wanted = len(x) if replay is None else check_scalar(replay, "replay", Integral, min_val=0)
        n = min(wanted, len(self))
        both = x, targets
        if n:
            old, known, _ = self.replay(n, surprise=surprise)
            both = np.concatenate([x, old]), np.concatenate([targets, known])
        model.partial_fit(*both, **({} if classes is None else {"classes": np.asarray(classes)}))
        self._store(x, targets, labels)
        return model

    def _checked(self, X: Any, y: Any) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any]]:
        """Return what can be stored, and all classes with the new ones, or raise; nothing is changed."""
        first = not hasattr(self, "_held")
        if first:
            self._validate_params()
        elif self.balanced != self._balanced:
            raise ValueError(
                f"balanced={self.balanced!r}, but this memory began with {self._balanced!r}: set it back, or start "
                "another memory by fit."
            )
        x, targets = validate_data(self, X, y, reset=first, y_numeric=not self.balanced)
        if x.dtype.kind not in "biuf":
            raise ValueError(f"X must be numbers: got dtype {x.dtype}. Encode categories and dates as numbers first.")
        if not first and x.dtype != self._held["X"].rows.dtype:
            x = _cast(x, self._held["X"].rows.dtype)
        labels = self._labels if not first else np.empty(0)
        if self.balanced:
            if targets.dtype.kind not in "biuU":  # those are classes anyway
                check_classification_targets(targets)
            there = np.unique(targets)
            if not len(labels):
                labels = there
            elif labels.dtype.kind != there.dtype.kind or len(np.setdiff1d(there, labels)):
                labels = unique_labels(labels, there)
        room, kinds = self._room(x), max(len(labels), 1)
        if room < kinds:
            raise ValueError(
                f"budget={self.budget!r} is too small: it has room for {room} examples, and there are {kinds} classes."
            )
        return x, targets, labels

    def _room(self, x: NDArray[Any]) -> int:
        """Return for how many examples like these there is room."""
        each = x.itemsize * x.shape[1] + 8 + 8 + 4 + 4 + 4 * MODES + 8
        return int(max(as_bytes(self.budget, "budget") - FIXED, 0) // each)

    def _store(self, x: NDArray[Any], targets: NDArray[Any], labels: NDArray[Any]) -> NDArray[np.int64]:
        if not hasattr(self, "_held"):
            self._begin(x)
        self._name_classes(labels)
        ids = np.arange(self._next, self._next + len(x))
        self._next += len(x)
        self._now += len(x)
        new = {
            "X": x,
            "y": np.searchsorted(labels, targets) if self._balanced else targets,
            "id": ids,
            "lot": self._random.random(len(x), np.float32),
            "surprise": np.full(len(x), np.nan, np.float32),
        }
        room, old = self._room(x), len(self)
        free, come = np.empty(0, np.intp), np.arange(len(x))
        if old + len(x) > room:
            stay = self._staying(new, room)
            free, come = np.flatnonzero(~stay[:old]), np.flatnonzero(stay[old:])
        self._write(new, come, free, room)
        return ids

    def _begin(self, x: NDArray[Any]) -> None:
        """Hold nothing yet, of examples like these."""
        self._balanced = bool(self.balanced)
        self._held = {
            "X": Column((x.shape[1],), x.dtype),
            "y": Column((), np.int64 if self._balanced else np.float64),
            "id": Column((), np.int64),
            "lot": Column((), np.float32),
            "surprise": Column((), np.float32),
        }
        self._strengths = Strengths(as_law(self.law).coarse(MODES), ages=2)
        self._labels = np.empty(0)
        self._random = np.random.default_rng(self.random_state)
        self._next, self._now = 0, 0.0

    def _name_classes(self, labels: NDArray[Any]) -> None:
        """Know these classes, which are all that there are, in order; the old ones get new numbers."""
        if len(labels) > len(self._labels):
            if len(self._labels):
                codes = self._held["y"].rows
                codes[:] = np.searchsorted(labels, self._labels)[codes]
            self._labels = labels

    def _staying(self, new: dict[str, NDArray[Any]], room: int) -> NDArray[np.bool_]:
        """Return which of the old and the new ones stay."""
        if self.keep == "strong":
            fresh = np.full(len(new["id"]), self._strengths.law.fresh[0])
            first = -np.concatenate([self._log_strengths(), fresh])
        else:
            first = np.concatenate([self._held["lot"].rows, new["lot"]])
        codes = np.concatenate([self._codes(), new["y"] if self._balanced else np.zeros(len(new["y"]), np.intp)])
        sizes = np.bincount(codes)
        order = np.lexsort((-np.arange(len(codes)), first, codes))
        place = np.arange(len(codes)) - (np.cumsum(sizes) - sizes)[codes[order]]
        stay = np.zeros(len(codes), np.bool_)
        stay[order[np.lexsort((first[order], place))[:room]]] = True  # the first of every class, then the second ...
        return stay

    def _write(self, new: dict[str, NDArray[Any]], come: Rows, free: Rows, room: int) -> None:
        """Write those of the new ones that come: over rows that are free, then behind the last one."""
        over, behind = come[: len(free)], come[len(free) :]
        at = free[: len(over)]
        self._strengths.erase(free)
        if len(at):
            self._strengths.excite(at, np.ones(len(at)), self._now)
        rows = len(self) + len(behind)
        room = min(max(rows, len(self) * 9 // 8), room)
        for column in [*self._held.values(), *self._strengths.columns()]:
            column.reserve(room)
        for name, column in self._held.items():
            column.rows[at] = new[name][over]
            column.append(new[name][behind])
        if len(behind):
            self._strengths.append(len(behind), self._now)
        self._take_out(free[len(over) :])

    def _take_out(self, rows: Rows) -> None:
        """Hold these rows no more; no byte of them is left."""
        if not len(rows):
            return
        kept = np.setdiff1d(np.arange(len(self)), rows)
        for column in [*self._held.values(), *self._strengths.columns()]:
            column.rows[rows] = 0
            column.put(column.rows[kept])

    # --- retrieve --------------------------------------------------------------------------------

    def replay(self, n: int, *, surprise: Surprise | None = None) -> Batch:
        """Draw ``n`` remembered examples, without repeats, by strength and surprise; nothing is reinforced.

        Parameters
        ----------
        n
            How many, from 1 to ``len(memory)``.
        surprise
            A function of ``X`` and ``y`` that returns how much each of ``m`` examples surprises the model now, at
            least 0: its loss, for example. It is asked about ``8n`` that are drawn first.

        Returns
        -------
        X, y, ids
        """
        check_is_fitted(self)
        n = check_scalar(n, "n", Integral, min_val=1, max_val=len(self))
        rows = draw(self._log_odds(), n if surprise is None else min(POOL * n, len(self)), self._random)
        if surprise is not None:
            told = _surprises(surprise(*self._batch(rows)[:2]), len(rows), "surprise(X, y)")
            rows = rows[draw(np.log(np.maximum(told, LEAST)), n, self._random)]
        return self._batch(rows)

    def report(self, ids: ArrayLike, surprise: ArrayLike) -> Self:
        """Tell how much these examples surprised the model, at least 0 each: the next replay goes by it.

        Raises
        ------
        UnknownMemory
            One of them is not remembered (any more). Nothing was changed.
        """
        rows = self._rows_of(ids, "report")
        self._held["surprise"].rows[rows] = _surprises(surprise, len(rows), "surprise")
        return self

    def reinforce(self, ids: ArrayLike, amount: float = 1.0) -> Self:
        """Excite these examples by ``amount``, above 0, because they were of use: they are replayed more often."""
        rows = np.unique(self._rows_of(ids, "reinforce"))
        amount = check_scalar(amount, "amount", Real, min_val=0, max_val=LARGEST, include_boundaries="right")
        self._strengths.excite(rows, np.full(len(rows), float(amount)), self._now)
        return self

    def coreset(self, n: int | float) -> Batch:
        """Return few examples that stand for all that are remembered, to train on: see ``mossy.learn.coreset``.

        Parameters
        ----------
        n
            How many, an integer of at least the number of classes, or a share of what is remembered, up to 1.0. The
            classes share them evenly.

        Returns
        -------
        X, y, ids
        """
        check_is_fitted(self)
        kinds = max(len(self._labels), 1)
        if isinstance(n, Integral):
            most = int(check_scalar(n, "n", Integral, min_val=1))
        else:
            share = check_scalar(n, "n", Real, min_val=0, max_val=1, include_boundaries="right")
            most = round(float(share) * len(self))
        if most < kinds:
            raise ValueError(
                f"n = {n} gives {most} examples, which should be at least the number of classes = {kinds}."
            )
        if most >= len(self):
            return self._batch(np.arange(len(self)))
        return self._batch(medoids(self._held["X"].rows, self._codes(), most))

    def forget(self, ids: ArrayLike | None = None, *, classes: ArrayLike | None = None) -> Self:
        """Forget examples by id, or all of some classes; no byte of them is left.

        What was let go for them does not come back, and a model that learned them has to be forgotten otherwise.

        Raises
        ------
        UnknownMemory
            One of them is not remembered. Nothing was forgotten.
        """
        if (ids is None) == (classes is None):
            raise ValueError("forget: give ids, or classes.")
        if ids is not None:
            self._take_out(np.unique(self._rows_of(ids, "forget")))
        else:
            check_is_fitted(self)
            gone = np.unique(np.atleast_1d(np.asarray(classes)))
            unknown = np.setdiff1d(gone, self._labels)
            if len(unknown):
                raise UnknownMemory(
                    f"forget: nothing of class {unknown.tolist()[0]!r} is remembered; nothing was forgotten."
                )
            self._take_out(np.flatnonzero(np.isin(self._codes(), np.searchsorted(self._labels, gone))))
        if self._balanced:
            there, codes = np.unique(self._codes(), return_inverse=True)
            self._labels = self._labels[there]
            self._held["y"].rows[:] = codes
        return self

    # --- what is there ---------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._held["id"].rows) if hasattr(self, "_held") else 0

    def __sklearn_is_fitted__(self) -> bool:
        return len(self) > 0

    @property
    def classes_(self) -> NDArray[Any]:
        """The classes that are remembered, sorted."""
        check_is_fitted(self)
        if not self._balanced:
            raise AttributeError("classes_: with balanced=False y are numbers.")
        return self._labels.copy()

    @property
    def ids_(self) -> NDArray[np.int64]:
        """The ids of the examples that are remembered, rising."""
        check_is_fitted(self)
        return np.sort(self._held["id"].rows)

    @property
    def nbytes_(self) -> int:
        """Bytes of all arrays."""
        return sum(column.nbytes for column in self._held.values()) + self._strengths.nbytes if len(self) else 0

    def _batch(self, rows: Rows) -> Batch:
        y = self._held["y"].rows[rows]
        return self._held["X"].rows[rows], self._labels[y] if self._balanced else y, self._held["id"].rows[rows]

    def _codes(self) -> NDArray[np.int64]:
        """Return the number of the class of each."""
        return self._held["y"].rows if self._balanced else np.zeros(len(self), np.int64)

    def _log_strengths(self) -> Floats:
        return np.asarray(self._strengths.log(np.arange(len(self)), self._now), np.float64)

    def _log_odds(self) -> Floats:
        """Return the logarithm of the odds of each, up to a constant."""
        told = self._held["surprise"].rows.astype(np.float64)
        missing = np.isnan(told)
        told[missing] = 1.0 if missing.all() else np.nanmax(told)
        odds, codes = self._log_strengths() + np.log(np.maximum(told, LEAST)), self._codes()
        best = np.full(len(self._labels) or 1, -np.inf)
        np.maximum.at(best, codes, odds)
        return np.asarray(odds - best[codes] - np.log(np.bincount(codes, np.exp(odds - best[codes])))[codes])

    def _rows_of(self, ids: ArrayLike, by: str) -> Rows:
        """Return the rows of these ids, or raise."""
        check_is_fitted(self)
        wanted = np.atleast_1d(np.asarray(ids))
        if wanted.dtype.kind not in "iu" or wanted.ndim != 1 or not len(wanted):
            raise ValueError("ids must be one or more integers, as store returned them.")
        held = self._held["id"].rows
        order = np.argsort(held)
        rows = order[np.minimum(np.searchsorted(held, wanted, sorter=order), len(held) - 1)]
        unknown = held[rows] != wanted
        if unknown.any():
            raise UnknownMemory(f"{by}: no example has the id {wanted[unknown][0]}; nothing was changed.")
        return np.asarray(rows)


def _cast(x: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return ``x`` in the dtype that is held, or raise if it cannot be that."""
    with np.errstate(over="ignore", invalid="ignore"):
        same = x.astype(dtype)
    exact = dtype.kind == "f" and x.dtype.kind == "f"
    if not (np.isfinite(same).all() if exact else np.array_equal(same, x)):
        raise ValueError(
            f"X has numbers that {dtype} cannot hold, as which the first batch was given. Give that as float32, or "
            "start another memory."
        )
    return same


def _surprises(given: ArrayLike, n: int, name: str) -> Floats:
    told = check_array(np.atleast_1d(np.asarray(given)), ensure_2d=False, dtype=np.float64, input_name=name)
    if told.shape != (n,):
        raise ValueError(f"{name} has shape {told.shape}, but ({n},) is expected: one number for each example.")
    if told.min() < 0:
        raise ValueError(f"Negative values in {name}: at least 0 is expected.")
    return np.asarray(told)

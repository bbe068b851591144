"""What the classifier and the regressor share: which substrate holds the examples, and how they are forgotten."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, clone
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.validation import check_array, check_is_fitted, validate_data

from mossy.arrays import LARGEST, as_bytes
from mossy.encode import Dentate
from mossy.errors import CannotForget, UnknownMemory
from mossy.learn.supervised.explanation import Explanation
from mossy.learn.supervised.remembered import Remembered
from mossy.learn.supervised.superposed import BLOCK, Superposed

__all__ = ["MemoryEstimator"]

Rows = NDArray[np.intp]
Floats = NDArray[np.float64]

FEWEST = 8  # units of a matrix
SPARE = 8  # a part of the room that is freed for the batches to come, so that not each small one chooses anew
OUTPUTS = 16  # entries of a value that a budget leaves room for, at least
WITHOUT_SPARE = 8 / 9  # of the bytes of an array that grows by an eighth: its rows
EXPANDED = 12  # bytes of a synapse of the expansion: as it is made, and as it is read
READ = 2  # times that weights of a value are held: their sum, and as they are read
REMOTE = 1000.0  # spreads of the mean of a column from 0, from which on it is measured from there
VARYING = 1e-13  # of the mean: a spread that is not rounding alone
FAR = 4.0  # standard deviations of the mean from 0, from which on it is subtracted


class MemoryEstimator(BaseEstimator, ABC):  # type: ignore[misc]
    """An estimator whose fitted state is a memory of examples, each its own or all superposed."""

    per_class = False  # whether a matrix keeps a sum for each class

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "substrate": [StrOptions({"auto", "index", "matrix"})],
        "encoder": [None, HasMethods(["fit", "transform"]), HasMethods(["partial_fit", "transform"])],
        "units": [Interval(Integral, FEWEST, None, closed="left")],
        "ridge": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "neighbours": [Interval(Integral, 1, None, closed="left")],
        "beta": [StrOptions({"auto"}), Interval(Real, 0, None, closed="neither")],
        "budget": [None, str, Interval(Integral, 1, None, closed="left")],
        "keep_examples": ["boolean"],
        "random_state": [Interval(Integral, 0, None, closed="left")],
    }

    _remembered: Remembered | None
    _superposed: Superposed | None
    _origin: Floats | None  # from which features are measured, where float32 could not tell them apart otherwise

    # --- what a kind of target decides -----------------------------------------------------------

    @abstractmethod
    def _empty(self) -> Remembered:
        """Return a memory of no examples, for targets of this kind."""

    @abstractmethod
    def _values(self, targets: NDArray[Any]) -> Floats:
        """Return the values ``(n, m)`` that a matrix learns for targets."""

    @abstractmethod
    def _outputs(self) -> int:
        """Return how many entries a value has."""

    @abstractmethod
    def _target_entries(self) -> int:
        """Return how many numbers the target of an example is."""

    @abstractmethod
    def _choose_kept(self, remembered: Remembered, most: int) -> Rows:
        """Return the rows to keep so that at most ``most`` are left, or raise ``ValueError``."""

    @abstractmethod
    def _count_kinds(self, held: Remembered | None, targets: NDArray[Any], sign: int) -> None:
        """Count by kind the examples that are ``held``, or else these targets that came, or went (``sign=-1``)."""

    # --- learn -----------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Know nothing."""
        self._validate_params()
        self._remembered = self._superposed = self._origin = None
        self._next = self._seen = 0
        for name in ("encoder_", "n_features_in_", "feature_names_in_"):
            if hasattr(self, name):
                delattr(self, name)

    def _started(self) -> bool:
        return hasattr(self, "_seen")

    def __sklearn_is_fitted__(self) -> bool:
        return self._started() and self._seen > 0

    def _checked(self, X: Any, reset: bool, **arguments: Any) -> Any:
        """Return ``X``, in float32 if it is that or short integers, else float64, with ``y`` if it is given."""
        kind = getattr(X, "dtype", np.dtype(object))
        short = isinstance(kind, np.dtype) and kind.kind in "biu" and kind.itemsize <= 2
        dtype = [np.float32, np.float64] if short else [np.float64, np.float32]
        return validate_data(self, X, reset=reset, dtype=dtype, **arguments)

    def _features(self, X: NDArray[Any], y: Any = None, first: bool = False) -> NDArray[Any]:
        """Return what the encoder makes of ``X``, from the origin.

        With ``first`` the encoder is fitted on it, and the origin found; both are fixed from then on.
        """
        made = self._encoded(X, y, first)
        if first:
            self._origin = _origin(made)
        return made if self._origin is None else made - self._origin

    def _encoded(self, X: NDArray[Any], y: Any, first: bool) -> NDArray[Any]:
        if self.encoder is None:
            return _in_range(X, "X")
        if first:
            self.encoder_ = clone(self.encoder)
            (self.encoder_.fit if hasattr(self.encoder_, "fit") else self.encoder_.partial_fit)(X, y)
        made = self.encoder_.transform(X)
        made = _in_range(check_array(made, dtype=[np.float32, np.float64], input_name="encoded X"), "encoded X")
        width = made.shape[1] if first else self._width()
        if made.shape[1] != width:
            raise ValueError(f"The encoder returned {made.shape[1]} features, but {width} are expected, as before.")
        return made

    def _width(self) -> int:
        """Return how many features an example has behind the encoder."""
        return self._superposed.d if self._superposed is not None else int(self._of_their_own("id").keys.shape[1])

    def _learn(self, features: NDArray[Any], targets: NDArray[Any]) -> None:
        """Write examples, whose features and targets are checked."""
        ids = np.arange(self._next, self._next + len(features))
        remembered, superposed = self._remembered, self._superposed
        if remembered is None and superposed is None:
            if self.substrate == "matrix":
                superposed = self._matrix(features)
            if self.substrate != "matrix" or self.keep_examples:
                remembered = self._empty()
        before = 0 if remembered is None else len(remembered)
        try:
            if remembered is not None:
                remembered.write(features, targets, ids)
            if superposed is not None:
                self._superpose(superposed, features, targets)
        except BaseException:
            if remembered is not None:
                remembered.truncate(before)
            raise
        self._remembered, self._superposed = remembered, superposed
        self._next += len(features)
        self._count(targets)
        self.last_ids_ = ids
        self._keep_within()

    def _count(self, targets: NDArray[Any], sign: int = 1) -> None:
        """Count examples with these targets that came, or went with ``sign=-1``; an index counts what it holds."""
        held = self._remembered if self._superposed is None else None
        self._count_kinds(held, targets, sign)
        self._seen = self._seen + sign * len(targets) if held is None else len(held)

    def _superpose(self, superposed: Superposed, features: NDArray[Any], targets: NDArray[Any], sign: int = 1) -> None:
        single = features.astype(np.float32, copy=False)  # as they are remembered, so that they can be taken out again
        superposed.write(single, self._values(targets), targets if superposed.per_class else None, sign)

    def _matrix(self, features: NDArray[Any]) -> Superposed:
        """Return an empty matrix for features like these."""
        d = features.shape[1]
        ridge = None if self.ridge == "auto" else float(self.ridge)
        per_class = self.per_class
        if self.encoder is not None:
            return Superposed(None, d, self._outputs(), ridge, None, per_class)
        units, block = self._room(d)
        mean, scale = _scaling(features)
        dentate = Dentate(d, units, seed=int(self.random_state), mean=mean, scale=scale)
        return Superposed(dentate, d, self._outputs(), ridge, block, per_class)

    def _check_budget(self, d: int, outputs: int, kinds: int) -> None:
        """Raise ``ValueError`` if a budget has no room for features of ``d`` entries and so many kinds of target.

        Parameters
        ----------
        d
            Entries of the features.
        outputs
            Entries of a value, as they will be.
        kinds
            How many examples there must be room for, at least.
        """
        if self.budget is None:
            return
        budget = self._allowed()
        if self.keep_examples and self.substrate != "index":
            raise ValueError("budget cannot be kept with keep_examples=True, which keeps every example.")
        if self._superposed is not None:
            more = outputs - len(self._superposed.cross)
            each = READ * 8 * (self._superposed.units + 1) + self._superposed.per_class * self._superposed.nbytes_of_sum
            if self._superposed.nbytes + more * each > budget:
                raise ValueError(f"budget={self.budget!r} is too small for {more} more classes.")
        elif self.substrate != "matrix" and budget < 16 * d + kinds * (
            4 * d + 4 + 1 + 8 * (1 + self._target_entries())
        ):
            raise ValueError(f"budget={self.budget!r} is too small: it has no room for an example of each class.")
        if self._superposed is None and self.substrate == "matrix" and self.encoder is None:
            self._room(d)

    def _allowed(self) -> int:
        """Return how many bytes the budget leaves for examples."""
        return as_bytes(self.budget, "budget") - (0 if self._origin is None else self._origin.nbytes)

    def _room(self, d: int) -> tuple[int, int]:
        """Return how many units a matrix has, and how many rows may wait, within the budget."""
        units, block = self._units_within(d)
        if units < FEWEST:
            raise ValueError(f"budget={self.budget!r} is too small: a matrix of {FEWEST} units does not fit.")
        return units, block

    def _units_within(self, d: int) -> tuple[int, int]:
        """Return how many units, at most ``units``, and rows that wait have room within the budget."""
        if self.budget is None:
            return int(self.units), BLOCK
        budget = self._allowed()
        outputs = max(self._outputs(), OUTPUTS)
        block = int(min(BLOCK, max(16, (max(budget, 0) / 8) ** 0.5 // 64)))
        sums = outputs if self.per_class else 1
        a, b = 8.0 * sums, 8 * (2 + READ * outputs) + 4 * block + 20 * (d + 1)
        left = budget - 16 * outputs * block
        units = int((-b + (b * b + 4 * a * left) ** 0.5) / (2 * a)) if left > 0 else 0
        return min(units, int(self.units)), block

    def _most_bytes(self) -> float:
        """Return how many bytes examples of their own may take before they are superposed, or some are let go."""
        given = np.inf if self.budget is None else self._allowed()
        if self.substrate == "index" or self._remembered is None:
            return given
        d = self._remembered.keys.shape[1]
        if self.substrate == "auto" and self._superposed is None and not self._fits(d):
            return given
        units, each = (self.units, EXPANDED * d) if self.encoder is None else (d, 0)
        return float(min(given, 8.0 * (units + 1) ** 2 + units * each))

    def _fits(self, d: int) -> bool:
        """Return whether a matrix may follow an index of features of ``d`` entries.

        All of its units must be within the budget, and an encoder must widen: a readout of fewer entries than came in
        is no more than linear where an index is not.
        """
        if self.encoder is not None and d <= self.n_features_in_:
            return False
        if self.budget is None:
            return True
        if self.encoder is None:
            return self._units_within(d)[0] == int(self.units)
        sums = self._outputs() if self.per_class else 1
        return 8 * (d + 1) * (sums * (d + 1) + (2 + READ) * self._outputs()) <= self._allowed()

    def _keep_within(self) -> None:
        """Superpose or consolidate examples that take more than they may."""
        remembered = self._remembered
        if remembered is None:
            return
        most = self._most_bytes()
        if self.substrate == "auto" and self._superposed is None and self._fits(remembered.keys.shape[1]):
            if len(remembered) <= remembered.room(int(most if self.budget is None else most * WITHOUT_SPARE)):
                return  # it depends on how many they are, not on what the arrays have to spare
            superposed = self._matrix(remembered.keys)
            self._superpose(superposed, remembered.keys, remembered.targets)
            self._superposed = superposed
            if not self.keep_examples:
                self._remembered = None
        elif self._superposed is None and self.budget is not None and remembered.nbytes > most:
            room = remembered.room(int(most))
            spare = room // SPARE if len(remembered) - room <= room // SPARE else 0
            kept = self._choose_kept(remembered, room - spare)
            gone = np.setdiff1d(np.arange(len(remembered)), kept)
            targets = remembered.targets[gone]
            remembered.remove(gone)
            self._count(targets, -1)

    # --- forget ----------------------------------------------------------------------------------

    def _forget_rows(self, rows: Rows) -> None:
        """Forget these rows of the examples, also where they are superposed."""
        remembered = self._of_their_own("id")
        rows = np.unique(rows)
        targets = remembered.targets[rows].copy()
        if self._superposed is not None:
            self._superpose(self._superposed, remembered.keys[rows].copy(), targets, -1)
        remembered.remove(rows)
        self._count(targets, -1)

    def _check_named(self, X: Any, classes: Any, ids: Any) -> None:
        """Hold ``forget`` to one way of naming examples."""
        check_is_fitted(self)
        if sum(given is not None for given in (X, classes, ids)) != 1:
            raise ValueError("forget: give X (and y), or classes, or ids.")

    def _of_their_own(self, by: str) -> Remembered:
        if self._remembered is None:
            raise CannotForget(
                f"forget: examples are superposed and not kept, so none can be found by {by}. Use keep_examples=True, "
                "or give X and y."
            )
        return self._remembered

    def _subtract(self, features: NDArray[Any], targets: NDArray[Any]) -> None:
        """Take examples out of the sums, or raise ``UnknownMemory``; they are kept nowhere else."""
        if self._superposed is None:
            raise UnknownMemory("forget: nothing is remembered; nothing was forgotten.")
        after = self._superposed.copy()
        self._superpose(after, features, targets, -1)
        if not after.possible():
            raise UnknownMemory("forget: X holds what cannot have been learned here; nothing was forgotten.")
        self._superposed = after
        self._count(targets, -1)

    # --- what is known of it ---------------------------------------------------------------------

    @property
    def substrate_(self) -> str:
        """What holds the examples: ``"index"`` or ``"matrix"``."""
        check_is_fitted(self)
        return "index" if self._superposed is None else "matrix"

    @property
    def ids_(self) -> NDArray[np.int64]:
        """The ids of the examples that are remembered one by one, in the order in which they came."""
        check_is_fitted(self)
        if self._remembered is None:
            raise AttributeError("ids_: examples are superposed and not kept. Use keep_examples=True.")
        return self._remembered.ids.copy()

    @property
    def nbytes_(self) -> int:
        """Bytes of the fitted state, without an encoder of yours."""
        check_is_fitted(self)
        parts = (self._remembered, self._superposed, self._origin)
        return sum(part.nbytes for part in parts if part is not None)

    def _cues(self, X: ArrayLike) -> NDArray[Any]:
        """Return the features of ``X`` to be read."""
        check_is_fitted(self)
        return self._features(self._checked(X, reset=False))

    # --- explain ---------------------------------------------------------------------------------

    def _one(self, x: Any) -> Any:
        """Return one example ``(d,)`` or ``(1, d)`` as a batch; a table stays one, with its names."""
        batch = x if len(getattr(x, "shape", ())) == 2 else np.atleast_2d(np.asarray(x))
        if batch.shape[0] != 1:
            raise ValueError(f"explain takes one example; {batch.shape[0]} were given.")
        return batch

    def _parts_of_index(
        self, x: Any, told: tuple[Any, float | None], sharpness: float, named: Callable[[Rows], NDArray[Any]]
    ) -> Explanation:
        """Return which examples take part in what is recalled for one ``x (1, d)``."""
        remembered = self._of_their_own("id")
        rows, gaps = remembered.nearest(self._cues(x), int(self.neighbours))
        activity = remembered.activity(gaps, sharpness)[0]
        active = np.flatnonzero(activity)
        active = active[np.argsort(-activity[active], kind="stable")]
        rows = rows[0, active]
        return Explanation(*told, "index", remembered.ids[rows].copy(), named(rows), activity[active])

    def _parts_of_matrix(self, x: Any, told: tuple[Any, float | None], outputs: Rows) -> Explanation:
        """Return which units drive what is read for one ``x (1, d)``."""
        superposed = self._superposed
        if superposed is None:
            raise AttributeError("the examples are not superposed")
        solution = superposed.solve()
        shares = superposed.patterns(self._cues(x))[0][:, None] * solution.weights[outputs].T
        order = np.argsort(-np.abs(shares).max(axis=1), kind="stable")
        intercept = solution.intercept[outputs]
        drive = shares.sum(axis=0) + intercept
        one = len(outputs) == 1
        parts = (shares[order, 0], drive[0], intercept[0]) if one else (shares[order], drive, intercept)
        return Explanation(*told, "matrix", order, None, *parts)


def _origin(features: NDArray[Any]) -> Floats | None:
    """Return the mean ``(d,)`` of columns that lie far from 0 for how little they vary, else 0; None if none does.

    Of a column that does not vary, the greatest spread decides. It is rounded to half the spread, as a power of two, so
    that numbers that float32 holds are not rounded anew.
    """
    x = features.astype(np.float64, copy=False)
    mean, spread = x.mean(axis=0), x.std(axis=0)
    varying = spread > VARYING * np.abs(mean)
    spread = np.where(varying, spread, np.max(spread, where=varying, initial=0.0))
    far = (np.abs(mean) > REMOTE * spread) & (spread > 0)
    if not far.any():
        return None
    unit = 2.0 ** (np.floor(np.log2(spread[far])) - 1)
    origin = np.zeros(len(mean))
    origin[far] = np.round(mean[far] / unit) * unit
    return origin


def _in_range(features: NDArray[Any], name: str) -> NDArray[Any]:
    """Return finite features as they are, or raise ``ValueError`` if float32 cannot hold and square them."""
    if features.size and max(features.max(), -features.min()) > LARGEST:
        raise ValueError(f"Input {name} contains infinity or a value too large for dtype('float32').")
    return features


def _scaling(features: NDArray[Any]) -> tuple[float, float]:
    """Return mean and scale of the expansion, rounded so that hardly ever another batch decides otherwise.

    The scale is half the root mean square, as a power of two; the mean is 0 unless it is far from it.
    """
    x = features.astype(np.float64)
    mean, spread = float(x.mean()), float(x.std())
    if abs(mean) <= FAR * spread:
        mean = 0.0
    size = float(np.sqrt(np.square(x - mean).mean()))
    if size <= 1e-12 * max(1.0, abs(mean)):
        size = max(abs(mean), 1.0)
    scale = float(2.0 ** (np.round(np.log2(size)) - 1))
    return scale * round(mean / scale), scale

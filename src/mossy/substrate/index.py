"""One index neuron a memory: a dense associative memory that grows."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import LARGEST, Column, as_array, as_batch, as_cues, check_number, choose
from mossy.errors import EmptyMemory, InvalidParameter, InvalidShape, UnknownMemory
from mossy.separation import SEPARATIONS, Separation, as_separation
from mossy.similarity import Cues, KeyStatistics, Similarity, as_similarity
from mossy.similarity.scan import exact, scan, seen

__all__ = ["Index"]

SAMPLE = 1024  # keys by which similarities are scaled, at most
LONG = 5.0  # medians of length, beyond which a key does not count for the scale

Rows = NDArray[np.intp]
Patterns = NDArray[np.float32]


@final
class Index:
    r"""Holds every key ``k_i`` and value ``v_i``; reading excites one index neuron for each.

    .. math::  e_i = β\,\mathrm{sim}(k_i, q), \qquad a = \text{separation}(e), \qquad \text{output} = \sum_i a_i v_i

    A row of its arrays is an index neuron; its number is how others refer to it. ``erase`` silences rows at once and
    leaves no byte of them; ``compact`` takes the silent rows out.

    Parameters
    ----------
    similarity
        ``"euclidean"``, ``"cosine"``, ``"dot"`` or ``"manhattan"``, or a ``Similarity``.
    separation
        ``"softmax"``, ``"sparsemax"``, ``"entmax"``, ``"winner"``, ``"polynomial"``, ``"linear"`` or a ``Separation``.
    beta
        β, from 1e-12 to 1e12, dimensionless: the evidence of one unit of similarity, of which unrelated keys lie about
        one below a perfect fit. None takes the default of the similarity.

    Raises
    ------
    UnknownName, InvalidParameter

    References
    ----------
    Millidge et al. (2022), Universal Hopfield Networks, ICML, arXiv:2202.04557, eq. 1.
    """

    def __init__(
        self,
        similarity: str | Similarity = "euclidean",
        separation: str | Separation = "softmax",
        beta: float | None = None,
    ) -> None:
        self.similarity = as_similarity(similarity)
        self.separation = as_separation(separation)
        if not (self.separation.shift_invariant or self.similarity.zero_based):
            raise InvalidParameter(
                f"separation: {type(self.separation).__name__} was given with {type(self.similarity).__name__}; "
                "it needs a similarity whose zero means unrelated. Use similarity='dot' or 'cosine', or "
                "separation='softmax'."
            )
        self.beta = self.similarity.beta if beta is None else check_number(beta, "beta", 1e-12, 1e12)
        self._keys: Column | None = None
        self._values: Column | None = None
        self._norms: Column | None = None
        self._fitted: KeyStatistics | None = None
        self._sampled = 0
        self._longest = 0.0
        self._dead = Column((), np.bool_)
        self.n_silent = 0

    def __len__(self) -> int:
        return 0 if self._keys is None else len(self._keys.rows) - self.n_silent

    @property
    def rows(self) -> int:
        """The number of rows, the silent ones included."""
        return 0 if self._keys is None else len(self._keys.rows)

    @property
    def d(self) -> int | None:
        """The number of neurons of a key; None before the first ``write`` decides it."""
        return None if self._keys is None else int(self._keys.rows.shape[1])

    @property
    def d_value(self) -> int | None:
        """The number of neurons of a value; None before the first ``write`` decides it."""
        return self.d if self._values is None else int(self._values.rows.shape[1])

    @property
    def keys(self) -> Patterns:
        """The keys ``(rows, d)``: a view that cannot be written."""
        return np.empty((0, 0), np.float32) if self._keys is None else _to_read(self._keys)

    @property
    def values(self) -> Patterns:
        """The values ``(rows, d_value)``, or the keys if there are none: a view that cannot be written."""
        return self.keys if self._values is None else _to_read(self._values)

    @property
    def norms(self) -> Patterns:
        """What the similarity keeps of each key ``(rows,)``; empty if it keeps nothing."""
        return np.empty(0, np.float32) if self._norms is None else self._norms.rows

    @property
    def dead(self) -> NDArray[np.bool_]:
        """Whether each row is silent ``(rows,)``: a view to read."""
        return self._dead.rows

    @property
    def has_values(self) -> bool:
        """Whether values of their own are stored with the keys."""
        return self._values is not None

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(column.nbytes for column in self.columns()) + (0 if self.d is None else 16 * self.d)

    @property
    def bytes_of_patterns(self) -> int:
        """Bytes that the stored keys and values themselves are."""
        return 4 * len(self) * ((self.d or 0) + (0 if self._values is None else self._values.rows.shape[1]))

    def check(self, keys: ArrayLike, values: ArrayLike | None, name: str = "keys") -> tuple[Patterns, Patterns | None]:
        """Return keys and values as batches that can be written, or raise; nothing is changed."""
        batch = self._as_one(keys) if values is None else None
        if batch is None:
            batch, _ = as_batch(keys, name, self.d)
        if values is None:
            if self._values is not None:
                raise InvalidShape(
                    f"values: none were given; this memory stores values of {self.d_value} entries with its keys."
                )
            return batch, None
        if self._values is None and self._keys is not None:
            raise InvalidShape("values: were given; this memory was begun without. Give none, or start another memory.")
        answers, _ = as_batch(values, "values", self.d_value if self._values is not None else None)
        if len(answers) != len(batch):
            read = "one value for one pattern" if np.ndim(np.asarray(values)) == 1 else f"{len(answers)}"
            raise InvalidShape(
                f"values: {read} was given for {len(batch)} {name}; give (n, d_value), one row for each. "
                "Labels and other objects go to payload=."
            )
        return batch, answers

    def write(self, keys: ArrayLike, values: ArrayLike | None = None) -> Rows:
        """Add an index neuron for each key ``(n, d)`` and value ``(n, d_value)`` (the key itself if None).

        Returns
        -------
        array
            The rows ``(n,)`` that were added.

        Raises
        ------
        InvalidInput
            Nothing was written.
        """
        return self.extend(*self.check(keys, values))

    def begin(self, d: int, d_value: int | None) -> Column:
        """Take keys and values of so many neurons from now on, and return the column of the keys."""
        self._keys = Column((d,), np.float32)
        self._values = None if d_value is None else Column((d_value,), np.float32)
        if self.similarity.norms(np.zeros((1, d), np.float32)) is not None:
            self._norms = Column((), np.float32)
        return self._keys

    def extend(self, batch: Patterns, answers: Patterns | None) -> Rows:
        """Add what ``check`` returned, and return the rows ``(n,)``."""
        keys = self._keys
        if keys is None:
            keys = self.begin(batch.shape[1], None if answers is None else answers.shape[1])
        first = self.rows
        keys.append(batch)
        self._dead.fill(len(batch), False)
        if self._values is not None and answers is not None:
            self._values.append(answers)
        norms = self.similarity.norms(batch)
        if self._norms is not None and norms is not None:
            self._norms.append(norms)
        if self._sampled != _sampled(self.rows):
            self._fitted = None
        self._longest = max(self._longest, _longest(batch))
        return np.arange(first, self.rows)

    def statistics(self) -> KeyStatistics:
        """Return the statistics of the keys, by which similarities are scaled.

        They are those of the first ``2^j`` keys (all, up to 64), thinned evenly to at most 1,024, without those that
        are more than five times as long as the median: one key that is not of their kind must not blur all others.
        They depend on nothing but the keys that are there.
        """
        if self._fitted is None:
            self._sampled = _sampled(len(self))
            every = np.arange(0, self._sampled, max(self._sampled // SAMPLE, 1))
            keys = self.keys[self._alive_at(every)].astype(np.float64)
            squares = np.einsum("nd,nd->n", keys, keys)
            usual = squares <= LONG**2 * np.median(squares)
            self._fitted = KeyStatistics(keys.shape[1])
            self._fitted.add(keys[usual] if usual.any() else keys)
        return self._fitted

    def alive(self) -> Rows:
        """Return the rows that are not silent."""
        return np.flatnonzero(~self.dead) if self.n_silent else np.arange(self.rows)

    def _alive_at(self, ranks: Rows) -> Rows:
        """Return the rows that stand at these places among those that are not silent: ``alive()[ranks]``."""
        if not self.n_silent:
            return ranks
        dead = np.flatnonzero(self.dead)
        return ranks + np.searchsorted(dead - np.arange(len(dead)), ranks, "right")

    def prepare(self, cues: NDArray[Any], known: NDArray[np.bool_] | None) -> Cues:
        """Prepare cues ``(c, d)`` for scanning; the memory holds something."""
        wide = cues.astype(np.float64)
        if known is not None:
            wide *= known
        return self.similarity.prepare(wide, known, self.statistics()).sharing()

    def scores(self, cues: Cues) -> NDArray[np.float32]:
        """Return the similarity of all rows to cues in float32, ``(c, rows)``, up to a constant for each cue."""
        norms = None if self._norms is None else self._norms.rows
        return self.similarity.scores(cues, *seen(self.similarity, cues, self.keys, norms))

    def rounding(self, cues: Cues) -> NDArray[np.float64]:
        """Return by how much a score in float32 can be off, ``(c,)``."""
        if self._longest < 0:
            self._longest = _longest(self.keys)
        return self.similarity.rounding(cues, self._longest)

    def scan(self, cues: Cues, reach: float, slack: float, k: int, bias: Patterns | None = None) -> tuple[Rows, Rows]:
        """Return all pairs of a cue and a row that may be among the ``k`` best or within ``reach`` of the best.

        By ``slack`` the similarity of two rows, with the ``bias (rows,)`` of each added, can be out of order in the
        end. See ``similarity.scan``.
        """
        if bias is None and self.n_silent:
            bias = np.where(self.dead, -np.inf, 0).astype(np.float32)
        margin = np.broadcast_to(2 * self.rounding(cues) + slack, len(cues.exact))
        norms = None if self._norms is None else self._norms.rows
        return scan(self.similarity, cues, self.keys, norms, bias, reach, margin, k)

    def exact(self, cues: Cues, which: Rows, rows: Rows) -> NDArray[np.float64]:
        """Return the exact similarity of each pair of a cue and a row, in float64."""
        return exact(self.similarity, cues, self.keys, which, rows)

    def read(self, cues: ArrayLike, known: ArrayLike | None = None) -> Patterns:
        """Return ``Σ a_i v_i`` for each cue: ``(d_value,)`` for one, ``(c, d_value)`` for a batch.

        Parameters
        ----------
        cues
            ``(d,)`` or ``(c, d)``.
        known
            Mask of the true entries, ``(d,)`` or ``(c, d)``; the others are ignored, whatever they hold.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        if len(self) == 0:
            raise EmptyMemory("read: the memory holds nothing; write at least one pattern first.")
        batch, single, mask = self.check_cues(cues, known)
        prepared = self.prepare(batch, mask)
        which, rows = self.scan(prepared, self.separation.reach(len(self)) / self.beta, 0.0, 1)
        evidence = self.beta * self.exact(prepared, which, rows)
        output = np.empty((len(batch), self.values.shape[1]), np.float32)
        bounds = np.searchsorted(which, np.arange(len(batch) + 1))
        for i, (first, last) in enumerate(pairwise(bounds)):
            activity = self.separation.activity(evidence[first:last], len(self))
            output[i] = self.project(rows[first:last], activity)
        return output[0] if single else output

    def check_cues(
        self, cues: ArrayLike, known: ArrayLike | None
    ) -> tuple[NDArray[Any], bool, NDArray[np.bool_] | None]:
        """Return cues as a batch (0 where unknown), whether one was given, and their mask, or raise."""
        raw = as_array(cues, "cue")
        one = self._as_one(raw) if known is None else None
        if one is not None:
            return one, True, None
        batch, single, mask = as_cues(raw, known, self.d, np.float32)
        return batch, single, None if mask is None or mask.all() else mask

    def _as_one(self, given: ArrayLike) -> Patterns | None:
        """Return one pattern that needs no conversion as a batch of one; None if it may need one, or is not sound."""
        if not isinstance(given, np.ndarray) or given.dtype != np.float32 or given.shape != (self.d,):
            return None
        if not given.flags.c_contiguous or isinstance(given, np.ma.MaskedArray):
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            return given[None] if float(given @ given) <= LARGEST**2 else None  # false for NaN too

    def project(self, rows: Rows, activity: NDArray[np.float64]) -> Patterns:
        """Return ``Σ a_i v_i (d_value,)`` over ``rows``; one neuron with activity 1 gives its value bit for bit."""
        active = np.flatnonzero(activity)
        if len(active) == 1 and activity[active[0]] == 1.0:
            return np.asarray(self.values[rows[active[0]]])
        return np.asarray(activity[active] @ self.values[rows[active]].astype(np.float64), np.float32)

    def forget(self, keys: ArrayLike | None = None, values: ArrayLike | None = None) -> None:
        """Forget one writing of each of these keys (with its value, if given), the oldest, as if it had not been.

        Raises
        ------
        UnknownMemory
            One of the keys is not stored, or not so often; nothing was forgotten.
        """
        if keys is None:
            raise InvalidParameter("forget: no keys were given; give the keys to forget, with their values if need be.")
        if self._keys is None:
            raise UnknownMemory("forget: the memory holds nothing; nothing was forgotten.")
        batch, _ = as_batch(keys, "keys", self.d)
        answers = None if values is None else as_batch(values, "values", self.d_value)[0]
        if answers is not None and len(answers) != len(batch):
            raise InvalidShape(f"values: {len(answers)} were given for {len(batch)} keys; give one for each.")
        left = ~self.dead
        for i, key in enumerate(batch):
            same = left & (self.keys == key).all(axis=1)
            if answers is not None:
                same &= (self.values == answers[i]).all(axis=1)
            if not same.any():
                raise UnknownMemory(f"forget: no stored key equals item {i}; nothing was forgotten.")
            left[same.argmax()] = False
        self.erase(np.flatnonzero(~left & ~self.dead))
        self.compact()

    def erase(self, rows: Rows) -> None:
        """Silence ``rows`` and overwrite them with zeros; no byte of them is left."""
        self._fitted = None
        if _longest(self.keys[rows]) >= self._longest:
            self._longest = -1.0  # to be found again among those that stay
        self.dead[rows] = True
        self.n_silent = int(np.count_nonzero(self.dead))
        for column in self.columns():
            if column is not self._dead:
                column.rows[rows] = 0

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each index neuron."""
        every = (self._keys, self._values, self._norms, self._dead)
        return [column for column in every if column is not None]

    def compact(self) -> None:
        """Take the silent rows out."""
        kept = self.alive()
        for column, rows in [(column, column.rows[kept]) for column in self.columns()]:
            column.put(rows)
        self.compacted()

    def compacted(self) -> None:
        """Take note that the silent rows were taken out of all ``columns()``."""
        self.n_silent = 0
        self._fitted = None
        if not self.rows:  # as if it had never held anything
            self._keys = self._values = self._norms = None
            self._longest = 0.0

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows, as if no other had been written."""
        for column in self.columns():
            column.truncate(min(n, len(column.rows)))
        self.n_silent = int(self.dead.sum())
        self._fitted = None
        self._longest = -1.0
        if not n:
            self.compacted()

    def state(self) -> dict[str, Any]:
        """Return the configuration and copies of the arrays, silent rows left out."""
        alive = self.alive()
        return {
            "similarity": self.similarity.name,
            "separation": self.separation.name,
            **{f"separation_{name}": value for name, value in self.separation.parameters.items()},
            "beta": self.beta,
            "keys": None if self._keys is None else self.keys[alive],
            "values": None if self._values is None else self.values[alive],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Index:
        """Make the memory again that ``state()`` was taken from."""
        parameters = {name.removeprefix("separation_"): state[name] for name in state if name.startswith("separation_")}
        separation = choose(SEPARATIONS, state["separation"], "separation")(**parameters)
        index = cls(state["similarity"], separation, state["beta"])
        if state["keys"] is not None and len(state["keys"]):
            index.write(state["keys"], state["values"])
        return index


def _to_read(column: Column) -> Patterns:
    view = column.rows.view()
    view.flags.writeable = False
    return view


def _sampled(n: int) -> int:
    """Return how many of the first keys are sampled: all up to 64, then the greatest power of two."""
    return n if n <= 64 else 1 << (n.bit_length() - 1)


def _longest(keys: NDArray[Any]) -> float:
    return float(np.sqrt(np.einsum("nd,nd->n", keys, keys).max(initial=0.0)))

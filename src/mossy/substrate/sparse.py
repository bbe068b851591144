"""Sparse patterns in one-bit synapses: Willshaw's associative net."""

from __future__ import annotations

import math
from typing import Any, Literal, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import check_flag, check_integer
from mossy.errors import (
    CannotForget,
    EmptyMemory,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    UnknownMemory,
    UnknownName,
)
from mossy.kernels.codes import NOT_WRITTEN, SATURATED
from mossy.substrate import packed
from mossy.substrate.active import CUE, FEW, Active, as_lists, as_patterns

__all__ = ["Sparse"]

Mode = Literal["all", "best"]


@final
class Sparse:
    r"""Holds pairs of sparse binary patterns in one-bit synapses.

    .. math::  W_{ij} = \bigvee_\mu x^\mu_i\, y^\mu_j

    ``x`` is a key over ``n`` inputs, ``y`` its value over ``n_out`` outputs. A synapse is on if any pair had
    both its neurons active; nothing else is kept, whatever was written. With ``k ≈ log₂ n`` active neurons
    a pattern, chosen independently, the pairs that fit grow with ``(n / k)²``. Patterns that resemble each
    other share synapses and are confused: encode them apart first.

    Reading ``"all"`` answers with every output that all active known inputs reach. A stored key always gets
    its whole value back; when too much was written, other outputs join it. One wrong input may silence every
    output.

    Reading ``"best"`` answers with the ``k`` outputs that most active known inputs reach, so that some of the
    inputs may be wrong: the fewer, the fuller the synapses are. Among equal counts the lower index wins; an
    output that no input reaches never does.

    Parameters
    ----------
    n
        The number of inputs.
    n_out
        The number of outputs; None means ``n``.
    k
        The number of outputs in a ``"best"`` answer; None means ``log₂ n_out``, rounded, and at least 1.
    counts
        Keeps, beside each synapse, a counter of the pairs that need it, so that ``forget`` is exact. It takes
        ``count_bits`` more bits a synapse.
    count_bits
        8 or 16. A counter that reached its largest value (255 or 65,535) no longer knows how many pairs need
        its synapse, and is never counted down.

    Raises
    ------
    InvalidParameter

    References
    ----------
    Willshaw, Buneman & Longuet-Higgins (1969), Non-holographic associative memory, Nature 222, 960–962,
    doi:10.1038/222960a0. Its capacity: Palm (1980), On associative memory, Biological Cybernetics 36, 19–31,
    doi:10.1007/BF00337019.
    """

    def __init__(
        self,
        n: int,
        n_out: int | None = None,
        *,
        k: int | None = None,
        counts: bool = False,
        count_bits: int = 8,
    ) -> None:
        self.n = check_integer(n, "Sparse.n", 1, 2**31 - 1)
        self.n_out = self.n if n_out is None else check_integer(n_out, "Sparse.n_out", 1, 2**31 - 1)
        chosen = max(1, round(math.log2(self.n_out))) if k is None else k
        self.k = check_integer(chosen, "Sparse.k", 1, self.n_out)
        if isinstance(count_bits, bool) or count_bits not in (8, 16):
            raise InvalidParameter(f"Sparse.count_bits: {count_bits!r} was given; 8 or 16 is allowed.")
        self.count_bits = int(count_bits)
        self._pairs = 0
        self._synapses = np.zeros((self.n, -(-self.n_out // 64)), np.uint64)
        self._counters: NDArray[Any] | None = None
        if check_flag(counts, "Sparse.counts"):
            self._counters = np.zeros((self.n, self.n_out), np.uint8 if count_bits == 8 else np.uint16)

    def __len__(self) -> int:
        return self._pairs

    @property
    def nbytes(self) -> int:
        """Bytes held: ``n · n_out / 8`` (rows are whole words of 64 outputs), and the counters."""
        return self._synapses.nbytes + (0 if self._counters is None else self._counters.nbytes)

    @property
    def load(self) -> float:
        """The fraction of the synapses that are on; information is densest near one half."""
        return float(np.bitwise_count(self._synapses).sum()) / (self.n * self.n_out)

    def write(self, keys: ArrayLike, values: ArrayLike | None = None) -> None:
        """Write pairs of patterns: ``W ← W ∨ x yᵀ``.

        Parameters
        ----------
        keys
            ``(n,)`` or ``(m, n)``: booleans, or 0 and 1, with any number of active neurons but none.
        values
            ``(n_out,)`` or ``(m, n_out)`` alike; None writes each key with itself.

        Raises
        ------
        InvalidInput
            Nothing was written.
        """
        self._write(*self._pairs_of_patterns(keys, values))

    def write_active(self, keys: ArrayLike, values: ArrayLike | None = None) -> None:
        """Write pairs given by their active neurons: much faster than ``write``, to the same effect.

        Parameters
        ----------
        keys
            Indices ``(a,)`` or ``(m, a)`` of active inputs, in any order; -1 fills up shorter lists.
        values
            Indices ``(b,)`` or ``(m, b)`` of active outputs alike; None writes each key with itself.

        Raises
        ------
        InvalidInput
            Nothing was written.
        """
        self._write(*self._pairs_of_lists(keys, values))

    def read(
        self, cues: ArrayLike, known: ArrayLike | None = None, *, mode: Mode = "all", k: int | None = None
    ) -> NDArray[np.float32]:
        """Return the output for each cue as a pattern of 0 and 1.

        Parameters
        ----------
        cues
            ``(n,)`` or ``(m, n)``: booleans, or 0 and 1.
        known
            Mask of the true entries, ``(n,)`` or ``(m, n)``; the others are ignored, whatever they hold.
        mode
            ``"all"`` or ``"best"``, as the class says.
        k
            The number of outputs of a ``"best"`` answer; None takes the memory's.

        Returns
        -------
        array
            ``(n_out,)`` for one cue, ``(m, n_out)`` for a batch, float32.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        self._check_readable()
        winners = self._winners(mode, k)
        active = Active.of_cues(cues, self.n, known).check_none_empty(CUE)
        output = np.empty((len(active), self.n_out), np.float32)
        for first, words in packed.read(self._synapses, active, winners):
            output[first : first + len(words)] = as_patterns(words, self.n_out)
        return output[0] if active.single else output

    def read_active(
        self, cues: ArrayLike, known: ArrayLike | None = None, *, mode: Mode = "all", k: int | None = None
    ) -> NDArray[np.int32]:
        """Return the active outputs for each cue, as ascending indices.

        Parameters
        ----------
        cues
            Indices ``(a,)`` or ``(m, a)`` of active inputs, in any order; -1 fills up shorter lists.
        known, mode, k
            As in ``read``.

        Returns
        -------
        array
            ``(b,)`` for one cue, ``(m, b)`` for a batch, where -1 fills up shorter lists, int32.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        self._check_readable()
        winners = self._winners(mode, k)
        active = Active.of_lists(cues, CUE, self.n).within(known, self.n).check_none_empty(CUE)
        parts = {
            first: as_lists(words, self.n_out, len(active) <= FEW)
            for first, words in packed.read(self._synapses, active, winners)
        }
        output = np.full((len(active), max(part.shape[1] for part in parts.values())), -1, np.int32)
        for first, part in parts.items():
            output[first : first + len(part), : part.shape[1]] = part
        return output[0] if active.single else output

    def forget(self, keys: ArrayLike | None = None, values: ArrayLike | None = None) -> None:
        """Forget pairs of patterns, exactly as if they had not been written.

        Each pair that is given takes out one writing of it; give it twice to take out two. A pair that was never
        written, but all of whose synapses others need, cannot be told from one that was. Forgetting it damages the
        others, so forget only what was written.

        Raises
        ------
        CannotForget
            The memory keeps no counters, or one that is needed is saturated. Nothing was forgotten.
        UnknownMemory
            A synapse of a pair is needed by no pair, so it was not written. Nothing was forgotten.
        InvalidInput
            Nothing was forgotten.
        """
        given = _given(keys)
        counters = self._counters_or_refuse()
        self._forget(counters, *self._pairs_of_patterns(given, values))

    def forget_active(self, keys: ArrayLike | None = None, values: ArrayLike | None = None) -> None:
        """Forget pairs given by their active neurons, as ``forget`` does."""
        given = _given(keys)
        counters = self._counters_or_refuse()
        self._forget(counters, *self._pairs_of_lists(given, values))

    def state(self) -> dict[str, Any]:
        """Return the configuration and copies of the arrays."""
        return {
            "n": self.n,
            "n_out": self.n_out,
            "k": self.k,
            "counts": self._counters is not None,
            "count_bits": self.count_bits,
            "pairs": self._pairs,
            "synapses": self._synapses.copy(),
            "counters": None if self._counters is None else self._counters.copy(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Sparse:
        """Make the memory again that ``state()`` was taken from.

        Raises
        ------
        InvalidInput
        """
        names = ("n", "n_out", "k", "counts", "count_bits")
        missing = [name for name in (*names, "pairs", "synapses", "counters") if name not in state]
        if missing:
            raise InvalidInput(f"state: {missing[0]!r} is missing; give what state() returned.")
        sparse = cls(state["n"], state["n_out"], **{name: state[name] for name in names[2:]})
        sparse._pairs = check_integer(state["pairs"], "state.pairs", 0)
        sparse._synapses = _copy_like(sparse._synapses, state["synapses"], "synapses")
        last = sparse.n_out % 64
        if last and (sparse._synapses[:, -1] >> np.uint64(last)).any():
            raise InvalidInput(
                f"state.synapses: bits beyond the {sparse.n_out} outputs are on; give what state() returned."
            )
        if sparse._counters is not None:
            sparse._counters = _copy_like(sparse._counters, state["counters"], "counters")
        return sparse

    def _check_readable(self) -> None:
        if self._pairs == 0:
            raise EmptyMemory("read: the memory holds nothing; write at least one pair first.")

    def _counters_or_refuse(self) -> NDArray[Any]:
        if self._counters is None:
            raise CannotForget(
                "forget: a one-bit synapse does not know which pairs need it, so nothing was forgotten. "
                "Make the memory with counts=True before writing to it."
            )
        return self._counters

    def _pairs_of_patterns(self, keys: ArrayLike, values: ArrayLike | None) -> tuple[Active, Active]:
        x = Active.of_patterns(keys, "keys", self.n)
        return self._paired(x, None if values is None else Active.of_patterns(values, "values", self.n_out))

    def _pairs_of_lists(self, keys: ArrayLike, values: ArrayLike | None) -> tuple[Active, Active]:
        x = Active.of_lists(keys, "keys", self.n)
        return self._paired(x, None if values is None else Active.of_lists(values, "values", self.n_out))

    def _paired(self, keys: Active, values: Active | None) -> tuple[Active, Active]:
        if values is None and self.n != self.n_out:
            raise InvalidShape(
                f"values: none were given; a memory from {self.n} inputs to {self.n_out} outputs "
                "needs one for each key."
            )
        answers = keys if values is None else values
        if len(answers) != len(keys):
            raise InvalidShape(f"values: {len(answers)} were given for {len(keys)} keys; give one for each.")
        return keys.check_none_empty("keys"), answers.check_none_empty("values")

    def _write(self, keys: Active, values: Active) -> None:
        packed.write(self._synapses, self._counters, keys, values)
        self._pairs += len(keys)

    def _winners(self, mode: Mode, k: int | None) -> int | None:
        if mode not in ("all", "best"):
            raise UnknownName(f"mode: {mode!r} was given; allowed are 'all', 'best'.")
        winners = self.k if k is None else check_integer(k, "k", 1, self.n_out)
        return winners if mode == "best" else None

    def _forget(self, counters: NDArray[Any], keys: Active, values: Active) -> None:
        code, m = packed.forget(self._synapses, counters, keys, values)
        if code == NOT_WRITTEN:
            raise UnknownMemory(f"forget: pair {m} was not written, or was forgotten; nothing was forgotten now.")
        if code == SATURATED:
            full = np.iinfo(counters.dtype).max
            raise CannotForget(
                f"forget: a counter of pair {m} is saturated at {full}, so the number of pairs that need its "
                "synapse is not known; nothing was forgotten. count_bits=16 counts to 65,535."
            )
        self._pairs -= len(keys)


def _given(keys: ArrayLike | None) -> ArrayLike:
    if keys is None:
        raise InvalidParameter("forget: no keys were given; name the pairs by the keys that they were written with.")
    return keys


def _copy_like(wanted: NDArray[Any], given: Any, name: str) -> NDArray[Any]:
    """Return a copy of an array of a state, if it has the shape and dtype wanted."""
    array = np.asarray(given)
    if array.shape != wanted.shape or array.dtype != wanted.dtype:
        raise InvalidShape(
            f"state.{name}: {array.dtype} {array.shape} was given; {wanted.dtype} {wanted.shape} is allowed. "
            "Give what state() returned."
        )
    return np.array(array, order="C")

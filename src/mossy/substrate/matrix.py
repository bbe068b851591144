"""All memories superposed in one set of synapses: constant size, however many are written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.activations import ACTIVATIONS, Activation, as_activation
from mossy.arrays import LARGEST, as_batch, as_cues, check_flag, check_integer, choose
from mossy.clock import Clock
from mossy.errors import (
    CannotForget,
    EmptyMemory,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    UnknownMemory,
)
from mossy.plasticity import Rule, SummedRule, as_rule
from mossy.strength import LinearLaw
from mossy.substrate.examples import ClassSums, Examples, Label
from mossy.synapses import Synapses, under

__all__ = ["Encoder", "Matrix"]

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]

SETTLING = 50  # passes of an autoassociative read, at most
SETTLED = 1e-9  # a pass that changes no entry by more than this is the last
DEFAULT_ACTIVATION = {"bipolar": "sign", "binary": "step", "real": "identity"}


class Encoder(Protocol):
    """What a matrix memory needs of an encoder: ``encode.Dentate`` is one."""

    @property
    def d(self) -> int:
        """Entries of what goes in."""

    @property
    def units(self) -> int:
        """Entries of what comes out."""

    def encode(self, x: ArrayLike) -> NDArray[Any]:
        """Return the patterns ``(n, units)`` of a batch ``(n, d)``."""

    def state(self) -> dict[str, Any]:
        """Return the configuration, by which a restored memory knows its encoder again."""


@final
class Matrix:
    """One weight matrix that maps keys to values, ``v = f(W·φ(k))`` with an encoder ``φ``.

    Without values it is autoassociative and completes patterns: ``x ← f(W·φ(x))`` with the known entries
    clamped, until nothing changes. Neurons that are on or off each by its own drive (``sign`` and ``step``) then have
    no synapse to themselves, which widens what a pattern attracts (Kanter & Sompolinsky 1987,
    doi:10.1103/PhysRevA.35.380).

    Parameters
    ----------
    d_key, d_value
        Entries of a key and of a value. ``d_value=None``: autoassociative, every value is its key.
    rule
        A name in ``RULES`` or a ``Rule``. ``"projection"`` recalls up to as many independent keys as there
        are entries, exactly, and in whatever order they were written.
    encoder
        What turns a key ``(d_key,)`` into the pre-activity, such as ``encode.Dentate``; None takes the key
        itself.
    activation
        ``f``: a name in ``ACTIVATIONS`` or an ``Activation``. None takes what suits the alphabet of the rule:
        ``sign``, ``step`` or ``identity``.
    steps
        Passes of an autoassociative read, at most. None: 50, but 1 where an unbounded rule meets an unbounded
        activation and passes would only grow.
    per_class
        Keep a sum for each class, so that a class can be forgotten exactly, and no example is kept. It costs
        the size of the state once more for each class.
    keep_examples
        Keep every key and value, so that they can be forgotten by id, by class or by key alone.
    law, clock
        How what was written fades, see ``Synapses``. None: it does not.

    Raises
    ------
    InvalidInput
        A parameter is outside its range; the message names it.
    """

    def __init__(
        self,
        d_key: int,
        d_value: int | None = None,
        rule: str | Rule = "projection",
        encoder: Encoder | None = None,
        activation: str | Activation | None = None,
        steps: int | None = None,
        per_class: bool = False,
        keep_examples: bool = False,
        law: str | LinearLaw | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.d_key = check_integer(d_key, "Matrix.d_key", 1)
        self.autoassociative = d_value is None
        self.d_value = self.d_key if d_value is None else check_integer(d_value, "Matrix.d_value", 1)
        self.encoder = encoder
        if encoder is not None and encoder.d != self.d_key:
            raise InvalidShape(f"Matrix.encoder: it takes {encoder.d} entries; {self.d_key} (d_key) is allowed.")
        made = as_rule(rule)
        self.activation = as_activation(DEFAULT_ACTIVATION[made.alphabet] if activation is None else activation)
        self._iterate = self.autoassociative and (made.bounded or bool(np.isfinite(self.activation.high)))
        self.steps = (SETTLING if self._iterate else 1) if steps is None else check_integer(steps, "Matrix.steps", 1)
        n_pre = self.d_key if encoder is None else encoder.units
        decided = self.activation.discrete and self.activation.elementwise
        wiring = ~np.eye(n_pre, dtype=np.bool_) if self.autoassociative and encoder is None and decided else None
        self.synapses = Synapses(n_pre, self.d_value, made, law, wiring, clock=clock)
        self.per_class = check_flag(per_class, "Matrix.per_class")
        self.keep_examples = check_flag(keep_examples, "Matrix.keep_examples")
        if (self.per_class or self.keep_examples) and (law is not None or not isinstance(made, SummedRule)):
            raise InvalidParameter(
                f"Matrix: per_class and keep_examples serve exact forgetting, which the rule {made.name!r} "
                f"{'under a law ' if law is not None else ''}does not allow. Use 'projection' or an "
                "additive rule, and no law."
            )
        self._sums: ClassSums | None = None
        if self.per_class and isinstance(made, SummedRule):
            self._sums = ClassSums(made, self.d_value, n_pre)
        self._examples = Examples(self.d_key, self.d_value) if self.keep_examples else None
        self._next = 0
        self._written = 0

    def __len__(self) -> int:
        """Pairs written and not forgotten."""
        return self._written

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.synapses.nbytes + sum(kept.nbytes for kept in (self._sums, self._examples) if kept is not None)

    # --- write and read --------------------------------------------------------------------------

    def write(
        self, keys: ArrayLike, values: ArrayLike | None = None, classes: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Write a pair or a batch.

        Parameters
        ----------
        keys
            ``(d_key,)`` or ``(n, d_key)``.
        values
            ``(d_value,)`` or ``(n, d_value)``; None if the memory is autoassociative.
        classes
            A label, or ``n`` of them: whole numbers or strings. Needed with ``per_class``.

        Returns
        -------
        array
            The ids ``(n,)`` of the pairs. They can be forgotten by id with ``keep_examples=True``.

        Raises
        ------
        InvalidInput
            Nothing was written.
        """
        k, v = self._pairs(keys, values)
        labels = self._labels(classes, len(k), needed=self.per_class)
        ids = np.arange(self._next, self._next + len(k), dtype=np.int64)
        pre = self._encode(k)
        if self._sums is not None:
            self._sums.add(pre, v, labels or [])
            self.synapses.rule_state = self._sums.total()
        else:
            self.synapses.write(pre, v)
        if self._examples is not None:
            self._examples.add(ids, k, v, labels)
        self._next += len(k)
        self._written += len(k)
        return ids

    def read(self, cues: ArrayLike, known: ArrayLike | None = None) -> Floats:
        """Return the value of each cue: ``(d_value,)`` for one, ``(n, d_value)`` for a batch.

        Parameters
        ----------
        cues
            ``(d_key,)`` or ``(n, d_key)``.
        known
            Mask of the true entries, ``(d_key,)`` or ``(n, d_key)``. The others are silent whatever they
            hold; an autoassociative memory completes them and leaves the known ones as they are.

        Raises
        ------
        EmptyMemory, InvalidInput
        NotFinite
            The activities grew without bound from pass to pass.
        """
        if self._written == 0:
            raise EmptyMemory("read: the memory holds nothing; write at least one pattern first.")
        x, single, mask = as_cues(cues, known, self.d_key)
        found = self._complete(x, mask) if self.autoassociative else self._pass(x, None)
        return found[0] if single else found

    def _pass(self, x: Floats, previous: Floats | None) -> Floats:
        with np.errstate(over="ignore", invalid="ignore"):
            return self.activation(self.synapses.transmit(self._encode(x)), previous)

    def _complete(self, cues: Floats, mask: Mask | None) -> Floats:
        x, moving = cues.copy(), np.arange(len(cues))
        for _ in range(self.steps):
            old = x[moving]
            new = self._pass(old, old)
            if not (np.abs(new) <= LARGEST).all():
                raise NotFinite(
                    f"read: activities grew without bound within {self.steps} passes. Use steps=1, or a "
                    "bounded activation such as 'tanh'."
                )
            if mask is not None:
                known = mask if len(mask) == 1 else mask[moving]
                new = np.where(known, old, new)
            x[moving] = new
            moving = moving[(np.abs(new - old) > SETTLED).any(axis=1)]
            if not len(moving):
                break
        return x

    # --- forget ----------------------------------------------------------------------------------

    def forget(
        self,
        keys: ArrayLike | None = None,
        values: ArrayLike | None = None,
        *,
        ids: ArrayLike | None = None,
        classes: ArrayLike | None = None,
    ) -> None:
        """Forget pairs: the synapses are then as if these had never been written.

        Each pair that is given takes out one writing of it; give it twice to take out two. Exact to the bit where
        activities are whole numbers, and for a whole class of ``per_class``; else to rounding.

        Parameters
        ----------
        keys, values
            The pairs. With ``keep_examples`` the key alone is enough, and of equal ones the oldest goes. Without, that
            they were written is for the caller to know, though the projection rule finds out impossible keys.
        ids
            What ``write`` returned; needs ``keep_examples=True``.
        classes
            Every pair of these classes; needs ``per_class=True`` or ``keep_examples=True``. Together with ``keys``: the
            class of each pair.

        Raises
        ------
        CannotForget
            It would not be exact. Nothing was forgotten.
        UnknownMemory
            No such pair, id or class. Nothing was forgotten.
        InvalidInput
        """
        if sum(given is not None for given in (keys, ids)) + (classes is not None and keys is None) != 1:
            raise InvalidParameter("forget: give keys (and values), or ids, or classes.")
        if keys is None and values is not None:
            raise InvalidParameter("forget: values were given without keys.")
        if ids is not None:
            self._forget_examples(self._examples_or_refuse("id").of_ids(ids))
        elif keys is not None:
            self._forget_pairs(keys, values, classes)
        else:
            self._forget_classes(classes)
        if self._written == 0:  # take out what rounding left
            self.synapses.clear()

    def _forget_pairs(self, keys: ArrayLike, values: ArrayLike | None, classes: ArrayLike | None) -> None:
        if self._examples is not None:
            k, _ = as_batch(keys, "keys", self.d_key, np.float64)
            v = None if values is None else self._pairs(keys, values)[1]
            self._forget_examples(self._examples.of_pairs(k, v, self._labels(classes, len(k), needed=False)))
            return
        k, v = self._pairs(keys, values)
        if len(k) > self._written:
            raise UnknownMemory(f"forget: {len(k)} pairs were given; {self._written} are written. None was forgotten.")
        if self.per_class and classes is None:
            raise CannotForget("forget: the sums are kept for each class; say with classes= which class each pair has.")
        if not self.per_class and classes is not None:
            raise CannotForget(
                "forget: which pairs belong to a class is not kept here. Leave out classes=, or make the memory with "
                "per_class=True or keep_examples=True."
            )
        self._subtract(k, v, self._labels(classes, len(k), needed=self.per_class))

    def _forget_classes(self, classes: ArrayLike | None) -> None:
        labels = list(dict.fromkeys(self._labels(np.atleast_1d(np.asarray(classes)), None, needed=True) or []))
        if self._examples is not None:
            self._forget_examples(self._examples.of_classes(labels))
            return
        if self._sums is None:
            raise CannotForget(
                "forget: which pairs belong to a class is not kept here. Make the memory with "
                "per_class=True, or with keep_examples=True, or give the keys and values."
            )
        self._written -= self._sums.drop(labels)
        self.synapses.rule_state = self._sums.total()

    def _examples_or_refuse(self, by: str) -> Examples:
        if self._examples is None:
            raise CannotForget(
                f"forget: pairs are superposed and not kept, so none can be found by {by}. Make the memory "
                "with keep_examples=True, or give the keys and values."
            )
        return self._examples

    def _forget_examples(self, rows: NDArray[np.intp]) -> None:
        examples = self._examples_or_refuse("id")
        labels = [label for row in rows if (label := examples.labels[row]) is not None]
        self._subtract(examples.keys.rows[rows], examples.values.rows[rows], labels)
        examples.remove(rows)

    def _subtract(self, keys: Floats, values: Floats, labels: Sequence[Label] | None) -> None:
        if self._sums is not None:
            self._sums.subtract(self._encode(keys), values, labels or [])
            self.synapses.rule_state = self._sums.total()
        else:
            self.synapses.forget(self._encode(keys), values)
        self._written -= len(keys)

    # --- state -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return configuration and copied arrays, flat."""
        state: dict[str, Any] = {
            "d_key": self.d_key,
            "d_value": None if self.autoassociative else self.d_value,
            "activation": self.activation.name,
            "steps": self.steps,
            "per_class": self.per_class,
            "keep_examples": self.keep_examples,
            "written": self._written,
            "next": self._next,
        }
        state |= {f"activation.{name}": value for name, value in self.activation.parameters.items()}
        state |= {f"synapses.{name}": value for name, value in self.synapses.state().items()}
        if self.encoder is not None:
            state |= {f"encoder.{name}": value for name, value in self.encoder.state().items()}
        if self._sums is not None:
            state |= {f"classes.{name}": value for name, value in self._sums.state().items()}
        if self._examples is not None:
            state |= {f"examples.{name}": value for name, value in self._examples.state().items()}
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any], encoder: Encoder | None = None, clock: Clock | None = None) -> Matrix:
        """Make the memory again that ``state()`` was taken from.

        Parameters
        ----------
        state
            What ``state()`` returned.
        encoder
            The encoder that the memory had. A state holds its configuration (under ``encoder.``), by which it
            is checked.
        clock
            See ``Synapses.from_state``.

        Raises
        ------
        InvalidParameter
            The encoder is missing, or is not the one that the memory had; or the clock is missing.
        UnknownName
            The rule, the law or the activation is in no registry.
        """
        kept = under(state, "encoder.")
        if not _same(kept, encoder.state() if encoder is not None else {}):
            told = {name: value for name, value in kept.items() if np.ndim(value) == 0}
            raise InvalidParameter(
                f"Matrix.encoder: the memory was written with {told or 'none'}; give that one to "
                "from_state(), for example encoder=Dentate.from_state(...) with what state() holds "
                "under 'encoder.'."
            )
        synapses = Synapses.from_state(under(state, "synapses."), clock)
        activation = choose(ACTIVATIONS, state["activation"], "activation")(**under(state, "activation."))
        memory = cls(
            state["d_key"],
            state["d_value"],
            synapses.rule,
            encoder,
            activation,
            state["steps"],
            state["per_class"],
            state["keep_examples"],
            synapses.law,
            synapses.clock,
        )
        memory.synapses = synapses
        memory._written, memory._next = state["written"], state["next"]
        if memory._sums is not None:
            memory._sums.restore(under(state, "classes."))
        if memory._examples is not None:
            memory._examples.restore(under(state, "examples."))
        return memory

    # --- checks ----------------------------------------------------------------------------------

    def _encode(self, keys: Floats) -> Floats:
        return keys if self.encoder is None else np.asarray(self.encoder.encode(keys), dtype=np.float64)

    def _pairs(self, keys: ArrayLike, values: ArrayLike | None) -> tuple[Floats, Floats]:
        k, _ = as_batch(keys, "keys", self.d_key, np.float64)
        if self.autoassociative:
            if values is not None:
                raise InvalidShape("values: were given, but the memory is autoassociative. Give none, or set d_value.")
            return k, k
        if values is None:
            raise InvalidShape(f"values: none were given; this memory takes {self.d_value} entries with each key.")
        v, _ = as_batch(values, "values", self.d_value, np.float64)
        if len(v) != len(k):
            raise InvalidShape(f"values: {len(v)} were given for {len(k)} keys; give one for each.")
        return k, v

    def _labels(self, given: ArrayLike | None, n: int | None, needed: bool) -> list[Label] | None:
        if given is None:
            if needed:
                raise InvalidInput("classes: none were given; a memory with per_class=True needs one for each pair.")
            return None
        array = np.asarray(given)
        if array.dtype.kind not in "iuU" or array.ndim > 1:
            raise InvalidInput(
                f"classes: {array.dtype} of shape {array.shape} was given; whole numbers or strings are "
                "allowed, one for each pair."
            )
        known = None if self._sums is None else next(iter(self._sums.sums), None)
        if known is not None and isinstance(known, str) != (array.dtype.kind == "U"):
            raise InvalidInput("classes: numbers and strings were mixed; use one kind in one memory.")
        labels: list[Label] = np.atleast_1d(array).tolist()
        if n is not None and array.ndim == 0:
            labels = labels * n
        if n is not None and len(labels) != n:
            raise InvalidShape(f"classes: {len(labels)} were given for {n} pairs; give one for each.")
        return labels


def _same(a: dict[str, Any], b: dict[str, Any]) -> bool:
    """Return whether two configurations have the same names and values; what an encoder learned are arrays."""
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)

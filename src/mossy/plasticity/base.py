"""What a plasticity rule is, and which traits it declares.

A rule says how synapses change when the pre-neurons have activity ``x`` and the post-neurons activity ``y``.
It is a frozen dataclass of parameters with pure functions on an explicit state: nothing is stored in the
rule.
``w_ij`` is the synapse from pre-neuron ``j`` to post-neuron ``i``, so weights are ``(n_post, n_pre)``.

Traits, each held by ``tests/plasticity/test_traits.py`` in both directions:

``local``
    ``w_ij`` after any sequence of writes depends only on its own first weight and on the activities of the
    neurons ``j`` and ``i`` in that sequence (so ``Δw_ij`` uses ``x_j``, ``y_i``, ``w_ij`` and running
    averages of these two neurons, and nothing else).
``bounded``
    Writing the same finite set of pairs over and over, with activities in [−1, 1] from the rule's alphabet,
    keeps every ``|w_ij|`` below a bound.
``additive``
    ``Δw`` of a write does not depend on the weights or on earlier writes.
``order_invariant``
    The weights after a set of writes do not depend on their order (beyond rounding).
``one_shot``
    After one write onto empty synapses the key drives the value: ``sign(W·key)`` equals the value,
    ``step(W·key)`` for the binary alphabet, and the sign of the value for the real one.
``autoassociative``
    The rule takes only pairs of equal patterns, ``y = x``, in two populations of one size, and refuses others.

``alphabet`` says which activities the rule is made for: ``"bipolar"`` (−1, +1), ``"binary"`` (0, 1) or
``"real"``. Every rule accepts any finite activity; what an autoassociative rule refuses is ``y ≠ x``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import fields
from typing import Any, ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_number
from mossy.errors import InvalidParameter

__all__ = [
    "AdditiveRule",
    "Alphabet",
    "Array",
    "Rule",
    "State",
    "SummedRule",
    "check_rate",
    "initial_weights",
    "parameters",
]

Array: TypeAlias = NDArray[Any]
State: TypeAlias = dict[str, Array]
Alphabet: TypeAlias = Literal["bipolar", "binary", "real"]


class Rule(ABC):
    """The interface of every plasticity rule. Subclasses are frozen dataclasses of parameters."""

    name: ClassVar[str]
    local: ClassVar[bool]
    bounded: ClassVar[bool]
    additive: ClassVar[bool]
    order_invariant: ClassVar[bool]
    one_shot: ClassVar[bool]
    autoassociative: ClassVar[bool]
    alphabet: ClassVar[Alphabet]

    @abstractmethod
    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return the state of empty synapses, or of those that start with ``weights (n_post, n_pre)``."""

    @abstractmethod
    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the state after writing the pairs ``pre (n, n_pre)``, ``post (n, n_post)`` in turn.

        ``state`` itself is not changed.
        """

    @abstractmethod
    def weights(self, state: State) -> Array:
        """Return the weights ``(n_post, n_pre)`` of a state."""


class SummedRule(Rule):
    """A rule whose state is a sum over the pairs that were written.

    So the order does not matter, states of two sets of pairs add up entry by entry, and a pair is forgotten
    exactly by subtracting what it added. Where the entries of the sum are whole numbers (bipolar and
    binary patterns), addition and subtraction are exact to the bit, else to rounding.
    """

    @abstractmethod
    def contribution(self, pre: Array, post: Array) -> State:
        """Return what these pairs add to the state."""

    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the state with the contribution of these pairs added."""
        return {**state, **{name: state[name] + part for name, part in self.contribution(pre, post).items()}}

    def unwrite(self, state: State, pre: Array, post: Array) -> State:
        """Return the state with the contribution of these pairs subtracted: as if they were never written."""
        return {**state, **{name: state[name] - part for name, part in self.contribution(pre, post).items()}}

    @abstractmethod
    def possible(self, state: State, flow: float) -> bool:
        """Whether some set of pairs leads to this state; if not, ``unwrite`` took out what was never written.

        ``flow`` is the sum of ``‖x‖²`` over all pre-patterns ever written or unwritten: rounding is relative to it.
        """


class AdditiveRule(SummedRule):
    """A rule with weights ``W(0) + rate · Σ outer(pre, post)``: no write depends on another."""

    rate: float

    @abstractmethod
    def outer(self, pre: Array, post: Array) -> Array:
        """Return the sum over the pairs of the change of each synapse ``(n_post, n_pre)``, at rate 1."""

    def contribution(self, pre: Array, post: Array) -> State:
        """Return the sum of the changes at rate 1."""
        return {"sum": self.outer(pre, post)}

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return an empty sum, beside the weights to start with if there are any."""
        state: State = {"sum": np.zeros((n_post, n_pre))}
        return state if weights is None else {**state, "initial": np.array(weights, dtype=np.float64)}

    def possible(self, state: State, flow: float) -> bool:
        """Return True: the sum does not tell."""
        return True

    def weights(self, state: State) -> Array:
        """Return ``W(0) + rate · sum``."""
        changed: Array = self.rate * state["sum"]
        return state["initial"] + changed if "initial" in state else changed


def initial_weights(n_post: int, n_pre: int, weights: Array | None) -> Array:
    """Return a float64 copy of the weights to start with, zeros if there are none."""
    return np.zeros((n_post, n_pre)) if weights is None else np.array(weights, dtype=np.float64)


def check_rate(rule: Rule, rate: float, high: float | None = None) -> None:
    """Hold a learning rate to ``0 < rate`` (and ``rate < high``) or raise ``InvalidParameter``."""
    label = f"{type(rule).__name__}.rate"
    check_number(rate, label, 0.0, open_low=True)
    if high is not None and rate >= high:
        raise InvalidParameter(f"{label}: {rate:g} was given; above 0 and below {high:g} is allowed.")


def parameters(rule: Rule) -> dict[str, float | str]:
    """Return the parameters of a rule, flat, so that ``RULES[rule.name](**parameters(rule))`` equals it."""
    return {field.name: getattr(rule, field.name) for field in fields(rule)}  # type: ignore[arg-type]

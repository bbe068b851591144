"""Synapses: the weights from one population of neurons to another, with their rule and their law."""

from __future__ import annotations

from typing import Any, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import as_batch, check_fraction, check_integer, choose
from mossy.clock import Clock, Seconds, Steps
from mossy.errors import (
    CannotForget,
    InvalidDtype,
    InvalidParameter,
    InvalidShape,
    InvalidTime,
    UnknownMemory,
)
from mossy.plasticity import RULES, AdditiveRule, Rule, SummedRule, as_rule, parameters
from mossy.strength import LAWS, LinearLaw, as_law

__all__ = ["Synapses", "as_wiring", "under"]

Floats: TypeAlias = NDArray[np.float64]
Mask: TypeAlias = NDArray[np.bool_]


@final
class Synapses:
    """Weights ``W (n_post, n_pre)`` that change by a rule and, if a law is set, fade by it.

    ``w_ij`` is the synapse from pre-neuron ``j`` to post-neuron ``i``. Without a law ``W`` is what the rule
    says. With a law, what a write changes is an event: each synapse has the ``m`` modes of the law,
    ``z_ij ← z_ij + Δw_ij`` at a write, ``dz_ij/dt = −λ z_ij`` between, and ``W = W(0) + Σ_k readout_k z_k``.
    Nothing ticks: the modes are brought to the present when they are next needed.

    Parameters
    ----------
    n_pre, n_post
        Sizes of the two populations; ``n_post=None`` takes ``n_pre``.
    rule
        A name in ``RULES`` or a ``Rule`` with parameters.
    law
        None (nothing fades), a name in ``LAWS`` or a ``LinearLaw``; additive rules only.
    wiring
        Which synapses exist: None for all, a boolean mask ``(n_post, n_pre)``, or a density from 0 to 1,
        drawn with ``seed``. A rule that is not local takes no mask, except one that leaves out only the
        diagonal: it then learns with all synapses, and those to themselves do not transmit.
    weights
        ``W(0)``, zeros unless given. They are innate: no law fades them.
    clock
        What time it is, for the law, in the unit of its time constants. Seconds unless given.
    seed
        For ``wiring`` as a density.

    Raises
    ------
    InvalidInput
        A parameter is outside its range; the message names it.
    """

    def __init__(
        self,
        n_pre: int,
        n_post: int | None = None,
        rule: str | Rule = "hebb",
        law: str | LinearLaw | None = None,
        wiring: ArrayLike | float | None = None,
        weights: ArrayLike | None = None,
        clock: Clock | None = None,
        seed: int | None = None,
    ) -> None:
        self.n_pre = check_integer(n_pre, "Synapses.n_pre", 1)
        self.n_post = self.n_pre if n_post is None else check_integer(n_post, "Synapses.n_post", 1)
        self.rule = as_rule(rule)
        self.law = None if law is None else as_law(law)
        if self.law is not None and not isinstance(self.rule, AdditiveRule):
            raise InvalidParameter(
                f"Synapses.law: {self.law.name!r} was given with the rule {self.rule.name!r}; only what "
                f"additive rules write can fade on its own. Use one of {_names(AdditiveRule)}, or no law."
            )
        if clock is not None and not isinstance(clock, Clock):
            raise InvalidDtype(f"Synapses.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
        self.clock: Clock = Seconds() if clock is None else clock
        self.wiring = as_wiring(wiring, (self.n_post, self.n_pre), seed)
        if self.wiring is not None and not self.rule.local and not _only_diagonal(self.wiring):
            raise InvalidParameter(
                f"Synapses.wiring: missing synapses were given with the rule {self.rule.name!r}, which is "
                "not local: its change of one synapse counts on others. Wire all to all, or use a local rule."
            )
        first = None if weights is None else self._as_weights(weights, "Synapses.weights")
        self._rule_state = self.rule.start(self.n_post, self.n_pre, first)
        self._flow = 0.0  # of squared pre-activity, in and out: what rounding is relative to
        self._modes: Floats | None = None
        self._time = 0.0
        if self.law is not None:
            self._modes = np.zeros((self.n_post, self.n_pre, self.law.modes))
            self._time = self.clock.now()
        self._cached: Floats | None = None

    def _as_weights(self, given: ArrayLike, name: str) -> Floats:
        array, _ = as_batch(given, name, self.n_pre, np.float64)
        if array.shape != (self.n_post, self.n_pre):
            raise InvalidShape(f"{name}: shape {array.shape} was given; {(self.n_post, self.n_pre)} is allowed.")
        return array if self.wiring is None else array * self.wiring

    def _pairs(self, pre: ArrayLike, post: ArrayLike) -> tuple[Floats, Floats]:
        x = as_batch(pre, "pre", self.n_pre, np.float64)[0]
        y = as_batch(post, "post", self.n_post, np.float64)[0]
        if len(x) != len(y):
            raise InvalidShape(f"post: {len(y)} patterns were given for {len(x)} pre-patterns; give one for each.")
        return x, y

    def write(self, pre: ArrayLike, post: ArrayLike) -> None:
        """Change the synapses by the rule, for each pair of ``(n_pre,)`` or ``(n, n_pre)`` and post-activity.

        Raises
        ------
        InvalidInput
            Nothing was changed.
        """
        x, y = self._pairs(pre, post)
        if self.law is None:
            self._rule_state = self.rule.write(self._rule_state, x, y)
            self._flow += float(np.square(x).sum())
        else:
            change = self.rule.weights(self.rule.write(self.rule.start(self.n_post, self.n_pre), x, y))
            law, modes = self._now()
            self._modes = law.excite(modes, change)
        self._cached = None

    def _now(self) -> tuple[LinearLaw, Floats]:
        """Bring the modes to the present and return them with their law."""
        if self.law is None or self._modes is None:
            raise InvalidParameter("Synapses.law: none is set, so nothing fades. Make them with law='two_phase'.")
        now = self.clock.now()
        if now < self._time:
            raise InvalidTime(f"Synapses.clock: it says {now:g} after it said {self._time:g}; time must not fall.")
        if now > self._time:
            self._modes, self._time = self.law.decay(self._modes, now - self._time), now
            self._cached = None
        return self.law, self._modes

    @property
    def weights(self) -> Floats:
        """``W (n_post, n_pre)`` at this moment; 0 where there is no synapse. Read only: do not change it."""
        if self.law is not None:
            self._now()
        if self._cached is None:
            w: Floats = self.rule.weights(self._rule_state)
            if self.law is not None and self._modes is not None:
                w = w + self.law.strength(self._modes)
            w = np.array(w) if self.wiring is None else w * self.wiring
            w.flags.writeable = False
            self._cached = w
        return self._cached

    def transmit(self, pre: ArrayLike) -> Floats:
        """Return the drive ``W·x`` of the post-neurons: ``(n_post,)``, or ``(n, n_post)`` of a batch."""
        x, single = as_batch(pre, "pre", self.n_pre, np.float64)
        drive: Floats = x @ self.weights.T
        return drive[0] if single else drive

    def split(self) -> tuple[Floats, Floats]:
        """Return what was written as its short and its long part, both ``(n_post, n_pre)``.

        ``weights`` is their sum and ``W(0)``.

        Raises
        ------
        InvalidParameter
            No law is set.
        """
        law, modes = self._now()
        short, long = law.split(modes)
        return (short, long) if self.wiring is None else (short * self.wiring, long * self.wiring)

    @property
    def phases(self) -> tuple[Floats, Floats]:
        """The early and the late phase of every synapse; set them to move strength between the two.

        Raises
        ------
        InvalidParameter
            The parts of the law are no phases of their own, as those of ``two_phase`` are.
        """
        self._two_phases()
        return self.split()

    @phases.setter
    def phases(self, given: tuple[ArrayLike, ArrayLike]) -> None:
        law = self._two_phases()
        both = [self._as_weights(part, f"Synapses.phases[{i}]") for i, part in enumerate(given)]
        self._now()
        self._modes = np.stack(both, axis=-1) @ np.linalg.inv(law.parts).T
        self._cached = None

    def _two_phases(self) -> LinearLaw:
        if self.law is None or not self.law.phases:
            raise InvalidParameter(
                f"Synapses.law: {None if self.law is None else self.law.name!r} has no early and late phase; "
                "make them with law='two_phase'."
            )
        return self.law

    def forget(self, pre: ArrayLike, post: ArrayLike) -> None:
        """Forget pairs that were written: the synapses are then as if they never had been.

        Each pair that is given takes out one writing of it. Exact to the bit where activities are whole numbers,
        else to rounding. Whether the pairs were written is for the caller to know; for ``projection``, keys that
        cannot have been written are found out.

        Raises
        ------
        CannotForget
            The rule depends on order, or a law has faded what was written. Nothing was changed.
        UnknownMemory
            These keys cannot have been written. Nothing was changed.
        """
        x, y = self._pairs(pre, post)
        if self.law is not None:
            raise CannotForget(
                f"Synapses.forget: the law {self.law.name!r} has faded what was written since an unknown "
                "time, so it cannot be subtracted. Forget exactly with law=None."
            )
        if not isinstance(self.rule, SummedRule):
            raise CannotForget(
                f"Synapses.forget: what the rule {self.rule.name!r} writes depends on all that was written "
                f"before, so it cannot be subtracted. Rules that forget exactly: {_names(SummedRule)}."
            )
        state = self.rule.unwrite(self._rule_state, x, y)
        flow = self._flow + float(np.square(x).sum())
        if not self.rule.possible(state, flow):
            raise UnknownMemory("Synapses.forget: these keys cannot have been written here; nothing was forgotten.")
        self._rule_state, self._flow = state, flow
        self._cached = None

    def clear(self) -> None:
        """Forget all that was written, with what rounding left; the weights that were given at the start stay.

        Raises
        ------
        CannotForget
            The rule changes these weights themselves, so they are not known any more.
        """
        if not isinstance(self.rule, SummedRule):
            raise CannotForget(
                f"Synapses.clear: the rule {self.rule.name!r} keeps no weights from the start. Make new synapses."
            )
        self._rule_state = self.rule.start(self.n_post, self.n_pre, self._rule_state.get("initial"))
        self._flow = 0.0
        if self._modes is not None:
            self._modes = np.zeros_like(self._modes)
        self._cached = None

    @property
    def rule_state(self) -> dict[str, Any]:
        """The rule's state as it is: read it, do not change it."""
        return self._rule_state

    @rule_state.setter
    def rule_state(self, state: dict[str, Any]) -> None:
        self._rule_state = state
        self._cached = None

    @property
    def nbytes(self) -> int:
        """Bytes held: the rule's state, the modes, the wiring and the weights as last computed."""
        arrays = [*self._rule_state.values(), self._modes, self.wiring, self._cached]
        return sum(array.nbytes for array in arrays if array is not None)

    def state(self) -> dict[str, Any]:
        """Return configuration and copied arrays, flat."""
        if self.law is not None:
            self._now()
        state: dict[str, Any] = {"n_pre": self.n_pre, "n_post": self.n_post, "rule": self.rule.name}
        state |= {f"rule.{name}": value for name, value in parameters(self.rule).items()}
        state |= {f"rule_state.{name}": value.copy() for name, value in self._rule_state.items()}
        state["law"] = None if self.law is None else self.law.name
        if self.law is not None and self._modes is not None:
            state |= {f"law.{name}": value for name, value in self.law.parameters.items()}
            state["modes"] = self._modes.copy()
        state["flow"] = self._flow
        state["time"] = self._time
        state["clock"] = self.clock.name
        state["wiring"] = None if self.wiring is None else self.wiring.copy()
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any], clock: Clock | None = None) -> Synapses:
        """Make the synapses again that ``state()`` was taken from.

        Parameters
        ----------
        state
            What ``state()`` returned.
        clock
            None goes on in seconds, or in steps from the step of ``state()``.

        Raises
        ------
        UnknownName
            The rule or the law is in no registry.
        InvalidParameter
            The synapses had a clock of their own, and none was given.
        """
        law = None
        if state["law"] is not None:
            law = choose(LAWS, state["law"], "law")(**under(state, "law."))
        rule = choose(RULES, state["rule"], "rule")(**under(state, "rule."))
        if clock is None:
            if law is not None and state["clock"] not in ("seconds", "steps"):
                raise InvalidParameter("Synapses.from_state: they had a clock of their own; give one as clock=.")
            clock = Steps(state["time"]) if state["clock"] == "steps" else Seconds()
        synapses = cls(state["n_pre"], state["n_post"], rule, law, state["wiring"], clock=clock)
        synapses._rule_state = {name: value.copy() for name, value in under(state, "rule_state.").items()}
        synapses._flow = state["flow"]
        if law is not None:
            synapses._modes = state["modes"].copy()
            synapses._time = state["time"]
        return synapses


def as_wiring(given: ArrayLike | float | None, shape: tuple[int, int], seed: int | None) -> Mask | None:
    """Return which synapses exist, ``(n_post, n_pre)``, or None for all of them.

    Raises
    ------
    InvalidParameter, InvalidDtype, InvalidShape
    """
    if given is None:
        return None
    array = np.asarray(given)
    if array.ndim == 0:
        density = check_fraction(given, "wiring")
        if seed is None:
            raise InvalidParameter(f"wiring: a density of {density:g} was given without a seed; give seed= as well.")
        return np.random.default_rng(check_integer(seed, "seed", 0)).random(shape) < density
    if array.dtype != np.bool_:
        raise InvalidDtype(f"wiring: dtype {array.dtype} was given; a boolean mask or a density is allowed.")
    if array.shape != shape:
        raise InvalidShape(f"wiring: shape {array.shape} was given; {shape} is allowed (n_post, n_pre).")
    return np.array(array)


def _only_diagonal(wiring: Mask) -> bool:
    missing = ~wiring
    return wiring.shape[0] == wiring.shape[1] and not missing[~np.eye(len(wiring), dtype=np.bool_)].any()


def _names(kind: type[Any]) -> str:
    return ", ".join(repr(name) for name, rule in RULES.items() if issubclass(rule, kind))


def under(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    """Return the entries of a flat state whose name begins with ``prefix``, by what follows it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

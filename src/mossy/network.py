"""The article's memory model: neurons, and synapses that change with how the neurons fire.

Its seven steps are the methods ``step_1_initialise`` to ``step_7_retrieve``; the four verbs ``store``, ``recall``,
``consolidate`` and ``forget`` call them. Where the article writes 编码 (encode) we say consolidate.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.activations import Activation, as_activation
from mossy.arrays import as_batch, as_cues, as_vector, check_flag, check_integer, check_number
from mossy.clock import Clock
from mossy.errors import EmptyMemory, InvalidInput, InvalidParameter, InvalidShape, NotFinite
from mossy.plasticity import Rule
from mossy.strength import LinearLaw
from mossy.synapses import Synapses, as_wiring

__all__ = ["Network", "Settled"]

Floats: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True)
class Settled:
    """Where a network settled.

    Parameters
    ----------
    state
        The activities ``(n,)``.
    energies
        The energy at the start and after each update, ``(updates + 1,)``.
    settled
        Whether the last sweep changed nothing; if not, it was stopped by ``steps``.
    """

    state: Floats
    energies: Floats
    settled: bool


@final
class Network:
    """``n`` neurons, ``a_i = f(Σ_j w_ij x_j + b_i)``, and the synapses among them (article 4.1, 4.2).

    Parameters
    ----------
    n
        Number of neurons.
    activation
        ``f``: a name in ``ACTIVATIONS`` or an ``Activation``.
    rule
        How synapses change: a name in ``RULES`` or a ``Rule``. ``"difference"`` is the article's.
    law
        How what was written fades: ``"two_phase"`` (short-term memory in the early phase, long-term memory in
        the late one) unless given; None for a rule that is not additive, and where nothing shall fade.
    wiring, weights, seed, self_connections
        See ``step_1_initialise``, which the constructor calls.
    bias
        ``b``: one number, or ``(n,)``.
    clock
        What time it is, in the unit of the law's time constants. Seconds unless given.

    Raises
    ------
    InvalidInput
        A parameter is outside its range; the message names it.
    """

    def __init__(
        self,
        n: int,
        activation: str | Activation = "sign",
        rule: str | Rule = "hebb",
        law: str | LinearLaw | None = "two_phase",
        wiring: ArrayLike | float | None = None,
        weights: ArrayLike | None = None,
        bias: ArrayLike = 0.0,
        clock: Clock | None = None,
        seed: int | None = None,
        self_connections: bool = False,
    ) -> None:
        self.n = check_integer(n, "Network.n", 1)
        self.activation = as_activation(activation)
        self.bias: Floats = as_vector(bias, "Network.bias", self.n)
        self._rule, self._law, self._clock = rule, law, clock
        self.step_1_initialise(wiring, weights, seed, self_connections)

    # --- the seven steps -------------------------------------------------------------------------

    def step_1_initialise(
        self,
        wiring: ArrayLike | float | None = None,
        weights: ArrayLike | None = None,
        seed: int | None = None,
        self_connections: bool = False,
    ) -> None:
        """Step 1: wire the neurons. Whatever was stored is gone.

        Parameters
        ----------
        wiring
            None for all to all; a density from 0 to 1 for sparse, drawn with ``seed``, both directions of a
            pair or none; or a boolean mask ``(n, n)``.
        weights
            The weights to start with, ``(n, n)``; zeros unless given.
        seed
            For sparse wiring.
        self_connections
            Whether a neuron may have a synapse to itself. The energy falls for certain only without.
        """
        mask = as_wiring(wiring, (self.n, self.n), seed)
        if mask is not None and np.ndim(wiring) == 0:  # type: ignore[arg-type]
            mask = np.triu(mask) | np.triu(mask).T
        if not check_flag(self_connections, "Network.self_connections"):
            others = ~np.eye(self.n, dtype=np.bool_)
            mask = others if mask is None else mask & others
        self.synapses = Synapses(self.n, self.n, self._rule, self._law, mask, weights, self._clock)
        self.input: Floats | None = None
        self.activity: Floats = np.zeros(self.n)
        self._imposed = False

    def step_2_input(
        self, x: ArrayLike | None = None, *, imposed: bool = False, per_synapse: ArrayLike | None = None
    ) -> None:
        """Step 2: give the network its input.

        Parameters
        ----------
        x
            ``(n,)`` or a batch ``(m, n)``: the input of each neuron, which reaches the others over the
            synapses.
        imposed
            The input makes its own neurons fire: ``a = x``. That is how patterns are stored.
        per_synapse
            Instead of ``x``, ``(n, n, n)``: what neuron ``k`` receives over synapse ``w_ij``, at ``[k, i,
            j]``. Then
            ``a_k = f(Σ_ij w_ij x_kij + b_k)``. The article's worked example needs it: there both neurons sum
            over both synapses.

        Raises
        ------
        InvalidInput
            Neither or both were given, or one of another shape; the input stays as it was.
        """
        if (x is None) == (per_synapse is None):
            raise InvalidParameter("step_2_input: give either x or per_synapse.")
        imposed = check_flag(imposed, "step_2_input.imposed")
        if x is not None:
            batch, single = as_batch(x, "x", self.n, np.float64)
            self.input, self._imposed = (batch[0] if single else batch), imposed
            return
        if imposed:
            raise InvalidParameter("step_2_input.imposed: it goes with x; per_synapse reaches neurons over synapses.")
        each = np.asarray(per_synapse)
        if each.shape != (self.n,) * 3:
            raise InvalidShape(f"per_synapse: shape {each.shape} was given; {(self.n,) * 3} is allowed.")
        flat, _ = as_batch(each.reshape(self.n, -1), "per_synapse", None, np.float64)
        self.input, self._imposed = flat.reshape(each.shape), False

    def step_3_activate(self) -> Floats:
        """Step 3: the neurons that the input drives fire. Return the activity ``(n,)`` or ``(m, n)``.

        Raises
        ------
        EmptyMemory
            There was no step 2.
        """
        if self.input is None:
            raise EmptyMemory("step_3_activate: there is no input yet; give it with step_2_input(x).")
        if self._imposed:
            self.activity = self.input.copy()
        elif self.input.ndim == 3:
            drive = np.einsum("kij,ij->k", self.input, self.synapses.weights)
            self.activity = self.activation(drive + self.bias)
        else:
            self.activity = self.activation(self.synapses.transmit(self.input) + self.bias)
        return self.activity

    def step_4_adjust(self, pre: ArrayLike | None = None, post: ArrayLike | None = None) -> None:
        """Step 4: the synapses change by the rule, with the activity before and after them.

        Both are the activity of step 3 unless given.
        """
        self.synapses.write(self.activity if pre is None else pre, self.activity if post is None else post)

    def step_5_short_term(self) -> Floats:
        """Step 5: short-term memory, which is the changed synapses. Return their early phase ``(n, n)``.

        Nothing changes. Under another law, its short part; without a law, all that was written, which then
        does not fade.
        """
        if self.synapses.law is not None:
            return self.synapses.split()[0]
        first = self.synapses.rule_state.get("initial")
        return self.synapses.weights - (0.0 if first is None else first)

    def step_6_encode(self, threshold: float = 0.0) -> int:
        """Step 6: encode short-term into long-term memory: early phases move into late phases.

        Parameters
        ----------
        threshold
            Only synapses whose early phase is at least this strong, in units of weight: those changed often
            and lately enough. The others go on fading.

        Returns
        -------
        int
            How many synapses were encoded.

        Raises
        ------
        InvalidParameter
            The law has no two phases.
        """
        check_number(threshold, "step_6_encode.threshold", 0.0)
        early, late = self.synapses.phases
        moved = (np.abs(early) >= threshold) & (early != 0)
        self.synapses.phases = np.where(moved, 0.0, early), np.where(moved, late + early, late)
        return int(moved.sum())

    def step_7_retrieve(
        self, cue: ArrayLike, known: ArrayLike | None = None, steps: int = 100, reinforce: bool = True
    ) -> Floats:
        """Step 7: activate the neurons from a cue until they settle, and lift that into short-term memory.

        Where the law has two phases, the part of the late phase ``L`` that the retrieved pattern explains is lifted
        into the early phase ``E``. With ``P``, the change that writing the pattern once would make, and
        ``⟨A, B⟩ = Σ_ij A_ij B_ij``::

            share(A) = clip(⟨A, P⟩ / ⟨P, P⟩, 0, 1)
            E ← E + P · max(share(L) − share(E), 0)

        So a pattern of which nothing was encoded lifts nothing, and one that was lifted already adds nothing more.

        Parameters
        ----------
        cue
            ``(n,)`` or ``(m, n)``.
        known
            Mask of its true entries, likewise; they stay as they are, the others start silent.
        steps
            At most so many sweeps over the neurons. ``k_winners`` activates once.
        reinforce
            False retrieves without a trace: nothing is lifted, and ``activity`` stays as it was.

        Returns
        -------
        array
            The retrieved pattern ``(n,)`` or ``(m, n)``; with ``reinforce`` it is also the activity now.

        Raises
        ------
        EmptyMemory
            Every synapse is 0: nothing was stored, or it has faded altogether.
        InvalidInput
        """
        cues, single, mask = as_cues(cue, known, self.n)
        check_integer(steps, "steps", 1)
        reinforce = check_flag(reinforce, "reinforce")
        if not self.synapses.weights.any():
            raise EmptyMemory("recall: every synapse is 0, so there is nothing to recall; store at least one pattern.")
        if self.activation.elementwise:
            rows = [None if mask is None else mask[i % len(mask)] for i in range(len(cues))]
            found = np.array([self.settle(q, row, steps).state for q, row in zip(cues, rows, strict=True)])
        else:
            found = self.activation(self.synapses.transmit(cues) + self.bias)
            if mask is not None:
                found = np.where(mask, cues, found)
        if not reinforce:
            return found[0] if single else found
        if self.synapses.law is not None and self.synapses.law.phases:
            self._lift(found)
        self.activity = found[0] if single else found
        return self.activity.copy()

    def _lift(self, patterns: Floats) -> None:
        rule, wiring = self.synapses.rule, self.synapses.wiring
        for pattern in patterns:
            once = rule.weights(rule.write(rule.start(self.n, self.n), pattern[None], pattern[None]))
            once = once if wiring is None else once * wiring
            if once.any():
                early, late = self.synapses.phases
                missing = max(_share(late, once) - _share(early, once), 0.0)
                self.synapses.phases = early + missing * once, late

    # --- the four verbs --------------------------------------------------------------------------

    def store(self, patterns: ArrayLike) -> None:
        """Store a pattern ``(n,)`` or a batch ``(m, n)``: steps 2, 3 and 4, the pattern imposed."""
        self.step_2_input(patterns, imposed=True)
        self.step_3_activate()
        self.step_4_adjust()

    def recall(
        self, cue: ArrayLike, known: ArrayLike | None = None, steps: int = 100, reinforce: bool = True
    ) -> Floats:
        """Recall a pattern from a cue: step 7."""
        return self.step_7_retrieve(cue, known, steps, reinforce)

    def consolidate(self, threshold: float = 0.0) -> int:
        """Move short-term into long-term memory: step 6."""
        return self.step_6_encode(threshold)

    def forget(self, patterns: ArrayLike) -> None:
        """Forget stored patterns exactly, or raise ``CannotForget`` (under a law, or where order matters)."""
        self.synapses.forget(patterns, patterns)

    # --- settling --------------------------------------------------------------------------------

    def energy(self, state: ArrayLike) -> float | Floats:
        """Return ``E = −½ xᵀWx − bᵀx + Σ_i Φ(x_i)`` of a state ``(n,)``, or ``(m,)`` energies of a batch.

        Infinite where an activity is outside the range of the activation.

        Raises
        ------
        InvalidParameter
            The activation has no potential ``Φ``.

        Source: J. J. Hopfield (1984), doi:10.1073/pnas.81.10.3088, equation 7.
        """
        x, single = as_batch(state, "state", self.n, np.float64)
        found = (
            -0.5 * np.einsum("mi,ij,mj->m", x, self.synapses.weights, x)
            - x @ self.bias
            + self.activation.potential(x).sum(axis=1)
        )
        return float(found[0]) if single else found

    def settle(
        self, cue: ArrayLike, known: ArrayLike | None = None, steps: int = 100, seed: int | None = None
    ) -> Settled:
        """Update one neuron after another, ``x_i ← f(Σ_j w_ij x_j + b_i)``, until a sweep changes nothing.

        With symmetric weights and no self-connections no update raises the energy.

        Parameters
        ----------
        cue
            ``(n,)``: the activities to start with, in the range of the activation.
        known
            Mask of its true entries ``(n,)``: they are clamped, the others start at 0. None starts all from
            the cue.
        steps
            At most so many sweeps over all neurons.
        seed
            None updates in the order of the neurons; a seed draws the order of each sweep.

        Raises
        ------
        InvalidInput
            A cue of another shape or outside the range; nothing known; an activation without a potential.
        NotFinite
            The activities grew without bound: the weights are too strong for this activation.
        """
        cues, single, mask = as_cues(cue, known, self.n)
        if not single:
            raise InvalidShape(f"cue: shape {cues.shape} was given; one cue ({self.n},) is allowed.")
        check_integer(steps, "settle.steps", 1)
        self._check_range(cues[0])
        rng = None if seed is None else np.random.default_rng(check_integer(seed, "settle.seed", 0))
        free = np.arange(self.n) if mask is None else np.flatnonzero(~mask[0])
        w, f, x = self.synapses.weights, self.activation, cues[0].copy()
        energies = [float(self.energy(x))]
        settled = False
        with np.errstate(over="ignore", invalid="ignore"):  # growth without bound is named below
            while not settled and steps > 0:
                largest = self._sweep(w, x, free if rng is None else rng.permutation(free), energies)
                settled, steps = largest <= 1e-12, steps - 1
                if not np.isfinite(energies[-1]):
                    raise NotFinite(
                        f"settle: activities grew without bound; the weights are too strong for {f.name!r}. "
                        "Use a bounded activation, such as 'tanh', or a smaller rate of the rule."
                    )
        return Settled(x, np.array(energies), settled)

    def _sweep(self, w: Floats, x: Floats, order: NDArray[np.intp], energies: list[float]) -> float:
        """Update ``x`` in this order, append the energy after each update, return the largest change."""
        largest = 0.0
        for i in order:
            drive, old = w[i] @ x, x[i]
            new = float(self.activation(np.array(drive + self.bias[i]), old))
            change = new - old
            energy = energies[-1]
            if change != 0:
                before, after = self.activation.potential(np.array([old, new]))
                # both halves of xᵀWx, so that it also holds for weights that are not symmetric
                drives = 0.5 * (drive + w[:, i] @ x + w[i, i] * change) + self.bias[i]
                energy += float(after - before - change * drives)
                x[i] = new
                largest = max(largest, abs(change))
            energies.append(energy)
        return largest

    def _check_range(self, cue: Floats) -> None:
        f = self.activation
        if not f.elementwise:
            f.potential(cue)  # raises, and says which activations have one
        outside = np.flatnonzero((cue < f.low) | (cue > f.high))
        if len(outside):
            raise InvalidInput(
                f"cue: entry {outside[0]} is {cue[outside[0]]:g}; neurons with {f.name!r} lie from "
                f"{f.low:g} to {f.high:g}. Scale the cue, or use another activation."
            )


def _share(phase: Floats, once: Floats) -> float:
    """Return how much of one writing, from none (0) to all (1), a phase of the synapses holds."""
    return float(np.clip(np.vdot(phase, once) / np.vdot(once, once), 0.0, 1.0))

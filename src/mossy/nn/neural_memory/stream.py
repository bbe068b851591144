"""The law over a sequence: chunk after chunk, from one state to the next."""

from __future__ import annotations

from itertools import pairwise
from typing import Final, NamedTuple

import torch
from torch import Tensor

from mossy.nn.neural_memory.linear import LINEAR
from mossy.nn.neural_memory.network import Learned, Network, Options, Weights
from mossy.nn.neural_memory.two_layer import TWO_LAYER

__all__ = ["DEPTHS", "Gates", "Moment", "Passed", "Tokens", "begin", "finished", "pieces", "run"]

DEPTHS: Final = {1: LINEAR, 2: TWO_LAYER}


class Tokens(NamedTuple):
    """What a sequence gives to the memory, ``(b, s, d)``; batch and heads are one axis here."""

    queries: Tensor
    keys: Tensor
    values: Tensor


class Gates(NamedTuple):
    """``θ``, ``η`` and ``α`` of each token, ``(b, s, 1)``."""

    rate: Tensor
    momentum: Tensor
    forget: Tensor


class Moment(NamedTuple):
    """A memory in the middle of a chunk: see ``NeuralMemoryState``. ``velocity`` is empty without momentum."""

    memory: Weights
    carried: Weights
    velocity: Weights
    learned: Learned | None


class Passed(NamedTuple):
    """What the way back needs of a piece of a chunk.

    ``held`` are the tokens of the last chunk, if the piece's first token began a new one; ``before`` and ``learned``
    are the chunk's tokens before and after. Where there are none, it is None.
    """

    began: bool
    memory: Weights
    carried: Weights
    velocity: Weights
    held: Learned | None
    before: Learned | None
    learned: Learned
    by_learning: Weights
    by_reading: Weights


def begin(start: Weights, momentum: bool) -> Moment:
    """Return the moment before the first token of memories that start as ``start``, ``(b, i, o)`` of each layer."""
    return Moment(start, start, (None,) * len(start) if momentum else (), None)


def run(
    network: Network,
    start: Weights,
    moment: Moment,
    tokens: Tokens,
    gates: Gates,
    chunk: int,
    options: Options,
    passed: list[Passed] | None = None,
) -> tuple[Tensor, Moment]:
    """Learn and read a sequence; return what was read at each token, and the moment after the last.

    At the first token of a chunk, with its gates ``α`` and ``η``, and ``M₀`` the memory at the very start::

        S ← η S,   M ← M − α (M − M₀) + S

    At each token ``t``, ``M`` and ``S`` gain ``−θ_t ∇ℓ_t``, where ``ℓ_t = ½‖M(k_t) − v_t‖²`` with the gradient
    at the end of the last chunk; then ``y_t = M(q_t)``. With chunks of 1, ``S_t = η_t S_{t−1} − θ_t ∇ℓ(M_{t−1})``
    and ``M_t = M_{t−1} − α_t (M_{t−1} − M_0) + S_t``.

    Parameters
    ----------
    start
        ``M₀`` of each layer, ``(b, i, o)``.
    chunk
        Tokens of a chunk.
    passed
        A list to which is added what the way back needs; None for no way back.
    """
    found, mine = [], False  # whether what is carried was made here
    for (queries, keys, values), (rate, momentum, forget) in pieces(tokens, gates, chunk, moment.learned):
        began, held = filled(moment.learned) in (0, chunk), moment.learned
        if began:
            moment = _begun(
                finished(moment, own=mine),
                start,
                momentum[:, :1],
                forget[:, :1],
                own=held is not None,
            )
            mine = passed is None
        before = moment.learned
        new, by_learning = network.learn(moment.memory, before, keys, values, rate, options)
        learned = new if before is None else _joined(before, new)
        answers, by_reading = network.read(moment.carried, learned, queries, options)
        found.append(answers)
        moment = moment._replace(learned=learned)
        if passed is not None:
            both = held if began else None, before
            kept = by_learning, by_reading
            passed.append(Passed(began, *moment[:3], *both, learned, *kept))
    return torch.cat(found, 1), moment


def filled(learned: Learned | None) -> int:
    """Return how many tokens the running chunk has."""
    return 0 if learned is None else learned.inputs[0].shape[1]


def pieces(tokens: Tokens, gates: Gates, chunk: int, learned: Learned | None) -> list[tuple[Tokens, Gates]]:
    """Cut a sequence where chunks end, the first of which may have begun before."""
    length = tokens.keys.shape[1]
    room = chunk - filled(learned)  # a full chunk ends when the next token comes
    borders = [0, *range(room or chunk, length, chunk), length]
    sizes = [end - begin for begin, end in pairwise(borders)]
    parts = zip(*(torch.split(part, sizes, 1) for part in (*tokens, *gates)), strict=True)
    return [(Tokens(*part[:3]), Gates(*part[3:])) for part in parts]


def finished(moment: Moment, own: bool = False) -> Moment:
    """Sum up the chunk's outer products, which become part of the memory's weights and of its momentum.

    ``own`` allows to overwrite ``moment.carried``.
    """
    if moment.learned is None:
        return moment
    memory, velocity = list(moment.carried), list(moment.velocity)
    for i, (x, c) in enumerate(zip(*moment.learned, strict=True)):
        if c is not None:
            w = memory[i]
            step = torch.bmm(x.mT, c)
            memory[i] = step if w is None else (w.add_(step) if own else w + step)
            if velocity:
                s = velocity[i]
                step = step.clone() if w is None else step  # it is the memory as well
                velocity[i] = step if s is None else step.add_(s)
    return Moment(tuple(memory), tuple(memory), tuple(velocity), None)


def _begun(moment: Moment, start: Weights, momentum: Tensor, forget: Tensor, own: bool) -> Moment:
    """Forget, and move on by the momentum: what happens once a chunk, at its first token.

    ``own`` allows to overwrite ``S``.
    """
    carried, velocity = list(moment.memory), list(moment.velocity)
    for i, (w, w0) in enumerate(zip(moment.memory, start, strict=True)):
        if w is not None:
            carried[i] = faded = w * (1 - forget) if w0 is None else torch.lerp(w, w0, forget)
            if velocity and (s := velocity[i]) is not None:
                velocity[i] = s = s.mul_(momentum) if own else s * momentum
                faded.add_(s)
    return moment._replace(carried=tuple(carried), velocity=tuple(velocity))


def _joined(before: Learned, new: Learned) -> Learned:
    inputs = tuple(torch.cat(pair, 1) for pair in zip(before.inputs, new.inputs, strict=True))
    changes = zip(before.changes, new.changes, strict=True)
    return Learned(inputs, tuple(None if a is None or b is None else torch.cat((a, b), 1) for a, b in changes))

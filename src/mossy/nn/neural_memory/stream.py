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
    """A memory in the middle of a chunk: see ``NeuralMemoryState``."""

    memory: Weights
    carried: Weights
    velocity: Weights
    inputs: Weights
    changes: Weights


class Passed(NamedTuple):
    """What the way back needs of a piece of a chunk.

    ``velocity`` and ``held`` are ``S`` and the tokens before the piece's first token began a new chunk; where none
    began, they are empty. ``before`` and ``learned`` are the chunk's tokens before and after.
    """

    memory: Weights
    carried: Weights
    velocity: Weights
    held: Weights
    before: Weights
    learned: Weights
    by_learning: Weights
    by_reading: Weights


def begin(start: Weights, momentum: bool) -> Moment:
    """Return the moment before the first token of memories that start as ``start``, ``(b, i, o)`` of each layer."""
    return Moment(
        start,
        start,
        tuple(torch.zeros_like(w) for w in start) if momentum else (),
        tuple(w.new_zeros(w.shape[0], 0, w.shape[1]) for w in start),
        tuple(w.new_zeros(w.shape[0], 0, w.shape[2]) for w in start),
    )


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
    and ``M_t = (1 − α_t) M_{t−1} + S_t``.

    Parameters
    ----------
    start
        ``M₀`` of each layer, ``(b, i, o)``.
    chunk
        Tokens of a chunk.
    passed
        A list to which is added what the way back needs; None for no way back.
    """
    found = []
    for (queries, keys, values), (rate, momentum, forget) in pieces(tokens, gates, chunk, moment):
        velocity: Weights = ()
        held: Weights = ()
        if moment.inputs[0].shape[1] in (0, chunk):
            held = *moment.inputs, *moment.changes
            moment = finished(moment)
            velocity = moment.velocity
            moment = _begun(moment, start, momentum[:, :1], forget[:, :1])
        before = Learned(moment.inputs, moment.changes)
        new, by_learning = network.learn(moment.memory, before, keys, values, rate, options)
        learned = Learned(_after(before.inputs, new.inputs), _after(before.changes, new.changes))
        answers, by_reading = network.read(moment.carried, learned, queries, options)
        found.append(answers)
        moment = moment._replace(inputs=learned.inputs, changes=learned.changes)
        if passed is not None:
            both = (*before.inputs, *before.changes), (*learned.inputs, *learned.changes)
            passed.append(Passed(moment.memory, moment.carried, velocity, held, *both, by_learning, by_reading))
    return torch.cat(found, 1), moment._replace(
        inputs=tuple(x.clone() for x in moment.inputs)
    )  # a slice holds on to all


def pieces(tokens: Tokens, gates: Gates, chunk: int, moment: Moment) -> list[tuple[Tokens, Gates]]:
    """Cut a sequence where chunks end, the first of which may have begun before."""
    length = tokens.keys.shape[1]
    room = chunk - moment.inputs[0].shape[1]  # a full chunk ends when the next token comes
    borders = [0, *range(room or chunk, length, chunk), length]
    sizes = [end - begin for begin, end in pairwise(borders)]
    parts = zip(*(torch.split(part, sizes, 1) for part in (*tokens, *gates)), strict=True)
    return [(Tokens(*part[:3]), Gates(*part[3:])) for part in parts]


def finished(moment: Moment) -> Moment:
    """Sum up the chunk's outer products, which become part of the memory's weights and of its momentum."""
    if not moment.inputs[0].shape[1]:
        return moment
    steps = [torch.bmm(x.mT, c) for x, c in zip(moment.inputs, moment.changes, strict=True)]
    memory = tuple(w + step for w, step in zip(moment.carried, steps, strict=True))
    velocity = tuple(step.add_(s) for s, step in zip(moment.velocity, steps, strict=False))
    none = (tuple(part.new_zeros(part.shape[0], 0, part.shape[2]) for part in parts) for parts in moment[3:])
    return Moment(memory, memory, velocity, *none)


def _begun(moment: Moment, start: Weights, momentum: Tensor, forget: Tensor) -> Moment:
    """Forget, and move on by the momentum: what happens once a chunk, at its first token."""
    carried = [torch.lerp(w, w0, forget) for w, w0 in zip(moment.memory, start, strict=True)]
    velocity = tuple(s * momentum for s in moment.velocity)
    for w, s in zip(carried, velocity, strict=False):
        w.add_(s)
    return moment._replace(carried=tuple(carried), velocity=velocity)


def _after(before: Weights, new: Weights) -> Weights:
    return tuple(torch.cat((a, b), 1) if a.shape[1] else b for a, b in zip(before, new, strict=True))

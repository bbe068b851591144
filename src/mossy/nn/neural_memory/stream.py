"""The law over a sequence: chunk after chunk, from one state to the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Protocol, TypeAlias, final

import torch
from torch import Tensor

from mossy.nn.neural_memory import linear, two_layer
from mossy.nn.neural_memory.options import Options, Weights

__all__ = ["DEPTHS", "Learn", "Moment", "Network", "Three", "advance", "begin", "folded"]


class Learn(Protocol):
    """The steps of new tokens, each an outer product for each layer."""

    def __call__(
        self,
        weights: Weights,
        before: tuple[Weights, Weights],
        keys: Tensor,
        values: Tensor,
        rate: Tensor,
        options: Options,
        /,
    ) -> tuple[Weights, Weights]:
        """Return what went into each layer, and what each token adds to its weights."""
        ...


Three: TypeAlias = tuple[Tensor, Tensor, Tensor]


@final
@dataclass(frozen=True)
class Network:
    """A memory: its weights at the start, how it learns, and how it is read."""

    start: Callable[[int, int, int], list[Tensor]]
    learn: Learn
    read: Callable[[Weights, Weights, Weights, Tensor, Options], Tensor]
    apply: Callable[[Weights, Tensor, Options], Tensor]


DEPTHS: Final = {
    1: Network(linear.start, linear.learn, linear.read, linear.apply),
    2: Network(two_layer.start, two_layer.learn, two_layer.read, two_layer.apply),
}


@final
@dataclass(frozen=True)
class Moment:
    """A memory in the middle of a chunk: see ``NeuralMemoryState``; batch and heads are one axis here."""

    memory: Weights
    carried: Weights
    velocity: Weights
    inputs: Weights
    changes: Weights


def begin(start: Weights, momentum: bool) -> Moment:
    """Return the moment before the first token of memories that start as ``start``, ``(b, i, o)`` of each layer."""
    return Moment(
        start,
        start,
        tuple(torch.zeros_like(w) for w in start) if momentum else (),
        tuple(w.new_zeros(w.shape[0], 0, w.shape[1]) for w in start),
        tuple(w.new_zeros(w.shape[0], 0, w.shape[2]) for w in start),
    )


def advance(
    network: Network,
    start: Weights,
    moment: Moment,
    tokens: Three,
    gates: Three,
    chunk: int,
    options: Options,
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
    tokens
        ``q``, ``k``, ``v``, ``(b, s, d)``.
    gates
        ``θ``, ``η``, ``α``, ``(b, s, 1)``.
    chunk
        Tokens of a chunk.
    """
    found = []
    for (queries, keys, values), (rate, momentum, forget) in _pieces(tokens, gates, chunk, moment.inputs[0].shape[1]):
        if not moment.inputs[0].shape[1]:
            moment = _carry(moment, start, momentum[:, :1], forget[:, :1])
        inputs, changes = network.learn(moment.memory, (moment.inputs, moment.changes), keys, values, rate, options)
        inputs, changes = _after(moment.inputs, inputs), _after(moment.changes, changes)
        found.append(network.read(moment.carried, inputs, changes, queries, options))
        moment = Moment(moment.memory, moment.carried, moment.velocity, inputs, changes)
        if inputs[0].shape[1] == chunk:
            moment = _finish(moment)
    return torch.cat(found, 1), moment


def _pieces(tokens: Three, gates: Three, chunk: int, filled: int) -> Iterator[tuple[Three, Three]]:
    """Cut a sequence where chunks end; ``filled`` tokens of the first chunk came before."""
    length = tokens[0].shape[1]
    ends = [*range(chunk - filled, length, chunk), length]
    sizes = [end - begin for begin, end in pairwise([0, *ends])]
    parts = [torch.split(part, sizes, 1) for part in (*tokens, *gates)]
    for q, k, v, rate, momentum, forget in zip(*parts, strict=True):
        yield (q, k, v), (rate, momentum, forget)


def folded(moment: Moment) -> Weights:
    """Return the memory as it is now, the running chunk included."""
    return tuple(
        torch.baddbmm(w, x.mT, c) for w, x, c in zip(moment.carried, moment.inputs, moment.changes, strict=True)
    )


def _carry(moment: Moment, start: Weights, momentum: Tensor, forget: Tensor) -> Moment:
    """Forget, and move on by the momentum: what happens once a chunk, at its first token."""
    carried = tuple(torch.lerp(w, w0, forget) for w, w0 in zip(moment.memory, start, strict=True))
    velocity = tuple(s * momentum for s in moment.velocity)
    if velocity:
        carried = tuple(w + s for w, s in zip(carried, velocity, strict=True))
    return Moment(moment.memory, carried, velocity, moment.inputs, moment.changes)


def _finish(moment: Moment) -> Moment:
    """Sum up the chunk's outer products, which become the memory's weights and its momentum."""
    steps = tuple(torch.bmm(x.mT, c) for x, c in zip(moment.inputs, moment.changes, strict=True))
    memory = tuple(w + step for w, step in zip(moment.carried, steps, strict=True))
    velocity = tuple(s + step for s, step in zip(moment.velocity, steps, strict=False))
    return Moment(memory, memory, velocity, *(tuple(map(_none, parts)) for parts in (moment.inputs, moment.changes)))


def _none(tokens: Tensor) -> Tensor:
    return tokens.new_zeros(tokens.shape[0], 0, tokens.shape[2])  # a slice would keep the chunk's memory


def _after(before: Weights, new: Weights) -> Weights:
    return tuple(torch.cat((a, b), 1) if a.shape[1] else b for a, b in zip(before, new, strict=True))

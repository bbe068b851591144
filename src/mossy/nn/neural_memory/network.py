"""What a memory of any depth gives to the stream: how it starts, learns and is read, and the gradients of both."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

from torch import Tensor

from mossy.nn.neural_memory.nonlinearity import Nonlinearity

__all__ = ["Gradients", "Learned", "Network", "Options", "Weights", "some"]

# One of each layer, first to last. None is 0: a memory that has just begun is mostly that, and costs less.
Weights: TypeAlias = tuple[Tensor | None, ...]
Gradients: TypeAlias = list[Tensor | None]


class Learned(NamedTuple):
    """Tokens of a chunk: what went into each layer ``(b, p, i)``, and what each adds to its weights ``(b, p, o)``."""

    inputs: tuple[Tensor, ...]
    changes: Weights


def some(parts: Iterable[Tensor | None]) -> tuple[Tensor, ...]:
    """Return those that are not 0."""
    return tuple(part for part in parts if part is not None)


@final
@dataclass(frozen=True)
class Options:
    """Choices of a memory.

    Parameters
    ----------
    in_turn
        Whether errors are those just before each token (True) or those of the memory at the chunk's start.
    clip
        The largest norm of an error at the chunk's start; None for any.
    nonlinearity
        φ, of the memory of two layers.
    """

    in_turn: bool
    clip: float | None
    nonlinearity: Nonlinearity


@final
@dataclass(frozen=True)
class Network:
    """A memory. Its functions are described where they are: see ``two_layer.py``.

    Parameters
    ----------
    shapes
        Of ``d`` and ``m``: the shape of each layer.
    start
        Of heads, ``d`` and ``m``: the weights of a memory that holds nothing, ``(h, i, o)``.
    apply
        Read with these weights.
    learn, learn_back
        The steps of new tokens, and the gradients.
    read, read_back
        Read at each token of a chunk, and the gradients.
    """

    shapes: Callable[[int, int], list[tuple[int, int]]]
    start: Callable[[int, int, int], Weights]
    apply: Callable[[Weights, Tensor, Options], Tensor]
    learn: Callable[[Weights, Learned | None, Tensor, Tensor, Tensor, Options], tuple[Learned, Weights]]
    learn_back: Callable[
        [Weights, Learned | None, Tensor, Tensor, Options, Learned, Weights, Gradients, Gradients, Gradients],
        tuple[Tensor, Tensor, Tensor, Gradients, Gradients],
    ]
    read: Callable[[Weights, Learned, Tensor, Options], tuple[Tensor, Weights]]
    read_back: Callable[
        [Weights, Learned, Tensor, Options, Weights, Tensor, Gradients], tuple[Tensor, Gradients, Gradients]
    ]

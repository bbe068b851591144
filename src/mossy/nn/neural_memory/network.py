"""What a memory of any depth gives to the stream: how it starts, learns and is read, and the gradients of both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias, final

from torch import Tensor

from mossy.nn.neural_memory.nonlinearity import Nonlinearity

__all__ = ["Gradients", "Learned", "Network", "Options", "Weights"]

Weights: TypeAlias = tuple[Tensor, ...]  # one of each layer, first to last
Gradients: TypeAlias = list[Tensor | None]  # one of each layer; None is 0


class Learned(NamedTuple):
    """Tokens of a chunk: what went into each layer ``(b, p, i)``, and what each adds to its weights ``(b, p, o)``."""

    inputs: Weights
    changes: Weights


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
    """A memory. The functions are described in ``two_layer.py``.

    Parameters
    ----------
    shapes
        Of ``d`` and ``m``: the shape of each layer.
    start
        Of heads, ``d`` and ``m``: the weights of a memory that holds nothing.
    apply
        Read with these weights.
    learn, learn_back
        The steps of new tokens, and the gradients.
    read, read_back
        Read at each token of a chunk, and the gradients.
    """

    shapes: Callable[[int, int], list[tuple[int, int]]]
    start: Callable[[int, int, int], list[Tensor]]
    apply: Callable[[Weights, Tensor, Options], Tensor]
    learn: Callable[[Weights, Learned, Tensor, Tensor, Tensor, Options], tuple[Learned, Weights]]
    learn_back: Callable[
        [Weights, Learned, Tensor, Tensor, Options, Learned, Weights, Learned, Gradients],
        tuple[Tensor, Tensor, Tensor, Gradients, Gradients],
    ]
    read: Callable[[Weights, Learned, Tensor, Options], tuple[Tensor, Weights]]
    read_back: Callable[[Weights, Learned, Tensor, Options, Weights, Tensor, Gradients], tuple[Tensor, Learned]]

"""What a neural memory knows at one moment of a stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["NeuralMemoryState"]


class NeuralMemoryState(NamedTuple):
    """The weights of the memory of each sequence, and the running chunk; all in float32 or float64.

    Of each of the memory's layers, first to last, with ``b`` sequences, ``h`` heads and ``i → o`` neurons:

    Parameters
    ----------
    memory
        ``M`` at the start of the running chunk, ``(b, h, i, o)``.
    carried
        ``M`` after what was forgotten, and what the momentum moved, at the first token of the running chunk,
        ``(b, h, i, o)``; between chunks it is ``memory``.
    velocity
        ``S``, ``(b, h, i, o)``: the running chunk's, without its own tokens yet. Empty without momentum.
    inputs, changes
        The ``p`` tokens of the running chunk: what went into the layer ``(b, h, p, i)``, and what each adds to the
        weights, as the other factor of an outer product, ``(b, h, p, o)``.
    tail
        The last inputs of the short convolution, ``(b, width − 1, n)``.
    """

    memory: tuple[Tensor, ...]
    carried: tuple[Tensor, ...]
    velocity: tuple[Tensor, ...]
    inputs: tuple[Tensor, ...]
    changes: tuple[Tensor, ...]
    tail: Tensor

    def detach(self) -> NeuralMemoryState:
        """Return it cut off from the gradient, for the next piece of a long stream."""
        return self._each(lambda part: part.detach())

    def to(self, device: torch.device | str) -> NeuralMemoryState:
        """Return it on another device."""
        return self._each(lambda part: part.to(device))

    def _each(self, of: Callable[[Tensor], Tensor]) -> NeuralMemoryState:
        memory, carried, velocity, inputs, changes = (tuple(map(of, parts)) for parts in self[:5])
        return NeuralMemoryState(memory, carried, velocity, inputs, changes, of(self.tail))

    @property
    def nbytes(self) -> int:
        """Bytes of the numbers that it holds; they do not grow with the stream."""
        held = {id(part): part.nbytes for parts in self[:5] for part in parts}  # carried may be memory
        return sum(held.values()) + self.tail.nbytes

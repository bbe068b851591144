"""How a memory learns: what is the same for every token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias, final

from torch import Tensor

from mossy.nn.neural_memory.nonlinearity import Nonlinearity

__all__ = ["Options", "Weights"]

Weights: TypeAlias = tuple[Tensor, ...]  # one of each layer, first to last


@final
@dataclass(frozen=True)
class Options:
    """Choices of a memory.

    Parameters
    ----------
    in_turn
        Whether errors are those just before each token (True) or those of the memory at the chunk's start.
    clip
        The largest norm of one token's gradient; None for any.
    nonlinearity
        φ, of the memory of two layers.
    """

    in_turn: bool
    clip: float | None
    nonlinearity: Nonlinearity

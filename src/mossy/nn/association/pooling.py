"""HopfieldPooling: what a few learned states retrieve from a set of patterns."""

from __future__ import annotations

from typing import Unpack, final

import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer
from mossy.errors import InvalidInput
from mossy.nn.association.core import SPREAD
from mossy.nn.association.hopfield import Hopfield
from mossy.nn.association.options import Options

__all__ = ["HopfieldPooling"]


@final
class HopfieldPooling(nn.Module):
    """Pooling: ``quantity`` learned state patterns retrieve from each set of patterns, whatever its size and order.

    With few states the patterns themselves are never projected: the states are projected to them instead.
    The law, the shapes of masks, and what is raised are those of :class:`Hopfield`.

    Parameters
    ----------
    input_size
        Entries of a state pattern, and of a pooled one unless ``stored_pattern_size`` is given.
    quantity
        How many states are learned.
    trainable
        Whether they are.
    **options
        As of :class:`Hopfield`.

    Attributes
    ----------
    pooling_weights
        The state patterns ``(1, quantity, input_size)``.
    """

    def __init__(
        self, input_size: int, quantity: int = 1, *, trainable: bool = True, **options: Unpack[Options]
    ) -> None:
        super().__init__()
        self.hopfield = Hopfield(check_integer(input_size, "input_size", 1), **options)
        self.quantity = check_integer(quantity, "quantity", 1)
        shape = (1, self.quantity) if self.hopfield.batch_first else (self.quantity, 1)
        states = torch.empty(*shape, self.hopfield.sizes["state"])
        self.pooling_weights = nn.Parameter(states, requires_grad=check_flag(trainable, "trainable"))
        nn.init.normal_(self.pooling_weights, std=SPREAD)

    def reset_parameters(self) -> None:
        """Draw new weights and new states."""
        self.hopfield.reset_parameters()
        nn.init.normal_(self.pooling_weights, std=SPREAD)

    def _input(self, input: Tensor | tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        given = input if isinstance(input, tuple | list) else (input,)
        if len(given) not in (1, 2):
            raise InvalidInput(f"input: {len(given)} tensors were given; one, or (stored, projection) is allowed.")
        return given[0], self.pooling_weights.flatten(0, 1), given[-1]

    def forward(
        self,
        input: Tensor | tuple[Tensor, Tensor],
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
    ) -> Tensor:
        """Return ``(b, quantity·output_size)``, what the states retrieve from each set of patterns.

        Parameters
        ----------
        input
            Patterns ``(b, n, size)`` or ``(n, size)``, or a pair of them: what is compared, and what is read.
        stored_pattern_padding_mask, association_mask
            As of :meth:`Hopfield.forward`.
        """
        out: Tensor = self.hopfield(self._input(input), stored_pattern_padding_mask, association_mask)
        if out.dim() == 3 and not self.hopfield.batch_first:
            out = out.transpose(0, 1)
        return out.flatten(-2)

    def get_association_matrix(
        self,
        input: Tensor | tuple[Tensor, Tensor],
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the activities ``(b, num_heads, quantity, n)`` with which the states read."""
        return self.hopfield.get_association_matrix(self._input(input), stored_pattern_padding_mask, association_mask)

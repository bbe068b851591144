"""HopfieldLayer: retrieval from patterns that the layer itself stores."""

from __future__ import annotations

from typing import Unpack, final

import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer
from mossy.errors import InvalidParameter
from mossy.nn.association.core import SPREAD
from mossy.nn.association.hopfield import Hopfield
from mossy.nn.association.options import Options
from mossy.nn.tensors import check_fits, check_floating, check_shape

__all__ = ["HopfieldLayer"]

BARE = Options(
    stored_pattern_as_static=True,
    state_pattern_as_static=True,
    pattern_projection_as_static=True,
    normalize_stored_pattern=False,
    normalize_state_pattern=False,
    normalize_pattern_projection=False,
    disable_out_projection=True,
)


@final
class HopfieldLayer(nn.Module):
    """A lookup: each input retrieves from ``quantity`` stored patterns, which are learned, or given.

    The patterns are stored once, whatever the batch is: every input reads the same ones, and no copy of them is made.

    ``HopfieldLayer.holding(patterns)`` retrieves from given patterns, untrained.

    The law, the shapes of masks, and what is raised are those of :class:`Hopfield`.

    Parameters
    ----------
    input_size
        Entries of an input, the state pattern.
    quantity
        How many patterns are stored.
    lookup_weights_as_separated
        Whether what is read (the pattern projection) has weights of its own, ``target_weights``.
    trainable, lookup_targets_as_trainable
        Whether the stored patterns, and the targets, are learned.
    **options
        As of :class:`Hopfield`.

    Attributes
    ----------
    lookup_weights
        The stored patterns ``(1, quantity, stored_pattern_size)``.
    target_weights
        What is read for them ``(1, quantity, pattern_projection_size)``, or None where they are read themselves.
    """

    target_weights: nn.Parameter | None

    def __init__(
        self,
        input_size: int,
        quantity: int = 1,
        *,
        lookup_weights_as_separated: bool = False,
        lookup_targets_as_trainable: bool = True,
        trainable: bool = True,
        **options: Unpack[Options],
    ) -> None:
        super().__init__()
        self.hopfield = Hopfield(check_integer(input_size, "input_size", 1), **options)
        self.quantity = check_integer(quantity, "quantity", 1)
        shape = (1, self.quantity) if self.hopfield.batch_first else (self.quantity, 1)
        sizes = self.hopfield.sizes
        stored = torch.empty(*shape, sizes["stored"])
        self.lookup_weights = nn.Parameter(stored, requires_grad=check_flag(trainable, "trainable"))
        self.target_weights = None
        separated = check_flag(lookup_weights_as_separated, "lookup_weights_as_separated")
        if not separated and sizes["projection"] != sizes["stored"]:
            raise InvalidParameter(
                f"pattern_projection_size: {sizes['projection']} was given; {sizes['stored']}, as a stored pattern "
                "has, is allowed where the stored patterns are read themselves. Or set lookup_weights_as_separated."
            )
        if separated:
            learned = check_flag(lookup_targets_as_trainable, "lookup_targets_as_trainable")
            self.target_weights = nn.Parameter(torch.empty(*shape, sizes["projection"]), requires_grad=learned)
        self._draw()

    @classmethod
    def holding(
        cls, patterns: Tensor, targets: Tensor | None = None, *, trainable: bool = False, **options: Unpack[Options]
    ) -> HopfieldLayer:
        """Return a layer that holds copies of given patterns ``(n, d)``, and of what is read for them ``(n, d_v)``.

        Unless options say otherwise, nothing is projected or normalised: it retrieves at once, without training.
        """
        check_shape(check_floating(patterns, "patterns"), "patterns", ("n", "d"))
        size = patterns.shape[1]
        given = BARE | options
        if targets is not None:
            check_shape(check_floating(targets, "targets"), "targets", (len(patterns), "size"))
            check_fits(targets, "targets", patterns, "patterns")
            given |= Options(pattern_projection_size=targets.shape[1])
        layer = cls(
            size,
            len(patterns),
            lookup_weights_as_separated=targets is not None,
            lookup_targets_as_trainable=trainable,
            trainable=trainable,
            **given,
        ).to(patterns)
        with torch.no_grad():
            layer.lookup_weights.copy_(patterns.reshape(layer.lookup_weights.shape))
            if layer.target_weights is not None and targets is not None:
                layer.target_weights.copy_(targets.reshape(layer.target_weights.shape))
        return layer

    def reset_parameters(self) -> None:
        """Draw new weights and new stored patterns."""
        self.hopfield.reset_parameters()
        self._draw()

    def _draw(self) -> None:
        for weights in (self.lookup_weights, self.target_weights):
            if weights is not None:
                nn.init.normal_(weights, std=SPREAD)

    def _input(self, input: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        stored = self.lookup_weights.flatten(0, 1)
        return stored, input, stored if self.target_weights is None else self.target_weights.flatten(0, 1)

    def forward(
        self,
        input: Tensor,
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return what each input ``(b, l, input_size)`` or ``(l, input_size)`` retrieves, ``(b, l, output_size)``."""
        return self.hopfield(  # type: ignore[no-any-return]
            self._input(input), stored_pattern_padding_mask, association_mask, known=known
        )

    def get_association_matrix(
        self,
        input: Tensor,
        stored_pattern_padding_mask: Tensor | None = None,
        association_mask: Tensor | None = None,
        *,
        known: Tensor | None = None,
    ) -> Tensor:
        """Return the activities ``(b, num_heads, l, quantity)`` with which the inputs read the stored patterns."""
        return self.hopfield.get_association_matrix(
            self._input(input), stored_pattern_padding_mask, association_mask, known=known
        )

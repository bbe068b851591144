"""Masks of an association: which states may read which stored patterns, as hflayers and torch's attention take them."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.errors import InvalidDtype
from mossy.nn.tensors import check_mask, check_shape

__all__ = ["join"]


def join(padding: object, association: object, b: int, h: int, l: int, n: int) -> Tensor | None:
    """Return one mask that broadcasts to ``(b, h, l, n)``: booleans, True where a state may read, or floats to add.

    Parameters
    ----------
    padding
        ``(b, n)``: True where a stored pattern is padding, read by nobody.
    association
        ``(l, n)``, ``(b·h, l, n)`` or ``(b, h, l, n)``: True where a state may not read, or floats that are added to
        the evidence.

    Raises
    ------
    InvalidDtype, InvalidShape
    """
    mask: Tensor | None = None
    if padding is not None:
        if isinstance(padding, Tensor) and padding.is_floating_point() and padding.dim() == 3:
            raise InvalidDtype(
                f"stored_pattern_padding_mask: a tensor of {padding.dtype} of shape {tuple(padding.shape)} was given, "
                f"as patterns have; booleans ({b}, {n}) are allowed. Give several sets as one tuple: (stored, state) "
                "or (stored, state, projection)."
            )
        mask = ~check_mask(padding, "stored_pattern_padding_mask", (b, n))[:, None, None, :]
    if association is None:
        return mask
    if not isinstance(association, Tensor) or not (association.dtype == torch.bool or association.is_floating_point()):
        kind = association.dtype if isinstance(association, Tensor) else type(association).__name__
        raise InvalidDtype(
            f"association_mask: {kind} was given; a tensor of torch.bool, True where a state may not read, or of "
            "floats that are added to the evidence is allowed."
        )
    check_shape(association, "association_mask", (l, n), (b * h, l, n), (b, h, l, n))
    added = association.reshape(b, h, l, n) if association.dim() > 2 else association[None, None]
    if added.dtype == torch.bool:
        return ~added if mask is None else mask & ~added
    return added if mask is None else added.masked_fill(~mask, -torch.inf)

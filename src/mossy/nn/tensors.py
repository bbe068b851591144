"""Checks at the border of the layers: what a user gives is a tensor that the inside can trust."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from mossy.errors import InvalidDtype, InvalidInput, InvalidShape, NothingKnown

__all__ = ["check_fits", "check_floating", "check_mask", "check_shape", "check_some", "wide", "without_autocast"]

# What a shape may ask for: a size, or a name that any size fits.
Size = int | str


def check_floating(given: object, name: str) -> Tensor:
    """Return ``given`` if it is a tensor of floats.

    Raises
    ------
    InvalidDtype
    """
    if not isinstance(given, Tensor):
        raise InvalidDtype(
            f"{name}: {type(given).__name__} was given; a torch.Tensor of floats is allowed. "
            "torch.as_tensor(x, dtype=torch.float32) makes one."
        )
    if not given.is_floating_point():
        raise InvalidDtype(f"{name}: a tensor of {given.dtype} was given; floats are allowed. Give x.float().")
    return given


def check_shape(given: Tensor, name: str, *allowed: Sequence[Size]) -> Tensor:
    """Return ``given`` if its shape is one of ``allowed``, such as ``("b", "s", 64)``; the same name is the same size.

    Raises
    ------
    InvalidShape
    """
    for shape in allowed:
        if _is(tuple(given.shape), shape):
            return given
    listed = " or ".join(
        "(" + ", ".join(str(size) for size in shape) + ("," * (len(shape) == 1)) + ")" for shape in allowed
    )
    raise InvalidShape(f"{name}: shape {tuple(given.shape)} was given; {listed} is allowed.")


def _is(shape: tuple[int, ...], wanted: Sequence[Size]) -> bool:
    if len(shape) != len(wanted):
        return False
    bound: dict[str, int] = {}
    return all(
        bound.setdefault(want, size) == size if isinstance(want, str) else want == size
        for size, want in zip(shape, wanted, strict=True)
    )


def check_fits(given: Tensor, name: str, other: Tensor, what: str) -> Tensor:
    """Return ``given`` if it has the dtype and the device of ``other``, which messages call ``what``.

    Under autocast the dtype is the context's to choose, and is left alone.

    Raises
    ------
    InvalidDtype, InvalidInput
    """
    if given.dtype != other.dtype and not torch.is_autocast_enabled(given.device.type):
        raise InvalidDtype(
            f"{name}: a tensor of {given.dtype} was given; {what} is {other.dtype}. Give x.to({other.dtype}), or move "
            f"the other with .to({given.dtype})."
        )
    if given.device != other.device:
        raise InvalidInput(
            f"{name}: a tensor on {given.device} was given; {what} is on {other.device}. Move one of them with .to()."
        )
    return given


def check_mask(given: object, name: str, *allowed: Sequence[Size]) -> Tensor:
    """Return a mask of booleans of one of these shapes.

    Raises
    ------
    InvalidDtype, InvalidShape
    """
    if not isinstance(given, Tensor) or given.dtype != torch.bool:
        what = f"a tensor of {given.dtype}" if isinstance(given, Tensor) else type(given).__name__
        raise InvalidDtype(f"{name}: {what} was given; a tensor of torch.bool is allowed. Give x.bool().")
    return check_shape(given, name, *allowed)


def check_some(mask: Tensor, name: str, what: str) -> Tensor:
    """Return a mask whose last axis holds at least one True everywhere.

    Raises
    ------
    NothingKnown
    """
    some = mask.any(-1)
    if not bool(some.all()):
        place = tuple(int(i) for i in torch.nonzero(~some.reshape(-1))[:1].flatten())
        row = place[0] if some.dim() and math.prod(some.shape) > 1 else 0
        raise NothingKnown(f"{name}: {what} in row {row} is all False; at least one entry must be True.")
    return mask


def wide(dtype: torch.dtype) -> torch.dtype:
    """Return ``dtype``, or float32 for half precision: sums, norms and solvers are computed in it."""
    return torch.promote_types(dtype, torch.float32)


def without_autocast(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast leaves dtypes alone: sums over many terms would lose what it takes away."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()

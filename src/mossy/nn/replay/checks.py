"""Checks at the border of a memory of examples."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mossy.errors import InvalidDtype, InvalidInput, InvalidParameter, InvalidShape
from mossy.nn.replay.rows import Rows
from mossy.nn.tensors import check_floating

__all__ = ["as_device", "as_generator", "as_numbers", "check_dense", "check_examples"]


def as_device(given: torch.device | str, name: str) -> torch.device:
    """Return a device on which a tensor can be made, or raise ``InvalidParameter``."""
    try:
        device = torch.device(given)
        torch.empty(0, device=device)
    except (RuntimeError, TypeError, AssertionError, NotImplementedError) as error:
        raise InvalidParameter(
            f"{name}: {given!r} was given; a device that is there, such as 'cpu', is allowed ({error})."
        ) from None
    return device


def as_generator(given: object, name: str) -> np.random.Generator | None:
    """Return a generator of NumPy, made from one of torch where one is given, or None, or raise ``InvalidDtype``."""
    if isinstance(given, torch.Generator):
        return np.random.default_rng(int(torch.randint(1 << 62, (), generator=given, device=given.device)))
    if given is None or isinstance(given, np.random.Generator):
        return given
    raise InvalidDtype(
        f"{name}: {given!r} was given; a torch.Generator is allowed, such as torch.Generator().manual_seed(0), or a "
        "numpy.random.Generator."
    )


def as_numbers(given: Tensor | Iterable[float], name: str) -> NDArray[Any]:
    """Return numbers ``(n,)`` of a tensor, or of what can be gone through, or raise ``InvalidDtype``."""
    try:
        listed = given if isinstance(given, Tensor | np.ndarray | int | float) else list(given)
        told = torch.as_tensor(listed).detach().cpu()
        return np.atleast_1d((told.float() if told.is_floating_point() else told).numpy())
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise InvalidDtype(
            f"{name}: {type(given).__name__} was given; a tensor (n,) or a list of numbers is allowed ({error})."
        ) from None


def check_dense(given: Tensor, name: str) -> None:
    """Raise ``InvalidInput`` unless a tensor is strided and holds its numbers."""
    if given.layout != torch.strided or given.is_nested or given.is_quantized or given.is_meta:
        raise InvalidInput(
            f"{name}: a tensor of layout {given.layout} and {given.dtype} on {given.device} was given; a dense one "
            "that holds its numbers is allowed, such as x.to_dense()."
        )


def check_examples(given: Mapping[str, Tensor], held: Mapping[str, Rows], by: str, *, balanced: bool) -> None:
    """Raise unless ``x``, ``y`` and perhaps ``logits`` have a row for each example, each like those that are held.

    Raises
    ------
    InvalidDtype, InvalidShape, InvalidInput
    """
    for name, batch in given.items():
        if not isinstance(batch, Tensor):
            raise InvalidDtype(f"{by}.{name}: {type(batch).__name__} was given; a torch.Tensor is allowed.")
        check_dense(batch, f"{by}.{name}")
        if batch.dim() == 0 or len(batch) != len(given["x"]):
            raise InvalidShape(
                f"{by}.{name}: shape {tuple(batch.shape)} was given; one row for each example, as x of shape "
                f"{tuple(given['x'].shape)} has, is allowed."
            )
    if "logits" in given:
        check_floating(given["logits"], f"{by}.logits")
    y = given["y"]
    if balanced and (y.dim() != 1 or y.is_floating_point() or y.is_complex()):
        raise InvalidDtype(
            f"{by}.y: a tensor of {y.dtype} and shape {tuple(y.shape)} was given; classes, integers (n,), are allowed. "
            "For other targets make a ReplayMemory with balanced=False."
        )
    for name in [name for name in given if name in held]:
        _check_like_held(given[name], held[name].rows, f"{by}.{name}", any_float=name == "logits")


def _check_like_held(batch: Tensor, rows: Tensor, name: str, *, any_float: bool) -> None:
    if batch.shape[1:] != rows.shape[1:]:
        raise InvalidShape(
            f"{name}: rows of shape {tuple(batch.shape[1:])} were given; {tuple(rows.shape[1:])} is allowed, as the "
            "first batch had."
        )
    if batch.dtype != rows.dtype and not (any_float and batch.is_floating_point()):
        raise InvalidDtype(
            f"{name}: a tensor of {batch.dtype} was given; {rows.dtype} is allowed, as the first batch was. Give "
            f"{name.split('.')[-1]}.to({rows.dtype})."
        )

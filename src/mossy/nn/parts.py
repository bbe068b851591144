"""Parts of a network: what they are called, and whether they are in training or evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from mossy.arrays import choose
from mossy.errors import InvalidParameter

__all__ = ["mode", "name_of"]


def name_of(model: nn.Module, layer: str | nn.Module, by: str, *, whole: bool = False) -> str:
    """Return the name of a layer in a model; messages call it ``by``. ``whole`` allows the model itself, ``""``.

    Raises
    ------
    UnknownName, InvalidParameter
    """
    parts = model.named_modules(remove_duplicate=False)
    names: dict[str, nn.Module] = {name: part for name, part in parts if name or whole}
    if not names:
        raise InvalidParameter(
            f"{by}: the model, a {type(model).__name__}, has no parts. Wrap it: torch.nn.Sequential(model), layer '0'."
        )
    if not isinstance(layer, nn.Module):
        choose(names, layer, by)
        return layer
    for name, part in names.items():
        if part is layer:
            return name
    raise InvalidParameter(
        f"{by}: a {type(layer).__name__} was given that is no part of the model; one of it is allowed."
    )


@contextmanager
def mode(model: nn.Module, training: bool) -> Iterator[None]:
    """Have a network in training or in evaluation mode within; every part of it is then in its own mode again.

    A part in evaluation mode of a network in training mode is frozen, such as batch norms often are: it stays so.
    """
    was = [(part, part.training) for part in model.modules()]
    if not (training and model.training):
        model.train(training)
    try:
        yield
    finally:
        if model.training != was[0][1]:
            model.train(was[0][1])  # it may do more than to set flags
        for part, flag in was:
            part.training = flag

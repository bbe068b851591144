"""Training and evaluation mode of a network, put back part by part."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["mode"]


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

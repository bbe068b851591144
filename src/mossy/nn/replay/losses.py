r"""What a network that learns a stream is asked for: the new, the old, and to say of the old what it said before.

.. math::  L = \frac{1}{b}\sum_{i \in \text{new}} \ell(z_i, y_i; C) + \frac{1}{m}\sum_{j \in \text{old}} \ell(z_j, y_j)
               + \frac{α}{mk}\sum_{j \in \text{old}} \|z_j - h_j\|^2

``z (n, k)`` are the outputs, ``y (n,)`` the classes, ``ℓ`` the cross-entropy, ``h (m, k)`` the outputs stored with the
old examples. ``C`` are all classes (symmetric), or those of the new batch (asymmetric): a new example is then told from
those alone, and does not push the outputs of all other classes down.

Sources: L. Caccia et al. (2022), arXiv:2104.05025, section 4 (asymmetric cross-entropy); P. Buzzega et al. (2020),
arXiv:2004.07211, eq. 6 (dark experience replay).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mossy.errors import InvalidShape

__all__ = ["LOSSES", "Loss", "asymmetric", "check_classes", "each_loss", "matching"]

# outputs of the new, their targets → losses (b,)
Loss = Callable[[Tensor, Tensor], Tensor]


def check_classes(outputs: Tensor, y: Tensor, by: str) -> None:
    """Raise ``InvalidShape`` unless there is an output ``(n, k)`` for every class of ``y (n,)``."""
    if outputs.dim() != 2 or y.shape != outputs.shape[:1]:
        raise InvalidShape(
            f"{by}: outputs {tuple(outputs.shape)} and classes {tuple(y.shape)} were given; (n, k) and (n,) are "
            "allowed, k outputs for each example."
        )
    if y.numel() and not 0 <= int(y.min()) <= int(y.max()) < outputs.shape[1]:
        raise InvalidShape(
            f"{by}: classes from {int(y.min())} to {int(y.max())} were given, and {outputs.shape[1]} outputs; classes "
            f"from 0 to {outputs.shape[1] - 1} are allowed. Give the network an output for every class to come."
        )


def each_loss(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the loss ``(n,)`` of each: cross-entropy for classes, the mean squared difference for numbers."""
    if not y.is_floating_point():
        check_classes(outputs, y, "loss")
        return F.cross_entropy(outputs, y.long(), reduction="none")
    if outputs.shape != y.shape:
        raise InvalidShape(
            f"loss: outputs {tuple(outputs.shape)} and targets {tuple(y.shape)} were given; the same shape is allowed."
        )
    return (outputs - y).square().flatten(1).mean(1) if y.dim() > 1 else (outputs - y).square()


def asymmetric(outputs: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy ``(b,)`` of outputs ``(b, k)`` among the classes that occur in ``y (b,)``."""
    there = torch.zeros(outputs.shape[-1], dtype=torch.bool, device=y.device).index_fill(0, y.long(), True)
    return F.cross_entropy(outputs.masked_fill(~there, -torch.inf), y.long(), reduction="none")


LOSSES: dict[str, Loss] = {"symmetric": each_loss, "asymmetric": asymmetric}


def matching(outputs: Tensor, logits: Tensor) -> Tensor:
    """Return the mean squared difference ``()`` of outputs ``(m, k)`` and those that were stored."""
    if outputs.shape != logits.shape:
        raise InvalidShape(
            f"loss: outputs {tuple(outputs.shape)} were given; {tuple(logits.shape)} is allowed, as the logits that "
            "are stored."
        )
    return F.mse_loss(outputs, logits.to(outputs.dtype))

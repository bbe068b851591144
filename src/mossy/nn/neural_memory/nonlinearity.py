"""φ between the two layers of a memory: learning needs its first derivative, training through that the second."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["NONLINEARITIES", "Nonlinearity"]

_gelu: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.gelu_backward.default
_silu: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.silu_backward.default


@final
@dataclass(frozen=True)
class Nonlinearity:
    """``φ(z) = f(z) − E[f(z)]`` over ``z`` of N(0, 1), so that unlike inputs have features that are near orthogonal.

    Parameters
    ----------
    f
        What it is called after.
    mean
        ``E[f(z)]``.
    gain
        ``1 / √E[φ(z)²]``.
    back
        ``g ∘ φ'(z)`` of ``(g, z)``.
    bend
        ``φ''(z)``; None where it is 0.
    """

    f: Callable[[Tensor], Tensor]
    mean: float
    gain: float
    back: Callable[[Tensor, Tensor], Tensor]
    bend: Callable[[Tensor], Tensor] | None

    def of(self, z: Tensor) -> Tensor:
        """Return ``φ(z)``."""
        return self.f(z).sub_(self.mean)


# torch's own kernels make one pass where the formulas make six; unlike functions, they cannot be pickled.
def _gelu_back(g: Tensor, z: Tensor) -> Tensor:
    return _gelu(g, z)


def _silu_back(g: Tensor, z: Tensor) -> Tensor:
    return _silu(g, z)


def _gelu_bend(z: Tensor) -> Tensor:
    square = z.square()
    return square.mul(-0.5).exp_().mul_(square.neg_().add_(2)).mul_(1 / math.sqrt(2 * math.pi))


def _silu_bend(z: Tensor) -> Tensor:
    s = z.sigmoid()
    return s * (1 - s) * (2 + z * (1 - 2 * s))


def _relu_back(g: Tensor, z: Tensor) -> Tensor:
    return g * (z > 0)


def _tanh_back(g: Tensor, z: Tensor) -> Tensor:
    return g * (1 - z.tanh().square())


def _tanh_bend(z: Tensor) -> Tensor:
    t = z.tanh()
    return -2 * t * (1 - t.square())


NONLINEARITIES: Final = {
    "gelu": Nonlinearity(F.gelu, 0.282095, 1.70093, _gelu_back, _gelu_bend),
    "relu": Nonlinearity(torch.relu, 0.398942, 1.71286, _relu_back, None),
    "silu": Nonlinearity(F.silu, 0.206621, 1.78719, _silu_back, _silu_bend),
    "tanh": Nonlinearity(torch.tanh, 0.0, 1.59254, _tanh_back, _tanh_bend),
}

"""φ between the two layers of a memory, each with the product of its derivative and what comes from above."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, final

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["NONLINEARITIES", "Nonlinearity"]

_gelu_backward: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.gelu_backward.default
_silu_backward: Callable[[Tensor, Tensor], Tensor] = torch.ops.aten.silu_backward.default


@final
@dataclass(frozen=True)
class Nonlinearity:
    """``φ(z)``, and ``g ∘ φ'(z)`` of ``(g, z)``, which can itself be differentiated."""

    of: Callable[[Tensor], Tensor]
    back: Callable[[Tensor, Tensor], Tensor]


def _relu_back(g: Tensor, z: Tensor) -> Tensor:
    return g * (z > 0)


def _tanh_back(g: Tensor, z: Tensor) -> Tensor:
    return g * (1 - z.tanh().square())


# torch's own kernels make one pass where the formula makes six.
NONLINEARITIES: Final = {
    "gelu": Nonlinearity(F.gelu, _gelu_backward),
    "relu": Nonlinearity(F.relu, _relu_back),
    "silu": Nonlinearity(F.silu, _silu_backward),
    "tanh": Nonlinearity(torch.tanh, _tanh_back),
}

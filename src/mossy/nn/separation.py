r"""Separations on tensors: the twins of :mod:`mossy.separation`, differentiable, on any device.

Each turns evidence ``e (..., n)`` into activities ``a (..., n)``. An entry ``-inf`` is an index neuron that isn't
there: its activity is 0. Where all are absent, all activities are 0, and so are their gradients. NaN in one row
touches no other.

Half precision is computed in float32 and handed back in the dtype that was given.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from mossy.nn.tensors import wide

__all__ = ["SEPARATIONS", "TorchSeparation", "entmax", "linear", "polynomial", "softmax", "sparsemax", "winner"]

TorchSeparation = Callable[[Tensor], Tensor]

POWER = 10.0  # of polynomial, as in the core


def softmax(evidence: Tensor) -> Tensor:
    """``a_i = exp(e_i) / Σ_j exp(e_j)``.

    The core silences neurons that together hold less than ``2^-24``; here they keep that activity.

    Ramsauer et al. (2021), Hopfield Networks is All You Need, arXiv:2008.02217, eq. 3.
    """
    e, absent = _there(evidence)
    return torch.softmax(e, -1).masked_fill(absent, 0.0).to(evidence.dtype)


def sparsemax(evidence: Tensor) -> Tensor:
    """``a_i = [e_i - τ]₊`` with ``Σ a = 1``; the support ``S`` by sorting, then ``τ = (Σ_S e - 1)/|S|``.

    Martins & Astudillo (2016), From Softmax to Sparsemax, arXiv:1602.02068, alg. 1.
    """
    e, absent = _there(evidence)
    e = e - e.detach().amax(-1, keepdim=True)
    with torch.no_grad():
        falling = e.clamp_min(-2.0).sort(-1, descending=True).values
        size = (1 + _places(falling) * falling > falling.cumsum(-1)).sum(-1, keepdim=True)
        support = e >= falling.gather(-1, (size - 1).clamp_min(0))  # NaN leaves none
    tau = (e.masked_fill(~support, 0.0).sum(-1, keepdim=True) - 1) / support.sum(-1, keepdim=True)
    return (e - tau).clamp_min(0.0).masked_fill(absent, 0.0).to(evidence.dtype)


def entmax(evidence: Tensor) -> Tensor:
    """``a_i = [e_i/2 - τ]₊²`` with ``Σ a = 1``: entmax with α = 1.5; the support by sorting.

    Over the support of size ``k``, ``τ = m - √((1 - v)/k)`` with the mean ``m`` of ``e/2`` and its sum of squared
    deviations ``v``.

    Peters, Niculae & Martins (2019), Sparse Sequence-to-Sequence Models, arXiv:1905.05702, alg. 2.
    """
    e, absent = _there(evidence)
    half = (e - e.detach().amax(-1, keepdim=True)) / 2
    with torch.no_grad():
        falling = half.clamp_min(-2.0).sort(-1, descending=True).values
        place = _places(falling)
        mean = falling.cumsum(-1) / place
        spread = (falling.square().cumsum(-1) - place * mean.square()).clamp_min(0.0)
        taus = mean - ((1 - spread).clamp_min(0.0) / place).sqrt()
        size = (taus <= falling).sum(-1, keepdim=True)
        support = half >= falling.gather(-1, (size - 1).clamp_min(0))  # NaN leaves none
        count = support.sum(-1, keepdim=True)
    mean = half.masked_fill(~support, 0.0).sum(-1, keepdim=True) / count
    spread = (half - mean).masked_fill(~support, 0.0).square().sum(-1, keepdim=True)
    least = torch.finfo(half.dtype).tiny  # rounding may leave less than nothing under the root
    tau = mean - ((1 - spread) / count).clamp_min(least).sqrt()
    return (half - tau).clamp_min(0.0).square().masked_fill(absent, 0.0).to(evidence.dtype)


def winner(evidence: Tensor) -> Tensor:
    """``a_i = 1`` for the greatest ``e_i`` (the first of equals), else 0. Its gradient is 0."""
    e, absent = _there(evidence.detach())
    first = e.argmax(-1, keepdim=True)
    one = 1 + 0 * e.gather(-1, first)  # or NaN, which wins over all
    return torch.zeros_like(e).scatter_(-1, first, one).masked_fill(absent, 0.0).to(evidence.dtype)


def polynomial(evidence: Tensor, power: float = POWER) -> Tensor:
    """``a_i = [e_i]₊ᵖ / Σ_j [e_j]₊ᵖ``; nothing is active where no evidence is above 0.

    Krotov & Hopfield (2016), Dense Associative Memory for Pattern Recognition, arXiv:1606.01164, eq. 4.
    """
    e = evidence.to(wide(evidence.dtype)).clamp_min(0.0)
    top = e.detach().amax(-1, keepdim=True)
    raised = (e / top.where(top > 0, 1.0)).pow(power)
    return (raised / raised.sum(-1, keepdim=True).where(top > 0, 1.0)).to(evidence.dtype)


def linear(evidence: Tensor) -> Tensor:
    """``a_i = e_i / Σ_j |e_j|``: no separation, as in the classical Hopfield network.

    Hopfield (1982), doi:10.1073/pnas.79.8.2554.
    """
    e = evidence.to(wide(evidence.dtype))
    e = e.masked_fill(e == -math.inf, 0.0)
    total = e.abs().sum(-1, keepdim=True)
    return (e / total.where(total > 0, 1.0)).to(evidence.dtype)


SEPARATIONS: dict[str, TorchSeparation] = {
    "linear": linear,
    "polynomial": polynomial,
    "softmax": softmax,
    "sparsemax": sparsemax,
    "entmax": entmax,
    "winner": winner,
}


def _there(evidence: Tensor) -> tuple[Tensor, Tensor]:
    """Return finite evidence, where the absent lie out of reach of every other, and which are absent."""
    e = evidence.to(wide(evidence.dtype))
    absent = e == -math.inf
    return e.masked_fill(absent, torch.finfo(e.dtype).min / 4), absent


def _places(falling: Tensor) -> Tensor:
    return torch.arange(1, falling.shape[-1] + 1, dtype=falling.dtype, device=falling.device)

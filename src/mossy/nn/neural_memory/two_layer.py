"""The memory of two layers, ``M(x) = W₂ᵀ φ(W₁ᵀ x) / √m`` with ``m`` hidden neurons."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.neural_memory.chunk import bounded, errors_in_turn, recalled, shrink
from mossy.nn.neural_memory.options import Options, Weights

__all__ = ["apply", "learn", "read", "start"]


def start(heads: int, d: int, hidden: int) -> list[Tensor]:
    """Return a memory that holds nothing: ``W₁`` at random, ``(h, d, m)``, so that ``W₁ᵀk`` is N(0, 1); ``W₂ = 0``."""
    return [torch.randn(heads, d, hidden), torch.zeros(heads, hidden, d)]


def apply(weights: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``M(q)``: ``(b, n, d)``."""
    first, second = weights
    return torch.bmm(options.nonlinearity.of(torch.bmm(queries, first)), second) * _scale(second)


def learn(
    weights: Weights, before: tuple[Weights, Weights], keys: Tensor, values: Tensor, rate: Tensor, options: Options
) -> tuple[Weights, Weights]:
    """Return the steps down the loss ``ℓ = ½‖M(k_t) − v_t‖²``, an outer product for each layer.

    With ``z = W₁ᵀk``, ``a = φ(z)`` and ``e = M(k) − v``::

        −θ ∇ℓ(W₂) = a c₂ᵀ,   c₂ = −θ e / √m
        −θ ∇ℓ(W₁) = k c₁ᵀ,   c₁ = φ'(z) ∘ W₂ c₂

    With a ``clip``, ``‖e‖`` at the chunk's start is at most that, ``θ`` is divided by ``max(1, ‖a‖²/m)``, and ``‖c₁‖``
    is at most ``θ`` times that.

    Parameters
    ----------
    weights
        ``W₁`` ``(b, d, m)`` and ``W₂`` ``(b, m, d)`` at the chunk's start.
    before
        ``(k, a)`` and ``(c₁, c₂)`` of the chunk's earlier tokens.
    keys, values, rate
        ``k``, ``v`` ``(b, n, d)`` and ``θ`` ``(b, n, 1)`` of the new tokens.
    options
        ``in_turn``: ``e_t`` takes into account what the chunk's earlier tokens changed in ``W₂``; features ``a`` are
        those of the chunk's start.

    Returns
    -------
    tuple
        ``(k, a)`` and ``(c₁, c₂)`` of the new tokens.
    """
    first, second = weights
    scale = _scale(second)
    before_inputs, before_changes = before
    drive = torch.bmm(keys, first)
    hidden = options.nonlinearity.of(drive)
    errors = bounded(torch.baddbmm(values, hidden, second, beta=-1, alpha=scale), options.clip)
    if options.clip is not None:
        rate = rate * shrink(hidden, 1 / scale).square()
    if options.in_turn:
        errors = errors_in_turn(errors, hidden, rate * scale**2, before_inputs[1], before_changes[1] * scale)
    outer = errors * (rate * -scale)
    inner = options.nonlinearity.back(torch.bmm(outer, second.mT), drive)
    if options.clip is not None:
        keys = keys * shrink(inner, rate * options.clip)  # shorter than inner, and only their product counts
    return (keys, hidden), (inner, outer)


def read(weights: Weights, inputs: Weights, changes: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``M_t(q_t)``, both layers with what the chunk's tokens up to ``t`` added: ``(b, n, d)``."""
    first, second = weights
    hidden = options.nonlinearity.of(torch.baddbmm(recalled(queries, inputs[0], changes[0]), queries, first))
    return torch.baddbmm(recalled(hidden, inputs[1], changes[1]), hidden, second) * _scale(second)


def _scale(second: Tensor) -> float:
    return float(second.shape[1] ** -0.5)

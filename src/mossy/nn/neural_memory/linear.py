"""The linear memory: one matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.neural_memory.chunk import bounded, errors_in_turn, recalled
from mossy.nn.neural_memory.options import Options, Weights

__all__ = ["apply", "learn", "read", "start"]


def start(heads: int, d: int, hidden: int) -> list[Tensor]:
    """Return a memory that holds nothing: zeros ``(h, d, d)``."""
    return [torch.zeros(heads, d, d)]


def apply(weights: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``Mᵀ q``: ``(b, n, d)``."""
    return torch.bmm(queries, weights[0])


def learn(
    weights: Weights, before: tuple[Weights, Weights], keys: Tensor, values: Tensor, rate: Tensor, options: Options
) -> tuple[Weights, Weights]:
    """Return the steps down the loss ``½‖Mᵀk_t − v_t‖²``: ``−θ_t ∇ℓ = k_t c_tᵀ`` with ``c_t = −θ_t e_t``.

    Parameters
    ----------
    weights
        ``M`` at the chunk's start, ``(b, d, d)``.
    before
        ``k`` and ``c`` of the chunk's earlier tokens, ``(b, p, d)``.
    keys, values, rate
        ``k``, ``v`` ``(b, n, d)`` and ``θ`` ``(b, n, 1)`` of the new tokens.
    options
        ``in_turn``: the error ``e_t`` is that of the memory just before token ``t``, not of the chunk's start.

    Returns
    -------
    tuple
        ``k`` and ``c`` of the new tokens.
    """
    errors = bounded(torch.baddbmm(values, keys, weights[0], beta=-1), options.clip)
    if options.in_turn:
        errors = errors_in_turn(errors, keys, rate, before[0][0], before[1][0])
    return (keys,), (-rate * errors,)


def read(weights: Weights, inputs: Weights, changes: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``M_tᵀ q_t`` with ``M_t = M + Σ_{i ≤ t} k_i c_iᵀ``: ``(b, n, d)``."""
    return torch.baddbmm(recalled(queries, inputs[0], changes[0]), queries, weights[0])

"""The linear memory: one matrix."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.neural_memory.chunk import (
    errors_in_turn,
    errors_in_turn_back,
    into,
    recalled,
    recalled_back,
    shrink,
    shrink_back,
    through,
)
from mossy.nn.neural_memory.network import Gradients, Learned, Network, Options, Weights, some

__all__ = ["LINEAR"]


def shapes(d: int, hidden: int) -> list[tuple[int, int]]:
    """Return the shape of its one layer."""
    return [(d, d)]


def start(heads: int, d: int, hidden: int) -> Weights:
    """Return a memory that holds nothing: 0."""
    return (None,)


def apply(weights: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``Mᵀ q``: ``(b, n, d)``."""
    found = through(queries, weights[0])
    return torch.zeros_like(queries) if found is None else found


def learn(
    weights: Weights, before: Learned | None, keys: Tensor, values: Tensor, rate: Tensor, options: Options
) -> tuple[Learned, Weights]:
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
        ``clip``: ``‖e‖`` at the chunk's start is at most that.

    Returns
    -------
    tuple
        ``k`` and ``c`` of the new tokens, and what ``learn_back`` needs: ``e``, and what was clipped, by what factor.
    """
    (matrix,) = weights
    errors = values.neg() if matrix is None else torch.baddbmm(values, keys, matrix, beta=-1)
    kept: Weights = ()
    if options.clip is not None:
        factor = shrink(errors, options.clip)
        kept = errors, factor
        errors = errors * factor
    if options.in_turn:
        errors = errors_in_turn(errors, keys, rate, *_earlier(before))
    return Learned((keys,), (errors * -rate,)), (errors, *kept)


def learn_back(
    weights: Weights,
    before: Learned | None,
    keys: Tensor,
    rate: Tensor,
    options: Options,
    learned: Learned,
    kept: Weights,
    d_inputs: Gradients,
    d_changes: Gradients,
    d_weights: Gradients,
) -> tuple[Tensor, Tensor, Tensor, Gradients, Gradients]:
    """Return ``d_keys``, ``d_values``, ``d_rate``, ``d_before`` as inputs and changes; add to ``d_weights``."""
    (matrix,) = weights
    errors, *clipped = some(kept)
    (d_keys,), (d_change,) = some(d_inputs), some(d_changes)
    d_rate = -(errors * d_change).sum(-1, keepdim=True)
    d_errors = d_change * -rate
    d_before: tuple[Gradients, Gradients] = [None], [None]
    if options.in_turn:
        d_errors, more, d_before[0][0], d_before[1][0] = errors_in_turn_back(
            d_errors, errors, keys, rate, *_earlier(before), d_keys
        )
        if more is not None:
            d_rate += more
    if options.clip is not None:
        raw, factor = clipped
        back = shrink_back((d_errors * raw).sum(-1, keepdim=True), factor, options.clip)
        d_errors = (d_errors * factor).addcmul_(back, raw)
    if matrix is not None:
        into(d_weights, 0, keys, d_errors)
        d_keys.baddbmm_(d_errors, matrix.mT)
    return d_keys, d_errors.neg_(), d_rate, *d_before


def read(weights: Weights, learned: Learned, queries: Tensor, options: Options) -> tuple[Tensor, Weights]:
    """Return ``M_tᵀ q_t`` with ``M_t = M + Σ_{i ≤ t} k_i c_iᵀ``, ``(b, n, d)``, and what ``read_back`` needs."""
    (keys,), (change,) = learned.inputs, some(learned.changes)
    found, overlap = recalled(through(queries, weights[0]), queries, keys, change)
    return found, (overlap,)


def read_back(
    weights: Weights,
    learned: Learned,
    queries: Tensor,
    options: Options,
    kept: Weights,
    d_found: Tensor,
    d_weights: Gradients,
) -> tuple[Tensor, Gradients, Gradients]:
    """Return ``d_queries`` and ``d_learned`` as inputs and changes; add to ``d_weights``."""
    (matrix,), (keys,), (change,), (overlap,) = weights, learned.inputs, some(learned.changes), some(kept)
    d_queries = None
    if matrix is not None:
        d_queries = torch.bmm(d_found, matrix.mT)
        into(d_weights, 0, queries, d_found)
    d_queries, d_keys, d_change = recalled_back(d_found, queries, keys, change, overlap, d_queries)
    return d_queries, [d_keys], [d_change]


def _earlier(before: Learned | None) -> tuple[Tensor | None, Tensor | None]:
    return (None, None) if before is None else (before.inputs[0], before.changes[0])


LINEAR = Network(shapes, start, apply, learn, learn_back, read, read_back)

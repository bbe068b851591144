"""The memory of two layers, ``M(x) = W₂ᵀ φ(W₁ᵀ x) / √m`` with ``m`` hidden neurons."""

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
)
from mossy.nn.neural_memory.network import Gradients, Learned, Network, Options, Weights

__all__ = ["TWO_LAYER"]


def shapes(d: int, hidden: int) -> list[tuple[int, int]]:
    """Return the shapes of ``W₁`` and ``W₂``."""
    return [(d, hidden), (hidden, d)]


def start(heads: int, d: int, hidden: int) -> list[Tensor]:
    """Return a memory that holds nothing: ``W₁`` at random, ``(h, d, m)``, so that ``W₁ᵀk`` is N(0, 1); ``W₂ = 0``."""
    return [torch.randn(heads, d, hidden), torch.zeros(heads, hidden, d)]


def apply(weights: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``M(q)``: ``(b, n, d)``."""
    first, second = weights
    return torch.bmm(options.nonlinearity.of(torch.bmm(queries, first)), second) * _scale(second)


def learn(
    weights: Weights, before: Learned, keys: Tensor, values: Tensor, rate: Tensor, options: Options
) -> tuple[Learned, Weights]:
    """Return the steps down the loss ``ℓ = ½‖M(k_t) − v_t‖²``, an outer product for each layer.

    With ``z = W₁ᵀk``, ``a = φ(z)`` and ``e = M(k) − v``::

        −θ ∇ℓ(W₂) = a c₂ᵀ,   c₂ = −θ e / √m
        −θ ∇ℓ(W₁) = k c₁ᵀ,   c₁ = φ'(z) ∘ W₂ c₂

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
        those of the chunk's start. ``clip``: ``‖e‖`` at the chunk's start is at most that, ``θ`` is divided by
        ``max(1, ‖a‖² / m)``, and ``‖c₁‖`` is at most ``θ`` times that.

    Returns
    -------
    tuple
        ``(k, a)`` and ``(c₁, c₂)`` of the new tokens, and what ``learn_back`` needs.
    """
    first, second = weights
    scale = _scale(second)
    drive = torch.bmm(keys, first)
    hidden = options.nonlinearity.of(drive)
    errors = torch.baddbmm(values, hidden, second, beta=-1, alpha=scale)
    kept: Weights = ()
    if options.clip is not None:
        factor, calm = shrink(errors, options.clip), shrink(hidden, 1 / scale)
        kept = errors, factor, calm
        errors, rate = errors * factor, rate * calm.square()
    if options.in_turn:
        step = rate * scale**2
        errors = errors_in_turn(errors, hidden, step, before.inputs[1], before.changes[1] * scale)
    outer = errors * (rate * -scale)
    sent = torch.bmm(outer, second.mT)
    inner = options.nonlinearity.back(sent, drive)
    if options.clip is not None:
        short = shrink(inner, _most(rate, options.clip))
        kept = *kept, short
        keys = keys * short  # which is less than to multiply inner; only their product counts
    return Learned((keys, hidden), (inner, outer)), (drive, sent, errors, *kept)


def learn_back(
    weights: Weights,
    before: Learned,
    keys: Tensor,
    rate: Tensor,
    options: Options,
    learned: Learned,
    kept: Weights,
    d_learned: Learned,
    d_weights: Gradients,
) -> tuple[Tensor, Tensor, Tensor, Gradients, Gradients]:
    """Return ``d_keys``, ``d_values``, ``d_rate``, ``d_before`` as inputs and changes; add to ``d_weights``."""
    first, second = weights
    scale = _scale(second)
    (d_keys, d_hidden), (d_inner, d_outer) = d_learned
    (_, hidden), (inner, outer) = learned
    drive, sent, errors, *clipped = kept
    bounded = rate
    d_rate = torch.zeros_like(rate)
    if options.clip is not None:
        raw, factor, calm, short = clipped
        bounded = rate * calm.square()
        most = _most(bounded, options.clip)
        d_short = (d_keys * keys).sum(-1, keepdim=True)
        d_inner.addcmul_(shrink_back(d_short, short, most), inner)
        d_rate += torch.where(short < 1, d_short * short * options.clip / most, 0)
        d_keys = d_keys * short
    d_sent = options.nonlinearity.back(d_inner, drive)
    d_outer.baddbmm_(d_sent, second)
    into(d_weights, 1, d_sent, outer)
    d_errors = d_outer * (bounded * -scale)
    d_rate.sub_((d_outer * errors).sum(-1, keepdim=True), alpha=scale)
    d_before: tuple[Gradients, Gradients] = [None, None], [None, None]
    if options.in_turn:
        d_errors, more, d_before[0][1], d_past = errors_in_turn_back(
            d_errors, errors, hidden, bounded * scale**2, before.inputs[1], before.changes[1] * scale, d_hidden
        )
        d_before[1][1] = None if d_past is None else d_past * scale
        if more is not None:
            d_rate.add_(more, alpha=scale**2)
    if options.clip is not None:
        d_errors = (d_errors * factor).addcmul_(
            shrink_back((d_errors * raw).sum(-1, keepdim=True), factor, options.clip), raw
        )
        d_hidden.addcmul_(shrink_back(2 * d_rate * rate * calm, calm, 1 / scale), hidden)
        d_rate = d_rate * calm.square()
    scaled = d_errors * scale
    d_hidden.baddbmm_(scaled, second.mT)
    into(d_weights, 1, hidden, scaled)
    d_drive = options.nonlinearity.back(d_hidden, drive)
    if options.nonlinearity.bend is not None:
        d_drive.addcmul_(options.nonlinearity.bend(drive).mul_(sent), d_inner)
    d_keys.baddbmm_(d_drive, first.mT)
    into(d_weights, 0, keys, d_drive)
    return d_keys, d_errors.neg_(), d_rate, *d_before


def read(weights: Weights, learned: Learned, queries: Tensor, options: Options) -> tuple[Tensor, Weights]:
    """Return ``M_t(q_t)``, both layers with what the chunk's tokens up to ``t`` added, and what ``read_back`` needs."""
    first, second = weights
    (keys, hidden), (inner, outer) = learned
    drive, by_keys = recalled(torch.bmm(queries, first), queries, keys, inner)
    features = options.nonlinearity.of(drive)
    found, by_features = recalled(torch.bmm(features, second), features, hidden, outer)
    return found.mul_(_scale(second)), (drive, features, by_keys, by_features)


def read_back(
    weights: Weights,
    learned: Learned,
    queries: Tensor,
    options: Options,
    kept: Weights,
    d_found: Tensor,
    d_weights: Gradients,
) -> tuple[Tensor, Learned]:
    """Return ``d_queries`` and ``d_learned``; add to ``d_weights``."""
    first, second = weights
    (keys, hidden), (inner, outer) = learned
    drive, features, by_keys, by_features = kept
    d_found = d_found * _scale(second)
    d_features = torch.bmm(d_found, second.mT)
    into(d_weights, 1, features, d_found)
    d_hidden, d_outer = recalled_back(d_found, features, hidden, outer, by_features, d_features)
    d_drive = options.nonlinearity.back(d_features, drive)
    d_queries = torch.bmm(d_drive, first.mT)
    into(d_weights, 0, queries, d_drive)
    d_keys, d_inner = recalled_back(d_drive, queries, keys, inner, by_keys, d_queries)
    return d_queries, Learned((d_keys, d_hidden), (d_inner, d_outer))


def _most(rate: Tensor, clip: float) -> Tensor:
    return (rate * clip).clamp(min=1e-12)  # above 0, so that a token that may not teach divides by no zero


def _scale(second: Tensor) -> float:
    return float(second.shape[1] ** -0.5)


TWO_LAYER = Network(shapes, start, apply, learn, learn_back, read, read_back)

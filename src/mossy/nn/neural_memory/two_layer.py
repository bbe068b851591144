"""The memory of two layers, ``M(x) = W₂ᵀ φ(W₁ᵀ x) · g/√m`` with ``m`` hidden neurons.

``g`` is such that features of a random first layer, with their factor, have norm 1: then ``θ = 1`` corrects an error
at one step, as it does in the linear memory.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.neural_memory.chunk import (
    errors_in_turn,
    errors_in_turn_back,
    gain,
    into,
    recalled,
    recalled_back,
    shrink,
    shrink_back,
    through,
)
from mossy.nn.neural_memory.network import Gradients, Learned, Network, Options, Weights, some

__all__ = ["TWO_LAYER"]


def shapes(d: int, hidden: int) -> list[tuple[int, int]]:
    """Return the shapes of ``W₁`` and ``W₂``."""
    return [(d, hidden), (hidden, d)]


def start(heads: int, d: int, hidden: int) -> Weights:
    """Return a memory that holds nothing: ``W₁`` at random, ``(h, d, m)``, so that ``W₁ᵀk`` is N(0, 1); ``W₂ = 0``."""
    return torch.randn(heads, d, hidden), None


def apply(weights: Weights, queries: Tensor, options: Options) -> Tensor:
    """Return ``M(q)``: ``(b, n, d)``."""
    first, second = _layers(weights)
    if second is None:
        return torch.zeros_like(queries)
    return torch.bmm(options.nonlinearity.of(torch.bmm(queries, first)), second) * _scale(first, options)


def learn(
    weights: Weights, before: Learned | None, keys: Tensor, values: Tensor, rate: Tensor, options: Options
) -> tuple[Learned, Weights]:
    """Return the steps down the loss ``ℓ = ½‖M(k_t) − v_t‖²``, an outer product for each layer.

    With ``z = W₁ᵀk``, ``a = φ(z)`` and ``e = M(k) − v``::

        −θ ∇ℓ(W₂) = a c₂ᵀ,   c₂ = −θ e g/√m
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
        ``max(1, ‖a‖² g²/m)``, and ``‖c₁‖`` is at most ``θ`` times that.

    Returns
    -------
    tuple
        ``(k, a)`` and ``(c₁, c₂)`` of the new tokens, and what ``learn_back`` needs.
    """
    first, second = _layers(weights)
    scale = _scale(first, options)
    drive = torch.bmm(keys, first)
    hidden = options.nonlinearity.of(drive)
    errors = values.neg() if second is None else torch.baddbmm(values, hidden, second, beta=-1, alpha=scale)
    kept: Weights = ()
    if options.clip is not None:
        factor, calm = shrink(errors, options.clip), shrink(hidden, 1 / scale)
        kept = errors, factor, calm
        errors, rate = errors * factor, rate * calm.square()
    if options.in_turn:
        earlier = _second(before, scale)
        errors = errors_in_turn(errors, hidden, rate * scale**2, *earlier)
    outer = errors * (rate * -scale)
    if second is None:
        return Learned((keys, hidden), (None, outer)), (drive, None, errors, *kept)
    sent = torch.bmm(outer, second.mT)
    inner = options.nonlinearity.back(sent, drive)
    if options.clip is not None:
        short = shrink(inner, _most(rate, options.clip))
        kept = *kept, short
        keys = keys * short  # which is less than to multiply inner; only their product counts
    return Learned((keys, hidden), (inner, outer)), (drive, sent, errors, *kept)


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
    first, second = _layers(weights)
    scale = _scale(first, options)
    d_inner, (d_outer,) = d_changes[0], some(d_changes[1:])
    inner, (outer,) = learned.changes[0], some(learned.changes[1:])
    hidden = learned.inputs[1]
    sent, (drive, errors, *clipped) = kept[1], some((kept[0], *kept[2:]))
    bounded, d_rate = rate, torch.zeros_like(rate)
    if options.clip is not None:
        raw, factor, calm, *short = clipped
        bounded = rate * calm.square()
    d_keys, d_hidden = d_inputs
    if second is not None and inner is not None and d_inner is not None and d_keys is not None:
        if options.clip is not None:
            most = _most(bounded, options.clip)
            d_short = (d_keys * keys).sum(-1, keepdim=True)
            d_inner.addcmul_(shrink_back(d_short, short[0], most), inner)
            d_rate += torch.where(short[0] < 1, d_short * short[0] * options.clip / most, 0)
            d_keys = d_keys * short[0]
        d_sent = options.nonlinearity.back(d_inner, drive)
        d_outer.baddbmm_(d_sent, second)
        into(d_weights, 1, d_sent, outer)
    d_errors = d_outer * (bounded * -scale)
    d_rate.sub_((d_outer * errors).sum(-1, keepdim=True), alpha=scale)
    d_before: tuple[Gradients, Gradients] = [None, None], [None, None]
    d_hidden = torch.zeros_like(hidden) if d_hidden is None else d_hidden
    if options.in_turn:
        d_errors, more, d_before[0][1], d_past = errors_in_turn_back(
            d_errors, errors, hidden, bounded * scale**2, *_second(before, scale), d_hidden
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
    if second is not None:
        scaled = d_errors * scale
        d_hidden.baddbmm_(scaled, second.mT)
        into(d_weights, 1, hidden, scaled)
    d_drive = options.nonlinearity.back(d_hidden, drive)
    if sent is not None and d_inner is not None and options.nonlinearity.bend is not None:
        d_drive.addcmul_(options.nonlinearity.bend(drive).mul_(sent), d_inner)
    into(d_weights, 0, keys, d_drive)
    return gain(d_keys, d_drive, first.mT), d_errors.neg_(), d_rate, *d_before


def read(weights: Weights, learned: Learned, queries: Tensor, options: Options) -> tuple[Tensor, Weights]:
    """Return ``M_t(q_t)``, both layers with what the chunk's tokens up to ``t`` added, and what ``read_back`` needs."""
    first, second = _layers(weights)
    keys, hidden = learned.inputs
    inner, (outer,) = learned.changes[0], some(learned.changes[1:])
    drive, by_keys = torch.bmm(queries, first), None
    if inner is not None:
        drive, by_keys = recalled(drive, queries, keys, inner)
    features = options.nonlinearity.of(drive)
    found, by_features = recalled(through(features, second), features, hidden, outer)
    return found.mul_(_scale(first, options)), (drive, features, by_features, by_keys)


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
    first, second = _layers(weights)
    keys, hidden = learned.inputs
    inner, (outer,) = learned.changes[0], some(learned.changes[1:])
    by_keys, (drive, features, by_features) = kept[3], some(kept[:3])
    d_found = d_found * _scale(first, options)
    d_features = None
    if second is not None:
        d_features = torch.bmm(d_found, second.mT)
        into(d_weights, 1, features, d_found)
    d_features, d_hidden, d_outer = recalled_back(d_found, features, hidden, outer, by_features, d_features)
    d_drive = options.nonlinearity.back(d_features, drive)
    d_queries = torch.bmm(d_drive, first.mT)
    into(d_weights, 0, queries, d_drive)
    d_keys, d_inner = None, None
    if inner is not None and by_keys is not None:
        d_queries, d_keys, d_inner = recalled_back(d_drive, queries, keys, inner, by_keys, d_queries)
    return d_queries, [d_keys, d_hidden], [d_inner, d_outer]


def _layers(weights: Weights) -> tuple[Tensor, Tensor | None]:
    (first,), second = some(weights[:1]), weights[1]
    return first, second


def _second(before: Learned | None, scale: float) -> tuple[Tensor | None, Tensor | None]:
    """Return what went into the second layer before, and what it added to the output."""
    if before is None:
        return None, None
    (outer,) = some(before.changes[1:])
    return before.inputs[1], outer * scale


def _most(rate: Tensor, clip: float) -> Tensor:
    return (rate * clip).clamp(min=1e-12)  # above 0, so that a token that may not teach divides by no zero


def _scale(first: Tensor, options: Options) -> float:
    return float(options.nonlinearity.gain * first.shape[2] ** -0.5)


TWO_LAYER = Network(shapes, start, apply, learn, learn_back, read, read_back)

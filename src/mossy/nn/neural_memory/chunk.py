"""What both memories share: tokens of one chunk as outer products that are not summed up before the chunk ends.

A function and its ``_back`` stand together; ``d_x`` is the gradient of the loss of the model with respect to ``x``.
None is 0.
"""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.neural_memory.network import Gradients

__all__ = [
    "errors_in_turn",
    "errors_in_turn_back",
    "gain",
    "into",
    "recalled",
    "recalled_back",
    "shrink",
    "shrink_back",
    "through",
]


def through(x: Tensor, weights: Tensor | None) -> Tensor | None:
    """Return what a layer makes of ``(b, n, i)``: ``(b, n, o)``."""
    return None if weights is None else torch.bmm(x, weights)


def gain(base: Tensor | None, left: Tensor, right: Tensor) -> Tensor:
    """Return ``base + left right``; ``base`` is overwritten."""
    return torch.bmm(left, right) if base is None else base.baddbmm_(left, right)


def into(sums: Gradients, layer: int, left: Tensor, right: Tensor) -> None:
    """Add ``leftᵀ right``, ``(b, i, o)`` from ``(b, n, i)`` and ``(b, n, o)``, to the gradient of one layer."""
    sums[layer] = gain(sums[layer], left.mT, right)


def recalled(base: Tensor | None, queries: Tensor, inputs: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
    """Return ``y_t = y⁰_t + Σ_{i ≤ t} (q_t · x_i) c_i``, and the products ``q_t · x_i``, 0 where ``i > t``.

    Parameters
    ----------
    base
        ``y⁰``, ``(b, n, o)``; it is overwritten.
    queries
        ``q`` of the last ``n`` of ``p`` tokens, ``(b, n, i)``.
    inputs, changes
        ``x`` and ``c`` of all, ``(b, p, i)`` and ``(b, p, o)``.
    """
    overlap = torch.bmm(queries, inputs.mT).tril_(inputs.shape[1] - queries.shape[1])
    return gain(base, overlap, changes), overlap


def recalled_back(
    d_found: Tensor, queries: Tensor, inputs: Tensor, changes: Tensor, overlap: Tensor, d_queries: Tensor | None
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``d_queries`` with what is added, ``d_inputs`` and ``d_changes``."""
    d_overlap = torch.bmm(d_found, changes.mT).tril_(inputs.shape[1] - queries.shape[1])
    return gain(d_queries, d_overlap, inputs), torch.bmm(d_overlap.mT, queries), torch.bmm(overlap.mT, d_found)


def errors_in_turn(
    errors: Tensor, inputs: Tensor, rate: Tensor, inputs_before: Tensor | None, changes_before: Tensor | None
) -> Tensor:
    """Return the errors that a layer makes just before each token, from those at the chunk's start.

    ``e_t = e⁰_t + Σ_{i < t} (x_t · x_i) c_i`` with ``c_i = −θ_i e_i`` is a triangular system of equations.

    Parameters
    ----------
    errors
        ``e⁰``, ``(b, n, o)``; it is overwritten.
    inputs
        ``x`` of the same tokens, ``(b, n, i)``.
    rate
        ``θ``, ``(b, n, 1)``.
    inputs_before, changes_before
        ``x`` and ``c`` of the tokens of the chunk that came before, ``(b, p, i)`` and ``(b, p, o)``.
    """
    if inputs_before is not None and changes_before is not None:
        errors.baddbmm_(torch.bmm(inputs, inputs_before.mT), changes_before)
    if inputs.shape[1] == 1:
        return errors
    found: Tensor = torch.linalg.solve_triangular(_system(inputs, rate), errors, upper=False, unitriangular=True)
    return found


def errors_in_turn_back(
    d_found: Tensor,
    found: Tensor,
    inputs: Tensor,
    rate: Tensor,
    inputs_before: Tensor | None,
    changes_before: Tensor | None,
    d_inputs: Tensor,
) -> tuple[Tensor, Tensor | None, Tensor | None, Tensor | None]:
    """Add to ``d_inputs``; return ``d_errors``, ``d_rate``, ``d_inputs_before`` and ``d_changes_before``."""
    d_errors, d_rate = d_found, None
    if inputs.shape[1] > 1:
        system = _system(inputs, rate)
        d_errors = torch.linalg.solve_triangular(system.mT, d_found, upper=True, unitriangular=True)
        d_system = torch.bmm(d_errors, found.mT).tril_(-1).neg_()
        back = torch.bmm(d_system.mT, inputs)
        d_rate = (back * inputs).sum(-1, keepdim=True)
        d_inputs.baddbmm_(d_system, inputs * rate).addcmul_(back, rate)
    if inputs_before is None or changes_before is None:
        return d_errors, d_rate, None, None
    overlap, d_overlap = torch.bmm(inputs, inputs_before.mT), torch.bmm(d_errors, changes_before.mT)
    d_inputs.baddbmm_(d_overlap, inputs_before)
    return d_errors, d_rate, torch.bmm(d_overlap.mT, inputs), torch.bmm(overlap.mT, d_errors)


def _system(inputs: Tensor, rate: Tensor) -> Tensor:
    """Return ``A[t, i] = (x_t · x_i) θ_i``, of which only what is below the diagonal is looked at."""
    return torch.bmm(inputs, (inputs * rate).mT)


def shrink(vectors: Tensor, most: Tensor | float) -> Tensor:
    """Return the factors ``(…, 1)`` that bring vectors ``(…, n)`` down to a length of ``most``, 1 for shorter ones."""
    length: Tensor = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return length.reciprocal_().mul_(most).clamp_(max=1)  # of a vector of zeros it is 1: most is above 0


def shrink_back(d_factor: Tensor, factor: Tensor, most: Tensor | float) -> Tensor:
    """Return ``u``, where ``d_vectors = u ∘ vectors``: ``∂f/∂x = −f³ x / most²`` where ``f < 1``."""
    slope = d_factor * factor.pow(3) / (most * most)
    found: Tensor = torch.where(factor < 1, -slope, 0.0)
    return found

"""What both memories share: tokens of one chunk as outer products that are never summed up before the chunk ends."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["bounded", "errors_in_turn", "recalled", "shrink"]


def recalled(queries: Tensor, inputs: Tensor, changes: Tensor) -> Tensor:
    """Return ``y_t = Σ_{i ≤ t} (q_t · x_i) c_i``: what the chunk's own tokens add to a layer's output.

    Parameters
    ----------
    queries
        ``q`` of the last ``n`` of ``p`` tokens, ``(b, n, i)``.
    inputs, changes
        ``x`` and ``c`` of all, ``(b, p, i)`` and ``(b, p, o)``.
    """
    past = inputs.shape[1] - queries.shape[1]
    return torch.bmm(torch.bmm(queries, inputs.mT).tril(past), changes)


def errors_in_turn(
    errors: Tensor, inputs: Tensor, rate: Tensor, inputs_before: Tensor, changes_before: Tensor
) -> Tensor:
    """Return the errors that a layer makes just before each token, from those at the chunk's start.

    ``e_t = e⁰_t + Σ_{i < t} (x_t · x_i) c_i`` with ``c_i = −θ_i e_i`` is a triangular system of equations.

    Parameters
    ----------
    errors
        ``e⁰``, ``(b, n, o)``.
    inputs
        ``x`` of the same tokens, ``(b, n, i)``.
    rate
        ``θ``, ``(b, n, 1)``.
    inputs_before, changes_before
        ``x`` and ``c`` of the tokens of the chunk that came before, ``(b, p, i)`` and ``(b, p, o)``.
    """
    if inputs_before.shape[1]:
        errors = torch.baddbmm(errors, torch.bmm(inputs, inputs_before.mT), changes_before)
    if inputs.shape[1] == 1:
        return errors
    overlap = torch.bmm(inputs, (inputs * rate).mT)
    found: Tensor = torch.linalg.solve_triangular(overlap, errors, upper=False, unitriangular=True)
    return found


def bounded(vectors: Tensor, most: float | None) -> Tensor:
    """Return vectors ``(…, n)``, those that are longer than ``most`` brought down to it; None for no bound."""
    return vectors if most is None else vectors * shrink(vectors, most)


def shrink(vectors: Tensor, most: Tensor | float) -> Tensor:
    """Return the factors ``(…, 1)`` that bring vectors ``(…, n)`` down to a length of ``most``, 1 for shorter ones."""
    length = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(length > most, most / length, 1.0)

"""Product keys: the best of n² keys found by looking at 2n, and the sum of the values that they stand for."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ["bag", "best_sums", "read_slots"]

DIGIT = 16  # bits sorted at once
MKL = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]  # sparse products are its

with warnings.catch_warnings():  # torch says once in a process that sparse rows are new
    warnings.simplefilter("ignore")
    torch.sparse_csr_tensor(torch.tensor([0, 0]), torch.tensor([], dtype=torch.long), torch.tensor([]), (1, 1))


def best_sums(terms: Tensor, k: int) -> tuple[Tensor, Tensor]:
    r"""Return where the ``k`` greatest of all sums ``terms_0i + terms_1j`` are, exactly.

    A sum is at least matched by every sum of terms that are no smaller. So if both are sorted, the sum of the ranks
    ``(i, j)``, counted from 1, is matched by ``i·j − 1`` others, and only those with ``i·j ≤ k`` need be looked at:
    for ``k = 32`` they are 119, of 1,024.

    Parameters
    ----------
    terms
        ``(2, ..., n)``.
    k
        From 1 to ``n²``.

    Returns
    -------
    tensors
        ``i (..., k)`` and ``j (..., k)``, the greatest sum first.

    References
    ----------
    Lample et al. (2019), Large memory layers with product keys, NeurIPS, arXiv:1907.05242, section 3.2, which looks at
    all ``k²``.
    """
    most = min(k, terms.shape[-1])
    ranked, at = terms.topk(most)
    i, j = _ranks(k, most, terms.device)
    best = (ranked[0].index_select(-1, i) + ranked[1].index_select(-1, j)).topk(k).indices
    return at[0].gather(-1, i[best]), at[1].gather(-1, j[best])


def _ranks(k: int, most: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the ranks, from 0, of the sums that can be among the ``k`` greatest."""
    pairs = [(i, j) for i in range(most) for j in range(min(most, k // (i + 1)))]
    return torch.tensor([i for i, _ in pairs], device=device), torch.tensor([j for _, j in pairs], device=device)


def read_slots(queries: Tensor, keys: Tensor, k: int) -> tuple[Tensor, Tensor]:
    r"""Return which slots answer each query of each head, and how strongly.

    .. math::  s_{ij} = q_1·c_i + q_2·c'_j, \qquad w = \text{softmax of the } k \text{ greatest } s_{ij}

    Slot ``i·n + j`` has the key ``(c_i, c'_j)``, which is nowhere stored. Gradients reach the queries and the sub-keys
    of what was chosen.

    Parameters
    ----------
    queries
        ``(t, 2·h, d_key)``: the first halves of the queries of ``h`` heads, then the second, for ``t`` inputs.
    keys
        ``(2, h, n, d_key)``: the sub-keys ``c`` and ``c'``.
    k
        From 1 to ``n²``.

    Returns
    -------
    tensors
        Slots ``(t, h·k)`` and weights ``(t, h·k)``; those of a head sum to 1.
    """
    both, heads, n, _ = keys.shape
    scores = torch.bmm(queries.transpose(0, 1), keys.flatten(0, 1).transpose(1, 2))
    scores = scores.view(both, heads, len(queries), n)
    i, j = best_sums(scores.detach(), k)  # what is chosen has no gradient
    weights = scores.gather(-1, torch.stack([i, j])).sum(0).softmax(-1)
    return _by_input(i * n + j), _by_input(weights)


def _by_input(each: Tensor) -> Tensor:
    """Return ``(h, t, k)`` as ``(t, h·k)``."""
    return each.transpose(0, 1).flatten(1)


def bag(slots: Tensor, weights: Tensor, values: Tensor) -> Tensor:
    """Return ``Σ_m weights_tm · values[slots_tm]``, ``(t, d)``, of slots and weights ``(t, m)``, values ``(slots, d)``.

    It is ``torch.nn.functional.embedding_bag``, with a faster gradient on the CPU.
    """
    plain = slots.device.type != "cpu" or values.dtype not in (torch.float32, torch.float64) or not slots.numel()
    if plain or not MKL or torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return F.embedding_bag(slots, values, per_sample_weights=weights, mode="sum")
    summed: Tensor = _Bag.apply(slots, weights, values)  # type: ignore[no-untyped-call]
    return summed


class _Bag(torch.autograd.Function):
    """``embedding_bag`` whose gradient gathers no values and sorts slots digit by digit; about three times as fast."""

    @staticmethod
    def forward(ctx: Any, slots: Tensor, weights: Tensor, values: Tensor) -> Tensor:
        ctx.save_for_backward(slots, weights, values)
        return F.embedding_bag(slots, values, per_sample_weights=weights, mode="sum")

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, Tensor | None, Tensor | None]:
        slots, weights, values = ctx.saved_tensors
        grad = grad.contiguous()
        of_weights = _weights_gradient(slots, grad, values) if ctx.needs_input_grad[1] else None
        of_values = _values_gradient(slots, weights, grad, len(values)) if ctx.needs_input_grad[2] else None
        return None, of_weights, of_values


def _weights_gradient(slots: Tensor, grad: Tensor, values: Tensor) -> Tensor:
    """Return ``grad_t · values[slots_tm]``, ``(t, m)``: the product of two matrices, where it is asked for."""
    t, m = slots.shape
    ends = torch.arange(0, t * m + 1, m)
    asked = torch.sparse_csr_tensor(
        ends, slots.flatten(), grad.new_zeros(t * m), (t, len(values)), check_invariants=False
    )
    products: Tensor = torch.sparse.sampled_addmm(asked, grad, values.t(), beta=0).values()
    return products.view(t, m)


def _values_gradient(slots: Tensor, weights: Tensor, grad: Tensor, n: int) -> Tensor:
    """Return ``Σ weights_tm · grad_t`` over all ``slots_tm = s``, ``(n, d)``: a bag of gradients for each slot."""
    flat = slots.flatten()
    order = torch.from_numpy(_order(flat.numpy(), n))
    counts = torch.bincount(flat, minlength=n)
    inputs = torch.div(order, slots.shape[1], rounding_mode="floor")
    return F.embedding_bag(
        inputs, grad, counts.cumsum(0) - counts, per_sample_weights=weights.flatten()[order], mode="sum"
    )


def _order(slots: np.ndarray[Any, np.dtype[np.int64]], n: int) -> np.ndarray[Any, np.dtype[np.intp]]:
    """Return the order that sorts slots below ``n``; NumPy sorts 16 bits by radix, torch compares."""
    order = np.argsort(slots.astype(np.uint16), kind="stable")
    for shift in range(DIGIT, max(n - 1, 1).bit_length(), DIGIT):
        order = order[np.argsort((slots[order] >> shift).astype(np.uint16), kind="stable")]
    return order

r"""Retrieval on tensors: read from stored patterns, and settle into them.

A state ``q`` reads from keys ``k`` and values ``v`` by similarity, separation and projection (Millidge et al. 2022,
arXiv:2202.04557):

.. math::  a = \mathrm{separation}(β\,\mathrm{sim}(q, k)), \qquad \mathrm{read}(q) = a\,v

and settles by reading the keys themselves, ``q ← a k``, which with softmax is the update rule of Ramsauer et al.
(2021), arXiv:2008.02217, eq. 3. With softmax each read is one call of torch's fused attention, which keeps no ``a``.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional as F

from mossy.nn.association.similarity import SIMILARITIES
from mossy.nn.separation import SEPARATIONS
from mossy.nn.tensors import wide, without_autocast

__all__ = ["LONGEST", "Beta", "Move", "activity", "read", "read_unprojected", "settle"]

LONGEST = 1000  # steps, when there is no other bound: a linear separation need not settle

Beta: TypeAlias = float | Tensor
Move: TypeAlias = Callable[[Tensor], Tensor]


def read(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    beta: Beta,
    separation: str = "softmax",
    mask: Tensor | None = None,
    dropout: float = 0.0,
    similarity: str = "dot",
    known: Tensor | None = None,
) -> Tensor:
    """Return ``separation(β sim(q, k)) v``, ``(b, h, l, d_v)``.

    Parameters
    ----------
    q
        States ``(b, h, l, d)``.
    k, v
        Keys ``(b, h, n, d)`` and values ``(b, h, n, d_v)``; a first axis of 1 is shared, and never copied.
    beta
        ``β``: a number, or a tensor that broadcasts with ``q``, such as ``(h, 1, 1)``.
    separation
        A name in :data:`mossy.nn.separation.SEPARATIONS`.
    mask
        What broadcasts to ``(b, h, l, n)``: booleans, True where a key may be read, or floats that are added to the
        evidence. A state that may read nothing reads 0.
    dropout
        The rate at which activities are dropped.
    similarity, known
        A name in :data:`mossy.nn.association.similarity.SIMILARITIES`, and which entries of the states count
        ``(b, 1, l, d)``, None where all do; the others must be 0.
    """
    if separation != "softmax":
        a = activity(q, k, beta, separation, mask, similarity, known)
        return F.dropout(a, dropout) @ v.to(a.dtype)
    dtype, width = q.dtype, v.shape[-1]
    q, k = SIMILARITIES[similarity](q, k, known)
    batch = max(len(q), len(k))
    q, k, v = (each.expand(batch, *each.shape[1:]) if len(each) != batch else each for each in (q, k, v))
    q, k, v = _as_wide(q, k, v.to(q.dtype))
    scale = beta if isinstance(beta, float) else 1.0
    q = q if isinstance(beta, float) else (q * beta).to(q.dtype)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(q.dtype)
    with nullcontext() if similarity == "dot" else without_autocast(q.device):
        out = F.scaled_dot_product_attention(q, k, v, mask, dropout, scale=scale)
    return out if out.dtype == dtype and out.shape[-1] == width else out[..., :width].to(dtype)


def _as_wide(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return them with zeros behind, so that all have one width, which fused attention asks for.

    Where widths differ more than twofold, the zeros would cost more than they save.
    """
    more = q.shape[-1] - v.shape[-1]
    if more == 0 or abs(more) > min(q.shape[-1], v.shape[-1]):
        return q, k, v
    return (q, k, F.pad(v, (0, more))) if more > 0 else (F.pad(q, (0, -more)), F.pad(k, (0, -more)), v)


def activity(
    q: Tensor,
    k: Tensor,
    beta: Beta,
    separation: str = "softmax",
    mask: Tensor | None = None,
    similarity: str = "dot",
    known: Tensor | None = None,
) -> Tensor:
    """Return ``separation(β sim(q, k))``, ``(b, h, l, n)``; parameters as in :func:`read`.

    Half precision is multiplied in float32: a product of 300 · 300 over 64 entries is beyond float16.
    """
    dtype = q.dtype
    with without_autocast(q.device):
        q, k = SIMILARITIES[similarity](q.to(wide(q.dtype)), k.to(wide(k.dtype)), known)
        evidence = (q * beta).to(q.dtype) @ k.to(q.dtype).transpose(-2, -1)
        if mask is not None:
            evidence = evidence.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else evidence + mask
        return SEPARATIONS[separation](evidence).to(dtype)


def settle(
    q: Tensor,
    move: Move,
    steps: int | None,
    eps: float,
    first: Move | None = None,
) -> Tensor:
    """Return where ``q (..., d)`` comes to rest under ``q ← move(q)``, each of its states by itself.

    A state rests as soon as a step moves it by at most ``eps`` of its length, or after ``steps`` steps (None: after
    :data:`LONGEST`). It then stays as it is, whatever the others in the batch do. On the CPU the steps end when all
    rest; on a device they are all taken, so that nothing waits for it, except where ``steps`` is None.

    The first step is ``first(q)``, where it is given. The gradient runs through every step.
    """
    most = LONGEST if steps is None else steps
    looks = steps is None or (q.device.type == "cpu" and not torch.compiler.is_compiling())
    moving: Tensor | None = None
    for step in range(1, most + 1):
        new = first(q) if step == 1 and first is not None else move(q)
        old, q = q, new if moving is None else torch.where(moving, new, q)
        if step == most or eps == 0:
            continue
        moved = _moved(old, q, eps)
        if looks and not bool(moved.any()):
            break
        if not looks or moving is not None or not bool(moved.all()):
            moving = moved  # what rests does not move, so it rests for good
    return q


@torch.no_grad()
def _moved(old: Tensor, new: Tensor, eps: float) -> Tensor:
    """Return which states moved by more than ``eps`` of their length, ``(..., 1)``."""
    dtype = wide(new.dtype)
    gap, length = (torch.linalg.vector_norm(each, dim=-1, keepdim=True, dtype=dtype) for each in (new - old, new))
    moved: Tensor = gap > eps * length
    return moved


def read_unprojected(
    q: Tensor,
    x: Tensor,
    y: Tensor,
    beta: Beta,
    key: Tensor,
    value: Tensor,
    bias: Tensor | None,
    mask: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    r"""Return ``softmax(β q kᵀ) v`` of keys ``k = key x + c`` and values ``v = value y + bias``, projecting neither.

    .. math::  q^⊤(W_k x_i + c) = (W_k^⊤ q)^⊤ x_i + q^⊤c, \qquad Σ_i a_i (W_v y_i + b) = W_v Σ_i a_i y_i + b

    The softmax does not see the constant. So a few states read from many patterns without a pass of the patterns
    through the weights; all heads read the same ``x``, as one set of ``h·l`` states.

    Parameters
    ----------
    q
        States ``(b, h, l, d)``.
    x, y
        Stored patterns ``(b, n, size)``; a first axis of 1 is shared.
    key, value, bias
        Weights ``(h, d, size)`` and ``(h, d_v, size)``, and ``(h, 1, d_v)`` or None.
    beta, mask, dropout
        As in :func:`read`.
    """
    b, h, l, _ = q.shape
    inward = ((q if isinstance(beta, float) else (q * beta).to(q.dtype)) @ key).reshape(b, 1, h * l, -1)
    everywhere: Tensor | None = None
    if mask is not None:
        everywhere = mask.expand(-1, h, l, -1).reshape(len(mask), 1, h * l, -1)
    scale = beta if isinstance(beta, float) else 1.0
    seen = read(inward, x[:, None], y[:, None], scale, "softmax", everywhere, dropout)
    out: Tensor = seen.reshape(-1, h, l, seen.shape[-1]) @ value.transpose(-2, -1)
    if bias is None:
        return out
    there: Tensor | float = 1.0
    if mask is not None:  # a state that may read nothing reads 0
        there = (mask if mask.dtype == torch.bool else mask > -torch.inf).any(-1, keepdim=True)
    total: Tensor = out + bias * there
    return total

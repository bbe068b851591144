r"""Similarities of states and keys, as dot products: of what the fused attention can compute.

Each turns states ``q (…, l, d)`` and keys ``k (…, n, d)`` into others whose dot products are the similarity, up to a
constant of each state. ``known`` says which entries of the states count; the others are 0 in ``q``. The core divides
by the scale ``σ²`` of its keys (``mossy.similarity``), this does not: its ``β`` is ``β/σ²`` here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from mossy.nn.tensors import wide

__all__ = ["SIMILARITIES", "dot", "euclidean"]


def dot(q: Tensor, k: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """``sim = Σ_known q_j k_j``: longer keys win."""
    return q, k


def euclidean(q: Tensor, k: Tensor, known: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""``sim = -½ Σ_known (q_j - k_j)²``: the nearest key wins.

    .. math::  -\tfrac12 ‖q - k‖^2 = [q, 1] · [k, -\tfrac12 ‖k‖^2] + c(q), \qquad
               -\tfrac12 Σ_{j\,known} (q_j - k_j)^2 = [q, known] · [k, -\tfrac12 k^2] + c(q)

    Half precision becomes float32, where squares do not overflow.
    """
    q, k = q.to(wide(q.dtype)), k.to(wide(k.dtype))
    half = -0.5 * k.square()
    if known is None:
        return F.pad(q, (0, 1), value=1.0), torch.cat([k, half.sum(-1, keepdim=True)], -1)
    return torch.cat([q, known.to(q.dtype).expand(q.shape)], -1), torch.cat([k, half], -1)


SIMILARITIES: dict[str, Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]] = {
    "dot": dot,
    "euclidean": euclidean,
}

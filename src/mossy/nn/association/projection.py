r"""From patterns into the association space: layer norms and projections, each computed once.

A layer norm with gain ``γ`` and offset ``β`` before a projection ``W, b`` is one without them before another one:

.. math::  W(γ ∘ \hat x + β) + b = (W γ)\,\hat x + (W β + b)

So roles that read the same tensor share its normalised ``x̂`` and one matrix product, whatever their gains.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.nn.tensors import wide

__all__ = ["Projection", "absorbed", "normalise", "project"]


@dataclass(frozen=True)
class Projection:
    """What turns the patterns of one role into the association space.

    Attributes
    ----------
    weight, bias
        ``W (h·d, size)`` and ``b (h·d,)``, each None where there is none; without ``W`` the patterns are taken as they
        are, by every head.
    norm
        The layer norm before it, or None.
    """

    weight: Tensor | None
    bias: Tensor | None
    norm: nn.LayerNorm | None

    def __call__(self, x: Tensor) -> Tensor:
        """Return the projected patterns ``(b, n, h·d)`` of ``x (b, n, size)``."""
        x = x if self.norm is None else self.norm(x)
        return x if self.weight is None else F.linear(x, self.weight, self.bias)

    def masked(self, x: Tensor, known: Tensor) -> Tensor:
        """Return the same of the known entries alone; the norm is over them, and what is unknown counts for nothing."""
        x, dtype = torch.where(known, x, 0.0), x.dtype
        if self.norm is not None:
            x = x.to(wide(dtype))  # squares overflow in float16
            count = known.sum(-1, keepdim=True)
            centred = torch.where(known, x - x.sum(-1, keepdim=True) / count, 0.0)
            x = centred * torch.rsqrt(centred.square().sum(-1, keepdim=True) / count + self.norm.eps)
            if self.norm.elementwise_affine:
                x = torch.where(known, x * self.norm.weight + self.norm.bias, 0.0)
        return replace(self, norm=None)(x.to(dtype))


def normalise(x: Tensor, norm: nn.LayerNorm | None) -> Tensor:
    """Return ``x̂``: ``x`` without mean and with deviation 1, where there is a norm."""
    return x if norm is None else F.layer_norm(x, norm.normalized_shape, eps=norm.eps)


def absorbed(role: Projection, weight: Tensor) -> tuple[Tensor, Tensor | None]:
    """Return the weight and the bias that do to ``x̂`` what gain, offset and the projection ``weight`` do."""
    norm = role.norm
    if norm is None or not norm.elementwise_affine:
        return weight, role.bias
    return weight * norm.weight, F.linear(norm.bias, weight, role.bias)


def project(x: Tensor, roles: list[Projection]) -> list[Tensor]:
    """Return what each role makes of the same patterns ``x (b, n, size)``, with one norm and one product if it can.

    Few patterns are projected role by role: changing the weights would cost more than it saves.
    """
    weights = [role.weight for role in roles if role.weight is not None]
    few = x.shape[0] * x.shape[1] < sum(len(weight) for weight in weights)
    if few or len(roles) == 1 or len(weights) < len(roles) or len({_kind(role) for role in roles}) > 1:
        return [role(x) for role in roles]
    pairs = [absorbed(role, weight) for role, weight in zip(roles, weights, strict=True)]
    biases = [bias for _, bias in pairs if bias is not None]
    weight, bias = torch.cat([weight for weight, _ in pairs]), torch.cat(biases) if biases else None
    made = F.linear(normalise(x, roles[0].norm), weight, bias)
    return list(torch.split(made, [len(each) for each in weights], -1))


def _kind(role: Projection) -> tuple[float, bool, bool]:
    """Return what roles must have in common to share a norm and a product."""
    norm = role.norm
    return (0.0, False, role.bias is None) if norm is None else (norm.eps, norm.elementwise_affine, role.bias is None)

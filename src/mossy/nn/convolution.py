"""A causal convolution of each channel, for pieces of a stream: what a token is made of comes from the last few."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["convolved"]


def convolved(x: Tensor, kernel: Tensor, tail: Tensor, count: Tensor | None = None) -> tuple[Tensor, Tensor]:
    r"""Return a convolution over the last ``w`` tokens, and the inputs that the next piece needs.

    .. math::  y_t = \sum_{j=0}^{w-1} κ_j \odot x_{t - w + 1 + j}

    Parameters
    ----------
    x
        ``(b, s, channels)``.
    kernel
        ``κ (w, channels)``; the last row weighs the present.
    tail
        The ``w − 1`` inputs before, ``(b, w − 1, channels)``; zeros at the beginning.
    count
        How many of the tokens are real, ``(b,)``, if the last ones are padding. None for all.

    Returns
    -------
    y, tail
        ``(b, s, channels)``, and the last ``w − 1`` inputs, which share no storage with ``x``.
    """
    s, before = x.shape[1], len(kernel) - 1
    whole = torch.cat([tail, x], 1)
    y = x * kernel[-1]
    for j in range(before):
        y = torch.addcmul(y, whole[:, j : j + s], kernel[j])
    if count is None:
        return y, whole[:, s:].clone()
    last = count[:, None] + torch.arange(before, device=x.device)
    return y, whole.take_along_dim(last[..., None], 1)

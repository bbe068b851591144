r"""Fast weights token by token: the equation as it stands, for streams and as the measure of the chunked form."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.fast_weights.checks import Work, prepared
from mossy.nn.fast_weights.fading import Modes
from mossy.nn.fast_weights.rules import Rule
from mossy.nn.tensors import without_autocast

__all__ = ["advance", "recurrent"]


def recurrent(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    rule: str | Rule = "gated_delta",
    beta: Tensor | None = None,
    log_decay: Tensor | None = None,
    modes: Modes | None = None,
    state: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Read and write one token after another; parameters, result and errors are those of ``chunked``."""
    work = prepared(q, k, v, rule, beta, log_decay, modes, state)
    with without_autocast(q.device):
        state, read = work.state, []
        for t in range(q.shape[2]):
            one, state = advance(work, t, state)
            read.append(one)
        return torch.stack(read, 2).to(v.dtype), state


def advance(work: Work, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return ``o_t (b, h, dv)`` and the state after the token ``t``.

    .. math::  S_t = α_t S_{t-1} + β_t\,(v_t - [\text{corrects}]\; α_t S_{t-1} k_t)\,k_t^\top, \qquad o_t = S_t q_t
    """
    now = (slice(None), slice(None), t) if work.modes is None else (slice(None), slice(None), t, None)
    q, k, v = work.q[now], work.k[now], work.v[now]
    if work.log_decay is not None:
        decay = work.log_decay[now] if work.modes is None else work.log_decay[now] * work.modes.rates
        state = state * torch.exp(decay)[..., None, None]
    if work.rule.corrects:
        v = v - (state @ k[..., None])[..., 0]
    if work.beta is not None:
        v = work.beta[now][..., None] * v
    state = state + v[..., None] * k[..., None, :]
    read = (state @ q[..., None])[..., 0]
    return (read, state) if work.modes is None else ((work.modes.readout[:, None] * read).sum(2), state)

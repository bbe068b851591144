r"""Fast weights token by token: the equation as it stands, for streams and as the measure of the chunked form."""

from __future__ import annotations

import torch
from torch import Tensor

from mossy.nn.fast_weights.checks import Work, precisely, prepared
from mossy.nn.fast_weights.fading import Modes
from mossy.nn.fast_weights.rules import Rule

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
    with precisely(q.device):
        state, read = work.state, []
        for t in range(q.shape[2]):
            one, state = advance(work, t, state)
            read.append(one)
        return torch.stack(read, 2).to(v.dtype), work.returned(state)


def advance(work: Work, t: int, state: Tensor) -> tuple[Tensor, Tensor]:
    r"""Return ``o_t (b, h, dv)`` and the state after the token ``t``, ``(b, h, m, dv, dk)``.

    .. math::  S_t = α_t S_{t-1} + β_t\,(v_t - [\text{corrects}]\; α_t S_{t-1} k_t)\,k_t^\top, \qquad o_t = S_t q_t
    """
    q, k, v = work.q[:, :, t], work.k[:, :, t], work.v[:, :, t]
    if work.log_decay is not None:
        state = state * _fall(work.log_decay[:, :, t], work.modes)
    if work.rule.corrects:
        v = v - torch.einsum("bhmvk,bhk->bhv", state, k)
    if work.beta is not None:
        v = work.beta[:, :, t, None] * v
    state = state + (v[..., None] * k[..., None, :])[:, :, None]
    if work.modes is None:
        return torch.einsum("bhmvk,bhk->bhv", state, q), state
    return torch.einsum("m,bhmvk,bhk->bhv", work.modes.readout, state, q), state


def _fall(log_decay: Tensor, modes: Modes | None) -> Tensor:
    rates = 1 if modes is None else modes.rates
    return torch.exp(log_decay[..., None] * rates)[..., None, None]

r"""Fast weights in parallel within chunks of ``c`` tokens: large products instead of a loop over tokens.

Within a chunk let ``F_i`` be the sum of ``ln α`` up to and with token ``i``, ``D_ij`` that of the tokens after ``j``
up to ``i``, and ``S`` the state before the chunk. A rule that does not correct writes ``u_j = β_j v_j``; one that
corrects writes what solves a triangular system (the UT transform):

.. math::  (I + A)\,U = \operatorname{diag}(β)\,(V - \operatorname{diag}(e^F) K S^\top), \qquad
           A_{ij} = [i > j]\; β_i\, e^{D_{ij}}\, k_i^\top k_j .

Then reading and the state after the chunk are

.. math::  o_i = e^{F_i} S q_i + \sum_{j \le i} e^{D_{ij}} (q_i^\top k_j)\, u_j, \qquad
           S' = e^{F_c} S + \sum_j e^{D_{cj}} u_j k_j^\top .

With a law of ``m`` modes ``e^{D}`` within the chunk is ``Σ_m c_m e^{λ_m D}``, and each mode has its own ``S``. All
exponents are sums of ``ln α ≤ 0``, never differences, so nothing overflows and an ``α`` of exactly 0 is allowed.

Sources: Yang et al. (2024), arXiv:2406.06484, sections 3.2–3.3; with gates: Yang, Kautz & Hatamizadeh (2024),
arXiv:2412.06464, section 3.3. Solving for ``U`` directly, chunk after chunk, needs no ``W = T K`` as theirs does.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

from mossy.arrays import check_integer
from mossy.nn.fast_weights.checks import Work, prepared
from mossy.nn.fast_weights.fading import Modes
from mossy.nn.fast_weights.recurrent import advance
from mossy.nn.fast_weights.rules import Rule
from mossy.nn.tensors import without_autocast

__all__ = ["chunked"]


def chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    rule: str | Rule = "gated_delta",
    beta: Tensor | None = None,
    log_decay: Tensor | None = None,
    modes: Modes | None = None,
    state: Tensor | None = None,
    chunk: int = 32,
) -> tuple[Tensor, Tensor]:
    """Read and write a sequence; the result is that of ``recurrent`` for every ``chunk``.

    Parameters
    ----------
    q, k
        Queries and keys ``(b, h, s, dk)``: batch, heads, tokens, entries. Floats of any precision; half precision is
        computed in float32. The delta rules want keys of length 1 and ``β`` in 0 to 2: beyond, errors grow.
    v
        Values ``(b, h, s, dv)``.
    rule
        A name in ``RULES`` or a ``Rule``.
    beta
        ``β (b, h, s)``: how much of each token is written; None for 1. A token with 0 writes nothing.
    log_decay
        ``ln α (b, h, s)``, at most 0, for a rule that fades; None for 0. With ``modes`` it is minus the time that
        passes before each token, in tokens; None for −1. Both may be ``(1, 1, s)`` for all alike.
    modes
        Those of a strength law, from ``modes_of``: for rules that do not correct.
    state
        What an earlier call returned, to go on from; None for zeros.
    chunk
        ``c``, at least 1: tokens that are computed at once. It changes speed and memory, not the result.

    Returns
    -------
    o, state
        What was read, ``(b, h, s, dv)``, in the dtype of ``v``; the state after the last token, ``(b, h, dv, dk)``,
        with modes ``(b, h, m, dv, dk)``, in float32, or float64 if ``q`` is.

    Raises
    ------
    InvalidDtype, InvalidShape, InvalidInput, InvalidParameter, EmptyBatch, UnknownName
    """
    chunk = check_integer(chunk, "chunk", 1)
    work = prepared(q, k, v, rule, beta, log_decay, modes, state)
    s = q.shape[2]
    with without_autocast(q.device):
        if s == 1:
            one, after = advance(work, 0, work.state)
            return one[:, :, None].to(v.dtype), after
        if work.rule.corrects:
            read, after = _corrected(work, min(chunk, s))
        else:
            read, after = _added(work, min(chunk, s))
        return read[:, :, :s].to(v.dtype), after


def _corrected(work: Work, c: int) -> tuple[Tensor, Tensor]:
    b, h, s, dv = work.v.shape
    beta = work.k.new_ones(1, 1, s) if work.beta is None else work.beta
    q, k, v, beta = (_flat(_cut(part, c), b * h) for part in (work.q, work.k, work.v, beta.expand(b, h, s)))
    similar, seen = (k * beta[..., None]) @ k.mT, q @ k.mT
    early = late = whole = None
    if work.log_decay is None:
        seen = seen.tril()
    else:
        decay = _flat(_cut(work.log_decay.expand(b, h, s), c), b * h)
        left = _left(decay)
        similar, seen = similar * left, seen * left.tril()
        early, late = torch.exp(decay.cumsum(-1)), left[..., -1, :]
        whole = early[..., -1, None, None].unbind(1)
    # The solver reads only what lies below the diagonal of ``similar``, and takes the diagonal for ones.
    solved = torch.linalg.solve_triangular(similar, torch.diag_embed(beta), upper=False, unitriangular=True)
    asked, written = (k, k) if early is None or late is None else (k * early[..., None], k * late[..., None])
    state, states, updates = work.state.reshape(b * h, dv, -1), [], []
    parts = zip(v.unbind(1), asked.unbind(1), written.unbind(1), solved.unbind(1), strict=True)
    for i, (value, ask, write, solve) in enumerate(parts):
        update = solve @ torch.baddbmm(value, ask, state.mT, alpha=-1)
        states.append(state)
        updates.append(update)
        state = torch.baddbmm(state if whole is None else state * whole[i], update.mT, write)
    read = (q if early is None else q * early[..., None]) @ torch.stack(states, 1).mT
    read = read + seen @ torch.stack(updates, 1)
    return read.reshape(b, h, -1, dv), state.reshape(work.state.shape)


def _added(work: Work, c: int) -> tuple[Tensor, Tensor]:
    b, h, s, dv = work.v.shape
    q, k, v = (_cut(part, c) for part in (work.q, work.k, work.v))
    if work.beta is not None:
        v = v * _cut(work.beta, c)[..., None]
    decay = q.new_zeros(1, 1, s) if work.log_decay is None else work.log_decay
    decay = _cut(decay, c)
    modes = Modes(q.new_ones(1), q.new_ones(1)) if work.modes is None else work.modes
    m = len(modes.rates)
    falls = decay[..., None, :] * modes.rates[:, None]  # (…, n, m, c)
    left, early = _left(falls), torch.exp(falls.cumsum(-1))
    inside = (modes.readout[:, None, None] * left).sum(-3).tril()
    read = ((q @ k.mT) * inside) @ v
    # What each chunk adds to each mode, and then the state of each mode before each chunk.
    added = (v[..., None, :, :] * left[..., -1, :, None]).mT @ k[..., None, :, :]
    whole = early[..., -1, None, None].expand(-1, -1, -1, m, -1, -1)
    state, states = work.state if work.modes is not None else work.state[:, :, None], []
    for more, fall in zip(added.unbind(2), whole.unbind(2), strict=True):
        states.append(state)
        state = state * fall + more
    asked = q[..., None, :, :] * (modes.readout[:, None] * early)[..., None]
    read = read + (asked @ torch.stack(states, 2).mT).sum(-3)
    return read.reshape(b, h, -1, dv), state if work.modes is not None else state[:, :, 0]


def _cut(part: Tensor, c: int) -> Tensor:
    """Return ``(b, h, s, …)`` as chunks ``(b, h, n, c, …)``; tokens of zeros, which change nothing, fill the last."""
    short = -part.shape[2] % c
    if short:
        part = pad(part, [0, 0] * (part.dim() - 3) + [0, short])
    return part.reshape(*part.shape[:2], -1, c, *part.shape[3:])


def _flat(part: Tensor, batch: int) -> Tensor:
    return part.reshape(batch, *part.shape[2:])


def _left(falls: Tensor) -> Tensor:
    """Return ``exp(D) (…, c, c)`` of ``falls (…, c)``: what is left at ``i`` of what was written at ``j``; 1 above."""
    return torch.exp(falls[..., :, None].expand(*falls.shape, falls.shape[-1]).tril(-1).cumsum(-2))

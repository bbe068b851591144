"""What the functions of fast weights take: checked once, and brought to the dtype in which they are computed."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import final

import torch
from torch import Tensor

from mossy.errors import EmptyBatch, InvalidInput, InvalidParameter
from mossy.nn.fast_weights.fading import Modes
from mossy.nn.fast_weights.rules import Rule, as_rule
from mossy.nn.tensors import check_fits, check_floating, check_shape

__all__ = ["Work", "precisely", "prepared", "work_dtype"]


@final
@dataclass(frozen=True)
class Work:
    """Checked tensors of one call.

    ``q, k (b, h, s, dk)``, ``v (b, h, s, dv)``, ``beta`` and ``log_decay (b, h, s)`` or ``(1, 1, s)``, and the state
    ``(b, h, dv, dk)``, with modes ``(b, h, m, dv, dk)``.
    """

    rule: Rule
    q: Tensor
    k: Tensor
    v: Tensor
    beta: Tensor | None
    log_decay: Tensor | None
    modes: Modes | None
    state: Tensor


def work_dtype(dtype: torch.dtype) -> torch.dtype:
    """Return the dtype of sums and states: half precision adds up in float32."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def precisely(device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which autocast leaves dtypes alone: sums over many tokens would lose what it takes away."""
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()


def prepared(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    rule: str | Rule,
    beta: Tensor | None,
    log_decay: Tensor | None,
    modes: Modes | None,
    state: Tensor | None,
) -> Work:
    """Check what was given.

    Raises
    ------
    InvalidDtype, InvalidShape, InvalidInput, InvalidParameter, EmptyBatch, UnknownName
    """
    rule = as_rule(rule)
    check_shape(check_floating(q, "q"), "q", ("b", "h", "s", "dk"))
    b, h, s, dk = q.shape
    if 0 in q.shape:
        raise EmptyBatch(f"q: shape {tuple(q.shape)} was given; at least one token, head and entry is needed.")
    check_fits(check_shape(check_floating(k, "k"), "k", (b, h, s, dk)), "k", q, "q")
    check_fits(check_shape(check_floating(v, "v"), "v", (b, h, s, "dv")), "v", q, "q")
    for given, name in ((beta, "beta"), (log_decay, "log_decay")):
        if given is not None:
            check_fits(check_shape(check_floating(given, name), name, (b, h, s), (1, 1, s)), name, q, "q")
    if modes is not None and rule.corrects:
        raise InvalidParameter(
            f"modes: those of a law were given with the rule {rule.name!r}; only what additive rules write can fade on "
            "its own. Use rule='linear' with a law, or no law."
        )
    if log_decay is not None and not rule.fades and modes is None:
        raise InvalidParameter(
            f"log_decay: it was given with the rule {rule.name!r}, which does not fade. Use rule='gated_{rule.name}', "
            "or give no log_decay."
        )
    dtype = work_dtype(q.dtype)
    if modes is not None:
        modes = Modes(*(part.to(q.device, dtype) for part in modes))
        if log_decay is None:
            log_decay = q.new_full((1, 1, s), -1.0)
    m = () if modes is None else (len(modes.rates),)
    if state is None:
        state = torch.zeros((b, h, *m, v.shape[3], dk), dtype=dtype, device=q.device)
    else:
        check_shape(check_floating(state, "state"), "state", (b, h, *m, v.shape[3], dk))
        if state.device != q.device:
            raise InvalidInput(f"state: it is on {state.device}, q is on {q.device}. Move one of them with .to().")
    return Work(
        rule,
        q.to(dtype),
        k.to(dtype),
        v.to(dtype),
        None if beta is None else beta.to(dtype),
        None if log_decay is None else log_decay.to(dtype),
        modes,
        state.to(dtype),
    )

"""What the functions of fast weights take: checked once, and brought to the dtype in which they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar, final

import torch
from torch import Tensor

from mossy.errors import EmptyBatch, InvalidDtype, InvalidInput, InvalidParameter, InvalidShape
from mossy.nn.fast_weights.fading import Modes
from mossy.nn.fast_weights.rules import Rule, as_rule
from mossy.nn.tensors import check_fits, check_floating, check_shape, wide

__all__ = ["Work", "check_state", "prepared"]

State = TypeVar("State", bound=NamedTuple)


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


def check_state(given: object, kind: type[State], shapes: Sequence[tuple[int, ...]], x: Tensor, owner: str) -> State:
    """Return a state if it is of this ``kind``, has these shapes, and is where ``x`` is.

    Raises
    ------
    InvalidDtype, InvalidShape, InvalidInput
    """
    if not isinstance(given, kind):
        raise InvalidDtype(
            f"state: {type(given).__name__} was given; the {kind.__name__} that this {owner} returned is allowed."
        )
    for part, name, shape in zip(given, kind._fields, shapes, strict=True):
        if check_floating(part, f"state.{name}").shape != shape:
            raise InvalidShape(
                f"state.{name}: shape {tuple(part.shape)} was given; {shape} is allowed. A state goes with the "
                f"{owner} that returned it, and with the same number of sequences."
            )
        if part.device != x.device:
            raise InvalidInput(f"state.{name}: it is on {part.device}, x is on {x.device}. Move one with .to().")
    return given


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
    dtype = wide(q.dtype)
    if modes is not None:
        _check_modes(modes)
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


def _check_modes(given: object) -> None:
    if not isinstance(given, Modes):
        raise InvalidDtype(f"modes: {type(given).__name__} was given; Modes, as modes_of() makes them, is allowed.")
    rates = check_shape(check_floating(given.rates, "modes.rates"), "modes.rates", ("m",))
    check_shape(check_floating(given.readout, "modes.readout"), "modes.readout", tuple(rates.shape))

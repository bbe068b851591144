r"""The law of what is written in a ``LongTermMemory``: where it goes, how strong it is, and how it is forgotten.

A strength has one mode, in units of memories stored. With the amount ``a`` that it had at the time ``t`` of its last
excitation, and the clock ``c`` (how many were stored so far):

.. math::  \ln s = \ln a + (t - c) / \text{fading}

Strengths are compared as logarithms: a weak one is never 0, which is what a free place has.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from mossy.nn.tensors import wide

__all__ = ["Written", "cosines", "excited", "forgotten", "log_strength", "nothing", "occupied", "reach", "stored"]


class Written(NamedTuple):
    """What is written in ``room`` places at one moment. It is never changed: what writes returns another.

    Attributes
    ----------
    keys, contents
        ``(room, d)`` and ``(room, d_value)``: 0 where nothing is written.
    log_amounts
        ``ln a (room,)``, float32: −inf where nothing is written.
    times
        ``t (room,)``.
    uses
        ``(room,)``: how often each was excited.
    clock
        ``c ()``.
    """

    keys: Tensor
    contents: Tensor
    log_amounts: Tensor
    times: Tensor
    uses: Tensor
    clock: Tensor


def nothing(room: int, d: int, d_value: int, device: torch.device | str | None, dtype: torch.dtype | None) -> Written:
    """Return a room in which nothing is written."""
    return Written(
        keys=torch.zeros(room, d, device=device, dtype=dtype),
        contents=torch.zeros(room, d_value, device=device, dtype=dtype),
        log_amounts=torch.full((room,), -math.inf, device=device, dtype=torch.float32),
        times=torch.zeros(room, device=device, dtype=torch.long),
        uses=torch.zeros(room, device=device, dtype=torch.long),
        clock=torch.zeros((), device=device, dtype=torch.long),
    )


def occupied(held: Written) -> Tensor:
    """Return where something is written: booleans ``(room,)``."""
    return held.log_amounts > -math.inf


def reach(held: Written) -> int:
    """Return a place from which on nothing is written.

    It is ``room`` where it would have to be waited for, and in a compiled program, which then serves any number.
    """
    if torch.compiler.is_compiling() or held.log_amounts.device.type != "cpu":
        return len(held.log_amounts)
    places = torch.nonzero(occupied(held))
    return int(places[-1]) + 1 if len(places) else 0


def log_strength(held: Written, fading: float) -> Tensor:
    """Return ``ln s (room,)``; −inf where nothing is written."""
    faded = held.log_amounts + (held.times - held.clock) / fading
    return faded.masked_fill(~occupied(held), -math.inf)


def stored(held: Written, keys: Tensor, contents: Tensor, log_amounts: Tensor, fading: float) -> tuple[Written, Tensor]:
    """Write ``n`` memories over free places first, then over the weakest; return also where ``(n,)``.

    All of them are stored at the time that the clock then shows.
    """
    at = log_strength(held, fading).argsort(stable=True)[: len(keys)]
    clock = held.clock + len(at)
    written = Written(
        keys=held.keys.index_copy(0, at, keys),
        contents=held.contents.index_copy(0, at, contents),
        log_amounts=held.log_amounts.index_copy(0, at, log_amounts),
        times=held.times.index_copy(0, at, clock.expand(len(at))),
        uses=held.uses.index_fill(0, at, 0),
        clock=clock,
    )
    return written, at


def forgotten(held: Written, at: Tensor) -> Written:
    """Leave nothing at the places ``at (n,)``."""
    keys, contents, times, uses = (
        part.index_fill(0, at, 0) for part in (held.keys, held.contents, held.times, held.uses)
    )
    return Written(keys, contents, held.log_amounts.index_fill(0, at, -math.inf), times, uses, held.clock)


def excited(held: Written, at: Tensor, log_amounts: Tensor, fading: float) -> Written:
    """Add amounts ``(n,)`` to the strengths at the places ``at (n,)``, as often as a place is named."""
    if not len(at):
        return held
    most = log_amounts.max()
    added = most + torch.zeros_like(held.log_amounts).index_add(0, at, (log_amounts - most).exp()).log()
    times = torch.bincount(at, minlength=len(held.uses))
    return held._replace(
        log_amounts=torch.where(times > 0, torch.logaddexp(log_strength(held, fading), added), held.log_amounts),
        times=torch.where(times > 0, held.clock, held.times),
        uses=held.uses + times,
    )


def cosines(x: Tensor, keys: Tensor) -> Tensor:
    """Return the cosine of each of ``x (t, d)`` to each of ``keys (m, d)``, ``(t, m)``, at least in float32."""
    dtype = wide(x.dtype)
    return F.normalize(x.to(dtype), dim=-1) @ F.normalize(keys.to(dtype), dim=-1).T

"""An early phase that fades and feeds a late phase: the article's short-term and long-term memory."""

from __future__ import annotations

import numpy as np

from mossy.arrays import check_number
from mossy.errors import InvalidParameter
from mossy.strength.base import LinearLaw
from mossy.strength.power_law import MINUTE, YEAR

__all__ = ["two_phase"]


def two_phase(short: float = 10 * MINUTE, long: float = YEAR, transfer: float = 1 / 3600) -> LinearLaw:
    r"""Return the law of an early phase ``e`` and a late phase ``l``; an event excites the early one.

    .. math::  \dot e = -(1/τ_s + k)\,e, \qquad \dot l = k\,e - l/τ_l, \qquad s = e + l

    Its short part is ``e`` and its long part is ``l``: the phases, not the eigenmodes. With
    ``a = 1/τ_s + k`` and ``b = 1/τ_l``, one event gives ``e(t) = exp(-at)`` and
    ``l(t) = k/(a - b)·(exp(-bt) - exp(-at))``.

    Parameters
    ----------
    short
        ``τ_s``: time constant of the early phase without transfer, in the clock's unit.
    long
        ``τ_l``: time constant of the late phase, above ``short``.
    transfer
        ``k``: rate at which the early phase feeds the late one, in 1 / the clock's unit.

    Raises
    ------
    InvalidParameter

    References
    ----------
    Frey & Morris (1997), Nature 385, 533–536, doi:10.1038/385533a0 (early and late phase, tagging);
    the article of the project for short-term and long-term memory.
    """
    short = check_number(short, "two_phase.short", 0, open_low=True)
    long = check_number(long, "two_phase.long", 0, open_low=True)
    transfer = check_number(transfer, "two_phase.transfer", 0, open_low=True)
    if long <= short:
        raise InvalidParameter(f"two_phase.long: {long:g} was given; more than short ({short:g}) is allowed.")
    a, b = 1 / short + transfer, 1 / long
    share = transfer / (a - b)
    parts = np.array([[1.0, 0.0], [-share, share]])
    given = {"short": short, "long": long, "transfer": transfer}
    return LinearLaw("two_phase", given, np.array([a, b]), parts.sum(axis=0), parts, phases=True)

"""Strength falls as a power of time: the need for a memory, as the world presents it."""

from __future__ import annotations

import numpy as np

from mossy.arrays import check_integer, check_number
from mossy.errors import InvalidParameter
from mossy.strength.base import LinearLaw

__all__ = ["power_law"]

MINUTE = 60.0
YEAR = 365.25 * 86_400.0


def power_law(
    exponent: float = 0.5,
    fastest: float = 1.0,
    slowest: float = 10 * YEAR,
    modes: int = 12,
    short: float = 10 * MINUTE,
) -> LinearLaw:
    r"""Return the law ``s ∝ t^(-exponent)`` between ``fastest`` and ``slowest``; the default of memories.

    .. math::  r(t) = \sum_k w_k e^{-t/τ_k}, \qquad w_k \propto τ_k^{-\text{exponent}}, \qquad τ_k \text{ log-spaced}

    The sum over uses ``Σ_e r(t - t_e)`` is the need-odds of ACT-R's base-level activation
    ``ln Σ_e (t - t_e)^(-d)``, with ``d = exponent``.

    Parameters
    ----------
    exponent
        ``d``, above 0 and at most 2; 0.5 fits the statistics of need in the world.
    fastest, slowest
        The first and the last time constant ``τ``, in the clock's unit (seconds by default).
        Before ``fastest`` the strength is flat, after ``slowest`` it falls exponentially.
    modes
        ``m``, at least 2.
    short
        Modes with ``τ < short`` are the short part, the rest is the long part.

    Raises
    ------
    InvalidParameter

    References
    ----------
    Anderson & Schooler (1991), Psychological Science 2(6), 396–408, doi:10.1111/j.1467-9280.1991.tb00174.x.
    """
    exponent = check_number(exponent, "power_law.exponent", 0, 2, open_low=True)
    fastest = check_number(fastest, "power_law.fastest", 1e-9, 1e18)
    slowest = check_number(slowest, "power_law.slowest", 1e-9, 1e18)
    modes = check_integer(modes, "power_law.modes", 2)
    short = check_number(short, "power_law.short", 0, open_low=True)
    if slowest <= fastest:
        raise InvalidParameter(f"power_law.slowest: {slowest:g} was given; more than fastest ({fastest:g}) is allowed.")
    tau = np.geomspace(fastest, slowest, modes)
    weights = tau**-exponent
    weights /= weights.sum()
    parts = np.where(tau < short, [[1.0], [0.0]], [[0.0], [1.0]]) * weights
    given = {"exponent": exponent, "fastest": fastest, "slowest": slowest, "modes": modes, "short": short}
    return LinearLaw("power_law", given, 1 / tau, weights, parts)

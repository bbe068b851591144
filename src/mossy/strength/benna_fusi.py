"""A chain of ever slower, ever larger variables behind each synapse."""

from __future__ import annotations

import numpy as np

from mossy.arrays import check_integer, check_number
from mossy.strength.base import LinearLaw

__all__ = ["benna_fusi"]


def benna_fusi(m: int = 12, fastest: float = 1.0, short: float = 600.0) -> LinearLaw:
    r"""Return the Benna–Fusi cascade of ``m`` variables ``u_k``, driven and read out at ``u_1``.

    .. math::  C_k \dot u_k = g_{k-1,k}(u_{k-1} - u_k) - g_{k,k+1}(u_k - u_{k+1}), \quad
               C_k = 2^{k-1},\; g_{k,k+1} = 2^{-(k+1)},\; u_{m+1} = 0

    The chain is symmetric under ``C``: with ``v = C^{1/2} u`` it is ``\dot v = -S v``, ``S = Q Λ Qᵀ``, so that
    ``r(t) = Σ_k Q_{1k}² (1 - Λ_k)^t``, which falls as ``1/√t`` up to about ``4^m`` steps. The chain advances in
    unit steps, as the paper simulates it; ``λ_k = -ln(1 - Λ_k)`` is the rate that equals it at every whole step
    (the continuous chain would forget 3 % sooner).

    Parameters
    ----------
    m
        The number of variables, 1 to 24; beyond, float64 cannot tell the slowest modes apart.
    fastest
        The unit of time of the equation, in the clock's unit.
    short
        Modes with a time constant below ``short`` (in the clock's unit) are the short part.

    Raises
    ------
    InvalidParameter

    References
    ----------
    Benna & Fusi (2016), Nature Neuroscience 19, 1697–1706, doi:10.1038/nn.4401, eq. 1 and supplement.
    """
    m = check_integer(m, "benna_fusi.m", 1, 24)
    fastest = check_number(fastest, "benna_fusi.fastest", 0, open_low=True)
    short = check_number(short, "benna_fusi.short", 0, open_low=True)
    k = np.arange(1.0, m + 1)
    forward = 2.0 ** -(k + 1)  # g_{k,k+1}
    backward = np.concatenate([[0.0], forward[:-1]])  # g_{k-1,k}; nothing lies before u_1
    flow = np.diag(forward + backward) - np.diag(forward[:-1], 1) - np.diag(forward[:-1], -1)
    root = np.sqrt(2.0 ** (k - 1))
    rates, q = np.linalg.eigh(flow / np.outer(root, root))
    weights = q[0] ** 2
    rates = -np.log1p(-rates) / fastest
    parts = np.where(1 / rates < short, [[1.0], [0.0]], [[0.0], [1.0]]) * weights
    return LinearLaw("benna_fusi", {"m": m, "fastest": fastest, "short": short}, rates, weights, parts)

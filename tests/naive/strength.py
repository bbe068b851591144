"""The strength laws as loops: the modes summed, the chain stepped, the two phases by tiny Euler steps."""

import math


def strength(rates: list[float], readout: list[float], events: list[tuple[float, float]], t: float) -> float:
    """``s(t) = Σ_k w_k Σ_e a_e exp(-λ_k (t - t_e))`` over the events ``(t_e, a_e)`` until ``t``."""
    total = 0.0
    for rate, weight in zip(rates, readout, strict=True):
        mode = 0.0
        for when, amount in events:
            if when <= t:
                mode += amount * math.exp(-rate * (t - when))
        total += weight * mode
    return total


def power_law(exponent: float, fastest: float, slowest: float, modes: int, t: float) -> float:
    """``r(t) = Σ_k τ_k^-exponent exp(-t/τ_k) / Σ_k τ_k^-exponent``, the ``τ_k`` evenly spaced in ``ln τ``."""
    above = below = 0.0
    for k in range(modes):
        tau = fastest * (slowest / fastest) ** (k / (modes - 1))
        above += tau**-exponent * math.exp(-t / tau)
        below += tau**-exponent
    return above / below


def benna_fusi(m: int, steps: int) -> list[float]:
    """Step ``C_k Δu_k = g_{k-1,k}(u_{k-1} - u_k) - g_{k,k+1}(u_k - u_{k+1})``; return ``u_1`` after each step."""
    u = [1.0] + [0.0] * (m - 1)
    seen = [u[0]]
    for _ in range(steps):
        new = []
        for k in range(1, m + 1):
            size = 2.0 ** (k - 1)
            inward = 2.0**-k * (u[k - 2] - u[k - 1]) if k > 1 else 0.0
            following = u[k] if k < m else 0.0
            outward = 2.0 ** -(k + 1) * (u[k - 1] - following)
            new.append(u[k - 1] + (inward - outward) / size)
        u = new
        seen.append(u[0])
    return seen


def two_phase(
    short: float, long: float, transfer: float, events: list[tuple[float, float]], t: float, steps: int
) -> tuple[float, float]:
    """Euler: ``ė = -(1/τ_s + k)e``, ``l̇ = k e - l/τ_l``; an event at ``t_e`` adds to ``e``. Return ``(e, l)``."""
    early = late = 0.0
    waiting = sorted(events)
    h = t / steps
    for step in range(steps + 1):
        while waiting and waiting[0][0] <= (step + 0.5) * h:
            early += waiting.pop(0)[1]
        if step < steps:
            early, late = (
                early - h * (1 / short + transfer) * early,
                late + h * (transfer * early - late / long),
            )
    return early, late

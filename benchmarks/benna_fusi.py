"""Does the Benna–Fusi law forget as the published chain does?

- ``r(t)·√t``, which the chain keeps constant: .947 ± .01 for 100 ≤ t ≤ 1000 and m ≥ 6 variables.
- Lifetimes: the first whole step at which the signal-to-noise ratio of one memory among many is no longer above 1,
  ``SNR(t) = √N·r(t)/√Σ_{t' ≥ 1} r(t')²``, for N = 10³ … 10⁶ synapses and m = 10.

Beside ``mossy.strength.benna_fusi``, in closed form: the chain itself, stepped with ``dt = 1`` from its equation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from material.timing import rounded
from mossy.strength import benna_fusi
from record import record

SIZES = range(6, 13)
CHAIN = 10
SYNAPSES = (10**3, 10**4, 10**5, 10**6)
PUBLISHED = (68, 677, 6835, 67_846)
STEPPED = 70_000


def closed_form(m: int, t: NDArray[np.float64]) -> NDArray[np.float64]:
    return benna_fusi(m=m).response(t)


def one_step(u: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``u`` a step later: ``C_k Δu_k = g_{k-1,k}(u_{k-1} - u_k) - g_{k,k+1}(u_k - u_{k+1})``."""
    m = len(u)
    after = u.copy()
    for k in range(1, m + 1):
        left = 0.0 if k == 1 else 2.0**-k * (u[k - 2] - u[k - 1])
        right = 2.0 ** -(k + 1) * (u[k - 1] - (0.0 if k == m else u[k]))
        after[k - 1] += (left - right) / 2.0 ** (k - 1)
    return after


def stepped(m: int, steps: int) -> NDArray[np.float64]:
    """Return r(0 … steps) of the chain, stepped."""
    step = np.stack([one_step(unit) for unit in np.eye(m)], axis=1)
    u = np.zeros(m)
    u[0] = 1.0
    r = np.empty(steps + 1)
    for t in range(steps + 1):
        r[t] = u[0]
        u = step @ u
    return r


def series(m: int) -> float:
    """Return Σ_{t ≥ 1} r(t)² of the closed form, a geometric series for every pair of modes."""
    law = benna_fusi(m=m)
    ratio = np.exp(-np.add.outer(law.rates, law.rates))
    return float((np.outer(law.readout, law.readout) * ratio / (1 - ratio)).sum())


def doubled(m: int, doublings: int = 30) -> float:
    """Return Σ r(t)² over 1 ≤ t < 2^doublings of the chain ``u ← A u``, from ``S_2n = S_n + A^n S_n (A^n)ᵀ``."""
    power = np.stack([one_step(unit) for unit in np.eye(m)], axis=1)
    total = np.zeros((m, m))
    total[0, 0] = 1.0
    for _ in range(doublings):
        total = total + power @ total @ power.T
        power = power @ power
    return float(total[0, 0]) - 1.0


def lifetime(synapses: int, r: NDArray[np.float64], squares: float) -> int:
    """Return the first step at which SNR ≤ 1, with ``r`` from step 0 on."""
    snr = np.sqrt(synapses) * r[1:] / np.sqrt(squares)
    return int(np.argmax(snr <= 1)) + 1


def main() -> None:
    t = np.arange(100, 1001, dtype=np.float64)
    result: dict[str, Any] = {"r_root_t": {}, "lifetimes": {}, "m": CHAIN}
    for m in SIZES:
        product = closed_form(m, t) * np.sqrt(t)
        result["r_root_t"][m] = {
            "at 100": rounded(product[0]),
            "at 1000": rounded(product[-1]),
            "least": rounded(product.min()),
            "most": rounded(product.max()),
        }
        print(m, result["r_root_t"][m])
    simulated = stepped(CHAIN, STEPPED)
    closed = closed_form(CHAIN, np.arange(STEPPED + 1, dtype=np.float64))
    result["largest_difference_from_stepping"] = float(np.abs(simulated - closed).max())
    result["stepped_to"] = STEPPED
    squares = {"mossy": series(CHAIN), "stepped": doubled(CHAIN)}
    result["sum_of_squares"] = squares
    for n, published in zip(SYNAPSES, PUBLISHED, strict=True):
        result["lifetimes"][n] = {
            "mossy": lifetime(n, closed, squares["mossy"]),
            "stepped": lifetime(n, simulated, squares["stepped"]),
            "expected": published,
        }
        print(n, result["lifetimes"][n])
    print("largest difference from stepping", result["largest_difference_from_stepping"])
    record("benna_fusi", "Does the Benna–Fusi law forget as the published chain does?", result, seeds=[])


if __name__ == "__main__":
    main()

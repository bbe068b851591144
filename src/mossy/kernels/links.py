"""Compiled loops over the links of memories.

The modes of a link are float16, which the compiler has no arithmetic for: they come as their 16 bits, ``bits
(n, most, m)``, never negative and never infinite. Whose time ``when`` is negative is gone, and so are the links to it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["pointing", "spread", "strengthen"]

Array = NDArray[Any]

POWERS = 2.0 ** np.arange(-25, 7)  # of a last place of float16, by the bits of the exponent
SUBNORMAL = 2.0**-24
LEAST_NORMAL = 2.0**-14
MOST = 65504.0

AT_ONCE = 32  # rows whose links are compared at once


@compiled()
def _value(bits: Any) -> Any:
    """Return the number that 16 bits are."""
    exponent = bits >> 10
    if exponent == 0:
        return float(bits) * SUBNORMAL
    return float((bits & 1023) + 1024) * POWERS[exponent]


@compiled()
def _share(seed: Any, count: Any) -> float:
    """Return the ``count``-th share from 0 to 1 of a seed (SplitMix64)."""
    z = seed + np.uint64(count) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return float((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


@compiled()
def _rounded(x: float, share: float) -> int:
    """Return the bits of the float16 below ``x``, or above it if ``x`` lies further than ``share`` on the way there."""
    if x >= MOST:
        return 0x7BFF
    if x < LEAST_NORMAL:
        scaled, base = x / SUBNORMAL, 0
    else:
        fraction, exponent = math.frexp(x)
        scaled, base = fraction * 2048.0, (exponent + 13) << 10
    low = math.floor(scaled)
    up = 1 if scaled - low > share else 0
    return base + int(low) + up


@compiled()
def _excite(
    targets: Array,
    bits: Array,
    when: Array,
    source: int,
    target: int,
    amount: float,
    now: float,
    rates: Array,
    readout: Array,
    modes: Array,
    seed: Any,
    count: int,
) -> None:
    """Strengthen the link from ``source`` to ``target``; one that is new takes an empty place, or that of the weakest.

    ``modes (most + 1, m)`` is room to work in.
    """
    most, m = bits.shape[1], bits.shape[2]
    place, weakest, least = -1, 0, np.inf
    for s in range(most):
        to = targets[source, s]
        there = to >= 0 and when[to] >= 0
        strength = 0.0 if there else -1.0
        for k in range(m):
            if s == 0:
                modes[most, k] = math.exp(-rates[k] * (now - when[source]))
            modes[s, k] = _value(np.int64(bits[source, s, k])) * modes[most, k] if there else 0.0
            if there:
                strength += readout[k] * modes[s, k]
        if to == target and there:
            place = s
        if strength < least:
            weakest, least = s, strength
    if place < 0:
        if least >= amount:
            return
        place = weakest
        targets[source, place] = target
        modes[place, :] = 0.0
    for s in range(most):
        some = 0
        for k in range(m):
            x = modes[s, k] + (amount if s == place else 0.0)
            rounded = _rounded(x, _share(seed, count + s * m + k))
            bits[source, s, k] = rounded
            some |= rounded
        if some == 0:
            targets[source, s] = -1
    when[source] = now


@compiled()
def strengthen(
    targets: Array,
    bits: Array,
    when: Array,
    one: Array,
    other: Array,
    amounts: Array,
    now: float,
    rates: Array,
    readout: Array,
    seed: Any,
    count: int,
) -> None:
    """Strengthen the links between ``one (p,)`` and ``other (p,)``, both ways, pair after pair, by ``amounts (p,)``."""
    most, m = bits.shape[1], bits.shape[2]
    modes = np.empty((most + 1, m), np.float64)
    for p in range(one.shape[0]):
        i, j, amount = one[p], other[p], amounts[p]
        _excite(targets, bits, when, i, j, amount, now, rates, readout, modes, seed, count)
        _excite(targets, bits, when, j, i, amount, now, rates, readout, modes, seed, count + most * m)
        count += 2 * most * m


@compiled()
def spread(
    targets: Array,
    bits: Array,
    when: Array,
    rows: Array,
    activity: Array,
    now: float,
    rates: Array,
    readout: Array,
    reached: Array,
    amounts: Array,
) -> int:
    """Write whom ``rows`` excite, and by how much, each target of each row by itself; return how many these are."""
    most, m = bits.shape[1], bits.shape[2]
    found = 0
    factors = np.empty(m, np.float64)
    for r in range(rows.shape[0]):
        i = rows[r]
        for k in range(m):
            factors[k] = math.exp(-rates[k] * (now - when[i])) * readout[k]
        for s in range(most):
            to = targets[i, s]
            if to < 0 or when[to] < 0:
                continue
            strength = 0.0
            for k in range(m):
                strength += _value(np.int64(bits[i, s, k])) * factors[k]
            reached[found] = to
            amounts[found] = min(strength, 1.0) * activity[r]
            found += 1
    return found


@compiled()
def pointing(targets: Array, wanted: Array, low: int, high: int, found: Array) -> int:
    """Write the rows that have one of the targets ``low … high`` that are ``wanted``; return how many these are.

    A few links at once are compared without a branch, which a processor does eight at a time.
    """
    n, most = targets.shape
    every = targets.reshape(-1)
    first, last = np.int32(low), np.int32(high)
    count = 0
    for begin in range(0, n, AT_ONCE):
        end = min(begin + AT_ONCE, n)
        some = np.int32(0)
        for place in range(begin * most, end * most):
            to = every[place]
            some |= np.int32(first <= to) & np.int32(to <= last)
        if some == 0:
            continue
        for i in range(begin, end):
            for s in range(most):
                to = targets[i, s]
                if first <= to and to <= last and wanted[to - first]:
                    found[count] = i
                    count += 1
                    break
    return count

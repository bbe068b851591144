"""Compiled loops of ``strength.need``. Arrays in, arrays changed in place, no errors."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["use_all", "weakest"]

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Uses = NDArray[np.uint8]
Slots = NDArray[np.int32]


@compiled()
def use_all(
    slots: Slots,
    since: Floats,
    rates: Floats,
    learning: float,
    rows: Rows,
    uses: Uses,
    shares: Floats,
    totals: Floats,
    group_of: NDArray[Any],
) -> None:
    """Do ``Need.use`` for ``rows[slots[0]], rows[slots[1]] …``, one unit of time apart.

    The first comes ``since (m,)`` units after the landmarks. A slot may come more than once.
    """
    m = len(rates)
    groups = len(shares)
    gain, part = np.empty(m), np.empty(m)
    for event in range(len(slots)):
        slot = slots[event]
        for k in range(m):
            gain[k] = np.exp(rates[k] * (since[k] + event))
        count = uses[slot]
        if count > 0 and learning > 0.0:
            c = group_of[count]
            whole = 0.0
            for k in range(m):
                part[k] = shares[c, k] * rows[slot, k] / (totals[c, k] + gain[k])
                whole += part[k]
            if whole > 0.0:
                for g in range(groups):
                    for k in range(m):
                        shares[g, k] *= 1 - learning
                for k in range(m):
                    shares[c, k] += learning / whole * part[k]
            for k in range(m):
                totals[c, k] = max(totals[c, k] - rows[slot, k], 0.0)
        if count < len(group_of) - 1:
            uses[slot] = count + 1
        c = group_of[uses[slot]]
        for k in range(m):
            rows[slot, k] = np.float32(rows[slot, k] + gain[k])
            if learning > 0.0:
                totals[c, k] += rows[slot, k]


@compiled()
def weakest(
    pool: Slots,
    skip: int,
    since: Floats,
    rates: Floats,
    rows: Rows,
    uses: Uses,
    sizes: NDArray[np.int64],
    shares: Floats,
    totals: Floats,
    group_of: NDArray[Any],
) -> int:
    """Return the place in ``pool`` of the slot with the least ``Need.chance / size``, the first of equals.

    It is ``since (m,)`` units after the landmarks. The slot ``skip`` is left out; -1 where there is no other.
    """
    groups, m = shares.shape
    readout = np.empty((groups, m))
    for k in range(m):
        gain = np.exp(rates[k] * since[k])
        for g in range(groups):
            readout[g, k] = shares[g, k] / (totals[g, k] + gain)
    best, place = np.inf, -1
    for i in range(len(pool)):
        slot = pool[i]
        if slot == skip:
            continue
        c = group_of[uses[slot]]
        value = 0.0
        for k in range(m):
            value += readout[c, k] * rows[slot, k]
        value /= sizes[slot]
        if value < best or place < 0:
            best, place = value, i
    return place

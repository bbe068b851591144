"""Compiled loops over the strengths of memories."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled

__all__ = ["refresh"]

Array = NDArray[Any]


@compiled()
def refresh(
    modes: Array,
    when: Array,
    numbers: Array,
    logs: Array,
    now: float,
    ages: Array,
    until: Array,
    factors: Array,
    rates: Array,
    readout: Array,
    never: int,
) -> float:
    """Compute ``ln s`` of the rows that are due, each at the last of the ``ages`` that it has reached.

    ``numbers (n,)`` tell at which that was computed last: those above ``never`` are of ages, which end at ``until``. At
    the last of all, which has no end, it is computed at the age that a row has. Returns when the next is due, ``inf``
    if none ever is.
    """
    slowest = rates.min()
    last = ages.shape[0] - 1
    m = modes.shape[1]
    next_due = np.inf
    for i in range(modes.shape[0]):
        number = np.int64(numbers[i])
        if number == never:
            continue
        age = max(now - when[i], 0.0)
        if age >= until[number]:
            at = np.searchsorted(ages, age, "right") - 1
            number = at + never + 1
            total = 0.0
            if at == last:
                for k in range(m):
                    total += readout[k] * math.exp((slowest - rates[k]) * age) * modes[i, k]
                logs[i] = math.log(total) - slowest * age
            else:
                for k in range(m):
                    total += factors[number, k] * modes[i, k]
                logs[i] = math.log(total) - slowest * ages[at]
            numbers[i] = number
        next_due = min(next_due, when[i] + until[number])
    return next_due

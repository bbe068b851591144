"""Activations and their potentials, one neuron at a time."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

INVERSE: dict[str, Callable[[float], float]] = {
    "identity": lambda a: a,
    "relu": lambda a: a,
    "sigmoid": lambda a: math.log(a / (1 - a)),
    "tanh": math.atanh,
}


def activate(name: str, drive: float, previous: float | None = None) -> float:
    if name == "identity":
        return drive
    if name == "relu":
        return drive if drive > 0 else 0.0
    if name == "tanh":
        return math.tanh(drive)
    if name == "sigmoid":
        if drive >= 0:
            return 1 / (1 + math.exp(-drive))
        return math.exp(drive) / (1 + math.exp(drive))
    if name == "sign":
        if drive == 0:
            return 1.0 if previous is None or previous == 0 else previous
        return 1.0 if drive > 0 else -1.0
    if name == "step":
        if drive == 0:
            return 0.0 if previous is None else previous
        return 1.0 if drive > 0 else 0.0
    raise KeyError(name)


def k_winners(drive: Sequence[float], k: int) -> list[float]:
    order = sorted(range(len(drive)), key=lambda i: (-drive[i], i))
    return [1.0 if i in order[:k] else 0.0 for i in range(len(drive))]


def potential(name: str, activity: float, start: float, steps: int = 20000) -> float:
    """The integral of f⁻¹ from ``start`` to ``activity``, by the midpoint rule."""
    width = (activity - start) / steps
    return sum(INVERSE[name](start + (i + 0.5) * width) for i in range(steps)) * width

"""Whether two states are the same, bit for bit, and what bytes an object holds."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np


def same(one: Any, other: Any) -> bool:
    """Return whether two nested states of dicts, lists, arrays and scalars are the same to the last bit."""
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return (
            isinstance(one, np.ndarray)
            and isinstance(other, np.ndarray)
            and one.dtype == other.dtype
            and one.shape == other.shape
            and (one.dtype == object or one.tobytes() == other.tobytes())
        )
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other or one is other)


def differences(one: Any, other: Any, path: str = "state") -> list[str]:
    """Return the paths at which two states differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [line for key in one for line in differences(one[key], other[key], f"{path}.{key}")]
    return [] if same(one, other) else [path]


def arrays_of(*roots: Any) -> list[np.ndarray]:
    """Return every array that can be reached from these objects, the buffers under views included."""
    waiting, seen, found = list(roots), set(), []
    while waiting:
        thing = waiting.pop()
        if id(thing) in seen or isinstance(thing, type | str | bytes | int | float) or callable(thing):
            continue
        seen.add(id(thing))
        if isinstance(thing, np.ndarray):
            found.append(thing)
            if thing.base is not None:
                waiting.append(thing.base)
            if thing.dtype != object:
                continue
        elif hasattr(thing, "__dict__"):
            waiting.extend(vars(thing).values())
        waiting.extend(gc.get_referents(thing))
    return found


def holds(root: Any, pattern: np.ndarray) -> bool:
    """Return whether the bytes of a pattern lie in any array that can be reached from ``root``."""
    return any(pattern.tobytes() in array.tobytes() for array in arrays_of(root) if array.dtype != object)

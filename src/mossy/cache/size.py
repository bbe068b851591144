"""How many bytes a value holds."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from functools import partial
from numbers import Integral
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

__all__ = ["measure"]

MOST = 10_000  # objects that are looked at one by one
HEADER = 128  # an array's object beside its entries, rounded up

# They belong to the program, not to the value that mentions them.
SHARED = type | ModuleType | FunctionType | BuiltinFunctionType | MethodType


def measure(value: Any) -> int:
    """Return about how many bytes ``value`` holds, at least 1.

    Anything with ``nbytes`` (arrays, tensors) holds these and a header; a view holds the array that it looks at.
    Containers and objects hold what is in them, each object once, however it refers to itself. After 10,000 objects
    the rest is taken at the mean of those.
    """
    waiting, seen, within = deque(_parts(value)), {id(value)}, 0
    while waiting and len(seen) < MOST:
        one = waiting.popleft()
        if id(one) not in seen:
            seen.add(id(one))
            within += _alone(one)
            waiting.extend(_parts(one))
    rest = len(waiting) * within // len(seen)
    return max(_alone(value) + within + rest, 1)


def _alone(one: Any) -> int:
    """Return the bytes of an object without what it refers to."""
    if isinstance(one, SHARED):
        return 0
    if isinstance(one, np.ndarray):
        owner = one
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        return owner.nbytes + HEADER
    nbytes = getattr(one, "nbytes", None)
    if isinstance(nbytes, Integral) and not isinstance(nbytes, bool):
        return max(int(nbytes), 0) + HEADER
    return sys.getsizeof(one, HEADER)


def _parts(one: Any) -> Any:
    """Return what an object holds."""
    if isinstance(one, str | bytes | bytearray | int | float | complex | None | SHARED):
        return ()
    if isinstance(one, np.ndarray):
        return one.ravel().tolist() if one.dtype.hasobject else ()
    if isinstance(one, dict):
        return [*one.keys(), *one.values()]
    if isinstance(one, list | tuple | set | frozenset | deque):
        return one
    if isinstance(one, partial):
        return (one.args, one.keywords)
    if hasattr(one, "nbytes"):
        return ()
    slots = [name for kind in type(one).__mro__ for name in _slots_of(kind)]
    held = getattr(one, "__dict__", None)
    return [*(getattr(one, name, None) for name in slots), *((held,) if isinstance(held, Mapping) else ())]


def _slots_of(kind: type) -> list[str]:
    """Return the attributes that a class keeps in slots, by the names that they have on its objects."""
    named = kind.__dict__.get("__slots__", ())
    names = [named] if isinstance(named, str) else list(named)
    hidden = f"_{kind.__name__.lstrip('_')}"
    return [f"{hidden}{name}" if name.startswith("__") and not name.endswith("__") else name for name in names]

"""What a ``LongTermMemory`` holds, to and from a ``mossy.Memory``."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.errors import InvalidDtype, InvalidShape
from mossy.memory import Memory

__all__ = ["contents_of", "memory_of"]

LEAST, MOST = 1e-30, 1e30  # as a memory bounds its modes

Floats = NDArray[Any]


def memory_of(keys: Floats, values: Floats, strengths: Floats, settings: dict[str, Any]) -> Memory:
    """Return a memory of keys ``(n, d)`` and values ``(n, d_value)``, each with its strength ``(n,)``.

    What has the strength ``s`` is as if one event of that amount had excited it just now: ``s`` in every mode.
    """
    memory = Memory(**({"similarity": "cosine", "duplicates": "keep"} | settings))
    if not len(keys):
        return memory
    ids = np.atleast_1d(memory.store(keys, values))
    state = memory.state()
    amounts = np.zeros(int(ids.max()) + 1, np.float32)
    np.add.at(amounts, ids, strengths.astype(np.float32))  # of what was merged into one, the sum
    state["strengths"]["modes"][:] = np.clip(amounts[state["catalog"]["ids"]], LEAST, MOST)[:, None]
    return Memory.from_state(state, settings.get("clock"))


def contents_of(memory: object, d: int, d_value: int) -> tuple[Floats, Floats, Floats]:
    """Return keys ``(n, d)``, values ``(n, d_value)`` and strengths ``(n,)`` of a memory, without a trace in it.

    Raises
    ------
    InvalidDtype, InvalidShape
    """
    if not isinstance(memory, Memory):
        raise InvalidDtype(f"from_memory: {type(memory).__name__} was given; a mossy.Memory is allowed.")
    if not len(memory):
        return np.empty((0, d), np.float32), np.empty((0, d_value), np.float32), np.empty(0)
    state = memory.state()
    keys = state["index"]["keys"]
    values = keys if state["index"]["values"] is None else state["index"]["values"]
    if keys.shape[1] != d or values.shape[1] != d_value:
        raise InvalidShape(
            f"from_memory: a memory of {keys.shape[1]} entries with values of {values.shape[1]} was given; this layer "
            f"has d={d} and d_value={d_value}."
        )
    strengths = memory.strength(state["catalog"]["ids"].tolist()).sum(-1)
    return keys, values, np.maximum(strengths, LEAST)  # what has all but faded is still held

"""What becomes of a batch that is stored: what is new is kept, what is there already is reinforced."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.errors import FullMemory
from mossy.memory.catalog import GONE, PINNED
from mossy.memory.configuration import Configuration
from mossy.memory.duplicates import Same, find_same
from mossy.memory.short_term import weakest
from mossy.memory.store import Store

__all__ = ["store_batch"]

Rows = NDArray[np.intp]
Patterns = NDArray[np.float32]


def store_batch(
    store: Store,
    configuration: Configuration,
    keys: Patterns,
    values: Patterns | None,
    payloads: list[Any] | None,
    pin: bool,
    now: float,
) -> NDArray[np.int64]:
    """Store what is not there yet, reinforce what is, and return the ids ``(n,)``.

    Raises
    ------
    FullMemory, JournalError
        Nothing was stored.
    """
    store.check_writes()
    same = None if configuration.keeps_duplicates else find_same(store, keys, values, payloads)
    new = np.arange(len(keys)) if same is None else same.new
    capacity = configuration.capacity
    if len(new):
        _check_room(store, capacity, len(new), pin)
    if same is None:
        ids = store.append(keys, values, payloads, pin, now)
    else:
        ids = _store_again(store, same, keys, values, payloads, pin, now)
    if capacity is not None and len(new):
        _keep_capacity(store, capacity, store.catalog.present(ids[new]), now)
    return ids


def _store_again(
    store: Store,
    same: Same,
    keys: Patterns,
    values: Patterns | None,
    payloads: list[Any] | None,
    pin: bool,
    now: float,
) -> NDArray[np.int64]:
    """Store what is new of a batch, and reinforce and pin the rest, in one commit as far as it is durable at once."""
    new, there = same.new, same.rows >= 0
    ids = np.empty(len(keys), np.int64)
    ids[there] = store.catalog.ids[same.rows[there]]
    with store.pinning(np.unique(same.rows[there])) if pin else nullcontext():
        if len(new):
            some = None if payloads is None else [payloads[i] for i in new.tolist()]
            ids[new] = store.append(keys[new], None if values is None else values[new], some, pin, now)
        elif pin and store.durable is not None:
            store.durable.flush(store, now)
    ids = ids[same.first]
    rows = store.catalog.present(np.delete(ids, new))
    if len(rows):
        store.excite(rows, np.ones(len(rows)), now)
    return ids


def _check_room(store: Store, capacity: int | None, n: int, pin: bool) -> None:
    if capacity is None:
        return
    pinned = store.catalog.having(PINNED)
    if pinned >= capacity or (pin and pinned + n > capacity):
        raise FullMemory(
            f"store: the capacity is {capacity} and {pinned} memories are pinned; unpin or forget some, or "
            "raise the capacity. Nothing was stored."
        )


def _keep_capacity(store: Store, capacity: int, new: Rows, now: float) -> None:
    """Forget the weakest beyond the capacity; of what was just stored only what does not fit by itself."""
    excess = len(store.index) - capacity
    if excess <= 0:
        return
    free = np.flatnonzero(store.catalog.flags & (PINNED | GONE) == 0)
    old = free[free < new[0]]
    out = old if excess >= len(old) else weakest(old, excess, store.strengths, now)
    store.erase(np.concatenate([out, free[len(old) :][: excess - len(out)]]))

"""What becomes of a batch that is stored: what is new is kept, what is there already is reinforced."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.errors import FullMemory
from mossy.memory.adapting import Adapting
from mossy.memory.capacity import Limit
from mossy.memory.catalog import GONE, PINNED
from mossy.memory.configuration import Configuration
from mossy.memory.duplicates import Same, find_same
from mossy.memory.short_term import NONE, weakest
from mossy.memory.store import Store

__all__ = ["forget_named", "keep_capacity", "store_batch"]

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
    store.make_room(len(keys))
    same = None if configuration.keeps_duplicates else find_same(store, keys, values, payloads)
    new = np.arange(len(keys)) if same is None else same.new
    limit = store.limit(keys.shape[1], None if values is None else values.shape[1])
    if len(new) and limit is not None:
        _check_room(store, configuration, limit, len(new), pin)
    if same is None:
        ids = store.append(keys, values, payloads, pin, now)
    else:
        ids = _store_again(store, same, keys, values, payloads, pin, now)
    if len(new):
        if store.adapting is not None:
            _welcome(store, store.adapting, ids[new], keys[new], now)
        keep_capacity(store, now, int(ids[new[0]]))
    return ids


def _welcome(store: Store, adapting: Adapting, ids: NDArray[np.int64], keys: Patterns, now: float) -> None:
    """Give what was just stored its history, as far as it was let go before."""
    rows, there = store.catalog.places(ids)
    changed = adapting.welcome(rows[there], keys[there], store.strengths, now)
    if len(changed) and store.durable is not None:
        store.durable.note(store.catalog.ids[changed])


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


def _check_room(store: Store, configuration: Configuration, limit: Limit, n: int, pin: bool) -> None:
    capacity, most = configuration.capacity, limit.without(store.catalog.names_of_several)
    if limit.memories < 1:
        raise FullMemory(
            f"store: a capacity of {capacity} was given; at least {limit.one:,} bytes are allowed, which one of these "
            "memories takes with what is kept of all. Raise the capacity. Nothing was stored."
        )
    pinned = store.catalog.having(PINNED)
    if pinned >= most or (pin and pinned + n > most):
        holds = "" if isinstance(capacity, int) else f", which is {most} memories,"
        raise FullMemory(
            f"store: the capacity is {capacity}{holds} and {pinned} memories are pinned; unpin or forget some, or "
            "raise the capacity. Nothing was stored."
        )


def keep_capacity(store: Store, now: float, first: int) -> None:
    """Forget the weakest beyond the capacity; of the ids from ``first`` on only what does not fit by itself."""
    limit = store.limit()
    if limit is None:
        return
    excess = len(store.index) - limit.without(store.catalog.names_of_several)
    if excess > 0:
        free = np.flatnonzero(store.catalog.flags & (PINNED | GONE) == 0)
        old = free[store.catalog.ids[free] < first]
        out = old if excess >= len(old) else _weakest(store, old, excess, now)
        out = np.concatenate([out, free[len(old) :][: excess - len(out)]])
        if store.adapting is not None:
            store.adapting.leave(out, store.index.keys, store.strengths, store.catalog, limit.memories)
        store.erase(out)
    store.keep_within()


def _weakest(store: Store, rows: Rows, n: int, now: float) -> Rows:
    """Return the ``n`` of ``rows`` that are to be let go."""
    if store.adapting is None:
        return weakest(rows, n, store.strengths, now)
    return store.adapting.weakest(rows, n, store.strengths, store.catalog, now)


def forget_named(store: Store, ids: int | Iterable[int], now: float) -> None:
    """Forget the memories with these ids, and the ghosts of those that were let go; see ``Memory.forget``."""
    store.check_writes()
    adapting = store.adapting
    if adapting is None:
        store.forget(np.unique(store.catalog.rows_of(ids)), now)
        return
    given: Any = list(ids) if isinstance(ids, Iterable) and not isinstance(ids, np.ndarray) else ids
    listed = given if isinstance(given, list) else np.ravel(given).tolist()
    ghosts = adapting.ghosts.ids.intersection(one for one in listed if isinstance(one, int | np.integer))
    others = [one for one in listed if one not in ghosts] if ghosts else given
    rows = NONE if ghosts and not others else np.unique(store.catalog.rows_of(others))
    adapting.forget(ghosts)
    if len(rows):
        store.forget(rows, now)

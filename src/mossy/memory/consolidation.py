"""Consolidation: duplicates become one memory, and short-term memory becomes long-term."""

from __future__ import annotations

from mossy.memory.catalog import LONG
from mossy.memory.duplicates import merge
from mossy.memory.results import Consolidation
from mossy.memory.short_term import NONE
from mossy.memory.store import Store
from mossy.memory.storing import keep_capacity

__all__ = ["consolidate"]


def consolidate(store: Store, tolerance: float | None, now: float) -> Consolidation:
    """Merge what is equal to within ``tolerance`` (None merges nothing), and let all leave short-term memory."""
    merged = NONE
    if tolerance is not None and len(store.index):
        merged = merge(store.index, store.catalog, store.strengths, store.links, tolerance, now)
        store.merged(merged)
    before, long = len(store.index), store.catalog.having(LONG)
    store.empty_short()
    if len(merged):
        keep_capacity(store, now, store.catalog.next_id)  # ids of memories that have several take bytes
    let_go = before - len(store.index)
    return Consolidation(store.catalog.having(LONG) - long, let_go, len(merged))

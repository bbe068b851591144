"""How a recall is answered, and what of it is reinforced."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.memory.store import Store
from mossy.recall import Lone, Recall, Settings, gather, settle
from mossy.similarity import Cues

__all__ = ["Excited", "answer", "answer_lone", "reinforce_recalled"]

Rows = NDArray[np.intp]
Excited = tuple[Rows, NDArray[np.float64]]  # rows and activities (c, w), 0 where there is nothing to reinforce

CUES = 256  # cues answered at once
NOTICED = 0.01  # activity from which a recalled memory is reinforced: at most 100 memories a cue


def answer(
    store: Store,
    settings: Settings,
    cues: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    k: int,
    limit: int,
    now: float,
) -> tuple[Recall, list[Excited]]:
    """Return what cues recall, and what of it is to be reinforced, block by block."""
    blocks = []
    for first in range(0, len(cues), CUES):
        part = slice(first, first + CUES)
        known = mask if mask is None or len(mask) == 1 else mask[part]
        blocks.append(_answer_block(store, settings, cues[part], known, k, limit, now))
    return Recall.together([block for block, _ in blocks]), [excited for _, excited in blocks]


def _answer_block(
    store: Store,
    settings: Settings,
    cues: NDArray[Any],
    mask: NDArray[np.bool_] | None,
    k: int,
    limit: int,
    now: float,
) -> tuple[Recall, Excited]:
    """Return what a block of cues recalls, and what of it is to be reinforced."""
    index, catalog = store.index, store.catalog
    prepared = index.prepare(cues, mask)
    table = gather(index, store.vector, store.strengths, store.links, prepared, k, settings, now)
    activity = index.separation.activity(table.total, len(index))
    pattern, taken, energy = settle(index, store.vector, prepared.exact, mask, prepared, table, activity, limit)
    familiar = table.fit[:, 0] >= prepared.from_unrelated(settings.familiar)
    best = table.rows[:, :k]
    payload = catalog.payload_of(best.ravel())
    parts = (table.similarity, table.prior, table.association, table.total, table.fit)
    recalled = Recall(
        pattern,
        catalog.ids[best],
        [payload[first : first + k] for first in range(0, len(payload), k)],
        activity[:, :k],
        energy,
        familiar,
        taken,
        np.stack([part[:, :k] for part in parts], axis=-1),
        *store.strengths.modes(best, now),
        store.strengths.law,
    )
    if len(cues) == 1:
        some = np.flatnonzero(activity[0] >= NOTICED) if familiar[0] else np.empty(0, np.intp)
        return recalled, (table.rows[:, some], activity[:, some])
    noticed = (activity >= NOTICED) & familiar[:, None]
    widest = int(noticed.sum(axis=1).max())
    order = np.argsort(~noticed, axis=1, kind="stable")[:, :widest]
    return recalled, (np.take_along_axis(table.rows, order, 1), np.take_along_axis(activity * noticed, order, 1))


def answer_lone(store: Store, settings: Settings, cue: Cues, only: Lone, now: float, reinforce: bool) -> Recall:
    """Return what one cue recalls that only one memory fits, and reinforce that."""
    familiar = only.fit >= float(cue.from_unrelated(settings.familiar)[0])
    recalled = Recall(
        store.index.values[only.rows[0]].copy(),
        store.catalog.ids[only.rows],
        store.catalog.payload_of(only.rows),
        np.ones(1),
        only.energy,
        familiar,
        1,
        np.array([[only.evidence, 0.0, 0.0, only.evidence, only.fit]]),
        *store.strengths.modes(only.rows, now),
        store.strengths.law,
    )
    if reinforce and familiar:
        store.excite(only.rows, np.ones(1), now)
    return recalled


def reinforce_recalled(store: Store, blocks: list[Excited], now: float) -> None:
    """Excite what was recalled by its activity, and strengthen the links between what was recalled together."""
    links = store.links
    if links is not None:
        for rows, activity in blocks:
            together = slice(1, 1 + links.most)
            first, others = np.broadcast_arrays(rows[:, :1], rows[:, together])
            amounts = activity[:, :1] * activity[:, together]
            links.strengthen(first.ravel(), others.ravel(), amounts.ravel(), now)
    rows, activity = (np.concatenate([block[part].ravel() for block in blocks]) for part in range(2))
    if activity.any():
        store.excite(rows[activity > 0], activity[activity > 0], now)

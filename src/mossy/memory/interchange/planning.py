"""Which memory of an export is which here: found before anything is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import InvalidDtype
from mossy.journal import encode, same_on_disk
from mossy.memory.catalog import GONE
from mossy.memory.interchange.reading import Batch, Export
from mossy.memory.store import Store

__all__ = ["Plan", "make_plan"]

Ids = NDArray[np.int64]

LEAP = 1 << 31  # an id further above the next one is not kept: the arrays by id would be larger than any memory


@final
@dataclass
class Plan:
    """What becomes of each memory of an export.

    Attributes
    ----------
    targets
        Its id here ``(n,)``.
    new
        Whether it is added ``(n,)``; the others are here already.
    again
        Whether it is added under another id ``(n,)``: these come last, since their ids are above all others.
    aliases
        More ids to be kept, of a memory that was merged: which memory each names here.
    renamed
        The ids that name something else here, or nothing: which memory each names here.
    next_id
        What no id reaches.
    linked
        Whether it has links ``(n,)``.
    """

    targets: Ids
    new: NDArray[np.bool_]
    again: NDArray[np.bool_]
    linked: NDArray[np.bool_]
    next_id: int
    aliases: dict[int, int] = field(default_factory=dict)
    renamed: dict[int, int] = field(default_factory=dict)


def make_plan(store: Store, keeps_duplicates: bool, export: Export, tell: Callable[[int], None]) -> Plan:
    """Read an export once, and return what becomes of it; nothing is changed.

    A memory whose id is here with the same content is that memory. One whose id is free, and not below the next id,
    keeps it. All others get a new one, unless a memory of the same content is here. Where duplicates are reinforced,
    such a one is looked for before an id is kept. Where there are several, those are taken first that no other memory
    of the export is; so importing an export again finds what it found, and what it added.
    """
    catalog, ids = store.catalog, export.ids
    n, ceiling = len(ids), catalog.next_id + LEAP
    plan = Plan(ids.copy(), np.zeros(n, bool), np.zeros(n, bool), np.zeros(n, bool), catalog.next_id)
    taken = np.zeros(store.index.rows, bool)  # rows that are some memory of the export already
    taken[catalog.present(ids)] = True
    more: dict[int, int] = {}  # places of further ids
    for batch in export.batches():
        names = ids[batch.places]
        rows, there = catalog.places(names)
        free = ~there & (names >= catalog.next_id) & (names < ceiling)
        known = np.full(len(names), -1, np.intp)
        known[there] = np.where(_equal(store, batch, np.flatnonzero(there), rows[there]), rows[there], -1)
        looked = np.flatnonzero((known < 0) & ~(free & keeps_duplicates))
        for i, equal in _equals(store, batch, looked):
            known[i] = _choose(equal, taken, keeps_duplicates)
        here = known >= 0
        plan.targets[batch.places[here]] = catalog.ids[known[here]]
        plan.new[batch.places] = ~here
        plan.again[batch.places] = ~here & ~free
        for place, line in zip(batch.places.tolist(), batch.lines, strict=True):
            plan.linked[place] = bool(line.links)
            for id in line.ids:
                if id != line.id and more.setdefault(id, place) != place:
                    export.refuse_id(id)
        tell(len(batch.lines))
    several = np.intersect1d(ids, np.array(list(more), np.int64))
    if len(several):
        export.refuse_id(int(several[0]))
    _name(plan, store, export, more, ceiling)
    return plan


def _name(plan: Plan, store: Store, export: Export, more: dict[int, int], ceiling: int) -> None:
    """Give new ids to those that cannot keep theirs, and tell which ids are others here."""
    catalog, ids = store.catalog, export.ids
    kept = {id for id in more if catalog.next_id <= id < ceiling and not catalog.holds(id)}
    own = ids[plan.new & ~plan.again]
    first = max([catalog.next_id, *(id + 1 for id in kept), *(own[-1:] + 1).tolist()])
    plan.targets[plan.again] = first + np.arange(plan.again.sum())
    plan.next_id = first + int(plan.again.sum())
    if export.header.next_id < ceiling:
        plan.next_id = max(plan.next_id, export.header.next_id)  # what was once an id is none again
    other = plan.targets != ids
    plan.renamed.update(zip(ids[other].tolist(), plan.targets[other].tolist(), strict=True))
    for id, place in more.items():
        target = int(plan.targets[place])
        row, there = catalog.places(np.array([id]))
        if id in kept:
            plan.aliases[id] = target
        elif not there[0] or catalog.ids[row[0]] != target:
            plan.renamed[id] = target


def _choose(equal: list[int], taken: NDArray[np.bool_], keeps_duplicates: bool) -> int:
    """Return the row that a memory is, of those that are equal to it; -1 for none."""
    for row in equal:
        if not taken[row]:
            taken[row] = True
            return row
    return -1 if keeps_duplicates or not equal else equal[0]


def _equals(store: Store, batch: Batch, which: NDArray[np.intp]) -> Iterator[tuple[int, list[int]]]:
    """Yield those of ``which`` that have the content of memories here, and the rows of these, rising."""
    if not store.index.rows or not len(which):
        return
    candidates = store.fingerprints.find(batch.keys[which], store.index.keys)
    for i, rows in zip(which.tolist(), candidates, strict=True):
        alive = np.array([row for row in sorted(rows) if not store.catalog.flags[row] & GONE], np.intp)
        equal = alive[_equal(store, batch, np.full(len(alive), i), alive)]
        if len(equal):
            yield i, equal.tolist()


def _equal(store: Store, batch: Batch, which: NDArray[np.intp], rows: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Return for each pair of a memory of the batch and a row here whether their contents are equal."""
    if not len(rows):  # of an empty memory the keys have no shape yet
        return np.zeros(0, bool)
    same = (store.index.keys[rows] == batch.keys[which]).all(axis=1)
    if batch.values is not None:
        same &= (store.index.values[rows] == batch.values[which]).all(axis=1)
    pairs = np.flatnonzero(same)
    for pair, payload in zip(pairs.tolist(), store.catalog.payload_of(rows[pairs]), strict=True):
        same[pair] = same_on_disk(_encoded(payload), batch.lines[which[pair]].payload)
    return np.asarray(same)


def _encoded(payload: Any) -> bytes | None:
    """Return a payload as it would stand in an export; what could not stand there as what no payload is."""
    try:
        return encode(payload)
    except InvalidDtype:
        return b""

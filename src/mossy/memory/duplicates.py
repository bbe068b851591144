"""Which memories are the same: found when they are stored, or merged later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import GONE, Catalog
from mossy.memory.payloads import same_payload
from mossy.pathway import Links
from mossy.strength import Strengths
from mossy.substrate.index import Index

if TYPE_CHECKING:
    from mossy.memory.store import Store

__all__ = ["Same", "find_same", "merge"]

CUES = 256  # keys compared with all others at once

Rows = NDArray[np.intp]


@final
@dataclass(frozen=True)
class Same:
    """What of a batch is there already.

    Attributes
    ----------
    rows
        The row of each that is there ``(n,)``, -1 for the others.
    first
        The first of the batch that each is equal to ``(n,)``: itself, if there is none before it.
    new
        Those that are to be stored.
    """

    rows: Rows
    first: Rows
    new: Rows


def find_same(
    store: Store, keys: NDArray[np.float32], values: NDArray[np.float32] | None, payloads: list[Any] | None
) -> Same | None:
    """Find those of a batch that are there already, with the same value and payload; None if none is."""
    index, catalog = store.index, store.catalog
    found = store.fingerprints.find(keys, index.keys) if index.rows else []
    if len(keys) == 1 and not any(found):
        return None

    def payload(i: int) -> Any:
        return None if payloads is None else payloads[i]

    def stored(i: int, row: int) -> bool:
        return (
            not catalog.flags[row] & GONE
            and np.array_equal(index.keys[row], keys[i])
            and (values is None or np.array_equal(index.values[row], values[i]))
            and catalog.payloads.matches(row, int(catalog.ids[row]), payload(i))
        )

    def repeated(i: int, j: int) -> bool:
        return (
            np.array_equal(keys[i], keys[j])
            and (values is None or np.array_equal(values[i], values[j]))
            and catalog.payloads.same(payload(i), payload(j))
        )

    rows = np.full(len(keys), -1, np.intp)
    first = np.arange(len(keys))
    for i, candidates in enumerate(found):
        rows[i] = next((row for row in candidates if stored(i, row)), -1)
    for group in store.fingerprints.groups(keys) if len(keys) > 1 else []:
        seen: list[int] = []
        for i in group:
            first[i] = next((j for j in seen if repeated(i, j)), i)
            if first[i] == i:
                seen.append(i)
    new = np.flatnonzero((rows < 0) & (first == np.arange(len(keys))))
    return None if len(new) == len(keys) else Same(rows, first, new)


def merge(
    index: Index, catalog: Catalog, strengths: Strengths, links: Links | None, tolerance: float, now: float
) -> Rows:
    """Merge memories with equal value and payload whose keys differ by at most ``tolerance`` in similarity.

    The strongest keeps its key and takes over ids, flags, strengths and links of the others, whose rows are returned.
    """
    alive = catalog.alive()
    order = alive[np.argsort(-strengths.log(alive, now), kind="stable")]
    gone: set[int] = set()
    for main, others in _similar(index, order, tolerance):
        same = [] if main in gone else [row for row in others if row not in gone and _equal(index, catalog, main, row)]
        if same:
            rows = np.array(same, np.intp)
            catalog.absorb(main, rows)
            strengths.merge(main, rows, now)
            if links is not None:
                links.absorb(main, rows, now)
            gone.update(same)
    return np.array(sorted(gone), np.intp)


def _equal(index: Index, catalog: Catalog, row: int, other: int) -> bool:
    if index.has_values and not np.array_equal(index.values[row], index.values[other]):
        return False
    return same_payload(catalog.payload(row), catalog.payload(other))


def _similar(index: Index, order: Rows, tolerance: float) -> Iterator[tuple[int, list[int]]]:
    """Yield rows of ``order``, each with those later in it whose keys are similar to within ``tolerance``.

    A tolerance of 0 finds identical keys, in linear time; above 0, every key is compared with every other.
    """
    if tolerance == 0:
        groups: dict[bytes, list[int]] = {}
        for row in order.tolist():
            groups.setdefault((index.keys[row] + 0).tobytes(), []).append(row)  # + 0 makes -0 and 0 one
        yield from ((group[0], group[1:]) for group in groups.values() if len(group) > 1)
        return
    rank = np.empty(index.rows, np.intp)
    rank[order] = np.arange(len(order))
    for first in range(0, len(order), CUES):
        rows = order[first : first + CUES]
        cues = index.prepare(index.keys[rows], None)
        which, found = index.scan(cues, tolerance, 0.0, 1)
        own = index.exact(cues, np.arange(len(rows)), rows)
        near = index.exact(cues, which, found) >= own[which] - tolerance
        near &= rank[found] > rank[rows[which]]
        for i, row in enumerate(rows.tolist()):
            later = found[near & (which == i)]
            if len(later):
                yield row, later.tolist()

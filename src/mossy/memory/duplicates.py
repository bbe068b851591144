"""Which memories are the same, and how they become one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import Catalog, same_payload
from mossy.pathway import Links
from mossy.strength import Strengths
from mossy.substrate.index import Index

__all__ = ["merge"]

CUES = 256  # keys compared with all others at once

Rows = NDArray[np.intp]


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

"""Which memories are the same, so that consolidation can merge them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mossy.substrate.index import Index

__all__ = ["duplicates"]

CUES = 256  # keys compared with all others at once

Rows = NDArray[np.intp]


def duplicates(index: Index, order: Rows, tolerance: float) -> Iterator[tuple[int, list[int]]]:
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

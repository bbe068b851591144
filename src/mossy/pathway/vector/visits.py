"""How many cells a recall has to visit: learned by asking for what is stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.pages import Memories
from mossy.pathway.vector.cells import Cells
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["NEIGHBOURS", "asked", "learn_visits"]

AT_ONCE = 8  # keys asked for at once
ASKED = 48  # stored keys that are asked for, at least
COMPARED = 1 << 24  # keys that may be compared to ask for four times as many
NEIGHBOURS = 10  # of each, besides itself
FOUND = 0.98  # which part of them shall lie in the cells that are visited
ALLOWED = 0.97  # which part shall lie in those that may be visited at most, where they are many

Rows = NDArray[np.intp]


def asked(n: int) -> int:
    """Return for how many of ``n`` stored keys to ask."""
    return min(n, max(ASKED, min(4 * ASKED, COMPARED // n)))


def learn_visits(
    index: Index,
    cells: Cells,
    memories: Memories,
    cues: Cues,
    keys: Rows,
    patterns: NDArray[np.float32],
    kind: int,
    wide: float,
) -> tuple[int, int]:
    """Return how many cells, from the nearest on, hold ``FOUND`` and ``ALLOWED`` of the neighbours of some keys.

    Parameters
    ----------
    index, cells, memories
        The memories, and their cells.
    cues, keys, patterns
        Stored keys: prepared, their rows ``(c,)``, and as cells see them ``(c, d)``.
    kind, wide
        As for ``kernels.cell_search.search``.
    """
    from mossy.kernels.cell_search import promise

    promises = np.empty((len(keys), len(cells)), np.float32)
    promise(cells.pages, memories, patterns, kind, wide, promises)
    cell_of, before = _cell_of(index, cells), [np.zeros(1, np.intp)]
    for first in range(0, len(keys), AT_ONCE):
        scores = index.scores(cues.part(slice(first, first + AT_ONCE)))
        scores[:, index.dead] = -np.inf
        for i, mine in enumerate(scores, first):
            mine[keys[i]] = -np.inf
            near = np.argpartition(-mine, min(NEIGHBOURS, len(mine)) - 1)[:NEIGHBOURS]
            near = near[mine[near] > -np.inf]
            before.append((promises[i] > promises[i, cell_of[near]][:, None]).sum(axis=1))
    cells_before = np.concatenate(before)
    return 1 + int(np.quantile(cells_before, FOUND)), 1 + int(np.quantile(cells_before, ALLOWED))


def _cell_of(index: Index, cells: Cells) -> Rows:
    """Return the cell of each row."""
    cell_of = np.zeros(index.rows, np.intp)
    for cell in range(len(cells)):
        cell_of[cells.members(cell)] = cell
    return cell_of

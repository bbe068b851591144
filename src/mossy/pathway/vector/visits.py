"""How many cells a recall has to visit: learned by asking for what is stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.pages import Memories
from mossy.pathway.vector.cells import Cells
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["ASKED", "learn_visits"]

ASKED = 64  # stored keys that are asked for
NEIGHBOURS = 10  # of each, besides itself
FOUND = 0.985  # which part of them shall lie in the cells that are visited

Rows = NDArray[np.intp]


def learn_visits(
    index: Index, cells: Cells, memories: Memories, cues: Cues, patterns: NDArray[np.float32], kind: int, wide: float
) -> int:
    """Return how many cells, from the most promising on, hold nearly all of the nearest neighbours of some keys.

    Parameters
    ----------
    index, cells, memories
        The memories, and their cells.
    cues, patterns
        Stored keys, prepared, and as cells see them ``(c, d)``.
    kind, wide
        As for ``kernels.cell_search.search``.
    """
    from mossy.kernels.cell_search import promise

    k = min(NEIGHBOURS + 1, len(index))
    which, rows = index.scan(cues, 0.0, 0.0, k)
    order = np.lexsort((rows, -index.exact(cues, which, rows), which))
    which, rows = which[order], rows[order]
    place = np.arange(len(which)) - np.searchsorted(which, which)
    nearest = (place > 0) & (place < k)  # the first is the key itself
    promises = np.empty((len(patterns), len(cells)), np.float32)
    promise(cells.pages, memories, patterns, kind, wide, promises)
    holds = promises[which[nearest], _cell_of(index, cells)[rows[nearest]]]
    before = (promises[which[nearest]] > holds[:, None]).sum(axis=1)
    return 1 + int(np.quantile(before, FOUND)) if len(before) else len(cells)


def _cell_of(index: Index, cells: Cells) -> Rows:
    """Return the cell of each row."""
    cell_of = np.zeros(index.rows, np.intp)
    for cell in range(len(cells)):
        cell_of[cells.members(cell)] = cell
    return cell_of

"""Short-term memory: a bounded set of rows over the store, and what becomes of those that leave it."""

from __future__ import annotations

from typing import final

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import GONE, LONG, PINNED, SHORT, USED, Catalog
from mossy.strength import Strengths

__all__ = ["ShortTerm", "weakest"]

Rows = NDArray[np.intp]
NONE: Rows = np.empty(0, np.intp)


@final
class ShortTerm:
    """What was just stored or recalled. When it is full, its least strong member leaves.

    A memory that leaves becomes long-term; where only the frequent is kept, one that was neither reinforced since it
    was stored nor pinned is let go instead.

    Parameters
    ----------
    size
        The most members.
    only_frequent
        Whether what was not reinforced is let go.
    """

    def __init__(self, size: int, only_frequent: bool) -> None:
        self.size = size
        self.only_frequent = only_frequent
        self.rows: Rows = NONE

    def enter(self, rows: Rows, catalog: Catalog, strengths: Strengths, now: float) -> Rows:
        """Take ``rows`` in, let others leave for them, and return the rows to let go.

        Those that enter are the last to leave again.
        """
        catalog.mark(rows, catalog.flags[rows] | SHORT)
        before = self.rows
        self.rows = np.concatenate([before, rows])
        excess = len(self.rows) - self.size
        if excess <= 0:
            return NONE
        if excess == 1 and len(before):
            return self._leave_one(int(strengths.log_near(before, now).argmin()), catalog)
        out = before if excess >= len(before) else weakest(before, excess, strengths, now)
        newcomers = excess - len(out)
        return self.leave(np.concatenate([out, rows[:newcomers]]), catalog)

    def leave(self, rows: Rows, catalog: Catalog) -> Rows:
        """Let ``rows`` leave, and return those of them to let go."""
        flags = catalog.flags
        catalog.mark(rows, flags[rows] & ~SHORT)
        self.rows = self.rows[flags[self.rows] & SHORT > 0]
        new = rows[flags[rows] & LONG == 0]
        stays = (flags[new] & (USED | PINNED) > 0) if self.only_frequent else np.ones(len(new), bool)
        catalog.mark(new[stays], flags[new[stays]] | LONG)
        return np.asarray(new[~stays])

    def _leave_one(self, place: int, catalog: Catalog) -> Rows:
        """Let the member at ``place`` leave, as ``leave`` does."""
        row = self.rows[place]
        self.rows = np.concatenate([self.rows[:place], self.rows[place + 1 :]])
        flags = catalog.flags[row] & ~SHORT
        stays = flags & LONG or not self.only_frequent or flags & (USED | PINNED)
        catalog.mark(np.array([row]), flags | LONG if stays else flags)
        return NONE if stays else np.array([row])

    def mark(self, catalog: Catalog) -> tuple[Rows, NDArray[np.uint8]]:
        """Return what ``go_back`` needs."""
        return self.rows, catalog.flags[self.rows]

    def go_back(self, mark: tuple[Rows, NDArray[np.uint8]], catalog: Catalog) -> None:
        """Be as it was at the ``mark``."""
        self.rows, flags = mark
        catalog.mark(self.rows, flags)

    def drop_gone(self, catalog: Catalog) -> None:
        """Drop the rows that are forgotten."""
        self.rows = self.rows[catalog.flags[self.rows] & GONE == 0]


def weakest(rows: Rows, n: int, strengths: Strengths, now: float) -> Rows:
    """Return the ``n`` weakest of ``rows``; of equals, those named first."""
    logs = strengths.log_near(rows, now)
    order: Rows = np.array([logs.argmin()]) if n == 1 else np.argsort(logs, kind="stable")[:n]
    return rows[order]

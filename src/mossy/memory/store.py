"""The one store of a memory: all that there is of each memory, in rows that stay in step."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import PINNED, SHORT, USED, Catalog
from mossy.memory.short_term import NONE, ShortTerm
from mossy.pathway import Links
from mossy.strength import LinearLaw, Strengths
from mossy.substrate.index import Index

__all__ = ["Store"]

Rows = NDArray[np.intp]

SMALL = 4096  # rows up to which forgetting compacts at once


@final
class Store:
    """Index neurons, strengths, catalog, links and short-term memory over the same rows.

    What is appended is appended to all of them or to none. What is forgotten is forgotten in all of them: if that is
    interrupted, the next call finishes it.
    """

    def __init__(self, index: Index, law: LinearLaw, most_links: int, short: ShortTerm) -> None:
        self.index = index
        self.strengths = Strengths(law)
        self.catalog = Catalog()
        self.links = Links(most_links, law) if most_links else None
        self.short = short
        self._going: Rows = NONE

    def append(
        self, keys: NDArray[Any], values: NDArray[Any] | None, payloads: list[Any] | None, pin: bool, now: float
    ) -> NDArray[np.int64]:
        """Add memories that were checked, let them into short-term memory, and return their ids."""
        alive = self.catalog.alive() if self.links is not None else NONE
        before, mark = self.index.rows, self.catalog.mark()
        try:
            rows = self.index.write(keys, values)
            self.strengths.append(len(rows), now)
            ids = self.catalog.append(len(rows), PINNED if pin else np.uint8(0), payloads)
            if self.links is not None:
                self.links.append(len(rows), now, int(alive[-1]) if len(alive) else None)
        except BaseException:  # an interruption, or no room: nothing is stored
            self._undo(before, mark)
            raise
        self.erase(self.short.enter(rows, self.catalog, self.strengths, now))
        return ids

    def excite(self, rows: Rows, amounts: NDArray[np.float64], now: float) -> None:
        """Reinforce ``rows``, which then are in short-term memory; a row named twice is excited twice."""
        if len(rows) > 1:
            rows, place = np.unique(rows, return_inverse=True)
            every, amounts = amounts, np.zeros(len(rows))
            np.add.at(amounts, place, every)
        self.strengths.excite(rows, amounts, now)
        flags = self.catalog.flags[rows]
        self.catalog.flags[rows] = flags | USED
        if not (flags & SHORT).all():
            self.erase(self.short.enter(rows[flags & SHORT == 0], self.catalog, self.strengths, now))

    def erase(self, rows: Rows) -> None:
        """Forget ``rows``: no byte of them is left."""
        if not len(rows):
            return
        self._going = rows
        self.finish()
        if self.index.rows <= SMALL or len(self.index.silent) > self.index.rows // 8:
            self.compact()

    def finish(self) -> None:
        """Forget what is to go, also what an interrupted call left half forgotten."""
        rows = self._going
        if not len(rows):
            return
        self.index.erase(rows)
        self.strengths.erase(rows)
        if self.links is not None:
            self.links.erase(rows)
        self.catalog.erase(rows)
        self.short.drop_gone(self.catalog)
        self._going = NONE

    def compact(self) -> None:
        """Take the forgotten rows out."""
        if not len(self.index.silent):
            return
        kept = self.index.alive()
        place = np.full(self.index.rows, -1, np.intp)
        place[kept] = np.arange(len(kept))
        fresh = [(column, column.rows[kept]) for part in self._parts() for column in part.columns()]
        for column, rows in fresh:  # nothing is allocated from here on
            column.put(rows)
        self.catalog.keep_payloads(kept)
        self.short.rows = place[self.short.rows]
        self.index.compacted()
        if self.links is not None:
            self.links.moved(place)

    def _parts(self) -> list[Index | Strengths | Catalog | Links]:
        parts: list[Index | Strengths | Catalog | Links] = [self.index, self.strengths, self.catalog]
        return parts if self.links is None else [*parts, self.links]

    def _undo(self, rows: int, mark: tuple[int, bool]) -> None:
        """Go back to the first ``rows``, whatever part of the others was written."""
        self.index.truncate(rows)
        self.catalog.truncate(rows, mark)
        for part in (self.strengths, self.links):
            for column in [] if part is None else part.columns():
                column.truncate(min(rows, len(column.rows)))

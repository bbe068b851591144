"""The one store of a memory: all that there is of each memory, in rows that stay in step."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.journal import Chunk
from mossy.memory.adapting import Adapting
from mossy.memory.capacity import SMALL, Limit, ages_of, limit_of
from mossy.memory.catalog import LONG, PINNED, SHORT, USED, Catalog
from mossy.memory.configuration import Configuration
from mossy.memory.durable import Durable
from mossy.memory.fingerprints import Fingerprints
from mossy.memory.payloads import OnDisk
from mossy.memory.short_term import NONE
from mossy.memory.undisturbed import undisturbed
from mossy.pathway import Links
from mossy.pathway.vector import as_pathway
from mossy.strength import Strengths
from mossy.substrate.index import Index

__all__ = ["Store"]

Rows = NDArray[np.intp]


@final
class Store:
    """Index neurons, strengths, catalog, links and short-term memory over the same rows.

    What is appended is appended to all of them, and to the journal of a durable memory, or to none. What is forgotten
    is forgotten in all of them: if that is interrupted, the next call finishes it.
    """

    def __init__(self, configuration: Configuration, durable: Durable | None = None) -> None:
        law = configuration.linear_law()
        self._configuration = configuration
        self._limits: dict[tuple[int, int | None], Limit | None] = {}
        self.index = configuration.index()
        self.vector = as_pathway(configuration.pathway)
        self.strengths = Strengths(law, ages=ages_of(configuration))
        self.catalog = Catalog()
        self.links = Links(configuration.links, law) if configuration.links else None
        self.short = configuration.short()
        self.fingerprints = Fingerprints()
        self.adapting = Adapting(law) if configuration.adapt else None
        self.durable = durable
        if durable is not None:
            self.catalog.payloads = OnDisk(durable.journal.payloads)
        self._going: Rows = NONE

    def append(
        self, keys: NDArray[Any], values: NDArray[Any] | None, payloads: list[Any] | None, pin: bool, now: float
    ) -> NDArray[np.int64]:
        """Add memories that were checked, let them into short-term memory, and return their ids."""
        last = NONE if self.links is None else self.catalog.last()
        linked = None if self.links is None else self.links.mark(last)
        before, next_id, short = self.index.rows, self.catalog.next_id, self.short.mark(self.catalog)
        try:
            rows = self.index.extend(keys, values)
            self.strengths.append(len(rows), now)
            ids = self.catalog.append(len(rows), PINNED if pin else np.uint8(0), payloads)
            if self.links is not None:
                self.links.append(len(rows), now, int(last[0]) if len(last) else None)
                if self.durable is not None:
                    self.durable.note(self.catalog.ids[last])
            out = self.short.enter(rows, self.catalog, self.strengths, now)
            if self.durable is not None:
                self.durable.stored(self, rows, payloads, pin, now)
        except BaseException:  # an interruption, or no room: nothing is stored
            if self.durable is None or self.durable.journal.head.next_id <= next_id:
                self.undo(before, next_id, short)
                if self.links is not None and linked is not None:
                    self.links.go_back(last, linked)
            raise
        self.erase(out)
        return ids

    def reserve(self, n: int, d: int, d_value: int | None) -> None:
        """Make room for ``n`` memories, so that adding them in parts copies nothing twice."""
        self.index.begin(d, d_value)
        self._reserve(n)

    def _reserve(self, n: int) -> None:
        for part in self._parts():
            for column in part.columns():
                column.reserve(n)

    def limit(self, d: int | None = None, d_value: int | None = None) -> Limit | None:
        """Return what may be held, None where there is no bound; of an empty store, with such keys and values."""
        if self.index.d is not None:
            d, d_value = self.index.d, self.index.d_value if self.index.has_values else None
        if d is None:
            return None
        if (d, d_value) not in self._limits:
            self._limits[d, d_value] = limit_of(self._configuration, d, d_value, self.durable is None)
        return self._limits[d, d_value]

    def make_room(self, n: int) -> None:
        """See that the arrays grow for ``n`` more rows, with some to spare, no further than the capacity allows.

        Forgotten rows may be taken out for it, so that the others have other numbers.
        """
        limit, rows = self.limit(), self.index.rows
        if limit is None or limit.rows is None or not rows:
            return
        if self.index.n_silent and rows + n > limit.rows:
            self.compact()
            rows = self.index.rows
        if rows and rows + n <= limit.rows and min(column.room for column in self.index.columns()) < rows + n:
            self._reserve(min(max(rows + n, rows + rows // 8), limit.rows))

    def keep_within(self) -> None:
        """Give back, at the end of a call, what makes the arrays take more bytes than the capacity allows."""
        limit = self.limit()
        if limit is None or limit.rows is None:
            return
        if self.index.rows > limit.rows:
            self.compact()
        self._trim()
        if limit.pathway is not None and self.vector.nbytes > limit.pathway:
            self.vector = as_pathway(self._configuration.pathway)  # it is made again when it is asked

    def _trim(self) -> None:
        """Give back what the arrays have to spare beyond the rows that the capacity allows."""
        if self._configuration.budget is None:
            return
        limit = self.limit()
        most = 0 if limit is None or limit.rows is None else limit.rows
        for column in (column for part in self._parts() for column in part.columns()):
            if column.room > max(most, len(column.rows)):
                column.put(column.rows.copy())

    def adopt(self, chunk: Chunk) -> None:
        """Add memories as the journal has them: in long-term memory, and not touched since they were stored."""
        self.make_room(len(chunk.ids))
        self.index.extend(chunk.keys, chunk.values)
        self.strengths.adopt(chunk.stored)
        self.catalog.extend(chunk.ids, np.full(len(chunk.ids), LONG))
        if self.links is not None:
            self.links.adopt(len(chunk.ids))

    def excite(self, rows: Rows, amounts: NDArray[np.float64], now: float) -> None:
        """Reinforce ``rows``, which then are in short-term memory; a row named twice is excited twice."""
        if len(rows) > 1:
            rows, place = np.unique(rows, return_inverse=True)
            every, amounts = amounts, np.zeros(len(rows))
            np.add.at(amounts, place, every)
        if self.adapting is not None:
            self.adapting.used(*self.strengths.modes(rows, now), amounts)
        self.strengths.excite(rows, amounts, now)
        flags = self.catalog.flags[rows]
        self.catalog.mark(rows, flags | USED)
        if self.durable is not None:
            self.durable.note(self.catalog.ids[rows])
        if not (flags & SHORT).all():
            self.erase(self.short.enter(rows[flags & SHORT == 0], self.catalog, self.strengths, now))

    @property
    def writes(self) -> bool:
        """Whether it may be changed."""
        return self.durable is None or self.durable.writes

    def check_writes(self) -> None:
        """Raise ``ReadOnly`` if it may not be changed."""
        if self.durable is not None:
            self.durable.check_writes()

    def pin(self, rows: Rows, pinned: bool, now: float) -> None:
        """Pin ``rows`` or take that back, and see it onto the disk."""
        self.check_writes()
        with self.pinning(rows, pinned):
            if self.durable is not None:
                self.durable.flush(self, now)

    @contextmanager
    def pinning(self, rows: Rows, pinned: bool = True) -> Iterator[None]:
        """Pin ``rows`` in the block, which writes that; if it cannot, they are as they were."""
        ids, before = self.catalog.ids[rows], self.catalog.flags[rows]
        self.catalog.mark(rows, before | PINNED if pinned else before & ~PINNED)
        if self.durable is not None:
            self.durable.note(ids)
        try:
            yield
        except BaseException:
            self.catalog.mark(rows, before)
            raise

    def merged(self, rows: Rows) -> None:
        """Take note that ``rows`` were merged into others, and forget them."""
        if self.durable is not None and len(rows):
            kept = self.catalog.alive() if self.links is not None else self.catalog.places(self.catalog.several())[0]
            self.durable.note(self.catalog.ids[kept])
        self.erase(rows)

    def empty_short(self) -> None:
        """Let all leave short-term memory."""
        if self.durable is not None:
            self.durable.note(self.catalog.ids[self.short.rows])
        self.erase(self.short.leave(self.short.rows, self.catalog))

    def forget(self, rows: Rows, now: float) -> None:
        """Forget ``rows``, on disk first: no byte of them is left."""
        if self.durable is None:
            self.erase(rows)
            return
        version = self.durable.journal.head.version
        try:
            self.durable.forget(self, rows, now)
        finally:
            if self.durable.journal.head.version > version:  # also when an interruption came after it was written
                self.drop(rows)
        self.durable.scrub(self)

    def erase(self, rows: Rows) -> None:
        """Forget ``rows`` here, and on disk with what is written next."""
        if len(rows):
            if self.durable is not None:
                self.durable.let_go(self.catalog.ids[rows])
            self.drop(rows)

    def drop(self, rows: Rows) -> None:
        """Forget ``rows`` here: no byte of them is left."""
        if not len(rows):
            return
        self._going = rows
        self.finish()
        if self.index.rows <= SMALL or self.index.n_silent > self.index.rows // 8:
            self.compact()

    def finish(self) -> None:
        """Forget what is to go, also what an interrupted call left half forgotten."""
        rows = self._going
        if not len(rows):
            return
        self.vector.forget(rows)
        self.index.erase(rows)
        self.strengths.erase(rows)
        if self.links is not None:
            self.links.erase(rows)
        self.catalog.erase(rows)
        self.short.drop_gone(self.catalog)
        self._going = NONE

    def compact(self) -> None:
        """Take the forgotten rows out."""
        if not self.index.n_silent:
            return
        kept = self.index.alive()
        place = np.full(self.index.rows, -1, np.intp)
        place[kept] = np.arange(len(kept))
        fresh = [(column, column.rows[kept]) for part in self._parts() for column in part.columns()]
        with undisturbed():  # half moved, rows of one memory would stand beside those of another
            for column, rows in fresh:
                column.put(rows)
            self.catalog.payloads.keep(kept)
            self.short.rows = place[self.short.rows]
            self.vector.moved(place)
            self.index.compacted()
            if self.links is not None:
                self.links.moved(place)
            self.fingerprints.moved(place)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = sum(part.nbytes for part in self._parts())
        adapting = 0 if self.adapting is None else self.adapting.nbytes
        return held + self.vector.nbytes + self.short.rows.nbytes + self.fingerprints.nbytes + adapting

    def _parts(self) -> list[Index | Strengths | Catalog | Links]:
        parts: list[Index | Strengths | Catalog | Links] = [self.index, self.strengths, self.catalog]
        return parts if self.links is None else [*parts, self.links]

    def undo(self, rows: int, next_id: int, short: tuple[Rows, NDArray[np.uint8]]) -> None:
        """Go back to the first ``rows``, whatever part of the others was written."""
        self.index.truncate(rows)
        self.vector.truncate(rows)
        self.catalog.truncate(rows, next_id)
        for part in (self.strengths, self.links):
            for column in [] if part is None else part.columns():
                column.truncate(min(rows, len(column.rows)))
        self.short.go_back(short, self.catalog)
        self.fingerprints.truncate(rows)
        self._trim()

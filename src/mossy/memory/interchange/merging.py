"""Adding the memories of an export to a memory, merging by id."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.errors import FullMemory, InvalidInput, InvalidParameter, InvalidShape, InvalidTime
from mossy.journal import LINK_MODES, decode, state_dtype
from mossy.memory.catalog import LONG, PINNED, SHORT, USED
from mossy.memory.configuration import Configuration
from mossy.memory.interchange.form import Progress, files_of
from mossy.memory.interchange.joining import LEAST, Linked, join, join_links
from mossy.memory.interchange.planning import Plan, make_plan
from mossy.memory.interchange.reading import Batch, Export, Header, Line
from mossy.memory.results import Imported
from mossy.memory.short_term import NONE
from mossy.memory.store import Store

__all__ = ["import_"]

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]


def import_(
    store: Store,
    configuration: Configuration,
    clock: str,
    path: str | os.PathLike[str],
    now: float,
    progress: Progress | None = None,
) -> Imported:
    """Add the memories of an export to a store.

    Parameters
    ----------
    store, configuration, clock
        What they are added to, how it is set, and by which clock it goes.
    path
        ``NAME`` or ``NAME.jsonl``.
    now
        The time.
    progress
        Is told how much is done, and of how much.

    Raises
    ------
    NotAMemory, NewerLayout, Damaged, NotFinite
        It is no export, or a damaged one; nothing was imported.
    InvalidShape, InvalidParameter, InvalidTime
        Its patterns, its clock or its time do not go with this memory; nothing was imported.
    FullMemory
        It has more memories than the capacity allows; nothing was imported.
    ReadOnly, NoRoom, JournalError
        A durable memory could not write; whole batches may have been imported, and importing again completes it.
    """
    store.check_writes()
    export = Export(*files_of(path))
    _check_goes_with(export, store, clock, now)
    merging = _Merging(store, configuration, export, now, progress)
    return merging.done()


def _check_goes_with(export: Export, store: Store, clock: str, now: float) -> None:
    header, index = export.header, store.index
    if header.clock != clock:
        raise InvalidParameter(
            f"import_: {export.path} was written by a clock of {header.clock}, and this memory has one of {clock}; "
            "their times cannot be compared. Import it into a memory with such a clock."
        )
    if header.now > now:
        raise InvalidTime(
            f"import_: {export.path} was written at the time {header.now:.17g}, and the clock of this memory shows "
            f"{now:.17g}; a strength does not come from the future. Set the clock right, or wait."
        )
    if header.memories and index.d is not None:
        given = header.d, header.d_value
        allowed = index.d, index.d_value if index.has_values else None
        if given != allowed:
            raise InvalidShape(
                f"import_: {export.path} has patterns of {_words(*given)}, and this memory of {_words(*allowed)}; "
                "import it into another memory."
            )


def _words(d: int | None, d_value: int | None) -> str:
    return f"{d} entries" + (" without values" if d_value is None else f" with values of {d_value}")


def _check_room(store: Store, configuration: Configuration, header: Header, plan: Plan) -> None:
    limit, added = store.limit(header.d, header.d_value), int(plan.new.sum())
    if limit is not None and len(store.index) + added > limit.without(store.catalog.names_of_several):
        is_bytes = configuration.budget is not None
        capacity = f"{configuration.capacity}{f', or {limit.memories} memories' if is_bytes else ''}"
        raise FullMemory(
            f"import_: the capacity is {capacity}, {len(store.index)} memories are here, and {added} more would come. "
            "Raise the capacity, or forget some first. Nothing was imported."
        )


@final
class _Merging:
    """One import."""

    def __init__(
        self, store: Store, configuration: Configuration, export: Export, now: float, progress: Progress | None
    ) -> None:
        self._store, self._export, self._now = store, export, now
        self._progress, self._read = progress, 0
        told, own = export.header.configuration, json.loads(json.dumps(configuration.as_dict()))
        self._same_law = all(told.get(name) == own[name] for name in ("law", "law_parameters"))
        if self._same_law and export.header.modes != store.strengths.law.modes:
            export.refuse(1, f"{export.header.modes} modes were given, which its law has not")
        if self._same_law and export.header.link_modes != min(export.header.modes, LINK_MODES):
            export.refuse(1, f"{export.header.link_modes} modes of links were given, which its law has not")
        self._dtype = state_dtype(store.strengths.law.modes, 0 if store.links is None else store.links.most)
        self._shape = _shape_of(store)
        store.make_room(export.header.memories)
        self._plan = make_plan(store, configuration.keeps_duplicates, export, self._tell)
        _check_room(store, configuration, export.header, self._plan)
        self._entering = self._who_enters()
        self._aliases = dict(self._plan.aliases)  # those that are not taken over yet

    def done(self) -> Imported:
        """Write it, and return what was done."""
        plan, export = self._plan, self._export
        if export.is_small:
            for batch in export.batches() if len(plan.targets) else [None]:
                self._write(batch, last=True)
                self._tell(len(plan.targets))
        else:
            linked = plan.linked if self._store.links is not None else np.zeros(len(plan.linked), bool)
            for wanted in (~plan.again, plan.again, linked):  # ids rise; and links need both their ends
                for batch in export.batches(wanted):
                    self._write(batch)
                    export.begun()
                    self._tell(len(batch.lines))
            self._write(None, last=True)
        added = int(plan.new.sum())
        return Imported(added, len(plan.new) - added, dict(plan.renamed))

    def _tell(self, read: int) -> None:
        total = 2 * len(self._export.ids)
        self._read = min(self._read + read, total)
        if self._progress is not None:
            self._progress(self._read, total)

    def _who_enters(self) -> dict[int, int]:
        """Return which of the new memories come into short-term memory, where nothing leaves for them, and their order.

        Of more than it has room for, the last.
        """
        short, places = self._export.header.short_term, self._export.ids
        at = np.minimum(np.searchsorted(places, short), max(len(places) - 1, 0))
        told = [i for i, id in zip(at.tolist(), short, strict=True) if len(places) and places[i] == id]
        new = self._plan.targets[[i for i in told if self._plan.new[i]]].tolist()
        room = max(0, self._store.short.size - len(self._store.short.rows))
        return {id: order for order, id in enumerate(new[len(new) - min(room, len(new)) :])}

    # -- one commit -----------------------------------------------------------------------------------------------

    def _write(self, batch: Batch | None, last: bool = False) -> None:
        """Add and join a batch, all of it or nothing; with the last one further ids are taken over."""
        store = self._store
        if _shape_of(store) != self._shape:
            raise InvalidInput("import_: progress changed the memory; it must not. Import again to complete it.")
        targets = np.empty(0, np.int64) if batch is None else self._plan.targets[batch.places]
        if batch is not None:
            order = np.argsort(targets, kind="stable")
            batch, targets = batch.part(order), targets[order]
        rows, here = store.catalog.places(targets)
        with _all_or_nothing(store, rows[here], self._dtype):
            next_id = store.catalog.next_id
            changed = []
            if batch is not None:
                new = np.flatnonzero(~here)
                self._append(batch.part(new), targets[new])
                changed += [targets[new], self._join(batch.part(np.flatnonzero(here)), rows[here])]
                changed.append(self._link(batch, targets))
            if last:  # no id again that was one in the export
                store.catalog.next_id = max(store.catalog.next_id, self._plan.next_id)
            self._take_aliases()
            if store.catalog.next_id > next_id:  # the blocks at both ends of what was skipped
                changed.append(np.array([max(next_id - 1, 0), store.catalog.next_id - 1]))
            if store.durable is not None and (any(map(len, changed)) or last):
                added = None if batch is None else batch.part(np.flatnonzero(~here))
                self._commit(changed, store.catalog.present(targets[~here]), added)
        self._shape = _shape_of(store)

    def _append(self, batch: Batch, ids: Ids) -> None:
        """Add new memories, with rising ids."""
        store, lines = self._store, batch.lines
        if not lines:
            return
        modes, when = self._strengths(lines)
        enters = np.array([id in self._entering for id in ids.tolist()])
        flags = _flags(lines)
        flags[~enters] |= LONG
        flags[enters] |= SHORT
        store.make_room(len(ids))
        rows = store.index.extend(batch.keys, batch.values)
        store.strengths.restore({"modes": modes, "when": when})
        payloads = None
        if store.durable is None and any(line.payload is not None for line in lines):
            payloads = [decode(line.payload) for line in lines]
        store.catalog.extend(ids, flags)
        store.catalog.payloads.append(int(rows[0]), len(rows), payloads)
        if store.links is not None:
            store.links.adopt(len(rows))
        short = [*store.short.rows.tolist(), *rows[enters].tolist()]
        short.sort(key=lambda row: self._entering.get(int(store.catalog.ids[row]), -1))
        store.short.rows = np.array(short, np.intp)

    def _join(self, batch: Batch, rows: Rows) -> Ids:
        """Join memories that are here, in ``rows``, with what is told of them, and return the ids of the changed."""
        store, changed = self._store, []
        left = np.arange(len(rows))
        while len(left):  # several of the export may be one here
            first = left[np.unique(rows[left], return_index=True)[1]]
            left = np.setdiff1d(left, first)
            some, lines = rows[first], [batch.lines[i] for i in first.tolist()]
            records = np.zeros(len(some), state_dtype(store.strengths.law.modes, 0))
            store.strengths.describe(some, records)
            joined, when, new = join(store.strengths.law, records["modes"], records["when"], *self._strengths(lines))
            records["modes"], records["when"] = joined, when
            store.strengths.put(some[new], records[new])
            flags = store.catalog.flags[some]
            store.catalog.mark(some, flags | _flags(lines))
            changed.append(store.catalog.ids[some[new | (store.catalog.flags[some] != flags)]])
        return np.concatenate([np.empty(0, np.int64), *changed])

    def _link(self, batch: Batch, targets: Ids) -> Ids:
        """Join the links of a batch, as far as both ends are here; return the ids of the memories that changed."""
        links, catalog = self._store.links, self._store.catalog
        changed: list[int] = []
        for id, line in zip(targets.tolist(), batch.lines, strict=True):
            if links is None or not line.links:
                continue
            row = catalog.present(np.array([id]))
            record = np.zeros(1, self._dtype)
            links.describe(row, catalog.ids, record, NONE)
            here = _linked_in(record[0])
            joined = join_links(links.law, links.most, here, self._linked(line, id))
            if joined is not None:
                record["targets"], record["linked"], record["linked_when"] = -1, 0, joined.when
                record["targets"][0, : len(joined.ids)] = joined.ids
                record["linked"][0, : len(joined.ids)] = joined.modes
                links.put(row, record, catalog.places)
                changed.append(id)
        return np.array(changed, np.int64)

    def _linked(self, line: Line, own: int) -> Linked:
        """Return the links of a line, by the ids that the others have here; those that are not here are left out."""
        found = [(self._here(link.id), link) for link in line.links]
        found = [(id, link) for id, link in found if id not in (-1, own) and self._store.catalog.holds(id)]
        m = self._dtype["linked"].shape[1]
        modes = np.array([link.modes if self._same_law else [link.strength] * m for _, link in found]).reshape(-1, m)
        array = np.minimum(modes, np.finfo(np.float16).max).astype(np.float16)
        return Linked([id for id, _ in found], array, line.linked if self._same_law else self._export.header.now)

    def _here(self, id: int) -> int:
        """Return the id here of a memory of the export, -1 if there is none."""
        place = int(np.searchsorted(self._export.ids, id))
        if place < len(self._export.ids) and self._export.ids[place] == id:
            return int(self._plan.targets[place])
        return self._plan.aliases.get(id, self._plan.renamed.get(id, -1))

    def _strengths(self, lines: list[Line]) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return modes ``(n, m)`` and their times; under another law, an event of the strength at the export."""
        if self._same_law:
            modes = np.array([line.modes for line in lines])
            when = np.array([line.when for line in lines])
        else:
            strength = np.array([[line.strength] for line in lines])
            modes = np.repeat(strength, self._store.strengths.law.modes, axis=1)
            when = np.full(len(lines), self._export.header.now)
        return np.maximum(modes, LEAST).astype(np.float32), when

    def _take_aliases(self) -> None:
        """Take over further ids of memories that are here, as far as no memory can come that has them."""
        catalog = self._store.catalog
        ready = [id for id, target in self._aliases.items() if id < catalog.next_id and catalog.holds(target)]
        if ready:
            merged = dict(catalog.merged)
            for id in ready:
                target = self._aliases.pop(id)
                merged[target] = tuple(sorted({*merged.get(target, (target,)), id}))
            catalog.rename(merged)
            catalog.renamings += 1

    def _commit(self, changed: list[Ids], rows: Rows, added: Batch | None) -> None:
        """Write what changed, and the memories that were added in ``rows``."""
        store = self._store
        if store.durable is None:
            return
        for ids in changed:
            store.durable.note(ids)
        stored, payloads = [], []
        for line in [] if added is None else added.lines:
            stored.append(line.when if line.stored is None else line.stored)
            payloads.append(line.payload)
        store.durable.brought(store, rows, np.array(stored), payloads, self._now)


@contextmanager
def _all_or_nothing(store: Store, rows: Rows, dtype: np.dtype[Any]) -> Iterator[None]:
    """Have the store as it was before if the block fails; ``rows`` are those that it changes."""
    catalog, durable = store.catalog, store.durable
    before, next_id, short = store.index.rows, catalog.next_id, store.short.mark(catalog)
    version = 0 if durable is None else durable.journal.head.version
    merged, renamings, flags = dict(catalog.merged), catalog.renamings, catalog.flags[rows]
    records = np.zeros(len(rows), dtype)
    store.strengths.describe(rows, records)
    if store.links is not None:
        store.links.describe(rows, catalog.ids, records, NONE)
    try:
        yield
    except BaseException:
        if durable is None or durable.journal.head.version == version:
            store.undo(before, next_id, short)
            store.strengths.put(rows, records)
            catalog.mark(rows, flags)
            if store.links is not None:
                store.links.put(rows, records, catalog.places)
            if catalog.renamings != renamings:
                catalog.rename(merged)
        raise


def _linked_in(record: Any) -> Linked:
    """Return the links of a record."""
    there = np.flatnonzero(record["linked"].any(axis=1))
    return Linked(record["targets"][there].tolist(), record["linked"][there], float(record["linked_when"]))


def _shape_of(store: Store) -> tuple[int, int, int, int]:
    return store.catalog.next_id, store.index.rows, len(store.index), store.catalog.renamings


def _flags(lines: list[Line]) -> NDArray[np.uint8]:
    """Return the flags that lines tell."""
    told = np.array([(line.pinned, line.used, line.long_term) for line in lines]).reshape(len(lines), 3)
    return np.asarray(told @ np.array([PINNED, USED, LONG]), np.uint8)

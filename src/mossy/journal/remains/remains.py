"""The rows of a journal that are intact, wherever in the file and its log they lie."""

from __future__ import annotations

import struct
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mossy.journal.remains.pages import LARGEST, LEAF, Cell, Image, Pages
from mossy.journal.rows import crc_of_row, crc_of_state, is_whole

__all__ = ["Remains", "Row", "look_through"]

Ids = NDArray[np.int64]
Row = tuple[int, Any, Any, Any, Any, Any]  # id, stored, key, value, payload, crc: of a damaged row anything

NAMES = ("configuration", "head", "merged", "salt", "short")
TRIED = 4  # copies of one damaged row that are kept in mind


@final
@dataclass
class Remains:
    """Where the rows are that fit their checksums: the number of an image, times ``LARGEST``, plus the place in it.

    A row of a memory is written once and then emptied once, and every number names one memory for good. So it does not
    matter how old an image is: a memory is there if a row of it is, unless an empty one is.

    Attributes
    ----------
    ids, places
        The memories, rising, and where their rows are.
    damaged
        Places of rows that do not fit their checksum, by the id that they tell.
    empty
        The ids of empty rows.
    state
        The latest state of each block: its version and its place.
    parts
        The place of each part of the weights.
    entries
        Configuration, head and small arrays, as they stand on disk.
    """

    pages: Pages
    ids: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    places: Ids = field(default_factory=lambda: np.empty(0, np.int64))
    damaged: dict[int, list[int]] = field(default_factory=dict)
    empty: set[int] = field(default_factory=set)
    state: dict[int, tuple[int, int]] = field(default_factory=dict)
    parts: dict[int, int] = field(default_factory=dict)
    entries: dict[str, bytes | None] = field(default_factory=dict)

    def row(self, place: int) -> Row:
        """Return the row of a memory, or what is left of it."""
        cell = self._cell(place)
        return _as_row(cell)

    def rows(self) -> Iterator[Row]:
        """Yield the rows of the memories, and what is left of those that are damaged, by rising ids."""
        places = dict(zip(self.ids.tolist(), self.places.tolist(), strict=True))
        lost = {id: tried[-1] for id, tried in self.damaged.items() if id not in self.empty}
        for id in sorted(places | lost):
            yield self.row(places.get(id, lost.get(id, 0)))

    def blocks(self) -> Iterator[tuple[int, int, bytes, int]]:
        """Yield block, version, content and checksum of the state."""
        for block, (version, place) in sorted(self.state.items()):
            content = self.content(place)
            yield block, version, content, crc_of_state(block, version, content)

    def weights(self) -> Iterator[tuple[int, bytes, int]]:
        """Yield number, content and checksum of the parts of the weights."""
        for part, place in sorted(self.parts.items()):
            content = self.content(place)
            yield part, content, crc32(content, part)

    def content(self, place: int) -> bytes:
        """Return the content of a block of state or of a part of the weights."""
        columns = self._cell(place).columns
        content = columns[2] if len(columns) == 4 else columns[1]
        return bytes(content)

    def _cell(self, place: int) -> Cell:
        cell = self.pages.cell(self.pages.image(place // LARGEST), place % LARGEST)
        if cell is None:
            raise LookupError(place)
        return cell

    def __bool__(self) -> bool:
        return bool(len(self.ids) or self.entries or self.state or self.parts)


def look_through(pages: Pages, progress: Callable[[int, int], None]) -> Remains:
    """Return what is intact in these pages."""
    search = _Search(Remains(pages))
    for image in pages:
        search.look(image)
        progress(image.number + 1, len(pages))
    return search.done()


@final
class _Search:
    """Takes in image after image, the oldest first."""

    def __init__(self, remains: Remains) -> None:
        self._remains = remains
        self._ids, self._places = array("q"), array("q")

    def look(self, image: Image) -> None:
        """Take in what a page holds; of one that is damaged itself, whatever in it looks like a row and is one."""
        if not image.content.strip(b"\0"):
            return
        pages = self._remains.pages
        kind, cells = pages.places(image)
        sound = bool(cells)
        for place in cells:
            sound &= self._take(image, place, kind)
        if not sound:
            for name in NAMES:
                for columns in pages.named(image, name.encode()):
                    self._take_entry(columns)
            for place in pages.scattered(image):
                self._take(image, place, LEAF)
            for place in cells:  # what the page itself points at has the last word
                self._take(image, place, kind)

    def done(self) -> Remains:
        """Return what was found."""
        found = self._remains
        ids, first = np.unique(np.array(self._ids, np.int64), return_index=True)
        kept = ~np.isin(ids, np.fromiter(found.empty, np.int64, len(found.empty)))
        found.ids, found.places = ids[kept], np.array(self._places, np.int64)[first][kept]
        for id in found.ids.tolist():
            found.damaged.pop(id, None)
        return found

    def _take(self, image: Image, place: int, kind: int) -> bool:
        """Take in a row, and return whether it is sound, as far as that can be told."""
        cell = self._remains.pages.cell(image, place, kind)
        if cell is None:
            return False
        columns = cell.columns
        if kind != LEAF:
            return len(columns) != 3 or self._take_entry(columns)
        take = _KINDS.get(len(columns))
        return take is None or take(self, image, image.number * LARGEST + place, cell)

    def _take_memory(self, image: Image, place: int, cell: Cell) -> bool:
        id, *rest = _as_row(cell)
        if all(one is None for one in rest):
            self._remains.empty.add(id)
            return True
        if is_whole(*rest[1:4]) and _fits(lambda: crc_of_row(id, *rest[:4]), rest[4]):
            self._ids.append(id)
            self._places.append(place)
            return True
        tried = self._remains.damaged.setdefault(id, [])
        if len(tried) < TRIED and place not in tried:
            tried.append(place)
        return False

    def _take_state(self, image: Image, place: int, cell: Cell) -> bool:
        block, (_, version, content, crc) = cell.rowid or 0, cell.columns
        if not _fits(lambda: crc_of_state(block, version, content), crc):
            return False
        if version >= self._remains.state.get(block, (-1, 0))[0]:
            self._remains.state[block] = version, place
        return True

    def _take_part(self, image: Image, place: int, cell: Cell) -> bool:
        """Take in a part of the weights: of those that are written over and over the latest that was surely written."""
        part, (_, content, crc) = cell.rowid or 0, cell.columns
        if not _fits(lambda: crc32(content, part), crc):
            return False
        if image.sure:
            self._remains.parts[part] = place
        return True

    def _take_entry(self, columns: list[Any]) -> bool:
        if len(columns) != 3:
            return False
        name, content, crc = columns
        if name not in NAMES or not _fits(lambda: crc32(content, crc32(name.encode())), crc):
            return False
        self._remains.entries[name] = content
        return True


_KINDS: dict[int, Callable[[_Search, Image, int, Cell], bool]] = {
    6: _Search._take_memory,
    4: _Search._take_state,
    3: _Search._take_part,
}


def _as_row(cell: Cell) -> Row:
    _, stored, key, value, payload, crc = cell.columns
    return cell.rowid or 0, float(stored) if isinstance(stored, int) else stored, key, value, payload, crc


def _fits(checksum: Callable[[], int], told: object) -> bool:
    try:
        return checksum() == told
    except (TypeError, ValueError, OverflowError, struct.error):  # a column of another type than was written
        return False

"""The pages of an SQLite file and of its log, read without SQLite, which a torn file may not let open.

Nothing is judged here: the rows of a journal carry checksums, and whoever reads them compares. Of the format it needs
the leaves of its trees, the chains of what does not fit into a leaf, and the frames of the log:
https://www.sqlite.org/fileformat2.html.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from mossy.journal.layout import PAGE

__all__ = ["LARGEST", "MAGIC", "Cell", "Image", "Log", "Pages", "is_open_here"]

MAGIC = b"SQLite format 3\0"
LARGEST = 1 << 16  # bytes of a page
HEADER = 100  # bytes before the tree in the first page
LEAF, INDEX_LEAF, INDEX_INTERIOR = 0x0D, 0x0A, 0x02
POINTERS = {LEAF: 8, INDEX_LEAF: 8, INDEX_INTERIOR: 12}  # where the places of the cells stand in a page

LOG_HEADER, FRAME_HEADER = 32, 24
LOG_MAGIC = {b"\x37\x7f\x06\x82": "<u4", b"\x37\x7f\x06\x83": ">u4"}
FRAME = struct.Struct(">II8s8s")  # page number, pages after a commit (else 0), salt, checksum

SIZES = [1 << power for power in range(9, 17)]
RESERVED = 64  # bytes at the end of a page that some builds of SQLite keep for themselves, at most
SHORTEST, LONGEST = 4, 40  # bytes of the header of a row
CACHED = 256  # pages


class Image(NamedTuple):
    """One page as it stands in the file or in the log: a number that rises with its age, and what it holds.

    ``sure`` is false for what the log holds behind a damaged frame, which SQLite does not look at.
    """

    number: int
    page: int
    sure: bool
    content: bytes


class Cell(NamedTuple):
    """A row of a tree: its rowid (None in an index) and its columns."""

    rowid: int | None
    columns: list[Any]


class _Frame(NamedTuple):
    page: int
    commit: bool
    sound: bool


@final
class Log:
    """The frames of a log, up to the last commit.

    Those of one generation share a salt: behind a damaged frame, where SQLite does not look, one sees by it what was
    committed.

    Parameters
    ----------
    path
        The file; its log lies beside it, if there is one.
    size
        The bytes of a page, if the log does not tell them.

    Attributes
    ----------
    pages
        The number of the page in each frame.
    sure
        How many frames SQLite sees.
    torn
        The first damaged frame before the last commit, None if there is none.
    """

    def __init__(self, path: Path, size: int = PAGE) -> None:
        try:
            self._file: int | None = os.open(path.with_name(path.name + "-wal"), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            self._file = None
        self._size = size
        frames = [] if self._file is None else self._read_all()
        self.sure = max((i + 1 for i, frame in enumerate(frames) if frame.commit and frame.sound), default=0)
        self.pages = [frame.page for frame in frames]
        self.torn = None if self.sure == len(frames) else self.sure

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def content(self, number: int) -> bytes:
        """Return the page in a frame."""
        return self._frame(number)[FRAME_HEADER:].ljust(self._size, b"\0")

    def _frame(self, number: int) -> bytes:
        length = FRAME_HEADER + self._size
        return b"" if self._file is None else os.pread(self._file, length, LOG_HEADER + number * length)

    def _read_all(self) -> list[_Frame]:
        header = b"" if self._file is None else os.pread(self._file, LOG_HEADER, 0)
        words = LOG_MAGIC.get(header[:4], "<u4")
        state = _checksum(np.frombuffer(header[:24].ljust(24, b"\0"), words), np.zeros(2, np.uint32))
        sound = header[:4] in LOG_MAGIC and len(header) == LOG_HEADER and state.astype(">u4").tobytes() == header[24:]
        if sound:
            self._size = int.from_bytes(header[8:12], "big")
        salt = header[16:24] if sound else b""
        frames: list[_Frame] = []
        while len(content := self._frame(len(frames))) == FRAME_HEADER + self._size:
            page, commit, own, checksum = FRAME.unpack_from(content)
            state = _checksum(np.frombuffer(content[:8], words), state)
            state = _checksum(np.frombuffer(content[FRAME_HEADER:], words), state)
            sound = sound and own == salt and state.astype(">u4").tobytes() == checksum
            salt = salt or own
            frames.append(_Frame(page, commit > 0 and own == salt, sound))
        last = max((i + 1 for i, frame in enumerate(frames) if frame.commit), default=0)
        return frames[:last]


@final
class Pages:
    """The pages of one file and of its log.

    Parameters
    ----------
    path
        The file; its log is looked for beside it.

    Attributes
    ----------
    size
        The bytes of a page.
    header
        The beginning of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.header = os.pread(self._file, HEADER, 0)
        self.size, reserved = _sizes(self.header)
        self._usable = self.size - reserved
        self._in_file = -(-os.fstat(self._file).st_size // self.size)
        self._log = Log(path, self.size)
        self._latest = {page: self._in_file + i for i, page in enumerate(self._log.pages)}
        self._latest_sure = {page: self._in_file + i for i, page in enumerate(self._log.pages[: self._log.sure])}
        self._cached = lru_cache(CACHED)(self._read)

    def close(self) -> None:
        """Close the files; the first only if nothing else in this process has it open.

        Closing any handle of a file takes all locks away that this process has on it, SQLite's too.
        """
        self._log.close()
        if not is_open_here(self._path, self._file):
            os.close(self._file)

    def __len__(self) -> int:
        return self._in_file + len(self._log.pages)

    def __enter__(self) -> Pages:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __iter__(self) -> Iterator[Image]:
        """Yield every page there is: those of the file, and then those of the log, the latest last."""
        return (self.image(number) for number in range(len(self)))

    def image(self, number: int) -> Image:
        """Return one page."""
        content = self._cached(number)
        if number < self._in_file:
            return Image(number, number + 1, True, content)
        frame = number - self._in_file
        return Image(number, self._log.pages[frame], frame < self._log.sure, content)

    def places(self, image: Image) -> tuple[int, list[int]]:
        """Return of what kind a page is, and where its cells begin; no cells of a page that has none to read."""
        start = HEADER if image.page == 1 else 0
        kind = image.content[start]
        if kind not in POINTERS:
            return kind, []
        count = int.from_bytes(image.content[start + 3 : start + 5], "big")
        first = start + POINTERS[kind]
        pointers = np.frombuffer(image.content[first : first + 2 * min(count, self.size // 4)].ljust(2, b"\0"), ">u2")
        return kind, pointers.tolist()[:count]

    def cell(self, image: Image, place: int, kind: int = LEAF) -> Cell | None:
        """Return the cell at a place, None if there is none."""
        content = image.content
        try:
            if kind == INDEX_INTERIOR:
                place += 4
            size, place = _varint(content, place)
            rowid = None
            if kind == LEAF:
                rowid, place = _varint(content, place)
            row = self._row(image, place, size, kind)
            return None if row is None else Cell(rowid, _columns(row))
        except (IndexError, struct.error, OverflowError):
            return None

    def scattered(self, image: Image) -> Iterator[int]:
        """Yield where a cell of the kind that the tables of a journal have may begin, wherever in the page.

        Its columns begin with NULL, which stands for the rowid, and a number.
        """
        page = np.frombuffer(image.content, np.uint8)
        first, second, third = page[:-2], page[1:-1], page[2:]
        like = (first >= SHORTEST) & (first <= LONGEST) & (second == 0) & (third >= 1) & (third <= 9)
        for place in np.flatnonzero(like).tolist():
            try:
                size = _size_of_row(image.content, place)
            except IndexError:
                continue
            told = _as_varint(size)
            for length in range(1, 10):
                begin = place - length - len(told)
                if (
                    begin >= 0
                    and image.content[begin : place - length] == told
                    and _varint(image.content, place - length)[1] == place
                ):
                    yield begin

    def named(self, image: Image, name: bytes) -> Iterator[list[Any]]:
        """Yield what may be a row of an index that begins with this text, wherever in the page."""
        place = image.content.find(name)
        while place >= 0:
            for begin in range(max(place - LONGEST, 0), place):
                if image.content[begin] == place - begin and image.content[begin + 1] == 13 + 2 * len(name):
                    row = self._row_at(image, begin)
                    if row is not None:
                        yield row
            place = image.content.find(name, place + 1)

    # -- inside ---------------------------------------------------------------------------------------------------

    def _row_at(self, image: Image, place: int) -> list[Any] | None:
        try:
            row = self._row(image, place, _size_of_row(image.content, place), INDEX_LEAF)
            return None if row is None else _columns(row)
        except (IndexError, struct.error, OverflowError):
            return None

    def _row(self, image: Image, place: int, size: int, kind: int) -> bytes | None:
        """Return the bytes of a row that begins at ``place``, with what of it lies in other pages."""
        usable = self._usable
        if not 0 < size <= len(self) * usable:
            return None
        most = usable - 35 if kind == LEAF else (usable - 12) * 64 // 255 - 23
        if size <= most:
            row = image.content[place : place + size]
            return row if len(row) == size else None
        least = (usable - 12) * 32 // 255 - 23
        local = least + (size - least) % (usable - 4)
        local = least if local > most else local
        parts = [image.content[place : place + local]]
        (following,) = struct.unpack_from(">I", image.content, place + local)
        left = size - local
        while left > 0:
            content = self._page(following, image.sure)
            if content is None:
                return None
            parts.append(content[4 : 4 + min(left, usable - 4)])
            left -= usable - 4
            following = int.from_bytes(content[:4], "big")
        return b"".join(parts)

    def _page(self, page: int, sure: bool) -> bytes | None:
        """Return the latest content of a page, None if there is no such page."""
        number = (self._latest_sure if sure else self._latest).get(page)
        if number is None and not 1 <= page <= self._in_file:
            return None
        return self._cached(page - 1 if number is None else number)

    def _read(self, number: int) -> bytes:
        if number >= self._in_file:
            return self._log.content(number - self._in_file)
        return os.pread(self._file, self.size, number * self.size).ljust(self.size, b"\0")


def _sizes(start: bytes) -> tuple[int, int]:
    """Return the bytes of a page, and how many of them SQLite keeps for itself, as the header says if it is sound."""
    size = int.from_bytes(start[16:18], "big")
    size = LARGEST if size == 1 else size
    sound = start[:16] == MAGIC and len(start) == HEADER and size in SIZES and start[20] <= RESERVED
    return (size, start[20]) if sound else (PAGE, 0)


def is_open_here(path: Path, but: int = -1) -> bool:
    """Return whether this process has a file open, by another handle than ``but``."""
    there = os.stat(path)
    for name in os.listdir("/dev/fd"):
        try:
            if int(name) != but and os.path.samestat(os.fstat(int(name)), there):
                return True
        except OSError:  # that of the folder that was listed
            continue
    return False


# -- rows ---------------------------------------------------------------------------------------------------------


def _varint(content: bytes, place: int) -> tuple[int, int]:
    """Return a number of variable length, and where the next thing begins."""
    value = 0
    for length in range(8):
        byte = content[place + length]
        value = value << 7 | byte & 127
        if byte < 128:
            return value, place + length + 1
    value = value << 8 | content[place + 8]
    return value - (1 << 64) if value >= 1 << 63 else value, place + 9


def _as_varint(value: int) -> bytes:
    """Return a number that fits seven bytes as SQLite writes it."""
    groups = [value & 127]
    while value := value >> 7:
        groups.append(value & 127 | 128)
    return bytes(reversed(groups))


WIDTHS = (0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0)  # bytes of NULL, six integers, a float, 0, 1, and two that are not used


def _types(row: bytes, place: int) -> tuple[list[int], int]:
    """Return the types of the columns of a row, and where its content begins, or raise ``IndexError``."""
    length, at = _varint(row, place)
    types = []
    while at < place + length:
        kind, at = _varint(row, at)
        types.append(kind)
    if length < 1 or min(types, default=0) < 0:
        raise IndexError
    return types, place + length


def _width(kind: int) -> int:
    return WIDTHS[kind] if kind < len(WIDTHS) else (kind - 12) // 2


def _size_of_row(row: bytes, place: int) -> int:
    types, begin = _types(row, place)
    return begin - place + sum(map(_width, types))


def _columns(row: bytes) -> list[Any]:
    types, at = _types(row, 0)
    columns: list[Any] = []
    for kind in types:
        part = row[at : at + _width(kind)]
        if len(part) != _width(kind):
            raise IndexError
        at += len(part)
        columns.append(_value(kind, part))
    return columns


def _value(kind: int, part: bytes) -> Any:
    if kind >= 12:
        return part if kind % 2 == 0 else part.decode(errors="replace")
    if kind == 7:
        return struct.unpack(">d", part)[0]
    if kind in (8, 9):
        return kind - 8
    return int.from_bytes(part, "big", signed=True) if part else None


# -- the log ------------------------------------------------------------------------------------------------------


@lru_cache(4)
def _weights(n: int) -> NDArray[np.uint32]:
    """Return by what ``n`` pairs of words enter the checksum of the log, ``(2, 2, n)``, and the state ``(2, 2)`` last.

    SQLite adds word after word: ``s₀ ← s₀ + x₀ + s₁``, ``s₁ ← s₁ + x₁ + s₀``, modulo 2³², which is linear.
    """
    power, step = np.eye(2, dtype=np.uint32), np.array([[1, 1], [1, 2]], np.uint32)
    enters = np.array([[1, 0], [1, 1]], np.uint32)
    weights = np.empty((n + 1, 2, 2), np.uint32)
    for i in range(n - 1, -1, -1):
        weights[i] = power @ enters
        power = power @ step
    weights[n] = power
    return weights


def _checksum(words: NDArray[Any], state: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Return the checksum of the log after these words."""
    pairs = words.astype(np.uint32).reshape(-1, 2)
    weights = _weights(len(pairs))
    told = weights[-1] @ state
    entered = (weights[:-1] * pairs[:, None, :]).sum(axis=(0, 2), dtype=np.uint32)
    return np.asarray(told + entered, np.uint32)

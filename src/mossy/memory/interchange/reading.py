"""Reading an export a part at a time, and refusing by name what is no export or a damaged one."""

from __future__ import annotations

import json
import math
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import LARGEST
from mossy.clock import LATEST
from mossy.errors import Damaged, InvalidDtype, MossyError, NewerLayout, NotAMemory, NotFinite
from mossy.journal import on_disk
from mossy.memory.interchange.form import AT_ONCE, FORMAT, VERSION, encoded

__all__ = ["Batch", "Export", "Line", "Link"]

Ids = NDArray[np.int64]

# What reading a zip that is none, or an array that is none, may raise.
BROKEN = (zipfile.BadZipFile, zlib.error, struct.error, EOFError, LookupError, ValueError, OverflowError, RuntimeError)
BYTES_AT_ONCE = 1 << 26  # of lines
MOST = 1e30  # no mode of a strength is above it
HIGHEST = 1 << 53  # no id is above it, so that other programs can read it as a number


class Link(NamedTuple):
    """A link to another memory."""

    id: int
    strength: float
    modes: list[float]


class Line(NamedTuple):
    """One memory, without its arrays."""

    id: int
    ids: list[int]
    stored: float | None
    pinned: bool
    used: bool
    long_term: bool
    strength: float
    when: float
    modes: list[float]
    linked: float
    links: list[Link]
    payload: bytes | None


class Batch(NamedTuple):
    """Some memories: their places in the export ``(b,)``, lines, keys ``(b, d)`` and values ``(b, d_value)``."""

    places: NDArray[np.intp]
    lines: list[Line]
    keys: NDArray[np.float32]
    values: NDArray[np.float32] | None

    def part(self, which: NDArray[np.intp]) -> Batch:
        """Return those of them that ``which`` names, in its order."""
        values = None if self.values is None else self.values[which]
        return Batch(self.places[which], [self.lines[i] for i in which.tolist()], self.keys[which], values)


@final
class Header:
    """The first line.

    Parameters
    ----------
    told
        What it tells.

    Raises
    ------
    ValueError, KeyError, TypeError
        It tells not what it must.
    """

    def __init__(self, told: dict[str, Any]) -> None:
        self.memories = _whole(told["memories"])
        self.d = None if told["d"] is None else _whole(told["d"])
        self.d_value = None if told["d_value"] is None else _whole(told["d_value"])
        self.next_id = _whole(told["next_id"])
        self.now = _time(told["now"])
        self.modes = _whole(told["modes"])
        self.link_modes = _whole(told["link_modes"])
        self.clock = _text(told["clock"])
        self.short_term = [_whole(id) for id in _list(told["short_term"])]
        self.configuration = _object(told["configuration"])
        self.checksums = {name: _whole(crc) for name, crc in _object(told["checksums"]).items()}
        if self.memories and not self.d:
            raise ValueError("there are memories, and no d")


@final
class Export:
    """One export; the lines are checked as they are read.

    Parameters
    ----------
    lines, arrays
        Its two files.

    Attributes
    ----------
    header
        Its first line.
    ids
        The ids of its memories, rising.

    Raises
    ------
    NotAMemory
        It is not there, or not an export.
    NewerLayout
        A newer mossy wrote it.
    Damaged, NotFinite
        The message says where.
    """

    def __init__(self, lines: Path, arrays: Path) -> None:
        self.path = lines
        self._arrays = arrays
        self._undone = "Nothing of it was imported."
        for path in (lines, arrays):
            if not path.is_file():
                raise NotAMemory(f"{path}: it is not there; an export is two files, {lines.name} and {arrays.name}.")
        with on_disk(lines), lines.open("rb") as file:
            self.header = self._header(file.readline())
        self._shapes = {"ids": (self.header.memories,), "keys": (self.header.memories, self.header.d or 0)}
        if self.header.d_value is not None:
            self._shapes["values"] = (self.header.memories, self.header.d_value)
        with self._open_arrays() as members:
            self.ids: Ids = _take(members["ids"], self.header.memories, (), np.int64)
        if (np.diff(self.ids) <= 0).any() or (len(self.ids) and not 0 <= self.ids[0] <= self.ids[-1] < HIGHEST):
            self._refuse_arrays("the ids do not rise")

    def refuse_id(self, id: int) -> NoReturn:
        """Raise ``Damaged`` for an id that several memories have."""
        raise Damaged(f"{self.path}: several memories have the id {id}. {self._undone}")

    def begun(self) -> None:
        """Take note that a part of it has been imported."""
        self._undone = "What came before it was imported; import it again when it is mended."

    @property
    def is_small(self) -> bool:
        """Whether all of it is one batch."""
        return self.header.memories <= AT_ONCE and self.path.stat().st_size <= BYTES_AT_ONCE

    def batches(self, wanted: NDArray[np.bool_] | None = None) -> Iterator[Batch]:
        """Yield the memories, or those that are wanted, in batches."""
        with on_disk(self.path), self._open_arrays() as members, self.path.open("rb") as file:
            file.readline()
            first = 0
            for texts in self._texts(file):
                places = np.arange(first, first + len(texts))
                first += len(texts)
                some = places if wanted is None else places[wanted[places]]
                lines = [self._line(place, *texts[place - places[0]]) for place in some.tolist()]
                keys = self._patterns(members, "keys", places)
                values = self._patterns(members, "values", places) if "values" in members else None
                if len(some):
                    kept = some - places[0]
                    yield Batch(some, lines, keys[kept], None if values is None else values[kept])
            for name, member in members.items():
                if name != "ids" and member.read(1):
                    self._refuse_arrays(f"{name} is longer than the lines")

    # -- lines ----------------------------------------------------------------------------------------------------

    def _texts(self, file: IO[bytes]) -> Iterator[list[tuple[int, bytes]]]:
        """Yield numbered lines, so many as may be held at once."""
        texts: list[tuple[int, bytes]] = []
        done = size = 0
        for number, text in enumerate(file, 2):
            if not text.strip():
                continue
            texts.append((number, text))
            done += 1
            size += len(text)
            if done > self.header.memories:
                self.refuse(number, f"the first line tells of {self.header.memories} memories, and here is one more")
            if len(texts) == AT_ONCE or size >= BYTES_AT_ONCE:
                yield texts
                texts, size = [], 0
        if done < self.header.memories:
            raise Damaged(
                f"{self.path}: it tells of {self.header.memories} memories, and {done} are there. {self._undone}"
            )
        if texts:
            yield texts

    def _header(self, text: bytes) -> Header:
        try:
            told = _object(json.loads(text))
            if told.get("format") != FORMAT:
                raise ValueError(f"its format is {told.get('format')!r}")
        except (ValueError, TypeError, RecursionError) as error:
            raise NotAMemory(f"{self.path}: it is not an export of mossy's: {error}.") from error
        if told.get("version") != VERSION:
            raise NewerLayout(
                f"{self.path}: it has version {told.get('version')!r} of the format, and this mossy knows {VERSION}."
            )
        try:
            return Header(told)
        except (ValueError, TypeError, KeyError) as error:
            self.refuse(1, _what(error))

    def _line(self, place: int, number: int, text: bytes) -> Line:
        try:
            told = _object(_JSON.decode(text.decode()))
            line = _checked(told, self.header)
        except (ValueError, TypeError, KeyError, OverflowError, RecursionError, InvalidDtype) as error:
            self.refuse(number, _what(error))
        if line.id != self.ids[place]:
            self.refuse(number, f"it is of memory {line.id}, and {self._arrays.name} has {self.ids[place]} there")
        return line

    def refuse(self, number: int, why: str) -> NoReturn:
        """Raise ``Damaged`` for a line."""
        raise Damaged(f"{self.path}: line {number} cannot be read: {why}. {self._undone}")

    # -- arrays ---------------------------------------------------------------------------------------------------

    @contextmanager
    def _open_arrays(self) -> Iterator[dict[str, IO[bytes]]]:
        """Open the members; each then stands at its first row."""
        try:
            with ExitStack() as stack, on_disk(self._arrays):
                archive = stack.enter_context(zipfile.ZipFile(self._arrays))
                members = {}
                for name, shape in self._shapes.items():
                    member = archive.getinfo(f"{name}.npy")
                    if self.header.checksums.get(name) != member.CRC:
                        raise ValueError(f"{name} does not fit the checksum in {self.path.name}")
                    members[name] = stack.enter_context(archive.open(member))
                    _check_shape(members[name], name, shape)
                yield members
        except BROKEN as error:
            if isinstance(error, MossyError):
                raise
            raise Damaged(f"{self._arrays}: it is torn, or not that of {self.path.name}: {_what(error)}.") from error

    def _patterns(self, members: dict[str, IO[bytes]], name: str, places: NDArray[np.intp]) -> NDArray[np.float32]:
        patterns = _take(members[name], len(places), self._shapes[name][1:], np.float32)
        wrong = ~(np.abs(patterns) <= LARGEST).all(axis=1)
        if wrong.any():
            raise NotFinite(
                f"{self._arrays}: {name} of memory {self.ids[places[wrong.argmax()]]} has NaN, infinity or an entry "
                f"above {LARGEST:g}; only finite patterns are stored. {self._undone}"
            )
        return patterns

    def _refuse_arrays(self, why: str) -> NoReturn:
        raise Damaged(f"{self._arrays}: it is torn, or not that of {self.path.name}: {why}. {self._undone}")


def _check_shape(member: IO[bytes], name: str, shape: tuple[int, ...]) -> None:
    version = np.lib.format.read_magic(member)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    told, fortran, dtype = read(member)
    expected = np.dtype("<i8" if name == "ids" else "<f4")
    if told != shape or dtype != expected or (fortran and len(shape) > 1):
        raise ValueError(f"{name} has shape {told} and dtype {dtype}, and should have {shape} and {expected}")


def _take(member: IO[bytes], n: int, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """Return the next ``n`` rows."""
    size = n * math.prod(shape) * np.dtype(dtype).itemsize
    content = member.read(size)
    if len(content) != size:
        raise EOFError("it ends too early")
    return np.frombuffer(content, np.dtype(dtype).newbyteorder("<")).astype(dtype, copy=False).reshape(n, *shape)


# -- what a line holds --------------------------------------------------------------------------------------------


def _checked(told: dict[str, Any], header: Header) -> Line:
    id, ids = _id(told["id"]), [_id(one) for one in _list(told["ids"])]
    if id not in ids or len(set(ids)) != len(ids):
        raise ValueError(f"ids: {ids} were given; all ids of memory {id} are allowed, each once")
    linked, links = _links(told, id, header)
    stored = told.get("stored")
    return Line(
        id,
        ids,
        None if stored is None else _past(stored, header),
        _flag(told["pinned"]),
        _flag(told["used"]),
        _flag(told["long_term"]),
        _strength(told["strength"]),
        _past(told["when"], header),
        _modes(told["modes"], header.modes),
        linked,
        links,
        encoded(told["payload"]),
    )


def _links(told: dict[str, Any], id: int, header: Header) -> tuple[float, list[Link]]:
    links = []
    for one in _list(told.get("links", [])):
        link = _object(one)
        links.append(Link(_id(link["id"]), _strength(link["strength"]), _modes(link["modes"], header.link_modes)))
    named = {link.id for link in links}
    if len(named) != len(links) or id in named:
        raise ValueError("links: each other memory is allowed once")
    return _past(told["linked"], header) if links else 0.0, links


def _kind(kind: type | tuple[type, ...], words: str) -> Callable[[Any], Any]:
    def check(given: Any) -> Any:
        if not isinstance(given, kind) or (isinstance(given, bool) and kind is not bool):
            raise TypeError(f"{given!r:.60} was given; {words} is allowed")
        return given

    return check


_object: Callable[[Any], dict[str, Any]] = _kind(dict, "an object")
_list: Callable[[Any], list[Any]] = _kind(list, "a list")
_text: Callable[[Any], str] = _kind(str, "a string")
_flag: Callable[[Any], bool] = _kind(bool, "true or false")
_integer: Callable[[Any], int] = _kind(int, "an integer")
_number: Callable[[Any], float] = _kind((int, float), "a number")


def _whole(given: Any) -> int:
    if not 0 <= _integer(given) <= HIGHEST:
        raise ValueError(f"{given} was given; an integer of at least 0 is allowed")
    return int(given)


_id = _whole


def _time(given: Any) -> float:
    if not 0 <= _number(given) < LATEST:
        raise ValueError(f"{given} was given; a time of at least 0 is allowed")
    return float(given)


def _past(given: Any, header: Header) -> float:
    if _time(given) > header.now:
        raise ValueError(f"the time {given} was given; {header.now} at most, when it was exported, is allowed")
    return float(given)


def _strength(given: Any) -> float:
    if not 0 <= _number(given) <= MOST:
        raise ValueError(f"{given} was given; a strength from 0 to {MOST:g} is allowed")
    return float(given)


def _modes(given: Any, m: int) -> list[float]:
    if len(_list(given)) != m:
        raise ValueError(f"modes: {len(given)} were given; {m} are allowed, as the first line tells")
    quick = all(type(one) is float for one in given) and min(given, default=0) >= 0 and max(given, default=0) <= MOST
    return given if quick else [_strength(one) for one in given]


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _what(error: BaseException) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error).rstrip(".")


_JSON = json.JSONDecoder(parse_constant=_no_number)

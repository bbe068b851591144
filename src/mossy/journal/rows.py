"""The rows of memories: their checksums, and how they are written and read in bulk."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import repeat
from typing import Any
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mossy.errors import WrongKey
from mossy.journal.seal import Plain, Seal

__all__ = [
    "CHUNK",
    "Chunk",
    "Width",
    "crc_of_row",
    "crc_of_state",
    "is_whole",
    "place_of",
    "read_rows",
    "rows_to_write",
]

CHUNK = 1024  # rows read at once

_PLACE = struct.Struct("<qd")

Row = tuple[int, float, Any, Any, Any, int]  # id, stored, key, value, payload, crc


@dataclass(frozen=True)
class Width:
    """How many neurons a key has, and a value (None where the key is the value)."""

    d: int
    d_value: int | None


@dataclass(frozen=True)
class Chunk:
    """Some memories: ids, times and checksums ``(n,)``, keys ``(n, d)``, values ``(n, d_value)`` or None."""

    ids: NDArray[np.int64]
    stored: NDArray[np.float64]
    crcs: NDArray[np.uint32]
    keys: NDArray[np.float32]
    values: NDArray[np.float32] | None

    def part(self, which: NDArray[np.bool_]) -> Chunk:
        """Return those of them that ``which (n,)`` names."""
        if which.all():
            return self
        values = None if self.values is None else self.values[which]
        return Chunk(self.ids[which], self.stored[which], self.crcs[which], self.keys[which], values)


def place_of(id: int, stored: float) -> bytes:
    """Return what binds the content of a row to its id and time."""
    return _PLACE.pack(id, stored)


def is_whole(key: Any, value: Any, payload: Any) -> bool:
    """Whether the content of a row is of the types that are written."""
    return isinstance(key, bytes) and all(part is None or isinstance(part, bytes) for part in (value, payload))


def crc_of_row(id: int, stored: float, key: Any, value: Any, payload: Any) -> int:
    """Return the checksum of a row: CRC-32 of its id, its time and its content as it stands on disk."""
    return crc32(payload or b"", crc32(value or b"", crc32(key, crc32(_PLACE.pack(id, stored)))))


def crc_of_state(block: int, version: int, content: bytes) -> int:
    """Return the checksum of the state of a block, as it stands on disk."""
    return crc32(content, crc32(b"%d %d" % (block, version)))


def rows_to_write(
    ids: Iterable[int],
    times: Iterable[float],
    keys: NDArray[np.float32],
    values: NDArray[np.float32] | None,
    payloads: list[bytes | None] | None,
    seal: Seal,
    crcs: list[int],
) -> Iterator[Row]:
    """Yield the row of each memory, and note its checksum in ``crcs``."""
    if isinstance(seal, Plain):
        yield from _plain_rows(ids, times, keys, values, payloads, crcs)
        return
    for i, (id, now) in enumerate(zip(ids, times, strict=True)):
        place = place_of(id, now)
        key = seal.close(keys[i].tobytes(), b"k" + place)
        value = None if values is None else seal.close(values[i].tobytes(), b"v" + place)
        payload = None if payloads is None else payloads[i]
        payload = None if payload is None else seal.close(payload, b"p" + place)
        crc = crc_of_row(id, now, key, value, payload)
        crcs.append(crc)
        yield id, now, key, value, payload, crc


def _plain_rows(
    ids: Iterable[int],
    times: Iterable[float],
    keys: NDArray[np.float32],
    values: NDArray[np.float32] | None,
    payloads: list[bytes | None] | None,
    crcs: list[int],
) -> Iterator[Row]:
    """Yield the rows of memories in the clear: as ``crc_of_row`` has it, without a call for each part."""
    pack, note = _PLACE.pack, crcs.append
    n = len(keys)
    value_bytes: Iterable[Any] = repeat(None, n) if values is None else _cut(values)
    payload_bytes: Iterable[bytes | None] = repeat(None, n) if payloads is None else payloads
    for id, now, key, value, payload in zip(ids, times, _cut(keys), value_bytes, payload_bytes, strict=True):
        crc = crc32(key, crc32(pack(id, now)))
        if value is not None:
            crc = crc32(value, crc)
        if payload is not None:
            crc = crc32(payload, crc)
        note(crc)
        yield id, now, key, value, payload, crc


def _cut(patterns: NDArray[np.float32]) -> Iterator[memoryview]:
    content = patterns.reshape(-1).data.cast("B")
    width = 4 * patterns.shape[1]
    return (content[first : first + width] for first in range(0, len(content), width))


def read_rows(rows: Iterable[Row], width: Width, seal: Seal, damage: list[str]) -> Iterator[Chunk]:
    """Yield memories in chunks; a row that is not sound is named in ``damage`` and left out.

    Raises
    ------
    WrongKey
    """
    taken: list[tuple[int, float, int, bytes, bytes | None]] = []
    key_bytes = 4 * width.d
    value_bytes = None if width.d_value is None else 4 * width.d_value
    for row in rows:
        sound = _open(row, key_bytes, value_bytes, seal)
        if sound is None:
            damage.append(f"memory {row[0]}: its row does not fit its checksum")
            continue
        taken.append(sound)
        if len(taken) == CHUNK:
            yield _together(taken, width)
            taken.clear()
    if taken:
        yield _together(taken, width)


def _open(
    row: Row, key_bytes: int, value_bytes: int | None, seal: Seal
) -> tuple[int, float, int, bytes, bytes | None] | None:
    id, stored, key, value, payload, crc = row
    if not is_whole(key, value, payload):
        return None
    try:
        if crc_of_row(id, stored, key, value, payload) != crc:
            return None
        place = place_of(id, stored)
        key = seal.open(key, b"k" + place)
        value = None if value is None else seal.open(value, b"v" + place)
    except (TypeError, ValueError, struct.error):  # a column of another type than was written
        return None
    except WrongKey:  # the key was tried on the whole file: so it is this row
        return None
    if len(key) != key_bytes or (None if value is None else len(value)) != value_bytes:
        return None
    return id, stored, crc, key, value


def _together(rows: list[tuple[int, float, int, bytes, bytes | None]], width: Width) -> Chunk:
    ids, stored, crcs, keys, values = zip(*rows, strict=True)
    return Chunk(
        np.array(ids, np.int64),
        np.array(stored, np.float64),
        np.array(crcs, np.uint32),
        np.frombuffer(b"".join(keys), np.float32).reshape(-1, width.d),
        None if width.d_value is None else np.frombuffer(b"".join(values), np.float32).reshape(-1, width.d_value),
    )

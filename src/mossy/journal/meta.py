"""The table of names: configuration, what is counted, and small arrays, each with a checksum."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import asdict, dataclass
from typing import Any
from zlib import crc32

from mossy.errors import Damaged
from mossy.journal.seal import Seal

__all__ = ["Head", "get", "put"]

SPARED = ("salt", "configuration")


@dataclass
class Head:
    """What the journal holds, in numbers that a lost row would contradict.

    Attributes
    ----------
    next_id
        The id of the next memory.
    memories, digest
        How many memories there are, and the sum of the checksums of their rows.
    empty
        How many rows are empty, since what they held was forgotten.
    version
        How many times it was written.
    epoch
        How many times it was written anew, without its empty rows.
    torn
        Whether writing anew began and did not end.
    latest
        The time of the last writing.
    d, d_value
        The neurons of a key and of a value; None before they are known, or where the value is the key.
    """

    next_id: int = 0
    memories: int = 0
    digest: int = 0
    empty: int = 0
    version: int = 0
    epoch: int = 0
    torn: bool = False
    latest: float = 0.0
    d: int | None = None
    d_value: int | None = None

    def encode(self) -> bytes:
        """Return it as JSON."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def decode(cls, content: bytes) -> Head:
        """Make it again."""
        return cls(**json.loads(content))


def put(connection: sqlite3.Connection, seal: Seal, name: str, content: bytes) -> None:
    """Write the entry ``name``; what nothing could be read without also where one torn page does not reach both."""
    closed = seal.close(content, name.encode())
    row = (name, closed, crc32(closed, crc32(name.encode())))
    again = "ON CONFLICT (name) DO UPDATE SET value = excluded.value, crc = excluded.crc"
    for table in ("meta", "spare") if name in SPARED else ("meta",):
        connection.execute(f"INSERT INTO {table} VALUES (?, ?, ?) {again}", row)


def get(connection: sqlite3.Connection, seal: Seal, name: str) -> bytes:
    """Return the entry ``name``.

    Raises
    ------
    Damaged
        It is not there, or does not fit its checksum.
    WrongKey
    """
    row: Any = connection.execute("SELECT value, crc FROM meta WHERE name = ?", (name,)).fetchone()
    if row is None:
        raise Damaged(f"the entry {name!r} is missing")
    content, crc = row
    if not isinstance(content, bytes) or crc32(content, crc32(name.encode())) != crc:
        raise Damaged(f"the entry {name!r} does not fit its checksum")
    return seal.open(content, name.encode())

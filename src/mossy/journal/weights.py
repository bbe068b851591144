"""The weights of a memory that keeps nothing else, in rows of one length."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from zlib import crc32

from mossy.errors import Damaged
from mossy.journal.layout import PART
from mossy.journal.seal import Seal

__all__ = ["get", "put"]


def put(connection: sqlite3.Connection, seal: Seal, content: bytes) -> None:
    """Write weights over those that are there.

    Rows keep their length, so they are written over in place: the difference of earlier weights to these gives away
    what was stored between, and no byte of them is to be left.
    """
    (before,) = connection.execute("SELECT count(*) FROM weights").fetchone()
    parts = max(before, -(-len(content) // PART))

    def rows() -> Iterator[tuple[int, bytes, int]]:
        for part in range(parts):
            closed = seal.close(content[part * PART : (part + 1) * PART].ljust(PART, b"\0"), b"w%d" % part)
            yield part, closed, crc32(closed, part)

    connection.executemany(
        "INSERT INTO weights VALUES (?, ?, ?) ON CONFLICT (part) DO UPDATE SET content = excluded.content, "
        "crc = excluded.crc WHERE content IS NOT excluded.content",
        rows(),
    )


def get(connection: sqlite3.Connection, seal: Seal) -> bytes:
    """Return the weights, and zeros behind them; nothing if there are none.

    Raises
    ------
    Damaged
        A part does not fit its checksum, or is missing.
    """
    parts = []
    for number, (part, content, crc) in enumerate(connection.execute("SELECT * FROM weights ORDER BY part")):
        if part != number or not isinstance(content, bytes) or crc32(content, part) != crc:
            raise Damaged(f"part {number} of the weights does not fit its checksum, or is missing")
        parts.append(seal.open(content, b"w%d" % part))
    return b"".join(parts)

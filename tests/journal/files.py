"""Files whose memories have lived, all that is in them, and ways to spoil them."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from mossy import Memory, Steps

N, D = 150, 16
POOL = np.random.default_rng(0).normal(size=(300, D)).astype(np.float32)
KEY, SECRET = "env:MOSSY_TEST_KEY", "a sentence that nobody guesses"


def lived(path: Path, key: str | None = None, n: int = N, close: bool = True, **settings: Any) -> Memory:
    """Make a file whose memory has lived: forgotten, pinned, reinforced, merged, linked; some in short-term memory."""
    clock = Steps()
    memory = mossy.open(path, key=key, clock=clock, duplicates="keep", durability="process", **settings)
    memory.store(POOL[:n], payload=[{"number": i, "text": "x" * (i % 90)} for i in range(n)])
    clock.advance(5)
    memory.store(POOL[n], payload=b"\x07" * 30_000)
    memory.store(POOL[[8, 9]], payload=[{"number": i, "text": "x" * i} for i in (8, 9)])
    memory.reinforce([1, 5, 9])
    memory.pin([2, 3])
    memory.forget([4, 7, 5 + n // 2])
    memory.consolidate()
    clock.advance(5)
    memory.store(POOL[n + 1 : n + 9])
    memory.flush()
    if close:
        memory.close()
    return memory


def everything(path: Path, key: str | None = None) -> dict[int, Any]:
    """Return all that is in a file, by id."""
    with mossy.open(path, key=key) as memory:
        return {
            id: (one.ids, one.pattern.tobytes(), str(one.payload), one.pinned, one.short, one.long, one.short_term)
            for id in memory.ids.tolist()
            for one in [memory[id]]
        }


def bytes_in(folder: Path) -> dict[str, bytes]:
    """Return the content of all files that hold something; SQLite's index of the log is no part of it."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not path.name.endswith("-shm")]
    return {path.name: path.read_bytes() for path in files if path.stat().st_size}


def change(path: Path, statement: str, *values: Any) -> None:
    """Alter a file behind the back of its checksums."""
    connection = sqlite3.connect(path)
    connection.execute(statement, values)
    connection.commit()
    connection.close()


def overwrite(path: Path, place: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(place)
        file.write(content)


def flip(path: Path, place: int, bit: int = 2) -> None:
    overwrite(path, place, bytes([path.read_bytes()[place] ^ 1 << bit]))


def root(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    ((page,),) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (table,))
    connection.close()
    return page

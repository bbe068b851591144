"""Places on disk for vectors with payloads, behind the same calls, so that they can be timed in turns.

What a place needs to have at hand before the clock starts, ``ready`` makes: for raw SQLite the bytes of every row.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import itertools
import json
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy

PAYLOAD = 200  # bytes of a payload
SENTENCE = "Ada moved to Kyoto in May and keeps a garden of moss. " * 4
MAP = 1 << 33  # bytes that LMDB may map

Keys = NDArray[np.float32]


@dataclass(frozen=True)
class Place:
    """A place on disk, as the calls that are timed and the one that makes ready for them.

    Attributes
    ----------
    ready
        From keys and payloads to what the next two take.
    write_many
        Writes all of that in one commit.
    write_one
        Writes the one with a number, in a commit of its own.
    close
        Closes it.
    """

    ready: Callable[[Keys, list[Any]], Any]
    write_many: Callable[[Any], None]
    write_one: Callable[[Any, int], None]
    close: Callable[[], None]


Maker = Callable[[Path], Place]


def stored_bytes(payload: Any) -> bytes:
    """Return a payload as mossy writes it: JSON without spaces."""
    return json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()


def mossy_file(folder: Path, durability: str = "full") -> Place:
    """Make a durable memory."""
    memory = mossy.open(folder / "life.mossy", durability=durability)

    def write_many(ready: Any) -> None:
        memory.store(ready[0], payload=ready[1])

    def write_one(ready: Any, i: int) -> None:
        memory.store(ready[0][i], payload=ready[1][i])

    return Place(lambda *given: given, write_many, write_one, memory.close)


def raw_sqlite(folder: Path, synchronous: str = "FULL", page: int = 4096, from_arrays: bool = False) -> Place:
    """Make a table of SQLite in WAL mode that takes the same bytes, and has no checksums and no recall.

    With ``from_arrays`` it is given what mossy is given: it cuts the array and turns payloads into JSON on the clock.
    """
    connection = sqlite3.connect(folder / "raw.sqlite", isolation_level=None)
    connection.execute(f"PRAGMA page_size = {page}")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, key BLOB, payload BLOB)")
    insert = "INSERT INTO item (key, payload) VALUES (?, ?)"

    def rows(keys: Keys, payloads: list[Any]) -> Iterator[tuple[bytes | memoryview, bytes]]:
        content, width = keys.reshape(-1).data.cast("B"), 4 * keys.shape[1]
        places = range(0, len(content), width)
        return ((content[i : i + width], stored_bytes(one)) for i, one in zip(places, payloads, strict=True))

    def ready(keys: Keys, payloads: list[Any]) -> Any:
        return (keys, payloads) if from_arrays else [(bytes(key), payload) for key, payload in rows(keys, payloads)]

    def write_many(ready: Any) -> None:
        connection.execute("BEGIN")
        connection.executemany(insert, rows(*ready) if from_arrays else ready)
        connection.execute("COMMIT")

    def write_one(ready: Any, i: int) -> None:
        row = (ready[0][i].tobytes(), stored_bytes(ready[1][i])) if from_arrays else ready[i]
        connection.execute(insert, row)

    return Place(ready, write_many, write_one, connection.close)


def lmdb(folder: Path) -> Place:
    """Make an LMDB, which syncs at every commit."""
    environment = importlib.import_module("lmdb").open(str(folder / "lmdb"), map_size=MAP)
    ids = itertools.count()

    def ready(keys: Keys, payloads: list[Any]) -> Any:
        return [key.tobytes() + stored_bytes(payload) for key, payload in zip(keys, payloads, strict=True)]

    def put(contents: list[bytes]) -> None:
        with environment.begin(write=True) as transaction:
            for content in contents:
                transaction.put(next(ids).to_bytes(8, "big"), content, append=True)

    return Place(ready, put, lambda ready, i: put([ready[i]]), environment.close)


def lancedb(folder: Path) -> Place:
    """Make a LanceDB, which is given Arrow tables. It does not sync: what it wrote may not outlive the machine."""
    database = importlib.import_module("lancedb").connect(folder / "lance")
    tables: list[Any] = []

    def add(rows: Any) -> None:
        if tables:
            tables[0].add(rows)
        else:
            tables.append(database.create_table("item", rows))

    return Place(_arrow, add, lambda ready, i: add(ready.slice(i, 1)), tables.clear)


def duckdb(folder: Path) -> Place:
    """Make a DuckDB, which is given Arrow tables."""
    connection = importlib.import_module("duckdb").connect(str(folder / "duck.db"))

    def add(rows: Any) -> None:
        width = rows.schema.field("key").type.list_size
        connection.execute(f"CREATE TABLE IF NOT EXISTS item (key FLOAT[{width}], payload VARCHAR)")
        connection.register("given", rows)
        connection.execute("INSERT INTO item SELECT key, payload FROM given")
        connection.unregister("given")

    return Place(_arrow, add, lambda ready, i: add(ready.slice(i, 1)), connection.close)


def _arrow(keys: Keys, payloads: list[Any]) -> Any:
    arrow = importlib.import_module("pyarrow")
    vectors = arrow.FixedSizeListArray.from_arrays(arrow.array(keys.ravel()), keys.shape[1])
    return arrow.table({"key": vectors, "payload": [stored_bytes(payload).decode() for payload in payloads]})


PEERS: dict[str, tuple[str, Maker]] = {  # the distribution, and what makes a place
    "LMDB": ("lmdb", lmdb),
    "LanceDB": ("lancedb", lancedb),
    "DuckDB": ("duckdb", duckdb),
}


def installed(distribution: str) -> bool:
    """Whether a distribution is installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


# --- what is written -------------------------------------------------------------------------------


def patterns(n: int, d: int, seed: int) -> Keys:
    """Return Gaussian patterns ``(n, d)``."""
    return np.random.default_rng(seed).standard_normal((n, d), np.float32)


def text(i: int) -> str:
    """Return a text of 200 bytes, another for each ``i``."""
    return f"{i:09d} {SENTENCE}"[:PAYLOAD]


def record_of(i: int) -> dict[str, Any]:
    """Return a dict whose JSON has 200 bytes, another for each ``i``."""
    found = {"user": "ada", "at": 1_790_000_000.5 + i, "n": i, "tags": ["kyoto", "work"], "text": ""}
    found["text"] = SENTENCE[: PAYLOAD - len(stored_bytes(found))]
    return found

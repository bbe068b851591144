"""What a memory answers besides a ``Recall``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import LONG, PINNED
from mossy.memory.configuration import Configuration
from mossy.memory.store import Store

__all__ = ["Consolidation", "Imported", "Replay", "Stats", "Stored", "stats_of"]


@dataclass(frozen=True)
class Stored:
    """One memory as it lies there: its ids, key, value, payload, strength and where it is."""

    ids: tuple[int, ...]
    pattern: NDArray[np.float32]
    value: NDArray[np.float32]
    payload: Any
    short: float
    long: float
    pinned: bool
    short_term: bool
    long_term: bool


@dataclass(frozen=True)
class Consolidation:
    """What ``consolidate`` did: how many memories became long-term, were let go, and were merged into others."""

    moved: int
    let_go: int
    merged: int


@dataclass(frozen=True)
class Imported:
    """What ``import_`` did: how many memories it added, and joined with memories that were here.

    ``renamed`` has, for each id of the export that names another memory here or none, the id of its memory here.
    """

    added: int
    merged: int
    renamed: dict[int, int]


@dataclass(frozen=True)
class Replay:
    """Stored experience for a learner: ids ``(n,)``, patterns ``(n, d)``, values ``(n, d_value)``, payloads."""

    ids: NDArray[np.int64]
    patterns: NDArray[np.float32]
    values: NDArray[np.float32]
    payload: list[Any]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Stats:
    """What a memory holds: counts, bytes of all arrays (payloads as references), and how it is set.

    ``capacity`` is as it was given. ``capacity_bytes`` is that in bytes, if it was given so, and ``fits`` how many
    memories it is, once it is known what one takes. With ``adapt``, ``ghosts`` were left by what was let go. ``file``
    is that of a durable memory, else None, and ``bytes_on_disk`` what it and the files beside it are.
    """

    memories: int
    short_term: int
    long_term: int
    pinned: int
    capacity: int | str | None
    d: int | None
    d_value: int | None
    bytes: int
    bytes_of_patterns: int
    similarity: str
    separation: str
    beta: float
    law: str
    keep: str
    pathway: str = "exact"
    file: str | None = None
    bytes_on_disk: int = 0
    capacity_bytes: int | None = None
    fits: int | None = None
    ghosts: int = 0


def stats_of(store: Store, configuration: Configuration) -> Stats:
    """Return what a store holds, and how it is set."""
    limit = store.limit()
    index, journal = store.index, None if store.durable is None else store.durable.journal
    return Stats(
        memories=len(index),
        short_term=len(store.short.rows),
        long_term=store.catalog.having(LONG),
        pinned=store.catalog.having(PINNED),
        capacity=configuration.capacity,
        d=index.d,
        d_value=index.d_value,
        bytes=store.nbytes,
        bytes_of_patterns=index.bytes_of_patterns,
        similarity=index.similarity.name,
        separation=index.separation.name,
        beta=index.beta,
        law=store.strengths.law.name,
        keep=configuration.keep,
        pathway=store.vector.answering(index),
        file=None if journal is None else str(journal.path),
        bytes_on_disk=0 if journal is None else journal.nbytes,
        capacity_bytes=configuration.budget,
        ghosts=0 if store.adapting is None else len(store.adapting.ghosts),
        fits=None if limit is None else limit.without(store.catalog.names_of_several),
    )

r"""How much a memory may hold: so many memories, or as many as fit into so many bytes.

.. math::  B(r) = r\,w + h(r) + v(r) + 8\min(s, n) + 16 d + a, \qquad
           r^* = \max\{r : B(r) \le \text{budget}\}, \qquad n = \max(\min(r^*, 4096),\; r^* - \lfloor r^*/9 \rfloor)

``B(r)`` is the most that ``r`` rows can take: the bytes ``w`` of a row in all arrays (key, value, strength, links, id,
a reference to the payload); the hashes ``h`` by which what is stored again is found; what the pathway keeps, ``v``;
short-term memory of ``s`` members; statistics of the entries; and the ages ``a`` of the law. Nothing of it depends on
what is stored, so that the number ``n`` of memories that fit is a function of the settings and the length of patterns.

Beyond 4,096, a ninth of the rows is left to those that are forgotten and not taken out yet, since that copies all.
While it does, and while a batch is stored, there are the copies besides.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from math import prod
from typing import final

from mossy.arrays import Column
from mossy.memory.adapting import bytes_of_adapting
from mossy.memory.catalog import ENTRY, Catalog
from mossy.memory.configuration import Configuration
from mossy.memory.fingerprints import RECENT
from mossy.pathway import Links
from mossy.pathway.vector.automatic import FEW
from mossy.pathway.vector.sketch import KINDS
from mossy.strength import Strengths
from mossy.strength.ages import MOST

__all__ = ["SMALL", "Limit", "ages_of", "limit_of"]

SMALL = 4096  # rows up to which forgetting compacts at once
REFERENCE = 8  # bytes of one to a payload, and of a member of short-term memory
AGES = 16  # the ages of the law take at most one in so many bytes
HASHED, SOUGHT = 8, 150  # bytes of a row that is sorted in among fingerprints, and of one of the last that came


@final
@dataclass(frozen=True)
class Limit:
    """What a memory may hold.

    Attributes
    ----------
    memories
        The most memories.
    rows
        The most rows of its arrays, those included that are forgotten and not taken out yet; None for any number.
    pathway
        The most bytes of what its pathway keeps; None for any number.
    row, one
        The bytes of a row, and of a memory of one; 0 where bytes do not count.
    """

    memories: int
    rows: int | None = None
    pathway: int | None = None
    row: int = 0
    one: int = 0

    def without(self, names: int) -> int:
        """Return the most memories where so many ids name memories that have several, which take bytes as well."""
        return self.memories - -(-ENTRY * names // self.row) if self.row else self.memories


def limit_of(configuration: Configuration, d: int, d_value: int | None, in_process: bool) -> Limit | None:
    """Return what a memory may hold; None if there is no bound.

    Parameters
    ----------
    configuration
        How it is set.
    d, d_value
        Entries of a key, and of a value; None if there are no values.
    in_process
        Whether it refers to payloads; those of a durable memory are in its file.
    """
    budget = configuration.budget
    if budget is None:
        return None if configuration.capacity is None else Limit(int(configuration.capacity))
    size = _Size(configuration, d, d_value, in_process)
    rows = bisect_right(range(budget // size.row + 2), budget, key=size.of) - 1
    return Limit(_memories(rows), rows, size.pathway(rows), size.row, size.of(1))


def ages_of(configuration: Configuration) -> int:
    """Return how many ages its law may keep."""
    budget = configuration.budget
    if budget is None:
        return MOST
    return max(2, min(MOST, budget // AGES // _age(configuration) - 2))


def _age(configuration: Configuration) -> int:
    """Return the bytes of an age: when it begins and ends, and what is left of each mode."""
    return 16 + 8 * configuration.linear_law().modes


def _memories(rows: int) -> int:
    return max(min(rows, SMALL), rows - rows // 9)


@final
class _Size:
    """The most bytes of a memory by its rows."""

    def __init__(self, configuration: Configuration, d: int, d_value: int | None, in_process: bool) -> None:
        law, index = configuration.linear_law(), configuration.index()
        self.configuration, self.d, self.modes = configuration, d, law.modes
        index.begin(d, d_value)
        columns = [*index.columns(), *Strengths(law).every_column(), *Catalog().columns()]
        if configuration.links:
            columns += Links(configuration.links, law).columns()
        self.row = _width(columns) + REFERENCE * in_process
        self.fixed = 16 * d + _age(configuration) * (ages_of(configuration) + 2)

    def of(self, rows: int) -> int:
        """Return ``B(rows)``."""
        short = REFERENCE * min(self.configuration.short_term, _memories(rows))
        ghosts = bytes_of_adapting(self.modes, _memories(rows)) if self.configuration.adapt else 0
        return self.fixed + rows * self.row + self.hashes(rows) + self.pathway(rows) + short + ghosts if rows else 0

    def hashes(self, rows: int) -> int:
        """Return the most bytes of the hashes by which equal keys are found."""
        if self.configuration.keeps_duplicates:
            return 0
        return HASHED * rows + SOUGHT * min(rows, RECENT)

    def pathway(self, rows: int) -> int:
        """Return the bytes of sketches in cells that were learned for these rows, as far as sketches may be kept."""
        name, similarity = self.configuration.pathway, self.configuration.index().similarity.name
        if similarity not in KINDS or name == "exact" or (name == "auto" and _memories(rows) <= FEW):
            return 0
        wide = 64 * -(-self.d // 64)
        cells = rows // 150 + 2
        pages = rows // 32 + cells
        return 16 * wide + cells * (4 * self.d + 4 * wide + 24) + (pages + pages // 8 + 1) * (264 + 4 * wide)


def _width(columns: Iterable[Column]) -> int:
    return sum(column.rows.itemsize * prod(column.rows.shape[1:]) for column in columns)

"""What ``Cache.stats()`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["CacheStats"]


@final
@dataclass(frozen=True)
class CacheStats:
    """The state of a cache, in numbers.

    Attributes
    ----------
    items
        How many are held.
    bytes, capacity
        What they are charged for, overheads included, and what is allowed.
    hits, misses
        How often a key that was asked for was held, and how often not.
    evictions
        How many items were let go for others.
    ghosts, ghost_hits
        How many of those it still knows by their hash, and how often one of them came back.
    readout
        ``w``: for each group of items (used once, twice, 3 or 4 times, more often) the shares of the time scales,
        fastest first. All together sum to 1. See ``mossy.strength.need``.
    exponent
        The ``d`` for which the worth of a new item now falls as ``t^-d``.
    """

    items: int
    bytes: int
    capacity: int
    hits: int
    misses: int
    evictions: int
    ghosts: int
    ghost_hits: int
    readout: tuple[tuple[float, ...], ...]
    exponent: float

    @property
    def hit_ratio(self) -> float:
        """Hits among all that was asked for; 0 before anything was."""
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0

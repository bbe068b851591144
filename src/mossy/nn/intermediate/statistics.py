"""What ``Memoized.stats()`` returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import final

__all__ = ["MemoStats"]


@final
@dataclass(frozen=True)
class MemoStats:
    """The use of a memoized module, in numbers. With ``rows=True`` each row of a batch counts.

    Attributes
    ----------
    hits, near_hits, misses
        How many were answered by the output of an equal input, by that of a near one, and how many were computed.
    passed
        How many calls went to the module without the cache, by reason: ``gradients``, ``training``, ``transforms`` (of
        ``torch.func``), ``empty``; and how many results were computed and not kept: ``random`` (random numbers were
        drawn), ``changed`` (the module changed its weights or its input), ``large`` (larger than the budget).
    invalidations
        How often all was dropped because the weights had changed.
    items, bytes, capacity, evictions
        How many outputs are held, in how many bytes of how many, and how many were let go for others.
    saved_s, spent_s
        Seconds that the module took for what was found later, once for each hit; and seconds spent on looking up and
        storing. On a device that works on its own, such as a GPU, these are the host's.
    """

    hits: int
    near_hits: int
    misses: int
    passed: Mapping[str, int]
    invalidations: int
    items: int
    bytes: int
    capacity: int
    evictions: int
    saved_s: float
    spent_s: float

    @property
    def hit_ratio(self) -> float:
        """Hits of both kinds among all that was looked up; 0 before anything was."""
        asked = self.hits + self.near_hits + self.misses
        return (self.hits + self.near_hits) / asked if asked else 0.0

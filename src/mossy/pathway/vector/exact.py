"""Exact: every key is compared."""

from __future__ import annotations

from typing import final

from mossy.pathway.vector.base import Fading, Pairs, Rows, Vector
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["Exact"]


@final
class Exact(Vector):
    """Scans all keys in float32, and misses none: it keeps nothing, and its time grows with the number of keys."""

    name = "exact"

    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return every pair that may be among the ``k`` best or within ``reach`` of the best."""
        if fading is None:
            return index.scan(cues, reach, slack, k)
        return index.scan(cues, reach, fading.slack, k, fading.weight * fading.logs)

    def forget(self, rows: Rows) -> None:
        """Do nothing: the index knows which rows are silent."""

    def moved(self, place: Rows) -> None:
        """Do nothing."""

    def truncate(self, n: int) -> None:
        """Do nothing."""

    @property
    def nbytes(self) -> int:
        """Bytes held: none."""
        return 0

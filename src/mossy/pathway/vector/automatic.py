"""Auto: every key while they are few, sketches once they are many."""

from __future__ import annotations

from typing import final

from mossy.pathway.vector.base import Fading, Pairs, Rows, Vector
from mossy.pathway.vector.exact import Exact
from mossy.pathway.vector.sketch import KINDS, Sketch
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["Automatic"]

FEW = 65_536  # memories up to which every key is compared


@final
class Automatic(Vector):
    """``exact`` up to 65,536 memories, where a recall takes a few milliseconds, and ``sketch`` beyond."""

    name = "auto"

    def __init__(self) -> None:
        self._exact = Exact()
        self._sketch = Sketch()

    def answering(self, index: Index) -> str:
        """Return the name of the pathway that answers while the memories are these."""
        return self._chosen(index).name

    def _chosen(self, index: Index) -> Vector:
        many = len(index) > FEW and index.similarity.name in KINDS
        return self._sketch if many else self._exact

    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return pairs by the one or the other."""
        return self._chosen(index).find(index, cues, reach, slack, k, fading)

    def forget(self, rows: Rows) -> None:
        """Pass it on."""
        self._sketch.forget(rows)

    def moved(self, place: Rows) -> None:
        """Pass it on."""
        self._sketch.moved(place)

    def truncate(self, n: int) -> None:
        """Pass it on."""
        self._sketch.truncate(n)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._sketch.nbytes

"""The vector pathway: which index neurons a cue excites by similarity."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["Fading", "Pairs", "Vector"]

Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows]  # cue and row of each pair, ordered by cue, then by row


@dataclass(frozen=True, slots=True)
class Fading:
    """How strengths enter a search: memory ``i`` counts as ``weight·ln s_i`` more similar.

    Attributes
    ----------
    weight
        In units of similarity.
    logs
        ``ln s (rows,)`` in float32; ``-inf`` for a silent row.
    top
        The greatest of them.
    slack
        By how much the weighted ``ln s`` of two rows can be off together.
    """

    weight: float
    logs: NDArray[np.float32]
    top: float
    slack: float


class Vector(ABC):
    """A way to find the keys that fit a cue; the exact similarity then decides among what it finds.

    It keeps whatever it needs beside the keys, and catches up with new rows by itself when it is asked.

    Attributes
    ----------
    name
        The name in the registry.
    """

    name: ClassVar[str]

    def answering(self, index: Index) -> str:
        """Return the name of the pathway that answers while the memories are these."""
        return self.name

    @abstractmethod
    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return pairs of a cue and a row that may be among the ``k`` best or within ``reach`` of the best.

        Parameters
        ----------
        index
            The memories, at least ``k``.
        cues
            As ``index.prepare`` made them.
        reach
            In units of similarity.
        slack
            By how much the order of two similarities may change later.
        k
            At least 1; each cue gets at least ``k`` rows.
        fading
            How strengths enter, or None.
        """

    @abstractmethod
    def forget(self, rows: Rows) -> None:
        """Take note that ``rows`` are silent from now on."""

    @abstractmethod
    def moved(self, place: Rows) -> None:
        """Take note that row ``i`` is row ``place[i]`` from now on, -1 for none."""

    @abstractmethod
    def truncate(self, n: int) -> None:
        """Know the first ``n`` rows alone."""

    @property
    @abstractmethod
    def nbytes(self) -> int:
        """Bytes held."""

"""Similarities: how well a stored key fits a cue. One file each."""

from __future__ import annotations

from collections.abc import Callable

from mossy.arrays import choose
from mossy.similarity.base import Cues, KeyStatistics, Similarity
from mossy.similarity.cosine import Cosine
from mossy.similarity.dot import Dot
from mossy.similarity.euclidean import Euclidean
from mossy.similarity.manhattan import Manhattan

__all__ = [
    "SIMILARITIES",
    "Cosine",
    "Cues",
    "Dot",
    "Euclidean",
    "KeyStatistics",
    "Manhattan",
    "Similarity",
    "as_similarity",
]

SIMILARITIES: dict[str, Callable[[], Similarity]] = {
    "dot": Dot,
    "cosine": Cosine,
    "euclidean": Euclidean,
    "manhattan": Manhattan,
}


def as_similarity(similarity: str | Similarity) -> Similarity:
    """Return a similarity as given, or the one of this name, or raise ``UnknownName``."""
    if isinstance(similarity, Similarity):
        return similarity
    return choose(SIMILARITIES, similarity, "similarity")()

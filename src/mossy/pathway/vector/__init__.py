"""The vector pathway: ways to find the keys that fit a cue. One file each."""

from __future__ import annotations

from collections.abc import Callable

from mossy.arrays import choose
from mossy.pathway.vector.automatic import Automatic
from mossy.pathway.vector.base import Fading, Vector
from mossy.pathway.vector.exact import Exact
from mossy.pathway.vector.graph import Graph
from mossy.pathway.vector.sketch import Sketch

__all__ = ["PATHWAYS", "Automatic", "Exact", "Fading", "Graph", "Sketch", "Vector", "as_pathway"]

PATHWAYS: dict[str, Callable[[], Vector]] = {
    "auto": Automatic,
    "exact": Exact,
    "sketch": Sketch,
    "graph": Graph,
}


def as_pathway(name: str) -> Vector:
    """Return the vector pathway of this name, with nothing in it, or raise ``UnknownName`` or ``MissingExtra``."""
    return choose(PATHWAYS, name, "pathway")()

"""Graph: a hierarchy of neighbours, by usearch, for memories that are read far more often than written."""

from __future__ import annotations

import importlib
from typing import Any, final

import numpy as np

from mossy.errors import MissingExtra
from mossy.pathway.vector.base import Fading, Pairs, Rows, Vector
from mossy.pathway.vector.exact import Exact
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["Graph"]

EXACT = Exact()
METRICS = {"cosine": "cos", "euclidean": "l2sq", "manhattan": "l2sq", "dot": "ip"}
CONNECTIVITY = 16
WIDTH = 96  # neighbours that are kept open while the graph is searched and built, at least
FETCHED = 4  # times as many as asked for are fetched, and then compared exactly
MOST = 1024  # k beyond which every key is compared


@final
class Graph(Vector):
    """Follows edges between neighbours (HNSW). Quick to ask, slow to write: about 3,000 keys a second.

    It compares every key where the graph cannot help: with ``known``, with a prior that outweighs similarity, or when
    every memory may be active. When forgotten rows are taken out, it is built again.

    It needs usearch: ``pip install 'mossy[graph]'``.

    Raises
    ------
    MissingExtra

    References
    ----------
    Malkov & Yashunin (2020), IEEE TPAMI 42(4), 824–836, doi:10.1109/TPAMI.2018.2889473.
    """

    name = "graph"

    def __init__(self) -> None:
        try:
            self._library: Any = importlib.import_module("usearch.index")
        except ImportError as error:
            raise MissingExtra("usearch", "graph") from error
        self._graph: Any = None
        self._seen = 0

    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return pairs that may be among the ``k`` best, as far as the graph leads to them."""
        metric = METRICS.get(index.similarity.name)
        if metric is None or cues.known is not None or fading is not None or k > MOST or not np.isfinite(reach):
            return EXACT.find(index, cues, reach, slack, k, fading)
        self._see(index, metric)
        wanted = min(max(FETCHED * k, WIDTH), len(index))
        found = self._graph.search(cues.exact.astype(np.float32), wanted, threads=1)
        rows = np.atleast_2d(np.asarray(found.keys, np.intp))
        counts = np.atleast_1d(np.asarray(getattr(found, "counts", rows.shape[1])))
        if (counts < min(k, len(index))).any():  # parts of the graph that lead nowhere
            return EXACT.find(index, cues, reach, slack, k, fading)
        every = [np.sort(line[:n]) for line, n in zip(rows, counts.tolist(), strict=True)]
        return np.repeat(np.arange(len(every)), [len(line) for line in every]), np.concatenate(every)

    def _see(self, index: Index, metric: str) -> None:
        if self._graph is None:
            self._graph = self._library.Index(
                ndim=index.d, metric=metric, dtype="f32", connectivity=CONNECTIVITY, expansion_add=WIDTH
            )
            self._graph.expansion_search = WIDTH
        if self._seen < index.rows:
            rows = np.flatnonzero(~index.dead[self._seen :]) + self._seen
            if len(rows):
                self._graph.add(
                    rows.astype(np.uint64), index.keys[rows], threads=1
                )  # so that the same calls build the same
            self._seen = index.rows

    def forget(self, rows: Rows) -> None:
        """Take ``rows`` out of the graph."""
        if self._graph is not None:
            self._graph.remove(rows[rows < self._seen].astype(np.uint64))

    def moved(self, place: Rows) -> None:
        """Let go of the graph, which is built again when it is asked next."""
        self._graph, self._seen = None, 0

    def truncate(self, n: int) -> None:
        """Know the first ``n`` rows alone."""
        if n < self._seen:
            self.moved(np.empty(0, np.intp))

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return 0 if self._graph is None else int(self._graph.memory_usage)

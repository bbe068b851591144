"""Indexes of vectors, mossy's and those of others, behind one interface, so that they are measured alike.

Vectors have the length 1. An index is filled once, then grows and shrinks. What a search may cost is set with
``tune``; ``sweeps`` are the settings to try, each list from cheap to dear. ``ids`` are the numbers of the vectors.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, final

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROWS_SLOWLY", "INDEXES", "Peer", "distributions", "missing"]

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]
Setting = dict[str, int]

GRAPH = 16  # links of a node; twice as many at the ground layer
SPARE = 16  # one slot in so many is made in advance
GRAPH_BUILD = 128  # candidates of a node that is linked


class Peer(ABC):
    """One index.

    Attributes
    ----------
    distribution
        The package that it comes in.
    keeps
        How it keeps the vectors themselves.
    removes
        Whether single vectors can be taken out again.
    sweeps
        Settings of its search, in lists from cheap to dear.
    """

    distribution: ClassVar[str]
    keeps: ClassVar[str] = "float32"  # how it keeps the vectors themselves
    removes: ClassVar[bool] = True
    sweeps: ClassVar[tuple[tuple[Setting, ...], ...]] = (({},),)

    @abstractmethod
    def build(self, rows: Floats) -> None:
        """Be an index of ``rows (n, d)``, with the ids 0 … n - 1."""

    @abstractmethod
    def add(self, ids: Ids, rows: Floats) -> None:
        """Add vectors under new ids."""

    @abstractmethod
    def search(self, cues: Floats, k: int) -> Ids:
        """Return the ids of the ``k`` best for cues ``(c, d)``; -1 where there are fewer."""

    def remove(self, ids: Ids) -> None:  # noqa: B027
        """Remove vectors, or do nothing if ``removes`` is False."""

    def tune(self, setting: Setting) -> None:  # noqa: B027
        """Search as ``setting``, one of ``sweeps``, says."""

    def threads(self, n: int) -> None:  # noqa: B027
        """Use at most ``n`` threads from now on."""

    def own_bytes(self) -> int | None:
        """Return the bytes held, as it says itself."""
        return None


def steps(name: str, values: tuple[int, ...]) -> tuple[Setting, ...]:
    return tuple({name: value} for value in values)


WIDTHS = (10, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024)  # of a search in a graph
PROBES = (1, 2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)  # cells that are searched
FACTORS = (1, 2, 3, 4, 6, 8, 10, 15, 20, 30, 50, 100)  # times as many as asked for are compared exactly


@final
class Product(Peer):
    """NumPy: the product with all vectors, and the best of it; a slot that was left is used again."""

    distribution = "numpy"

    def build(self, rows: Floats) -> None:
        self.rows, self.ids = rows.copy(), np.arange(len(rows))
        self.place = {i: i for i in range(len(rows))}
        self.free: list[int] = []
        self.squares: Floats | None = None

    def add(self, ids: Ids, rows: Floats) -> None:
        if len(ids) > len(self.free):
            first, new = len(self.rows), max(len(ids), len(self.rows) // SPARE)
            self.rows = np.concatenate([self.rows, np.zeros((new, rows.shape[1]), np.float32)])
            self.ids = np.concatenate([self.ids, np.full(new, -1)])
            self.free += range(first, first + new)
        slots, self.free = self.free[: len(ids)], self.free[len(ids) :]
        self.rows[slots], self.ids[slots] = rows, ids
        self.place.update(zip(ids.tolist(), slots, strict=True))

    def remove(self, ids: Ids) -> None:
        slots = [self.place.pop(i) for i in ids.tolist()]
        self.rows[slots], self.ids[slots] = 0, -1
        self.free += slots

    def search(self, cues: Floats, k: int) -> Ids:
        return self._best(_products(cues, self.rows), k)

    def weigh(self, added: NDArray[np.float64]) -> None:
        """Take what ``search_weighted`` is to add to the product of each vector."""
        self.added = np.where(self.ids >= 0, added[self.ids], -np.inf).astype(np.float32)

    def search_weighted(self, cues: Floats, k: int) -> Ids:
        """Search by the product and what is added to it."""
        return self._best(_products(cues, self.rows) + self.added, k)

    def search_known(self, cues: Floats, k: int, known: NDArray[np.bool_]) -> Ids:
        """Search by the cosine over the known entries; it keeps the squares of all entries for that."""
        if self.squares is None:
            self.squares = np.square(self.rows)
        lengths = np.sqrt(np.maximum(_products(known.astype(np.float32), self.squares), 1e-30))
        return self._best(_products(cues, self.rows) / lengths, k)

    def _best(self, products: Floats, k: int) -> Ids:
        some = np.argpartition(products, products.shape[1] - k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(products, some, 1), axis=1)
        return self.ids[np.take_along_axis(some, order, 1)]

    def own_bytes(self) -> int:
        return self.rows.nbytes + self.ids.nbytes


def _products(cues: Floats, rows: Floats) -> Floats:
    return cues @ rows.T if len(cues) > 1 else (rows @ cues[0])[None]


class Faiss(Peer):
    """One index of faiss, by the inner product."""

    distribution = "faiss-cpu"
    factory: ClassVar[str]

    def build(self, rows: Floats) -> None:
        import faiss

        self.faiss = faiss
        cells = 2 ** round(np.log2(4 * len(rows) ** 0.5))
        self.index = faiss.index_factory(rows.shape[1], self.factory.format(cells=cells), faiss.METRIC_INNER_PRODUCT)
        self.prepare()
        if not self.index.is_trained:
            count = min(len(rows), 50 * cells)
            self.index.train(rows[np.random.default_rng(0).choice(len(rows), count, replace=False)])
        self._add(np.arange(len(rows)), rows)

    def prepare(self) -> None:
        """Set what has to be set before anything is added."""

    def add(self, ids: Ids, rows: Floats) -> None:
        self._add(ids, rows)

    def _add(self, ids: Ids, rows: Floats) -> None:
        self.index.add(rows)  # numbers them one after the other

    def search(self, cues: Floats, k: int) -> Ids:
        return self.index.search(cues, k)[1]

    def threads(self, n: int) -> None:
        self.faiss.omp_set_num_threads(n)

    def own_bytes(self) -> int:
        return len(self.faiss.serialize_index(self.index))


@final
class FaissFlat(Faiss):
    """All vectors are compared."""

    factory = "IDMap,Flat"

    def _add(self, ids: Ids, rows: Floats) -> None:
        self.index.add_with_ids(rows, ids)

    def remove(self, ids: Ids) -> None:
        self.index.remove_ids(ids)


@final
class FaissHNSW(Faiss):
    """A graph."""

    factory = f"HNSW{GRAPH}"
    removes = False
    sweeps = (steps("efSearch", WIDTHS),)

    def prepare(self) -> None:
        self.index.hnsw.efConstruction = GRAPH_BUILD

    def tune(self, setting: Setting) -> None:
        self.index.hnsw.efSearch = setting["efSearch"]


@final
class FaissIVF(Faiss):
    """Cells of which the nearest are searched; a table of where each id lies makes removing fast."""

    factory = "IVF{cells},Flat"
    sweeps = (steps("nprobe", PROBES),)

    def prepare(self) -> None:
        self.index.cp.niter = 10
        self.index.set_direct_map_type(self.faiss.DirectMap.Hashtable)

    def _add(self, ids: Ids, rows: Floats) -> None:
        self.index.add_with_ids(rows, ids)

    def tune(self, setting: Setting) -> None:
        self.index.nprobe = setting["nprobe"]

    def remove(self, ids: Ids) -> None:
        self.index.remove_ids(ids)


@final
class FaissIVFPQ(Faiss):
    """Cells, codes in them, and the vectors to compare the best exactly: all that a fast-scan needs."""

    factory = "IVF{cells},PQ128x4fs,RFlat"
    removes = False
    sweeps = tuple(tuple({"k_factor": k, "nprobe": n} for n in PROBES) for k in (1, 2, 4, 10, 30))

    def prepare(self) -> None:
        self.faiss.extract_index_ivf(self.index).cp.niter = 10

    def tune(self, setting: Setting) -> None:
        self.index.k_factor = setting["k_factor"]
        self.faiss.extract_index_ivf(self.index).nprobe = setting["nprobe"]


@final
class FaissPQ(Faiss):
    """Codes of all vectors, and the vectors to compare the best exactly."""

    factory = "PQ128x4fs,RFlat"
    removes = False
    sweeps = (steps("k_factor", FACTORS),)

    def tune(self, setting: Setting) -> None:
        self.index.k_factor = setting["k_factor"]


class USearch(Peer):
    """A graph whose vectors are kept in ``keeps``."""

    distribution = "usearch"
    sweeps = (steps("expansion", WIDTHS),)
    short: ClassVar[str]

    def build(self, rows: Floats) -> None:
        from usearch.index import Index

        self.at_once = 0
        self.index = Index(
            ndim=rows.shape[1],
            metric="cos",
            dtype=self.short,
            connectivity=GRAPH,
            expansion_add=GRAPH_BUILD,
        )
        self.add(np.arange(len(rows)), rows)

    def add(self, ids: Ids, rows: Floats) -> None:
        self.index.add(ids, rows, threads=self.at_once)

    def remove(self, ids: Ids) -> None:
        self.index.remove(ids, threads=self.at_once)

    def search(self, cues: Floats, k: int) -> Ids:
        found = self.index.search(cues, k, threads=self.at_once).keys
        return np.asarray(found, np.uint64).astype(np.int64).reshape(len(cues), -1)

    def tune(self, setting: Setting) -> None:
        self.index.expansion_search = setting["expansion"]

    def threads(self, n: int) -> None:
        self.at_once = n

    def own_bytes(self) -> int:
        return int(self.index.memory_usage)


@final
class USearchF32(USearch):
    """Vectors in float32."""

    short = "f32"


@final
class USearchF16(USearch):
    """Vectors in float16."""

    short, keeps = "f16", "float16"


@final
class USearchI8(USearch):
    """Vectors in int8."""

    short, keeps = "i8", "int8"


@final
class HNSWLib(Peer):
    """A graph; what is removed is marked, and its node is used for what comes next."""

    distribution = "hnswlib"
    sweeps = (steps("ef", WIDTHS),)

    def build(self, rows: Floats) -> None:
        import hnswlib

        self.index = hnswlib.Index(space="ip", dim=rows.shape[1])
        self.index.init_index(
            len(rows) + len(rows) // 4 + 1, M=GRAPH, ef_construction=GRAPH_BUILD, allow_replace_deleted=True
        )
        self.index.add_items(rows, np.arange(len(rows)))

    def add(self, ids: Ids, rows: Floats) -> None:
        self.index.add_items(rows, ids, replace_deleted=True)

    def remove(self, ids: Ids) -> None:
        for i in ids.tolist():
            self.index.mark_deleted(i)

    def search(self, cues: Floats, k: int) -> Ids:
        return self.index.knn_query(cues, k)[0].astype(np.int64)

    def tune(self, setting: Setting) -> None:
        self.index.set_ef(setting["ef"])

    def threads(self, n: int) -> None:
        self.index.set_num_threads(n)

    def own_bytes(self) -> int:
        return int(self.index.index_file_size())


class Mossy(Peer):
    """``mossy.Memory``: all of a recall, with what it returns besides the ids. The clock stands still.

    What is there already is stored again, so that each vector has an id of its own.
    """

    distribution = "mossy"
    pathway: ClassVar[str]

    def build(self, rows: Floats) -> None:
        import mossy

        self.memory = mossy.Memory(similarity="cosine", pathway=self.pathway, duplicates="keep", clock=mossy.Steps())
        self.own = np.empty(0, np.int64)  # the memory's id of each vector
        self.theirs = np.empty(0, np.int64)  # and the other way round
        self.add(np.arange(len(rows)), rows)

    def add(self, ids: Ids, rows: Floats) -> None:
        new = np.asarray(self.memory.store(rows))
        self.own = _put(self.own, ids, new)
        self.theirs = _put(self.theirs, new, ids)

    def remove(self, ids: Ids) -> None:
        self.memory.forget(self.own[ids])

    def search(self, cues: Floats, k: int, known: NDArray[np.bool_] | None = None) -> Ids:
        cue, mask = (cues[0], None if known is None else known[0]) if len(cues) == 1 else (cues, known)
        found = self.memory.recall(cue, mask, k=k, steps=1, reinforce=False)
        return self.theirs[np.atleast_2d(found.ids)]

    def weigh(self, strengths: NDArray[np.float64], delta: float) -> None:
        """Give the memories these strengths, up to a factor, which counts for nothing, and ``delta`` to the prior."""
        from dataclasses import replace

        self.memory.reinforce(self.own[np.arange(len(strengths))], strengths / strengths.min() * (1 + 1e-6) - 1)
        self.memory._settings = replace(self.memory._settings, delta=delta)  # what Memory(delta=...) sets

    def pathway_alone(self) -> Any:
        """Return what finds the keys, without the rest of a recall: a function of one cue ``(1, d)`` and ``k``."""
        store = self.memory._store
        vector = getattr(store, "vector", None)
        if vector is None:
            return None
        index, reach = store.index, store.index.separation.reach(len(store.index)) / store.index.beta
        delta = self.memory._settings.delta
        return lambda cue, k: vector.find(index, index.prepare(cue, None), reach, delta, k, None)

    def own_bytes(self) -> int:
        return int(self.memory.stats().bytes)


def _put(table: Ids, at: Ids, values: Ids) -> Ids:
    size = int(at.max()) + 1
    if size > len(table):
        table = np.concatenate([table, np.full(max(size, 5 * len(table) // 4) - len(table), -1)])
    table[at] = values
    return table


@final
class MossyExact(Mossy):
    """All keys are compared."""

    pathway = "exact"


@final
class MossySketch(Mossy):
    """One-bit synapses."""

    pathway = "sketch"


@final
class MossyGraph(Mossy):
    """A graph."""

    pathway = "graph"


INDEXES: Mapping[str, type[Peer]] = {
    "NumPy product": Product,
    "mossy exact": MossyExact,
    "mossy sketch": MossySketch,
    "mossy graph": MossyGraph,
    "faiss Flat": FaissFlat,
    "faiss PQ + refine": FaissPQ,
    "faiss IVF": FaissIVF,
    "faiss IVF-PQ + refine": FaissIVFPQ,
    "faiss HNSW": FaissHNSW,
    "usearch f32": USearchF32,
    "usearch f16": USearchF16,
    "usearch i8": USearchI8,
    "hnswlib": HNSWLib,
}
GROWS_SLOWLY = ("mossy graph", "faiss HNSW", "usearch f32", "usearch f16", "usearch i8", "hnswlib")
MODULES = {"faiss-cpu": "faiss"}  # where it is not the distribution's name


def missing(name: str) -> str | None:
    """Say why an index cannot be measured here, or None."""
    kind = INDEXES[name]
    if importlib.util.find_spec(MODULES.get(kind.distribution, kind.distribution)) is None:
        return "not installed"
    if issubclass(kind, Mossy):
        import mossy

        try:
            mossy.Memory(similarity="cosine", pathway=kind.pathway)
        except (TypeError, ValueError, LookupError, ImportError) as error:
            return f"not there yet: {error}"
    return None


def distributions(names: list[str]) -> list[str]:
    """Return what to name in the versions: each installed distribution but those that always stand there."""
    wanted = {INDEXES[name].distribution for name in names} - {"numpy", "mossy"}
    there = {one.metadata["Name"] for one in importlib.metadata.distributions()}
    return sorted(wanted & there)

"""What does a recall cost, and a memory take, as memories become many?

One recall of one cue, at 1,000 to 1,000,000 memories of 256 entries (``--largest`` sets another end), on one thread:

- index: ``Memory.recall(cue, k=10, reinforce=False)`` with each vector pathway, on the clustered vectors of
  ``search.py``, cosine. Accuracy is the part of the true ten nearest that is found. ``graph`` is built up to 100,000
  only, since it takes minutes beyond. Bytes are those of ``stats()``, the vectors themselves left out.
- matrix: ``Matrix.read`` behind 1,000 rectified random units, projection rule, random ±1 keys of 256 entries to random
  ±1 values of 64. Accuracy is the part of the bits that is right: 0.5 is what guessing gives.
- sparse: ``Sparse.read_active`` with 4,000 neurons, 12 of them active, random pairs. Accuracy is 1 less the wrong
  outputs for each right one, 0 at least.

A matrix and a sparse memory have one size from the start, so their time and bytes stay as they are, and what is paid
with is accuracy. Cues are 200 of what is stored (sparse, matrix) or new draws of the same mixture (index).
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy
from material import embeddings
from material.neighbours import neighbours
from mossy.encode import Dentate
from record import RESULTS, record

QUESTION = "What does a recall cost, and a memory take, as memories become many?"
HELD_FROM = 100_000  # memories from which what they take with links is measured
D, K, CUES, SEED = 256, 10, 200, 0
LARGEST_GRAPH = 100_000
STORED_AT_ONCE = 20_000
UNITS, BITS = 1000, 64
NEURONS, ACTIVE = 4000, 12

Cell = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=QUESTION)
    parser.add_argument("--largest", type=int, default=1_000_000)
    parser.add_argument("--only", nargs="+", help="measure these ways alone (or 'held'), and keep the recorded others")
    given = parser.parse_args()
    largest, only = given.largest, given.only
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    sizes = [size for size in (10**3, 10**4, 10**5, 10**6, 10**7) if size <= largest]
    ways: dict[str, Callable[[list[int]], Iterator[tuple[int, Cell]]]] = {
        "exact": lambda sizes: index("exact", sizes),
        "sketch": lambda sizes: index("sketch", sizes),
        "graph": lambda sizes: index("graph", [size for size in sizes if size <= LARGEST_GRAPH]),
        "matrix": matrix,
        "sparse": sparse,
    }
    result: dict[str, Any] = {"d": D, "cues": CUES, "sizes": sizes, "ways": {}}
    if only:
        result = json.loads((RESULTS / "cost.json").read_text(encoding="utf-8"))["result"]
    for name, way in ways.items():
        if only and name not in only:
            continue
        result["ways"][name] = {}
        for size, cell in way(sizes):
            result["ways"][name][str(size)] = cell
            print(f"{name:7} {size:>10,}", {what: float(f"{value:.4g}") for what, value in cell.items()}, flush=True)
    if not only or "held" in only:
        result["held"] = [held(size) for size in sizes if size >= HELD_FROM]
        print(result["held"])
    print(record("cost", QUESTION, result, seeds=[SEED]))


def index(pathway: str, sizes: list[int]) -> Iterator[tuple[int, Cell]]:
    """Store ever more clustered vectors in one memory, and measure it at each size."""
    for size in sizes:
        keys, cues = embeddings.clustered(size, CUES, SEED)
        memory = mossy.Memory(similarity="cosine", pathway=pathway, duplicates="keep")
        for first in range(0, size, STORED_AT_ONCE):
            memory.store(keys[first : first + STORED_AT_ONCE])
        start = time.process_time()
        memory.recall(cues[:2], k=K, reinforce=False)
        first = time.process_time() - start
        found: list[NDArray[np.int64]] = []
        seconds = each(lambda cue, memory=memory, found=found: found.append(recalled(memory, cue)), cues)
        true = neighbours(keys, cues, K).ids
        stats = memory.stats()
        yield (
            size,
            {
                "seconds": seconds,
                "first": first,
                "bytes": (stats.bytes - stats.bytes_of_patterns) / size,
                "accuracy": float(np.mean([np.isin(a, b).mean() for a, b in zip(true, found[-CUES:], strict=True)])),
            },
        )


def held(n: int) -> dict[str, float]:
    """Return what a memory takes beyond its vector with sketches, its strength and eight links: ``stats().bytes``."""
    keys, cues = embeddings.clustered(n, CUES, SEED)
    memory = mossy.Memory(similarity="cosine", pathway="sketch", links=8, association=0.5)
    for first in range(0, n, STORED_AT_ONCE):
        memory.store(keys[first : first + STORED_AT_ONCE])
    memory.recall(cues, k=K)
    stats = memory.stats()
    return {"n": n, "links": 8, "bytes": (stats.bytes - stats.bytes_of_patterns) / n}


def recalled(memory: mossy.Memory, cue: NDArray[np.float32]) -> NDArray[np.int64]:
    return memory.recall(cue, k=K, reinforce=False).ids


def matrix(sizes: list[int]) -> Iterator[tuple[int, Cell]]:
    """Write ever more pairs into one matrix."""
    rng = np.random.default_rng(SEED)
    memory = mossy.Matrix(D, BITS, encoder=Dentate(D, UNITS, seed=SEED))
    kept_keys, kept_values, written = [], [], 0
    for size in sizes:
        while written < size:
            n = min(STORED_AT_ONCE, size - written)
            keys, values = rng.choice((-1.0, 1.0), (n, D)), rng.choice((-1.0, 1.0), (n, BITS))
            memory.write(keys, values)
            kept_keys.append(keys[:CUES])
            kept_values.append(values[:CUES])
            written += n
        chosen = rng.choice(sum(map(len, kept_keys)), CUES, replace=False)
        keys, values = np.concatenate(kept_keys)[chosen], np.concatenate(kept_values)[chosen]
        right = float((np.sign(memory.read(keys)) == values).mean())
        yield size, {"seconds": each(memory.read, keys), "bytes": memory.nbytes / size, "accuracy": right}


def sparse(sizes: list[int]) -> Iterator[tuple[int, Cell]]:
    """Write ever more pairs into one-bit synapses."""
    rng = np.random.default_rng(SEED)
    memory = mossy.Sparse(NEURONS, k=ACTIVE)
    kept: list[NDArray[np.intp]] = []
    written = 0
    for size in sizes:
        while written < size:
            n = min(STORED_AT_ONCE, size - written)
            pairs = drawn(rng, 2 * n)
            memory.write_active(pairs[:n], pairs[n:])
            kept.append(np.stack([pairs[:n], pairs[n:]], axis=1)[:CUES])
            written += n
        every = np.concatenate(kept)
        some = every[rng.choice(len(every), CUES, replace=False)]
        read = [np.asarray(memory.read_active(key)) for key in some[:, 0]]
        wrong = [
            len(np.setxor1d(answer[answer >= 0], value)) / ACTIVE
            for answer, value in zip(read, some[:, 1], strict=True)
        ]
        cell = {"seconds": each(memory.read_active, some[:, 0]), "bytes": memory.nbytes / size}
        yield size, {**cell, "accuracy": max(0.0, 1 - float(np.mean(wrong)))}


def drawn(rng: np.random.Generator, n: int) -> NDArray[np.int64]:
    """Draw ``n`` sparse patterns, as lists of ``ACTIVE`` different neurons."""
    lists = np.sort(rng.integers(0, NEURONS, (n, ACTIVE)), axis=1)
    while len(again := np.flatnonzero((np.diff(lists, axis=1) == 0).any(axis=1))):
        lists[again] = np.sort(rng.integers(0, NEURONS, (len(again), ACTIVE)), axis=1)
    return lists


def each(ask: Callable[[Any], object], cues: NDArray[Any]) -> float:
    """Ask with every cue once unmeasured and twice measured; return the median seconds of one."""
    for cue in cues:
        ask(cue)
    seconds = []
    for cue in [*cues, *cues]:
        start = time.perf_counter()
        ask(cue)
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


if __name__ == "__main__":
    main()

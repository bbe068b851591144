"""Does a recall cost more after a million recalls?

A memory of real patterns with links and association on recalls again and again what a noisy cue brings back, and
reinforces it: strengths, and the links between what is recalled together. The first and the last ten thousand recalls
are made one by one, and timed; those between come in batches. No structure may have grown, and no link may be wrong.

``python benchmarks/links.py 20000`` makes so many, and keeps no result.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy
from material.images import digits
from record import record

RECALLS = 1_000_000
SINGLE = 10_000
BATCH = 256
PATTERNS = 1000
LINKS = 8
BETA = 15.0  # with sparsemax, several memories are active for many cues, and few have to be compared exactly
SPREAD = 0.15  # of the noise in a cue, in units of the spread of the patterns
APART = 10.0  # seconds between two recalls: a million take four months
SEED = 0


def cues_of(keys: NDArray[np.float32], n: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Return cues ``(n, d)``: patterns with noise, some of them asked for far more often than others."""
    rows = np.minimum(rng.zipf(1.2, n) - 1, len(keys) - 1) * 7919 % len(keys)
    noise = rng.standard_normal((n, keys.shape[1])).astype(np.float32)
    return np.asarray(keys[rows] + np.float32(SPREAD * keys.std()) * noise, np.float32)


def one_by_one(memory: mossy.Memory, clock: mossy.Steps, cues: NDArray[np.float32]) -> dict[str, float]:
    """Return how long a single recall takes, in seconds: median, and 99th in a hundred."""
    times = np.empty(len(cues))
    for i, cue in enumerate(cues):
        clock.advance(APART)
        start = time.perf_counter()
        memory.recall(cue)
        times[i] = time.perf_counter() - start
    return {"median": float(np.median(times)), "p99": float(np.quantile(times, 0.99)), "recalls": len(times)}


def in_batches(memory: mossy.Memory, clock: mossy.Steps, keys: NDArray[np.float32], n: int, seed: int) -> float:
    """Make ``n`` recalls in batches, and return how many a second there were."""
    rng, start = np.random.default_rng(seed), time.perf_counter()
    for first in range(0, n, BATCH):
        cues = cues_of(keys, min(BATCH, n - first), rng)
        clock.advance(APART * len(cues))
        memory.recall(cues)
    return n / (time.perf_counter() - start)


def links_of(memory: mossy.Memory) -> dict[str, Any]:
    """Return how many links there are, and bounds of them."""
    linked = memory.state()["linked"]
    there = linked["target"] >= 0
    return {
        "links": int(there.sum()),
        "most": int(there.sum(axis=1).max()),
        "finite": bool(np.isfinite(linked["modes"]).all()),
        "bytes": float((linked["target"].nbytes + linked["modes"].nbytes + linked["when"].nbytes) / len(there)),
    }


def main(recalls: int) -> None:
    keys = digits().first(PATTERNS)
    rng = np.random.default_rng(SEED)
    clock = mossy.Steps()
    memory = mossy.Memory(links=LINKS, association=1.0, beta=BETA, separation="sparsemax", clock=clock)
    memory.store(keys)
    single = min(SINGLE, recalls // 4)
    in_batches(memory, clock, keys, 5_000, SEED + 1)  # the compiler, and short-term memory is full
    before, held = links_of(memory), memory.stats().bytes
    first = one_by_one(memory, clock, cues_of(keys, single, rng))
    rate = in_batches(memory, clock, keys, recalls - 2 * single, SEED + 2)
    last = one_by_one(memory, clock, cues_of(keys, single, rng))
    result = {
        "memories": len(keys),
        "recalls": recalls,
        "first": first,
        "last": last,
        "slower": last["median"] / first["median"],
        "batched_recalls_per_second": rate,
        "bytes_before": held,
        "bytes_after": memory.stats().bytes,
        "links_before": before,
        "links_after": links_of(memory),
    }
    for name, value in result.items():
        print(f"{name}: {value}")
    if recalls == RECALLS:
        record("links", "Does a recall cost more after a million recalls?", result, seeds=[SEED, SEED + 1, SEED + 2])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else RECALLS)

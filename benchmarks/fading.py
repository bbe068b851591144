"""Does a bounded memory keep what will be asked for again, beside LRU and ``mossy.Cache``?

Each request is for one of 5,000 random normal patterns (d = 16), one a step of the clock. If it is recalled, to the bit
and as familiar, that is a hit, and reinforces it; else it is stored. ``Memory`` holds 100 or 400 memories: with
``adapt=False`` the law lets the weakest go, with ``adapt=True`` it is learned from use what is. Three traces of 6,000
requests, two seeds each:

- Zipf 1.0;
- Zipf .8 with a scan of 250 patterns, which nobody asks for again, after each 1,000 requests;
- Zipf 1.0 of which the ranks are drawn anew after each 2,000 requests.

``Cache`` and LRU hold as many items, and are asked by the number of the pattern. ``Cache`` keeps four ghosts an item,
``Memory`` one. Nothing was tuned on what is reported: the rate, the groups and the number of ghosts are those of
``Cache`` and of the ghosts that a budget leaves room for.

Second: the CPU time of a request, with adapting and without.
"""

from __future__ import annotations

import statistics
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy
from material import traces
from record import record

N = 6000
ITEMS = 5000
D = 16
SIZES = (100, 400)
SEEDS = (0, 1)

Trace = NDArray[np.int64]


def all_traces() -> dict[str, list[Trace]]:
    """Return the traces, one for each seed."""
    draws: dict[str, Callable[[np.random.Generator], Trace]] = {
        "Zipf 1.0": lambda rng: traces.zipf(N, ITEMS, 1.0, rng),
        "Zipf .8 with scans": lambda rng: traces.zipf_with_scans(N, ITEMS, 0.8, 1000, 250, rng),
        "Zipf 1.0 with drift": lambda rng: traces.zipf_with_drift(N, ITEMS, 1.0, 2000, rng),
    }
    return {name: [draw(np.random.default_rng(seed)) for seed in SEEDS] for name, draw in draws.items()}


def remembered(size: int, trace: Trace, adapt: bool) -> float:
    """Return the hit ratio of a memory."""
    patterns = np.random.default_rng(7).normal(size=(int(trace.max()) + 1, D)).astype(np.float32)
    clock = mossy.Steps()
    memory, hits = mossy.Memory(capacity=size, adapt=adapt, clock=clock), 0
    for item in trace.tolist():
        clock.advance()
        pattern = patterns[item]
        found = memory.recall(pattern) if len(memory) else None
        if found is not None and found.familiar and np.array_equal(found.pattern, pattern):
            hits += 1
        else:
            memory.store(pattern)
    return hits / len(trace)


def cached(size: int, trace: Trace) -> float:
    """Return the hit ratio of a cache of as many items."""
    cache, hits = mossy.Cache(size * (mossy.Cache.overhead + 1), sizeof=lambda value: 1), 0
    for item in trace.tolist():
        if cache.get(item) is None:
            cache[item] = 1
        else:
            hits += 1
    return hits / len(trace)


def lru(size: int, trace: Trace) -> float:
    """Return the hit ratio where what was not asked for longest goes."""
    held: OrderedDict[int, None] = OrderedDict()
    hits = 0
    for item in trace.tolist():
        hits += item in held
        held[item] = None
        held.move_to_end(item)
        if len(held) > size:
            held.popitem(last=False)
    return hits / len(trace)


CONTESTANTS: dict[str, Callable[[int, Trace], float]] = {
    "Memory, adapt=True": lambda size, trace: remembered(size, trace, True),
    "Memory": lambda size, trace: remembered(size, trace, False),
    "Cache": cached,
    "LRU": lru,
}


def main() -> None:
    ratio: dict[str, dict[str, dict[str, Any]]] = {}
    spent = dict.fromkeys(CONTESTANTS, 0.0)
    for trace, runs in all_traces().items():
        ratio[trace] = {}
        for size in SIZES:
            cell: dict[str, Any] = {}
            for name, measure in CONTESTANTS.items():
                start = time.process_time()
                found = [measure(size, run) for run in runs]
                spent[name] += time.process_time() - start
                cell[name] = {"mean": statistics.fmean(found), "spread": max(found) - min(found)}
            ratio[trace][str(size)] = cell
            print(f"{trace:24}{size:>4}  " + "  ".join(f"{name} {one['mean']:.3f}" for name, one in cell.items()))
    cells = [cell for sizes in ratio.values() for cell in sizes.values()]
    means = {name: statistics.fmean(cell[name]["mean"] for cell in cells) for name in CONTESTANTS}
    requests = N * len(SEEDS) * len(cells)
    result = {
        "ratio": ratio,
        "mean": means,
        "microseconds_a_request": {name: 1e6 * seconds / requests for name, seconds in spent.items()},
    }
    print("mean: " + "  ".join(f"{name} {mean:.3f}" for name, mean in means.items()))
    print("; ".join(f"{name} {each:.0f} us" for name, each in result["microseconds_a_request"].items()))
    record(
        "fading",
        "Does a bounded memory keep what will be asked for again, beside LRU and a cache?",
        result,
        seeds=SEEDS,
    )


if __name__ == "__main__":
    main()

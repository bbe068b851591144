"""How many requests does a cache answer that holds 100 or 400 items, beside LRU, LFU, ARC, S3-FIFO and W-TinyLFU?

Five traces of 50,000 requests:

- Zipf 1.0 over 5,000 items; Zipf .8 over 5,000 with a scan of 500 items after each 2,000 requests; Zipf 1.0 over
  5,000 of which the ranks are drawn anew after each 5,000 requests. Five seeds each.
- words: those of LoCoMo's conversations in running order, as a table of word vectors is asked for them.
- patches: the codes of 4 × 4 patches of Fashion-MNIST's images, image after image, as a first layer is asked for
  their answers. See ``material.traces``.

All hold the same number of items of one size. The peers are those of libcachesim, as it sets them; Belady knows the
future and is the bound. mossy keeps four ghosts an item, ARC one and S3-FIFO .9. ``Cache`` is also measured with
``adapt=False``: the strength law with the exponent .5.

Nothing was tuned on what is reported. The time scales, the groups, the rate and the number of ghosts of ``Cache``
were chosen on other seeds of the drawn traces (101 to 107), on other exponents, catalogues and periods too, and on
the words of Multi30k and of AG News and the patches of CIFAR-10 and MNIST, where it stood as it does here.

Second: what one call costs, as CPU time of Python, in turns with cachetools' LRU and LFU, at 100, 1,000 and 20,000
items: a hit, and a miss with the setting and the letting go that follow from it.
"""

from __future__ import annotations

import heapq
import statistics
import time
from collections.abc import Callable, MutableMapping
from typing import Any

import cachetools
import numpy as np
from numpy.typing import NDArray

import mossy
from material import traces
from record import data_dir, record

try:
    import libcachesim
except ImportError:
    # With what it depends on it does not install beside pandas: boto3, for traces in the cloud, wants an old dateutil.
    raise SystemExit("libcachesim is not installed: pip install --no-deps libcachesim==0.3.5") from None

N = 50_000
SIZES = (100, 400)
SEEDS = (0, 1, 2, 3, 4)
ITEMS = 5000
PEERS = ("LRU", "LFU", "ARC", "S3FIFO", "WTinyLFU")
TIMED = (100, 1000, 20_000)
ROUNDS, CALLS = 5, 10_000

Trace = NDArray[np.int64]


def all_traces() -> dict[str, list[Trace]]:
    """Return the traces, one for each seed where they are drawn."""

    def drawn(draw: Callable[[np.random.Generator], Trace]) -> list[Trace]:
        return [draw(np.random.default_rng(seed)) for seed in SEEDS]

    images = np.load(data_dir("fashion_mnist") / "fashion_mnist.npz")["train_images"]
    return {
        "Zipf 1.0": drawn(lambda rng: traces.zipf(N, ITEMS, 1.0, rng)),
        "Zipf .8 with scans": drawn(lambda rng: traces.zipf_with_scans(N, ITEMS, 0.8, 2000, 500, rng)),
        "Zipf 1.0 with drift": drawn(lambda rng: traces.zipf_with_drift(N, ITEMS, 1.0, 5000, rng)),
        "words (LoCoMo)": [traces.conversation_words(N)],
        "patches (Fashion-MNIST)": [traces.image_patches(images, N)],
    }


def of_items(n: int, adapt: bool = True) -> mossy.Cache[int, int]:
    """Return a cache of ``n`` items of one size."""
    return mossy.Cache(n * (mossy.Cache.overhead + 1), sizeof=lambda value: 1, adapt=adapt)


def mapping(cache: MutableMapping[int, int], trace: Trace) -> float:
    """Return the hit ratio of a mapping."""
    hits = 0
    for key in trace.tolist():
        if cache.get(key) is None:
            cache[key] = 1
        else:
            hits += 1
    return hits / len(trace)


def peer(name: str, size: int, trace: Trace) -> float:
    """Return the hit ratio of one of libcachesim's."""
    cache = getattr(libcachesim, name)(size, hashpower=16)
    request, hits = libcachesim.Request(), 0
    for step, key in enumerate(trace.tolist()):
        request.obj_id, request.obj_size, request.clock_time = key, 1, step
        hits += cache.get(request)
    return hits / len(trace)


def belady(size: int, trace: Trace) -> float:
    """Return the hit ratio of a cache that lets go what is asked for last."""
    keys, following, seen = trace.tolist(), [0] * len(trace), {}
    for step in range(len(trace) - 1, -1, -1):
        following[step] = seen.get(keys[step], len(trace) + step)
        seen[keys[step]] = step
    held: dict[int, int] = {}
    heap: list[tuple[int, int]] = []
    hits = 0
    for key, following_use in zip(keys, following, strict=True):
        hits += key in held
        if key not in held and len(held) == size:
            while held.get(heap[0][1]) != -heap[0][0]:
                heapq.heappop(heap)  # asked for since
            del held[heapq.heappop(heap)[1]]
        held[key] = following_use
        heapq.heappush(heap, (-following_use, key))
    return hits / len(trace)


def contestants() -> dict[str, Callable[[int, Trace], float]]:
    """Return every cache that is measured: from a size and a trace to the hit ratio."""
    found: dict[str, Callable[[int, Trace], float]] = {
        "Cache": lambda size, trace: mapping(of_items(size), trace),
        "Cache, adapt=False": lambda size, trace: mapping(of_items(size, adapt=False), trace),
    }
    for name in PEERS:
        found[name] = lambda size, trace, name=name: peer(name, size, trace)
    return found | {"Belady": belady}


def ratios() -> dict[str, dict[str, dict[str, Any]]]:
    """Return the hit ratios, by trace, size and cache: the mean over the seeds and how far they are apart."""
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for trace, runs in all_traces().items():
        result[trace] = {}
        for size in SIZES:
            found = {name: [measure(size, run) for run in runs] for name, measure in contestants().items()}
            result[trace][str(size)] = {
                name: {"mean": statistics.fmean(each), "spread": max(each) - min(each)} for name, each in found.items()
            }
    return result


def summary(result: dict[str, dict[str, dict[str, Any]]]) -> dict[str, Any]:
    """Return each cache's mean over traces and sizes, and mossy's distance from the best peer at each."""
    cells = {f"{trace}, {size}": cell for trace, sizes in result.items() for size, cell in sizes.items()}
    means = {name: statistics.fmean(cell[name]["mean"] for cell in cells.values()) for name in contestants()}
    gaps = {where: cell["Cache"]["mean"] - max(cell[name]["mean"] for name in PEERS) for where, cell in cells.items()}
    return {"mean": means, "above_best_peer": gaps, "worst": min(gaps.values())}


def cost(make: Callable[[int], MutableMapping[int, int]], size: int, trace: list[int]) -> tuple[float, float]:
    """Return the microseconds of a hit, and of a miss with what follows from it, in a cache that is full."""
    cache = make(size)
    for key in trace:
        if cache.get(key) is None:
            cache[key] = 1
    held = (list(cache) * (CALLS // size + 1))[:CALLS]
    start = time.process_time_ns()
    for key in held:
        cache.get(key)
    between = time.process_time_ns()
    for key in range(10**9, 10**9 + CALLS):
        if cache.get(key) is None:
            cache[key] = 1
    return (between - start) / CALLS / 1000, (time.process_time_ns() - between) / CALLS / 1000


def costs() -> dict[str, dict[str, dict[str, float]]]:
    """Return the median cost of a hit and of a miss, by size and cache."""
    makers: dict[str, Callable[[int], MutableMapping[int, int]]] = {
        "Cache": of_items,
        "cachetools LRU": cachetools.LRUCache,
        "cachetools LFU": cachetools.LFUCache,
    }
    result: dict[str, dict[str, dict[str, float]]] = {}
    for size in TIMED:
        trace = traces.zipf(max(20_000, 10 * size), 20 * size, 0.9, np.random.default_rng(0)).tolist()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in makers}
        for _ in range(ROUNDS):
            for name, make in makers.items():
                found[name].append(cost(make, size, trace))
        result[str(size)] = {
            name: {kind: statistics.median(pair[i] for pair in pairs) for i, kind in enumerate(("hit", "miss"))}
            for name, pairs in found.items()
        }
    return result


def show(result: dict[str, Any]) -> None:
    names = list(contestants())
    print(f"{'hit ratio':28}" + "".join(f"{name[:12]:>13}" for name in names))
    for trace, sizes in result["ratio"].items():
        for size, cell in sizes.items():
            print(f"{trace:24}{size:>4}" + "".join(f"{cell[name]['mean']:13.3f}" for name in names))
    print(f"{'mean':28}" + "".join(f"{result['summary']['mean'][name]:13.3f}" for name in names))
    print(f"above the best of {', '.join(PEERS)}: at least {result['summary']['worst']:+.4f}")
    for size, each in result["microseconds"].items():
        print(f"{size} items: " + "; ".join(f"{name} {c['hit']:.1f} / {c['miss']:.1f} us" for name, c in each.items()))


def main() -> None:
    ratio = ratios()
    result = {
        "ratio": ratio,
        "summary": summary(ratio),
        "microseconds": costs(),
        "overhead_bytes": mossy.Cache.overhead,
    }
    show(result)
    record(
        "cache",
        "How many requests does a cache of 100 or 400 items answer, beside LRU, LFU, ARC, S3-FIFO and W-TinyLFU?",
        result,
        seeds=SEEDS,
        peers=("libcachesim", "cachetools"),
    )


if __name__ == "__main__":
    main()

"""How fast is a recall beside the plain NumPy matrix product with which a search begins?

- A batch: 64 noisy cues among 100,000 random patterns of 256 entries, float32. Beside it the faster of
  ``(Q @ K.T).argmax(1)`` and ``(K @ Q.T).argmax(0)``: a product and the best, with no scale, mask, strength,
  probability or id. ``throughput`` is the time of the product divided by the time of the recall.
- One cue among 1,000 patterns of 256 entries, beside ``K @ q``.

All ways take turns in one process. Times are medians; ``cpu`` is the time of all threads together. Everything is
measured once with the threads that the matrix product takes by itself, and once with one thread.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from material.timing import blas, in_turns
from record import record

SEED = 0
D = 256
MANY, CUES, TURNS = 100_000, 64, 15
FEW, ONE_TURNS = 1000, 1500
SIMILARITIES = ("euclidean", "cosine", "dot", "manhattan")
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "NUMBA")}


def patterns(n: int, cues: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return ``n`` Gaussian patterns, and noisy cues of the first of them."""
    rng = np.random.default_rng(SEED)
    keys = rng.standard_normal((n, D), np.float32)
    return keys, keys[:cues] + np.float32(0.3) * rng.standard_normal((cues, D), np.float32)


def recalls(
    keys: np.ndarray[Any, Any], cue: Callable[[int], np.ndarray[Any, Any]], similarity: str
) -> dict[str, Callable[[int], object]]:
    """Return the ways to recall that are measured; ``cue`` gives the cue of a turn."""
    used, untouched = (mossy.Memory(similarity=similarity) for _ in range(2))
    used.store(keys)
    untouched.store(keys)
    half = np.arange(D) < D // 2
    return {
        "recall": lambda turn: used.recall(cue(turn)),
        "recall, reinforce=False": lambda turn: untouched.recall(cue(turn), reinforce=False),
        "recall, k=10": lambda turn: untouched.recall(cue(turn), k=10, reinforce=False),
        "recall, half known": lambda turn: untouched.recall(cue(turn), known=half, reinforce=False),
    }


def batch(similarity: str) -> dict[str, Any]:
    """Measure 64 cues among 100,000 patterns."""
    keys, cues = patterns(MANY, CUES)
    ways: dict[str, Callable[[int], object]] = {
        "(Q @ K.T).argmax(1)": lambda _: (cues @ keys.T).argmax(1),
        "(K @ Q.T).argmax(0)": lambda _: (keys @ cues.T).argmax(0),
    }
    products = tuple(ways)
    ways |= recalls(keys, lambda _: cues, similarity)
    times: dict[str, Any] = in_turns(ways, 3 if similarity == "manhattan" else TURNS)
    for clock in ("wall", "cpu"):
        product = min(times[name][clock] for name in products)
        for name in set(ways) - set(products):
            times[name][f"throughput_{clock}"] = product / times[name][clock]
    return times


def one(similarity: str) -> dict[str, Any]:
    """Measure one cue among 1,000 patterns."""
    keys, cues = patterns(FEW, CUES)
    ways: dict[str, Callable[[int], object]] = {"K @ q": lambda turn: keys @ cues[turn % CUES]}
    ways |= recalls(keys, lambda turn: cues[turn % CUES], similarity)
    times: dict[str, Any] = in_turns(ways, ONE_TURNS, warm_up=200)
    for name in set(ways) - {"K @ q"}:
        times[name]["above_product_us"] = (times[name]["wall"] - times["K @ q"]["wall"]) * 1e6
    return times


def measure() -> dict[str, Any]:
    """Measure everything in this process, with the threads that it has."""
    result: dict[str, Any] = {"blas": blas(), "batch": {}, "one": {}}
    for similarity in SIMILARITIES:
        result["one"][similarity] = one(similarity)
        result["batch"][similarity] = batch(similarity)
    return result


def measured_elsewhere(settings: dict[str, str]) -> dict[str, Any]:
    """Measure in a new process, whose environment decides the threads."""
    run = subprocess.run(
        [sys.executable, str(Path(__file__).resolve()), "--print"],
        env=os.environ | settings,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    result: dict[str, Any] = json.loads(run.stdout)
    return result


def show(threads: str, result: dict[str, Any]) -> None:
    for similarity in SIMILARITIES:
        for name, times in result["batch"][similarity].items():
            if "throughput_wall" in times:
                alone = result["one"][similarity][name]
                print(
                    f"{threads}, {similarity}, {name}: {times['throughput_wall']:.2f} of the product (CPU "
                    f"{times['throughput_cpu']:.2f}); one cue {alone['above_product_us']:.0f} us above it"
                )


def main() -> None:
    if sys.argv[1:] == ["--print"]:
        print(json.dumps(measure()))
        return
    result = {"all threads": measured_elsewhere({}), "one thread": measured_elsewhere(ONE_THREAD)}
    for threads, measured in result.items():
        show(threads, measured)
    record(
        "recall_speed",
        "How fast is a recall beside the plain NumPy matrix product with which a search begins?",
        result,
        seeds=[SEED],
    )


if __name__ == "__main__":
    main()

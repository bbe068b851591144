"""How fast does a matrix predict, beside the two products that it cannot do without?

10,000 patterns of 784 entries, 10 classes, 1,000 units. The products are those of NumPy in float32: patterns with the
synapses of the expansion, and what the units do with the weights of the classes. Rounds alternate; CPU time on one
thread; the ratio is that of the medians.

``--quick`` takes 1,000 patterns and writes no result.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from mossy.learn import MemoryClassifier
from record import record

N, D, CLASSES, UNITS = 10_000, 784, 10, 1000
LEARNED = 3000
ROUNDS = 15
SEEDS = range(5)
QUESTION = "How fast does a matrix predict, beside the two products that it cannot do without?"


def seconds(run: Any) -> float:
    """Return the CPU time of a call."""
    start = time.process_time()
    run()
    return time.process_time() - start


def measure(n: int, seed: int, rounds: int) -> dict[str, float]:
    """Return the CPU time of both, and what part of the speed of the products is left."""
    rng = np.random.default_rng(seed)
    x, y = rng.random((max(n, LEARNED), D), np.float32), rng.integers(CLASSES, size=LEARNED)
    model = MemoryClassifier("matrix", units=UNITS, ridge=0.01, random_state=seed).fit(x[:LEARNED], y)
    asked, expand = x[:n], rng.standard_normal((D, UNITS)).astype(np.float32)
    weights = rng.standard_normal((UNITS, CLASSES)).astype(np.float32)
    model.predict(asked)
    taken = [
        (seconds(lambda: model.predict(asked)), seconds(lambda: (asked @ expand) @ weights)) for _ in range(rounds)
    ]
    mine, products = np.median(taken, axis=0).tolist()
    return {"predict_s": mine, "products_s": products, "of_the_products": products / mine}


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="1,000 patterns; writes no result")
    quick = ask.parse_args().quick
    with threadpool_limits(1):
        rows = [measure(1000 if quick else N, seed, 3 if quick else ROUNDS) for seed in SEEDS]
    found = {name: float(np.median([row[name] for row in rows])) for name in rows[0]}
    print(found)
    if not quick:
        record("predict_speed", QUESTION, {"n": N, "d": D, "units": UNITS} | found, SEEDS)


if __name__ == "__main__":
    main()

"""Which tenth of a training set serves best in place of all of it?

Of each data set, a tenth and a twentieth of the training images are kept: the coreset of ``TrainingMemory`` (medoids of
each class), the herding of ``MemoryClassifier`` (examples that keep the mean), images drawn at random from each class,
and all. What is kept trains 1-NN, an SVC and logistic regression, which are tested on the first 2,000 test images.
Nothing is chosen by accuracy. Of the digits, five splits; of the others, five random halves of the training images, of
at most 4,000, so that there are five sets to choose from. CPU time is that of choosing.

``--quick`` runs one seed on the digits and writes no result.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from material.streams import found
from mossy.learn import TrainingMemory
from mossy.learn.herding import herd
from record import record

SEEDS = 5
SHARES = (0.1, 0.05)
LARGEST = 4000  # images that are chosen from

MODELS: dict[str, Callable[[], Any]] = {
    "1-NN": lambda: KNeighborsClassifier(1),
    "SVC": lambda: SVC(C=10),
    "LogisticRegression": lambda: LogisticRegression(max_iter=200),
}


def medoids(x: Any, y: Any, n: int, seed: int) -> Any:
    """Return the rows of the coreset of ``TrainingMemory``."""
    memory = TrainingMemory("1 GB", random_state=seed)
    memory.store(x, y)
    return memory.coreset(n)[2]


def random(x: Any, y: Any, n: int, seed: int) -> Any:
    """Return rows drawn from each class alike."""
    rng = np.random.default_rng(seed)
    kinds = np.unique(y)
    return np.concatenate([rng.choice(np.flatnonzero(y == c), n // len(kinds), replace=False) for c in kinds])


WAYS: dict[str, Callable[[Any, Any, int, int], Any]] = {
    "TrainingMemory.coreset": medoids,
    "herding": lambda x, y, n, seed: herd(x, y, n),
    "random": random,
    "all": lambda x, y, n, seed: np.arange(len(x)),
}


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="one seed on the digits; writes no result")
    quick = ask.parse_args().quick
    warnings.filterwarnings("ignore")
    result: dict[str, Any] = {}
    for images in found(quick):
        result[images.name] = {}
        for share in SHARES:
            rows: dict[str, Any] = {}
            for way, choose in WAYS.items():
                told: dict[str, list[float]] = {name: [] for name in MODELS}
                cpu = []
                for seed in range(1 if quick else SEEDS):
                    x, y, t, u = images.split(seed)
                    if images.test is not None:
                        some = np.random.default_rng(seed).permutation(len(x))[: min(len(x) // 2, LARGEST)]
                        x, y = x[some], y[some]
                    start = time.process_time()
                    kept = choose(x, y, round(share * len(x)), seed)
                    cpu.append(time.process_time() - start)
                    for name, make in MODELS.items():
                        told[name].append(float(make().fit(x[kept], y[kept]).score(t[:2000], u[:2000])))
                rows[way] = {
                    "kept": len(kept),
                    "cpu_s": np.median(cpu),
                    **{name: {"mean": np.mean(one), "deviation": np.std(one)} for name, one in told.items()},
                }
                both = "  ".join(f"{name} {np.mean(one):.4f} ± {np.std(one):.4f}" for name, one in told.items())
                print(
                    f"{images.name:14}{share:5.0%}  {way:24}{len(kept):5}  {both}  {np.median(cpu):.3f} s", flush=True
                )
            result[images.name][f"{share:.0%}"] = rows
    if not quick:
        record("coresets", "Which tenth of a training set serves best?", result, range(SEEDS), ["scikit-learn"])


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

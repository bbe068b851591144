"""How well are classes told apart after one, five or ten examples of each?

Handwritten digits of scikit-learn, pixels from 0 to 1: 1, 5 or 10 examples of each class, drawn anew in each of 20
draws (the seeds), all others are tested. Every learner is at its defaults, since so few examples leave none to choose
by; only the 1 nearest neighbour is asked for as such. Beside the accuracy stand the log loss, where a learner gives
probabilities, the CPU time to learn and to predict, and the bytes that it holds after it.

``--quick`` makes three draws and writes no result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from material.streams import Labelled, bytes_held, digits
from mossy.learn import MemoryClassifier
from record import record

SHOTS = (1, 5, 10)
DRAWS = 20

LEARNERS: dict[str, Callable[[], Any]] = {
    "mossy, auto": MemoryClassifier,
    "mossy, matrix": lambda: MemoryClassifier("matrix"),
    "SVC": SVC,
    "1 nearest neighbour": lambda: KNeighborsClassifier(1),
    "LogisticRegression": lambda: LogisticRegression(max_iter=1000),
}


def draw(images: Labelled, shots: int, seed: int) -> tuple[Any, Any, Any, Any]:
    """Return so many examples of each class, and all others."""
    order = np.random.default_rng(seed).permutation(len(images.y))
    shown = np.concatenate([order[images.y[order] == c][:shots] for c in np.unique(images.y)])
    asked = np.setdiff1d(order, shown)
    return images.x[shown], images.y[shown], images.x[asked], images.y[asked]


def measure(make: Callable[[], Any], images: Labelled, shots: int, draws: int) -> dict[str, Any]:
    """Return accuracy, its standard error, log loss, CPU time and bytes over the draws."""
    accuracy, losses, cpu, held = [], [], [], []
    for seed in range(draws):
        x, y, t, u = draw(images, shots, seed)
        start = time.process_time()
        learner = make().fit(x, y)
        answers = learner.predict(t)
        cpu.append(time.process_time() - start)
        accuracy.append(float((answers == u).mean()))
        held.append(bytes_held(learner))
        if hasattr(learner, "predict_proba"):
            losses.append(log_loss(u, learner.predict_proba(t), labels=learner.classes_))
    return {
        "accuracy": np.mean(accuracy),
        "standard_error": np.std(accuracy, ddof=1) / np.sqrt(draws),
        "log_loss": np.mean(losses) if losses else None,
        "cpu_s": np.median(cpu),
        "bytes": max(held),
    }


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="three draws; writes no result")
    quick = ask.parse_args().quick
    images, draws = digits(), 3 if quick else DRAWS
    result: dict[str, Any] = {"draws": draws, "digits": {}}
    for shots in SHOTS:
        rows = {name: measure(make, images, shots, draws) for name, make in LEARNERS.items()}
        result["digits"][f"{shots}"] = rows
        for name, row in rows.items():
            loss = "     " if row["log_loss"] is None else f"{row['log_loss']:5.2f}"
            print(
                f"{shots:3} a class  {name:22}{row['accuracy']:.3f} ± {row['standard_error']:.3f}  log loss {loss}"
                f"  {row['cpu_s'] * 1000:6.1f} ms {row['bytes'] / 1000:9.1f} kB"
            )
    if not quick:
        question = "How well are classes told apart after one, five or ten examples of each?"
        record("few_shot", question, result, range(draws), ["scikit-learn"])


if __name__ == "__main__":
    main()

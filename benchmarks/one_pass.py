"""How well is a stream of images learned in one pass, class after class, with how many bytes and how much CPU time?

Every image is shown once, in batches of ten; digits with ten seeds (split, order, random numbers), MNIST, whose test
images are given, with five. Larger images are asked for in ``images.py`` and ``streams.py``. Each learner is shown
the images class after class, and in random order. CPU time is that of all threads, to learn and to predict the test
images; bytes are those of all arrays that a learner holds after it, without the patches of an encoder.

Hyper-parameters are chosen on a fifth of the training images of the first seed, by accuracy there, among those in
``LEARNERS``; the learner then learns all training images. mossy chooses its own from what it was shown.

``--quick`` runs two seeds on the digits, ``--only`` the data sets that it names; neither writes a result.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC

from material.learners import Hyperdimensional, Keeping, Means, Naming, RandomRidge, StreamingLDA
from material.streams import Labelled, batches, bytes_held, found
from mossy.learn import ImageEncoder, MemoryClassifier
from record import record

SEEDS = 10
FEWER = 5
BATCH = 10
ORDERS = ("class after class", "i.i.d.")

Make = Callable[[int, int], Any]  # (classes, seed) → learner


def memory(**given: Any) -> list[tuple[str, Make]]:
    """One setting of the classifier."""
    return [("", lambda classes, seed: MemoryClassifier(random_state=seed, **given))]


def settings(name: str, values: Iterable[Any], make: Callable[[Any, int, int], Any]) -> list[tuple[str, Make]]:
    """Several settings to choose among."""
    return [(f"{name}={v}", lambda classes, seed, v=v: make(v, classes, seed)) for v in values]


# By name: the settings to choose among, each a name and a function (classes, seed) → learner.
LEARNERS: dict[str, list[tuple[str, Make]]] = {
    "mossy, auto": memory(),
    "mossy, index": memory(substrate="index"),
    "mossy, matrix": memory(substrate="matrix"),
    "mossy, auto, 0.5 MB": memory(budget="0.5 MB"),
    "mossy, index, 0.5 MB": memory(substrate="index", budget="0.5 MB"),
    "mossy, matrix, 0.5 MB": memory(substrate="matrix", budget="0.5 MB"),
    "mossy, index, 50 kB": memory(substrate="index", budget="50 kB"),
    "SGDClassifier": settings(
        "alpha", (1e-5, 1e-4, 1e-3, 1e-2), lambda v, c, s: Naming(SGDClassifier(alpha=v, random_state=s), c)
    ),
    "GaussianNB": settings(
        "var_smoothing", (1e-9, 1e-3, 1e-2, 1e-1), lambda v, c, s: Naming(GaussianNB(var_smoothing=v), c)
    ),
    "nearest running mean": [("", lambda c, s: Means(c))],
    "streaming LDA": settings("shrink", (1e-4, 1e-3, 1e-2, 1e-1), lambda v, c, s: StreamingLDA(c, v)),
    "random ReLU + ridge": settings("ridge", (1e-2, 1e-1, 1.0, 10.0), lambda v, c, s: RandomRidge(c, 1000, v, s)),
    "KNeighborsClassifier, all data": settings(
        "k", (1, 3, 5), lambda v, c, s: Keeping(KNeighborsClassifier(v, algorithm="brute"))
    ),
    "SVC, all data": settings("C", (1, 10), lambda v, c, s: Keeping(SVC(C=v))),
}
if importlib.util.find_spec("torchhd"):
    LEARNERS["torch-hd centroid"] = [("", lambda c, s: Hyperdimensional(c, s))]

# By data set: settings of the encoder of images to choose among. It learns from the first ten images alone.
ENCODERS: dict[str, list[dict[str, Any]]] = {
    "digits": [{"patches": 60, "size": 4}],
    "MNIST": [{"patches": 200, "power": power} for power in (0.5, 1.0)],
}


def encoded(images: Labelled) -> dict[str, list[tuple[str, Make]]]:
    """Return the classifier behind an encoder of images, in all its settings."""

    def make(given: dict[str, Any], classes: int, seed: int) -> MemoryClassifier:
        encoder = ImageEncoder(shape=images.shape, random_state=seed, **given)
        return MemoryClassifier("matrix", encoder=encoder)

    return {"mossy, matrix, ImageEncoder": settings("encoder", ENCODERS[images.name], make)}


def learn(make: Make, x: Any, y: Any, t: Any, order: str, seed: int) -> tuple[Any, Any, float]:
    """Show a stream once; return the learner, its answers to ``t`` and the CPU time."""
    classes = int(y.max()) + 1
    learner = make(classes, seed)
    start = time.process_time()
    for rows in batches(y, order, BATCH, seed):
        learner.partial_fit(x[rows], y[rows])
    answers = learner.predict(t)
    return learner, answers, time.process_time() - start


def chosen(options: list[tuple[str, Make]], images: Labelled) -> tuple[str, Make]:
    """Return the setting that is best on a fifth of the training images."""
    if len(options) == 1:
        return options[0]
    x, y, _, _ = images.split(0)
    a, v, ya, yv = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    scores = [float((learn(make, a, ya, v, ORDERS[0], 0)[1] == yv).mean()) for _, make in options]
    return options[int(np.argmax(scores))]


def measure(options: list[tuple[str, Make]], images: Labelled, seeds: int) -> dict[str, Any]:
    """Return accuracy in both orders, bytes and CPU time, over the seeds."""
    setting, make = chosen(options, images)
    rows: dict[str, Any] = {"setting": setting}
    alike = True
    for order in ORDERS:
        accuracy, cpu, held = [], [], []
        for seed in range(seeds):
            x, y, t, u = images.split(seed)
            learner, answers, seconds = learn(make, x, y, t, order, seed)
            accuracy.append(float((answers == u).mean()))
            cpu.append(seconds)
            held.append(bytes_held(learner))
            if order == ORDERS[0]:
                rows.setdefault("answers", []).append(answers)
            else:
                alike = alike and bool((rows["answers"][seed] == answers).all())
        rows[order] = {"accuracy": np.mean(accuracy), "deviation": np.std(accuracy), "cpu_s": np.median(cpu)}
        rows["bytes"] = max(held)
    del rows["answers"]
    return rows | {"same_answers_in_both_orders": alike}


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--only", nargs="*", help="names of data sets; writes no result")
    ask.add_argument("--quick", action="store_true", help="two seeds on the digits; writes no result")
    asked = ask.parse_args()
    quick = asked.quick
    warnings.filterwarnings("ignore", module="sklearn")
    result: dict[str, Any] = {"batch": BATCH, "sets": {}}
    for images in (one for one in found(quick) if one.name in ENCODERS):
        if asked.only and images.name not in asked.only:
            continue
        seeds = 2 if quick else SEEDS if images.name == "digits" else FEWER
        rows: dict[str, Any] = {}
        for name, options in (LEARNERS | encoded(images)).items():
            rows[name] = row = measure(options, images, seeds)
            both = " ".join(f"{row[o]['accuracy']:.4f} ± {row[o]['deviation']:.4f}" for o in ORDERS)
            print(
                f"{images.name:14}{name:34}{both}  same {row['same_answers_in_both_orders']!s:6}"
                f"{row['bytes'] / 1e6:9.3f} MB {row[ORDERS[0]]['cpu_s']:8.2f} s  {row['setting']}",
                flush=True,
            )
        result["sets"][images.name] = {"seeds": seeds, "learners": rows}
    if not quick and not asked.only:
        peers = ["scikit-learn"] + (["torch-hd"] if importlib.util.find_spec("torchhd") else [])
        record("one_pass", "How well is a stream learned in one pass, class after class?", result, range(SEEDS), peers)


if __name__ == "__main__":
    main()

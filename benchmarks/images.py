"""What do patches that compete in one pass give a memory of images, and at what CPU time beside scikit-learn?

mossy: a matrix memory behind an ``ImageEncoder``. Images come once, class after class, in batches of 500, and the
encoder learns its patches from the first batch, which holds one class, and is then fixed. Beside it: images in random
order, patches learned from all images beforehand, and random patches that learn nothing.

- Each data set has a goal, and a few settings, cheapest first. The first setting that passes the goal by .01 on a fifth
  of the training images is taken (else the best); then it learns all training images, with five seeds (one for what
  stands beside it), and is tested once. The ridge is chosen by the memory from what it was shown.
- Peers see all training images at once. Each setting is measured on the test images, so the cheapest that reaches a
  goal there is found with more luck than mossy is allowed. Seeds: five, or as many as begin within 20 s of CPU time.
- CPU time is that of all threads, to encode, learn and predict the test images, on one BLAS thread.

``--quick`` runs the digits alone, with two seeds, and writes no result.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from material.streams import Labelled, batches, bytes_held, found
from mossy.learn import ImageEncoder, MemoryClassifier
from record import RESULTS, record

QUESTION = "What do patches that compete in one pass give a memory of images, and at what CPU time?"
SEEDS = 5
FEWER = 1  # seeds of what stands beside it
BATCH = 500
MARGIN = 0.01  # above the goal, on the images that settings are chosen by
MOST_SECONDS = 20.0  # of CPU time, after which a peer is not run with another seed

# By data set: (name of the row, goal on the test images, settings to choose among, cheapest first).
GOALS: dict[str, list[tuple[str, float, list[dict[str, Any]]]]] = {
    "digits": [("digits", 0.98, [{"patches": 50, "size": 4}, {"patches": 100, "size": 4, "power": 0.5}])],
    "MNIST": [
        (
            "MNIST",
            0.98,
            [
                {"patches": 100, "size": 8, "bias": 0.5, "power": 0.5},
                {"patches": 200, "size": 8, "bias": 0.5, "power": 0.5},
                {"patches": 400, "size": 8, "bias": 0.5, "power": 0.5},
            ],
        )
    ],
    "Fashion-MNIST": [
        (
            "Fashion-MNIST, small",
            0.86,
            [
                {"patches": 32, "stride": 2, "power": 0.5},
                {"patches": 48, "stride": 2, "power": 0.5},
                {"patches": 64, "stride": 2, "power": 0.5},
            ],
        ),
        (
            "Fashion-MNIST",
            0.90,
            [
                {"patches": 100, "power": 0.5},
                {"patches": 200, "size": 8, "power": 0.5},
                {"patches": 200, "size": 8, "power": 0.5, "mirror": True},
            ],
        ),
    ],
    "CIFAR-10": [
        (
            "CIFAR-10",
            0.65,
            [
                {"patches": 200, "bias": 0.5, "power": 0.5, "mirror": True},
                {"patches": 400, "bias": 0.5, "power": 0.5, "mirror": True},
                {"patches": 400, "bias": 0.5, "power": 0.5, "mirror": True, "contrast": 0.5},
            ],
        )
    ],
}

Make = Callable[[int, int], Any]  # (classes, seed) → learner


class RandomUnits:
    """Random rectified units and a ridge on one-hot values, all in float32: the least that a peer can compute."""

    def __init__(self, units: int, seed: int, ridge: float = 10.0) -> None:
        self.units, self.seed, self.ridge = units, seed, np.float32(ridge)

    def fit(self, x: Any, y: Any) -> RandomUnits:
        """Learn all at once."""
        rng = np.random.default_rng(self.seed)
        spread = np.sqrt(x.shape[1]) * x.std()
        self.mean = x.mean(axis=0)
        self.weights = rng.standard_normal((x.shape[1], self.units), np.float32) / np.float32(spread)
        self.bias = rng.standard_normal(self.units, np.float32)
        h = self._units(x)
        gram = h.T @ h
        gram.flat[:: self.units + 1] += self.ridge
        self.readout = np.linalg.solve(gram, h.T @ np.eye(int(y.max()) + 1, dtype=np.float32)[y])
        return self

    def predict(self, x: Any) -> Any:
        """Return the class with the largest value."""
        return (self._units(x) @ self.readout).argmax(axis=1)

    def _units(self, x: Any) -> Any:
        drive = (x - self.mean) @ self.weights
        drive += self.bias
        return np.maximum(drive, 0, out=drive)


def reduced(n: int, last: Callable[[], Any]) -> Make:
    """Return a peer behind ``n`` principal components."""
    return lambda classes, seed: make_pipeline(PCA(n, svd_solver="randomized", random_state=seed), last())


def kernel(n: int) -> Make:
    """Return a ridge behind ``n`` kernel features."""
    return lambda classes, seed: make_pipeline(
        Nystroem(gamma=0.01, n_components=n, random_state=seed), RidgeClassifier(0.01)
    )


PEERS: dict[str, Make] = {
    "1 nearest neighbour": lambda c, s: KNeighborsClassifier(1),
    "LogisticRegression": lambda c, s: LogisticRegression(max_iter=100),
    "RidgeClassifier": lambda c, s: RidgeClassifier(),
    **{f"random ReLU ({n:,}), ridge": lambda c, s, n=n: RandomUnits(n, s) for n in (1000, 1500, 2000, 3000)},
    **{f"PCA {n}, SVC": reduced(n, lambda: SVC(C=10)) for n in (20, 30, 50, 80)},
    **{f"PCA {n}, 5 neighbours": reduced(n, lambda: KNeighborsClassifier(5)) for n in (50,)},
    **{f"Nystroem {n:,}, ridge": kernel(n) for n in (500, 1000, 2000, 3000)},
    **{
        f"MLP {size}, {n} epochs": lambda c, s, size=size, n=n: MLPClassifier(size, max_iter=n, random_state=s)
        for size, n in ((256, 5), (256, 10), (256, 20), (100, 10), (128, 10), ((512, 256), 20), ((1000,), 30))
    },
    **{f"ExtraTrees {n}": lambda c, s, n=n: ExtraTreesClassifier(n, random_state=s) for n in (30, 100, 300)},
    "RandomForest 100": lambda c, s: RandomForestClassifier(100, random_state=s),
    **{
        f"HistGradientBoosting {n}": lambda c, s, n=n: HistGradientBoostingClassifier(max_iter=n, random_state=s)
        for n in (20, 100)
    },
    **{
        f"SVC C={c:g}, gamma={g}": lambda k, s, c=c, g=g: SVC(C=c, gamma=g)
        for c, g in ((10, "scale"), (10, 0.02), (10, 0.03))
    },
}
FEW = ("1 nearest neighbour", "LogisticRegression", "random ReLU (3,000), ridge", "SVC C=10, gamma=scale")


def memory(setting: dict[str, Any], shape: tuple[int, ...], seed: int, **given: Any) -> MemoryClassifier:
    """Return a memory behind an encoder."""
    return MemoryClassifier("matrix", encoder=ImageEncoder(shape, random_state=seed, **(setting | given)))


def stream(learner: Any, x: Any, y: Any, t: Any, u: Any, order: str, seed: int) -> dict[str, float]:
    """Show a stream once, then test."""
    start = time.process_time()
    for rows in batches(y, order, BATCH, seed):
        learner.partial_fit(x[rows], y[rows])
    learned = time.process_time()
    right = float((learner.predict(t) == u).mean())
    ended = time.process_time()
    held = learner.nbytes_ + bytes_held(learner.encoder_)
    return {"accuracy": right, "cpu_s": ended - start, "learn_s": learned - start, "bytes": held}


class Fixed:
    """An encoder that was fitted elsewhere; it is not fitted again."""

    def __init__(self, encoder: Any) -> None:
        self.encoder = encoder

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return what it is made from."""
        return {"encoder": self.encoder}

    def __sklearn_clone__(self) -> Fixed:
        return self

    def fit(self, x: Any, y: Any = None) -> Fixed:
        """Learn nothing."""
        return self

    def transform(self, x: Any) -> Any:
        """Return the patterns."""
        return self.encoder.transform(x)


def choose(images: Labelled, goal: float, settings: list[dict[str, Any]]) -> tuple[dict[str, Any], dict[str, float]]:
    """Return the setting to take, and the accuracy of each that was tried on a fifth of the training images."""
    x, y, _, _ = images.split(0)
    a, v, b, w = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    tried: dict[str, float] = {}
    best: tuple[float, dict[str, Any]] = (-1.0, settings[0])
    for setting in settings:
        right = stream(memory(setting, images.shape, 0), a, b, v, w, "class after class", 0)["accuracy"]
        tried[named(setting)] = right
        best = max(best, (right, setting), key=lambda pair: pair[0])
        if right >= goal + MARGIN:
            return setting, tried
    return best[1], tried


def named(setting: dict[str, Any]) -> str:
    """Return a setting in words."""
    return ", ".join(f"{name}={value}" for name, value in setting.items())


def summary(runs: list[dict[str, float]]) -> dict[str, Any]:
    """Return the mean and spread over the seeds."""
    accuracy = [run["accuracy"] for run in runs]
    spread = float(np.std(accuracy, ddof=1)) if len(runs) > 1 else 0.0
    found = {"accuracy": float(np.mean(accuracy)), "sd": spread, "seeds": len(runs)}
    for name in ("cpu_s", "learn_s", "bytes"):
        if name in runs[0]:
            found[name] = float(np.median([run[name] for run in runs]))
    return found


def ours(images: Labelled, goal: float, settings: list[dict[str, Any]], seeds: int) -> dict[str, Any]:
    """Measure the setting that is chosen, and what its order and its patches matter."""
    setting, tried = choose(images, goal, settings)
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        x, y, t, u = images.split(seed)
        every = Fixed(ImageEncoder(images.shape, random_state=seed, **setting).fit(x))
        kinds = {
            "class after class": (memory(setting, images.shape, seed), "class after class"),
            "i.i.d.": (memory(setting, images.shape, seed), "i.i.d."),
            "patches of all images": (MemoryClassifier("matrix", encoder=every), "class after class"),
            "random patches": (memory(setting, images.shape, seed, learning="random"), "class after class"),
        }
        for kind, (learner, order) in list(kinds.items())[: None if seed < FEWER else 1]:
            rows.setdefault(kind, []).append(stream(learner, x, y, t, u, order, seed))
    found = {kind: summary(runs) for kind, runs in rows.items()}
    for kind, row in found.items():
        print(f"  mossy, {kind:24}{line(row)}  {named(setting)}", flush=True)
    return {"goal": goal, "setting": setting, "validation": tried, "rows": found}


def peers(images: Labelled, names: tuple[str, ...], seeds: int) -> dict[str, Any]:
    """Measure peers, each on all training images at once."""
    found: dict[str, Any] = {}
    for name in names:
        runs: list[dict[str, float]] = []
        while len(runs) < seeds and (not runs or sum(run["cpu_s"] for run in runs) < MOST_SECONDS):
            seed = len(runs)
            x, y, t, u = images.split(seed)
            learner = PEERS[name](int(y.max()) + 1, seed)
            start = time.process_time()
            learner.fit(x, y)
            right = float((learner.predict(t) == u).mean())
            runs.append({"accuracy": right, "cpu_s": time.process_time() - start, "bytes": bytes_held(learner)})
        found[name] = summary(runs)
        print(f"  {name:31}{line(found[name])}", flush=True)
    return found


def line(row: dict[str, Any]) -> str:
    """Return a row as text."""
    return f"{row['accuracy']:.4f} ± {row['sd']:.4f}  {row['cpu_s']:7.2f} s CPU {row['bytes'] / 1e6:8.1f} MB"


def against(rows: list[dict[str, Any]], others: dict[str, Any], bars: tuple[tuple[float, str], ...]) -> dict[str, Any]:
    """Return for each bar the cheapest peer that reaches it, beside mossy's row."""
    found = {}
    for (bar, name), row in zip(bars, rows, strict=True):
        able = {peer: other for peer, other in others.items() if other["accuracy"] >= bar}
        cheapest = min(able, key=lambda peer: able[peer]["cpu_s"], default=None)
        found[name] = {
            "bar": bar,
            "cheapest": cheapest,
            "cheapest_cpu_s": None if cheapest is None else able[cheapest]["cpu_s"],
            "best": max(others, key=lambda peer: others[peer]["accuracy"]),
            "mossy_accuracy": row["rows"]["class after class"]["accuracy"],
            "mossy_cpu_s": row["rows"]["class after class"]["cpu_s"],
        }
        print(f"  {name}: of the peers that reach {bar}, {cheapest} is the cheapest; {found[name]}", flush=True)
    return found


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="digits alone, two seeds; writes no result")
    ask.add_argument("--only", choices=tuple(GOALS), help="measure one data set, and keep the recorded ones")
    given = ask.parse_args()
    quick = given.quick
    warnings.filterwarnings("ignore", module="sklearn")  # a peer that has not converged is measured as it is
    result: dict[str, Any] = {}
    with threadpool_limits(1):
        ImageEncoder((8, 8), patches=8).fit_transform(np.random.default_rng(0).random((8, 64)))  # compiles
        for images in found(quick):
            if given.only not in (None, images.name):
                continue
            print(images.name)
            seeds = 2 if quick else SEEDS
            mine = {name: ours(images, goal, settings, seeds) for name, goal, settings in GOALS[images.name]}
            names = tuple(PEERS) if images.name == "Fashion-MNIST" else FEW
            others = peers(images, names, seeds)
            if given.only and (RESULTS / "images.json").exists():  # read late: others may be measured meanwhile
                result = json.loads((RESULTS / "images.json").read_text(encoding="utf-8"))["result"]
            result[images.name] = {"mossy": mine, "peers": others}
            if images.name == "Fashion-MNIST":
                bars = ((0.86, "Fashion-MNIST, small"), (0.89, "Fashion-MNIST"))
                result[images.name]["cheapest"] = against(list(mine.values()), others, bars)
            if not quick:  # after each, since all of them take an hour
                record("images", QUESTION, result, range(SEEDS), ["scikit-learn"])


if __name__ == "__main__":
    main()

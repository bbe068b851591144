"""How well is a class that was never seen told from those that were, and in what CPU time?

Each of ten classes is held out in turn: the detector is fitted to half of the other nine, and scores the other half
and the class held out. Area under the ROC curve, averaged over the ten classes, five seeds.

- scikit-learn's detectors at their defaults, and with the setting that is best on validation: of the nine training
  classes each of three is held out in turn from a half of the training part, as if it were new. mossy's detector is
  shown at its defaults, and tuned in the same way.
- Beside them the plain distance to the nearest, and to the five nearest.
- Digits (scikit-learn); MNIST (5,000) and Fashion-MNIST (5,000 of its training images) where they are found, one seed
  and defaults only.
- CPU seconds of fitting and of scoring, on one thread; bytes of the fitted detector, pickled.
"""

from __future__ import annotations

import argparse
import pickle
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.svm import OneClassSVM
from threadpoolctl import threadpool_limits

from mossy.learn import NoveltyDetector
from record import data_dir, record

SEEDS = tuple(range(5))

Floats = NDArray[np.float64]
Labels = NDArray[np.int64]
Settings = dict[str, Any]


class Nearest:
    """The mean distance to the nearest ``k``."""

    def __init__(self, k: int) -> None:
        self.k = k

    def fit(self, images: Floats) -> Nearest:
        """Keep the images."""
        self.search = NearestNeighbors(n_neighbors=self.k).fit(images)
        return self

    def score_samples(self, images: Floats) -> Floats:
        """Return minus the distance."""
        return -self.search.kneighbors(images)[0].mean(axis=1)


# By name: how it is made, its defaults, and the settings among which validation chooses.
DETECTORS: dict[str, tuple[Any, Settings, list[Settings]]] = {
    "NoveltyDetector": (
        NoveltyDetector,
        {},
        [{"beta": beta, "local": local} for beta in (20, 40, 80) for local in (0.0, 0.25, 0.5, 0.75)],
    ),
    "LocalOutlierFactor": (
        LocalOutlierFactor,
        {"novelty": True},
        [{"novelty": True, "n_neighbors": k} for k in (2, 3, 5, 10, 20, 40)],
    ),
    "IsolationForest": (
        IsolationForest,
        {"random_state": 0},
        [{"random_state": 0, "n_estimators": 300, "max_features": share} for share in (0.25, 0.5, 1.0)],
    ),
    "OneClassSVM": (
        OneClassSVM,
        {},
        [{"gamma": gamma, "nu": nu} for gamma in (0.03, 0.1, 0.3, 1.0, 3.0, 10.0) for nu in (0.01, 0.1, 0.5)],
    ),
    "distance to the nearest": (Nearest, {"k": 1}, []),
    "distance to the five nearest": (Nearest, {"k": 5}, []),
}


def splits(labels: Labels, seed: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]]:
    """For each class give the training rows, the test rows, and which of these are of the class."""
    rng = np.random.default_rng(seed)
    for held_out in np.unique(labels):
        old = rng.permutation(np.flatnonzero(labels != held_out))
        train, rest = np.split(old, [len(old) // 2])
        test = np.concatenate([rest, np.flatnonzero(labels == held_out)])
        yield train, test, labels[test] == held_out


def choose(name: str, images: Floats, labels: Labels, seed: int) -> Settings:
    """Return the setting with the largest area on classes of the training part that are held out for it."""
    make, _, settings = DETECTORS[name]
    folds = list(splits(labels, 10_000 + seed))[::3]

    def area(setting: Settings) -> float:
        return float(np.mean([_area(make(**setting).fit(images[a]), images[b], new) for a, b, new in folds]))

    return max(settings, key=area)


def _area(detector: Any, images: Floats, new: NDArray[np.bool_]) -> float:
    return float(roc_auc_score(new, -detector.score_samples(images)))


def measure(name: str, tuned: bool, images: Floats, labels: Labels, seeds: tuple[int, ...]) -> dict[str, Any]:
    make, defaults, _ = DETECTORS[name]
    areas, fit_s, score_s, size = [], [], [], 0
    chosen: dict[str, int] = {}
    for seed in seeds:
        for train, test, new in splits(labels, seed):
            setting = choose(name, images[train], labels[train], seed) if tuned else defaults
            begin = time.process_time()
            detector = make(**setting).fit(images[train])
            middle = time.process_time()
            scores = detector.score_samples(images[test])
            score_s.append(time.process_time() - middle)
            fit_s.append(middle - begin)
            areas.append(roc_auc_score(new, -scores))
            size = max(size, len(pickle.dumps(detector)))
            if tuned:
                chosen[str(setting)] = chosen.get(str(setting), 0) + 1
    by_seed = np.reshape(areas, (len(seeds), -1)).mean(axis=1)
    row: dict[str, Any] = {
        "auc": float(np.mean(areas)),
        "sd": float(by_seed.std()),
        "worst_class": float(np.min(areas)),
        "fit_cpu_s": float(np.mean(fit_s)),
        "score_cpu_s": float(np.mean(score_s)),
        "bytes": size,
    }
    return row | ({"chosen": chosen} if tuned else {})


def image_sets(quick: bool) -> Iterator[tuple[str, Floats, Labels]]:
    digits = load_digits()
    yield "digits", digits.data / 16, digits.target
    if quick:
        return
    for name, folder, of in (("MNIST", "mnist_5k", ""), ("Fashion-MNIST", "fashion_mnist", "train_")):
        try:
            file = np.load(data_dir(folder) / f"{folder}.npz")
        except SystemExit as missing:
            print(f"{missing} {name} is left out.")
            continue
        images, labels = file[f"{of}images"][:5000], file[f"{of}labels"][:5000]
        yield name, images.reshape(len(images), -1) / 255.0, labels.astype(np.int64)


def main() -> None:
    """Measure on one thread, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="digits, one seed, defaults only, nothing recorded")
    quick = parser.parse_args().quick
    result: dict[str, Any] = {}
    for set_name, images, labels in image_sets(quick):
        full = set_name == "digits" and not quick
        seeds = SEEDS if full else SEEDS[:1]
        rows = result[set_name] = {"items": len(images), "entries": images.shape[1], "seeds": list(seeds)}
        for name, (_, _, settings) in DETECTORS.items():
            for tuned in (False, True) if full and settings else (False,):
                row = rows[f"{name}, tuned" if tuned else name] = measure(name, tuned, images, labels, seeds)
                print(
                    f"{set_name:14}{name + ', tuned' * tuned:30}AUC {row['auc']:.4f} ± {row['sd']:.4f}   fit "
                    f"{row['fit_cpu_s']:.3f} s   score {row['score_cpu_s']:.3f} s   {row['bytes'] / 1e6:.2f} MB",
                    flush=True,
                )
    if not quick:
        question = "How well is a class that was never seen told from those that were, and in what CPU time?"
        record("novelty", question, result, SEEDS, peers=["scikit-learn"])


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

"""How far can the probabilities of a classifier be believed, and by which constants?

First the constants of ``mossy.learn.supervised.posterior`` and ``mossy.learn.supervised.sharpness`` are chosen: by the
log loss, mean over the development sets, of five-fold cross-validation inside their training parts. Then, once, log
loss, expected calibration error (10 bins of the highest probability), accuracy and CPU time (to learn and to give
probabilities) are measured: on the parts of the development sets that were held out, on synthetic sets of other seeds,
and on images that took no part in the choice, by 60 principal components. Each of five seeds draws the training
examples (four fifths of a training part, 2,000 of the images) and the random numbers. Every column is brought to one
scale, the components of images too: that costs nearest neighbours and the index much of their accuracy there, so images
compare the probabilities of a matrix with those of linear learners only.

Logistic regression and nearest neighbours choose C and k by cross-validation of the log loss on the training
examples, at the CPU time that this takes. ``former`` is β = k + (12 − k) R⁸, which was chosen with test data in
sight; ``best β`` is seen on the test part and bounds what any single β can reach. Both read the same drives.

``--quick`` takes two development sets and two seeds, and writes no result.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_blobs, make_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import StandardScaler

from material.streams import Labelled, found
from mossy.learn import MemoryClassifier
from mossy.learn.supervised import classifier, posterior, sharpness
from record import record

Floats = NDArray[np.float64]
SEEDS = 5
FOLDS = 5
IMAGES = 2000  # images to learn
COMPONENTS = 60
SYNTHETIC: dict[str, dict[str, Any]] = {
    "2 classes, near": {"n_samples": 600, "n_informative": 5, "n_classes": 2, "class_sep": 0.5},
    "4 classes, 10 % wrong": {"n_samples": 600, "n_informative": 8, "n_classes": 4, "flip_y": 0.1},
    "10 classes": {"n_samples": 1000, "n_features": 30, "n_informative": 10, "n_classes": 10, "class_sep": 2.0},
    "3 classes, uneven": {
        "n_samples": 800, "n_features": 10, "n_informative": 6, "n_classes": 3, "weights": [0.8, 0.15, 0.05]
    },
    "3 classes, few examples": {"n_samples": 200, "n_features": 40, "n_informative": 10, "n_classes": 3},
    "20 classes": {
        "n_samples": 1500, "n_features": 30, "n_informative": 12, "n_classes": 20,
        "n_clusters_per_class": 1, "class_sep": 2.0,
    },
}  # fmt: skip
BLOBS = {
    "5 blobs": {"n_samples": 500, "n_features": 8, "centers": 5, "cluster_std": 3.0},
    "3 blobs": {"n_samples": 500, "n_features": 4, "centers": 3, "cluster_std": 6.0},
    "15 blobs": {"n_samples": 1000, "n_features": 6, "centers": 15, "cluster_std": 5.0},
}


@dataclass(frozen=True)
class Parts:
    """A set in two parts; the second is for the one measurement."""

    name: str
    x: Floats
    y: NDArray[Any]
    t: Floats
    u: NDArray[Any]


def halves(name: str, x: Any, y: Any) -> Parts:
    """Return 70 % to learn and 30 % to test."""
    x, t, y, u = train_test_split(x, y, test_size=0.3, stratify=y, random_state=0)
    return Parts(name, x, y, t, u)


def synthetic(seed: int) -> Iterator[Parts]:
    """Yield every synthetic set, drawn with seeds from ``seed`` on."""
    for i, (name, given) in enumerate(SYNTHETIC.items()):
        yield halves(name, *make_classification(random_state=seed + i, **given))
    for i, (name, given) in enumerate(BLOBS.items()):
        yield halves(name, *make_blobs(random_state=seed + 50 + i, **given)[:2])


def development(quick: bool) -> list[Parts]:
    """Return the sets whose training parts choose; of the digits also 300 and 100 training examples alone."""
    loads = {"wine": load_wine, "iris": load_iris, "breast cancer": load_breast_cancer, "digits": load_digits}
    sets = [halves(name, *load(return_X_y=True)) for name, load in loads.items()]
    if quick:
        return sets[:2]
    digits = sets[-1]
    for n in (300, 100):
        x, _, y, _ = train_test_split(digits.x, digits.y, train_size=n, stratify=digits.y, random_state=0)
        sets.append(Parts(f"digits, {n}", x, y, digits.t, digits.u))
    return sets + list(synthetic(100))


def images() -> Iterator[Parts]:
    """Yield real images that took no part in the choice, if they are there."""
    for one in found(False)[1:]:
        yield components(one)


def components(one: Labelled) -> Parts:
    """Return the principal components of images, found on the training images."""
    x, y, t, u = one.split(0)
    pca = PCA(COMPONENTS, random_state=0).fit(x[:5000])
    return Parts(one.name, pca.transform(x), y, pca.transform(t), u)


def scaled(x: Floats, t: Floats) -> tuple[Floats, Floats]:
    """Return columns of one scale, as every learner here is given them."""
    scaler = StandardScaler().fit(x)
    return scaler.transform(x), scaler.transform(t)


# --- choose --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """What a matrix reads for examples that it has not seen: drives ``(n, m)``, with what is known of the others."""

    drives: Floats
    fit: float
    right: NDArray[np.intp]

    @property
    def m(self) -> int:
        """Number of classes."""
        return self.drives.shape[1]


def read(model: MemoryClassifier, t: Floats, u: NDArray[Any]) -> Reading:
    """Return the drives behind the probabilities of a matrix."""
    superposed = model._superposed
    drives = superposed.read(model._cues(t))
    return Reading(drives, max(superposed.solve().fit, 0.0), np.searchsorted(model.classes_, u))


def softmax(evidence: Floats) -> Floats:
    """Return the softmax of each row."""
    p = np.exp(evidence - evidence.max(axis=1, keepdims=True))
    return np.asarray(p / p.sum(axis=1, keepdims=True))


def student(r: Reading, freedom: float) -> Floats:
    """Return probabilities if one-hot values scatter about drives as Student's t of the expected squared error."""
    error = (1 - 1 / r.m) * (1 - r.fit) / max(r.m - 1, 1)
    away = np.square(r.drives).sum(axis=1, keepdims=True) + 1 - 2 * r.drives
    return softmax(-(freedom + r.m - 1) / 2 * np.log(freedom * max(error, 1e-9) + away))


Form = Callable[..., Floats]
# By name: what makes probabilities of a reading, and the constants to choose among. Fewer constants come first.
FORMS: dict[str, tuple[Form, list[dict[str, float]]]] = {
    "β = m": (lambda r: softmax(r.m * r.drives), [{}]),
    "β = c": (lambda r, c: softmax(c * r.drives), [{"c": c} for c in (3, 4, 6, 8, 12, 16)]),
    "β = min(m, k)": (lambda r, k: softmax(min(r.m, k) * r.drives), [{"k": k} for k in (6, 8, 10, 12, 16)]),
    "β = m/(1-R²)^q": (
        lambda r, q: softmax(r.m / max(1 - r.fit, 1e-9) ** q * r.drives),
        [{"q": q} for q in (0.1, 0.2, 0.35, 0.5, 1.0)],
    ),
    "Student's t": (student, [{"freedom": f} for f in (0.5, 1, 2, 4, 8)]),
    "β = min(m, k) + c R²": (
        lambda r, k, c: softmax((min(r.m, k) + c * r.fit) * r.drives),
        [{"k": k, "c": c} for k in (6, 8, 10, 12, 16) for c in (1, 2, 3, 4, 6, 8)],
    ),
    "β = k + (c - k) R^2q, k = min(m, c)": (
        lambda r, c, q: softmax((min(r.m, c) + (c - min(r.m, c)) * r.fit**q) * r.drives),
        [{"c": c, "q": q} for c in (8, 10, 12, 16) for q in (1, 2, 4, 8)],
    ),
}
FORMER = FORMS["β = k + (c - k) R^2q, k = min(m, c)"][0]
# Doubts of an index to choose among by leave-one-out, and its sharpnesses.
VOTES: dict[str, tuple[tuple[float, ...], Floats]] = {
    f"{doubts}, 2^{low} to 2^{high}": (doubts, 2.0 ** np.arange(low, high + 1.0))
    for doubts in ((0.3,), (1.0,), (0.1, 1.0), (0.03, 0.1, 0.3, 1.0), (0.01, 0.03, 0.1, 0.3, 1.0, 3.0))
    for low, high in ((-5, 6), (-3, 4), (-1, 2))
}


def losses(p: Floats, right: NDArray[np.intp]) -> Floats:
    """Return the log loss of each."""
    return np.asarray(-np.log(np.maximum(p[np.arange(len(p)), right], 1e-15)))


def folds(one: Parts) -> Iterator[tuple[int, Floats, NDArray[Any], Floats, NDArray[Any]]]:
    """Yield number, examples to learn and examples to ask for, all of the training part."""
    cut = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(one.x, one.y)
    for fold, (learn, ask) in enumerate(cut):
        x, t = scaled(one.x[learn], one.x[ask])
        yield fold, x, one.y[learn], t, one.y[ask]


def choose_matrix(sets: list[Parts]) -> dict[str, Any]:
    """Return for each form its best constants and their log loss, and the best form."""
    readings = [
        [read(MemoryClassifier("matrix", random_state=f).fit(x, y), t, u) for f, x, y, t, u in folds(one)]
        for one in sets
    ]

    def loss(form: Form, constants: dict[str, float]) -> float:
        each = [np.concatenate([losses(form(r, **constants), r.right) for r in cut]).mean() for cut in readings]
        return float(np.mean(each))

    rows = {}
    for name, (form, grid) in FORMS.items():
        tried = [loss(form, constants) for constants in grid]
        rows[name] = {"constants": grid[int(np.argmin(tried))], "log_loss": min(tried)}
    best = min(rows, key=lambda name: float(rows[name]["log_loss"]))
    return {"forms": rows, "chosen": best, "former": loss(FORMER, {"c": 12, "q": 4})}


def choose_index(sets: list[Parts]) -> dict[str, Any]:
    """Return the log loss of an index by the grids of its own leave-one-out, and the best."""
    rows: dict[str, float] = {}
    for name, (doubts, grid) in VOTES.items():
        with patch.object(classifier, "DOUBTS", doubts), patch.object(sharpness, "GRID", grid):
            each = []
            for one in sets:
                parts = []
                for _, x, y, t, u in folds(one):
                    model = MemoryClassifier("index").fit(x, y)
                    parts.append(losses(model.predict_proba(t), np.searchsorted(model.classes_, u)))
                each.append(np.concatenate(parts).mean())
        rows[name] = float(np.mean(each))
    return {"grids": rows, "chosen": min(rows, key=lambda name: rows[name])}


# --- measure -------------------------------------------------------------------------------------


def searched(model: Any, **grid: Any) -> GridSearchCV:
    """Return a model that chooses its parameter by the log loss of cross-validation."""
    return GridSearchCV(model, grid, scoring="neg_log_loss", cv=3)


LEARNERS: dict[str, Callable[[int], Any]] = {
    "mossy, index": lambda seed: MemoryClassifier("index"),
    "mossy, matrix": lambda seed: MemoryClassifier("matrix", random_state=seed),
    "mossy, matrix, temperature by CalibratedClassifierCV": lambda seed: CalibratedClassifierCV(
        MemoryClassifier("matrix", random_state=seed), method="temperature", cv=3
    ),
    "LogisticRegression": lambda seed: searched(LogisticRegression(max_iter=2000), C=(0.01, 0.1, 1.0, 10.0)),
    "KNeighborsClassifier": lambda seed: searched(KNeighborsClassifier(), n_neighbors=(5, 10, 20, 50)),
    "RidgeClassifier, CalibratedClassifierCV": lambda seed: CalibratedClassifierCV(RidgeClassifier()),
}


def judged(p: Floats, right: NDArray[np.intp]) -> dict[str, float]:
    """Return log loss, expected calibration error over 10 bins of the highest probability, and accuracy."""
    best, correct = p.max(axis=1), p.argmax(axis=1) == right
    bins = np.minimum((best * 10).astype(int), 9)
    gap = np.abs(np.bincount(bins, best - correct, 10)).sum() / len(p)
    return {"log_loss": float(losses(p, right).mean()), "ece": float(gap), "accuracy": float(correct.mean())}


def measure(one: Parts, seeds: int) -> dict[str, Any]:
    """Return for each learner the mean over the seeds."""
    rows: dict[str, list[dict[str, float]]] = {}
    for seed in range(seeds):
        size = min(IMAGES, int(0.8 * len(one.y)))
        x, _, y, _ = train_test_split(one.x, one.y, train_size=size, stratify=one.y, random_state=seed)
        x, t = scaled(x, one.t)
        for name, make in LEARNERS.items():
            start = time.process_time()
            model = make(seed).fit(x, y)
            p = model.predict_proba(t)
            cpu = time.process_time() - start
            right = np.searchsorted(model.classes_, one.u)
            rows.setdefault(name, []).append(judged(p, right) | {"cpu_s": cpu})
            if name == "mossy, matrix":
                r = read(model, t, one.u)
                rows.setdefault("mossy, matrix, former", []).append(judged(FORMER(r, 12, 4), right))
                betas = [judged(softmax(b * r.drives), right) for b in 2.0 ** np.arange(0, 6.1, 0.25)]
                best = min(betas, key=lambda row: row["log_loss"])
                rows.setdefault("mossy, matrix, best β", []).append(best)
    return {name: {key: float(np.mean([row[key] for row in each])) for key in each[0]} for name, each in rows.items()}


def averaged(sets: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over sets."""
    names = next(iter(sets.values()))
    return {n: {k: float(np.mean([rows[n][k] for rows in sets.values()])) for k in names[n]} for n in names}


def show(title: str, rows: dict[str, Any]) -> None:
    """Print one table."""
    print(title)
    for name, row in rows.items():
        cpu = f"{row['cpu_s'] * 1000:8.0f} ms" if "cpu_s" in row else ""
        print(
            f"  {name:54}log loss {row['log_loss']:.3f}  ECE {row['ece']:.3f}  {row['accuracy']:.3f}{cpu}", flush=True
        )


def main() -> None:
    """Choose, measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="two development sets, two seeds; writes no result")
    quick = ask.parse_args().quick
    warnings.filterwarnings("ignore", module="sklearn")
    sets, seeds = development(quick), 2 if quick else SEEDS
    result: dict[str, Any] = {"matrix": choose_matrix(sets), "index": choose_index(sets)}
    for name, row in result["matrix"]["forms"].items():
        print(f"{name:40}{row['log_loss']:.4f}  {row['constants']}")
    print(f"{'former':40}{result['matrix']['former']:.4f}\nchosen: {result['matrix']['chosen']}")
    for name, loss in result["index"]["grids"].items():
        print(f"index {name:60}{loss:.4f}")
    result["in_use"] = {
        "most": posterior.MOST,
        "gain": posterior.GAIN,
        "doubts": sharpness.DOUBTS,
        "grid": sharpness.GRID,
    }
    groups = {"development sets, held out": sets}
    if not quick:
        groups |= {"synthetic, other seeds": list(synthetic(1000)), "images": list(images())}
    result["measured"] = {}
    for group, members in groups.items():
        rows = {one.name: measure(one, seeds) for one in members}
        result["measured"][group] = {"sets": rows, "mean": averaged(rows)} if rows else {}
        if group == "images":
            for name, row in rows.items():
                show(name, row)
        elif rows:
            show(f"{group}, mean", result["measured"][group]["mean"])
    if not quick:
        question = "How far can the probabilities of a classifier be believed, and by which constants?"
        record("calibration", question, result, range(seeds), ["scikit-learn"])


if __name__ == "__main__":
    main()

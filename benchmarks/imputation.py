"""How well, and in what CPU time, is a table completed of which a part is missing?

- Error: digits, breast cancer, diabetes and wine, columns standardised on the whole table; 10, 30 and 50 % of all
  entries are hidden completely at random; root mean square error on the hidden entries alone; five seeds. Each imputer
  is fitted to the incomplete table and completes it. scikit-learn's at their defaults, and the KNN imputer besides with
  the number of neighbours that is best on a tenth of the known entries, hidden for that.
- Of mossy's, the projection alone stands beside, without what it recalls.
- Time: 10,000 rows (MNIST's test images, in means of 4 × 4 and of 2 × 2 pixels; without MNIST, digits drawn with
  replacement and small noise). CPU seconds of fitting and completing, on one thread; one seed.
- Bytes: what the fitted estimator is when pickled.
"""

from __future__ import annotations

import argparse
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
from sklearn.exceptions import ConvergenceWarning
from sklearn.experimental import enable_iterative_imputer  # noqa: F401
from sklearn.impute import IterativeImputer, KNNImputer, SimpleImputer
from threadpoolctl import threadpool_limits

from mossy.learn import MemoryImputer
from record import data_dir, record

SHARES = (0.1, 0.3, 0.5)
SEEDS = tuple(range(5))
NEIGHBOURS = (1, 2, 3, 5, 10, 20, 40)

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class TunedKNN:
    """The KNN imputer with the number of neighbours that is best on entries hidden from the incomplete table."""

    def fit(self, table: Floats) -> TunedKNN:
        """Hide, choose and fit."""
        hidden = (np.random.default_rng(1_000_003).random(table.shape) < 0.1) & ~np.isnan(table)
        cut = np.where(hidden, np.nan, table)
        if np.isnan(cut).all(axis=0).any():
            cut = table
        self.k = min(NEIGHBOURS, key=lambda k: error(table, KNNImputer(n_neighbors=k).fit_transform(cut), hidden))
        self.imputer = KNNImputer(n_neighbors=self.k).fit(table)
        return self

    def transform(self, table: Floats) -> Floats:
        """Complete."""
        return self.imputer.transform(table)


class Projection:
    """mossy's imputer without what it recalls."""

    def fit(self, table: Floats) -> Projection:
        """Fit, and take nothing of what is recalled."""
        self.imputer = MemoryImputer().fit(table)
        self.imputer.gain_ = self.imputer.gain_._replace(share=0.0)
        return self

    def transform(self, table: Floats) -> Floats:
        """Complete."""
        return self.imputer.transform(table)


IMPUTERS: dict[str, Callable[[], Any]] = {
    "MemoryImputer": MemoryImputer,
    "MemoryImputer, projection alone": Projection,
    "KNNImputer": KNNImputer,
    "KNNImputer, tuned": TunedKNN,
    "IterativeImputer": lambda: IterativeImputer(random_state=0),
    "SimpleImputer": SimpleImputer,
}


def standardised(table: Floats) -> Floats:
    centred = table - table.mean(axis=0)
    spread = centred.std(axis=0)
    return centred / np.where(spread > 0, spread, 1)


def tables() -> Iterator[tuple[str, Floats]]:
    loaders = {
        "digits": load_digits,
        "breast cancer": load_breast_cancer,
        "diabetes": load_diabetes,
        "wine": load_wine,
    }
    for name, load in loaders.items():
        yield name, standardised(load().data.astype(float))


def long_tables() -> Iterator[tuple[str, Floats]]:
    """Give tables of 10,000 rows."""
    try:
        images = np.load(data_dir("mnist_t10k") / "mnist_t10k.npz")["images"].reshape(-1, 28, 28) / 255.0
    except SystemExit as missing:
        print(f"{missing} The long table is drawn from scikit-learn's digits instead.")
        rng, digits = np.random.default_rng(0), load_digits().data
        drawn = digits[rng.integers(len(digits), size=10_000)] + rng.normal(size=(10_000, 64))
        yield "digits, drawn with noise", standardised(drawn)
        return
    for side in (7, 14):
        step = 28 // side
        means = images.reshape(-1, side, step, side, step).mean(axis=(2, 4)).reshape(len(images), -1)
        yield f"MNIST, {side} x {side} means", standardised(means)


def hide(table: Floats, share: float, seed: int) -> tuple[Floats, Mask]:
    hidden = np.random.default_rng(seed).random(table.shape) < share
    return np.where(hidden, np.nan, table), hidden


def error(truth: Floats, completed: Floats, hidden: Mask) -> float:
    """Return the root mean square error over the hidden entries."""
    return float(np.sqrt(np.square(truth - completed)[hidden].mean()))


def measure(make: Callable[[], Any], table: Floats, share: float, seed: int) -> dict[str, float]:
    incomplete, hidden = hide(table, share, seed)
    begin = time.process_time()
    imputer = make().fit(incomplete)
    completed = imputer.transform(incomplete)
    spent = time.process_time() - begin
    return {"error": error(table, completed, hidden), "cpu_s": spent, "bytes": len(pickle.dumps(imputer))}


def over_seeds(make: Callable[[], Any], table: Floats, share: float, seeds: tuple[int, ...]) -> dict[str, float]:
    runs = [measure(make, table, share, seed) for seed in seeds]
    mean = {name: float(np.mean([run[name] for run in runs])) for name in runs[0]}
    return mean | {"sd": float(np.std([run["error"] for run in runs]))}


def main() -> None:
    """Measure on one thread, print and record."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one seed, no long table, nothing recorded")
    quick = parser.parse_args().quick
    warnings.simplefilter("ignore", ConvergenceWarning)
    seeds = SEEDS[:1] if quick else SEEDS
    result: dict[str, Any] = {"tables": {}, "ten_thousand_rows": {}}
    for name, table in tables():
        rows = result["tables"][name] = {"rows": len(table), "columns": table.shape[1]}
        for imputer, make in IMPUTERS.items():
            rows[imputer] = {f"{share:.0%}": over_seeds(make, table, share, seeds) for share in SHARES}
            show(name, imputer, rows[imputer])
    for name, table in () if quick else long_tables():
        rows = result["ten_thousand_rows"][name] = {"rows": len(table), "columns": table.shape[1]}
        for imputer in ("MemoryImputer", "KNNImputer"):
            rows[imputer] = {f"{share:.0%}": over_seeds(IMPUTERS[imputer], table, share, SEEDS[:1]) for share in SHARES}
            show(name, imputer, rows[imputer])
    if not quick:
        question = "How well, and in what CPU time, is a table completed of which a part is missing?"
        record("imputation", question, result, SEEDS, peers=["scikit-learn"])


def show(table: str, imputer: str, rows: dict[str, dict[str, float]]) -> None:
    cells = "   ".join(f"{share} {row['error']:.4f} {row['cpu_s']:.2f} s" for share, row in rows.items())
    print(f"{table:22}{imputer:34}{cells}", flush=True)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

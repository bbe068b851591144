"""Repair a table of 178 wines in which a fifth of the measurements, and of the names of the grapes, is missing.

python examples/repair_table.py --out figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_wine
from sklearn.impute import KNNImputer, SimpleImputer

from mossy.learn import MemoryImputer

GRAPES = np.array(["Barolo", "Grignolino", "Barbera"], object)


def main(out: str | None = None, share: float = 0.2, seed: int = 0) -> None:
    wine = load_wine()
    numbers, grapes = wine.data, GRAPES[wine.target]
    hidden = np.random.default_rng(seed).random((len(numbers), numbers.shape[1] + 1)) < share
    measured, named = hidden[:, :-1], hidden[:, -1]
    spread = numbers.std(axis=0)

    cut = np.where(measured, np.nan, numbers)
    whole = np.column_stack([cut, np.where(named, None, grapes)]).astype(object)
    repaired = MemoryImputer().fit_transform(whole)

    filled = {
        "the mean": SimpleImputer().fit_transform(cut),
        "five nearest": KNNImputer().fit_transform(cut / spread) * spread,
        "memory": repaired[:, :-1].astype(float),
    }
    print(f"{measured.sum()} measurements and {named.sum()} names are missing")
    for name, table in filled.items():
        gaps = ((table - numbers) / spread)[measured]
        print(f"{name:14}root mean square error {np.sqrt(np.mean(gaps**2)):.3f} standard deviations")
    print(f"names of grapes: {np.mean(repaired[named, -1] == grapes[named]):.0%} right")

    if out is not None:
        draw(Path(out), numbers / spread, {name: table / spread for name, table in filled.items()}, measured)


def draw(folder: Path, truth: np.ndarray, filled: dict[str, np.ndarray], hidden: np.ndarray) -> None:
    """Save what was filled in against what was true."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(1, len(filled), figsize=(10, 3.8), sharex=True, sharey=True, layout="constrained")
    middle = truth.mean(axis=0)
    for axis, (name, table) in zip(axes, filled.items(), strict=True):
        axis.axline((0, 0), slope=1, color="0.7", linewidth=1)
        axis.plot((truth - middle)[hidden], (table - middle)[hidden], ".", markersize=4, alpha=0.6)
        error = np.sqrt(np.square((truth - table)[hidden]).mean())
        axis.set_title(f"filled in from {name}: error {error:.3f}")
        axis.set(xlabel="true (standard deviations)", xlim=(-3, 3.7), ylim=(-3, 3.7), aspect="equal")
    axes[0].set_ylabel("filled in (standard deviations)")
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "repair_table.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"wrote {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="folder for the figure")
    main(parser.parse_args().out)

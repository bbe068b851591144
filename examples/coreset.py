"""Compress a training set of handwritten digits to a tenth, and see what is lost.

python examples/coreset.py --out out
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

from mossy.learn import TrainingMemory


def main(n: int = 1797, out: str | None = None) -> None:
    x, y = load_digits(return_X_y=True)
    x, t, y, u = train_test_split(x[:n].astype(np.uint8), y[:n], test_size=0.2, stratify=y[:n], random_state=0)
    memory = TrainingMemory("1 MB").fit(x, y)
    few, classes, _ = memory.coreset(0.1)
    draws = [np.random.default_rng(seed).choice(len(x), len(few), replace=False) for seed in range(5)]
    random = [SVC(C=10).fit(x[rows], y[rows]).score(t, u) for rows in draws]
    print(f"all {len(x)} images    {SVC(C=10).fit(x, y).score(t, u):.3f}")
    print(f"coreset of {len(few)}    {SVC(C=10).fit(few, classes).score(t, u):.3f}")
    print(f"{len(few)} at random     {np.mean(random):.3f}")
    if out is not None:
        print(f"drawn: {drawn(few, classes, Path(out))}")


def drawn(few: Any, classes: Any, folder: Path) -> Path:
    """Draw the images that stand for all, a class a row."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    most = int(np.bincount(classes).max())
    sheet = np.zeros((10 * 9, most * 9))
    for c in range(10):
        for i, image in enumerate(few[classes == c]):
            sheet[9 * c : 9 * c + 8, 9 * i : 9 * i + 8] = image.reshape(8, 8)
    figure, axes = plt.subplots(figsize=(0.5 * most, 5), layout="constrained")
    axes.imshow(sheet, cmap="gray_r")
    axes.set_title(f"{len(few)} images that stand for all")
    axes.set_axis_off()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "coreset.png", dpi=150)
    return folder / "coreset.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

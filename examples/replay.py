"""Teach a linear model handwritten digits one class at a time: what it forgets alone, replay keeps.

python examples/replay.py --out out
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from mossy.learn import TrainingMemory


def main(n: int = 1797, out: str | None = None) -> None:
    x, y = load_digits(return_X_y=True)
    x, t, y, u = train_test_split(x[:n].astype(np.uint8), y[:n], test_size=0.2, stratify=y[:n], random_state=0)
    memory = TrainingMemory("50 kB")  # about a third of the images
    plain, driven = SGDClassifier(alpha=0.01, random_state=0), SGDClassifier(alpha=0.01, random_state=0)
    curves: dict[str, list[float]] = {"alone": [], "with replay": []}
    for c in range(10):
        rows = np.flatnonzero(y == c)
        for part in np.array_split(rows, max(len(rows) // 10, 1)):
            plain.partial_fit(x[part], y[part], classes=np.arange(10))
            memory.drive(driven, x[part], y[part], replay=90, classes=np.arange(10))
        known = u <= c
        for name, model in (("alone", plain), ("with replay", driven)):
            curves[name].append(float(model.score(t[known], u[known])))
    for name, curve in curves.items():
        print(f"{name:12}" + " ".join(f"{accuracy:.3f}" for accuracy in curve))
    print(f"{len(memory)} of {len(x)} images in {memory.nbytes_:,} bytes")
    if out is not None:
        print(f"drawn: {drawn(curves, Path(out))}")


def drawn(curves: dict[str, list[float]], folder: Path) -> Path:
    """Draw the accuracy on the classes that were shown."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, curve in curves.items():
        remembers = "C0" if "replay" in name or "Memory" in name else "0.6"
        axes.plot(range(1, 11), curve, marker="o", label=name, color=remembers)
    axes.plot(range(1, 11), 1 / np.arange(1, 11), ":", color="0.8", label="chance")
    axes.set(
        xlabel="classes shown, one after another",
        ylabel="accuracy on these classes",
        ylim=(0, 1.02),
        xticks=range(1, 11),
    )
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "replay.png", dpi=150)
    return folder / "replay.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

"""Learn handwritten digits one class at a time, in one pass; then forget one class as if it had never been seen.

python examples/digits_by_class.py --out out
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split

from mossy.learn import MemoryClassifier


def main(n: int = 1797, out: str | None = None) -> None:
    x, y = load_digits(return_X_y=True)
    x, t, y, u = train_test_split(x[:n] / 16, y[:n], test_size=0.2, stratify=y[:n], random_state=0)
    learners = {
        "MemoryClassifier": MemoryClassifier("matrix", per_class=True, units=500),
        "SGDClassifier": SGDClassifier(random_state=0),
    }
    curves: dict[str, list[float]] = {name: [] for name in learners}
    for c in range(10):
        for name, learner in learners.items():
            learner.partial_fit(x[y == c], y[y == c], classes=np.arange(10))
            known = u <= c
            curves[name].append(float((learner.predict(t[known]) == u[known]).mean()))
    for name, curve in curves.items():
        print(f"{name:18}" + " ".join(f"{accuracy:.3f}" for accuracy in curve))

    memory = learners["MemoryClassifier"]
    memory.forget(classes=[3])
    never = MemoryClassifier("matrix", per_class=True, units=500)
    for c in np.setdiff1d(np.arange(10), 3):
        never.partial_fit(x[y == c], y[y == c], classes=np.setdiff1d(np.arange(10), 3))
    same = np.array_equal(memory.predict_proba(t), never.predict_proba(t))
    print(f"without the 3s, as if they had never been seen: {same}")
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
    figure.savefig(folder / "digits_by_class.png", dpi=150)
    return folder / "digits_by_class.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

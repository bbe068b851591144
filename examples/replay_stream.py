"""Let a small convolutional network learn images two classes at a time, with and without a memory of 200 of them.

python examples/replay_stream.py --out out
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.nn.replay import ReplayMemory, consolidate, drive


def main(n: int = 1797, passes: int = 2, kept: int = 200, out: str | None = None) -> None:
    torch.set_num_threads(1)  # for batches as small as these
    x, y, t, u = images(n)
    curves = {
        "with a memory": learned(x, y, t, u, passes, kept),
        "with a memory, and a sleep after each part": learned(x, y, t, u, passes, kept, sleep=30),
        "without": learned(x, y, t, u, passes, 0),
    }
    for name, curve in curves.items():
        print(f"{name:44}" + " ".join(f"{accuracy:.3f}" for accuracy in curve))
    if out is not None:
        print(f"drawn: {drawn(curves, Path(out))}")


def images(n: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return images and classes to learn from and to test: Fashion-MNIST if it is there, or else digits."""
    fashion = Path(os.environ.get("MOSSY_DATA", ".")) / "fashion_mnist" / "fashion_mnist.npz"
    if fashion.exists():
        held = np.load(fashion)
        x, y = held["train_images"][: n + n // 4, None] / 255, held["train_labels"][: n + n // 4]
    else:
        x, y = load_digits(return_X_y=True)
        x, y = x[:n].reshape(-1, 1, 8, 8) / 16, y[:n]
    told = torch.from_numpy(x).float(), torch.from_numpy(y).long()
    cut = len(y) * 4 // 5
    return told[0][:cut], told[1][:cut], told[0][cut:], told[1][cut:]


def network(side: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.AdaptiveMaxPool2d(4 if side < 20 else 7),
        nn.Flatten(),
        nn.Linear(32 * (16 if side < 20 else 49), 10),
    )


def learned(x: Tensor, y: Tensor, t: Tensor, u: Tensor, passes: int, kept: int, sleep: int = 0) -> list[float]:
    """Return the accuracy on the classes that were shown, after each two."""
    model = network(x.shape[-1])
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    memory, curve = ReplayMemory(max(kept, 10)), []
    for first in range(0, 10, 2):
        rows = torch.nonzero((y == first) | (y == first + 1)).flatten()
        for turn in range(passes):
            for batch in rows[torch.randperm(len(rows))].split(10):
                if kept:
                    drive(memory, model, optimizer, x[batch], y[batch], replay=20, store=turn == 0)
                else:
                    optimizer.zero_grad()
                    F.cross_entropy(model(x[batch]), y[batch]).backward()
                    optimizer.step()
        if sleep:
            memory.reconsolidate(model)
            consolidate(memory, model, batches=sleep, optimizer=optimizer)
        shown = u < first + 2
        with torch.no_grad():
            curve.append(float((model(t[shown]).argmax(1) == u[shown]).float().mean()))
    return curve


def drawn(curves: dict[str, list[float]], folder: Path) -> Path:
    """Draw the accuracy on the classes that were shown."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for number, (name, curve) in enumerate(curves.items()):
        axes.plot(range(2, 11, 2), curve, marker="o", label=name, color="0.6" if name == "without" else f"C{number}")
    axes.set(
        xlabel="classes shown, two after two",
        ylabel="accuracy on these classes",
        ylim=(0, 1.02),
        xticks=range(2, 11, 2),
    )
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "replay_stream.png", dpi=150)
    return folder / "replay_stream.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

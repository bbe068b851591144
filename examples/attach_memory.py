"""Give a small convolutional network classes that it has never seen: by a memory, without training; then distil it.

MOSSY_DATA=… python examples/attach_memory.py --out out

The images are those of Fashion-MNIST, as ``fashion_mnist/fashion_mnist.npz`` in the folder ``MOSSY_DATA``; where they
are not there, the handwritten digits of scikit-learn. The network learns classes 0 to 7.
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

from mossy.nn import attach, distill, widen

KNOWN = 8  # classes that the network learns
BATCH, RATE = 32, 2e-3


def main(n: int = 3000, epochs: int = 4, out: str | None = None) -> None:
    torch.manual_seed(0)
    x, y = images(n)
    half, rest = n // 2, n * 3 // 4
    examples, validation = batches(x[:half], y[:half]), batches(x[half:rest], y[half:rest])
    t, u = x[rest:], y[rest:]

    model = nn.Sequential(network(x.shape[-1]), nn.Linear(64, KNOWN))
    learn(model, [(a[b < KNOWN], b[b < KNOWN]) for a, b in examples], epochs)

    attached = attach(model, "1", side="input", classes=10)  # the cue is what the head is given
    for images_of, labels in examples:
        attached.store(images_of, labels)  # no training
    attached.calibrate(validation)

    student = attached.copy_of_model()
    student[1] = widen(student[1], 10)
    done = distill(attached, [a for a, _ in examples], student=student, epochs=3 * epochs, lr=RATE)

    rows = {"model": model, "with memory": attached, "distilled": done.model}
    found = {name: accuracies(one, t, u) for name, one in rows.items()}
    print(f"{'accuracy':12} {'all':>6} {'known':>6} {'new':>6}")
    for name, row in found.items():
        print(f"{name:12} " + " ".join(f"{one:6.3f}" for one in row))
    kept = (found["distilled"][0] - found["model"][0]) / max(found["with memory"][0] - found["model"][0], 1e-9)
    print(f"of what {len(attached.memory)} memories added, the weights keep {kept:.0%}")

    attached.memory.forget([id for id in attached.memory if attached.memory[id].payload == 9])
    print(f"class 9 forgotten: accuracy on it is {accuracies(attached, t[u == 9], u[u == 9])[0]:.3f}")
    if out is not None:
        print(f"drawn: {drawn(found, Path(out))}")


def images(n: int) -> tuple[Tensor, Tensor]:
    """Return ``n`` images ``(n, 1, side, side)`` and their classes."""
    folder = os.environ.get("MOSSY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    path = Path(folder) / "fashion_mnist" / "fashion_mnist.npz"
    if path.exists():
        held = np.load(path)
        x, y = held["train_images"] / 255, held["train_labels"]
    else:
        print("fashion_mnist/fashion_mnist.npz is not there (MOSSY_DATA); these are the digits of scikit-learn.")
        digits, y = load_digits(return_X_y=True)
        x = digits.reshape(-1, 8, 8) / 16
    order = np.random.default_rng(0).permutation(len(x))[:n]
    return torch.from_numpy(x[order]).float()[:, None], torch.from_numpy(y[order]).long()


def network(side: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(32 * (side // 4) ** 2, 64), nn.ReLU(),
    )  # fmt: skip


def batches(x: Tensor, y: Tensor) -> list[tuple[Tensor, Tensor]]:
    return list(zip(x.split(BATCH), y.split(BATCH), strict=True))


def learn(model: nn.Module, data: list[tuple[Tensor, Tensor]], epochs: int) -> None:
    optimizer = torch.optim.Adam(model.parameters(), RATE)
    model.train()
    for _ in range(epochs):
        for x, y in data:
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
    model.eval()


@torch.no_grad()
def accuracies(model: nn.Module, x: Tensor, y: Tensor) -> tuple[float, float, float]:
    """Return the accuracy on all, on the classes that the network learned, and on those that it did not."""
    right = (model(x).argmax(-1) == y).double()
    return tuple(float(part.mean()) if len(part) else 0.0 for part in (right, right[y < KNOWN], right[y >= KNOWN]))


def drawn(found: dict[str, tuple[float, float, float]], folder: Path) -> Path:
    """Draw the accuracies."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for i, (name, row) in enumerate(found.items()):
        axes.bar(np.arange(3) + 0.25 * (i - 1), row, 0.25, label=name, color=("0.6", "C0", "C2")[i])
    axes.set(ylabel="accuracy", ylim=(0, 1), xticks=range(3), xticklabels=("all", "classes learned", "new classes"))
    figure.legend(loc="outside upper center", ncols=3)
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "attach_memory.png", dpi=150)
    return folder / "attach_memory.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

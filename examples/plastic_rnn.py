"""Tell a network the names of five handwritten digits, each once; then it names others: it remembers in its synapses.

python examples/plastic_rnn.py --out out

A recurrent network sees an image, and in the next step its name; so five times, one image of each of five classes.
Then come other images of these classes, and after each it must say the name. Names are dealt anew in each episode, so
nothing but the episode tells which is which. The network is trained on episodes, with and without plastic synapses,
and tested on images that it has never seen.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, one_hot

from mossy.nn.fast_weights import PlasticRNN

WAYS, NEURONS, BATCH = 5, 64, 32


class Namer(nn.Module):
    """See images and names in turn; say a name after each image."""

    def __init__(self, plastic: bool) -> None:
        super().__init__()
        self.recurrent = PlasticRNN(64 + WAYS, NEURONS, plastic=plastic, modulated=plastic)
        self.out = nn.Linear(NEURONS, WAYS)

    def forward(self, steps: Tensor) -> Tensor:
        """Return scores of names ``(b, 2·WAYS, WAYS)``, after each image, of ``steps (b, 4·WAYS, 64 + WAYS)``."""
        return self.out(self.recurrent(steps)[0][:, 1::2])


def episodes(x: Any, y: Any, n: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return ``n`` episodes and the names ``(n, 2·WAYS)``: the first half is told, the second is asked."""
    classes = draw.random((n, 10)).argsort(axis=1)[:, :WAYS]
    names = np.concatenate([np.tile(np.arange(WAYS), (n, 1)), draw.random((n, WAYS)).argsort(axis=1)], axis=1)
    shown = np.take_along_axis(classes, names, axis=1)
    of = [np.flatnonzero(y == c) for c in range(10)]
    images = np.array([[x[draw.choice(of[c])] for c in row] for row in shown])
    steps = torch.zeros(n, 4 * WAYS, 64 + WAYS)
    steps[:, 0::2, :64] = torch.from_numpy(images)
    steps[:, 1 : 2 * WAYS : 2, 64:] = one_hot(torch.from_numpy(names[:, :WAYS]), WAYS).float()
    return steps, torch.from_numpy(names)


def main(steps: int = 600, tested: int = 500, out: str | None = None) -> None:
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    new = np.arange(len(x)) % 4 == 0
    curves: dict[str, list[float]] = {}
    for name, plastic in (("plastic", True), ("not plastic", False)):
        torch.manual_seed(0)
        draw = np.random.default_rng(0)
        network = Namer(plastic)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        curve = curves[name] = []
        for step in range(steps):
            told, names = episodes(x[~new], y[~new], BATCH, draw)
            loss = cross_entropy(network(told)[:, WAYS:].flatten(0, 1), names[:, WAYS:].flatten())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            if (step + 1) % max(1, steps // 12) == 0:
                told, names = episodes(x[new], y[new], tested, np.random.default_rng(1))
                with torch.no_grad():
                    right = network(told).argmax(-1)[:, WAYS:] == names[:, WAYS:]
                curve.append(float(right.float().mean()))
        print(f"{name:12}" + " ".join(f"{share:.2f}" for share in curve))
    best = {name: curve[-1] for name, curve in curves.items()}
    print(f"names right, of {WAYS} told once: {best['plastic']:.1%} plastic, {best['not plastic']:.1%} not plastic")
    if out is not None:
        print(f"drawn: {drawn(curves, steps, Path(out))}")


def drawn(curves: dict[str, list[float]], steps: int, folder: Path) -> Path:
    """Draw the share of right names against the number of training steps."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    for name, curve in curves.items():
        at = np.arange(1, len(curve) + 1) * max(1, steps // 12)
        axes.plot(at, curve, marker="o", label=name, color="C0" if name == "plastic" else "0.6")
    axes.axhline(1 / WAYS, ls=":", color="0.8", label="chance")
    axes.set(xlabel="training steps of 32 episodes", ylabel="names right, told once", ylim=(0, 1.02))
    axes.legend()
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "plastic_rnn.png", dpi=150)
    return folder / "plastic_rnn.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

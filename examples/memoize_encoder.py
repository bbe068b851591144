"""Put a memory around the frozen trunk of a network, and hand it a stream in which images stay and come back.

python examples/memoize_encoder.py --out out
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch import nn

from mossy.nn.intermediate import features, memoize


def main(
    scenes: int = 150, stay: int = 8, width: int = 64, epochs: int = 6, rate: float = 0.02, out: str | None = None
) -> None:
    torch.manual_seed(0)
    images, labels = load_digits(return_X_y=True)
    x, y = torch.from_numpy(images).float().reshape(-1, 1, 8, 8) / 16, torch.from_numpy(labels)
    train, calibrating, shown = slice(0, 900), slice(900, 1300), slice(1300, 1797)
    model = trained(x[train], y[train], width, epochs)

    # a camera: each scene stays for some frames, with other noise of the sensor in each
    module = memoize(model, "16 MB", rows=True)
    found = module.calibrate(stream(x[calibrating], 2 * scenes, stay), rate=rate)
    print(f"tolerance {found.tolerance:.4f}: at most {found.bound:.3f} of near hits are false, {found.near_hits} seen")
    frames = stream(x[shown], scenes, stay)
    answers, seconds, ratios = {}, {}, []
    with torch.no_grad():
        for name, one in {"bare": model, "memoized": module}.items():
            start = time.process_time()
            given = []
            for batch in frames.split(32):
                given.append(one(batch).argmax(1))
                if name == "memoized":
                    ratios.append(module.stats().hit_ratio)
            answers[name], seconds[name] = torch.cat(given), time.process_time() - start
    changed = float((answers["bare"] != answers["memoized"]).float().mean())
    stats = module.stats()
    print(f"{len(frames)} frames: {stats.near_hits} near hits, {stats.misses} computed, {changed:.4f} answers changed")
    print(f"CPU time: {seconds['bare']:.2f} s bare, {seconds['memoized']:.2f} s memoized")

    # the same trunk, run once more over the training images: heads are then trained from memory
    stored = features(model, model[-2], (x[train], y[train]), dtype="float16")
    for step in (0.01, 0.1):
        head = nn.Linear(stored.activations.shape[1], 10)
        optimizer = torch.optim.Adam(head.parameters(), step)
        for _ in range(epochs):
            for h, target in stored.batches(64):
                optimizer.zero_grad()
                nn.functional.cross_entropy(head(h), target).backward()
                optimizer.step()
        with torch.no_grad():
            right = head(model[:-1](x[shown])).argmax(1) == y[shown]
        print(f"head at step {step:g}: accuracy {float(right.float().mean()):.3f}")
    if out is not None:
        print(f"drawn: {drawn(ratios, Path(out))}")


def trained(x: torch.Tensor, y: torch.Tensor, width: int, epochs: int) -> nn.Sequential:
    """Return a small convolutional network, trained and frozen."""
    model = nn.Sequential(
        nn.Upsample(scale_factor=2, mode="bilinear"),
        nn.Conv2d(1, width, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(width, width, 3, padding=1),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
        nn.Linear(16 * width, 10),
    )
    optimizer = torch.optim.Adam(model.parameters(), 2e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[rows] + 0.02 * torch.randn_like(x[rows])), y[rows]).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def stream(x: torch.Tensor, scenes: int, stay: int) -> torch.Tensor:
    """Return frames of drawn scenes, each with noise of its own."""
    rows = torch.randint(len(x), (scenes,)).repeat_interleave(stay)
    return x[rows] + 0.02 * torch.randn(len(rows), *x.shape[1:])


def drawn(ratios: list[float], folder: Path) -> Path:
    """Draw the part of frames that needed no computing."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(6, 3.5), layout="constrained")
    axes.plot(32 * np.arange(1, len(ratios) + 1), ratios)
    axes.set(xlabel="frames seen", ylabel="part that was remembered", ylim=(0, 1.02))
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "memoize_encoder.png", dpi=150)
    return folder / "memoize_encoder.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

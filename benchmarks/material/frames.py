"""A small convolutional network on Fashion-MNIST, and streams of frames in which scenes stay and come back."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from record import data_dir

BATCH = 128


def images(part: str) -> tuple[Tensor, Tensor]:
    """Return images ``(n, 1, 28, 28)`` in 0 … 1, and classes, of ``"train"`` or ``"test"``."""
    with np.load(data_dir("fashion_mnist") / "fashion_mnist.npz") as held:
        x, y = held[f"{part}_images"], held[f"{part}_labels"]
    return torch.from_numpy(x).reshape(-1, 1, 28, 28).float() / 255, torch.from_numpy(y.astype(np.int64))


class Network(nn.Module):
    """Three convolutions, a pooling, a layer of 256 units, classes."""

    def __init__(self, classes: int = 10, width: int = 32) -> None:
        super().__init__()

        def block(inward: int, outward: int) -> list[nn.Module]:
            return [nn.Conv2d(inward, outward, 3, padding=1), nn.BatchNorm2d(outward), nn.ReLU()]

        self.trunk = nn.Sequential(
            *block(1, width), nn.MaxPool2d(2), *block(width, 2 * width), *block(2 * width, 2 * width),
            nn.MaxPool2d(2), nn.Flatten(), nn.Linear(49 * 2 * width, 256), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.trunk(x))


@torch.enable_grad()
def trained(x: Tensor, y: Tensor, epochs: int, seed: int, noise: float = 0.0, width: int = 32) -> Network:
    """Return a network trained by Adam, in evaluation mode and frozen."""
    torch.manual_seed(seed)
    model = Network(int(y.max()) + 1, width)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(BATCH):
            given = x[rows] + noise * torch.randn_like(x[rows])
            optimizer.zero_grad()
            functional.cross_entropy(model(given), y[rows]).backward()
            optimizer.step()
    return model.eval().requires_grad_(False)


def stream(x: Tensor, n: int, seed: int, stay: float, noise: float, still: float) -> Tensor:
    """Return ``n`` frames ``(n, 1, 28, 28)``, as a fixed camera hands them on.

    A scene is an image, drawn anew each time, so that it may come back. It stays for a geometric number of frames,
    ``stay`` in the mean. Each frame has other noise of the sensor (standard deviation ``noise``), but for a share
    ``still`` of them, which are the frame before once more.
    """
    rng = np.random.default_rng(seed)
    scenes: list[int] = []
    while len(scenes) < n:
        scenes += [int(rng.integers(len(x)))] * int(rng.geometric(1 / stay))
    drawn = torch.from_numpy(rng.standard_normal((n, 1, 28, 28), np.float32))
    frames = x[scenes[:n]] + noise * drawn
    for at in np.flatnonzero(rng.random(n) < still):
        if at and scenes[at] == scenes[at - 1]:
            frames[at] = frames[at - 1]
    return frames

"""Plain learners of streams, written from their formulas, behind ``partial_fit`` and ``predict``."""

# ruff: noqa: D102  (partial_fit and predict are what they are in scikit-learn)

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Means:
    """The nearest running mean of a class."""

    def __init__(self, classes: int) -> None:
        self.classes = classes
        self.total: Floats | None = None
        self.count = np.zeros(classes)

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        if self.total is None:
            self.total = np.zeros((self.classes, x.shape[1]))
        hot = np.eye(self.classes)[y]
        self.total += hot.T @ x
        self.count += hot.sum(axis=0)

    def means(self) -> Floats:
        return self.total / np.maximum(self.count, 1)[:, None]

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        means = self.means()
        return (x @ means.T - 0.5 * np.square(means).sum(axis=1)).argmax(axis=1)


class StreamingLDA(Means):
    """Running means and one running covariance, shrunk: T. L. Hayes and C. Kanan (2020), arXiv:1909.01520."""

    def __init__(self, classes: int, shrink: float = 1e-2) -> None:
        super().__init__(classes)
        self.shrink = shrink
        self.squares: Floats | None = None

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        super().partial_fit(x, y)
        if self.squares is None:
            self.squares = np.zeros((x.shape[1], x.shape[1]))
        self.squares += x.T @ x

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        means = self.means()
        within = (self.squares - (means.T * self.count) @ means) / self.count.sum()
        size = np.trace(within) / len(within)
        readout = np.linalg.solve((1 - self.shrink) * within + self.shrink * size * np.eye(len(within)), means.T)
        return (x @ readout - 0.5 * np.einsum("cd,dc->c", means, readout)).argmax(axis=1)


class RandomRidge:
    """Random rectified units and a running ridge regression on one-hot values, in float64."""

    def __init__(self, classes: int, units: int, ridge: float, seed: int) -> None:
        self.classes, self.units, self.ridge, self.seed = classes, units, ridge, seed
        self.weights: Floats | None = None

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        if self.weights is None:
            rng = np.random.default_rng(self.seed)
            self.weights = rng.standard_normal((x.shape[1], self.units)) / np.sqrt(x.shape[1])
            self.bias = rng.standard_normal(self.units) * 0.1
            self.gram = self.ridge * np.eye(self.units)
            self.cross = np.zeros((self.units, self.classes))
        h = np.maximum(x @ self.weights + self.bias, 0)
        self.gram += h.T @ h
        self.cross += h.T @ np.eye(self.classes)[y]

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        return (np.maximum(x @ self.weights + self.bias, 0) @ np.linalg.solve(self.gram, self.cross)).argmax(axis=1)


class Keeping:
    """All that came, given to an estimator when it is asked: what is learned at once, with all data at hand."""

    def __init__(self, estimator: Any) -> None:
        self.estimator = estimator
        self.x: list[NDArray[Any]] = []
        self.y: list[NDArray[Any]] = []

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.x.append(x.copy())
        self.y.append(y)

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        self.estimator.fit(np.concatenate(self.x), np.concatenate(self.y))
        self.x, self.y = [], []  # what the estimator needs of it, it holds
        return self.estimator.predict(x)


class Naming:
    """An estimator of scikit-learn whose ``partial_fit`` must be told the classes beforehand."""

    def __init__(self, estimator: Any, classes: int) -> None:
        self.estimator, self.classes = estimator, np.arange(classes)

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        self.estimator.partial_fit(x, y, classes=self.classes)

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        return self.estimator.predict(x)


class Hyperdimensional:
    """The centroids of torch-hd, over random projections."""

    def __init__(self, classes: int, seed: int, entries: int = 10_000) -> None:
        self.classes, self.seed, self.entries = classes, seed, entries
        self.centroid: Any = None

    def partial_fit(self, x: NDArray[Any], y: NDArray[Any]) -> None:
        import torch
        from torchhd.embeddings import Projection
        from torchhd.models import Centroid

        if self.centroid is None:
            torch.manual_seed(self.seed)
            self.embed = Projection(x.shape[1], self.entries).weight.detach()
            self.centroid = Centroid(self.entries, self.classes)
        with torch.no_grad():
            self.centroid.add(torch.sign(torch.from_numpy(x) @ self.embed.T), torch.from_numpy(np.asarray(y)))

    def predict(self, x: NDArray[Any]) -> NDArray[Any]:
        import torch

        with torch.no_grad():
            found = self.centroid(torch.sign(torch.from_numpy(x) @ self.embed.T))
        return np.asarray(found.argmax(dim=1))

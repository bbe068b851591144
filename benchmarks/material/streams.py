"""Labelled images as streams: split, ordered and cut into batches; and what learners of streams hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from record import data_dir

Patterns = NDArray[np.float32]
Labels = NDArray[np.intp]


@dataclass(frozen=True)
class Labelled:
    """Images with pixels from 0 to 1, one a row, and their classes; ``test`` is None where a split is to be drawn."""

    name: str
    shape: tuple[int, ...]
    x: Patterns
    y: Labels
    test: tuple[Patterns, Labels] | None = None

    def split(self, seed: int) -> tuple[Patterns, Labels, Patterns, Labels]:
        """Return training images and labels, and those to test: a fifth, drawn with the seed, or what is given."""
        if self.test is not None:
            return self.x, self.y, *self.test
        from sklearn.model_selection import train_test_split

        x, t, y, u = train_test_split(self.x, self.y, test_size=0.2, stratify=self.y, random_state=seed)
        return x, y, t, u


def digits() -> Labelled:
    """Return the 1,797 digits that come with scikit-learn."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    return Labelled("digits", (8, 8), (x / 16).astype(np.float32), y)


def mnist() -> Labelled:
    """Return 5,000 training and the 10,000 test images of MNIST."""
    train = np.load(data_dir("mnist_5k") / "mnist_5k.npz")
    test = np.load(data_dir("mnist_t10k") / "mnist_t10k.npz")
    both = [(_flat(part["images"]), part["labels"].astype(np.intp)) for part in (train, test)]
    return Labelled("MNIST", (28, 28), *both[0], both[1])


def fashion() -> Labelled:
    """Return 18,000 training and 2,000 test images of Fashion-MNIST."""
    return _parts("Fashion-MNIST", data_dir("fashion_mnist") / "fashion_mnist.npz")


def cifar() -> Labelled:
    """Return 5,000 training and 2,000 test images of CIFAR-10."""
    return _parts("CIFAR-10", data_dir("cifar10") / "cifar10.npz")


def found(quick: bool) -> list[Labelled]:
    """Return the digits, and the data sets that are there; with ``quick`` the digits alone."""
    sets = [digits()]
    for load in () if quick else (mnist, fashion, cifar):
        try:
            sets.append(load())
        except SystemExit as missing:
            print(f"{missing} It is left out.")
    return sets


def batches(y: Labels, order: str, size: int, seed: int) -> Iterator[NDArray[np.intp]]:
    """Yield rows in batches: in random order, ``"class after class"`` or mixed (``"i.i.d."``)."""
    rows = np.random.default_rng(seed).permutation(len(y))
    if order == "class after class":
        rows = rows[np.argsort(y[rows], kind="stable")]
    for first in range(0, len(rows), size):
        yield rows[first : first + size]


def bytes_held(learner: Any) -> int:
    """Return the bytes of all arrays that a learner holds, or what it says itself."""
    said = getattr(learner, "nbytes_", None)
    return int(said) if said is not None else _arrays(learner, set())


def _arrays(held: Any, seen: set[int]) -> int:
    if id(held) in seen:
        return 0
    seen.add(id(held))
    if isinstance(held, np.ndarray):
        return held.nbytes if held.base is None else _arrays(held.base, seen) or held.nbytes
    if hasattr(held, "element_size"):
        return int(held.element_size() * held.nelement())
    if isinstance(held, dict):
        return sum(_arrays(part, seen) for part in held.values())
    if isinstance(held, list | tuple):
        return sum(_arrays(part, seen) for part in held)
    return _arrays(vars(held), seen) if hasattr(held, "__dict__") and not isinstance(held, type) else 0


def _parts(name: str, path: Any) -> Labelled:
    parts = np.load(path)
    both = [(_flat(parts[f"{p}_images"]), parts[f"{p}_labels"].astype(np.intp)) for p in ("train", "test")]
    return Labelled(name, parts["train_images"].shape[1:], *both[0], both[1])


def _flat(images: NDArray[Any]) -> Patterns:
    return (images.reshape(len(images), -1) / 255).astype(np.float32)

"""Who learns classes that come two at a time best, when all may hold equally many bytes?

A stream shows ten classes two at a time, and nothing twice after they are gone. Learners: ``MemoryClassifier``, alone
and behind an ``ImageEncoder``; a ``TrainingMemory`` that drives models of scikit-learn; streaming LDA over pixels, over
random units, and behind the same encoder; replay, GDumb, A-GEM and EWC as Avalanche has them, if it is installed (see
``material/continual.py``), with a dense network or one with two convolutions.

- Bytes are what a learner holds from one batch to the next: examples (one byte a pixel, eight of a label; of a
  ``TrainingMemory`` all of its arrays), parameters, what the optimiser keeps and copies of it, sums, and encoders.
- mossy and LDA see each image once, in batches of ten. Avalanche's methods may go over the images of two classes
  several times, and know how many classes will come.
- Settings are chosen on a fifth of the training images with the first seed. Five seeds: order, random numbers, and of
  the digits the split. CPU time is that of all threads, on one each, to learn and to predict the test images.

``--quick`` runs one seed on the digits and writes no result.
"""

from __future__ import annotations

import argparse
import io
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
from sklearn.linear_model import SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neural_network import MLPClassifier
from threadpoolctl import threadpool_limits

from material import continual
from material.learners import StreamingLDA
from material.streams import Labelled, bytes_held, found
from mossy.learn import ImageEncoder, MemoryClassifier, TrainingMemory
from record import record

SEEDS = 5
BATCH = 10
CLASSES, TOGETHER = 10, 2
BUDGETS = {"digits": (100_000, 500_000), "MNIST": (1_000_000, 8_000_000), "Fashion-MNIST": (1_000_000, 8_000_000)}

# By data set and budget: encoders to choose among, of as many patches as the budget has room for.
ENCODERS: dict[tuple[str, int], list[dict[str, Any]]] = {
    ("digits", 100_000): [{"patches": 11, "size": 4, "power": p} for p in (0.5, 1.0)],
    ("digits", 500_000): [{"patches": 26, "size": 4, "power": p} for p in (0.5, 1.0)],
    ("MNIST", 1_000_000): [{"patches": 37, "size": s, "bias": 0.5, "power": 0.5} for s in (6, 8)],
    ("MNIST", 8_000_000): [{"patches": 105, "size": s, "bias": 0.5, "power": 0.5} for s in (6, 8)],
    ("Fashion-MNIST", 1_000_000): [{"patches": 37, "size": s, "power": 0.5} for s in (6, 8)],
    ("Fashion-MNIST", 8_000_000): [{"patches": 105, "size": s, "power": 0.5} for s in (6, 8)],
}

# (x, y, t, budget, seed) → answers to t, bytes
Learn = Callable[[Any, Any, Any, int, int], tuple[Any, int]]


def parts(y: Any, seed: int) -> Iterator[Any]:
    """Yield rows in batches, two classes after two others."""
    rows = np.random.default_rng(seed).permutation(len(y))
    rows = rows[np.argsort(y[rows] // TOGETHER, kind="stable")]
    for first in range(0, len(rows), BATCH):
        yield rows[first : first + BATCH]


def streamed(make: Callable[[int, int], Any]) -> Learn:
    """Show each batch to a learner once; ``make(budget, seed)`` makes it."""

    def learn(x: Any, y: Any, t: Any, budget: int, seed: int) -> tuple[Any, int]:
        learner = make(budget, seed)
        for rows in parts(y, seed):
            learner.partial_fit(x[rows], y[rows])
        answers = learner.predict(t)
        encoder = getattr(learner, "encoder_", None)
        return answers, bytes_held(learner) + (0 if encoder is None else bytes_held(vars(encoder)))

    return learn


class Behind:
    """A learner behind an encoder that learns from the first batch."""

    def __init__(self, encoder: Any, learner: Any) -> None:
        self.encoder, self.learner, self.first = encoder, learner, True

    def partial_fit(self, x: Any, y: Any) -> None:
        """Learn a batch."""
        if self.first:
            self.encoder.fit(x)
            self.first = False
        self.learner.partial_fit(self.encoder.transform(x), y)

    def predict(self, x: Any) -> Any:
        """Return classes."""
        return self.learner.predict(self.encoder.transform(x))


class RandomUnits:
    """Random rectified units, as many as a covariance of them in float64 leaves room for."""

    def __init__(self, budget: int, seed: int) -> None:
        self.budget, self.seed = budget, seed

    def fit(self, x: Any) -> None:
        """Draw them for such images."""
        d = x.shape[1]
        a, b = 8.0, 4 * d + 4 + 16 * CLASSES  # of a covariance, and of weights, a threshold and sums of each class
        units = int((np.sqrt(b * b + 4 * a * self.budget) - b) / (2 * a)) - 1
        rng = np.random.default_rng(self.seed)
        self.weights = rng.standard_normal((d, units)).astype(np.float32) / np.float32(np.sqrt(d))
        self.bias = (0.1 * rng.standard_normal(units)).astype(np.float32)

    def transform(self, x: Any) -> Any:
        """Return what they do."""
        return np.maximum((x - 0.5) @ self.weights + self.bias, 0)


def driven(make: Callable[[int], Any], replay: int) -> Learn:
    """Let a memory of bytes drive a model of scikit-learn, in float32."""

    class Bytes:
        def __init__(self, model: Any) -> None:
            self.model = model

        def partial_fit(self, x: Any, y: Any, classes: Any) -> None:
            self.model.partial_fit(x.astype(np.float32) / 255, y, classes=classes)

    def learn(x: Any, y: Any, t: Any, budget: int, seed: int) -> tuple[Any, int]:
        model = Bytes(make(seed))
        stored = np.rint(x * 255).astype(np.uint8)
        classes = np.arange(int(y.max()) + 1)
        size = _size(make(seed), x, classes)
        memory = TrainingMemory(budget - size, random_state=seed)
        for rows in parts(y, seed):
            memory.drive(model, stored[rows], y[rows], replay=replay, classes=classes)
        return model.model.predict(t), size + memory.nbytes_

    return learn


def _size(model: Any, x: Any, classes: Any) -> int:
    """Return the bytes of a model of scikit-learn that learned something like this."""
    model.partial_fit(x[:BATCH], np.resize(classes, BATCH), classes=classes)
    return bytes_held({name: part for name, part in vars(model).items() if name.endswith("_") or name == "_optimizer"})


def learners(images: Labelled, budget: int) -> dict[str, list[tuple[str, Learn]]]:
    """Return settings to choose among, by name."""
    shape = images.shape

    def encoder(given: dict[str, Any], seed: int) -> ImageEncoder:
        return ImageEncoder(shape=shape, random_state=seed, **given)

    def memory(given: dict[str, Any]) -> Learn:
        return streamed(lambda b, s: MemoryClassifier("matrix", encoder=encoder(given, s)))

    def lda(given: dict[str, Any]) -> Learn:
        return streamed(lambda b, s: Behind(encoder(given, s), StreamingLDA(10)))

    width = min(256, budget // 2 // (12 * (int(np.prod(shape)) + 11)))
    mlp = {
        rate: (lambda s, rate=rate: MLPClassifier((width,), learning_rate_init=rate, random_state=s))
        for rate in (1e-3, 3e-3)
    }
    sgd = {a: (lambda s, a=a: SGDClassifier(alpha=a, random_state=s)) for a in (1e-4, 1e-2)}
    shrinks = (1e-4, 1e-2)
    held = int(np.prod(shape)) ** 2 * 8
    rows: dict[str, list[tuple[str, Learn]]] = {
        "mossy, MemoryClassifier, ImageEncoder": [(str(g), memory(g)) for g in ENCODERS[images.name, budget]],
        "mossy, MemoryClassifier": [
            ("matrix", streamed(lambda b, s: MemoryClassifier("matrix", budget=b, random_state=s))),
            ("index", streamed(lambda b, s: MemoryClassifier("index", budget=b))),
        ],
        "mossy, TrainingMemory + MLPClassifier": [
            (f"rate={rate}, replay={n}", driven(make, n)) for rate, make in mlp.items() for n in (30, 90)
        ],
        "mossy, TrainingMemory + SGDClassifier": [
            (f"alpha={a}, replay={n}", driven(make, n)) for a, make in sgd.items() for n in (30, 90)
        ],
        "SLDA, ImageEncoder of mossy": [(str(g), lda(g)) for g in ENCODERS[images.name, budget]],
        "SLDA, random units": [
            (f"shrink={v}", streamed(lambda b, s, v=v: Behind(RandomUnits(b, s), StreamingLDA(10, v)))) for v in shrinks
        ],
    }
    if held <= budget:
        rows["SLDA, pixels"] = [(f"shrink={v}", streamed(lambda b, s, v=v: StreamingLDA(10, v))) for v in shrinks]
    if continual.available():
        for method in continual.MODELS:
            rows[f"{method} (Avalanche)"] = [
                (str(given), _avalanche(method, given, shape))
                for given in continual.settings(method, images.name == "digits")
            ]
    return rows


def _avalanche(method: str, given: dict[str, Any], shape: tuple[int, ...]) -> Learn:
    def learn(x: Any, y: Any, t: Any, budget: int, seed: int) -> tuple[Any, int]:
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # progress, at length
            return continual.learned(method, given, shape, x, y, t, budget, seed)

    return learn


def measure(options: list[tuple[str, Learn]], images: Labelled, budget: int, seeds: int) -> dict[str, Any]:
    """Choose a setting; return accuracy, bytes and CPU time over the seeds."""
    x, y, _, _ = images.split(0)
    a, v, ya, yv = train_test_split(x, y, test_size=0.2, stratify=y, random_state=0)
    scores = [0.0]
    if len(options) > 1:
        scores = [float((learn(a, ya, v, budget, 0)[0] == yv).mean()) for _, learn in options]
    setting, learn = options[int(np.argmax(scores))]
    accuracy, held, cpu = [], [], []
    for seed in range(seeds):
        x, y, t, u = images.split(seed)
        start = time.process_time()
        answers, size = learn(x, y, t, budget, seed)
        cpu.append(time.process_time() - start)
        accuracy.append(float((answers == u).mean()))
        held.append(size)
        if size > budget:
            raise SystemExit(f"streams: {setting} holds {size:,} bytes of {budget:,}.")
    return {
        "setting": setting,
        "accuracy": np.mean(accuracy),
        "deviation": np.std(accuracy),
        "bytes": max(held),
        "cpu_s": np.median(cpu),
    }


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="one seed on the digits; writes no result")
    quick = ask.parse_args().quick
    warnings.filterwarnings("ignore")
    result: dict[str, Any] = {"avalanche": continual.available(), "sets": {}}
    for images in found(quick):
        for budget in BUDGETS.get(images.name, ()):
            rows = {}
            for name, options in learners(images, budget).items():
                rows[name] = row = measure(options, images, budget, 1 if quick else SEEDS)
                print(
                    f"{images.name:14}{budget / 1e6:5.1f} MB  {name:40}{row['accuracy']:.4f} ± {row['deviation']:.4f}"
                    f"{row['bytes'] / 1e6:8.3f} MB{row['cpu_s']:8.2f} s  {row['setting']}",
                    flush=True,
                )
            result["sets"][f"{images.name}, {budget}"] = rows
            if not quick:  # what is there so far: the largest takes long
                peers = ["scikit-learn"] + (["torch", "avalanche-lib"] if continual.available() else [])
                question = "Who learns classes that come two at a time best, at equal bytes?"
                record("streams", question, result, range(SEEDS), peers)


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

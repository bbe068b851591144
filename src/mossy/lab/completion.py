"""The first half of the demo: whole images from fragments, by mossy and by three simple ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mossy.lab.images import Images
from mossy.memory import Memory

__all__ = ["METHODS", "SHARES", "Answers", "Completion", "Progress", "complete"]

Floats: TypeAlias = NDArray[np.float32]
Rows: TypeAlias = NDArray[np.intp]
Progress: TypeAlias = Callable[[str, int, int], None]
Ask: TypeAlias = Callable[[Floats, NDArray[np.bool_]], tuple[Floats, Rows]]

SHARES = ("half", "quarter")
METHODS = ("mossy, known=", "cosine", "mean image", "masked NumPy search")
BATCH = 64


@dataclass(frozen=True)
class Answers:
    """How one way of answering did on all cues of one kind.

    Attributes
    ----------
    right
        The share of cues for which the right image came back; an answer that is no stored image counts as
        the stored image that is nearest to it.
    exact
        The share of answers that equal the original bit for bit.
    seconds
        The time of one recall, in batches of 64.
    bytes
        The bytes held for each memory.
    """

    right: float
    exact: float
    seconds: float
    bytes: float


@dataclass(frozen=True)
class Completion:
    """All answers on one kind of images.

    Attributes
    ----------
    images
        The images, all of them stored.
    covers
        ``(n,)``: which image covers the rest of the cue of each.
    answers
        By share (``"half"``, ``"quarter"``) and method.
    chosen
        By share and method, ``(n,)``: which image came back; -1 where it is none of those stored.
    blend
        The right and the exact share of mossy with its default separation on the cues that know half.
    """

    images: Images
    covers: Rows
    answers: dict[str, dict[str, Answers]]
    chosen: dict[str, dict[str, Rows]]
    blend: tuple[float, float]

    def cues(self, share: str) -> Floats:
        """Return the cues ``(n, d)``: the known part, and the rest of the covering image."""
        patterns = self.images.patterns
        return np.where(self.images.known(share), patterns, patterns[self.covers])


def complete(images: Images, seed: int, progress: Progress) -> Completion:
    """Store all images, then ask for each with half and with a quarter of it, the rest covered by another.

    Parameters
    ----------
    images
        What to store.
    seed
        Draws the image that covers.
    progress
        Called with what is being done, the cues done and their number.
    """
    patterns = images.patterns
    memory = Memory(separation="winner")  # one memory, not a blend of near-twins
    memory.store(patterns)
    ways: Mapping[str, tuple[Ask, float]] = {
        METHODS[0]: (_mossy(memory), memory.stats().bytes / len(images)),
        METHODS[1]: (_cosine(patterns), 4 * patterns.shape[1] + 4),
        METHODS[2]: (_mean(patterns), 4 * patterns.shape[1] / len(images)),
        METHODS[3]: (_masked(patterns), 4 * patterns.shape[1]),
    }
    covers = images.others(np.random.default_rng(seed))
    found = Completion(images, covers, {}, {}, (0.0, 0.0))
    total = len(SHARES) * len(ways) * len(images)
    for share in SHARES:
        found.answers[share], found.chosen[share] = {}, {}
        for name, (ask, held) in ways.items():
            done = (len(found.answers) - 1) * len(ways) * len(images) + len(found.chosen[share]) * len(images)

            def step(n: int, done: int = done) -> None:
                progress(f"asking {images.name}", done + n, total)

            found.answers[share][name], found.chosen[share][name] = _measure(found, share, ask, held, step)
    return Completion(images, covers, found.answers, found.chosen, _blend(found))


def _measure(found: Completion, share: str, ask: Ask, held: float, step: Callable[[int], None]) -> tuple[Answers, Rows]:
    patterns, cues, known = found.images.patterns, found.cues(share), found.images.known(share)
    ask(cues[:2], known)  # so that nothing is measured that happens once only
    seconds = 0.0
    chosen, exact = np.empty(len(cues), np.intp), np.empty(len(cues), np.bool_)
    for first in range(0, len(cues), BATCH):
        rows = slice(first, first + BATCH)
        start = time.perf_counter()
        answers, chosen[rows] = ask(cues[rows], known)
        seconds += time.perf_counter() - start
        exact[rows] = (answers == patterns[rows]).all(axis=1)
        step(min(first + BATCH, len(cues)))
    right = float((chosen == np.arange(len(cues))).mean())
    return Answers(right, float(exact.mean()), seconds / len(cues), held), chosen


def _blend(found: Completion, n: int = 200) -> tuple[float, float]:
    """Return the right and the exact share of the default separation, on ``n`` cues spread over all."""
    patterns, known = found.images.patterns, found.images.known("half")
    memory = Memory()
    memory.store(patterns)
    rows = np.unique(np.linspace(0, len(patterns) - 1, n).astype(np.intp))
    answer = memory.recall(found.cues("half")[rows], known, reinforce=False)
    return float((answer.ids[:, 0] == rows).mean()), float((answer.pattern == patterns[rows]).all(axis=1).mean())


def _mossy(memory: Memory) -> Ask:
    def ask(cues: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Rows]:
        found = memory.recall(cues, known=known, reinforce=False)
        return found.pattern, found.ids[:, 0]

    return ask


def _cosine(patterns: Floats) -> Ask:
    norms = np.maximum(np.linalg.norm(patterns, axis=1), np.float32(1e-9))

    def ask(cues: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Rows]:
        best = (cues @ patterns.T / norms).argmax(axis=1)
        return patterns[best], best

    return ask


def _mean(patterns: Floats) -> Ask:
    mean = patterns.mean(axis=0)
    nearest = int(np.square(patterns - mean).sum(axis=1).argmin())

    def ask(cues: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Rows]:
        return np.broadcast_to(mean, cues.shape), np.full(len(cues), nearest)

    return ask


def _masked(patterns: Floats) -> Ask:
    def ask(cues: Floats, known: NDArray[np.bool_]) -> tuple[Floats, Rows]:
        keys = patterns[:, known].astype(np.float64)
        distance = np.einsum("nd,nd->n", keys, keys) - 2 * (cues[:, known] @ keys.T)
        best = distance.argmin(axis=1)
        return patterns[best], best

    return ask

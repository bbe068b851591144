"""How does mossy do on the protocol of Universal Hopfield Networks, beside the similarities of that paper?

Millidge et al. (2022), arXiv:2202.04557: N images are stored, each is asked spoilt, one step of separation by
maximum. Their noise is ``clamp(|image + Gaussian|, 0, 1)``, with levels from .1 to 1; their mask blanks the lower
.1 to .9 of the rows. Images are MNIST's test images; each N is drawn several times (``SEEDS``).

Beside mossy, re-implemented plainly from their formulas: their dot product (of images divided by their sums),
euclidean (one over the squared distance) and manhattan (one over the distance); the plain dot product; cosine, as
vector search ranks; and two answers that look at nothing: the mean of all stored images, and a blank.

- right: the share of cues whose answer is the stored image that the cue was made of (an answer that is
  no stored image never is)
- exact: the share of answers that equal it in every bit
- theirs: the share with a squared error of at most 60, their criterion; too lax, as the blank shows

mossy answers with its defaults (softmax, β = 1000), with each similarity, and once with sparsemax: from the cue
alone, and, for masked cues, with ``known``, which no peer takes. ``centred`` has the mean of each image subtracted
from it, before it is stored and before it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import mossy
from material.images import Mask, Patterns, mnist
from material.timing import rounded
from record import record

SEEDS = {100: tuple(range(10)), 1000: tuple(range(2))}
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
FRACTIONS = (0.1, 0.3, 0.5, 0.7, 0.9)
SIMILARITIES = ("euclidean", "manhattan", "dot", "cosine")
LAX = 60.0
ASKED = 500  # of the stored images, at most


def their_dot(keys: Patterns, cues: Patterns) -> Patterns:
    return cues @ (keys / keys.sum(axis=1, keepdims=True)).T  # dividing the cue too changes no rank


def plain_dot(keys: Patterns, cues: Patterns) -> Patterns:
    return cues @ keys.T


def cosine(keys: Patterns, cues: Patterns) -> Patterns:
    return cues @ (keys / np.linalg.norm(keys, axis=1, keepdims=True)).T


def centred(patterns: Patterns) -> Patterns:
    """Subtract from every pattern its own mean: cosine then is correlation, which a grey background leaves be."""
    return patterns - patterns.mean(axis=1, keepdims=True)


def centred_cosine(keys: Patterns, cues: Patterns) -> Patterns:
    return cosine(centred(keys), centred(cues))


def their_euclidean(keys: Patterns, cues: Patterns) -> Patterns:
    with np.errstate(divide="ignore"):
        return np.stack([1 / ((cue - keys) ** 2).sum(axis=1) for cue in cues])


def their_manhattan(keys: Patterns, cues: Patterns) -> Patterns:
    with np.errstate(divide="ignore"):
        return np.stack([1 / np.abs(cue - keys).sum(axis=1) for cue in cues])


RANKINGS: dict[str, Callable[[Patterns, Patterns], Patterns]] = {
    "their dot": their_dot,
    "their euclidean": their_euclidean,
    "their manhattan": their_manhattan,
    "cosine": cosine,
    "cosine, centred": centred_cosine,
    "plain dot": plain_dot,
}


def spoilt(images: Patterns, side: int, rng: np.random.Generator) -> Iterator[tuple[str, Patterns, Mask | None]]:
    """Yield each way of spoiling, the cues, and, where a part is blanked, the mask of the rest."""
    for level in LEVELS:
        yield f"noise {level}", their_noise(images, level, rng), None
    for fraction in FRACTIONS:
        known = np.zeros((side, side), bool)
        known[: int(side * (1 - fraction))] = True
        yield f"masked {fraction}", np.where(known.ravel(), images, 0).astype(np.float32), known.ravel()


def their_noise(images: Patterns, level: float, rng: np.random.Generator) -> Patterns:
    noise = level * rng.standard_normal(images.shape)
    return np.clip(np.abs(images + noise), 0, 1).astype(np.float32)


def judge(output: Patterns, stored: Patterns, rows: np.ndarray[Any, Any] | None) -> dict[str, float]:
    """Return the shares of ``output`` that are right, exact, and good enough for the paper."""
    stored = stored[: len(output)]
    wrong = ((output - stored) ** 2).sum(axis=1)
    return {
        "right": 0.0 if rows is None else float((rows == np.arange(len(stored))).mean()),
        "exact": float((output == stored).all(axis=1).mean()),
        "theirs": float((wrong <= LAX).mean()),
    }


def answers(
    stored: Patterns, memories: dict[str, mossy.Memory], cues: Patterns, known: Mask | None
) -> dict[str, dict[str, float]]:
    """Return what every way answers to ``cues``."""
    judged = {}
    for name, memory in memories.items():
        for masked in (False, True):
            if masked and (known is None or name.endswith("centred")):
                continue
            asked = centred(cues) if name.endswith("centred") else cues
            found = memory.recall(asked, known=known if masked else None, reinforce=False)
            label = f"mossy {name}" + (", known" if masked else "")
            judged[label] = judge(found.pattern, stored, found.ids[:, 0] - memory.ids[0])
    for name, rank in RANKINGS.items():
        rows = rank(stored, cues).argmax(axis=1)
        judged[name] = judge(stored[rows], stored, rows)
    judged["mean image"] = judge(np.broadcast_to(stored.mean(axis=0), cues.shape), stored, None)
    judged["blank"] = judge(np.zeros_like(cues), stored, None)
    return judged


def main() -> None:
    images = mnist()
    runs: dict[int, dict[str, dict[str, list[dict[str, float]]]]] = {}
    for n, seeds in SEEDS.items():
        for seed in seeds:
            rng = np.random.default_rng(seed)
            stored = images.pixels[rng.permutation(len(images.pixels))[:n]]
            memories = {name: mossy.Memory(similarity=name, clock=mossy.Steps()) for name in SIMILARITIES}
            memories["euclidean, sparsemax"] = mossy.Memory(separation="sparsemax", clock=mossy.Steps())
            for memory in memories.values():
                memory.store(stored)
            memories["cosine, centred"] = mossy.Memory(similarity="cosine", clock=mossy.Steps())
            memories["cosine, centred"].store(centred(stored), stored)
            for spoiling, cues, known in spoilt(stored[:ASKED], images.side, rng):
                for way, figures in answers(stored, memories, cues, known).items():
                    runs.setdefault(n, {}).setdefault(spoiling, {}).setdefault(way, []).append(figures)
    result: dict[str, Any] = {"images": images.name, "draws": {n: len(seeds) for n, seeds in SEEDS.items()}}
    result["N"] = {
        n: {
            spoiling: {
                way: {name: rounded(np.mean([one[name] for one in every])) for name in every[0]}
                for way, every in ways.items()
            }
            for spoiling, ways in spoilings.items()
        }
        for n, spoilings in runs.items()
    }
    for n, spoilings in result["N"].items():
        for spoiling in ("noise 0.5", "noise 1.0", "masked 0.5", "masked 0.9"):
            for way, figures in spoilings[spoiling].items():
                print(n, spoiling, way, figures)
    record(
        "universal_hopfield",
        "How does mossy do on the protocol of Universal Hopfield Networks, beside that paper's similarities?",
        result,
        seeds=sorted({seed for seeds in SEEDS.values() for seed in seeds}),
    )


if __name__ == "__main__":
    main()

"""Does recall with winner separation find the memory that exact float64 search finds, for every cue?

All four similarities; scikit-learn's 1,797 digits, each asked once, and MNIST's 10,000 test images, of which
a sample is asked. The cues: Gaussian noise of two levels on every pixel; or the top half with the rest black,
grey, noise, or another stored image. Each is asked as it is, and with ``known``: the top half, or, where every
pixel is noisy, a random half of the pixels that is another for each cue.

All memories are stored in one call, so that their strengths are equal. Where several memories fit equally
well (to 1e-12 of the terms summed), any of them counts; how often that happens is counted too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import numpy as np

import mossy
from material.images import RESTS, Images, Mask, Patterns, both, cover, half, noisy
from material.search import search
from record import record

SEED = 0
LEVELS = (0.2, 0.5)
SIMILARITIES = ("euclidean", "manhattan", "dot", "cosine")
ASKED = 2000
ASKED_MANHATTAN = 500  # the plain reference has no matrix product to lean on


def cues(images: Images, asked: np.ndarray[Any, Any]) -> Iterator[tuple[str, Patterns, Mask]]:
    """Yield every kind of cue of the images ``asked``: its name, the cues, and the mask of what is known."""
    rng = np.random.default_rng(SEED)
    own = images.pixels[asked]
    others = images.pixels[(asked + rng.integers(1, len(images.pixels), len(asked))) % len(images.pixels)]
    for level in LEVELS:
        yield f"noise {level}", noisy(own, level, rng), rng.random(own.shape) < 0.5
    top = half(images.side, "top")
    for rest in RESTS:
        yield f"rest {rest}", cover(own, top, rest, others, rng), top


def compare(images: Images, similarity: str, asked: np.ndarray[Any, Any]) -> dict[str, dict[str, int]]:
    """Return for each kind of cue how many were asked and how many found another memory than exact search."""
    memory = mossy.Memory(similarity=similarity, separation="winner", clock=mossy.Steps())
    ids = memory.store(images.pixels)
    keys = images.pixels.astype(np.float64)
    counts: dict[str, dict[str, int]] = {}
    for kind, cue, mask in cues(images, asked):
        for known in (None, mask):
            found = memory.recall(cue, known=known, reinforce=False)
            rows = found.ids[:, 0] - ids[0]
            exact = search(similarity, keys, cue.astype(np.float64), known)
            counts[f"{kind}, {'known' if known is not None else 'all'}"] = {
                "cues": len(cue),
                "another_memory": int((~exact.agrees(rows)).sum()),
                "another_pattern": int((found.pattern != images.pixels[rows]).any(axis=1).sum()),
                "ties": exact.ties,
                "right_image": int((rows == asked).sum()),
            }
    return counts


def main() -> None:
    result: dict[str, Any] = {}
    for images in both():
        n = len(images.pixels)
        similarities: dict[str, Any] = {}
        for similarity in SIMILARITIES:
            start = time.perf_counter()
            most = ASKED_MANHATTAN if similarity == "manhattan" and n > ASKED else ASKED
            asked = np.random.default_rng(SEED).permutation(n)[:most]
            counts = similarities[similarity] = compare(images, similarity, asked)
            differ = sum(one["another_memory"] for one in counts.values())
            total = sum(one["cues"] for one in counts.values())
            took = time.perf_counter() - start
            print(f"{images.name}, {similarity}: {differ} of {total} differ, {took:.0f} s")
        result[images.name] = {"stored": n, "similarities": similarities}
    record(
        "exact_search",
        "Does recall with winner separation find the memory that exact float64 search finds, for every cue?",
        result,
        seeds=[SEED],
    )


if __name__ == "__main__":
    main()

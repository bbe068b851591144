"""Is the whole image returned bit for bit, when half of it is known and the rest is another image?

4,096 MNIST test images are stored. The cue of each: one half of it (top, bottom, left, right), the rest covered by
an image that is not stored. Every separation at the default β, with ``known``; then softmax and sparsemax over a
range of β. Beside them, on the same pixels: cosine without ``known``, as vector search ranks; and a plain NumPy
search over the known pixels, ``(k_known - q_known)²``, which is all that is needed to find the image.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

import mossy
from material.images import HALVES, Mask, Patterns, half, mnist
from record import record

STORED = 4096
SEPARATIONS = ("softmax", "entmax", "sparsemax", "winner")
SWEPT = ("softmax", "sparsemax")
BETAS = (30.0, 100.0, 300.0, 1000.0, 3000.0, 10000.0)
ASKED_IN_SWEEP = 512  # at a small β every memory is active, which is slow


def shares(rows: np.ndarray[Any, Any], output: Patterns, stored: Patterns) -> dict[str, float]:
    """Return the share of the first cues that found the right image, and of outputs equal in every bit."""
    right = stored[: len(rows)]
    return {
        "right_image": float((rows == np.arange(len(rows))).mean()),
        "bit_exact": float((output == right).all(axis=1).mean()),
        "largest_error": float(np.abs(output - right).max()),
    }


def recall(memory: mossy.Memory, cue: Patterns, known: Mask, stored: Patterns) -> dict[str, Any]:
    start = time.perf_counter()
    found = memory.recall(cue, known=known, reinforce=False)
    took = time.perf_counter() - start
    result: dict[str, Any] = shares(found.ids[:, 0] - memory.ids[0], found.pattern, stored)
    return result | {
        "mean_steps": float(np.mean(found.steps)),
        "mean_probability": float(found.probability[:, 0].mean()),
        "seconds": float(f"{took:.3g}"),
    }


def by_cosine(stored: Patterns, cue: Patterns) -> dict[str, float]:
    lengths = np.linalg.norm(stored, axis=1)
    rows = ((cue @ stored.T) / np.where(lengths > 0, lengths, 1)).argmax(axis=1)
    return shares(rows, stored[rows], stored)


def by_masked_search(stored: Patterns, cue: Patterns, known: Mask) -> dict[str, float]:
    keys, asked = stored[:, known].astype(np.float64), cue[:, known].astype(np.float64)
    rows = (2 * asked @ keys.T - (keys**2).sum(axis=1)).argmax(axis=1)
    return shares(rows, stored[rows], stored)


def main() -> None:
    images = mnist()
    n = min(STORED, len(images.pixels) // 2)
    stored, others = images.pixels[:n], images.pixels[n : 2 * n]
    result: dict[str, Any] = {"images": images.name, "stored": n, "halves": {}, "sweep": {}}
    memories = {}
    for separation in SEPARATIONS:
        memories[separation] = mossy.Memory(separation=separation, clock=mossy.Steps())
        memories[separation].store(stored)
    result["default_beta"] = memories["softmax"].stats().beta
    for name in HALVES:
        known = half(images.side, name)
        cue = np.where(known, stored, others)
        line: dict[str, Any] = {
            separation: recall(memory, cue, known, stored) for separation, memory in memories.items()
        }
        line["cosine, without known"] = by_cosine(stored, cue)
        line["NumPy, known pixels"] = by_masked_search(stored, cue, known)
        result["halves"][name] = line
        print(name, {way: (one["right_image"], one["bit_exact"]) for way, one in line.items()})
    known = half(images.side, "top")
    cue = np.where(known, stored, others)[:ASKED_IN_SWEEP]
    result["asked_in_sweep"] = len(cue)
    for separation in SWEPT:
        for beta in BETAS:
            memory = mossy.Memory(separation=separation, beta=beta, clock=mossy.Steps())
            memory.store(stored)
            found = recall(memory, cue, known, stored)
            result["sweep"].setdefault(separation, {})[f"{beta:g}"] = found
            print(separation, beta, found)
    record(
        "bit_exact",
        "Is the whole image returned bit for bit, when half is known and the rest is another image?",
        result,
        seeds=[],
    )


if __name__ == "__main__":
    main()

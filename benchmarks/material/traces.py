"""Traces: which item is asked for at each step, as integers ``(n,)``; drawn, or of real text and images."""

from __future__ import annotations

import gzip
import json
import re

import numpy as np
from numpy.typing import NDArray

from record import data_dir

__all__ = [
    "caption_words",
    "conversation_words",
    "image_patches",
    "news_words",
    "zipf",
    "zipf_with_drift",
    "zipf_with_scans",
]

Trace = NDArray[np.int64]

WORD = re.compile(r"[a-z']+")


def zipf(n: int, items: int, exponent: float, rng: np.random.Generator) -> Trace:
    """Draw ``n`` requests for ``items`` items; that of rank ``r`` has the probability ``∝ r^-exponent``."""
    weights = np.arange(1.0, items + 1) ** -exponent
    ranks = np.searchsorted(np.cumsum(weights / weights.sum()), rng.random(n))
    return rng.permutation(items)[np.minimum(ranks, items - 1)]


def zipf_with_scans(n: int, items: int, exponent: float, every: int, length: int, rng: np.random.Generator) -> Trace:
    """Draw Zipf requests; after each ``every`` of them, ``length`` items are read that nobody asks for again."""
    parts, done, fresh = [], 0, items
    requests = zipf(n, items, exponent, rng)
    for first in range(0, n, every):
        parts += [requests[first : first + every], np.arange(fresh, fresh + length)]
        fresh, done = fresh + length, done + every + length
        if done >= n:
            break
    return np.concatenate(parts)[:n]


def zipf_with_drift(n: int, items: int, exponent: float, every: int, rng: np.random.Generator) -> Trace:
    """Draw Zipf requests; after each ``every`` of them, which item has which rank is drawn anew."""
    return np.concatenate([zipf(min(every, n - first), items, exponent, rng) for first in range(0, n, every)])


def numbered(keys: list[str] | NDArray[np.int64]) -> Trace:
    """Number the items in the order of the keys."""
    return np.unique(np.asarray(keys), return_inverse=True)[1].astype(np.int64)


def conversation_words(n: int) -> Trace:
    """Return the first ``n`` words of LoCoMo's conversations, turn after turn: what word vectors are asked for."""
    with gzip.open(data_dir("locomo") / "locomo.json.gz", "rt", encoding="utf-8") as file:
        samples = json.load(file)
    words: list[str] = []
    for sample in samples:
        talk = sample["conversation"]
        sessions = sorted((key for key in talk if re.fullmatch(r"session_\d+", key)), key=lambda key: int(key[8:]))
        for session in sessions:
            for turn in talk[session]:
                words += WORD.findall(turn["text"].lower())
    return numbered(words[:n])


def news_words(n: int) -> Trace:
    """Return the first ``n`` words of AG News's test file, one item of news after the other."""
    with gzip.open(data_dir("ag_news") / "ag_news_test.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)  # the head
        words = [word for line in file for word in WORD.findall(line.partition("\t")[2].lower())]
    return numbered(words[:n])


def caption_words(n: int) -> Trace:
    """Return the first ``n`` words of Multi30k's English captions, one caption after the other."""
    with gzip.open(data_dir("multi30k") / "train.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)  # the head
        words = [word for line in file for word in WORD.findall(line.partition("\t")[0].lower())]
    return numbered(words[:n])


def image_patches(images: NDArray[np.uint8], n: int, side: int = 4) -> Trace:
    """Return the first ``n`` patches of ``side × side`` pixels, image after image, row by row.

    A patch is known by which of its pixels are above its mean; one without any contrast is left out. What is asked
    for is then the code of a patch, such as the answer of a first layer that is worked out once a code.
    """
    count, height, width = images.shape
    cut = images[:, : height - height % side, : width - width % side].astype(np.float32)
    patches = cut.reshape(count, height // side, side, width // side, side).swapaxes(2, 3).reshape(-1, side * side)
    patches = patches[np.ptp(patches, axis=1) > 0]
    bits = patches > patches.mean(axis=1, keepdims=True)
    return numbered(bits @ (1 << np.arange(side * side, dtype=np.int64)))[:n]

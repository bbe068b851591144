"""Vectors to search among: real sentence embeddings, and clustered ones that are drawn. All have the length 1.

Real: the English side of the 122,143 entries of CC-CEDICT, embedded by wordllama (256 entries, mean of word vectors,
no network). Cues are entries held out at random. Many glosses are nearly or exactly alike ("surname Wang"), as in any
real collection, so that a cue can have equally good answers: see ``material.neighbours``.

Clustered: a mixture of ``round(√n)`` Gaussians. The centre of each is drawn with the variance 1 in each of the 256
entries, a vector is a centre plus noise, divided by its length. The noise is as long as a centre; along the j-th of its
axes, which are turned at random, its standard deviation is ``∝ j^-.75``: like real embeddings, and unlike noise that is
the same in all directions, a cluster then has neighbours that are clearly nearer than others. At 100,000 a search among
256-bit codes that compares the best 100 finds about as much of the true top 10 as real embeddings let it find.
Cues are further draws. A block of 50,000 vectors has its own seed.

Real embeddings are cached in ``$XDG_CACHE_HOME/mossy-benchmarks``, or in a folder for temporary files if that is not
set; clustered ones are drawn anew by each process, or kept there when ``kept`` asks for it.
"""

from __future__ import annotations

import gzip
import importlib.metadata
import os
import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from record import data_dir

__all__ = ["D", "Drifting", "Floats", "cache_dir", "clustered", "glosses", "kept", "real", "unit"]

Floats = NDArray[np.float32]

D = 256
NOISE = 1.0  # length of the noise, relative to that of a centre
DECAY = 0.75  # exponent with which the noise falls from axis to axis
BLOCK = 50_000  # vectors with a seed of their own
CUES = 999_999  # the seed of a block of cues


def cache_dir() -> Path:
    """Return the folder for what takes long to make, outside the repository; it is made if it is not there."""
    given = os.environ.get("XDG_CACHE_HOME")
    folder = Path(given or tempfile.gettempdir()) / "mossy-benchmarks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def unit(vectors: Floats) -> Floats:
    """Divide each vector by its length, in place."""
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors


def clustered(n: int, cues: int, seed: int = 0, centres: int | None = None) -> tuple[Floats, Floats]:
    """Draw ``n`` vectors and so many cues of one mixture of ``centres`` Gaussians, ``round(√n)`` unless given."""
    count = round(n**0.5) if centres is None else centres
    rng = np.random.default_rng([seed, count])
    middle, spread = rng.standard_normal((count, D), np.float32), _spread(rng)
    vectors = np.empty((n, D), np.float32)
    for first in range(0, n, BLOCK):
        part = vectors[first : first + BLOCK]
        part[:] = _block(middle, spread, len(part), [seed, count, first // BLOCK])
    return vectors, _block(middle, spread, cues, [seed, count, CUES])


def _spread(rng: np.random.Generator) -> Floats:
    """Return by what Gaussian numbers are multiplied to be noise."""
    axes = np.linalg.qr(rng.standard_normal((D, D)))[0]
    sizes = np.arange(1.0, D + 1) ** -DECAY
    sizes *= NOISE * np.sqrt(D / np.square(sizes).sum())
    return np.asarray(sizes[:, None] * axes, np.float32)


class Drifting:
    """Clustered vectors whose centres move as more are drawn.

    With each ``turn`` vectors every centre turns evenly by ``degrees``, in the plane of itself and another direction.
    """

    def __init__(self, centres: int, turn: int, seed: int = 0, degrees: float = 15.0) -> None:
        rng = np.random.default_rng([seed, centres, turn])
        self.turn, self.seed, self.angle = turn, seed, np.radians(degrees)
        self.ways = rng.standard_normal((2, centres, D), np.float32)
        self.spread = _spread(rng)

    def draw(self, at: int, n: int, salt: int = 0) -> Floats:
        """Draw ``n`` vectors as they are after ``at`` others."""
        phase = self.angle * at / self.turn
        middle = np.float32(np.cos(phase)) * self.ways[0] + np.float32(np.sin(phase)) * self.ways[1]
        return _block(middle, self.spread, n, [self.seed, at, salt])


def _block(middle: Floats, spread: Floats, n: int, seed: list[int]) -> Floats:
    rng = np.random.default_rng(seed)
    which = rng.integers(len(middle), size=n)
    return unit(middle[which] + rng.standard_normal((n, D), np.float32) @ spread)


def glosses() -> list[str]:
    """Return the English side of the entries of CC-CEDICT, in the dictionary's order."""
    with gzip.open(data_dir("cedict") / "cedict.tsv.gz", "rt", encoding="utf-8") as file:
        next(file)  # the head
        return [line.rstrip("\n").split("\t")[3] for line in file]


def real(cues: int, seed: int = 0) -> tuple[Floats, Floats]:
    """Return the embedded glosses but for so many held out, in a random order, and those held out as cues."""
    every = _embedded()
    order = np.random.default_rng([seed, len(every)]).permutation(len(every))
    return every[order[cues:]], every[order[:cues]]


def _embedded() -> Floats:
    path = cache_dir() / f"cedict-wordllama-{importlib.metadata.version('wordllama')}.npy"
    if not path.exists():
        import wordllama

        folder = Path(wordllama.__file__).parent  # its tables come inside the package
        encoder = wordllama.WordLlama.load(cache_dir=folder, dim=D, disable_download=True)
        vectors = np.asarray(encoder.embed(glosses()), np.float32)
        vectors = unit(vectors[np.abs(vectors).sum(axis=1) > 0])  # a gloss without a known word has no direction
        _save(path, vectors)
    vectors = np.load(path)
    return vectors


def kept(kind: str, n: int | None, cues: int, seed: int = 0) -> tuple[Path, Path]:
    """Return two files with ``n`` vectors and so many cues, ``kind`` being "clustered" or "real" (None for all).

    Processes then map the same pages.
    """
    drawn = f"-{NOISE}-{DECAY}" if kind == "clustered" else ""
    stem = f"{kind}-{n or 'all'}-{cues}-{seed}{drawn}"
    paths = cache_dir() / f"{stem}-vectors.npy", cache_dir() / f"{stem}-cues.npy"
    if not all(path.exists() for path in paths):
        if kind == "clustered":
            if n is None:
                raise ValueError("n: None was given; say how many clustered vectors are to be drawn.")
            vectors, asked = clustered(n, cues, seed)
        else:
            vectors, asked = real(cues, seed)
        _save(paths[0], vectors[:n])
        _save(paths[1], asked)
    return paths


def _save(path: Path, vectors: Floats) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    with part.open("wb") as file:
        np.save(file, vectors)
    part.replace(path)

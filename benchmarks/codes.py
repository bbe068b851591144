"""Which one-bit code of a pattern ranks real embeddings best: raw signs, a random rotation, or a learned one?

A sketch keeps the signs of 256 projections of a pattern, less the mean of all: 32 bytes in place of 1,024. A search
ranks all sketches, compares the best ``m`` exactly, and returns the best ten of these. The question is which rotation
the signs are taken after, at equal bits, and how the sketches are ranked:

- ``hamming``: the cue is a sketch as well; the number of signs that agree.
- ``float cue``: ``⟨b, Rz⟩``, the cue stays as it is.
- ``float cue, scaled``: ``f⟨b, Rz⟩`` with one number for each stored pattern, ``f = ‖z‖² / ‖Rz‖₁`` (RaBitQ's estimate
  without bias); 36 bytes a pattern. ``..., 256 cells`` does so around the nearest of 256 means (one byte more).

The rotations:

- ``raw signs``: none.
- ``random``: QR of a Gaussian matrix; ``hadamard``: three rounds of flipped signs and a fast Hadamard transform.
- ``oja + random``: principal components, learned one after the other by Oja's rule from what the components before them
  leave, then the random rotation.
- ``hebb``: starts at the random rotation; then again and again: each neuron answers with the sign of its input, Hebb's
  rule writes answers and patterns, and the weights are made orthogonal. That is ITQ (Gong & Lazebnik 2011).
- ``delta``: the same in one pass: each neuron learns its own sign by the delta rule at a small rate; made orthogonal
  once.

Rules learn from half of the stored patterns; the other half shows whether it carries over. The patterns: wordllama's
embeddings of CC-CEDICT's glosses, and the clustered ones that are drawn. Cues are not stored. Masked cues have a
random half of their entries known, and the truth is the cosine over these; a rotated cue is filled with zeros or with
the mean.

The table gives the share of the true top ten after ``m`` compared exactly, averaged over three random rotations (each
learned one starts at one of them), and the standard deviation among these; cells and masks are drawn anew with each.
``explained`` is ``‖Rz‖₁² / (D‖z‖²)`` of the half that was not learned from, 2/π for a random rotation of one pattern:
what a rotation that is near its signs raises.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy
from material.embeddings import D, clustered, real
from material.neighbours import Truth, neighbours, score
from material.trial import is_small, record_or_show
from mossy.plasticity import Delta, Oja
from record import cpu_and_wall

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

SEEDS = (0, 1, 2)
CUES = 500
HELD_OUT = 2000
COMPARED = (30, 100, 300, 1000)
K = 10
ROUNDS = 30  # of Hebb's rule
LEARNED_FROM = 20_000  # patterns for Hebb's rule, drawn from the half that is learned from
OJA = 1500  # patterns a component


def random_rotation(seed: int) -> Floats:
    q, r = np.linalg.qr(np.random.default_rng(seed).standard_normal((D, D)))
    return np.asarray(q * np.sign(np.diag(r)), np.float32)


def hadamard(seed: int) -> Floats:
    """Return three rounds of flipped signs and a Hadamard transform, as a matrix."""
    rng, h = np.random.default_rng(seed), np.ones((1, 1))
    while len(h) < D:
        h = np.block([[h, h], [h, -h]])
    turned = np.eye(D)
    for _ in range(3):
        turned = h / np.sqrt(D) @ (rng.choice([-1.0, 1.0], D)[:, None] * turned)
    return turned.astype(np.float32)


def orthogonal(weights: NDArray[Any]) -> Floats:
    """Return the rotation that is nearest to the weights."""
    left, _, right = np.linalg.svd(weights)
    return np.asarray(left @ right, np.float32)


def oja(patterns: Floats, seed: int) -> Floats:
    """Learn the principal components with Oja's rule and turn them at random."""
    rng, rule = np.random.default_rng(seed), Oja(rate=0.05)
    found = np.zeros((D, D))
    scale = np.sqrt(D) / 4  # so that activities are of the order 1
    for i in range(D):
        x = scale * patterns[rng.integers(len(patterns), size=OJA)].astype(np.float64)
        x -= (x @ found[:i].T) @ found[:i]
        x /= max(float(np.sqrt(np.square(x).sum(axis=1).mean())), 1e-12)
        first = x[0] / max(float(np.linalg.norm(x[0])), 1e-12)
        state = rule.start(1, D, first[None])
        for one in x:
            state = rule.write(state, one[None], (state["w"] @ one)[None])
        w = state["w"][0] - (found[:i] @ state["w"][0]) @ found[:i]
        found[i] = w / np.linalg.norm(w)
    return np.asarray(random_rotation(seed) @ orthogonal(found), np.float32)


def hebb(patterns: Floats, seed: int) -> Floats:
    """Learn a rotation whose outputs are near their signs: Hebb's rule on signs, then made orthogonal."""
    rng = np.random.default_rng(seed)
    some = patterns[rng.choice(len(patterns), min(LEARNED_FROM, len(patterns)), replace=False)]
    rotation = random_rotation(seed)
    for _ in range(ROUNDS):
        synapses = mossy.Synapses(D, rule="hebb")
        synapses.write(some, np.sign(some @ rotation.T))
        rotation = orthogonal(synapses.weights)
    return rotation


def delta(patterns: Floats, seed: int) -> Floats:
    """Learn the same in one pass, with the delta rule."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(patterns))[:LEARNED_FROM]
    size = float(np.linalg.norm(patterns, axis=1).mean() / np.sqrt(D))
    synapses = mossy.Synapses(D, rule=Delta(rate=0.02), weights=random_rotation(seed))
    for x in np.array_split(patterns[order], max(1, len(order) // 50)):
        synapses.write(x, size * np.sign(x @ np.asarray(synapses.weights, np.float32).T))
    return orthogonal(synapses.weights)


ROTATIONS: dict[str, Callable[[Floats, int], Floats]] = {
    "raw signs": lambda patterns, seed: np.eye(D, dtype=np.float32),
    "random": lambda patterns, seed: random_rotation(seed),
    "hadamard": lambda patterns, seed: hadamard(seed),
    "oja + random": oja,
    "hebb": hebb,
    "delta": delta,
}


class Sketches:
    """Codes of stored patterns around one or many centres, and the ways to rank them."""

    def __init__(self, vectors: Floats, rotation: Floats, centres: Floats, cell: Ids) -> None:
        self.rotation, self.centres, self.cell = rotation, centres, cell
        turned = (vectors - centres[cell]) @ rotation.T
        self.bits = np.where(turned >= 0, np.float32(1), np.float32(-1))
        self.scale = np.square(turned).sum(axis=1) / np.maximum(np.abs(turned).sum(axis=1), 1e-12)

    def hamming(self, cues: Floats) -> Floats:
        """Compare signs with signs."""
        return np.where((cues - self.centres[0]) @ self.rotation.T >= 0, np.float32(1), np.float32(-1)) @ self.bits.T

    def float_cue(self, cues: Floats) -> Floats:
        """Compare signs with the cue as it is."""
        return (cues @ self.rotation.T) @ self.bits.T

    def scaled(self, cues: Floats) -> Floats:
        """Estimate the product of the patterns and the cue."""
        return self.float_cue(cues) * self.scale + (cues @ self.centres.T)[:, self.cell]


def means(vectors: Floats, count: int, seed: int) -> tuple[Floats, Ids]:
    """Return centres by a few rounds of k-means, and the nearest of each vector."""
    rng = np.random.default_rng(seed)
    some = vectors[rng.choice(len(vectors), min(20_000, len(vectors)), replace=False)]
    centres = some[:count].copy()
    for _ in range(8):
        cell = _nearest(some, centres)
        total = np.zeros_like(centres)
        np.add.at(total, cell, some)
        held = np.bincount(cell, minlength=count)[:, None]
        centres = np.where(held > 0, total / np.maximum(held, 1), centres).astype(np.float32)
    return centres, _nearest(vectors, centres)


def _nearest(vectors: Floats, centres: Floats) -> Ids:
    return np.asarray((vectors @ centres.T - np.square(centres).sum(axis=1) / 2).argmax(axis=1))


def recalls(
    rank: Callable[[Floats], Floats], asked: Floats, exact: Callable[[Ids, slice], Any], truth: Truth
) -> dict[str, float]:
    """Return the recall when the best ``m`` by ``rank`` are compared exactly, for each ``m``."""
    right = dict.fromkeys(COMPARED, 0.0)
    for first in range(0, len(asked), 50):
        part = slice(first, first + 50)
        estimate = rank(asked[part])
        best = np.argpartition(-estimate, COMPARED[-1], axis=1)[:, : COMPARED[-1]]
        best = np.take_along_axis(best, np.argsort(-np.take_along_axis(estimate, best, 1), axis=1), 1)
        every = exact(best, part)
        for m in COMPARED:
            some, scores = best[:, :m], every[:, :m]
            order = np.argsort(-scores, axis=1)[:, :K]
            found = np.take_along_axis(some, order, 1)
            mine = Truth(truth.ids[part], truth.scores[part])
            right[m] += mine.recall(found, np.take_along_axis(scores, order, 1)) * len(found)
    return {str(m): right[m] / len(asked) for m in COMPARED}


def study(vectors: Floats, cues: Floats, seed: int) -> dict[str, Any]:
    """Measure every rotation with every way to rank, on whole and masked cues."""
    vectors, mean = np.ascontiguousarray(vectors), vectors.mean(axis=0)
    known = np.random.default_rng([seed, 7]).random(cues.shape).argsort(axis=1) < D // 2
    whole, masked = neighbours(vectors, cues, K), neighbours(vectors, cues, K, known)
    one = mean[None], np.zeros(len(vectors), np.int64)
    many = means(vectors, 256, seed)
    result: dict[str, Any] = {}

    def exact(some: Ids, part: slice) -> Any:
        return score(vectors, cues[part], some)

    def exact_masked(some: Ids, part: slice) -> Any:
        return score(vectors, cues[part], some, known[part])

    for name, learn in ROTATIONS.items():
        rotation = learn(vectors[: len(vectors) // 2] - mean, seed)
        sketch, cells = Sketches(vectors, rotation, *one), Sketches(vectors, rotation, *many)
        zeros, filled = cues * known, (cues - mean) * known
        found = {
            "hamming": recalls(sketch.hamming, cues, exact, whole),
            "float cue": recalls(sketch.float_cue, cues - mean, exact, whole),
            "float cue, scaled": recalls(sketch.scaled, cues, exact, whole),
            "float cue, scaled, 256 cells": recalls(cells.scaled, cues, exact, whole),
            "half known: float cue, zeros": recalls(sketch.float_cue, zeros, exact_masked, masked),
            "half known: float cue, mean": recalls(sketch.float_cue, filled, exact_masked, masked),
            "half known: scaled, zeros": recalls(sketch.scaled, zeros, exact_masked, masked),
            "half known: scaled, 256 cells, zeros": recalls(cells.scaled, zeros, exact_masked, masked),
        }
        if name == "raw signs":  # the only code in which a sign belongs to an entry

            def known_bits(asked: Floats, sketch: Sketches = sketch) -> Floats:
                return np.sign(asked) @ sketch.bits.T

            found["half known: hamming of known bits"] = recalls(known_bits, filled, exact_masked, masked)
        held = (vectors[len(vectors) // 2 :] - mean)[:2000] @ rotation.T
        found["explained"] = float((np.abs(held).sum(axis=1) ** 2 / (D * np.square(held).sum(axis=1))).mean())
        result[name] = found
        print(seed, name, {way: of["100"] if isinstance(of, dict) else of for way, of in found.items()}, flush=True)
    return result


def together(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Average the runs; the standard deviation stands beside each mean."""
    first = runs[0]
    if isinstance(first, dict):
        return {name: together([run[name] for run in runs]) for name in first}
    return {"mean": round(float(np.mean(runs)), 4), "deviation": round(float(np.std(runs)), 4)}


def main() -> None:
    count, seeds = (50, SEEDS[:1]) if is_small() else (CUES, SEEDS)
    vectors, cues = real(HELD_OUT)
    drawn, asked = clustered(100_000, count)
    if is_small():
        vectors, drawn = vectors[:20_000], drawn[:20_000]
    result = {
        "stored": {"real": len(vectors), "clustered": len(drawn)},
        "real": together([study(vectors, cues[:count], seed) for seed in seeds]),
        "clustered": together([study(drawn, asked, seed) for seed in seeds]),
    }
    x = drawn[:4096]
    rotation = random_rotation(0)
    result["rotate 4,096 patterns by a matrix, s"] = cpu_and_wall(lambda: x @ rotation.T).as_dict()
    question = "Which one-bit code ranks real embeddings best: raw signs, a random rotation, or a learned one?"
    record_or_show("codes", question, result, seeds, peers=["wordllama"])


if __name__ == "__main__":
    main()

"""How do other associative memories do on the same data: accuracy, time and memory?

Four tasks, each asked of every way that can do it. One at a time, as a program would, with a clock around it;
``exact`` is the share of answers equal to what was stored in every entry, ``right`` the share that names the right
memory. ``bytes`` are the arrays that the way needs to answer.

- random: ±1 patterns of N neurons at several loads (patterns / N), 10 % of the entries of each cue flipped.
- images: MNIST in ±1, the top half known, the rest covered by another image. Only mossy takes a mask (``known``).
- pairs: key and value hypervectors of 10,000 entries ±1. The values are also the codebook that cleans an answer
  up, which the hash table of torchhd needs; mossy and the search hold the keys and answer with a number.
- vectors: real word vectors of length 1 (200-d vectors of Chinese characters; the digits where they are not
  there), asked with noise of two levels. Also: how many answers are those of cosine.

Beside the packages: nearest neighbour by one matrix product, ``(K @ q).argmax()``, which on vectors of equal length
is the cosine too. A package that is not installed is left out and the result says so.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import mossy
from material.images import digits, half, mnist
from material.timing import rounded
from mossy.substrate.matrix import Matrix
from record import data_dir, record

PEERS = {
    "hopfieldnetwork": "hopfieldnetwork",
    "hopfieldkit": "hopfieldkit",
    "torch-hd": "torchhd",
    "mhn-ai-agent-memory": "hopfield_memory",
}
SEED = 0
RANDOM = ((100, 0.1), (100, 0.2), (100, 0.5), (1000, 0.05), (1000, 0.1), (1000, 0.2))
IMAGES = (20, 100, 500)
PAIRS = (200, 800)
ENTRIES = 10_000
NOISES = (1.0, 2.0, 3.0)  # the length of the noise, beside vectors of length 1
ASKED = 100
PERCEPTRON_AT_MOST = 20_000  # patterns × neurons; beyond it training takes minutes

Vectors = NDArray[np.float64]


@dataclass
class Memory:
    """A memory that is filled: from one cue to its answer, a pattern or the number of a memory; and its bytes."""

    recall: Callable[[Vectors], Any]
    nbytes: int


Way = Callable[[Vectors], Memory]


def installed(distribution: str) -> Any:
    """Return the module of a peer, or None if it is not installed."""
    try:
        importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
    return importlib.import_module(PEERS[distribution])


# --- what the tasks are asked of -------------------------------------------------------------------


def index(known: NDArray[np.bool_] | None = None, numbers: bool = False, **settings: Any) -> Way:
    """A mossy memory, one index neuron a pattern; ``numbers``: answer with the payload, as a search does."""

    def fill(keys: Vectors) -> Memory:
        memory = mossy.Memory(clock=mossy.Steps(), **settings)
        memory.store(keys.astype(np.float32), payload=list(range(len(keys))) if numbers else None)

        def recall(cue: Vectors) -> Any:
            found = memory.recall(cue, known=known, reinforce=False)
            return found.payload[0] if numbers else found.pattern

        return Memory(recall, memory.stats().bytes)

    return fill


def matrix(rule: str, known: NDArray[np.bool_] | None = None) -> Way:
    """One weight matrix of mossy."""

    def fill(keys: Vectors) -> Memory:
        memory = Matrix(keys.shape[1], rule=rule, activation="sign")
        memory.write(keys)
        return Memory(lambda cue: memory.read(cue, known=known), memory.nbytes)

    return fill


def nearest(numbers: bool = False) -> Way:
    """One matrix product and the best."""

    def fill(keys: Vectors) -> Memory:
        kept = keys.astype(np.float32)

        def recall(cue: Vectors) -> Any:
            best = int((kept @ cue.astype(np.float32)).argmax())
            return best if numbers else kept[best]

        return Memory(recall, kept.nbytes)

    return fill


def masked(known: NDArray[np.bool_]) -> Way:
    """One matrix product over the known entries and the best: all patterns are ±1, so the closest is the largest."""

    def fill(keys: Vectors) -> Memory:
        kept = keys.astype(np.float32)
        part = np.ascontiguousarray(kept[:, known])

        def recall(cue: Vectors) -> Any:
            return kept[int((part @ cue[known].astype(np.float32)).argmax())]

        return Memory(recall, kept.nbytes + part.nbytes)

    return fill


def hopfieldnetwork(keys: Vectors) -> Memory:
    network = installed("hopfieldnetwork").HopfieldNetwork(N=keys.shape[1])
    for key in keys.astype(np.int8).astype(np.int64):
        network.train_pattern(key)

    def recall(cue: Vectors) -> Any:
        network.set_initial_neurons_state(cue.astype(np.int64))
        network.update_neurons(iterations=1, mode="async", run_max=True)
        return network.S

    return Memory(recall, network.w.nbytes + network.xi.nbytes)


def hopfieldkit(kind: str) -> Way:
    def fill(keys: Vectors) -> Memory:
        network = getattr(installed("hopfieldkit"), kind)(keys.shape[1]).fit(keys)
        return Memory(lambda cue: network.recall(cue, seed=SEED), network.weights.nbytes)

    return fill


def modern_hopfield(keys: Vectors) -> Memory:
    network = installed("mhn-ai-agent-memory").ModernHopfieldNetwork(keys.shape[1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of more patterns than half its entries
        for key in keys:
            network.store(key)
    network.retrieve(keys[0])  # it gathers its patterns into a second array when it is first asked
    return Memory(lambda cue: int(network.retrieve(cue)[1].argmax()), 2 * keys.nbytes)


def hash_table(values: Vectors) -> Way:
    """Torchhd's hash table, its answer cleaned up by the nearest of the values."""

    def fill(keys: Vectors) -> Memory:
        torchhd, torch = installed("torch-hd"), importlib.import_module("torch")
        kind = torchhd.MAPTensor
        codebook = torch.from_numpy(values.astype(np.float32)).as_subclass(kind)
        table = torchhd.structures.HashTable(keys.shape[1])
        for key, value in zip(torch.from_numpy(keys.astype(np.float32)).as_subclass(kind), codebook, strict=True):
            table.add(key, value)

        def recall(cue: Vectors) -> int:
            found = table.get(torch.from_numpy(cue.astype(np.float32)).as_subclass(kind))
            return int((codebook @ found).argmax())

        return Memory(recall, 4 * keys.shape[1] + 4 * values.size)

    return fill


# --- the tasks -------------------------------------------------------------------------------------


def ask(way: Way, keys: Vectors, cues: Vectors, answers: Any) -> tuple[dict[str, Any], list[Any]]:
    """Fill a memory with ``keys``, ask it with ``cues`` one at a time, and compare with ``answers``."""
    start = time.perf_counter()
    memory = way(keys)
    wrote = time.perf_counter() - start
    memory.recall(cues[0])
    times, found = [], []
    for cue in cues:
        start = time.perf_counter()
        answer = memory.recall(cue)
        times.append(time.perf_counter() - start)
        found.append(np.array(answer))
    right = [np.array_equal(one, answer) for one, answer in zip(found, answers, strict=True)]
    figures = {
        "right": rounded(np.mean(right)),
        "write_us": rounded(wrote / len(keys) * 1e6),
        "recall_us": rounded(np.median(times) * 1e6),
        "bytes": memory.nbytes,
    }
    return figures, found


def networks(neurons: int, patterns: int) -> dict[str, Way]:
    """Return the networks of neurons that can be asked, by name."""
    ways: dict[str, Way] = {
        "mossy matrix, hebb": matrix("hebb"),
        "mossy matrix, projection": matrix("projection"),
        "nearest, (K @ q).argmax()": nearest(),
    }
    if installed("hopfieldnetwork"):
        ways["hopfieldnetwork"] = hopfieldnetwork
    if installed("hopfieldkit"):
        ways["hopfieldkit, Hebb"] = hopfieldkit("HopfieldNetwork")
        if neurons * patterns <= PERCEPTRON_AT_MOST:
            ways["hopfieldkit, perceptron"] = hopfieldkit("PerceptronHopfieldNetwork")
    return ways


def random_task(neurons: int, load: float) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    keys = rng.choice([-1.0, 1.0], (round(load * neurons), neurons))
    cues = keys[:ASKED].copy()
    for cue in cues:
        cue[rng.permutation(neurons)[: neurons // 10]] *= -1
    ways = {"mossy index": index()} | networks(neurons, len(keys))
    return {name: ask(way, keys, cues, keys[: len(cues)])[0] for name, way in ways.items()}


def image_task(stored: int) -> dict[str, Any]:
    images = mnist()
    binary = np.where(images.pixels > 0.5, 1.0, -1.0)
    keys, others = binary[:stored], binary[stored : 2 * stored]
    known = half(images.side, "top")
    cues = np.where(known, keys, others)[:ASKED]
    ways = {
        "mossy index, known": index(known),
        "mossy matrix, projection, known": matrix("projection", known),
        "nearest over the known entries": masked(known),
        "mossy index": index(),
        "mossy index, winner": index(separation="winner"),
    }
    ways |= networks(keys.shape[1], stored)
    return {name: ask(way, keys, cues, keys[: len(cues)])[0] for name, way in ways.items()}


def pair_task(pairs: int) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    keys, values = rng.choice([-1.0, 1.0], (2, pairs, ENTRIES))
    noisy = keys * rng.choice([-1.0, 1.0], keys.shape, p=[0.1, 0.9])
    ways = {"mossy index": index(numbers=True), "nearest, (K @ q).argmax()": nearest(numbers=True)}
    if installed("torch-hd"):
        ways["torchhd hash table"] = hash_table(values)
    result = {}
    for name, way in ways.items():
        figures, _ = ask(way, keys, keys, range(pairs))
        with_noise, _ = ask(way, keys, noisy, range(pairs))
        result[name] = figures | {"right_with_noise": with_noise["right"]}
    return result


def vectors() -> tuple[str, Vectors]:
    try:
        folder = data_dir("zh_char_vectors")
    except SystemExit:
        name, found = "digits (scikit-learn)", digits().pixels.astype(np.float64)
    else:
        name = "vectors of Chinese characters"
        found = np.load(folder / "zh_char_vectors.npz")["vectors"].astype(np.float64)
    found = found[np.linalg.norm(found, axis=1) > 0]
    return name, found / np.linalg.norm(found, axis=1, keepdims=True)


def vector_task(keys: Vectors, noise: float) -> dict[str, Any]:
    rng = np.random.default_rng(SEED)
    asked = rng.permutation(len(keys))[: 5 * ASKED]
    cues = keys[asked] + noise * rng.standard_normal((len(asked), keys.shape[1])) / keys.shape[1] ** 0.5
    ways: dict[str, Way] = {
        "nearest, (K @ q).argmax()": nearest(numbers=True),
        "mossy index, cosine": index(numbers=True, similarity="cosine"),
        "mossy index, euclidean": index(numbers=True),
    }
    if installed("mhn-ai-agent-memory"):
        ways["mhn-ai-agent-memory"] = modern_hopfield
    cosine = (cues @ keys.T).argmax(axis=1)
    result = {}
    for name, way in ways.items():
        figures, found = ask(way, keys, cues, asked)
        result[name] = figures | {"as_cosine": float((np.array(found) == cosine).mean())}
    return result


def main() -> None:
    there = [name for name in PEERS if installed(name)]
    name, keys = vectors()
    result: dict[str, Any] = {
        "not_installed": sorted(set(PEERS) - set(there)),
        "random": {f"N = {n}, load {load}": random_task(n, load) for n, load in RANDOM},
        "images": {f"{stored} images": image_task(stored) for stored in IMAGES},
        "image_set": mnist().name,
        "pairs": {f"{pairs} pairs": pair_task(pairs) for pairs in PAIRS},
        "vectors": {f"noise {noise}": vector_task(keys, noise) for noise in NOISES},
        "vector_set": f"{name}: {len(keys):,} × {keys.shape[1]}",
    }
    for task in ("random", "images", "pairs", "vectors"):
        for setting, ways in result[task].items():
            for way, figures in ways.items():
                print(f"{task}, {setting}, {way}: {figures}")
    record(
        "peers",
        "How do other associative memories do on the same data: accuracy, time and memory?",
        result,
        seeds=[SEED],
        peers=there,
    )


if __name__ == "__main__":
    main()

"""How often is a character known again that was seen once, among 20 of its alphabet?

Omniglot as it is under ``MOSSY_DATA``: six alphabets of 22 to 47 characters, each drawn once by each of 20 people;
drawings are halved twice over to 35 × 35. One episode: 20 random characters of one alphabet, one drawing of each by one
person (shown), and one of each by another (asked). Episodes go round the alphabets; five seeds of 102 episodes.

An encoder learns patches from drawings of the other five alphabets, without labels, and its settings are chosen by
episodes of these five; of the sixth it has seen nothing but the 20 drawings shown. Beside it are pixels, blurred
pixels and histograms of oriented gradients (after Dalal and Triggs 2005), as drawn, and moved and scaled as the encoder
does.

Recall is of the one nearest memory by the cosine. The other learners read the same features.

``--quick`` runs one seed of 30 episodes and writes no result.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

import mossy
from mossy.encode.framing import framed
from mossy.learn import ImageEncoder
from record import data_dir, record

SEEDS = 5
WAY = 20
EPISODES = 102  # a multiple of six alphabets
TO_CHOOSE = 60  # episodes of the other alphabets
SIDE = 35
SETTINGS: list[dict[str, Any]] = [
    {"bias": 1.0, "power": 0.5, "grid": 4, "frame": "scaled"},
    {"bias": 1.5, "power": 0.5, "grid": 4, "size": 8, "frame": "scaled"},
    {"bias": 1.0, "power": 0.5, "grid": 3, "frame": "scaled"},
    {"bias": 1.0, "power": 0.5, "grid": 4, "frame": "given"},
]

Drawings = NDArray[np.float32]
Rows = NDArray[np.intp]


def omniglot() -> tuple[Drawings, NDArray[Any], NDArray[Any], NDArray[Any]]:
    """Return drawings ``(n, SIDE²)``, light on dark, with alphabet, character and person of each."""
    held = np.load(data_dir("omniglot") / "omniglot.npz")
    whole = int(held["width"])
    ink = np.unpackbits(held["images_packed"], axis=-1)[..., :whole].astype(np.float32)
    part = whole // SIDE
    small = ink[:, : part * SIDE, : part * SIDE].reshape(-1, SIDE, part, SIDE, part).mean(axis=(2, 4))
    return small.reshape(len(small), -1), held["alphabet"], held["character"], held["drawer"]


def episode(alphabet: int, labels: tuple[NDArray[Any], ...], rng: np.random.Generator) -> tuple[Rows, Rows]:
    """Return the rows that are shown and those that are asked for, character by character."""
    alphabets, characters, people = labels
    mine = np.flatnonzero(alphabets == alphabet)
    names = rng.permutation(np.unique(characters[mine]))[:WAY]
    two = rng.choice(np.unique(people[mine]), 2, replace=False)
    rows = {(characters[row], people[row]): row for row in mine}
    shown, asked = (np.array([rows[name, person] for name in names]) for person in two)
    return shown, asked


def gradients(images: Drawings, cells: int = 5, directions: int = 9) -> Drawings:
    """Return histograms of oriented gradients of ``images (n, SIDE²)``: unsigned, each cell of length 1."""
    laid = images.reshape(-1, SIDE, SIDE)
    down, across = np.gradient(laid, axis=1), np.gradient(laid, axis=2)
    size = np.hypot(down, across)
    turn = (np.arctan2(down, across) % np.pi) / np.pi * directions
    low = np.floor(turn).astype(np.intp)
    shares = np.zeros((*laid.shape, directions), np.float32)
    for offset, share in ((0, 1 - (turn - low)), (1, turn - low)):
        np.put_along_axis(shares, ((low + offset) % directions)[..., None], (share * size)[..., None], axis=3)
    part = SIDE // cells
    pooled = shares.reshape(-1, cells, part, cells, part, directions).sum(axis=(2, 4))
    pooled /= np.linalg.norm(pooled, axis=3, keepdims=True) + 0.1
    return pooled.reshape(len(images), -1)


def recalled(shown: Drawings, asked: Drawings) -> Rows:
    """Return which of the drawings shown is recalled for each that is asked for."""
    memory = mossy.Memory(similarity="cosine")
    ids = memory.store(shown)
    found = memory.recall(asked, k=1, reinforce=False).ids[:, 0]
    return np.searchsorted(ids, found)


def by(make: Callable[[], Any]) -> Callable[[Drawings, Drawings], Rows]:
    """Return a learner of scikit-learn as a function of what is shown and asked."""
    return lambda shown, asked: make().fit(shown, np.arange(len(shown))).predict(asked)


LEARNERS: dict[str, Callable[[Drawings, Drawings], Rows]] = {
    "recall": recalled,
    "1 nearest neighbour": by(lambda: KNeighborsClassifier(1)),
    "SVC": by(lambda: SVC(kernel="linear")),
    "LogisticRegression": by(lambda: LogisticRegression(max_iter=200)),
}


def known_again(features: Drawings, episodes: list[tuple[Rows, Rows]], learner: Any = recalled) -> float:
    """Return the share of characters that are known again."""
    return float(np.mean([(learner(features[s], features[a]) == np.arange(len(s))).mean() for s, a in episodes]))


def episodes_of(alphabets: Any, n: int, labels: tuple[NDArray[Any], ...], rng: Any) -> list[tuple[Rows, Rows]]:
    """Return ``n`` episodes that go round these alphabets."""
    return [episode(alphabets[i % len(alphabets)], labels, rng) for i in range(n)]


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="one seed of 30 episodes; writes no result")
    quick = ask.parse_args().quick
    warnings.filterwarnings("ignore", module="sklearn")
    seeds, n = (1, 30) if quick else (SEEDS, EPISODES)
    drawings, *rest = omniglot()
    labels = tuple(rest)
    moved = framed(drawings.reshape(-1, SIDE, SIDE, 1), "scaled").reshape(drawings.shape)
    alphabets = np.unique(labels[0])
    plain = {"pixels": drawings, "pixels, moved and scaled": moved}
    plain |= {
        "blurred pixels, moved and scaled": gaussian_filter(moved.reshape(-1, SIDE, SIDE), (0, 1.5, 1.5)).reshape(
            moved.shape
        ),
        "oriented gradients": gradients(drawings),
        "oriented gradients, moved and scaled": gradients(moved),
    }
    scores: dict[str, dict[str, list[float]]] = {}
    cpu: dict[str, list[float]] = {}
    chosen: dict[str, str] = {}
    size = {name: features.shape[1] for name, features in plain.items()}
    with threadpool_limits(1):
        for seed in range(seeds):
            rng = np.random.default_rng(seed)
            for alphabet in alphabets:
                others = alphabets[alphabets != alphabet]
                background = np.isin(labels[0], others)
                if seed == 0:
                    tests = episodes_of(others, TO_CHOOSE, labels, np.random.default_rng(1000 + int(alphabet)))
                    tried = []
                    for setting in SETTINGS:
                        encoder = ImageEncoder((SIDE, SIDE), patches=100, **setting).fit(drawings[background])
                        tried.append(known_again(encoder.transform(drawings), tests))
                    chosen[str(alphabet)] = str(int(np.argmax(tried)))
                setting = SETTINGS[int(chosen[str(alphabet)])]
                asked = episodes_of([alphabet], n // len(alphabets), labels, rng)
                sets = dict(plain)
                for name, given in (("patches", {}), ("random patches", {"learning": "random"})):
                    encoder = ImageEncoder((SIDE, SIDE), patches=100, random_state=seed, **setting, **given)
                    sets[name] = encoder.fit(drawings[background]).transform(drawings)
                    size[name] = sets[name].shape[1]
                for name, features in sets.items():
                    for learner_name, learner in LEARNERS.items():
                        start = time.process_time()
                        right = known_again(features, asked, learner)
                        spent = (time.process_time() - start) / len(asked)
                        scores.setdefault(name, {}).setdefault(learner_name, []).append(right)
                        cpu.setdefault(learner_name, []).append(spent)
    result: dict[str, Any] = {"episodes": n * seeds, "way": WAY, "settings": SETTINGS, "chosen": chosen, "features": {}}
    for name, row in scores.items():
        by_seed = {learner: np.reshape(values, (seeds, -1)).mean(axis=1) for learner, values in row.items()}
        result["features"][name] = {
            "entries": size[name],
            "bytes_a_memory": 4 * size[name],
            **{
                learner: {"accuracy": values.mean(), "sd": float(np.std(values, ddof=1)) if seeds > 1 else 0.0}
                for learner, values in by_seed.items()
            },
        }
        print(f"{name:38}" + "  ".join(f"{learner} {values.mean():.3f}" for learner, values in by_seed.items()))
    result["cpu_ms_an_episode"] = {learner: 1000 * float(np.median(values)) for learner, values in cpu.items()}
    print(result["cpu_ms_an_episode"], chosen)
    if not quick:
        question = "How often is a character known again that was seen once, among 20 of its alphabet?"
        record("characters", question, result, range(seeds), ["scikit-learn"])


if __name__ == "__main__":
    main()

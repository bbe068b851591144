"""Does the strength of old memories ever hide them: is the right one found as often with the prior as without?

Every memory's age is drawn: one minute, one year or 1,000 years. Then every memory is asked with a noisy cue, whose
noise does not depend on the age, with the default prior and with ``delta=0``, which switches it off. The two are
asked with the very same cues, so that the difference is of pairs; its standard error is over the seeds. Noise is
Gaussian, as a share of the standard deviation of all entries; the levels go from easy to hard.

The sweep over δ shows what each costs: memories of all ages together, and all levels of noise together.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import mossy
from material.images import Patterns, digits, mnist
from material.timing import rounded
from record import record

MINUTE, YEAR = 60.0, 365.25 * 86_400.0
AGES = {"one minute": MINUTE, "one year": YEAR, "1,000 years": 1000 * YEAR}
SEEDS = tuple(range(5))
NOISE = {"random": (0.5, 1.0, 1.25, 1.5, 1.75), "digits": (0.2, 0.4, 0.6, 0.8), "MNIST": (0.5, 1.0, 1.5, 2.0)}
SIMILARITIES = ("euclidean", "cosine")
DELTAS = (0.05, 0.02, 0.01, 0.005, 0.002, 0.001)
STORED = 1500


def patterns(name: str, seed: int) -> Patterns:
    """Return 1,000 random patterns of 64 entries, the 1,797 digits, or 1,500 of the MNIST images."""
    rng = np.random.default_rng(seed)
    if name == "random":
        return rng.standard_normal((1000, 64), np.float32)
    if name == "digits":
        return digits().pixels
    images = mnist().pixels
    return images[rng.permutation(len(images))[:STORED]]


def aged(keys: Patterns, ages: np.ndarray[Any, Any], similarity: str, delta: float) -> tuple[Any, Any]:
    """Store every key so that it has its age now; return the memory and the id of each key."""
    clock = mossy.Steps()
    memory = mossy.Memory(similarity=similarity, separation="winner", clock=clock, delta=delta)
    ids = np.empty(len(keys), np.int64)
    oldest = max(AGES.values())
    for age in sorted(AGES.values(), reverse=True):
        clock.advance(oldest - age - clock.now())
        ids[ages == age] = memory.store(keys[ages == age])
    clock.advance(oldest - clock.now())
    return memory, ids


def found(
    keys: Patterns, ages: np.ndarray[Any, Any], cues: list[Patterns], similarity: str, delta: float
) -> list[np.ndarray[Any, Any]]:
    """Return for each set of cues whether the right memory was found ``(n,)``."""
    memory, ids = aged(keys, ages, similarity, delta)
    return [memory.recall(cue, reinforce=False).ids[:, 0] == ids for cue in cues]


def paired(with_prior: np.ndarray[Any, Any], without: np.ndarray[Any, Any]) -> dict[str, float]:
    """Return both means, and the mean difference with its standard error over the seeds."""
    difference = with_prior - without
    return {
        "with_prior": rounded(np.mean(with_prior)),
        "without": rounded(np.mean(without)),
        "difference": rounded(difference.mean()),
        "standard_error": rounded(difference.std(ddof=1) / len(difference) ** 0.5),
    }


Shares = dict[tuple[str, str, float, float, str], list[float]]
"""The share found for each seed, by patterns, similarity, noise, δ and age."""


def measure(deltas: tuple[float, ...]) -> Shares:
    """Ask everything, with every seed."""
    shares: Shares = {}
    for name, levels in NOISE.items():
        for seed in SEEDS:
            keys = patterns(name, seed)
            rng = np.random.default_rng((seed, 1))
            ages = rng.choice(list(AGES.values()), len(keys))
            of_age = {age: ages == seconds for age, seconds in AGES.items()} | {"all": ages > 0}
            spread = [level * float(keys.std()) for level in levels]
            cues = [(keys + sd * rng.standard_normal(keys.shape)).astype(np.float32) for sd in spread]
            for similarity in SIMILARITIES:
                for delta in deltas:
                    every = found(keys, ages, cues, similarity, delta)
                    for level, right in zip(levels, every, strict=True):
                        for age, mine in of_age.items():
                            key = (name, similarity, level, delta, age)
                            shares.setdefault(key, []).append(float(right[mine].mean()))
    return shares


def main() -> None:
    default = float(mossy.Memory().state()["delta"])
    shares = measure(tuple(sorted({0.0, default, *DELTAS})))
    result: dict[str, Any] = {"default_delta": default, "images": mnist().name, "stored_images": STORED}
    result |= {"by_noise": [], "by_age": [], "sweep": []}
    for name, levels in NOISE.items():
        for similarity in SIMILARITIES:
            where: dict[str, Any] = {"patterns": name, "similarity": similarity}

            def compared(delta: float, age: str, chosen: tuple[float, ...]) -> dict[str, float]:
                ways = [
                    np.mean([shares[name, similarity, level, way, age] for level in chosen], axis=0)  # noqa: B023
                    for way in (delta, 0.0)
                ]
                return paired(*ways)

            for level in levels:
                result["by_noise"].append(where | {"noise": level} | compared(default, "all", (level,)))
            for age in ("all", *AGES):
                result["by_age"].append(where | {"age": age} | compared(default, age, levels))
                print(result["by_age"][-1])
            for delta in sorted(DELTAS, reverse=True):
                result["sweep"].append(where | {"delta": delta} | compared(delta, "all", levels))
                print(result["sweep"][-1])
    record(
        "ages",
        "Is the right memory found as often with the default prior as with none, whatever its age?",
        result,
        seeds=SEEDS,
    )


if __name__ == "__main__":
    main()

"""How many patterns does one weight matrix hold under each rule, and is the projection rule's order-free?

Random patterns of N = 100 neurons, stored at loads of .05 to .50 patterns a neuron, in the alphabet of the
rule (−1 and +1, or 0 and 1); each is asked for with 10 of its 100 entries flipped. A recall counts if every
entry is right. The memory settles by passes over all neurons at once, without synapses from a neuron to itself.

- Beside them: the plain product ``W = V Kᵀ`` read once by its sign, the network of Hebb's rule that settles one
  neuron after another, and the nearest stored pattern (which keeps every pattern, so it is no fixed matrix).
- Bits a synapse: recall rate × patterns × N / (N·(N − 1)), the best over the loads.
- Batches: weights of the projection rule after 1, 10 or 100 batches in random orders against one batch in the
  order of writing; the largest difference of a weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.network import Network
from mossy.plasticity import RULES, Projection
from mossy.substrate.matrix import Matrix
from record import record

N = 100
FLIPS = 10
LOADS = (0.05, 0.10, 0.15, 0.20, 0.30, 0.40, 0.50)
SEEDS = tuple(range(10))
BATCHES = (1, 10, 100)

Floats = NDArray[np.float64]


def draw(seed: int, count: int) -> tuple[Floats, Floats]:
    """Return stored patterns and cues with flipped entries, both −1 and +1."""
    rng = np.random.default_rng(seed)
    stored = rng.choice([-1.0, 1.0], (count, N))
    flips = np.argsort(rng.random((count, N)), axis=1)[:, :FLIPS]
    cues = stored.copy()
    np.put_along_axis(cues, flips, -np.take_along_axis(stored, flips, axis=1), axis=1)
    return stored, cues


def by_rule(rule: str, stored: Floats, cues: Floats) -> float:
    """Return how many of the cues bring back the whole pattern."""
    binary = RULES[rule].alphabet == "binary"
    if binary:
        stored, cues = (stored + 1) / 2, (cues + 1) / 2
    memory = Matrix(N, rule=rule, activation="step" if binary else "sign")
    memory.write(stored)
    return float((memory.read(cues) == stored).all(axis=1).mean())


def by_product(stored: Floats, cues: Floats) -> float:
    """Read the plain product of values and keys once, by its sign."""
    weights = stored.T @ stored
    return float((np.sign(cues @ weights.T) == stored).all(axis=1).mean())


def by_network(rule: str, stored: Floats, cues: Floats) -> float:
    """Settle one neuron after another."""
    network = Network(N, rule=rule, law=None)
    network.store(stored)
    return float((network.recall(cues) == stored).all(axis=1).mean())


def by_nearest(stored: Floats, cues: Floats) -> float:
    """Return the stored pattern with the largest dot product."""
    return float((stored[(cues @ stored.T).argmax(axis=1)] == stored).all(axis=1).mean())


def recall_rates() -> dict[str, Any]:
    """Return the exact recall rate of each rule at each load, mean over the seeds, and the bits a synapse."""
    readers = {rule: lambda s, c, rule=rule: by_rule(rule, s, c) for rule in RULES}
    for rule in ("hebb", "projection"):
        readers[f"{rule}, one neuron after another"] = lambda s, c, rule=rule: by_network(rule, s, c)
    readers |= {"plain product": by_product, "nearest pattern": by_nearest}
    result: dict[str, Any] = {}
    for name, reader in readers.items():
        rates = {}
        for load in LOADS:
            rates[f"{load:.2f}"] = float(np.mean([reader(*draw(seed, round(load * N))) for seed in SEEDS]))
        result[name] = {"exact": rates}
        if name != "nearest pattern":
            result[name]["bits_a_synapse"] = max(r * float(load) * N / (N - 1) for load, r in rates.items())
    return result


def batches() -> dict[str, Any]:
    """Return the largest difference of a projection weight between batchings and orders."""
    rule, result = Projection(), {}
    for kind, count in (("bipolar", 20), ("bipolar", 100), ("normal", 20), ("normal", 100), ("normal", 1000)):
        for parts in BATCHES:
            worst = 0.0
            for seed in SEEDS[:5]:
                rng = np.random.default_rng(seed)
                shape = (count, N)
                x = rng.choice([-1.0, 1.0], shape) if kind == "bipolar" else rng.standard_normal(shape)
                once = rule.weights(rule.write(rule.start(N, N), x, x))
                state = rule.start(N, N)
                for part in np.array_split(rng.permutation(count), min(parts, count)):
                    state = rule.write(state, x[part], x[part])
                worst = max(worst, float(np.abs(rule.weights(state) - once).max()))
            result[f"{count} {kind} patterns, {min(parts, count)} batches"] = worst
    return result


def main() -> None:
    """Measure, print and record."""
    result = {"neurons": N, "flipped": FLIPS, "rules": recall_rates(), "projection_batches": batches()}
    for name, row in result["rules"].items():
        rates = " ".join(f"{rate:5.2f}" for rate in row["exact"].values())
        print(f"{name:36}{rates}  bits/synapse {row.get('bits_a_synapse', float('nan')):.2f}")
    for name, worst in result["projection_batches"].items():
        print(f"{name:40}{worst:.1e}")
    question = "How many patterns does one weight matrix hold under each rule, and does their order matter?"
    print(record("fixed_matrices", question, result, SEEDS))


if __name__ == "__main__":
    main()

"""How many of 64 associations, each shown once, does a layer of dimension 64 still know at the end of 256 tokens?

Multi-query associative recall as Zoology defines it (Arora et al. 2023, arXiv:2312.04927, section 3.1 and appendix E):
64 keys and their values in turn, then each key once more, at places drawn with a power law, among random tokens; the
value is asked for. Keys and values are drawn anew for each sequence from halves of the vocabulary, which is 1,024 here
and not 8,192, so that training takes minutes on one core. The model: embeddings of 64 entries, one layer between norms
and a skip, the embeddings again as output; no other layers. All are trained alike: AdamW, first on short sequences of
few pairs, then on the full task; the rate falls in the last half. One rate, 0.003, is used for all kinds, where Zoology
searches one for each: a kind that is behind here might do better at another. "FastWeights, linear (elu + 1)" is linear
attention without its normaliser: what is read is not divided by the sum of weights. Accuracy is over 500 new sequences;
chance is 1/512.

``--only NAME`` trains one kind, ``--seeds N`` takes other than three, ``--quick`` trains for a few steps; a result is
written only of all kinds with three seeds or more.
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from mossy.nn.fast_weights import FastWeights
from record import record

VOCABULARY, PAIRS, LENGTH, DIMENSION = 1024, 64, 256, 64
STAGES = ((4, 120), (8, 20), (16, 20), (32, 40), (64, 200))  # pairs of a sequence, four tokens each; steps
QUERIES = 4096  # in a batch of the full task
KEY = 128  # entries of a key: twice the pairs, since random keys are near orthogonal only with room to spare
RATE, POWER = 3e-3, 0.01
TESTED = 500
SEEDS = range(3)
QUESTION = "How many of 64 associations, each shown once, does a layer of dimension 64 still know after 256 tokens?"


def sequences(n: int, pairs: int, length: int, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return tokens ``(n, length)`` and what is asked for at each, -1 for nothing."""
    half = VOCABULARY // 2
    keys = draw.random((n, half)).argpartition(pairs, axis=1)[:, :pairs]
    values = draw.integers(half, VOCABULARY, (n, pairs))
    tokens, asked = draw.integers(0, VOCABULARY, (n, length)), np.full((n, length), -1)
    tokens[:, 0 : 2 * pairs : 2], tokens[:, 1 : 2 * pairs : 2] = keys, values
    places = (length - 2 * pairs) // 2
    # Places without replacement, by a power law: the largest of weighted exponential draws come first.
    likely = np.arange(1, places + 1) ** (POWER - 1)
    at = 2 * pairs + 2 * (draw.exponential(size=(n, places)) / likely).argsort(axis=1)[:, :pairs]
    np.put_along_axis(tokens, at, keys, axis=1)
    np.put_along_axis(asked, at, values, axis=1)
    return torch.from_numpy(tokens), torch.from_numpy(asked)


class Recaller(nn.Module):
    """Embeddings, one layer, embeddings."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.embed = nn.Embedding(VOCABULARY, DIMENSION)
        self.before, self.layer, self.after = nn.LayerNorm(DIMENSION), layer, nn.LayerNorm(DIMENSION)

    def forward(self, tokens: Tensor, at: Tensor) -> Tensor:
        """Return a score for each token ``(queries, vocabulary)``, at the places that are asked."""
        x = self.embed(tokens)
        y = (x + self.layer(self.before(x))[0])[at]
        return self.after(y) @ self.embed.weight.T / DIMENSION**0.5


def kinds() -> dict[str, tuple[Callable[[], nn.Module], str]]:
    """Return layers to train, by name, and what they hold for each sequence."""
    made: dict[str, tuple[Callable[[], nn.Module], str]] = {
        "FastWeights, gated delta": (lambda: FastWeights(DIMENSION, d_key=KEY), f"64 × {KEY}"),
        "FastWeights, delta": (lambda: FastWeights(DIMENSION, d_key=KEY, rule="delta"), f"64 × {KEY}"),
        "FastWeights, linear (elu + 1)": (
            lambda: FastWeights(DIMENSION, d_key=KEY, rule="linear", features="positive"),
            f"64 × {KEY}",
        ),
        "GRU": (lambda: nn.GRU(DIMENSION, DIMENSION, batch_first=True), "64"),
    }
    try:
        from mossy.nn.neural_memory import NeuralMemory
    except ImportError:
        print("mossy.nn has no NeuralMemory; it is left out.")
    else:
        made["NeuralMemory, linear"] = (lambda: NeuralMemory(DIMENSION, depth=1, d_head=KEY), f"{KEY} × {KEY}")
    return made


def trained(make: Callable[[], nn.Module], seed: int, stages: tuple[tuple[int, int], ...]) -> dict[str, float]:
    """Train one model; return its accuracy, its size and the CPU time of training."""
    torch.manual_seed(seed)
    draw = np.random.default_rng(seed)
    model = Recaller(make())
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.01)
    start, step, steps = time.process_time(), 0, sum(n for _, n in stages)
    for pairs, n in stages:
        for _ in range(n):
            done = step / steps
            rate = RATE * min(1, (step + 1) / 20) * (1 if done < 0.5 else (1 + math.cos(math.pi * (2 * done - 1))) / 2)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = (QUERIES if pairs == PAIRS else QUERIES // 2) // pairs
            tokens, asked = sequences(batch, pairs, 4 * pairs, draw)
            at = asked >= 0
            loss = cross_entropy(model(tokens, at), asked[at])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % 40 == 0:
                print(f"    {step} steps, {pairs} pairs: loss {loss.item():.3f}", flush=True)
    cpu = time.process_time() - start
    right = []
    with torch.no_grad():
        for i in range(TESTED // 50):
            tokens, asked = sequences(50, PAIRS, LENGTH, np.random.default_rng([10_000 + seed, i]))
            at = asked >= 0
            right.append((model(tokens, at).argmax(-1) == asked[at]).float().mean().item())
    size = sum(p.numel() for p in model.layer.parameters())
    return {"accuracy": float(np.mean(right)), "cpu_s": cpu, "parameters": size}


def main() -> None:
    """Train, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="a few steps; writes no result")
    ask.add_argument("--only", choices=kinds(), help="one kind of layer; writes no result")
    ask.add_argument("--seeds", type=int, default=len(SEEDS), help="fewer than three write no result")
    told = ask.parse_args()
    torch.set_num_threads(1)
    stages = tuple((pairs, 2) for pairs, _ in STAGES) if told.quick else STAGES
    found: dict[str, Any] = {}
    for name, (make, holds) in kinds().items():
        if told.only in (None, name):
            rows = [trained(make, seed, stages) for seed in range(1 if told.quick else told.seeds)]
            accuracies = [row["accuracy"] for row in rows]
            found[name] = {
                "accuracy": float(np.mean(accuracies)),
                "least": min(accuracies),
                "cpu_s": float(np.median([row["cpu_s"] for row in rows])),
                "parameters": rows[0]["parameters"],
                "state": holds,
            }
            print(name, found[name], flush=True)
    if not (told.quick or told.only) and told.seeds >= len(SEEDS):
        setting = {"vocabulary": VOCABULARY, "pairs": PAIRS, "length": LENGTH, "dimension": DIMENSION, "stages": STAGES}
        record("nn_mqar", QUESTION, {"setting": setting, "layers": found}, range(told.seeds), ["torch"])


if __name__ == "__main__":
    main()

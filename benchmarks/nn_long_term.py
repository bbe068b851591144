"""What do a memory's product keys cost in a network, do they learn, and is what was written found again?

``speed``    forward, and forward + backward, of ``LongTermMemory`` and of ``product-key-memory`` (PKM): 8 × 256 inputs
             of 256 entries, 16,384 slots, 4 heads, 32 slots a head, half queries of 128. Rounds alternate; two threads.
``written``  the same layer with 0 to 4,096 memories written in it: the forward pass, one call of ``store``, of
             ``recall`` and of ``forget``; how many of the memories are found by their own key, and by a noisy one.
``learning`` both learn 2,048 random pairs (x of 64 entries, y of 64) by Adam at the same rate: the loss left after 300
             batches of 256, of the variance of y, over five seeds.

``--quick`` takes few rounds and writes no result. Without the peer installed, only ours is measured, and the script
says so.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from material.timing import in_turns, rounded
from mossy.nn.long_term import LongTermMemory
from record import record

QUESTION = "What do product keys cost in a network, do they learn, and is what was written found again?"
PEER = "product-key-memory"
B, S, D, SIDE, HEADS, TOP, HALF = 8, 256, 256, 128, 4, 32, 128
ROUNDS = 15
WRITTEN = (0, 256, 1024, 4096)
NOISE = 0.5  # deviations, of each entry of a key
PAIRS, STEPS, BATCH, RATE, WIDTH = 2048, 300, 256, 1e-2, 64
SEEDS = range(5)


def mine(d: int, side: int, top: int, half: int, room: int = 1024) -> LongTermMemory:
    return LongTermMemory(d, side**2, heads=HEADS, top_k=top, d_key=half, room=room)


def peer(d: int, side: int, top: int, half: int) -> nn.Module:
    from product_key_memory import PKM

    return PKM(d, heads=HEADS, num_keys=side, topk=top, dim_head=half)


def both_ways(layer: nn.Module, x: Tensor) -> Callable[[int], object]:
    def run(_: int) -> None:
        layer.zero_grad(set_to_none=True)
        layer(x).sum().backward()

    return run


def speed(with_peer: bool, rounds: int) -> dict[str, Any]:
    """Return seconds of each pass, and how many times as fast ours is."""
    torch.manual_seed(0)
    x = torch.randn(B, S, D)
    layers: dict[str, nn.Module] = {"LongTermMemory": mine(D, SIDE, TOP, HALF)}
    nn.init.normal_(layers["LongTermMemory"].values, std=D**-0.5)
    if with_peer:
        layers["PKM"] = peer(D, SIDE, TOP, HALF)
    forward = {f"{name}, forward": (lambda _, layer=layer: layer(x)) for name, layer in layers.items()}
    taken = in_turns(
        forward | {f"{name}, forward + backward": both_ways(layer, x) for name, layer in layers.items()}, rounds
    )
    if not with_peer:
        return {"taken": taken}
    times = {
        what: rounded(taken[f"PKM, {what}"]["cpu"] / taken[f"LongTermMemory, {what}"]["cpu"], 3)
        for what in ("forward", "forward + backward")
    }
    return {"times_as_fast": times, "taken": taken}


def written(rounds: int) -> dict[str, Any]:
    """Return what memories that are written cost, and whether they are found."""
    torch.manual_seed(0)
    x, rows = torch.randn(B, S, D), {}
    for n in WRITTEN:
        layer, keys, values = mine(D, SIDE, TOP, HALF, max(n, 1)), torch.randn(n, D), torch.randn(n, D)
        row: dict[str, Any] = {}
        if n:
            start = time.process_time()
            places = layer.store(keys, values)
            row["store_s"] = rounded(time.process_time() - start)
            start = time.process_time()
            found = layer.recall(keys, reinforce=False)
            row["recall_s"] = rounded(time.process_time() - start)
            row["found"] = float((found.values[:, 0] == values).all(1).double().mean())
            cues = keys + NOISE * torch.randn(n, D)
            row["found_noisy"] = float((layer.recall(cues, reinforce=False).places[:, 0] == places).double().mean())
            with torch.no_grad():
                row["error_of_forward"] = rounded((layer(keys) - values).abs().max())
        with torch.no_grad():
            row["forward_s"] = in_turns({"forward": lambda _, layer=layer: layer(x)}, rounds)["forward"]["cpu"]
        if n:
            start = time.process_time()
            layer.forget(places)
            row["forget_s"] = rounded(time.process_time() - start)
            row["left"] = int(sum(int(part.count_nonzero()) for part in (layer.keys, layer.contents, layer.strength())))
        rows[str(n)] = row
    return rows


def learned(make: Callable[..., nn.Module], seed: int, steps: int) -> float:
    """Return the loss that is left, of the variance of y."""
    torch.manual_seed(seed)
    layer, x, y = make(WIDTH, 64, 16, 32), torch.randn(PAIRS, WIDTH), torch.randn(PAIRS, WIDTH)
    optimizer = torch.optim.Adam(layer.parameters(), RATE)
    random = np.random.default_rng(seed)
    for _ in range(steps):
        at = torch.from_numpy(random.integers(PAIRS, size=BATCH))
        optimizer.zero_grad()
        F.mse_loss(layer(x[at][None])[0], y[at]).backward()
        optimizer.step()
    with torch.no_grad():
        return F.mse_loss(layer(x[None])[0], y).item()


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="few rounds; writes no result")
    quick = ask.parse_args().quick
    torch.set_num_threads(2)
    with_peer = importlib.util.find_spec("product_key_memory") is not None
    if not with_peer:
        print(f"{PEER} is not installed: only ours is measured. pip install {PEER}")
    results: dict[str, Any] = {
        "speed": speed(with_peer, 3 if quick else ROUNDS),
        "written": written(2 if quick else ROUNDS),
        "learning": {},
    }
    makers: dict[str, Callable[..., nn.Module]] = {"LongTermMemory": mine} | ({"PKM": peer} if with_peer else {})
    for name, make in makers.items():
        left = [learned(make, seed, 20 if quick else STEPS) for seed in SEEDS]
        results["learning"][name] = {"left": rounded(np.mean(left)), "sd": rounded(np.std(left))}
    for what, found in results.items():
        for name, row in found.items():
            print(what, name, row)
    if not quick:
        record("nn_long_term", QUESTION, results, SEEDS, ["torch", *([PEER] if with_peer else [])])


if __name__ == "__main__":
    main()

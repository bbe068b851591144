"""How fast does a small network learn at test time, beside titans-pytorch, and does it stay finite over a long stream?

float32, two threads, chunks of 64 tokens, one head, hidden layers four times as wide; forward without a gradient, and
forward with backward to the input and the parameters. Rounds alternate; medians; ratios are of CPU time.

The peer runs in two ways: as it comes, where all gradients of a sequence are those at the weights before its first
token; and with ``batch_size`` of one chunk, where they are those at the weights before each chunk, as they are in ours
and in the paper. Ours runs as it comes (errors in turn, a convolution of width 4), and as near to the peer as it gets
(errors at the chunk's start, no convolution). Both make one step of momentum and of forgetting a chunk; the peer reads
with the weights of the last full chunk, ours with what the chunk's earlier tokens taught as well.

Streams: 100,000 tokens in pieces of 1,000, of random numbers, of one token again and again, and with one token in a
thousand 10,000 times as large.

``--quick`` takes few rounds and 10,000 tokens, and writes no result; ``--only`` takes some of the measurements.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from material.timing import in_turns, rounded
from mossy.nn.neural_memory import NeuralMemory
from record import record

CHUNK = 64
SHAPES = ((1, 512, 128), (8, 256, 256))  # sequences, tokens, neurons
DEPTHS = (1, 2)
ROUNDS = 15
LENGTH, PIECE, D = 100_000, 1000, 64
KINDS = ("forward", "forward and backward")
NEAREST = "mossy, as near as it gets"
PEER, PEER_STEPWISE = "titans-pytorch", "titans-pytorch, a step each chunk"
QUESTION = "How fast does a small network learn at test time, beside titans-pytorch, and does it stay finite?"


def layers(d: int, depth: int) -> dict[str, nn.Module]:
    """Return the layers to compare."""
    torch.manual_seed(0)
    made: dict[str, nn.Module] = {
        "mossy": NeuralMemory(d, depth=depth, chunk=CHUNK),
        NEAREST: NeuralMemory(d, depth=depth, chunk=CHUNK, gradients="chunk", convolution=1),
    }
    if depth == 2:
        made["mossy, hidden layer half as wide"] = NeuralMemory(d, depth=2, chunk=CHUNK, expansion=2)
    try:
        from titans_pytorch import NeuralMemory as Titans
    except ImportError:
        print("titans-pytorch is not installed; it is left out.")
    else:
        memory = {"depth": depth, "expansion_factor": 4.0}
        made[PEER] = Titans(d, chunk_size=CHUNK, default_model_kwargs=memory)
        made[PEER_STEPWISE] = Titans(d, chunk_size=CHUNK, batch_size=CHUNK, default_model_kwargs=memory)
    return made


def speed(b: int, s: int, d: int, depth: int, rounds: int) -> dict[str, Any]:
    """Return the times of every layer, forward and with backward, and the ratios to the peer's."""
    made, x = layers(d, depth), torch.randn(b, s, d, generator=torch.Generator().manual_seed(0))

    def forward(layer: nn.Module) -> Callable[[int], object]:
        def run(turn: int) -> None:
            with torch.no_grad():
                layer(x)

        return run

    def backward(layer: nn.Module) -> Callable[[int], object]:
        def run(turn: int) -> None:
            layer.zero_grad()
            layer(x.clone().requires_grad_())[0].sum().backward()

        return run

    found: dict[str, Any] = {
        kind: in_turns({name: way(layer) for name, layer in made.items()}, rounds)
        for kind, way in zip(KINDS, (forward, backward), strict=True)
    }
    found["times as fast"] = {
        f"{mine} / {peer}": {kind: rounded(found[kind][peer]["cpu"] / found[kind][mine]["cpu"], 3) for kind in KINDS}
        for mine in ("mossy", NEAREST)
        for peer in (PEER, PEER_STEPWISE)
        if peer in made
    }
    return found


def tokens(kind: str, n: int, draw: torch.Generator) -> Tensor:
    """Return a piece of a stream, ``(1, n, d)``."""
    if kind == "one token again and again":
        return torch.ones(1, n, D)
    x = torch.randn(1, n, D, generator=draw)
    if kind == "with outliers":
        x[:, :: PIECE // 2] *= 1e4
    return x


def stream(kind: str, depth: int, length: int) -> dict[str, Any]:
    """Return what a stream leaves behind: the largest weight and answer, bytes of state, and growth of the process."""
    torch.manual_seed(0)
    layer, draw = NeuralMemory(D, depth=depth, chunk=CHUNK), torch.Generator().manual_seed(1)
    state, largest, answer, most, resident = None, 0.0, 0.0, 0, 0
    with torch.no_grad():
        for i in range(length // PIECE):
            y, state = layer(tokens(kind, PIECE, draw), state)
            largest = max(largest, *(w.abs().max().item() for w in state.memory))
            answer = max(answer, y.abs().max().item())
            most = max(most, state.nbytes)
            if i == 4:  # by now everything is loaded
                resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
    finite = all(bool(part.isfinite().all()) for parts in state[:5] for part in parts) and bool(y.isfinite().all())
    if not finite:
        raise SystemExit(f"{kind}, depth {depth}: not finite")
    return {
        "tokens": length,
        "largest_weight": rounded(largest),
        "largest_answer": rounded(answer),
        "state_bytes": most,
        "grown_kib": grown,
    }


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="few rounds and tokens; writes no result")
    ask.add_argument("--only", choices=("speed", "streams"), help="one part; writes no result")
    told = ask.parse_args()
    torch.set_num_threads(2)
    found: dict[str, Any] = {"speed": {}, "streams": {}}
    if told.only != "speed":
        for depth in DEPTHS:
            for kind in ("random", "one token again and again", "with outliers"):
                name = f"depth {depth}, {kind}"
                found["streams"][name] = stream(kind, depth, LENGTH // 10 if told.quick else LENGTH)
                print(name, found["streams"][name], flush=True)
    if told.only != "streams":
        for b, s, d in SHAPES:
            for depth in DEPTHS:
                row = speed(b, s, d, depth, 3 if told.quick else ROUNDS)
                found["speed"][f"depth {depth}, b{b} s{s} d{d}"] = row
                print(f"depth {depth}, b{b} s{s} d{d}", row["times as fast"], flush=True)
                for kind in KINDS:
                    times = (f"{name} {time['cpu'] * 1e3:.1f}" for name, time in row[kind].items())
                    print(f"  {kind}, CPU ms: " + ", ".join(times), flush=True)
    if not (told.quick or told.only):
        record("nn_neural_memory", QUESTION, found, [0], ["torch", "titans-pytorch"])


if __name__ == "__main__":
    main()

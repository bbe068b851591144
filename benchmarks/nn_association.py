"""How fast are the Hopfield layers, beside torch's attention and beside hflayers?

float32, d = 256, two threads; Hopfield with 4 heads, HopfieldLayer with 1 (the default) and with 4; forward, with all
modules in evaluation (where torch's attention has a faster way) and without gradients, and forward with backward into
weights and input, with all in training. Rounds alternate, so that what else the machine does falls on all alike;
the ratio is that of the medians of the CPU time, another's to ours. hflayers gets the same weights, and the outputs
must agree.

hflayers is not on a package index: install it from its repository, or put a clone on PYTHONPATH. Without it, its rows
are left out. ``--quick`` takes small sizes; ``--only`` takes the rows whose name holds a word; these, and fewer
``--rounds`` than usual, write no result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from material.timing import in_turns, rounded
from mossy.nn.association import Hopfield, HopfieldLayer, HopfieldPooling
from record import record

try:
    import hflayers
except ImportError:
    hflayers = None

QUESTION = "How fast are the Hopfield layers, beside torch's attention and beside hflayers?"
SEED = 0
D, HEADS = 256, 4
ROUNDS = 15

Way = Callable[[int], Tensor]
Ways = dict[str, Way]
Question = tuple[Ways, list[nn.Module]]  # what is timed, and the modules in it


def twins(name: str, *given: Any, **options: Any) -> dict[str, nn.Module]:
    """Return our layer, and that of hflayers with the same weights."""
    ours: nn.Module = {"Hopfield": Hopfield, "HopfieldLayer": HopfieldLayer, "HopfieldPooling": HopfieldPooling}[name](
        *given, **options
    )
    if hflayers is None:
        return {"mossy": ours}
    theirs = getattr(hflayers, name)(*given, **options)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.1)
    ours.load_state_dict(theirs.state_dict())
    return {"mossy": ours, "hflayers": theirs}


def calls(modules: dict[str, nn.Module], x: Any) -> Question:
    return {name: lambda _, module=module: module(x) for name, module in modules.items()}, list(modules.values())


def hopfield(b: int, s: int, steps: int) -> Question:
    """All of Hopfield, beside attention with as many projections, and as many fused attentions alone."""
    x = torch.randn(b, s, D, requires_grad=True)
    ways, modules = calls(twins("Hopfield", D, num_heads=HEADS, update_steps_max=steps, update_steps_eps=1e-12), x)
    attention = nn.MultiheadAttention(D, HEADS, batch_first=True)
    ways["nn.MultiheadAttention"] = lambda _: attention(x, x, x, need_weights=False)[0]
    return ways, [*modules, attention]


def layer(b: int, s: int, quantity: int, heads: int) -> Question:
    """A lookup among learned patterns, beside fused attention to keys and values that are there already."""
    x = torch.randn(b, s, D, requires_grad=True)
    ways, modules = calls(twins("HopfieldLayer", D, quantity=quantity, num_heads=heads), x)
    q = torch.randn(b, heads, s, D // heads, requires_grad=True)
    k, v = (torch.randn(1, heads, quantity, D // heads, requires_grad=True) for _ in range(2))
    ways["scaled_dot_product_attention"] = lambda _: F.scaled_dot_product_attention(
        q, k.expand(b, -1, -1, -1), v.expand(b, -1, -1, -1)
    )
    return ways, modules


def pooling(b: int, n: int) -> Question:
    x = torch.randn(b, n, D, requires_grad=True)
    return calls(twins("HopfieldPooling", D, num_heads=HEADS), x)


def questions(quick: bool) -> dict[str, Callable[[], Question]]:
    b, s, patterns, batch = (2, 32, 256, 4) if quick else (8, 256, 4096, 32)
    return {
        f"Hopfield b{b} s{s}": lambda: hopfield(b, s, 0),
        f"Hopfield b{b} s{s}, 3 updates": lambda: hopfield(b, s, 3),
        f"HopfieldLayer {patterns} patterns b{b} s{s}": lambda: layer(b, s, patterns, 1),
        f"HopfieldLayer {patterns} patterns b{b} s{s}, {HEADS} heads": lambda: layer(b, s, patterns, HEADS),
        f"HopfieldLayer {patterns} patterns b{batch} s1": lambda: layer(batch, 1, patterns, 1),
        f"HopfieldLayer {patterns} patterns b{batch} s1, {HEADS} heads": lambda: layer(batch, 1, patterns, HEADS),
        f"HopfieldLayer {patterns} patterns b1 s1": lambda: layer(1, 1, patterns, 1),
        f"HopfieldPooling b{b} n{s}": lambda: pooling(b, s),
    }


def forward(way: Way) -> Callable[[int], None]:
    def run(turn: int) -> None:
        with torch.no_grad():
            way(turn)

    return run


def both(way: Way) -> Callable[[int], None]:
    """Run forward and backward, from the same gradient."""
    gradient = torch.randn_like(way(0).detach())
    return lambda turn: way(turn).backward(gradient)


def measure(make: Callable[[], Question], rounds: int) -> dict[str, Any]:
    """Return the times of each way, what the peers take for one time of ours, and how far hflayers is from us."""
    torch.manual_seed(SEED)
    ways, modules = make()
    row: dict[str, Any] = {}
    for name, kind in (("forward", forward), ("forward and backward", both)):
        torch.manual_seed(SEED)
        for module in modules:
            module.train(kind is both)
        times = in_turns({each: kind(way) for each, way in ways.items()}, rounds)
        row[name] = {
            "times": times,
            "ratio": {peer: rounded(times[peer]["cpu"] / times["mossy"]["cpu"]) for peer in times if peer != "mossy"},
        }
    if "hflayers" in ways:
        with torch.no_grad():
            row["difference"] = rounded((ways["mossy"](0) - ways["hflayers"](0)).abs().max(), 2)
    return row


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="small sizes; writes no result")
    ask.add_argument("--only", default="", help="rows whose name holds this; writes no result")
    ask.add_argument("--rounds", type=int, default=ROUNDS, help=f"fewer than {ROUNDS} write no result")
    given = ask.parse_args()
    torch.set_num_threads(2)
    if hflayers is None:
        print("hflayers is not installed: its rows are left out")
    found: dict[str, Any] = {}
    for name, make in questions(given.quick).items():
        if given.only not in name:
            continue
        found[name] = row = measure(make, 3 if given.quick else given.rounds)
        for part in ("forward", "forward and backward"):
            times = row[part]["times"]
            shown = ", ".join(f"{who} {1e3 * took['cpu']:.2f} ms" for who, took in times.items())
            print(f"{name}, {part}: {shown}; of ours: {row[part]['ratio']}", flush=True)
        print(f"  differs from hflayers by {row.get('difference', 'nothing measured')}")
    if not given.quick and not given.only and given.rounds >= ROUNDS:
        record("nn_association", QUESTION, {"d": D, "heads": HEADS, "threads": 2, "rows": found}, [SEED], ["torch"])


if __name__ == "__main__":
    main()

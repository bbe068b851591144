"""How fast are the layers on an accelerator, in bfloat16, beside torch's attention and flash-linear-attention?

The forward pass, with modules in evaluation, of Hopfield, of Hopfield with three updates, of HopfieldLayer, and of the
delta rule and the gated delta rule; medians of alternating rounds between two synchronisations. Prints a table in
Markdown, and writes no result: it is for whoever has the device at hand. Without one it says so and ends.
``--device cpu`` runs small sizes, to see that everything runs.

flash-linear-attention (``pip install flash-linear-attention``, Triton) is left out where it isn't installed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional as F

from material.markdown import markdown, number
from mossy.nn.association import Hopfield, HopfieldLayer
from mossy.nn.fast_weights import chunked

try:
    from fla.ops.delta_rule import chunk_delta_rule
    from fla.ops.gated_delta_rule import chunk_gated_delta_rule
except ImportError:
    chunk_delta_rule = chunk_gated_delta_rule = None

QUESTION = (
    "How fast are the layers on an accelerator, in bfloat16, beside torch's attention and flash-linear-attention?"
)
ROUNDS = 30
HEADS = 4

Ways = dict[str, Callable[[], object]]


def hopfield(b: int, s: int, d: int, steps: int, given: dict[str, object]) -> Ways:
    x = torch.randn(b, s, d, **given)
    layer = Hopfield(d, num_heads=HEADS, update_steps_max=steps, update_steps_eps=1e-12).to(x).eval()
    attention = nn.MultiheadAttention(d, HEADS, batch_first=True).to(x).eval()
    q = torch.randn(b, HEADS, s, d // HEADS, **given)
    fused = F.scaled_dot_product_attention
    return {
        "mossy": lambda: layer(x),
        "nn.MultiheadAttention": lambda: attention(x, x, x, need_weights=False)[0],
        f"{steps + 1} × scaled_dot_product_attention": lambda: [fused(q, q, q) for _ in range(steps + 1)],
    }


def lookup(b: int, s: int, d: int, quantity: int, given: dict[str, object]) -> Ways:
    x = torch.randn(b, s, d, **given)
    layer = HopfieldLayer(d, quantity=quantity, num_heads=HEADS).to(x).eval()
    q, k = torch.randn(b, HEADS, s, d // HEADS, **given), torch.randn(1, HEADS, quantity, d // HEADS, **given)
    shared = k.expand(b, -1, -1, -1)
    return {
        "mossy": lambda: layer(x),
        "scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(q, shared, shared),
    }


def delta(b: int, h: int, s: int, d: int, rule: str, chunk: int, given: dict[str, object]) -> Ways:
    q, k, v = (torch.randn(b, h, s, d, **given) for _ in range(3))
    k = F.normalize(k, dim=-1)
    beta = torch.rand(b, h, s, **given)
    fall = F.logsigmoid(torch.randn(b, h, s, **given) + 4) if rule == "gated_delta" else None
    ways: Ways = {
        "mossy": lambda: chunked(q, k, v, rule=rule, beta=beta, log_decay=fall, chunk=chunk)[0],
        "causal scaled_dot_product_attention": lambda: F.scaled_dot_product_attention(q, k, v, is_causal=True),
    }
    if chunk_delta_rule is not None and q.device.type != "cpu":
        turned = [x.transpose(1, 2).contiguous() for x in (q, k, v)]
        strength = beta.transpose(1, 2).contiguous()
        if fall is None:
            ways["flash-linear-attention"] = lambda: chunk_delta_rule(*turned, strength)[0]
        else:
            falls = fall.float().transpose(1, 2).contiguous()
            ways["flash-linear-attention"] = lambda: chunk_gated_delta_rule(*turned, g=falls, beta=strength)[0]
    return ways


def medians(ways: Ways, wait: Callable[[], None], rounds: int) -> dict[str, float]:
    """Return the median seconds of each way; what is compiled at the first calls is not counted."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-3, rounds):
        for name, way in ways.items():
            wait()
            start = time.perf_counter()
            way()
            wait()
            if turn >= 0:
                taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(each) for name, each in taken.items()}


def main() -> None:
    """Measure and print."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--device", help="such as cuda or mps; cpu runs small sizes")
    ask.add_argument("--rounds", type=int, default=ROUNDS)
    asked = ask.parse_args()
    if asked.device is None and not torch.accelerator.is_available():
        print("torch sees no accelerator here; --device cpu runs small sizes, to see that everything runs.")
        return
    device = torch.device(asked.device) if asked.device else torch.accelerator.current_accelerator()
    small = device.type == "cpu"
    wait = (lambda: None) if small else (lambda: torch.accelerator.synchronize(device))
    b, s, d, quantity, many = (2, 32, 64, 128, 4) if small else (8, 256, 256, 4096, 32)
    given: dict[str, object] = {"device": device, "dtype": torch.bfloat16}
    print(f"{device}, torch {torch.__version__}, bfloat16, {HEADS} heads, d = {d}")
    if chunk_delta_rule is None:
        print("flash-linear-attention is not installed: it is left out")
    shape, long = f"b{b} h{HEADS} {d // HEADS} × {d // HEADS}", 8 * s
    questions: dict[str, Callable[[], Ways]] = {
        f"Hopfield b{b} s{s}": lambda: hopfield(b, s, d, 0, given),
        f"Hopfield b{b} s{s}, 3 updates": lambda: hopfield(b, s, d, 3, given),
        f"HopfieldLayer {quantity} patterns b{b} s{s}": lambda: lookup(b, s, d, quantity, given),
        f"HopfieldLayer {quantity} patterns b{many} s1": lambda: lookup(many, 1, d, quantity, given),
        f"delta rule {shape} s{s}": lambda: delta(b, HEADS, s, d // HEADS, "delta", 32, given),
        f"gated delta rule {shape} s{long}": lambda: delta(b, HEADS, long, d // HEADS, "gated_delta", 64, given),
    }
    rows = []
    for name, make in questions.items():
        torch.manual_seed(0)
        with torch.no_grad():
            found = medians(make(), wait, 3 if small else asked.rounds)
        mine = found.pop("mossy")
        peers = ", ".join(f"{who} {number(1e3 * each)} ({number(each / mine, 2)} ×)" for who, each in found.items())
        rows.append((name, number(1e3 * mine), peers))
    print(markdown(("forward, ms", "mossy", "others, and their time in ours"), rows))


if __name__ == "__main__":
    main()

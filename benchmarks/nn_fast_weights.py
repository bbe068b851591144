"""How fast are fast weights in chunks, beside a plain chunked kernel, and beside the loop over tokens?

Batch 8, 4 heads, 256 tokens, keys and values of 64 entries, float32, two threads; forward, and forward with backward.
The plain kernel is the published chunked form of the delta rule (Yang et al. 2024, arXiv:2406.06484, section 3.2) in
PyTorch as it is usually written: the inverse of the triangular matrix row by row, ``W`` and ``U``, then a loop over
chunks. It and the loop over tokens are written below. Rounds alternate; medians; ratios are of CPU time.

On an accelerator it also times the forward pass in bfloat16 beside PyTorch's attention and, where it is installed,
flash-linear-attention; that table is printed only.

``--quick`` takes 64 tokens and writes no result.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize, scaled_dot_product_attention

from material.timing import in_turns, rounded
from mossy.nn.fast_weights import RULES, chunked, recurrent
from record import record

BATCH, HEADS, TOKENS, ENTRIES, CHUNK = 8, 4, 256, 64, 32
ROUNDS = 15
CHUNKS = (16, 32, 64, 128)
QUESTION = "How fast are fast weights in chunks, beside a plain chunked kernel, and beside the loop over tokens?"


def plain_chunked(q: Tensor, k: Tensor, v: Tensor, beta: Tensor, chunk: int = CHUNK) -> Tensor:
    """Return what the delta rule reads: the published chunked form, as it is usually written."""
    b, h, s, d = q.shape
    n = s // chunk
    q, k, v = (part.reshape(b, h, n, chunk, -1) for part in (q, k, v))
    beta = beta.reshape(b, h, n, chunk, 1)
    keys, values = k * beta, v * beta
    upper = torch.ones(chunk, chunk, dtype=torch.bool, device=q.device).triu()
    inverse = -(keys @ k.mT).masked_fill(upper, 0)
    for i in range(1, chunk):
        inverse = inverse.clone()
        row = inverse[..., i, :i].clone()
        inverse[..., i, :i] = row + (row[..., None] * inverse[..., :i, :i].clone()).sum(-2)
    inverse = inverse + torch.eye(chunk, device=q.device)
    u, w = inverse @ values, inverse @ keys
    state, read = q.new_zeros(b, h, d, v.shape[-1]), []
    for i in range(n):
        inside = (q[:, :, i] @ k[:, :, i].mT).masked_fill(upper.triu(1), 0)
        update = u[:, :, i] - w[:, :, i] @ state
        read.append(q[:, :, i] @ state + inside @ update)
        state = state + k[:, :, i].mT @ update
    return torch.stack(read, 2).reshape(b, h, s, -1)


def plain_recurrent(q: Tensor, k: Tensor, v: Tensor, beta: Tensor) -> Tensor:
    """Return what the delta rule reads, token by token."""
    state, read = q.new_zeros(*q.shape[:2], v.shape[-1], q.shape[-1]), []
    for t in range(q.shape[2]):
        key = k[:, :, t, :, None]
        update = beta[:, :, t, None, None] * (v[:, :, t, :, None] - state @ key)
        state = state + update * key.mT
        read.append((state @ q[:, :, t, :, None])[..., 0])
    return torch.stack(read, 2)


def inputs(tokens: int, device: str = "cpu", dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    """Return queries, keys, values, how much is written, and gates."""
    draw = torch.Generator().manual_seed(0)
    shape = (BATCH, HEADS, tokens, ENTRIES)
    q, k = (normalize(torch.randn(shape, generator=draw), dim=-1) for _ in range(2))
    made = {"q": q, "k": k, "v": torch.randn(shape, generator=draw), "beta": torch.rand(shape[:3], generator=draw)}
    made["log_decay"] = logsigmoid(torch.randn(shape[:3], generator=draw) + 4)
    return {name: part.to(device, dtype) for name, part in made.items()}


def ways(given: dict[str, Tensor], chunks: tuple[int, ...]) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
    """Return every way to read, by name."""
    four = ("q", "k", "v", "beta")
    made: dict[str, Callable[[dict[str, Tensor]], Tensor]] = {
        "plain chunked": lambda x: plain_chunked(*(x[name] for name in four)),
        "plain recurrent": lambda x: plain_recurrent(*(x[name] for name in four)),
    }

    def ours(run: Any, rule: str, **more: int) -> Callable[[dict[str, Tensor]], Tensor]:
        return lambda x: run(
            x["q"],
            x["k"],
            x["v"],
            rule=rule,
            beta=x["beta"] if RULES[rule].corrects else None,
            log_decay=x["log_decay"] if RULES[rule].fades else None,
            **more,
        )[0]

    made["recurrent, delta"] = ours(recurrent, "delta")
    for rule in RULES:
        made[f"chunked, {rule}"] = ours(chunked, rule)
    for chunk in chunks:
        if chunk != CHUNK:
            made[f"chunked, delta, chunk {chunk}"] = ours(chunked, "delta", chunk=chunk)
    return made


def measure(tokens: int, rounds: int, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Return the times of every way, forward and with backward, and the ratios that are asked for."""
    given = inputs(tokens)
    want = plain_recurrent(*(given[name] for name in ("q", "k", "v", "beta")))
    made = ways(given, chunks)
    for name in ("plain chunked", "recurrent, delta", "chunked, delta"):
        torch.testing.assert_close(made[name](given), want, atol=1e-5, rtol=1e-5)

    def forward(way: Callable[[dict[str, Tensor]], Tensor]) -> Callable[[int], object]:
        def run(turn: int) -> None:
            with torch.no_grad():
                way(given)

        return run

    def backward(way: Callable[[dict[str, Tensor]], Tensor]) -> Callable[[int], object]:
        def run(turn: int) -> None:
            leaves = {name: part.detach().requires_grad_() for name, part in given.items()}
            way(leaves).sum().backward()

        return run

    found: dict[str, Any] = {
        kind: in_turns({name: time_it(way) for name, way in made.items()}, rounds)
        for kind, time_it in (("forward", forward), ("forward and backward", backward))
    }
    found["ratios"] = {
        kind: {
            f"chunked / {name}": rounded(found[kind]["chunked, delta"]["cpu"] / found[kind][name]["cpu"], 3)
            for name in ("plain chunked", "plain recurrent", "recurrent, delta")
        }
        for kind in ("forward", "forward and backward")
    }
    return found


def on_accelerator(device: str) -> None:
    """Print the forward times in bfloat16 on an accelerator."""
    x = inputs(2048, device, torch.bfloat16)
    made: dict[str, Callable[[], object]] = {
        "mossy, gated delta": lambda: chunked(**x, chunk=64),
        "mossy, linear": lambda: chunked(x["q"], x["k"], x["v"], rule="linear", chunk=64),
        "attention of PyTorch": lambda: scaled_dot_product_attention(x["q"], x["k"], x["v"], is_causal=True),
    }
    try:
        from fla.ops.gated_delta_rule import chunk_gated_delta_rule
    except ImportError:
        print("flash-linear-attention is not installed; it is left out.")
    else:
        turned = {name: part.transpose(1, 2).contiguous() for name, part in x.items()}
        made["flash-linear-attention, gated delta"] = lambda: chunk_gated_delta_rule(
            turned["q"], turned["k"], turned["v"], g=turned["log_decay"].float(), beta=turned["beta"]
        )
    synchronize = getattr(torch, device).synchronize
    for name, run in made.items():
        taken = []
        with torch.no_grad():
            for _ in range(20):
                synchronize()
                start = time.perf_counter()
                run()
                synchronize()
                taken.append(time.perf_counter() - start)
        print(f"{device}, bfloat16, 2,048 tokens, {name}: {sorted(taken[5:])[7] * 1e3:.2f} ms")


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="64 tokens; writes no result")
    quick = ask.parse_args().quick
    torch.set_num_threads(2)
    found = measure(64 if quick else TOKENS, 3 if quick else ROUNDS, () if quick else CHUNKS)
    for kind in ("forward", "forward and backward"):
        print(kind, found["ratios"][kind])
        for name, row in found[kind].items():
            print(f"  {name:26} cpu {row['cpu'] * 1e3:7.1f} ms, wall {row['wall'] * 1e3:7.1f} ms")
    if torch.accelerator.is_available():
        on_accelerator(torch.accelerator.current_accelerator().type)
    if not quick:
        setting = {"batch": BATCH, "heads": HEADS, "tokens": TOKENS, "entries": ENTRIES, "chunk": CHUNK, "threads": 2}
        record("nn_fast_weights", QUESTION, {"setting": setting} | found, [0], ["torch"])


if __name__ == "__main__":
    main()

"""How fast are fast weights in chunks, beside a plain chunked kernel, and beside the loop over tokens?

Batch 8, 4 heads, 256 tokens, keys and values of 64 entries, float32, two threads; forward, and forward with backward.
The plain kernel is the published chunked form of the delta rule (Yang et al. 2024, arXiv:2406.06484, section 3.2) in
PyTorch as it is usually written: the inverse of the triangular matrix row by row, ``W`` and ``U``, then a loop over
chunks. It and the loop over tokens are written below. Both kernels are tried with chunks of several sizes; ratios are
those of our default chunk to the plain kernel at its fastest. Rounds alternate; medians; ratios are of CPU time.

``--quick`` takes 64 tokens and writes no result.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, normalize

from material.timing import in_turns, rounded
from mossy.nn.fast_weights import RULES, chunked, recurrent
from record import record

BATCH, HEADS, TOKENS, ENTRIES, CHUNK = 8, 4, 256, 64, 32
ROUNDS = 15
OTHERS = (16, 64, 128)  # chunks to try besides
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


def inputs(tokens: int) -> dict[str, Tensor]:
    """Return queries, keys, values, how much is written, and gates."""
    draw = torch.Generator().manual_seed(0)
    shape = (BATCH, HEADS, tokens, ENTRIES)
    q, k = (normalize(torch.randn(shape, generator=draw), dim=-1) for _ in range(2))
    made = {"q": q, "k": k, "v": torch.randn(shape, generator=draw), "beta": torch.rand(shape[:3], generator=draw)}
    made["log_decay"] = logsigmoid(torch.randn(shape[:3], generator=draw) + 4)
    return made


def ways(chunks: tuple[int, ...]) -> dict[str, Callable[[dict[str, Tensor]], Tensor]]:
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
        made[f"chunked, delta, chunk {chunk}"] = ours(chunked, "delta", chunk=chunk)
        made[f"plain chunked, chunk {chunk}"] = lambda x, chunk=chunk: plain_chunked(*(x[name] for name in four), chunk)
    return made


def measure(tokens: int, rounds: int, chunks: tuple[int, ...]) -> dict[str, Any]:
    """Return the times of every way, forward and with backward, and ratios of the chunked form to the others."""
    given = inputs(tokens)
    want = plain_recurrent(*(given[name] for name in ("q", "k", "v", "beta")))
    made = ways(chunks)
    for name, way in made.items():
        if name.startswith("plain") or ", delta" in name:
            torch.testing.assert_close(way(given), want, atol=1e-5, rtol=1e-5)

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
    found["ratios"] = {kind: ratios(found[kind]) for kind in ("forward", "forward and backward")}
    return found


def ratios(times: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return the CPU time of the chunked form, at its default chunk, as a share of that of the others."""
    cpu = {name: row["cpu"] for name, row in times.items()}
    least = {
        "plain chunked at its fastest": min(cpu[name] for name in cpu if name.startswith("plain chunked")),
        "plain recurrent": cpu["plain recurrent"],
        "recurrent, delta": cpu["recurrent, delta"],
    }
    return {f"chunked / {name}": rounded(cpu["chunked, delta"] / time, 3) for name, time in least.items()}


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="64 tokens; writes no result")
    quick = ask.parse_args().quick
    torch.set_num_threads(2)
    found = measure(64 if quick else TOKENS, 3 if quick else ROUNDS, (16,) if quick else OTHERS)
    for kind in ("forward", "forward and backward"):
        print(kind, found["ratios"][kind])
        for name, row in found[kind].items():
            print(f"  {name:26} cpu {row['cpu'] * 1e3:7.1f} ms, wall {row['wall'] * 1e3:7.1f} ms")
    if not quick:
        setting = {"batch": BATCH, "heads": HEADS, "tokens": TOKENS, "entries": ENTRIES, "chunk": CHUNK, "threads": 2}
        record("nn_fast_weights", QUESTION, {"setting": setting} | found, [0], ["torch"])


if __name__ == "__main__":
    main()

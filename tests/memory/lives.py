"""A life for memories to export, and all that an export carries of them."""

from __future__ import annotations

from typing import Any

import numpy as np

import mossy
from mossy import Memory

D = 5
POOL = np.random.default_rng(0).normal(size=(40, D)).astype(np.float32)
PAYLOADS: list[Any] = [
    None,
    "ein Wort",
    "记忆 \ud800",
    {"number": 7, "list": [1.5, None, True, {"deep": []}]},
    b"\x00\x93bytes",
    b"",
    np.arange(6, dtype=np.int16).reshape(2, 3),
    np.array(["a", "bc"]),
    {"$bytes": "not bytes"},
    {"$json": {"$json": 1}},
    {"$array": 1, "b": 2},
    12345678901234567890123,
    0.1,
    "line\nbreak\u2028",
]


def lived(memory: Memory) -> Memory:
    """Give a memory a life with all that an export carries."""
    clock = memory._clock
    ids = memory.store(POOL[:14], payload=PAYLOADS)
    clock.advance(3)
    memory.reinforce(ids[2:5], 2.0)
    memory.pin(ids[6])
    memory.forget([1, 9])
    clock.advance(10)
    memory.store(POOL[[3, 4]], payload=[PAYLOADS[3], PAYLOADS[4]])
    memory.consolidate()
    clock.advance(5)
    memory.store(POOL[20:24], payload=["x"] * 4)
    memory.recall(POOL[5] + np.float32(0.01))
    return memory


def whole(memory: Memory) -> dict[str, Any]:
    """Return all that an export carries of a memory, payloads as lists where they were tuples."""
    names = {id: memory[id].ids for id in memory.ids.tolist()}
    state = memory.state()
    links = state["linked"]
    linked = {}
    for row, id in enumerate(state["catalog"]["ids"].tolist()):
        if links is not None:
            there = np.flatnonzero(links["target"][row] >= 0)
            others = state["catalog"]["ids"][links["target"][row][there]].tolist()
            linked[id] = sorted(
                (other, links["modes"][row][slot].tobytes()) for other, slot in zip(others, there, strict=True)
            )
            linked[id].append(float(links["when"][row]) if len(there) else 0.0)
    return {
        "names": names,
        "keys": state["index"]["keys"],
        "values": state["index"]["values"],
        "modes": state["strengths"]["modes"],
        "when": state["strengths"]["when"],
        "flags": state["catalog"]["flags"],
        "payload": [mossy.journal.encode(one) for one in state["catalog"]["payload"]],
        "next_id": state["catalog"]["next_id"],
        "short": memory.short_term.tolist(),
        "linked": linked,
    }


def linked(memory: Memory, id: int) -> set[int]:
    row = memory._store.catalog.rows_of(id)
    targets, _ = memory._store.links.of(row, memory._clock.now())
    return set(memory._store.catalog.ids[targets[targets >= 0]].tolist())


def strengths(memory: Memory, ids: Any) -> np.ndarray:
    return np.array([memory.strength(id).sum() for id in ids])

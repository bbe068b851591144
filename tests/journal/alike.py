"""Whether two memories hold and answer the same."""

from __future__ import annotations

from typing import Any

import numpy as np

from mossy import Memory
from tests.naive.same import same


def unlike(one: Memory, other: Memory, cues: Any = None, k: int = 3) -> list[str]:
    """Return what differs between two memories: ids, contents, strengths, short-term memory, recalls."""
    found = []

    def compare(what: str, here: Any, there: Any, close: bool = False) -> None:
        if not (np.allclose(here, there, rtol=1e-5, atol=1e-7, equal_nan=True) if close else same(here, there)):
            found.append(f"{what}: {here!r} and {there!r}")

    compare("ids", one.ids.tolist(), other.ids.tolist())
    compare("short-term memory", one.short_term.tolist(), other.short_term.tolist())
    if found:
        return found
    for id in one.ids.tolist():
        here, there = one[id], other[id]
        for part in ("ids", "pattern", "value", "payload", "pinned", "short_term", "long_term"):
            compare(f"memory {id}, {part}", getattr(here, part), getattr(there, part))
        compare(f"memory {id}, strength", [here.short, here.long], [there.short, there.long], close=True)
    counts = ("memories", "short_term", "long_term", "pinned", "capacity", "similarity", "separation", "beta", "law")
    for part in counts:
        compare(part, getattr(one.stats(), part), getattr(other.stats(), part))
    if cues is not None and len(one):
        k = min(k, len(one))
        here, there = one.recall(cues, k=k, reinforce=False), other.recall(cues, k=k, reinforce=False)
        compare("recalled ids", here.ids.tolist(), there.ids.tolist())
        compare("recalled payloads", here.payload, there.payload)
        for part in ("pattern", "probability", "energy", "strength", "fit"):
            compare(f"recalled {part}", getattr(here, part), getattr(there, part), close=True)
        for line, twin in zip(here.explain(), there.explain(), strict=True):
            for left, right in zip(line, twin, strict=True):
                compare("explanation", list(vars(left).values()), list(vars(right).values()), close=True)
    return found

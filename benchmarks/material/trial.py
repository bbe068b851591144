"""A quick trial of a long benchmark: ``python benchmarks/NAME.py --small`` measures little and writes no result."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from record import record

__all__ = ["is_small", "record_or_show"]


def is_small() -> bool:
    """Whether ``--small`` was given; anything else that was given ends the program."""
    if sys.argv[1:] not in ([], ["--small"]):
        raise SystemExit(f"usage: python benchmarks/{Path(sys.argv[0]).name} [--small]")
    return sys.argv[1:] == ["--small"]


def record_or_show(
    name: str, question: str, result: Mapping[str, Any], seeds: Iterable[int], peers: Iterable[str] = ()
) -> None:
    """Write the result, or print it if this is a trial."""
    if is_small():
        print(json.dumps(result, indent=2, default=lambda value: value.tolist()))
    else:
        record(name, question, result, seeds, peers)

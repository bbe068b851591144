"""Memories of both kinds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import mossy
from mossy import Memory, Steps


@pytest.fixture(params=["here", "on disk"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """Make memories, in this process or on disk."""
    made: list[Memory] = []

    def one(**settings: Any) -> Memory:
        settings.setdefault("clock", Steps(100))
        if request.param == "here":
            return Memory(**settings)
        made.append(mossy.open(tmp_path / f"m{len(made)}.mossy", durability="process", **settings))
        return made[-1]

    yield one
    for memory in made:
        memory.close()

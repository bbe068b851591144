"""``mossy forget``, ``consolidate`` and ``stats``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from mossy.cli.options import AsJson, Durability, File, Key, keeps_raw, opened, there
from mossy.cli.report import failures, memories, write_json

__all__ = ["consolidate", "forget", "stats"]


def forget(
    file: File,
    ids: Annotated[list[int], typer.Argument(metavar="ID", help="The ids of what is to be forgotten.")],
    key: Key = None,
    durability: Durability = "full",
    as_json: AsJson = False,
) -> None:
    """Forget memories: no byte of them remains in any file.

    If one of the ids is not there, nothing is forgotten.
    """
    with failures():
        with opened(file, key=key, durability=durability) as memory:
            before = len(memory)
            memory.forget(ids)
            left = len(memory)
        if as_json:
            write_json({"file": str(file), "forgotten": before - left, "memories": left})
        else:
            typer.echo(f"{file}: {before - left:,} forgotten. It holds {memories(left)}.")


def consolidate(file: File, key: Key = None, durability: Durability = "full", as_json: AsJson = False) -> None:
    """Merge duplicates, and make short-term memory long-term."""
    with failures():
        with opened(file, key=key, durability=durability) as memory:
            done = memory.consolidate()
            left = len(memory)
        if as_json:
            write_json({"file": str(file), **asdict(done), "memories": left})
        else:
            typer.echo(
                f"{file}: {done.moved:,} moved to long-term memory, {done.let_go:,} let go, {done.merged:,} merged. "
                f"It holds {memories(left)}."
            )


def stats(file: File, key: Key = None, as_json: AsJson = False) -> None:
    """Tell what a memory holds, and how it is set.

    A memory may be in short-term and in long-term memory at once, and is then counted in both.
    """
    with failures():
        with opened(file, "r", key=key, settings={"keep_raw": keeps_raw(there(file), key)}) as memory:
            told = asdict(memory.stats())
        if as_json:
            write_json({"file": str(file), **told})
            return
        for name, value in told.items():
            shown = f"{value:,}" if isinstance(value, int) else "none" if value is None else str(value)
            typer.echo(f"{name.replace('_', ' '):<{max(map(len, told))}}  {shown}")

"""Activations in a folder: one file a column, mapped into memory, and what they are of."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mossy.errors import Damaged, InvalidInput, NotAMemory
from mossy.nn.intermediate.activations.source import Source, fill
from mossy.nn.intermediate.activations.trunk import Trunk

__all__ = ["Column", "read", "write"]

ABOUT, LAYOUT = "about.json", 1


class Column(NamedTuple):
    """The shape and dtype of one item."""

    shape: torch.Size
    dtype: torch.dtype

    @property
    def row(self) -> int:
        """Bytes of an item."""
        return self.shape.numel() * self.dtype.itemsize


def write(folder: Path, about: Mapping[str, Any], columns: Sequence[Column], source: Source, trunk: Trunk) -> None:
    """Compute and write all, in a folder beside that is renamed at the end: there is all of it, or nothing."""
    beside = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(beside, ignore_errors=True)
    beside.mkdir(parents=True)
    try:
        stored = [_map(beside / _file(place), source.most, column) for place, column in enumerate(columns)]
        n = fill(stored, source, trunk)
        del stored
        for place, column in enumerate(columns):
            with (beside / _file(place)).open("r+b") as file:
                file.truncate(n * column.row)
                os.fsync(file.fileno())
        (beside / ABOUT).write_text(json.dumps({"layout": LAYOUT, "n": n, **about}, indent=2), encoding="utf-8")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path, about: Mapping[str, Any], columns: Sequence[Column]) -> list[Tensor]:
    """Map what was written.

    Raises
    ------
    NotAMemory
        The folder holds something else.
    InvalidInput
        They are the activations of something else than ``about`` says.
    Damaged
        A file has another length than it was written with.
    """
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        n = int(found["n"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAMemory(f"features.path: {folder} holds no activations; give another path, or remove it.") from error
    for name, wanted in {"layout": LAYOUT, **about}.items():
        if found.get(name) != wanted:
            raise InvalidInput(
                f"features.path: the activations in {folder} are of other {name} ({found.get(name)}; asked for: "
                f"{wanted}). Give another path, or remove the folder."
            )
    stored = []
    for place, column in enumerate(columns):
        file = folder / _file(place)
        if not file.is_file() or file.stat().st_size != n * column.row:
            raise Damaged(f"features.path: {file} does not have the {n * column.row:,} bytes that were written.")
        stored.append(_map(file, n, column))
    return stored


def _file(place: int) -> str:
    return f"target-{place}.bin" if place else "activations.bin"


def _map(file: Path, n: int, column: Column) -> Tensor:
    entries = n * column.shape.numel()
    if not column.row:
        return torch.empty((n, *column.shape), dtype=column.dtype)
    return torch.from_file(str(file), shared=True, size=entries, dtype=column.dtype).reshape(n, *column.shape)

"""Activations in a folder: one file a column, mapped into memory, and what they are of."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from mossy.errors import Damaged, InvalidInput, NotAMemory
from mossy.nn.intermediate.activations.source import Source, fill
from mossy.nn.intermediate.activations.trunk import Trunk

__all__ = ["Column", "read", "write"]

ABOUT, LAYOUT = "about.json", 2


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
        stored = [_map(beside / _file(place), source.most, column, True) for place, column in enumerate(columns)]
        n = fill(stored, source, trunk)
        del stored
        sums = []
        for place, column in enumerate(columns):
            with (beside / _file(place)).open("a+b") as file:  # a column without entries has an empty file
                file.truncate(n * column.row)
                os.fsync(file.fileno())
            sums.append(_sum(beside / _file(place)))
        said = {
            **about,
            "layout": LAYOUT,
            "n": n,
            "sums": sums,
            "parts": trunk.names,
            "weights": trunk.lasting_digest(),
        }
        (beside / ABOUT).write_text(json.dumps(said, indent=2), encoding="utf-8")
        beside.rename(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def read(folder: Path, about: Mapping[str, Any], columns: Sequence[Column], trunk: Trunk) -> list[Tensor]:
    """Map what was written; a change of the tensors does not reach the files.

    Raises
    ------
    NotAMemory
        The folder holds something else.
    InvalidInput
        They are the activations of something else than ``about`` says, or of another trunk.
    Damaged
        A file is not as it was written.
    """
    try:
        found = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        n, sums, parts = int(found["n"]), list(found["sums"]), list(found["parts"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NotAMemory(f"features.path: {folder} holds no activations; give another path, or remove it.") from error
    trunk.widen(parts)  # to what ran on later items
    for name, wanted in {"layout": LAYOUT, **about, "weights": trunk.lasting_digest()}.items():
        if found.get(name) != wanted:
            raise InvalidInput(
                f"features.path: the activations in {folder} are of other {name} ({found.get(name)}; asked for: "
                f"{wanted}). Give another path, or remove the folder."
            )
    stored = []
    for place, column in enumerate(columns):
        file = folder / _file(place)
        if not file.is_file() or file.stat().st_size != n * column.row or [_sum(file)] != sums[place : place + 1]:
            raise Damaged(f"features.path: {file} does not have the {n * column.row:,} bytes that were written.")
        stored.append(_map(file, n, column, False))
    return stored


def _sum(file: Path) -> str:
    state = blake2b(digest_size=16)
    with file.open("rb") as opened:
        while part := opened.read(1 << 20):
            state.update(part)
    return state.hexdigest()


def _file(place: int) -> str:
    return f"target-{place}.bin" if place else "activations.bin"


def _map(file: Path, n: int, column: Column, shared: bool) -> Tensor:
    entries = n * column.shape.numel()
    with torch.inference_mode(False):
        if not column.row:
            return torch.empty((n, *column.shape), dtype=column.dtype)
        return torch.from_file(str(file), shared=shared, size=entries, dtype=column.dtype).reshape(n, *column.shape)

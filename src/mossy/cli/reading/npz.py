"""``.npz``: the arrays ``patterns``, ``values`` and ``payload``, or one array alone, which is then the patterns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.cli.reading.batch import Batch, rows_of_batch
from mossy.cli.reading.columns import Columns
from mossy.cli.reading.npy import as_patterns, row_from
from mossy.cli.reading.source import Options, Source, decoded
from mossy.errors import InvalidInput, InvalidShape

__all__ = ["read_npz"]


def read_npz(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the rows of its patterns, with their values and payloads. Each array is read whole."""
    columns, arrays = _read(source, options)
    patterns = as_patterns(source, "patterns", arrays[columns.pattern[0]])
    for name, array in arrays.items():
        if len(np.atleast_1d(array)) != len(patterns) and name != columns.pattern[0]:
            raise InvalidShape(
                f"{source}: {name!r} has shape {array.shape}, and there are {len(patterns)} patterns; give a row for "
                "each."
            )
    values = None if columns.value is None else as_patterns(source, "values", arrays[columns.value])
    step = rows_of_batch(patterns.shape[1])
    for first in range(0, len(patterns), step):
        part = slice(first, first + step)
        told = [_listed(arrays[name][part]) for name in columns.payload]
        yield Batch(
            patterns[part],
            None if values is None else values[part],
            [columns.payload_of(cells) for cells in zip(*told, strict=True)] or None,
            row_from(source, first),
        )
        options.tell(min(first + step, len(patterns)) / len(patterns))


def _read(source: Source, options: Options) -> tuple[Columns, dict[str, NDArray[Any]]]:
    """Return what the arrays are for, and those that are for something."""
    with source.open() as file, decoded(source, "arrays"):
        archive = np.load(file, allow_pickle=False)
        if not isinstance(archive, np.lib.npyio.NpzFile):
            raise InvalidInput(f"{source}: it is one array, and no archive; call it .npy, or give --format npy.")
        columns = Columns.of(source, archive.files, options)
        if len(columns.pattern) > 1 or columns.pattern[0] == "patterns":
            columns = columns.whole(source, "patterns", "values")
        wanted = (*columns.pattern, *columns.payload, *([columns.value] if columns.value else []))
        return columns, {name: archive[name] for name in wanted}


def _listed(array: NDArray[Any]) -> list[Any]:
    """Return one payload for each row: a number or a text, or an array where a row is one."""
    return array.tolist() if array.ndim == 1 else list(array)

"""``.npy``: one array ``(n, d)``, read where it lies on disk; one of more axes is flattened item by item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.cli.reading.batch import Batch, rows_of_batch
from mossy.cli.reading.source import Options, Source, decoded
from mossy.errors import InvalidDtype, InvalidShape

__all__ = ["as_patterns", "read_npy", "row_from"]


def read_npy(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the rows of the array."""
    with decoded(source, "an array"):
        array = np.lib.format.open_memmap(source.file, mode="r")
    patterns = as_patterns(source, "the array", array)
    step = rows_of_batch(patterns.shape[1])
    for first in range(0, len(patterns), step):
        yield Batch(patterns[first : first + step], None, None, row_from(source, first))
        options.tell(min(first + step, len(patterns)) / len(patterns))


def as_patterns(source: Source, name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Return an array as patterns ``(n, d)``: one axis is one pattern, more than two are flattened after the first.

    Raises
    ------
    InvalidDtype, InvalidShape
    """
    if array.dtype.kind not in "biuf":
        raise InvalidDtype(f"{source}: {name} has dtype {array.dtype}; booleans, integers and floats are allowed.")
    if array.ndim == 0 or 0 in array.shape[1:]:
        raise InvalidShape(f"{source}: {name} has shape {array.shape}; (d,) or (n, d) is allowed.")
    return array[None] if array.ndim == 1 else array.reshape(len(array), -1) if array.ndim > 2 else array


def row_from(source: Source, first: int) -> Callable[[int], str]:
    """Return what names row ``i`` of a batch that begins with row ``first`` of the source."""
    return lambda i: f"{source}, row {first + i}"

"""Parquet: columns of numbers, or whole patterns in a column of lists. Needs the extra ``parquet``.

A column ``"pattern"`` of lists may have ``"value"`` (lists as well) and ``"payload"`` beside it. Null is an entry that
is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.cli.reading.batch import Batch, rows_of_batch
from mossy.cli.reading.columns import Columns
from mossy.cli.reading.source import Options, Source, decoded
from mossy.errors import InvalidDtype, InvalidShape, MissingExtra

__all__ = ["read_parquet"]


def read_parquet(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the rows of the table."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ModuleNotFoundError as missing:
        raise MissingExtra("pyarrow", "parquet") from missing
    with source.open() as file, decoded(source, "Parquet"):
        yield from _batches(source, options, pyarrow.parquet.ParquetFile(file))


def _batches(source: Source, options: Options, file: Any) -> Iterator[Batch]:
    types = {field.name: field.type for field in file.schema_arrow}
    columns = Columns.of(source, file.schema_arrow.names, options)
    whole = "pattern" in columns.pattern and _is_list(types["pattern"])
    if whole:
        columns = columns.whole(source, "pattern", "value")
    lists = tuple(name for name in (*columns.pattern, columns.value) if name and whole)
    for name in (*columns.pattern, *lists):
        _check_type(source, name, types[name], whole)
    lengths = _lengths(file, lists)
    wanted = list(dict.fromkeys((*columns.pattern, *lists, *columns.payload)))
    first, total = 0, max(file.metadata.num_rows, 1)
    for batch in file.iter_batches(rows_of_batch(lengths.get("pattern", len(columns.pattern))), columns=wanted):
        rows = np.arange(first, first + len(batch))
        first += len(batch)
        for name, d in lengths.items():
            kept = _of_length(source, options, name, batch.column(name), d, rows)
            batch, rows = batch.filter(kept), rows[kept]
        if len(batch):
            told = [batch[name].to_pylist() for name in columns.payload]
            yield Batch(
                _rows(batch, "pattern") if whole else np.stack([_numbers(batch[name]) for name in columns.pattern], 1),
                None if columns.value is None else _rows(batch, columns.value),
                [columns.payload_of(row) for row in zip(*told, strict=True)] or None,
                _place(source, rows),
                None if whole else columns.pattern,
            )
        options.tell(first / total)


def _is_list(kind: Any) -> bool:
    from pyarrow import types

    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _check_type(source: Source, name: str, kind: Any, whole: bool) -> None:
    from pyarrow import types

    entry = kind.value_type if whole and _is_list(kind) else None if whole else kind
    numeric = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    if entry is None or not any(test(entry) for test in numeric):
        allowed = "lists of numbers are" if whole else "a number is"
        raise InvalidDtype(
            f"{source}, column {name!r}: its type is {kind}; {allowed} allowed. A column of another kind goes into the "
            f"payload (--payload {name}) or nowhere (--ignore {name})."
        )


def _lengths(file: Any, lists: tuple[str, ...]) -> dict[str, int]:
    """Return how many numbers the first row has in each list; it decides for all."""
    if not lists or not file.metadata.num_rows:
        return {}
    first = next(file.iter_batches(1, columns=list(lists)))
    return {name: len(first[name][0].as_py() or []) for name in lists}


def _of_length(source: Source, options: Options, name: str, column: Any, d: int, rows: NDArray[Any]) -> NDArray[Any]:
    """Return which lists have ``d`` numbers; the others are refused."""
    from pyarrow import compute

    lengths = compute.list_value_length(column).fill_null(0).to_numpy(zero_copy_only=False)
    for i in np.flatnonzero((lengths != d) | (lengths == 0)).tolist():
        options.refuse(
            InvalidShape(
                f"{source}, row {rows[i]}: {name!r} has {lengths[i]} numbers, and the first has {d}; give as many, and "
                "at least one."
            )
        )
    return np.asarray((lengths == d) & (lengths > 0))


def _rows(batch: Any, name: str) -> NDArray[Any]:
    return _numbers(batch[name].flatten()).reshape(len(batch), -1)


def _numbers(column: Any) -> NDArray[Any]:
    return np.asarray(column.cast("float64", safe=False).to_numpy(zero_copy_only=False))


def _place(source: Source, rows: NDArray[Any]) -> Any:
    return lambda i: f"{source}, row {rows[i]}"

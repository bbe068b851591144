"""CSV with a header, in UTF-8: columns of numbers make the pattern; an empty cell is an entry that is missing."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator

from mossy.cli.reading.batch import Batch
from mossy.cli.reading.columns import Columns, not_a_number
from mossy.cli.reading.lines import Lines, Rows
from mossy.cli.reading.source import Options, Source
from mossy.errors import EmptyBatch, InvalidDtype, InvalidInput, InvalidShape

__all__ = ["read_csv"]


def read_csv(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the rows below the header."""
    with source.open() as file:
        lines = Lines(source, file)
        rows = csv.reader(iter(lines), strict=True)
        try:
            yield from _batches(source, options, lines, rows)
        except csv.Error as error:
            raise InvalidInput(f"{source}, line {lines.number}: it is no CSV ({error}).") from error


def _batches(source: Source, options: Options, lines: Lines, rows: Iterator[list[str]]) -> Iterator[Batch]:
    header = _header(source, next(rows, []))
    columns = Columns.of(source, header, options)
    pattern = [header.index(name) for name in columns.pattern]
    payload = [header.index(name) for name in columns.payload]
    block = Rows(source, len(pattern), columns.pattern)
    for row in rows:
        if not row:
            continue
        try:
            numbers = _numbers(f"{source}, line {lines.number}", row, header, pattern)
        except InvalidInput as error:
            options.refuse(error)
            continue
        block.add(lines.number, numbers, None, columns.payload_of([row[at] for at in payload]))
        if block.full:
            yield block.take()
            options.tell(lines.share)
    if len(block):
        yield block.take()


def _header(source: Source, header: list[str]) -> list[str]:
    """Return the names of the columns, or raise where the first line holds none."""
    names = [name.strip() for name in header]
    if not names:
        raise EmptyBatch(f"{source}: it is empty; give a line with the names of the columns, and rows below it.")
    for delimiter in (";", "\t"):
        if len(header) == 1 and delimiter in header[0]:
            raise InvalidInput(
                f"{source}, line 1: {delimiter!r} parts the columns; a comma is allowed. Change it to that."
            )
    counted = names in ([str(i) for i in range(len(names))], [str(i + 1) for i in range(len(names))])
    if not counted and all(_is_number(name) for name in names):
        raise InvalidInput(f"{source}, line 1: it holds numbers; put a line with the names of the columns above it.")
    return names


def _numbers(place: str, row: list[str], header: list[str], pattern: list[int]) -> list[float]:
    """Return the numbers of a row, NaN where a cell is empty."""
    if len(row) != len(header):
        raise InvalidShape(f"{place}: it has {len(row)} cells, and the header has {len(header)}; give as many.")
    cells = [row[at] for at in pattern]
    try:
        return list(map(float, cells))
    except ValueError:  # a cell is empty, or holds no number
        for at in pattern:
            if row[at].strip() and not _is_number(row[at]):
                raise InvalidDtype(f"{place}, {not_a_number(header[at], row[at])}") from None
        return [float(cell) if cell.strip() else math.nan for cell in cells]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True

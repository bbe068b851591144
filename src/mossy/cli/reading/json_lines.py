"""JSON Lines: an object a line, with a list ``"pattern"``, or with numbers by name as CSV has them.

Beside ``"pattern"``, ``"value"`` and ``"payload"`` are allowed. ``null`` is an entry that is missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, final

from mossy.cli.reading.batch import Batch
from mossy.cli.reading.columns import Columns, not_a_number
from mossy.cli.reading.lines import Lines, Rows
from mossy.cli.reading.source import Options, Source
from mossy.errors import InvalidDtype, InvalidInput, InvalidShape

__all__ = ["read_json_lines"]


def read_json_lines(source: Source, options: Options) -> Iterator[Batch]:
    """Yield the objects; all must have the fields of the first."""
    with source.open() as file:
        lines = Lines(source, file)
        shape = block = None
        for text in lines:
            if not text.strip():
                continue
            place = f"{source}, line {lines.number}"
            try:
                fields = _fields(place, text)
                if shape is None:
                    shape = _Shape.of(source, place, fields, options)
                row = shape.row(place, fields)
            except InvalidInput as error:
                if shape is None:
                    raise  # nothing can be read without knowing what a row looks like
                options.refuse(error)
                continue
            if block is None:
                block = shape.rows(source)
            block.add(lines.number, *row)
            if block.full:
                yield block.take()
                options.tell(lines.share)
        if block is not None and len(block):
            yield block.take()


@final
@dataclass(frozen=True)
class _Shape:
    """What every object looks like; the first one tells."""

    fields: frozenset[str]
    columns: Columns
    d: int | None
    d_value: int | None

    @classmethod
    def of(cls, source: Source, place: str, first: dict[str, Any], options: Options) -> _Shape:
        columns = Columns.of(source, list(first), options)
        if "pattern" not in first:
            return cls(frozenset(first), columns, None, None)
        columns = columns.whole(source, "pattern", "value")
        d_value = None if columns.value is None else len(_list(place, columns.value, first))
        return cls(frozenset(first), columns, len(_list(place, "pattern", first)), d_value)

    def rows(self, source: Source) -> Rows:
        """Return what collects such rows."""
        names = self.columns.pattern
        return Rows(source, len(names), names) if self.d is None else Rows(source, self.d, None)

    def row(self, place: str, fields: dict[str, Any]) -> tuple[list[float], list[float] | None, Any]:
        """Return pattern, value and payload of an object."""
        odd = sorted(self.fields.symmetric_difference(fields))
        if odd:
            what = "is missing" if odd[0] in self.fields else "is not in the first"
            raise InvalidShape(f"{place}: the field {odd[0]!r} {what}; all objects must have the same fields.")
        columns = self.columns
        told = columns.payload_of([fields[name] for name in columns.payload])
        if self.d is None:
            return [_number(place, name, fields[name]) for name in columns.pattern], None, told
        value = None if self.d_value is None else _numbers(place, "value", fields, self.d_value)
        return _numbers(place, "pattern", fields, self.d), value, told


def _fields(place: str, text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{place}: it is no JSON ({error}).") from error
    if not isinstance(fields, dict):
        raise InvalidInput(f'{place}: it is no object; a line such as {{"pattern": [0.5, 1.0]}} is allowed.')
    return fields


def _list(place: str, name: str, fields: dict[str, Any]) -> list[Any]:
    given = fields[name]
    if not isinstance(given, list) or not given:
        raise InvalidDtype(f"{place}: {name!r} is no list of numbers, or an empty one.")
    return given


def _numbers(place: str, name: str, fields: dict[str, Any], d: int) -> list[float]:
    given = _list(place, name, fields)
    if len(given) != d:
        raise InvalidShape(f"{place}: {name!r} has {len(given)} numbers, and the first has {d}; give as many.")
    if set(map(type, given)) <= {int, float}:
        with suppress(OverflowError):
            return list(map(float, given))
    return [_number(place, name, one) for one in given]


def _number(place: str, name: str, given: Any) -> float:
    if given is None:
        return math.nan
    if not isinstance(given, int | float):
        raise InvalidDtype(f"{place}, {not_a_number(name, given)}")
    try:
        return float(given)
    except OverflowError:
        return math.inf

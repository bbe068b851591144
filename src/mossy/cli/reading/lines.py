"""Lines of text, and the batches that rows of numbers are collected into."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO, Any, final

import numpy as np

from mossy.cli.reading.batch import Batch, rows_of_batch
from mossy.cli.reading.source import Source
from mossy.errors import InvalidInput

__all__ = ["Lines", "Rows"]


@final
class Lines:
    """The lines of a file in UTF-8, one after the other.

    Attributes
    ----------
    number
        Of the line that was read last, from 1.
    share
        Of the file that was read; 0 where its size is not known.

    Raises
    ------
    InvalidInput
        A line is not UTF-8.
    """

    def __init__(self, source: Source, file: IO[bytes]) -> None:
        self._source, self._file = source, file
        self._bytes = 0
        self._size = source.path.stat().st_size if source.path is not None else 0
        self.number = 0

    @property
    def share(self) -> float:
        """How much of the file was read."""
        return min(self._bytes / self._size, 1.0) if self._size else 0.0

    def __iter__(self) -> Iterator[str]:
        for raw in self._file:
            self._bytes += len(raw)
            self.number += 1
            try:
                yield raw.decode("utf-8-sig" if self.number == 1 else "utf-8")
            except UnicodeDecodeError as error:
                raise InvalidInput(
                    f"{self._source}, line {self.number}: byte {error.start + 1} is not UTF-8; save the file as UTF-8."
                ) from error


@final
class Rows:
    """Collects rows of numbers, each with the line where it stood, into batches.

    Parameters
    ----------
    source
        Where they stand.
    d
        The numbers in a row.
    columns
        What they are called, if they are.
    """

    def __init__(self, source: Source, d: int, columns: Sequence[str] | None) -> None:
        self._source, self._columns = source, columns
        self._patterns = np.empty((rows_of_batch(d), d))
        self._begin()

    def _begin(self) -> None:
        self._lines: list[int] = []
        self._values: list[list[float]] = []
        self._payload: list[Any] = []

    def __len__(self) -> int:
        return len(self._lines)

    @property
    def full(self) -> bool:
        """Whether it is time to ``take``."""
        return len(self) == len(self._patterns)

    def add(self, line: int, pattern: list[float], value: list[float] | None, payload: Any) -> None:
        """Add a row."""
        self._patterns[len(self)] = pattern
        self._lines.append(line)
        self._payload.append(payload)
        if value is not None:
            self._values.append(value)

    def take(self) -> Batch:
        """Return what was collected, and begin anew."""
        source, lines = self._source, self._lines
        batch = Batch(
            self._patterns[: len(self)].copy(),
            np.array(self._values) if self._values else None,
            None if all(one is None for one in self._payload) else self._payload,
            lambda i: f"{source}, line {lines[i]}",
            self._columns,
        )
        self._begin()
        return batch

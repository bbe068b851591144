"""What every format is read into: patterns with their values and payloads, and the place where each stood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import LARGEST
from mossy.errors import InvalidInput, NotFinite

__all__ = ["Batch", "rows_of_batch"]

BYTES = 16 << 20  # of patterns in a batch
ROWS = 16384


def rows_of_batch(d: int) -> int:
    """Return how many patterns of ``d`` neurons are read, and then stored, at once."""
    return max(1, min(ROWS, BYTES // (4 * max(d, 1))))


@final
@dataclass(frozen=True)
class Batch:
    """Patterns that were read together.

    Attributes
    ----------
    patterns
        ``(n, d)`` numbers; NaN where an entry is missing.
    values
        ``(n, d_value)``, or None.
    payload
        ``n`` payloads, or None.
    place
        From a row to where it stood, such as ``"cues.csv, line 3"``.
    columns
        The names of the entries, if they have any.
    """

    patterns: NDArray[Any]
    values: NDArray[Any] | None
    payload: list[Any] | None
    place: Callable[[int], str]
    columns: Sequence[str] | None = None

    def __len__(self) -> int:
        return len(self.patterns)

    def entry(self, j: int) -> str:
        """Return what entry ``j`` is called."""
        return f"entry {j}" if self.columns is None else f"column {self.columns[j]!r}"

    def complete(self, refuse: Callable[[InvalidInput], None]) -> Batch:
        """Return those whose entries are all finite; the others are refused."""
        bad = self._bad(self.patterns)
        for i in np.flatnonzero(bad).tolist():
            j = int(np.flatnonzero(self._outside(self.patterns[i]))[0])
            refuse(self._error(i, self.entry(j), self.patterns[i, j]))
        if self.values is not None:
            for i in np.flatnonzero(self._bad(self.values) & ~bad).tolist():
                bad[i] = True
                j = int(np.flatnonzero(self._outside(self.values[i]))[0])
                refuse(self._error(i, f"entry {j} of its value", self.values[i, j]))
        return self._only(np.flatnonzero(~bad)) if bad.any() else self

    def _only(self, rows: NDArray[np.intp]) -> Batch:
        return Batch(
            self.patterns[rows],
            None if self.values is None else self.values[rows],
            None if self.payload is None else [self.payload[i] for i in rows],
            lambda i: self.place(int(rows[i])),
            self.columns,
        )

    def _bad(self, array: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(self._outside(array).any(axis=1))

    @staticmethod
    def _outside(array: NDArray[Any]) -> NDArray[np.bool_]:
        return np.asarray(~(np.abs(array) <= LARGEST)) if array.dtype.kind == "f" else np.zeros(array.shape, np.bool_)

    def _error(self, i: int, entry: str, value: Any) -> NotFinite:
        what = "is missing" if np.isnan(value) else f"is {value:g}"
        return NotFinite(
            f"{self.place(i)}: {entry} {what}; what is stored has finite numbers up to {LARGEST:g} in all entries. "
            "Fill it in, or leave such rows out with --skip-bad."
        )

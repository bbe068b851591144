"""Cues as a command gets them: with the place where each stood, and which of their entries are known."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import LARGEST
from mossy.cli.reading import Options, find_sources, read
from mossy.errors import InvalidDtype, InvalidParameter, InvalidShape, NotFinite, NothingKnown

__all__ = ["Cues"]

RANGES = re.compile(r"\d+(-\d+)?(,\d+(-\d+)?)*")


@final
@dataclass(frozen=True)
class Cues:
    """Cues ``(c, d)``, where each stood, which entries are known ``(c, d)``, and whether a mask was given for that."""

    patterns: NDArray[Any]
    places: list[str]
    known: NDArray[np.bool_]
    certain: bool = False

    @classmethod
    def read(cls, name: str, form: str | None, options: Options) -> Cues:
        """Read them from a source; what is missing in it is not known."""
        [(source, format)] = find_sources([name], form, options)
        batches = list(read(source, format, options))
        patterns = np.concatenate([batch.patterns for batch in batches])
        places = [batch.place(i) for batch in batches for i in range(len(batch))]
        return cls(patterns, places, ~np.isnan(patterns))

    @classmethod
    def of(cls, pattern: NDArray[Any], place: str) -> Cues:
        """Return one, all of which is known."""
        return cls(pattern[None], [place], np.ones((1, len(pattern)), np.bool_))

    def masked(self, known: str | None) -> Cues:
        """Return them with only those entries known that ``known`` names as ranges or in a file; all if it is None."""
        if known is None:
            return self
        read_mask = _in_ranges if RANGES.fullmatch(known) else _in_file
        return Cues(self.patterns, self.places, self.known & read_mask(known, self.patterns.shape), True)

    def parts(self) -> Iterator[tuple[NDArray[np.intp], NDArray[np.bool_] | None]]:
        """Yield the rows of the whole cues, with None, and those of the partial ones, with what of them is known.

        Raises
        ------
        NothingKnown, NotFinite
            One of them cannot be used.
        """
        for i in np.flatnonzero(~self.known.any(axis=1)).tolist():
            raise NothingKnown(f"{self.places[i]}: no entry of the cue is known; at least one must be.")
        for i, j in np.argwhere(self.known & ~(np.abs(self.patterns) <= LARGEST)).tolist():
            raise NotFinite(
                f"{self.places[i]}: entry {j} is {self.patterns[i, j]:g}; finite numbers up to {LARGEST:g} are allowed."
            )
        partial = ~self.known.all(axis=1) | self.certain
        if not partial.all():
            yield np.flatnonzero(~partial), None
        if partial.any():
            yield np.flatnonzero(partial), self.known[partial]


def _in_ranges(told: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    d = shape[1]
    mask = np.zeros(d, np.bool_)
    for part in told.split(","):
        first, _, last = part.partition("-")
        begin, end = int(first), int(last or first)
        if not begin <= end < d:
            raise InvalidParameter(f"--known: {part} was given; the entries of the cue are 0 to {d - 1}.")
        mask[begin : end + 1] = True
    return mask


def _in_file(name: str, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    [(source, format)] = find_sources([name], None, Options())
    mask = np.concatenate([np.asarray(batch.patterns) for batch in read(source, format, Options())])
    if not np.isin(mask, (0, 1)).all():
        raise InvalidDtype(f"--known: {name} holds other numbers than 0 and 1; 1 is allowed where an entry is known.")
    if mask.shape not in (shape, (1, shape[1])):
        raise InvalidShape(
            f"--known: {name} has shape {mask.shape}; {(1, shape[1])} is allowed, or {shape}, as the cues have."
        )
    return mask.astype(np.bool_)

"""The copies of patterns in the arrays beside a journal, read although their header or other blocks may be torn."""

from __future__ import annotations

import struct
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mossy.journal.rows import Width
from mossy.journal.seal import Seal
from mossy.journal.sidecar import HEAD, HEAD_SIZE, MAGIC, ROWS, Sidecar

__all__ = ["Copies", "Copy"]

Ids = NDArray[np.int64]


class Copy(NamedTuple):
    """What the arrays have of a memory; ``crc`` is that of its whole row."""

    id: int
    stored: float
    key: bytes
    value: bytes | None
    crc: int


@final
class Copies:
    """The sound blocks of one sidecar.

    Parameters
    ----------
    path
        The file of the arrays; it need not be there.
    seal
        The encryption of the journal.
    lineage
        By which it is known to be the journal's own; None if that is lost.
    width
        The neurons of keys and values, None if that is lost.

    Attributes
    ----------
    ids, crcs
        The memories that it has, rising, and the checksums of their rows.
    width
        The neurons of keys and values.
    """

    def __init__(self, path: Path, seal: Seal, lineage: bytes | None, width: Width | None) -> None:
        self.ids: Ids = np.empty(0, np.int64)
        self.crcs: Ids = np.empty(0, np.int64)
        self._places: Ids = np.empty(0, np.int64)
        header = _header(path)
        if header is not None:
            width = header[0] if lineage in (None, header[1]) and width in (None, header[0]) else None
        self.width = width
        if width is None or not path.exists():
            return
        self._sidecar = Sidecar(path, width, b"" if lineage is None else lineage, seal)
        self._block = lru_cache(2)(self._sidecar.block)
        self._gather((path.stat().st_size - HEAD_SIZE) // self._sidecar.size)

    def fit(self, ids: Ids, crcs: Ids) -> bool:
        """Return whether no row that is intact contradicts them."""
        _, one, other = np.intersect1d(self.ids, ids, return_indices=True)
        return bool((self.crcs[one] == crcs[other]).all())

    def drop(self) -> None:
        """Forget what it has: it is not the journal's own."""
        self.ids, self.crcs = self.ids[:0], self.crcs[:0]

    def copy(self, id: int) -> Copy | None:
        """Return the copy of a memory, None if there is none."""
        at = int(np.searchsorted(self.ids, id))
        if at == len(self.ids) or self.ids[at] != id:
            return None
        number, row = divmod(int(self._places[at]), ROWS)
        block = self._block(number)
        if block is None:
            return None
        value = None if block.values is None else block.values[row].tobytes()
        return Copy(id, float(block.stored[row]), block.keys[row].tobytes(), value, int(block.crcs[row]))

    def _gather(self, number_of_blocks: int) -> None:
        ids, crcs, places = [self.ids], [self.crcs], [self._places]
        for number in range(number_of_blocks):
            block = self._block(number)
            if block is not None:
                there = np.flatnonzero(block.crcs)  # what was forgotten is blotted out
                ids.append(block.ids[there])
                crcs.append(block.crcs[there].astype(np.int64))
                places.append(number * ROWS + there)
        every, first = np.unique(np.concatenate(ids), return_index=True)
        self.ids, self.crcs, self._places = every, np.concatenate(crcs)[first], np.concatenate(places)[first]


def _header(path: Path) -> tuple[Width, bytes] | None:
    """Return the width and the lineage that a header tells, None if it is not sound."""
    try:
        with path.open("rb") as file:
            header = file.read(HEAD.size + 4)
    except OSError:
        return None
    if len(header) < HEAD.size + 4 or struct.pack("<I", crc32(header[: HEAD.size])) != header[HEAD.size :]:
        return None
    told: tuple[Any, ...] = HEAD.unpack(header[: HEAD.size])
    magic, _, d, d_value, lineage = told
    return (Width(d, d_value or None), lineage) if magic == MAGIC else None

"""Whether any byte of what was forgotten is left in the files of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIECE, STEP = 16, 8  # bytes; a remnant of 23 bytes holds a whole piece, wherever it begins
ODD = np.uint64(0x9E3779B97F4A7C15)

Pieces = NDArray[np.uint64]


def pieces(*contents: object) -> Pieces:
    """Return a hash of each piece of all contents (arrays, strings or bytes); what is shorter than a piece has none."""
    found = [np.empty(0, np.uint64)]
    for content in contents:
        if isinstance(content, np.ndarray):
            content = np.ascontiguousarray(content).tobytes()
        elif isinstance(content, str):
            content = content.encode()
        assert isinstance(content, bytes)
        found.append(_hashes(content))
    return np.unique(np.concatenate(found))


def _hashes(content: bytes) -> Pieces:
    """Return a hash of 64 bits of every piece that begins at a multiple of ``STEP``."""
    at = np.frombuffer(content[: len(content) // STEP * STEP], "<u8")
    hashes = at[:-1] * ODD
    hashes ^= hashes >> np.uint64(29)
    return hashes * ODD + at[1:]


def left_in(content: bytes, wanted: Pieces) -> int:
    """Return how many of the wanted pieces are somewhere in ``content``."""
    if not len(wanted):
        return 0
    found = [np.empty(0, np.uint64)]
    for first in range(STEP):
        hashes = _hashes(content[first:])
        place = np.minimum(np.searchsorted(wanted, hashes), len(wanted) - 1)
        found.append(hashes[wanted[place] == hashes])
    return len(np.unique(np.concatenate(found)))


def remnants(folder: Path, *contents: object) -> dict[str, int]:
    """Return how many pieces of the contents are left in each file of a folder; files without any are not named."""
    wanted = pieces(*contents)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    counts = {path.name: left_in(path.read_bytes(), wanted) for path in files}
    return {name: count for name, count in counts.items() if count}

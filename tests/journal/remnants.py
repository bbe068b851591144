"""Whether any byte of what was forgotten is left in the files of a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

PIECE = 8  # bytes; a remnant of 15 bytes holds a whole piece, wherever it begins

Pieces = NDArray[np.uint64]


def pieces(*contents: object) -> Pieces:
    """Return all contents (arrays, strings or bytes), cut into pieces of 8 bytes; what is shorter has none."""
    found = []
    for content in contents:
        if isinstance(content, np.ndarray):
            content = np.ascontiguousarray(content).tobytes()
        elif isinstance(content, str):
            content = content.encode()
        assert isinstance(content, bytes)
        found.append(np.frombuffer(content[: len(content) // PIECE * PIECE], "<u8"))
    assert found, "nothing to look for"
    return np.unique(np.concatenate(found))


def left_in(content: bytes, wanted: Pieces) -> Pieces:
    """Return which pieces are somewhere in ``content``."""
    found = []
    for first in range(PIECE):
        whole = content[first : first + (len(content) - first) // PIECE * PIECE]
        at = np.frombuffer(whole, "<u8")
        place = np.minimum(np.searchsorted(wanted, at), len(wanted) - 1)
        found.append(at[wanted[place] == at])
    return np.unique(np.concatenate(found))


def remnants(folder: Path, *contents: object) -> dict[str, int]:
    """Return how many pieces of the contents are left in each file of a folder; files without any are not named."""
    wanted = pieces(*contents)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    counts = {path.name: len(left_in(path.read_bytes(), wanted)) for path in files}
    return {name: count for name, count in counts.items() if count}

"""How the file is laid out, as data. A layout is the migrations up to it; they are only ever added to."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["APPLICATION", "BLOCK", "GONE", "LAYOUT", "LINK_MODES", "MIGRATIONS", "PAGE", "PART", "state_dtype"]

APPLICATION = 0x6D6F7373  # SQLite's application_id of a file of ours: "moss"
PAGE = 4096  # bytes: what does not fit into a page goes on in pages of its own, so that long rows waste little
PART = 1 << 20  # bytes of weights in a row of the table `weights`
BLOCK = 64  # memories whose state shares a row of the table `state`
LINK_MODES = 2  # modes of a link, if the law has as many

# A memory has one row for good: its id is its rowid. Forgetting empties the row and leaves it there, since taking a row
# out makes SQLite move others within its pages, and a moved row leaves a copy of itself in what the page does not use.
# For the same reason a row of `state` never changes its length.
MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB, crc INTEGER) WITHOUT ROWID",
        "CREATE TABLE memory (id INTEGER PRIMARY KEY, stored REAL, key BLOB, value BLOB, payload BLOB, crc INTEGER)",
        "CREATE TABLE state (block INTEGER PRIMARY KEY, version INTEGER, content BLOB, crc INTEGER)",
        "CREATE INDEX changed ON state (version)",
        # A second copy of salt and configuration, on another page. Only repair looks for it.
        "CREATE TABLE spare (name TEXT PRIMARY KEY, value BLOB, crc INTEGER) WITHOUT ROWID",
        "CREATE TABLE weights (part INTEGER PRIMARY KEY, content BLOB, crc INTEGER)",
    ),
)
LAYOUT = len(MIGRATIONS)

GONE = 1 << 4  # the flag of an id that is forgotten, as in the catalog


def state_dtype(modes: int, links: int) -> np.dtype[Any]:
    """Return the record of what changes of one memory: flags, strength and links.

    ``modes`` is how many a strength has; a link has two, in float16. All zero is a fresh memory: stored, and not
    touched since.
    """
    fields: list[Any] = [("flags", "u1"), ("when", "<f8"), ("modes", "<f4", (modes,))]
    if links:
        linked = (links, min(modes, LINK_MODES))
        fields += [("linked_when", "<f8"), ("targets", "<i8", (links,)), ("linked", "<f2", linked)]
    return np.dtype(fields)

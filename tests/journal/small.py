"""Small sizes, so that a few memories fill many blocks, the sidecar has parts, and the file is often written anew."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

SIZES: dict[str, Any] = {"BLOCK": 4, "ROWS": 8, "EMPTY": 3, "CHUNK": 3, "ASKED": 2, "SMALL": 4, "RECENT": 5}
ROOMS = ("mossy.journal", "mossy.memory")


@contextmanager
def small(**sizes: Any) -> Iterator[None]:
    """Set the sizes of journal and memory in the block, wherever they are imported.

    A file that was made so is opened so. ``WAIT`` and ``LAG``, in seconds, can be set too.
    """
    wanted = SIZES | sizes
    modules = [module for name, module in sys.modules.items() if name.startswith(ROOMS) and module is not None]
    before = [(module, name, vars(module)[name]) for module in modules for name in wanted if name in vars(module)]
    assert {name for _, name, _ in before} == set(wanted), "a size has another name now"
    for module, name, _ in before:
        setattr(module, name, wanted[name])
    try:
        yield
    finally:
        for module, name, size in before:
            setattr(module, name, size)

"""mossy: a short-term and a long-term memory made of synapses.

Write an experience once; recall the whole from a fragment; what is used often becomes lasting, what is not fades.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from mossy.cache import Cache
from mossy.clock import Seconds, Steps
from mossy.errors import MossyError
from mossy.memory import Memory
from mossy.memory import open_memory as open
from mossy.network import Network
from mossy.recall import Explanation, Recall
from mossy.substrate import Index, Matrix, Sparse
from mossy.synapses import Synapses

__version__ = "0.1.0"
__all__ = [
    "Cache",
    "Explanation",
    "Index",
    "Matrix",
    "Memory",
    "MossyError",
    "Network",
    "Recall",
    "Seconds",
    "Sparse",
    "Steps",
    "Synapses",
    "open",
]

if not TYPE_CHECKING:  # so that a type checker still knows every name; it wants `import mossy.lab`

    def __getattr__(name: str) -> Any:
        """Import ``mossy.lab`` when it is first asked for, since few programs need it."""
        if name == "lab":
            return import_module("mossy.lab")
        raise AttributeError(f"module 'mossy' has no attribute {name!r}")

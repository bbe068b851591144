"""Memory: short term, long term and consolidation, in this process or on disk."""

from mossy.memory.memory import Memory
from mossy.memory.opening import open_memory

__all__ = ["Memory", "open_memory"]

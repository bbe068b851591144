"""Memory: short term, long term and consolidation. Composition only: the parts are in the rooms above."""

from mossy.memory.memory import Memory

__all__ = ["Memory"]

"""A long-term memory as a layer: slots that are learned, and memories that are written."""

from mossy.nn.long_term.layer import LongTermMemory, Recalled

__all__ = ["LongTermMemory", "Recalled"]

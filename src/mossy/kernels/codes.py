"""What kernels return, as they cannot raise. It is a file of its own: reading it loads no compiler."""

from __future__ import annotations

from typing import Final

__all__ = ["GOOD", "NOT_A_NEURON", "NOT_WRITTEN", "SATURATED", "TWICE"]

GOOD: Final = 0
NOT_A_NEURON: Final = 1  # an index outside the neurons
TWICE: Final = 2  # an index twice in one pattern
NOT_WRITTEN: Final = 3  # a synapse that no pair needs
SATURATED: Final = 4  # a counter that no longer knows its count

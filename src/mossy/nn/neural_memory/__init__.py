"""A memory that is a small network, and learns at test time."""

from mossy.nn.neural_memory.layer import NeuralMemory
from mossy.nn.neural_memory.state import NeuralMemoryState

__all__ = ["NeuralMemory", "NeuralMemoryState"]

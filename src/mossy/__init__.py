"""mossy: a short-term and a long-term memory made of synapses.

Write an experience once; recall the whole from a fragment; what is used often becomes lasting, what is not fades.
"""

from mossy.clock import Seconds, Steps
from mossy.errors import MossyError
from mossy.memory import Memory
from mossy.recall import Explanation, Recall
from mossy.substrate.index import Index

__version__ = "0.1.0"
__all__ = ["Explanation", "Index", "Memory", "MossyError", "Recall", "Seconds", "Steps"]

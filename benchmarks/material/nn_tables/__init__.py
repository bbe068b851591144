"""Tables of what was measured of PyTorch layers, one file a part."""

from __future__ import annotations

from material.nn_tables.association import association
from material.nn_tables.attach import attached, attached_language
from material.nn_tables.fast_weights import fast_weights, mqar
from material.nn_tables.intermediate import features, hits, streams
from material.nn_tables.long_term import long_term, long_term_written
from material.nn_tables.neural_memory import neural_memory, neural_memory_streams
from material.nn_tables.replay import replay

__all__ = [
    "association",
    "attached",
    "attached_language",
    "fast_weights",
    "features",
    "hits",
    "long_term",
    "long_term_written",
    "mqar",
    "neural_memory",
    "neural_memory_streams",
    "replay",
    "streams",
]

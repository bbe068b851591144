"""Fast weights: memories that a network writes while it reads, and recurrent cells with plastic synapses."""

from __future__ import annotations

from mossy.nn.fast_weights.chunked import chunked
from mossy.nn.fast_weights.fading import Modes, modes_of
from mossy.nn.fast_weights.features import FEATURES
from mossy.nn.fast_weights.layer import FastState, FastWeights
from mossy.nn.fast_weights.plastic import TRACES, PlasticCell, PlasticRNN, PlasticState
from mossy.nn.fast_weights.recurrent import recurrent
from mossy.nn.fast_weights.rules import RULES, Rule, as_rule

__all__ = [
    "FEATURES",
    "RULES",
    "TRACES",
    "FastState",
    "FastWeights",
    "Modes",
    "PlasticCell",
    "PlasticRNN",
    "PlasticState",
    "Rule",
    "as_rule",
    "chunked",
    "modes_of",
    "recurrent",
]

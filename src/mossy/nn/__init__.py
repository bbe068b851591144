"""Memory as PyTorch layers, and stores for what a network computes."""

from __future__ import annotations

try:
    import torch  # noqa: F401
except ImportError as error:
    from mossy.errors import MissingExtra

    raise MissingExtra("torch", "nn") from error

from mossy.nn.association import Hopfield, HopfieldLayer, HopfieldPooling
from mossy.nn.beside import Attached, Distilled, MixtureCalibration, attach, distill, widen
from mossy.nn.fast_weights import FastState, FastWeights, PlasticCell, PlasticRNN, PlasticState
from mossy.nn.intermediate import Features, Memoized, MemoStats, ToleranceCalibration, features, memoize
from mossy.nn.long_term import LongTermMemory, Recalled
from mossy.nn.neural_memory import NeuralMemory, NeuralMemoryState
from mossy.nn.replay import Mixed, ReplayMemory, ReplaySampler, consolidate, drive

__all__ = [
    "Attached",
    "Distilled",
    "FastState",
    "FastWeights",
    "Features",
    "Hopfield",
    "HopfieldLayer",
    "HopfieldPooling",
    "LongTermMemory",
    "MemoStats",
    "Memoized",
    "Mixed",
    "MixtureCalibration",
    "NeuralMemory",
    "NeuralMemoryState",
    "PlasticCell",
    "PlasticRNN",
    "PlasticState",
    "Recalled",
    "ReplayMemory",
    "ReplaySampler",
    "ToleranceCalibration",
    "attach",
    "consolidate",
    "distill",
    "drive",
    "features",
    "memoize",
    "widen",
]

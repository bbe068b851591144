"""Estimators for scikit-learn whose fitted state is a memory: they learn in one pass, and forget exactly."""

from __future__ import annotations

try:
    import sklearn  # noqa: F401
except ImportError as error:
    from mossy.errors import MissingExtra

    raise MissingExtra("scikit-learn", "learn") from error

from mossy.learn.encoders import Dentate, ImageEncoder, SoundEncoder
from mossy.learn.imputer import MemoryImputer
from mossy.learn.novelty import NoveltyDetector
from mossy.learn.supervised import Explanation, MemoryClassifier, MemoryRegressor
from mossy.learn.training import TrainingMemory

__all__ = [
    "Dentate",
    "Explanation",
    "ImageEncoder",
    "MemoryClassifier",
    "MemoryImputer",
    "MemoryRegressor",
    "NoveltyDetector",
    "SoundEncoder",
    "TrainingMemory",
]

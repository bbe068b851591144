"""Estimators that learn what goes with an example: a class, or numbers."""

from __future__ import annotations

from mossy.learn.supervised.classifier import MemoryClassifier
from mossy.learn.supervised.explanation import Explanation
from mossy.learn.supervised.regressor import MemoryRegressor

__all__ = ["Explanation", "MemoryClassifier", "MemoryRegressor"]

"""Stores for intermediate results: outputs that are computed once, and activations of a frozen trunk."""

from mossy.nn.intermediate.activations import Features, features
from mossy.nn.intermediate.calibrate import ToleranceCalibration
from mossy.nn.intermediate.memoize import Memoized, memoize
from mossy.nn.intermediate.statistics import MemoStats

__all__ = ["Features", "MemoStats", "Memoized", "ToleranceCalibration", "features", "memoize"]

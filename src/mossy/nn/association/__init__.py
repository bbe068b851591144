"""Association: retrieval from stored patterns, as Hopfield networks do it."""

from __future__ import annotations

from mossy.nn.association.hopfield import Hopfield
from mossy.nn.association.layer import HopfieldLayer
from mossy.nn.association.pooling import HopfieldPooling

__all__ = ["Hopfield", "HopfieldLayer", "HopfieldPooling"]

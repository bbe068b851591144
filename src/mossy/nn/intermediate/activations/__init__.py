"""Activations of a frozen trunk: computed once, held in memory or in a folder."""

from mossy.nn.intermediate.activations.features import Features, features

__all__ = ["Features", "features"]

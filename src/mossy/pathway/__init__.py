"""Pathways: what excites index neurons besides their similarity to the cue. One file each."""

from mossy.pathway.association import Links

__all__ = ["Links"]

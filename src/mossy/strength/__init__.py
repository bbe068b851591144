"""Strength laws: how a memory fades and lasts. One file a law; all are one linear law in closed form."""

from __future__ import annotations

from collections.abc import Callable

from mossy.arrays import choose
from mossy.strength.base import LinearLaw
from mossy.strength.benna_fusi import benna_fusi
from mossy.strength.need import Need
from mossy.strength.power_law import power_law
from mossy.strength.strengths import TOLERANCE, Strengths
from mossy.strength.two_phase import two_phase

__all__ = ["LAWS", "TOLERANCE", "LinearLaw", "Need", "Strengths", "as_law", "benna_fusi", "power_law", "two_phase"]

LAWS: dict[str, Callable[..., LinearLaw]] = {
    "power_law": power_law,
    "two_phase": two_phase,
    "benna_fusi": benna_fusi,
}


def as_law(law: str | LinearLaw) -> LinearLaw:
    """Return a law as given, or the one of this name with its defaults, or raise ``UnknownName``."""
    return law if isinstance(law, LinearLaw) else choose(LAWS, law, "law")()

"""Plasticity rules: how synapses change with the activity of the neurons they join. One file a rule."""

from __future__ import annotations

from mossy.arrays import choose
from mossy.plasticity.base import AdditiveRule, Rule, SummedRule, parameters
from mossy.plasticity.bcm import BCM
from mossy.plasticity.covariance import Covariance
from mossy.plasticity.delta import Delta
from mossy.plasticity.difference import Difference
from mossy.plasticity.hebb import Hebb
from mossy.plasticity.oja import Oja
from mossy.plasticity.projection import Projection
from mossy.plasticity.storkey import Storkey

__all__ = [
    "BCM",
    "RULES",
    "AdditiveRule",
    "Covariance",
    "Delta",
    "Difference",
    "Hebb",
    "Oja",
    "Projection",
    "Rule",
    "Storkey",
    "SummedRule",
    "as_rule",
    "parameters",
]

RULES: dict[str, type[Rule]] = {
    "difference": Difference,
    "hebb": Hebb,
    "oja": Oja,
    "covariance": Covariance,
    "bcm": BCM,
    "storkey": Storkey,
    "delta": Delta,
    "projection": Projection,
}


def as_rule(given: str | Rule) -> Rule:
    """Return the rule as given, or the one of this name with its defaults.

    Raises
    ------
    UnknownName
        If the registry holds no such name.
    """
    return given if isinstance(given, Rule) else choose(RULES, given, "rule")()

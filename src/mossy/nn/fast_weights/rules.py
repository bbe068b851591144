r"""How a token changes the fast weights: rules as data.

Every rule is a case of one law. Of the key ``k`` and the value ``v`` of a token at ``t``,

.. math::  S_t = α_t S_{t-1} + β_t\,(v_t - [\text{corrects}]\; α_t S_{t-1} k_t)\,k_t^\top, \qquad o_t = S_t q_t .

===============  ========  =====  ============================================================================
rule             corrects  fades  source
===============  ========  =====  ============================================================================
``linear``       no        no     linear attention without its normaliser, which is Hebb's rule: Katharopoulos et al.
                                  (2020), arXiv:2006.16236, eq. 16–20, but for ``z``; Schmidhuber (1992),
                                  doi:10.1162/neco.1992.4.1.131
``gated_linear`` no        yes    one gate a head, as in Mamba-2: Dao & Gu (2024), arXiv:2405.21060, section 2
``delta``        yes       no     Widrow and Hoff's rule: Schlag, Irie & Schmidhuber (2021), arXiv:2102.11174,
                                  eq. 24; in parallel: Yang et al. (2024), arXiv:2406.06484, section 3
``gated_delta``  yes       yes    Yang, Kautz & Hatamizadeh (2024), arXiv:2412.06464, eq. 10
===============  ========  =====  ============================================================================
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from mossy.arrays import choose

__all__ = ["RULES", "Rule", "as_rule"]


@final
@dataclass(frozen=True)
class Rule:
    """What a token writes.

    Parameters
    ----------
    name
        The name in the registry.
    corrects
        Whether it writes what the memory got wrong, ``v − α S k``, or all of ``v``. What is not corrected is additive,
        so a strength law can fade it.
    fades
        Whether a gate ``α`` shrinks what was written before.
    """

    name: str
    corrects: bool
    fades: bool


RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule("linear", corrects=False, fades=False),
        Rule("gated_linear", corrects=False, fades=True),
        Rule("delta", corrects=True, fades=False),
        Rule("gated_delta", corrects=True, fades=True),
    )
}


def as_rule(given: str | Rule) -> Rule:
    """Return a rule as given, or the one of this name, or raise ``UnknownName``."""
    return given if isinstance(given, Rule) else choose(RULES, given, "rule")

r"""Fading of the fast weights by a strength law: several matrices, each with its own rate, and one readout.

A law gives modes with the rates ``λ_m`` and the readout ``c_m`` (``mossy.strength``). What an additive rule writes is
an event that excites every mode by the same amount, so that a token written ``n`` tokens ago has the strength ``r(n)``:

.. math::  S^{(m)}_t = e^{-λ_m} S^{(m)}_{t-1} + v_t k_t^\top, \qquad S_t = \sum_m c_m S^{(m)}_t, \qquad
           r(n) = \sum_m c_m e^{-λ_m n}.

A gate is the same with one mode, ``λ = c = 1``, and a decay ``ln α_t`` that differs from token to token.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from mossy.arrays import check_number
from mossy.strength import LinearLaw, as_law

__all__ = ["Modes", "modes_of"]


class Modes(NamedTuple):
    """The modes of a law, for a time that runs by one a token: ``rates (m,)`` and ``readout (m,)``."""

    rates: Tensor
    readout: Tensor


def modes_of(law: str | LinearLaw, token: float = 1.0, dtype: torch.dtype = torch.float32) -> Modes:
    """Return the modes of a law of ``mossy.strength``, where one token takes ``token`` units of the law's time.

    Raises
    ------
    UnknownName, InvalidParameter
    """
    token = check_number(token, "token", 0, open_low=True)
    law = as_law(law)
    return Modes(torch.tensor(law.rates * token, dtype=dtype), torch.tensor(law.readout, dtype=dtype))

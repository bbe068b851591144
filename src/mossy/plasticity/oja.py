"""Oja's rule: Hebb's rule with a decay that keeps the weights bounded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from mossy.plasticity.base import Alphabet, Array, Rule, State, check_rate, initial_weights

__all__ = ["Oja"]


@final
@dataclass(frozen=True)
class Oja(Rule):
    """``Δw_ij = η y_i (x_j − y_i w_ij)``.

    With the post-activity given, each synapse moves towards ``x_j / y_i`` and later pairs overwrite earlier
    ones. With ``y = W·x`` of a single neuron it is the original: the weights become the first principal
    component.

    Parameters
    ----------
    rate
        ``η``, above 0 and below 2: with activities in [−1, 1] the weights then stay bounded.

    References
    ----------
    E. Oja (1982), doi:10.1007/BF00275687, equation 3.
    """

    rate: float = 0.1

    name: ClassVar[str] = "oja"
    local: ClassVar[bool] = True
    bounded: ClassVar[bool] = True
    additive: ClassVar[bool] = False
    order_invariant: ClassVar[bool] = False
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "bipolar"

    def __post_init__(self) -> None:
        check_rate(self, self.rate, high=2.0)

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return the weights."""
        return {"w": initial_weights(n_post, n_pre, weights)}

    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the weights after each pair in turn."""
        w = state["w"].copy()
        for x, y in zip(pre, post, strict=True):
            w *= (1.0 - self.rate * np.square(y))[:, None]
            w += (self.rate * y)[:, None] * x
        return {"w": w}

    def weights(self, state: State) -> Array:
        """Return ``w``."""
        return state["w"]

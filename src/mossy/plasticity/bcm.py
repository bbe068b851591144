"""The BCM rule: strong activity strengthens, weak activity weakens, and the border between them slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from mossy.arrays import check_number
from mossy.plasticity.base import Alphabet, Array, Rule, State, check_rate, initial_weights

__all__ = ["BCM"]


@final
@dataclass(frozen=True)
class BCM(Rule):
    """``Δw_ij = η y_i (y_i − θ_i) x_j``, then ``θ_i ← θ_i + (y_i² − θ_i)/τ``; ``θ_i`` starts at 0.

    A post-neuron that fires often raises its own threshold. With ``y = W·x`` that feedback bounds the
    weights; with the post-activity given, as in a memory, it does not.

    Parameters
    ----------
    rate
        ``η``, above 0.
    window
        ``τ``, the number of writes over which ``y²`` is averaged, at least 1.

    References
    ----------
    E. L. Bienenstock, L. N. Cooper and P. W. Munro (1982), doi:10.1523/JNEUROSCI.02-01-00032.1982;
    with the average of ``y²`` N. Intrator and L. N. Cooper (1992), doi:10.1016/S0893-6080(05)80003-6.
    """

    rate: float = 0.1
    window: float = 10.0

    name: ClassVar[str] = "bcm"
    local: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    additive: ClassVar[bool] = False
    order_invariant: ClassVar[bool] = False
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "binary"

    def __post_init__(self) -> None:
        check_rate(self, self.rate)
        check_number(self.window, "BCM.window", 1.0)

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return the weights, and a threshold of 0 for each post-neuron."""
        return {"w": initial_weights(n_post, n_pre, weights), "threshold": np.zeros(n_post)}

    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the weights and thresholds after each pair in turn."""
        w, threshold = state["w"].copy(), state["threshold"].copy()
        for x, y in zip(pre, post, strict=True):
            w += (self.rate * y * (y - threshold))[:, None] * x
            threshold += (np.square(y) - threshold) / self.window
        return {"w": w, "threshold": threshold}

    def weights(self, state: State) -> Array:
        """Return ``w``."""
        return state["w"]

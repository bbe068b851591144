"""The delta rule: change the synapses by what they got wrong."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from mossy.arrays import check_number
from mossy.plasticity.base import Alphabet, Array, Rule, State, check_rate, initial_weights

__all__ = ["Delta"]


@final
@dataclass(frozen=True)
class Delta(Rule):
    """``ΔW = η (y − Wx) xᵀ / (ε + ‖x‖²)``: Widrow and Hoff's rule with a normalised step.

    At ``η = 1`` the newest pair is recalled (almost) exactly, at the cost of older ones whose keys are
    similar.

    Parameters
    ----------
    rate
        ``η``, above 0 and below 2, where the error of the pair that is written shrinks.
    epsilon
        ``ε``, above 0, so that a silent key divides by no zero.

    References
    ----------
    B. Widrow and M. E. Hoff (1960), *Adaptive switching circuits*; the normalised step from J. Nagumo
    and A. Noda (1967), doi:10.1109/TAC.1967.1098599.
    """

    rate: float = 1.0
    epsilon: float = 1e-9

    name: ClassVar[str] = "delta"
    local: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    additive: ClassVar[bool] = False
    order_invariant: ClassVar[bool] = False
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "real"

    def __post_init__(self) -> None:
        check_rate(self, self.rate, high=2.0)
        check_number(self.epsilon, "Delta.epsilon", 0.0, open_low=True)

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return the weights."""
        return {"w": initial_weights(n_post, n_pre, weights)}

    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the weights after each pair in turn."""
        w = state["w"].copy()
        for x, y in zip(pre, post, strict=True):
            w += (self.rate / (self.epsilon + x @ x) * (y - w @ x))[:, None] * x
        return {"w": w}

    def weights(self, state: State) -> Array:
        """Return ``w``."""
        return state["w"]

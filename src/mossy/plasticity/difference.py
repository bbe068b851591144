"""The article's rule: a synapse grows by the difference of the two activities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from mossy.plasticity.base import AdditiveRule, Alphabet, Array, check_rate

__all__ = ["Difference"]


@final
@dataclass(frozen=True)
class Difference(AdditiveRule):
    """``Δw_ij = α (y_i − x_j)``: the article's ``w_ij(t+1) = w_ij(t) + α (a_i(t) − a_j(t))`` (its 4.2).

    It is here to reproduce the article. Within one population it is antisymmetric, it is silent when both
    neurons fire, it grows without bound, and it stores no pattern: the rank of all that it can ever write is
    two.

    Parameters
    ----------
    rate
        ``α``, above 0.
    """

    rate: float = 0.1

    name: ClassVar[str] = "difference"
    local: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    additive: ClassVar[bool] = True
    order_invariant: ClassVar[bool] = True
    one_shot: ClassVar[bool] = False
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "real"

    def __post_init__(self) -> None:
        check_rate(self, self.rate)

    def outer(self, pre: Array, post: Array) -> Array:
        """Return ``Σ (y_i − x_j)``."""
        change: Array = post.sum(axis=0)[:, None] - pre.sum(axis=0)[None, :]
        return change

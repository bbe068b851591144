"""The covariance rule: Hebb's rule on activities as they differ from their mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from mossy.arrays import check_number
from mossy.plasticity.base import AdditiveRule, Alphabet, Array, check_rate

__all__ = ["Covariance"]


@final
@dataclass(frozen=True)
class Covariance(AdditiveRule):
    """``Δw_ij = η (y_i − p)(x_j − q)`` with fixed means ``p`` and ``q``.

    For sparse binary patterns, where Hebb's rule only ever grows: unrelated patterns cancel instead. The
    means are parameters, not running averages, which is what keeps the rule additive and forgetting exact.

    Parameters
    ----------
    rate
        ``η``, above 0.
    pre_mean, post_mean
        ``q`` and ``p``, the expected activity of a pre- and of a post-neuron; for binary patterns the
        fraction that fires.

    References
    ----------
    T. J. Sejnowski (1977), doi:10.1007/BF00275079; for sparse patterns M. V. Tsodyks and M. V.
    Feigelman (1988), doi:10.1209/0295-5075/6/2/002.
    """

    rate: float = 1.0
    pre_mean: float = 0.5
    post_mean: float = 0.5

    name: ClassVar[str] = "covariance"
    local: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    additive: ClassVar[bool] = True
    order_invariant: ClassVar[bool] = True
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "binary"

    def __post_init__(self) -> None:
        check_rate(self, self.rate)
        check_number(self.pre_mean, "Covariance.pre_mean")
        check_number(self.post_mean, "Covariance.post_mean")

    def outer(self, pre: Array, post: Array) -> Array:
        """Return ``Σ (y_i − p)(x_j − q)``."""
        product: Array = (post - self.post_mean).T @ (pre - self.pre_mean)
        return product

"""Hebb's rule: neurons that fire together wire together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

from mossy.plasticity.base import AdditiveRule, Alphabet, Array, check_rate

__all__ = ["Hebb"]


@final
@dataclass(frozen=True)
class Hebb(AdditiveRule):
    """``Δw_ij = η y_i x_j``.

    Autoassociative memory of random bipolar patterns: up to about ``.138 n`` patterns in ``n`` neurons.

    Parameters
    ----------
    rate
        ``η``, above 0. Hopfield's ``1/n`` only scales the weights; ``sign`` does not see it.

    References
    ----------
    D. O. Hebb (1949), *The Organization of Behavior*; as a memory J. J. Hopfield (1982),
    doi:10.1073/pnas.79.8.2554, equation 2.
    """

    rate: float = 1.0

    name: ClassVar[str] = "hebb"
    local: ClassVar[bool] = True
    bounded: ClassVar[bool] = False
    additive: ClassVar[bool] = True
    order_invariant: ClassVar[bool] = True
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "bipolar"

    def __post_init__(self) -> None:
        check_rate(self, self.rate)

    def outer(self, pre: Array, post: Array) -> Array:
        """Return ``Σ y_i x_j``."""
        product: Array = post.T @ pre
        return product

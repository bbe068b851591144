"""Storkey's rule: Hebb's rule less what the stored patterns already say about the new one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from mossy.errors import InvalidInput, InvalidShape
from mossy.plasticity.base import Alphabet, Array, Rule, State, initial_weights

__all__ = ["Storkey"]


@final
@dataclass(frozen=True)
class Storkey(Rule):
    """``Δw_ij = (x_i x_j − x_i h_ji − h_ij x_j)/n`` with ``h_ij = Σ_{k≠i,j} w_ik x_k``; no self-connections.

    Autoassociative only (``y = x``), for bipolar patterns: it holds more of them than Hebb's rule does.
    Storkey calls it local, as ``h_ij`` arrives at neuron ``i``; by our definition it is not, since ``Δw_ij``
    depends on other synapses.

    Write each pattern once. The same patterns written over and over make the weights grow without bound at higher
    loads: after 100 times 20 patterns in 100 neurons some weights reach 10⁴ and more, after 100 times 5 patterns
    none is above .04.

    Raises
    ------
    InvalidShape
        From ``start``, if the two populations differ in size.
    InvalidInput
        From ``write``, if a post-pattern differs from its pre-pattern.

    References
    ----------
    A. J. Storkey (1997), doi:10.1007/BFb0020196, section 2.
    """

    name: ClassVar[str] = "storkey"
    local: ClassVar[bool] = False
    bounded: ClassVar[bool] = False
    additive: ClassVar[bool] = False
    order_invariant: ClassVar[bool] = False
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = True
    alphabet: ClassVar[Alphabet] = "bipolar"

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return the weights."""
        if n_post != n_pre:
            raise InvalidShape(
                f"Storkey: {n_pre} pre- and {n_post} post-neurons were given; the rule is autoassociative, "
                "so they must be equal. For pairs of different patterns use 'delta' or 'projection'."
            )
        return {"w": initial_weights(n_post, n_pre, weights)}

    def write(self, state: State, pre: Array, post: Array) -> State:
        """Return the weights after each pattern in turn."""
        if not np.array_equal(pre, post):
            raise InvalidInput(
                "Storkey: a post-pattern differs from its pre-pattern; the rule is autoassociative, so they "
                "must be equal. For pairs of different patterns use 'delta' or 'projection'."
            )
        w = state["w"].copy()
        for x in pre:
            others = w - np.diag(np.diag(w))
            field = (others @ x)[:, None] - others * x  # h_ij, but for k = i, j
            change = x[:, None] * x - x[:, None] * field.T - field * x
            np.fill_diagonal(change, 0.0)
            w += change / len(x)
        return {"w": w}

    def weights(self, state: State) -> Array:
        """Return ``w``."""
        return state["w"]

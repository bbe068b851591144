"""The projection rule: the weights that fit all pairs best, kept as two sums and solved when asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, final

import numpy as np

from mossy.arrays import check_number
from mossy.plasticity.base import Alphabet, Array, State, SummedRule

__all__ = ["Projection"]


@final
@dataclass(frozen=True)
class Projection(SummedRule):
    """``W = argmin ‖V − WK‖² + λ‖W − W(0)‖²``; the columns of ``K`` and ``V`` are all pairs written.

    That is ``W = B A⁻¹`` with ``A = KKᵀ + λI`` and ``B = VKᵀ + λW(0)``. The state holds ``KKᵀ`` and ``VKᵀ``
    in float64; they are sums over pairs, so the result is the same in any order and batching, and a pair is
    forgotten by subtraction.
    ``weights`` solves: ``O(n_pre³)``, so keep what it returns until the next write.

    Parameters
    ----------
    ridge
        ``λ``, above 0, in units of a squared activity. Small recalls stored pairs exactly; larger suits noisy
        keys.

    References
    ----------
    L. Personnaz, I. Guyon and G. Dreyfus (1985), doi:10.1051/jphyslet:01985004608035900; without
    self-connections I. Kanter and H. Sompolinsky (1987), doi:10.1103/PhysRevA.35.380. With ``λ`` it is ridge
    regression, A. E. Hoerl and R. W. Kennard (1970), doi:10.1080/00401706.1970.10488634.
    """

    ridge: float = 1e-3

    name: ClassVar[str] = "projection"
    local: ClassVar[bool] = False
    bounded: ClassVar[bool] = True
    additive: ClassVar[bool] = False
    order_invariant: ClassVar[bool] = True
    one_shot: ClassVar[bool] = True
    autoassociative: ClassVar[bool] = False
    alphabet: ClassVar[Alphabet] = "real"

    def __post_init__(self) -> None:
        check_number(self.ridge, "Projection.ridge", 0.0, open_low=True)

    def start(self, n_post: int, n_pre: int, weights: Array | None = None) -> State:
        """Return empty sums, beside the weights to start with if there are any."""
        state: State = {"gram": np.zeros((n_pre, n_pre)), "cross": np.zeros((n_post, n_pre))}
        return state if weights is None else {**state, "initial": np.array(weights, dtype=np.float64)}

    def contribution(self, pre: Array, post: Array) -> State:
        """Return ``KKᵀ`` and ``VKᵀ`` of these pairs."""
        return {"gram": pre.T @ pre, "cross": post.T @ pre}

    def possible(self, state: State, flow: float) -> bool:
        """Whether ``KKᵀ`` has no negative eigenvalue (beyond rounding): no set of keys gives one."""
        return bool(np.linalg.eigvalsh(state["gram"])[0] >= -1e-12 * flow)

    def weights(self, state: State) -> Array:
        """Return ``B A⁻¹``; ``λ`` is never less than float64 can still tell beside ``KKᵀ``."""
        cross, gram = state["cross"], state["gram"]
        ridge = max(self.ridge, float(np.trace(gram)) * len(gram) * np.finfo(np.float64).eps)
        if "initial" in state:
            cross = cross + ridge * state["initial"]
        a = gram + ridge * np.eye(len(gram))
        solved: Array = np.linalg.solve(a, cross.T).T  # A is symmetric
        return np.ascontiguousarray(solved)

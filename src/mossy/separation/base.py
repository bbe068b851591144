"""What every separation is: how reading chooses among memories."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Separation", "in_order"]


class Separation(ABC):
    """From evidence ``e (..., n)`` to activities ``a (..., n)`` of the index neurons.

    An entry ``-inf`` is an index neuron that isn't there: its activity is 0.

    Attributes
    ----------
    name
        The name in the registry.
    parameters
        What it was made from, so that ``SEPARATIONS[name](**parameters)`` makes it again.
    shift_invariant
        Whether ``separation(e + c) = separation(e)`` for every constant ``c``. Separations that are not
        need a similarity in which unrelated patterns have the evidence 0 (dot or cosine).
    """

    name: ClassVar[str]
    parameters: dict[str, Any]
    shift_invariant: ClassVar[bool]

    @abstractmethod
    def reach(self, n: int) -> float:
        """How far below the best of ``n`` evidences another can lie and still be active."""

    @abstractmethod
    def activity(self, evidence: NDArray[Any], n: int) -> NDArray[np.float64]:
        """Return the activities ``(..., w)`` of those of ``n`` memories that are within reach of the best.

        Where the separation is shift invariant, they are a distribution.
        """

    @abstractmethod
    def conjugate(self, evidence: NDArray[Any]) -> NDArray[np.float64]:
        """Return ``Ω*(e) (...)``, whose gradient the activity follows; the energy is ``-Ω*(e)`` and what the cue adds.

        Santos, Niculae, McNamee & Martins (2024), Hopfield–Fenchel–Young networks, arXiv:2411.08590.
        """


def in_order(terms: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum the last axis, ``(..., 1)``, entry by entry: zeros at the end of a padded line change no bit of it."""
    return np.cumsum(terms, axis=-1)[..., -1:]

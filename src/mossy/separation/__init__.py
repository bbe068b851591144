"""Separations: how reading chooses among memories. One file each."""

from __future__ import annotations

from collections.abc import Callable

from mossy.arrays import choose
from mossy.separation.base import Separation
from mossy.separation.entmax import Entmax
from mossy.separation.linear import Linear
from mossy.separation.polynomial import Polynomial
from mossy.separation.softmax import Softmax
from mossy.separation.sparsemax import Sparsemax
from mossy.separation.winner import Winner

__all__ = [
    "SEPARATIONS",
    "Entmax",
    "Linear",
    "Polynomial",
    "Separation",
    "Softmax",
    "Sparsemax",
    "Winner",
    "as_separation",
]

SEPARATIONS: dict[str, Callable[..., Separation]] = {
    "linear": Linear,
    "polynomial": Polynomial,
    "softmax": Softmax,
    "sparsemax": Sparsemax,
    "entmax": Entmax,
    "winner": Winner,
}


def as_separation(separation: str | Separation) -> Separation:
    """Return a separation as given, or the one of this name, or raise ``UnknownName``."""
    if isinstance(separation, Separation):
        return separation
    return choose(SEPARATIONS, separation, "separation")()

"""Drawing memories by odds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_integer

__all__ = ["draw", "generator"]


def generator(seed: int | np.random.Generator) -> np.random.Generator:
    """Return a generator as given, or one of this seed, or raise ``InvalidParameter``."""
    return (
        seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_integer(seed, "replay.seed", 0))
    )


def draw(log_odds: NDArray[np.float64], n: int, random: np.random.Generator) -> NDArray[np.intp]:
    """Draw ``n`` without repeats, with odds given as logarithms: the greatest of ``ln odds + Gumbel noise``."""
    return np.argsort(-(log_odds + random.gumbel(size=len(log_odds))), kind="stable")[:n]

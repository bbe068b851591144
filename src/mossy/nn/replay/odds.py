r"""Which examples are replayed, and which stay when not all can.

Example ``i`` of class ``c`` is replayed with odds

.. math::  p_i \propto \frac{w_i}{\sum_{j \in c} w_j}, \qquad
           w_i = 1 \;\text{(uniform)},\quad s_i \;\text{(strength)},\quad s_i u_i \;\text{(surprise)}

so that every class comes equally often. ``s`` is the strength and ``u`` the loss that was told last.

An example stays by its lot, the least of each class first. Where ``E_i`` is drawn once from the exponential
distribution, and ``r(t)`` is the strength that age alone leaves,

.. math::  \text{lot}_i = E_i \,\frac{r(t_i)}{s_i} \;\text{(reservoir)}, \qquad -s_i \;\text{(strong)}

so a reservoir is a random sample of all that came, weighed by what reinforcement has added to the strength.

Sources: J. S. Vitter (1985), doi:10.1145/3147.3165, and P. Efraimidis and P. Spirakis (2006),
doi:10.1016/j.ipl.2005.11.003, reservoirs without and with weights; A. Prabhu, P. Torr and P. Dokania (2020),
doi:10.1007/978-3-030-58536-5_31, classes that share the room evenly; T. Schaul et al. (2016), arXiv:1511.05952,
replay by surprise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["BY", "KEEP", "balanced", "staying"]

Floats = NDArray[np.float64]
Codes = NDArray[np.integer[Any]]

LEAST, MOST = 1e-30, 1e30  # a surprise beyond them counts as much

# ln w of each, of ln s and of u, NaN where nothing was told: what is told greatest is then what counts.
BY: dict[str, Callable[[Floats, Floats], Floats]] = {
    "uniform": lambda log_s, u: np.zeros(len(u)),
    "strength": lambda log_s, u: log_s,
    "surprise": lambda log_s, u: log_s + np.log(np.clip(_told(u), LEAST, MOST)),
}

# The lot of each, of ln s, of the ln s that age alone leaves, and of E.
KEEP: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "reservoir": lambda log_s, log_r, drawn: drawn * np.exp(log_r - log_s),
    "strong": lambda log_s, log_r, drawn: -log_s,
}


def _told(u: Floats) -> Floats:
    missing = np.isnan(u)
    if not missing.any():
        return u
    return np.where(missing, 1.0 if missing.all() else np.nanmax(u), u)


def balanced(log_w: Floats, codes: Codes) -> Floats:
    """Return the logarithm of the odds ``p (n,)``, up to a constant, of ``ln w (n,)`` in classes ``codes (n,)``."""
    best = np.full(int(codes.max(initial=0)) + 1, -np.inf)
    np.maximum.at(best, codes, log_w)
    raised = log_w - best[codes]
    return np.asarray(raised - np.log(np.bincount(codes, np.exp(raised)))[codes])


def staying(lots: Floats, codes: Codes, room: int) -> NDArray[np.bool_]:
    """Return which of ``n`` examples stay where there is room for ``room``: the classes share it evenly.

    As if from the largest class the one of the greatest lot were let go, until the rest fits.
    """
    sizes = np.bincount(codes)
    level = _level(sizes, room)
    stay = np.ones(len(codes), np.bool_)
    last = []  # of each class that has more, the one that comes next
    for code in np.flatnonzero(sizes > level):
        rows = np.flatnonzero(codes == code)
        order = rows[np.argpartition(lots[rows], level)]
        stay[order[level:]] = False
        last.append(order[level])
    rest = np.array(last, np.intp)
    stay[rest[np.argsort(lots[rest], kind="stable")][: room - int(stay.sum())]] = True
    return stay


def _level(sizes: NDArray[np.intp], room: int) -> int:
    """Return how many every class may keep at least: the greatest ``q`` with ``Σ min(size, q) ≤ room``."""
    rising = np.sort(sizes)
    before = np.cumsum(rising) - rising
    levels = (room - before) // np.arange(len(rising), 0, -1)
    below = np.flatnonzero(levels < rising)
    return int(levels[below[0]]) if len(below) else int(rising[-1])

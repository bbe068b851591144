r"""Two histories of one memory become one: its strength, and each of its links, mode by mode the greater.

.. math::  z_k = \max(z_k^{\text{here}}, z_k^{\text{there}}), \qquad \text{both as they are at the later of their times}

Both fade by the same factors, so that the greater stays the greater: it does not matter when, how often and in which
order histories are joined. Where one of two copies was reinforced and the other was not, the one that was is left. What
was reinforced in both is not added up, since nothing tells which events they share.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mossy.strength import LinearLaw

__all__ = ["LEAST", "Linked", "join", "join_links"]

LEAST = 1e-30  # every mode of a strength is at least this

Modes = NDArray[np.float32]


class Linked(NamedTuple):
    """The links of a memory: the ids ``(k,)`` of others, modes ``(k, m)``, and when these were current."""

    ids: list[int]
    modes: NDArray[np.float16]
    when: float


def join(
    law: LinearLaw, modes: Modes, when: NDArray[np.float64], others: Modes, others_when: NDArray[np.float64]
) -> tuple[Modes, NDArray[np.float64], NDArray[np.bool_]]:
    """Return the joined modes ``(n, m)``, when they are current ``(n,)``, and which of them are new ``(n,)``."""
    later = np.maximum(when, others_when)
    mine = _later(law, modes, later - when)
    theirs = _later(law, others, later - others_when)
    new: NDArray[np.bool_] = np.asarray((theirs > mine).any(axis=1))
    joined = np.where(new[:, None], np.maximum(np.maximum(mine, theirs), np.float32(LEAST)), modes)
    return joined, np.where(new, later, when), new


def join_links(law: LinearLaw, most: int, here: Linked, there: Linked) -> Linked | None:
    """Return the ``most`` strongest of the joined links, None if these are the links that are there already.

    ``law`` is that of links.
    """
    later = max(here.when, there.when) if here.ids else there.when
    mine, theirs = (_linked_later(law, linked, later - linked.when) for linked in (here, there))
    joined: dict[int, Any] = dict(zip(here.ids, mine, strict=True))
    for id, modes in zip(there.ids, theirs, strict=True):
        joined[id] = np.maximum(joined[id], modes) if id in joined else modes
    strength = {id: float(law.strength(modes.astype(np.float64))) for id, modes in joined.items()}
    strongest = set(sorted(joined, key=lambda id: (-strength[id], id))[:most])
    kept = [id for id in joined if id in strongest]
    if kept == here.ids and all((joined[id] == one).all() for id, one in zip(here.ids, mine, strict=True)):
        return None
    return Linked(kept, np.array([joined[id] for id in kept], np.float16).reshape(len(kept), law.modes), later)


def _later(law: LinearLaw, modes: Modes, elapsed: NDArray[np.float64]) -> Modes:
    return np.asarray(law.decay(modes, elapsed), np.float32)


def _linked_later(law: LinearLaw, linked: Linked, elapsed: float) -> NDArray[np.float16]:
    return np.asarray(law.decay(linked.modes.astype(np.float64), np.full(len(linked.ids), elapsed)), np.float16)

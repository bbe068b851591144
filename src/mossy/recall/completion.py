"""Completion: a cue settles into what is stored."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mossy.pathway.vector import Vector
from mossy.recall.evidence import Evidence
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["settle"]

RESOLUTION = 2.0**-24  # of float32

Rows = NDArray[np.intp]


def settle(
    index: Index,
    vector: Vector,
    cues: NDArray[np.float64],
    known: NDArray[np.bool_] | None,
    prepared: Cues,
    table: Evidence,
    activity: NDArray[np.float64],
    steps: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    r"""Complete the cues: ``q ← Σ a_i k_i`` with the known entries clamped, until ``q`` stays or ``steps`` are done.

    When one memory alone is active, that is the answer, and completion ends. ``cues (c, d)`` are 0 where unknown.
    The first step reads with all the evidence in ``table``. Prior and pathways enter only there: the further steps
    follow the similarity of the whole state alone, so that with euclidean or dot similarity, and a separation that is a
    distribution, each lowers the energy

    .. math::  E(q) = -Ω^*(β\,\mathrm{sim}(K, q)) \quad (+\; ½β‖q‖²/σ² \text{ for dot})

    Returns
    -------
    tuple
        The outputs ``Σ a_i v_i (c, d_value)``, the steps that were taken ``(c,)``, the energies ``(c,)``.
    """
    taken = np.ones(len(activity), np.int64)
    energy = index.beta * index.similarity.cue_energy(prepared) - index.separation.conjugate(table.total)
    output = index.values[table.rows[:, 0]]  # all that is left to do for a neuron that is active alone
    active = [(i, a != 0) for i, a in enumerate(activity) if a[0] != 1.0]
    excited = {i: (table.rows[i, there], activity[i, there]) for i, there in active}
    state = {i: cues[i] for i in excited}
    moving = list(excited)
    for step in range(2, steps + 1):
        alone = {i for i in moving if excited[i][1].max(initial=0.0) == 1.0}
        moving = [i for i in moving if i not in alone and _move(index, state, i, excited[i], cues, known)]
        if not moving:
            break
        now = index.prepare(np.array([state[i] for i in moving]), None)
        which, rows = vector.find(index, now, index.separation.reach(len(index)) / index.beta, 0.0, 1, None)
        evidence = index.beta * index.exact(now, which, rows)
        own = np.broadcast_to(index.beta * index.similarity.cue_energy(now), len(moving))
        for place, (first, last) in enumerate(pairwise(np.searchsorted(which, np.arange(len(moving) + 1)))):
            i, a = moving[place], index.separation.activity(evidence[first:last], len(index))
            excited[i] = rows[first:last][a != 0], a[a != 0]
            taken[i] = step
            energy[i] = own[place] - float(index.separation.conjugate(evidence[first:last]))
    for i, (rows, a) in excited.items():
        output[i] = index.project(rows, a)
    return output, taken, energy


def _move(
    index: Index,
    state: dict[int, NDArray[np.float64]],
    i: int,
    excited: tuple[Rows, NDArray[np.float64]],
    cues: NDArray[np.float64],
    known: NDArray[np.bool_] | None,
) -> bool:
    """Move the state of cue ``i`` to what is excited, and say whether it moved by more than float32 can tell."""
    rows, a = excited
    new: NDArray[np.float64] = a @ index.keys[rows].astype(np.float64)
    if known is not None:
        mask = known[i % len(known)]
        new[mask] = cues[i, mask]
    moved = bool(np.abs(new - state[i]).max() > RESOLUTION * np.abs(new).max())
    state[i] = new
    return moved

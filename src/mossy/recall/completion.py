"""Completion: a cue settles into what is stored."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mossy.recall.evidence import Evidence
from mossy.substrate.index import Index

__all__ = ["settle"]

Rows = NDArray[np.intp]


def settle(
    index: Index,
    cues: NDArray[np.float64],
    known: NDArray[np.bool_] | None,
    table: Evidence,
    activity: NDArray[np.float64],
    steps: int,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float64]]:
    r"""Complete the cues: ``q ← Σ a_i k_i`` with the known entries clamped, until ``q`` stays or ``steps`` are done.

    The first step reads with all the evidence in ``table``. Prior and pathways enter only there: the further steps
    follow the similarity alone, so that with euclidean or dot similarity each lowers the energy

    .. math::  E(q) = -Ω^*(β\,\mathrm{sim}(K, q)) \quad (+\; ½β‖q‖²/σ² \text{ for dot})

    Returns
    -------
    tuple
        The outputs ``Σ a_i v_i (c, d_value)``, the steps that were taken ``(c,)``, the energies ``(c,)``.
    """
    c = len(cues)
    output = np.empty((c, index.values.shape[1]), np.float32)
    taken = np.ones(c, np.int64)
    energy = -index.separation.conjugate(table.total)
    state = cues.copy()
    lines: dict[int, tuple[Rows, NDArray[np.float64]]] = {}
    sharp = activity[:, 0] == 1.0
    output[sharp] = index.values[table.rows[sharp, 0]]
    for i in np.flatnonzero(~sharp).tolist():
        active = np.flatnonzero(activity[i])
        lines[i] = (table.rows[i, active], activity[i, active])
    moving = sorted(lines) if steps > 1 else []
    for step in range(1, steps):
        if not moving:
            break
        still = []
        for i in moving:
            rows, a = lines[i]
            new = a @ index.keys[rows].astype(np.float64)
            if known is not None:
                mask = known[i] if len(known) > 1 else known[0]
                new[mask] = cues[i, mask]
            if not np.array_equal(new, state[i]):
                still.append(i)
                state[i] = new
        moving = still
        if not moving:
            break
        prepared = index.prepare(state[moving], None)
        which, found = index.scan(prepared, None, index.separation.reach(len(index)) / index.beta, 0.0, 1)
        evidence = index.beta * index.exact(prepared, which, found)
        bounds = np.searchsorted(which, np.arange(len(moving) + 1))
        for place, i in enumerate(moving):
            part = slice(bounds[place], bounds[place + 1])
            a = index.separation.activity(evidence[part])
            lines[i] = (found[part][a != 0], a[a != 0])
            taken[i] = step + 1
            energy[i] = -float(index.separation.conjugate(evidence[part]))
    for i, (rows, a) in lines.items():
        output[i] = index.project(rows, a)
    return output, taken, energy

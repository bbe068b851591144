"""Recall: from cues to memories. What it returns, and why it returned it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.pathway import Links
from mossy.similarity import Cues
from mossy.strength import TOLERANCE, LinearLaw, Strengths
from mossy.substrate.index import Index

__all__ = ["DEEPEST", "Evidence", "Explanation", "Recall", "Settings", "gather", "prior", "settle"]

DEEPEST = 20.0  # L: below exp(-20) of the strongest, all memories count as equally faded

Rows = NDArray[np.intp]


@dataclass(frozen=True)
class Settings:
    """How a memory recalls.

    Attributes
    ----------
    delta
        δ: the difference in similarity that no difference in strength can outweigh.
    gain
        ``g_a``: the evidence of one unit of association.
    """

    delta: float
    gain: float


def prior(log_strength: NDArray[Any], log_strongest: float, beta: float, delta: float) -> NDArray[Any]:
    r"""Return the evidence that strengths give, from ``-βδ`` to 0.

    .. math::  \text{prior}_i = κ·\max(\ln(s_i/s_{max}), -L), \qquad κL = βδ,\; L = 20

    So if ``sim_i > sim_j + δ``, no ages can put ``j`` above ``i``.
    """
    return beta * delta / DEEPEST * np.clip(log_strength - log_strongest, -DEEPEST, 0.0)


@dataclass
class Evidence:
    """What speaks for each memory that may be active, for a batch of ``c`` cues, as a padded table.

    Attributes
    ----------
    rows
        ``(c, w)``: the index neurons; the order in each line is by falling evidence.
    similarity, prior, association
        ``(c, w)``: the parts, in units of evidence, ``-inf``-padded where a line is shorter.
    total
        ``(c, w)``: their sum.
    fit
        ``(c, w)``: the bare similarity.
    """

    rows: Rows
    similarity: NDArray[np.float64]
    prior: NDArray[np.float64]
    association: NDArray[np.float64]
    total: NDArray[np.float64]
    fit: NDArray[np.float64]


def gather(
    index: Index, strengths: Strengths, links: Links | None, cues: Cues, k: int, settings: Settings, now: float
) -> Evidence:
    """Return the evidence for every memory that is among the ``k`` best of a cue or can be active for it.

    Parameters
    ----------
    index, strengths, links
        The memories.
    cues
        As ``index.prepare`` made them.
    k
        From 1 to the number of memories.
    settings
        δ and the gain of association.
    now
        The time.
    """
    beta, delta = index.beta, settings.delta
    bias = None
    slack = 0.0
    strongest = 0.0
    if delta > 0:
        logs = strengths.log_all(now)
        strongest = float(logs.max())
        bias = prior(logs, strongest, 1.0, delta)
        slack = 2 * delta / DEEPEST * TOLERANCE + 1e-6 * delta
    reach = index.separation.reach(len(index))
    which, rows = index.scan(cues, bias, reach / beta, slack, k)
    fit = index.exact(cues, which, rows)
    return _arrange(index, strengths, links, cues, k, settings, now, strongest, reach, which, rows, fit)


def _arrange(
    index: Index,
    strengths: Strengths,
    links: Links | None,
    cues: Cues,
    k: int,
    settings: Settings,
    now: float,
    strongest: float,
    reach: float,
    which: Rows,
    rows: Rows,
    fit: NDArray[np.float64],
) -> Evidence:
    c = len(cues.exact)
    faded = _exact_prior(strengths, rows, strongest, index.beta, settings.delta, now)
    table = _table(c, which, rows, fit, faded, index.beta, np.zeros(len(rows)))
    if links is not None and settings.gain > 0:
        first = _trim(table, k, reach)
        which, rows, fit, linked = _associate(index, links, cues, first, settings.gain, now)
        faded = _exact_prior(strengths, rows, strongest, index.beta, settings.delta, now)
        table = _table(c, which, rows, fit, faded, index.beta, linked)
    return _trim(table, k, reach)


def _exact_prior(
    strengths: Strengths, rows: Rows, strongest: float, beta: float, delta: float, now: float
) -> NDArray[np.float64]:
    if delta == 0:
        return np.zeros(len(rows))
    return prior(strengths.log(rows, now), strongest, beta, delta)


def _table(
    c: int,
    which: Rows,
    rows: Rows,
    fit: NDArray[np.float64],
    faded: NDArray[np.float64],
    beta: float,
    linked: NDArray[np.float64],
) -> Evidence:
    """Arrange pairs, ordered by cue and row, as a padded table, each line by falling evidence (equals by row)."""
    similarity = beta * fit
    total = similarity + faded + linked
    order = np.lexsort((rows, -total, which)) if len(rows) > 1 else np.zeros(1, np.intp)
    counts = np.bincount(which, minlength=c)
    width = int(counts.max())
    if c == 1:
        place: Any = (np.zeros(1, np.intp)[:, None], np.arange(width)[None])
        return Evidence(*(part[order][None] for part in (rows, similarity, faded, linked, total, fit)))
    place = (which, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts))

    def pad(part: NDArray[Any], empty: float) -> NDArray[Any]:
        padded = np.full((c, width), empty, part.dtype)
        padded[place] = part[order]
        return padded

    return Evidence(
        pad(rows, 0), pad(similarity, -np.inf), pad(faded, 0.0), pad(linked, 0.0), pad(total, -np.inf), pad(fit, -np.inf)
    )


def _trim(table: Evidence, k: int, reach: float) -> Evidence:
    """Drop what is neither among the ``k`` best nor within ``reach`` of the best."""
    width = table.total.shape[1]
    if width <= k:
        return table
    near = table.total >= table.total[:, :1] - reach
    near[:, :k] = True
    table.total[~near] = -np.inf
    widest = int(near.sum(axis=1).max())
    if widest == width:
        return table
    return Evidence(
        *(
            part[:, :widest]
            for part in (table.rows, table.similarity, table.prior, table.association, table.total, table.fit)
        )
    )


def _associate(
    index: Index, links: Links, cues: Cues, table: Evidence, gain: float, now: float
) -> tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]]:
    """Return the pairs again, those that the active memories are linked with added, and their association ``g_a·(Lᵀa)``."""
    activity = index.separation.activity(table.total)
    every: list[tuple[Rows, Rows, NDArray[np.float64]]] = []
    for i in range(len(table.rows)):
        there = np.isfinite(table.total[i])
        active = there & (activity[i] > 0)
        reached, amount = links.spread(table.rows[i, active], activity[i, active], now)
        rows = np.union1d(table.rows[i, there], reached)
        linked = np.zeros(len(rows))
        linked[np.searchsorted(rows, reached)] = gain * amount
        every.append((np.full(len(rows), i), rows, linked))
    which, rows, linked = (np.concatenate([one[part] for one in every]) for part in range(3))
    return which, rows, index.exact(cues, which, rows), linked


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
    for i in np.flatnonzero(~sharp):
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


@dataclass(frozen=True)
class Explanation:
    """Why one memory was recalled: the parts of its evidence, which sum to ``evidence``.

    Attributes
    ----------
    id
        The memory.
    similarity
        ``β·sim``: how well its key fits the cue.
    prior
        What its strength adds: 0 for the strongest memory, less for others, never less than ``-βδ``.
    association
        What its links to other active memories add.
    evidence
        The sum of the three.
    probability
        ``separation(evidence)``: its share among all memories.
    fit
        The bare similarity.
    strength, short, long
        How strong the memory was when it was recalled: ``short + long = strength``.
    """

    id: int
    similarity: float
    prior: float
    association: float
    evidence: float
    probability: float
    fit: float
    strength: float
    short: float
    long: float

    def __str__(self) -> str:
        """Return one line that a person can read."""
        return (
            f"memory {self.id}: evidence {self.evidence:.4g} = similarity {self.similarity:.4g} (fit {self.fit:.4g})"
            f" + prior {self.prior:.4g} (strength {self.strength:.3g}: short {self.short:.3g}, long {self.long:.3g})"
            f" + association {self.association:.4g}; probability {self.probability:.4g}"
        )


@dataclass(frozen=True, repr=False)
class Recall:
    """What a recall returns. For one cue the first axis is gone; ``k`` is the number of memories asked for.

    Attributes
    ----------
    pattern
        ``(c, d_value)``: the output ``Σ a_i v_i`` after completion, float32.
    ids
        ``(c, k)``: the memories with the most evidence, best first.
    payload
        For each cue a list of the ``k`` payloads.
    probability
        ``(c, k)``: ``separation(evidence)``, over all memories.
    strength
        ``(c, k, 2)``: the short and the long part of their strengths when they were recalled.
    energy
        ``(c,)``: the energy of the state in which the recall ended, in units of evidence; the lower, the more familiar.
    familiar
        ``(c,)``: whether the best memory fits well enough to be reinforced.
    steps
        ``(c,)``: how many steps of completion were taken.
    """

    pattern: NDArray[np.float32]
    ids: NDArray[np.int64]
    payload: list[Any]
    probability: NDArray[np.float64]
    energy: Any
    familiar: Any
    steps: Any
    _parts: NDArray[np.float64] = field(repr=False)
    _modes: NDArray[np.float64] = field(repr=False)
    _law: LinearLaw = field(repr=False)

    @property
    def strength(self) -> NDArray[np.float64]:
        """``(c, k, 2)``: short and long part."""
        return np.asarray(self._modes @ self._law.parts.T)

    def explain(self) -> list[Any]:
        """Return an ``Explanation`` of each memory: a list of ``k`` for one cue, a list of such lists for a batch."""
        if self.ids.ndim == 1:
            return self._explain(self.ids, self.probability, self._parts, self.strength)
        return [
            self._explain(*line) for line in zip(self.ids, self.probability, self._parts, self.strength, strict=True)
        ]

    @staticmethod
    def _explain(
        ids: NDArray[np.int64],
        probability: NDArray[np.float64],
        parts: NDArray[np.float64],
        strength: NDArray[np.float64],
    ) -> list[Explanation]:
        return [
            Explanation(
                id=int(ids[i]),
                similarity=float(parts[i, 0]),
                prior=float(parts[i, 1]),
                association=float(parts[i, 2]),
                evidence=float(parts[i, 3]),
                probability=float(probability[i]),
                fit=float(parts[i, 4]),
                strength=float(strength[i].sum()),
                short=float(strength[i, 0]),
                long=float(strength[i, 1]),
            )
            for i in range(len(ids))
        ]

    def __len__(self) -> int:
        """Return the number of memories (one cue) or of cues (a batch)."""
        return len(self.ids)

    def __repr__(self) -> str:
        """Return the ids, their payloads and probabilities, the rest is an attribute away."""
        shown: Sequence[Any] = self.payload[:3]
        dots = ", …" if len(self.payload) > 3 else ""
        return (
            f"Recall(ids={self.ids.tolist() if self.ids.size <= 12 else self.ids.shape}, "
            f"payload=[{', '.join(repr(one) for one in shown)}{dots}], probability={np.round(self.probability, 4).tolist()})"
            if self.ids.size <= 12
            else f"Recall(of {len(self.ids)} cues, k={self.ids.shape[1]})"
        )

"""Evidence: what speaks for each memory, given a cue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.pathway import Links
from mossy.pathway.vector import Exact, Fading, Vector
from mossy.similarity import Cues
from mossy.strength import Strengths
from mossy.substrate.index import Index

__all__ = ["DEEPEST", "Evidence", "Settings", "gather", "prior"]

EXACT = Exact()
HEAVY = 0.02  # δ from which strengths take part in the search
DEEPEST = 20.0  # L: strengths that lie further apart than exp(L/2) count as no further

Rows = NDArray[np.intp]
Pairs = tuple[Rows, Rows, NDArray[np.float64], NDArray[np.float64]]  # cue, row, similarity, association


@dataclass(frozen=True)
class Settings:
    """How a memory recalls.

    Attributes
    ----------
    delta
        δ: the difference in similarity that no difference in strength can outweigh.
    gain
        ``g_a``: the evidence of one unit of association.
    familiar
        How far on the way from an unrelated key to a perfect fit recognition begins, from 0 to 1.
    """

    delta: float
    gain: float
    familiar: float = 0.75


def prior(log_strength: NDArray[Any], log_reference: NDArray[Any], beta: float, delta: float) -> NDArray[Any]:
    r"""Return the evidence that strengths give, between ``-βδ/2`` and ``βδ/2``.

    .. math::  \text{prior}_i = κ·\operatorname{clip}(\ln(s_i/s_{best}), -L/2, L/2), \qquad κL = βδ,\; L = 20

    ``s_best`` is the strength of the memory that fits the cue best, whose prior is 0. So if ``sim_i > sim_j + δ``,
    no ages can put ``j`` above ``i``.
    """
    ratio = np.minimum(np.maximum(log_strength - log_reference, -DEEPEST / 2), DEEPEST / 2)
    return np.asarray(beta * delta / DEEPEST * ratio)


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

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> Evidence:
        """Return the table with every array changed in the same way."""
        return Evidence(**{part.name: change(getattr(self, part.name)) for part in fields(self)})


def gather(
    index: Index,
    vector: Vector,
    strengths: Strengths,
    links: Links | None,
    cues: Cues,
    k: int,
    settings: Settings,
    now: float,
) -> Evidence:
    """Return the evidence for every memory that is among the ``k`` best of a cue or can be active for it.

    Parameters
    ----------
    index, vector, strengths, links
        The memories, and the pathway by which those that fit are found.
    cues
        As ``index.prepare`` made them.
    k
        From 1 to the number of memories.
    settings
        δ and the gain of association.
    now
        The time.
    """
    reach = index.separation.reach(len(index))
    fading = _fading(strengths, settings.delta, now)
    if fading is None and settings.delta >= HEAVY:
        vector = EXACT  # what strengths may still change is more than other pathways can keep
    which, rows = vector.find(index, cues, reach / index.beta, settings.delta, k, fading)
    fit = index.exact(cues, which, rows)
    linked = np.zeros(len(rows))
    table = _table(index, strengths, len(cues.exact), (which, rows, fit, linked), settings, now)
    if links is not None and settings.gain > 0:
        pairs = _associate(index, links, cues, _trim(table, k, reach), settings.gain, now)
        table = _table(index, strengths, len(cues.exact), pairs, settings, now)
    return _trim(table, k, reach)


def _fading(strengths: Strengths, delta: float, now: float) -> Fading | None:
    """Return how strengths enter the search, if they weigh enough to be looked at before similarity has decided.

    They do not where two strengths lie so far apart that the prior is clipped: it then depends on the memory that fits
    best, which is not known yet.
    """
    if delta < HEAVY:
        return None
    logs = strengths.refreshed(now)
    top, bottom = float(logs.max()), float(logs.min())
    if bottom == -np.inf:  # of a silent row
        bottom = float(logs.min(where=logs > -np.inf, initial=top))
    if top - bottom > DEEPEST / 2 - strengths.tolerance:
        return None
    weight = delta / DEEPEST
    return Fading(weight, logs, top, weight * strengths.tolerance)


def _prior(
    strengths: Strengths, which: Rows, rows: Rows, fit: NDArray[np.float64], beta: float, delta: float, now: float
) -> NDArray[np.float64]:
    if delta == 0:
        return np.zeros(len(rows))
    logs = strengths.log(rows, now)
    if not which[-1]:  # one cue, whose rows rise: of equals, the first
        return prior(logs, logs[fit.argmax()], beta, delta)
    order = np.lexsort((rows, -fit, which))
    best = order[np.flatnonzero(np.diff(which[order], prepend=-1))]  # of each cue, the row that fits best
    return prior(logs, logs[best][which], beta, delta)


def _table(index: Index, strengths: Strengths, c: int, pairs: Pairs, settings: Settings, now: float) -> Evidence:
    """Arrange pairs, ordered by cue and row, as a padded table, each line by falling evidence (equals by row)."""
    which, rows, fit, linked = pairs
    similarity = index.beta * fit
    faded = _prior(strengths, which, rows, fit, index.beta, settings.delta, now)
    total = similarity + faded + linked
    if c == 1:  # its rows rise
        order = np.argsort(-total, kind="stable")[None]
        return Evidence(rows[order], similarity[order], faded[order], linked[order], total[order], fit[order])
    order = np.lexsort((rows, -total, which))
    counts = np.bincount(which, minlength=c)
    width = int(counts.max())
    place = (which, np.arange(len(rows)) - np.repeat(np.cumsum(counts) - counts, counts))

    def pad(part: NDArray[Any], empty: float) -> NDArray[Any]:
        padded = np.full((c, width), empty, part.dtype)
        padded[place] = part[order]
        return padded

    return Evidence(
        pad(rows, 0),
        pad(similarity, -np.inf),
        pad(faded, 0.0),
        pad(linked, 0.0),
        pad(total, -np.inf),
        pad(fit, -np.inf),
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
    return table.each(lambda part: part[:, :widest])


def _associate(index: Index, links: Links, cues: Cues, table: Evidence, gain: float, now: float) -> Pairs:
    """Return the pairs, those that active memories are linked with added, and their association ``g_a·(Lᵀa)``."""
    activity = index.separation.activity(table.total, len(index))
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

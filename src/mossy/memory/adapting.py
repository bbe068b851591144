r"""Which memories the capacity lets go, where that is learned from use.

A strength is read out of ``m`` modes, the uses of a memory counted at ``m`` time scales, with the weights of the law.
For what will be asked for again, other weights may fit better, and they change as the world does. They are learned, as
``mossy.strength.need`` tells, and with the fewest parts: the modes are those that the memories have anyway.

.. math::  p_i = \sum_k w_{ck}\,\frac{z_{ik}}{Z_{ck} + 1}, \qquad Z_{ck} = \sum_{j \in c} z_{jk}, \qquad
           r_{ik} = \frac{w_{ck} z_{ik} / (Z_{ck} + 1)}{\sum_l w_{cl} z_{il} / (Z_{cl} + 1)}, \qquad
           w_{c'k} \leftarrow (1 - η a)\,w_{c'k} + η a\,[c' = c]\,r_{ik}

``z_i (m,)`` are the modes of memory ``i`` now, ``c`` is its group by its number of uses, as its slowest mode tells it,
``w (g, m)`` the shares, which begin equal and sum to 1, and ``η = .005``. The last line is done whenever a memory is
used by the amount ``a``, 1 at most; of several at once, with the product of their ``1 - η a`` and the mean of their
``r``, weighted by ``a``. The memory with the least ``p`` is let go. It leaves a ghost (``Ghosts``), which
counts in ``Z``. When its pattern is stored again, or recalled to the bit, that is a use of it which the readout did not
foresee, and the shares learn from it. What is stored again gets the modes of its ghost, as if it had never been away.

Among more than 1,024 memories, those are compared that were the 1,024 weakest at the last time when all were, and what
came since; all are compared again after 512 were let go.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.memory.catalog import Catalog
from mossy.memory.ghosts import GHOST, Ghosts
from mossy.strength import LinearLaw, Strengths
from mossy.strength.need import GROUP_OF, GROUPS, MANY

__all__ = ["Adapting", "bytes_of_adapting"]

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]
Floats = NDArray[np.float64]
Patterns = NDArray[np.float32]

RATE = 0.005
POOL = 1024  # memories that are compared
TAKEN = POOL // 2  # memories that are let go before all are compared again
AT_ONCE = 65_536  # rows whose modes are read at once
MOST = 1e30  # as an event leaves modes


@final
class Adapting:
    """The learned readout, the ghosts, and the ids of those that are compared.

    All of it is in this process alone: a copy, or a memory that is opened again, begins anew.

    Parameters
    ----------
    law
        The law of the strengths.
    """

    def __init__(self, law: LinearLaw) -> None:
        self.law = law
        self.ghosts = Ghosts(law.modes)
        self.shares: Floats = np.full((len(GROUPS), law.modes), 1 / (len(GROUPS) * law.modes))
        self.totals: Floats = np.zeros((len(GROUPS), law.modes))
        self._slowest = int(law.rates.argmin())
        self._pool: Ids | None = None
        self._next = 0  # the first id that came since
        self._taken = 0

    # -- learning -------------------------------------------------------------------------------------------------

    def used(self, modes: NDArray[Any], age: Floats, amounts: Floats) -> None:
        """Learn from uses by ``amounts (n,)`` of what had the modes ``(n, m)``, current ``age (n,)`` ago."""
        group, now = self._seen(modes, age)
        part = self.shares[group] * now / (self.totals[group] + 1)
        whole = part.sum(axis=1)
        amount = np.where(whole > 0, np.minimum(amounts, 1.0), 0.0)
        if not amount.any():
            return
        credit = np.zeros_like(self.shares)
        np.add.at(credit, group, part * (amount / np.where(whole > 0, whole, 1.0))[:, None])
        kept = float(np.prod(1 - RATE * amount))
        self.shares = kept * self.shares + (1 - kept) / amount.sum() * credit

    def asked(self, patterns: Patterns, now: float) -> None:
        """Learn from that patterns ``(n, d)`` were asked for, as far as they have ghosts."""
        if len(self.ghosts):
            self._learn_from(self.ghosts.find(self.ghosts.hashes(patterns))[1], now)

    def _learn_from(self, slots: Rows, now: float) -> None:
        fresh = self.ghosts.credit(slots)
        if len(fresh):
            modes, when = self.ghosts.of(fresh)
            self.used(modes, now - when, np.ones(len(fresh)))

    def welcome(self, rows: Rows, keys: Patterns, strengths: Strengths, now: float) -> Rows:
        """Give those memories that were just stored in ``rows`` their history that have left a ghost; return these."""
        if not len(self.ghosts):
            return rows[:0]
        hashes = self.ghosts.hashes(keys)
        which, slots = self.ghosts.find(hashes)
        if len(which):
            self._learn_from(slots, now)
            modes, when = self.ghosts.of(slots)
            _add(strengths, rows[which], self.law.decay(modes.astype(np.float64), now - when))
            self.ghosts.lay([hashes[i] for i in which.tolist()])
        return rows[which]

    # -- letting go -----------------------------------------------------------------------------------------------

    def weakest(self, rows: Rows, n: int, strengths: Strengths, catalog: Catalog, now: float) -> Rows:
        """Return the ``n`` of ``rows`` that are least likely to be needed; of equals, those named first."""
        if len(rows) > POOL and n <= TAKEN:
            if self._pool is None or self._taken + n > TAKEN:
                self._fill_pool(rows, strengths, catalog, now)
            self._taken += n
            rows = self._pooled(rows, catalog)
        else:
            self._see_all(strengths, catalog, now)
        order = np.argsort(self._values(rows, strengths, now), kind="stable")
        return rows[order[:n]]

    def leave(self, rows: Rows, keys: Patterns, strengths: Strengths, catalog: Catalog, most: int) -> None:
        """Let ghosts stay of memories that are let go, ``most`` at the most; those of several ids leave none."""
        rows = rows[~np.isin(catalog.ids[rows], catalog.several())][-most:] if most else rows[:0]
        modes, age = strengths.modes(rows, 0.0)
        self.ghosts.add(self.ghosts.hashes(keys[rows]), catalog.ids[rows], modes, -age, most)

    def forget(self, ids: set[int]) -> None:
        """Forget the ghosts with these ids, and which memories were compared."""
        self.ghosts.forget(ids)
        self._pool = None

    def _fill_pool(self, rows: Rows, strengths: Strengths, catalog: Catalog, now: float) -> None:
        self._see_all(strengths, catalog, now)
        values = np.concatenate(
            [self._values(rows[i : i + AT_ONCE], strengths, now) for i in range(0, len(rows), AT_ONCE)]
        )
        weakest = np.argsort(values, kind="stable")[:POOL]
        self._pool, self._next, self._taken = np.sort(catalog.ids[rows[weakest]]), catalog.next_id, 0

    def _pooled(self, rows: Rows, catalog: Catalog) -> Rows:
        """Return those of ``rows`` that are compared."""
        pool = self._pool if self._pool is not None else catalog.ids[:0]
        found = np.intersect1d(catalog.present(pool), rows, assume_unique=True)
        return np.concatenate([found, rows[catalog.ids[rows].searchsorted(self._next) :]])

    def _see_all(self, strengths: Strengths, catalog: Catalog, now: float) -> None:
        """Sum the modes of all memories and ghosts."""
        self.totals = np.zeros_like(self.totals)
        alive, ghosts = catalog.alive(), self.ghosts.every()
        for first in range(0, len(alive), AT_ONCE):
            self._add(*strengths.modes(alive[first : first + AT_ONCE], now))
        for first in range(0, len(ghosts), AT_ONCE):
            modes, when = self.ghosts.of(ghosts[first : first + AT_ONCE])
            self._add(modes, now - when)

    def _add(self, modes: NDArray[Any], age: Floats) -> None:
        group, now = self._seen(modes, age)
        for c in range(len(GROUPS)):
            self.totals[c] += now[group == c].sum(axis=0)

    def _values(self, rows: Rows, strengths: Strengths, now: float) -> Floats:
        """Return ``p`` of ``rows``."""
        group, modes = self._seen(*strengths.modes(rows, now))
        readout = self.shares / (self.totals + 1)
        return np.asarray(np.einsum("nk,nk->n", readout[group], modes))

    def _seen(self, modes: NDArray[Any], age: Floats) -> tuple[Rows, Floats]:
        """Return the group of each, and its modes now."""
        uses = np.clip(np.rint(modes[:, self._slowest]), 1, MANY).astype(np.intp)
        return GROUP_OF[uses], self.law.decay(modes.astype(np.float64), age)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        pool = 0 if self._pool is None else self._pool.nbytes
        return self.shares.nbytes + self.totals.nbytes + self.ghosts.nbytes + pool


def _add(strengths: Strengths, rows: Rows, history: Floats) -> None:
    """Add modes ``(n, m)`` to those of memories that were stored just now."""
    records = np.zeros(len(rows), [("modes", np.float32, history.shape[1:]), ("when", np.float64)])
    strengths.describe(rows, records)
    records["modes"] = np.minimum(records["modes"] + history, MOST)
    strengths.put(rows, records)


def bytes_of_adapting(modes: int, memories: int) -> int:
    """Return the most bytes that it takes beside so many memories with so many modes."""
    fixed = 2 * 8 * len(GROUPS) * modes + 8 * POOL * (memories > POOL)
    return fixed + (GHOST + 8 + 4 * modes) * max(memories, 16)

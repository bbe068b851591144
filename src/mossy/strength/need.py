r"""How likely each item is to be needed next, learnt from what is asked for.

A linear law gives each item ``m`` modes ``z_k``: its uses, counted at ``m`` time scales. Divided by the same count of
*all* uses, a mode is an estimate of how often the item is asked for, at that time scale. Which time scale to trust,
and how far to trust an item that was used once only, is what ``Need`` learns:

.. math::  p(i) = \sum_k w_{ck}\,\frac{z_{ik}}{Z_{ck} + 1}, \qquad
           Z_{ck} = \sum_{j \in c} z_{jk}, \qquad c = \text{group of } i \text{ by its number of uses}

``p`` is a mixture, with shares ``w (g, m)`` that sum to 1. When an item ``i`` of group ``c`` is used (again), each
component is credited by the part that it had in foreseeing it, and the shares follow at the rate ``η``:

.. math::  r_k = \frac{w_{ck} z_{ik} / (Z_{ck} + 1)}{\sum_l w_{cl} z_{il} / (Z_{cl} + 1)}, \qquad
           w_{c'k} \leftarrow (1 - η)\,w_{c'k} + η\,[c' = c]\,r_k .

This is online expectation maximisation of a mixture. For one item, ``s = Σ_k u_{ck} z_{ik}`` with the readout
``u_{ck} = w_{ck}/(Z_{ck} + 1)`` is the strength of the linear law: what is learnt is its readout, and so its exponent;
the modes themselves never change. The groups do for requests what Good and Turing do for words: what was seen once
is worth as much as things that were seen once have turned out to be. A scan fills the first group with what nobody
asks for again, so its shares fall; when the world changes, what is new is asked for again, so they rise.

Time enters by *forward decay*: instead of letting every mode fade, each new use counts for more. All values are kept
as ``z_k·exp(λ_k(t - L_k))``, with one landmark ``L_k`` for each time scale. So no row needs a time of its own,
comparing rows needs no exponential, and any clock will do. Now and then a landmark moves (``rebase``); that of a slow
time scale hardly ever.

Sources: Good (1953), Biometrika 40, 237–264, doi:10.1093/biomet/40.3-4.237; Cappé & Moulines (2009), Journal of the
Royal Statistical Society B 71, 593–613, doi:10.1111/j.1467-9868.2009.00698.x (online EM); Cormode et al. (2009),
ICDE, 138–149, doi:10.1109/ICDE.2009.65 (forward decay); Anderson & Schooler (1991), as in ``power_law``.
"""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_fraction
from mossy.strength.base import LinearLaw

__all__ = ["GROUPS", "GROUP_OF", "MANY", "Need"]

Floats = NDArray[np.float64]
Rows = NDArray[np.float32]
Uses = NDArray[np.uint8]

GROUPS = (1, 2, 3, 5)  # the least number of uses of each group
MANY = GROUPS[-1]  # from here on uses are not counted further
GROUP_OF = np.array([0, *(max(g for g, least in enumerate(GROUPS) if least <= n) for n in range(1, MANY + 1))])

FARTHEST = 60.0  # how far λ(t - L) may grow: exp(60) = 1e26 leaves room for sums in float32


@final
class Need:
    """The readout of a linear law, learnt from uses. It keeps no items: rows of modes are the caller's.

    A row is ``(m,)`` float32, zero before the first use, scaled by the landmark as described above; with it goes the
    number of uses, counted up to ``MANY``. All times are in the unit of the law's rates.

    Parameters
    ----------
    law
        Gives the rates ``λ (m,)``. What is learnt starts from equal shares; otherwise its readout is kept.
    rate
        ``η``, the share of what is known that one use replaces, 0 to 1. With 0 nothing is learnt or counted, and
        ``p`` is, up to a factor, the strength as it stands in the law.

    Raises
    ------
    InvalidParameter
    """

    def __init__(self, law: LinearLaw, rate: float = 0.005) -> None:
        self.law = law
        self.rate = check_fraction(rate, "Need.rate")
        self.landmarks: Floats = np.zeros(law.modes)
        self.totals: Floats = np.zeros((len(GROUPS), law.modes))
        start = np.full(law.modes, 1 / law.modes) if self.rate else law.readout
        self.shares: Floats = np.tile(start / len(GROUPS), (len(GROUPS), 1))
        self._due = FARTHEST / float(law.rates.max())  # when the first landmark must move

    def gain(self, now: float) -> Floats:
        """Return ``exp(λ_k(now - L_k)) (m,)``: what one use at the time ``now`` adds to a row."""
        grown: Floats = np.exp(self.law.rates * (now - self.landmarks))
        return grown

    def is_due(self, until: float) -> bool:
        """Say whether a landmark must move before anything happens at the time ``until``."""
        return until > self._due

    def rebase(self, now: float, until: float) -> Floats:
        """Move to ``now`` the landmarks that would be too far by ``until``.

        Returns
        -------
        array
            ``(m,)``: by what the caller multiplies every row it keeps; 1 where nothing moves.
        """
        far = self.law.rates * (until - self.landmarks) > FARTHEST
        fall: Floats = np.where(far, np.exp(-self.law.rates * (now - self.landmarks)), 1.0)
        self.totals *= fall
        self.landmarks[far] = now
        self._due = float((self.landmarks + FARTHEST / self.law.rates).min())
        return fall

    def use(self, row: Rows, uses: int, gain: Floats) -> int:
        """Take note that an item is used; its ``row`` is changed in place, and its new number of uses returned.

        Parameters
        ----------
        row
            Its modes ``(m,)``.
        uses
            How often it had been used, up to ``MANY``; 0 for one that is new.
        gain
            ``gain(now)``.
        """
        if uses:
            self._credit(row, GROUP_OF[uses], gain)
            self._take(row, GROUP_OF[uses])
        uses = min(uses + 1, MANY)
        row += gain
        if self.rate:
            self.totals[GROUP_OF[uses]] += row
        return uses

    def forget(self, row: Rows, uses: int) -> None:
        """Take what an item has added out of the totals. What the shares have learnt stays: they are of all items."""
        if uses:
            self._take(row, GROUP_OF[uses])

    def readout(self, gain: Floats) -> Floats:
        """Return ``u (g, m)`` at the time of ``gain``, so that ``p = Σ_k u_ck z_k`` for a row ``z`` in group ``c``."""
        weights: Floats = self.shares / (self.totals + gain)
        return weights

    def chance(self, rows: NDArray[Any], uses: Uses, gain: Floats) -> Floats:
        """Return ``p (n,)`` of rows ``(n, m)`` with ``uses (n,)``: how likely each is to be needed next."""
        return np.asarray(np.einsum("ij,ij->i", rows, self.readout(gain)[GROUP_OF[uses]]))

    def exponent(self, gain: Floats) -> float:
        """Return the ``d`` for which a fresh item's ``p`` falls as ``t^-d``, on average over the law's time scales.

        It is the slope of ``ln p`` against ``ln t`` between the fastest and the slowest time constant.
        """
        first, last = 1 / self.law.rates.max(), 1 / self.law.rates.min()
        falls = np.exp(-np.multiply.outer([first, last], self.law.rates)) @ (self.readout(gain)[0] * gain)
        return float(-np.log(falls[1] / falls[0]) / np.log(last / first)) if last > first else 0.0

    def _credit(self, row: Rows, group: int, gain: Floats) -> None:
        part = self.shares[group] * row / (self.totals[group] + gain)
        whole = part.sum()
        if whole > 0:
            self.shares *= 1 - self.rate
            self.shares[group] += self.rate / whole * part

    def _take(self, row: Rows, group: int) -> None:
        total = self.totals[group]
        np.maximum(total - row, 0, out=total)

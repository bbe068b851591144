"""Association: a memory that is active excites those that it is linked with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column
from mossy.strength import LinearLaw

__all__ = ["Links"]

Rows = NDArray[np.intp]
Places = Callable[[NDArray[np.int64]], tuple[Rows, NDArray[np.bool_]]]
NONE = -1


@final
class Links:
    r"""Hebbian links ``L`` between memories that were stored next to each other or recalled together.

    .. math::  ΔL_{ij} = ΔL_{ji} = a_i a_j, \qquad \text{evidence}_i = \sum_j \min(L_{ji}, 1)\,a_j

    Each memory holds at most ``most`` links; a new one takes the place of the weakest. A link fades by
    its law like every strength, and never excites by more than 1, so that it is evidence and no output.

    Parameters
    ----------
    most
        The most links of one memory, at least 1.
    law
        The law by which links fade.
    """

    def __init__(self, most: int, law: LinearLaw) -> None:
        self.most = most
        self.law = law
        self._target = Column((most,), np.int32)
        self._modes = Column((most, law.modes), np.float32)
        self._when = Column((), np.float64)

    def append(self, n: int, now: float, after: int | None) -> None:
        """Add ``n`` memories, each linked with the one before it; the first with the row ``after``, if any."""
        first = len(self._when.rows)
        targets = np.full((n, self.most), NONE, np.int32)
        rows = np.arange(first, first + n)
        targets[:-1, 0] = rows[1:]
        if self.most > 1:
            targets[1:, 1] = rows[:-1]
        else:
            targets[-1:, 0] = rows[-2:-1] if n > 1 else NONE
        self._target.append(targets)
        self._modes.append(np.repeat((targets != NONE)[..., None], self.law.modes, axis=2).astype(np.float32))
        self._when.append(np.full(n, now))
        if after is not None:
            self.strengthen(np.array([after]), rows[:1], np.ones(1), now)

    def adopt(self, n: int) -> None:
        """Add ``n`` memories without links."""
        self._target.append(np.full((n, self.most), NONE, np.int32))
        self._modes.append(np.zeros((n, self.most, self.law.modes), np.float32))
        self._when.append(np.zeros(n))

    def mark(self, rows: Rows) -> list[NDArray[Any]]:
        """Return what ``go_back`` needs to have the links of ``rows`` as they are."""
        return [column.rows[rows] for column in self.columns()]

    def go_back(self, rows: Rows, mark: list[NDArray[Any]]) -> None:
        """Have the links of ``rows`` as they were at the ``mark``."""
        for column, kept in zip(self.columns(), mark, strict=True):
            column.rows[rows] = kept

    def pointing(self, rows: Rows) -> Rows:
        """Return the rows that have a link to one of ``rows``."""
        return np.flatnonzero(np.isin(self._target.rows, rows).any(axis=1))

    def describe(self, rows: Rows, ids: NDArray[np.int64], records: NDArray[Any], without: Rows) -> None:
        """Write the links of ``rows`` into records, with ``ids`` for rows; those to the rows ``without`` left out."""
        targets = self._target.rows[rows]
        there = (targets != NONE) & ~np.isin(targets, without)
        records["targets"] = np.where(there, ids[targets], NONE)
        records["linked"] = self._modes.rows[rows] * there[..., None]
        records["linked_when"] = self._when.rows[rows]

    def put(self, rows: Rows, records: NDArray[Any], places: Places) -> None:
        """Take the links of ``rows`` over from records, where ``places`` finds the rows of ids."""
        linked = records["linked"].any(axis=2)
        found, there = places(np.where(linked, records["targets"], NONE).ravel())
        there = there.reshape(linked.shape) & linked
        self._target.rows[rows] = np.where(there, found.reshape(linked.shape), NONE)
        self._modes.rows[rows] = records["linked"] * there[..., None]
        self._when.rows[rows] = records["linked_when"]

    def strengthen(self, one: Rows, other: Rows, amounts: NDArray[Any], now: float) -> None:
        """Strengthen the links between ``one (p,)`` and ``other (p,)``, both ways, by ``amounts (p,)``."""
        for i, j, amount in zip(one.tolist(), other.tolist(), amounts.tolist(), strict=True):
            if i != j and amount > 0:
                self._excite(i, j, amount, now)
                self._excite(j, i, amount, now)

    def _excite(self, source: int, target: int, amount: float, now: float) -> None:
        targets = self._target.rows[source]
        modes = self.law.decay(self._modes.rows[source], now - self._when.rows[source])
        place = np.flatnonzero(targets == target)
        if not len(place):
            strength = np.where(targets == NONE, -1.0, modes @ self.law.readout)
            place = np.array([strength.argmin()])
            if strength[place[0]] < amount:
                targets[place] = target
                modes[place] = 0.0
            else:
                amount = 0.0
        modes[place] += amount
        self._modes.rows[source] = modes
        self._when.rows[source] = now

    def of(self, rows: Rows, now: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the targets ``(r, most)`` of ``rows``, -1 where there is none, and the strengths of these links."""
        modes = self.law.decay(self._modes.rows[rows].astype(np.float64), (now - self._when.rows[rows])[:, None])
        targets = self._target.rows[rows]
        return targets, np.where(targets == NONE, 0.0, np.minimum(modes @ self.law.readout, 1.0))

    def spread(self, rows: Rows, activity: NDArray[np.float64], now: float) -> tuple[Rows, NDArray[np.float64]]:
        """Return which memories the active ``rows`` excite, and by how much ``Σ_j L_ji a_j``."""
        targets, strength = self.of(rows, now)
        there = targets != NONE
        reached, place = np.unique(targets[there], return_inverse=True)
        amounts = (strength * activity[:, None])[there]
        excited = np.zeros(len(reached))
        np.add.at(excited, place, amounts)
        return reached.astype(np.intp), excited

    def absorb(self, main: int, rows: Rows, now: float) -> None:
        """Let the memory in ``main`` take over the links of those in ``rows``."""
        targets, strength = self.of(rows, now)
        there = (targets != NONE) & ~np.isin(targets, rows)
        others = targets[there].astype(np.intp)
        self.strengthen(np.full(len(others), main), others, strength[there], now)

    def erase(self, rows: Rows) -> None:
        """Remove every link from and to ``rows``."""
        self._target.rows[rows] = NONE
        self._modes.rows[rows] = 0
        self._when.rows[rows] = 0
        pointing = np.isin(self._target.rows, rows)
        self._target.rows[pointing] = NONE
        self._modes.rows[pointing] = 0

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory."""
        return [self._target, self._modes, self._when]

    def moved(self, place: NDArray[np.intp]) -> None:
        """Take note that row ``i`` is now row ``place[i]``, -1 for none, which ends the links to it."""
        there = np.append(place, NONE)[self._target.rows].astype(np.int32)
        self._modes.rows[there == NONE] = 0
        self._target.rows[:] = there

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._target.nbytes + self._modes.nbytes + self._when.nbytes

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays."""
        return {
            "target": self._target.rows.copy(),
            "modes": self._modes.rows.copy(),
            "when": self._when.rows.copy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Append what ``state()`` returned."""
        self._target.append(state["target"])
        self._modes.append(state["modes"])
        self._when.append(state["when"])

"""Association: a memory that is active excites those that it is linked with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import Column
from mossy.strength import LinearLaw

__all__ = ["MODES", "Links"]

Rows = NDArray[np.intp]
Places = Callable[[NDArray[np.int64]], tuple[Rows, NDArray[np.bool_]]]
NONE = -1
GONE = -1.0  # the time of a row that is erased

MODES = 2  # of a link
FEW = 4096  # memories, and pairs that were strengthened, up to which NumPy does without a compiler
AT_ONCE = 65_536  # rows that are renumbered at once

# Of float16.
SUBNORMAL = 2.0**-24  # the least above 0
LEAST_NORMAL = 2.0**-14
MOST = 65504.0


@final
class Links:
    r"""Hebbian links ``L`` between memories that were stored next to each other or recalled together.

    .. math::  ΔL_{ij} = ΔL_{ji} = a_i a_j, \qquad \text{evidence}_i = \sum_j \min(L_{ji}, 1)\,a_j

    Each memory holds at most ``most`` links; a new one takes the place of the weakest. A link fades by
    its law like every strength, and never excites by more than 1, so that it is evidence and no output.

    A memory takes ``8·most + 8`` bytes: of each link the target in 4, and two modes in float16; and when they were
    current. No number of recalls adds to that. A float16 has 11 bits: rounded to the nearest, what is less than 1/4,096
    of a mode would be lost again and again. So a mode is rounded up as often as it lies close to the float16 above
    (by a generator that starts anew from each time): right on average, and off by 1/1,024 each time, at most. A mode is
    65,504 at most, and a link whose modes have fallen below 6e-8 ends.

    A link to a row that was erased is none, and counts as an empty place, though it is taken out later: by what changes
    the row that has it, and by ``moved``. Erasing does not look for it.

    Parameters
    ----------
    most
        The most links of one memory, at least 1.
    law
        The law of the memories. Links fade by its coarse form of two modes, ``law.coarse(2)``.
    """

    def __init__(self, most: int, law: LinearLaw) -> None:
        self.most = most
        self.law = law.coarse(MODES)
        self._target = Column((most,), np.int32)
        self._modes = Column((most, self.law.modes), np.float16)
        self._when = Column((), np.float64)
        self._moment, self._count = GONE, 0  # the last event's time, and how often something was rounded then
        self._handled = 0

    def append(self, n: int, now: float, after: int | None) -> None:
        """Add ``n`` memories, each linked with the one before it; the first with the row ``after``, if any."""
        rows = np.arange(len(self._when.rows), len(self._when.rows) + n)
        self.adopt(n)
        targets, modes = self._target.rows[rows[0] :], self._modes.rows[rows[0] :]
        targets[:-1, 0], modes[:-1, 0] = rows[1:], 1
        if self.most > 1:
            targets[1:, 1], modes[1:, 1] = rows[:-1], 1
        elif n > 1:
            targets[-1, 0], modes[-1, 0] = rows[-2], 1
        self._when.rows[rows[0] :] = now
        if after is not None:
            self.strengthen(np.array([after]), rows[:1], np.ones(1), now)

    def adopt(self, n: int) -> None:
        """Add ``n`` memories without links."""
        self._target.fill(n, NONE)
        self._modes.fill(n, 0)
        self._when.fill(n, 0)

    def mark(self, rows: Rows) -> list[NDArray[Any]]:
        """Return what ``go_back`` needs to have the links of ``rows`` as they are."""
        return [column.rows[rows] for column in self.columns()]

    def go_back(self, rows: Rows, mark: list[NDArray[Any]]) -> None:
        """Have the links of ``rows`` as they were at the ``mark``."""
        for column, kept in zip(self.columns(), mark, strict=True):
            column.rows[rows] = kept

    def pointing(self, rows: Rows) -> Rows:
        """Return the rows that have a link to one of ``rows``, by a look at all links."""
        targets = self._target.rows
        if not len(rows) or len(targets) <= FEW:
            return np.flatnonzero(np.isin(targets, rows).any(axis=1))
        from mossy.kernels import links as kernels

        low, high = int(rows.min()), int(rows.max())
        wanted = np.zeros(high - low + 1, np.bool_)
        wanted[rows - low] = True
        found = np.empty(len(targets), np.int32)
        return found[: kernels.pointing(targets, wanted, low, high, found)].astype(np.intp)

    def describe(self, rows: Rows, ids: NDArray[np.int64], records: NDArray[Any], without: Rows) -> None:
        """Write the links of ``rows`` into records, with ``ids`` for rows; those to the rows ``without`` left out."""
        targets = self._targets(rows)
        there = targets != NONE
        if len(without):
            there &= ~np.isin(targets, without)
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
        """Strengthen the links between ``one (p,)`` and ``other (p,)``, both ways, by ``amounts (p,)``, in order."""
        some = (one != other) & (amounts > 0)
        if not some.all():
            one, other, amounts = one[some], other[some], amounts[some]
        if now != self._moment:
            self._moment, self._count = now, 0
        seed = np.float64(now).view(np.uint64)
        if max(len(self._when.rows), self._handled) > FEW:
            from mossy.kernels import links as kernels

            bits, amounts = self._modes.rows.view(np.uint16), np.asarray(amounts, np.float64)
            links = (self._target.rows, bits, self._when.rows)
            kernels.strengthen(
                *links, one, other, amounts, float(now), self.law.rates, self.law.readout, seed, self._count
            )
            self._count += 2 * len(one) * self.most * self.law.modes
        else:
            for i, j, amount in zip(one.tolist(), other.tolist(), amounts.tolist(), strict=True):
                self._excite(i, j, amount, now, seed)
                self._excite(j, i, amount, now, seed)
        self._handled += len(one)

    def _excite(self, source: int, target: int, amount: float, now: float, seed: np.uint64) -> None:
        """Strengthen the link from ``source`` to ``target``, as the kernel does."""
        targets = self._targets(source)
        modes = self.law.decay(self._modes.rows[source].astype(np.float64), now - self._when.rows[source])
        modes *= (targets != NONE)[:, None]
        counts = self._count + np.arange(modes.size).reshape(modes.shape)
        self._count += modes.size
        place = np.flatnonzero(targets == target)
        if not len(place):
            strength = np.where(targets == NONE, -1.0, (modes * self.law.readout).sum(axis=1))
            place = np.array([strength.argmin()])
            if strength[place[0]] >= amount:
                return
            targets[place] = target
            modes[place] = 0.0
        modes[place] += amount
        rounded = _rounded(modes, _shares(seed, counts))
        self._modes.rows[source] = rounded
        self._target.rows[source] = np.where(rounded.any(axis=1), targets, NONE)
        self._when.rows[source] = now

    def _targets(self, rows: Rows | int | slice) -> NDArray[np.int32]:
        """Return a copy of the targets of ``rows``, without those that were erased."""
        targets = self._target.rows[rows]
        return np.where(self._when.rows[targets] < 0, np.int32(NONE), targets)

    def of(self, rows: Rows, now: float) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return the targets ``(r, most)`` of ``rows``, -1 where there is none, and the strengths of these links."""
        modes = self.law.decay(self._modes.rows[rows].astype(np.float64), (now - self._when.rows[rows])[:, None])
        targets = self._targets(rows)
        strength = (modes * self.law.readout).sum(axis=-1)
        return targets, np.where(targets == NONE, 0.0, np.minimum(strength, 1.0))

    def spread(self, rows: Rows, activity: NDArray[np.float64], now: float) -> tuple[Rows, NDArray[np.float64]]:
        """Return which memories the active ``rows`` excite, rising, and by how much ``Σ_j L_ji a_j``."""
        targets, amounts = self._excited(rows, activity, now)
        reached, place = np.unique(targets, return_inverse=True)
        return reached.astype(np.intp), np.bincount(place, amounts, len(reached)).astype(np.float64, copy=False)

    def _excited(
        self, rows: Rows, activity: NDArray[np.float64], now: float
    ) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
        """Return whom ``rows`` excite and by how much, each link by itself."""
        if max(len(self._when.rows), self._handled) <= FEW:
            targets, strength = self.of(rows, now)
            there = targets != NONE
            return targets[there], (strength * activity[:, None])[there]
        from mossy.kernels import links as kernels

        reached, amounts = np.empty(len(rows) * self.most, np.int32), np.empty(len(rows) * self.most)
        links = (self._target.rows, self._modes.rows.view(np.uint16), self._when.rows)
        law = (self.law.rates, self.law.readout)
        n = kernels.spread(*links, rows, np.ascontiguousarray(activity), float(now), *law, reached, amounts)
        return reached[:n], amounts[:n]

    def absorb(self, main: int, rows: Rows, now: float) -> None:
        """Let the memory in ``main`` take over the links of those in ``rows``."""
        targets, strength = self.of(rows, now)
        there = (targets != NONE) & ~np.isin(targets, rows)
        others = targets[there].astype(np.intp)
        self.strengthen(np.full(len(others), main), others, strength[there], now)

    def erase(self, rows: Rows) -> None:
        """Remove every link from ``rows``; those to them end with that."""
        self._when.rows[rows] = GONE
        self._target.rows[rows] = NONE
        self._modes.rows[rows] = 0

    def columns(self) -> list[Column]:
        """Return the arrays that have a row for each memory."""
        return [self._target, self._modes, self._when]

    def moved(self, place: NDArray[np.intp]) -> None:
        """Take note that row ``i`` is now row ``place[i]``, -1 for none, which ends the links to it."""
        places = np.append(place.astype(np.int32), np.int32(NONE))
        for first in range(0, len(self._when.rows), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            there = places[self._target.rows[part]]
            self._modes.rows[part][there == NONE] = 0
            self._target.rows[part] = there

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self._target.nbytes + self._modes.nbytes + self._when.nbytes

    def state(self) -> dict[str, NDArray[Any]]:
        """Return copies of the arrays."""
        target = self._targets(slice(None))
        return {
            "target": target,
            "modes": self._modes.rows * (target != NONE)[..., None],
            "when": self._when.rows.copy(),
        }

    def restore(self, state: dict[str, NDArray[Any]]) -> None:
        """Append what ``state()`` returned."""
        self._target.append(state["target"])
        self._modes.append(state["modes"])
        self._when.append(state["when"])


def _shares(seed: np.uint64, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the shares from 0 to 1 of a seed that have these numbers (SplitMix64)."""
    z = seed + counts.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray((z ^ (z >> np.uint64(31))) >> np.uint64(11)) * 2.0**-53


def _rounded(x: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float16]:
    """Return the float16 below each ``x``, or above it if ``x`` lies further than its share on the way there."""
    fraction, exponent = np.frexp(x)
    normal = x >= LEAST_NORMAL
    scaled = np.where(normal, fraction * 2048.0, x / SUBNORMAL)
    low = np.floor(scaled)
    bits = np.where(normal, (exponent + 13) << 10, 0) + low.astype(np.int64) + (scaled - low > shares)
    return np.where(x >= MOST, 0x7BFF, bits).astype(np.uint16).view(np.float16)

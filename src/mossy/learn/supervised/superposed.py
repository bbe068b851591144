r"""All examples superposed in the sums of the projection rule, behind a random expansion.

.. math::  n = \sum 1, \quad s = \sum φ, \quad A = \sum φφ^T, \quad B = \sum vφ^T, \qquad
           W = B_c (A_c + λI)^{-1}, \quad b = \bar v - W\bar φ

``A_c``, ``B_c`` are the sums about the means, divided by ``n``, so that ``λ`` does not depend on how many examples
there are and the intercept ``b`` is not shrunk. All sums are of one more unit that always fires.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.encode import Dentate
from mossy.plasticity import Projection

__all__ = ["Solution", "Superposed"]

Floats = NDArray[np.float64]

STEPS = 16  # of a rectified drive of 1: patterns in whole numbers, whose sums are exact in any order
EXACT = 255  # steps
BLOCK = 256  # rows of patterns up to so many steps whose products float32 sums exactly
LONG_BLOCK = 1024  # rows at once where sums are rounded anyway
RIDGES = 10.0 ** np.arange(-5.0, 1.25, 0.5)  # λ as a share of the mean variance of a unit
FIRST = 6  # of RIDGES, tried first
ROUNDING = 1e-12  # of the mean square of all units: variance that is rounding alone
MOST = 0.999  # of an average leverage
PROBES = 32  # random vectors that estimate a trace


@final
@dataclass(frozen=True)
class Solution:
    """What the sums say.

    Attributes
    ----------
    weights, intercept
        ``W (m, p)`` and ``b (m,)``: the value of a pattern is ``Wφ + b``.
    ridge
        ``λ``, as a share of the mean variance of a unit.
    fit
        ``R²``: the share of the variance of the values that is read for an example by the others.
    """

    weights: Floats
    intercept: Floats
    ridge: float
    fit: float


@final
class Superposed:
    """The sums of all examples, from which one that was written can be subtracted.

    Parameters
    ----------
    dentate
        The expansion of what is written; None takes patterns as they are.
    d
        Entries of what is written.
    outputs
        Entries of a value.
    ridge
        ``λ`` as a share of the mean variance of a unit; None chooses it by generalised cross-validation.
    block
        Rows that wait to be summed at once.
    per_class
        Keep a sum for each group of ``write``.
    """

    def __init__(
        self,
        dentate: Dentate | None,
        d: int,
        outputs: int,
        ridge: float | None,
        block: int | None = None,
        per_class: bool = False,
    ) -> None:
        self.d, self.dentate, self.ridge, self.per_class = d, dentate, ridge, per_class
        self.units = d if dentate is None else dentate.units
        most = LONG_BLOCK if dentate is None else BLOCK
        self._block = most if block is None else min(most, block)
        self._grams: dict[int, Floats] = {}
        self.cross = np.zeros((outputs, self.units + 1))
        self.squares = np.zeros(outputs)
        self.count = 0
        self._flow = 0.0
        self._waiting: list[tuple[NDArray[np.float32], Floats, int]] = []
        self._rows = 0
        self._own: set[int] = set()  # groups whose sum was made by the write under way
        self._solved: Solution | None = None
        self._reading: tuple[NDArray[Any], NDArray[Any]] | None = None

    @property
    def nbytes(self) -> int:
        """Bytes held, the expansion included."""
        waiting = sum(part.nbytes + post.nbytes for part, post, _ in self._waiting)
        read = 0 if self._reading is None else sum(part.nbytes for part in self._reading)
        solved = 0 if self._solved is None else self._solved.weights.nbytes
        expand = 0 if self.dentate is None else self.dentate.nbytes
        return sum(g.nbytes for g in self._grams.values()) + self.cross.nbytes + waiting + read + solved + expand

    @property
    def nbytes_of_sum(self) -> int:
        """Bytes of one sum ``A``."""
        return 8 * (self.units + 1) ** 2

    # --- write -----------------------------------------------------------------------------------

    def write(self, x: NDArray[Any], values: Floats, groups: NDArray[np.intp] | None = None, sign: int = 1) -> None:
        """Add examples ``(n, d)`` with values ``(n, outputs)``, or subtract them with ``sign=-1``.

        ``groups (n,)`` says to which sum each belongs, if a sum is kept for each class.
        """
        if sign < 0:
            self.settle()  # so that what is forgotten does not wait there
        before = dict(self._grams), self.cross, self._flow, list(self._waiting), self._rows
        squares = self.squares + sign * np.square(values).sum(axis=0)
        self._own = set()
        try:
            if self.per_class and groups is not None:
                for group in np.unique(groups):
                    mine = groups == group
                    self._write(x[mine], values[mine], int(group), sign)
            else:
                self._write(x, values, 0, sign)
        except BaseException:
            self._grams, self.cross, self._flow, self._waiting, self._rows = before
            raise
        finally:
            self._own = set()
        self.count += sign * len(x)
        self.squares = squares
        self._solved = None

    def _write(self, x: NDArray[Any], values: Floats, group: int, sign: int) -> None:
        for first in range(0, len(x), self._block):
            part = slice(first, first + self._block)
            pre = self._pattern(x[part])
            if sign < 0:
                self._add(pre, values[part], group, -1)
                continue
            if self._waiting and (self._rows + len(pre) > self._block or self._waiting[0][2] != group):
                self.settle()
            self._waiting.append((pre, values[part], group))
            self._rows += len(pre)

    def settle(self) -> None:
        """Sum what waits."""
        if self._waiting:
            pre = np.concatenate([part for part, _, _ in self._waiting])
            post = np.concatenate([part for _, part, _ in self._waiting])
            self._add(pre, post, self._waiting[0][2], 1)
            self._waiting, self._rows = [], 0

    def _pattern(self, x: NDArray[Any]) -> NDArray[np.float32]:
        """Return the patterns ``(n, units + 1)`` in whole steps, if they are made here; the last unit always fires."""
        pattern = np.ones((len(x), self.units + 1), np.float32)
        pattern[:, :-1] = x if self.dentate is None else np.rint(self.dentate.encode(x) * STEPS)
        return pattern

    def _add(self, pre: NDArray[Any], post: Floats, group: int, sign: int) -> None:
        if pre.max(initial=0) > EXACT:
            pre = pre.astype(np.float64)
        part = pre.T @ pre
        flow = self._flow + float(np.trace(part, dtype=np.float64))
        cross = self.cross + sign * (post.T @ pre)
        old = self._grams.get(group)
        if old is None:
            old = np.zeros((self.units + 1, self.units + 1))
            self._own.add(group)
        change = np.add if sign > 0 else np.subtract
        # The first sum of a write is a new array, so that the write can be undone.
        gram = change(old, part, out=old if group in self._own else None)
        self._own.add(group)
        self._grams[group], self.cross, self._flow = gram, cross, flow

    def possible(self) -> bool:
        """Whether some set of examples leads to these sums."""
        self.settle()
        rule = Projection()
        return all(rule.possible({"gram": gram}, self._flow) for gram in self._grams.values())

    def renumber(self, place: NDArray[np.intp], m: int) -> None:
        """Let entry ``i`` of a value, and sum ``i``, be number ``place[i]`` of ``m``; what goes to -1 is dropped."""
        self.settle()
        kept = place >= 0
        cross, squares = np.zeros((m, self.units + 1)), np.zeros(m)
        cross[place[kept]], squares[place[kept]] = self.cross[kept], self.squares[kept]
        self.cross, self.squares = cross, squares
        if self.per_class:
            self._grams = {int(place[old]): gram for old, gram in self._grams.items() if place[old] >= 0}
        self._solved = None

    def drop(self, groups: NDArray[np.intp]) -> None:
        """Forget all that was written to these sums of one-hot values."""
        self.settle()
        for group in groups:
            self._grams.pop(int(group), None)
        self.count -= int(self.squares[groups].sum())
        self.cross[groups] = 0
        self.squares[groups] = 0
        self._solved = None

    def copy(self) -> Superposed:
        """Return sums that can be changed without changing these."""
        self.settle()
        twin = Superposed(self.dentate, self.d, len(self.cross), self.ridge, self._block, self.per_class)
        twin._grams = {group: gram.copy() for group, gram in self._grams.items()}
        twin.cross, twin.squares = self.cross.copy(), self.squares.copy()
        twin.count, twin._flow = self.count, self._flow
        return twin

    # --- read ------------------------------------------------------------------------------------

    def solve(self) -> Solution:
        """Return the weights of all that is written; they are kept until the next write."""
        self.settle()
        if self._solved is None:
            self._solved = self._solve()
        return self._solved

    def _solve(self) -> Solution:
        gram = np.asarray(sum(self._grams.values())) / self.count
        mean, value = gram[-1, :-1].copy(), self.cross[:, -1] / self.count
        raw = float(np.trace(gram[:-1, :-1]))
        gram = gram[:-1, :-1] - np.outer(mean, mean)
        if np.trace(gram) <= ROUNDING * raw:  # all patterns are one
            ridge = float(RIDGES[-1]) if self.ridge is None else self.ridge
            return Solution(np.zeros((len(value), self.units)), value, ridge, 0.0)
        cross = self.cross[:, :-1] / self.count - np.outer(value, mean)
        scale = max(float(np.trace(gram)) / len(gram), 1e-30)
        gram /= scale
        cross /= np.sqrt(scale)
        total = float((self.squares / self.count - value**2).sum())
        weights, ridge, error = _fit(gram, cross, total, self.count, self.ridge)
        weights /= np.sqrt(scale)
        intercept = value - weights @ mean
        if self.dentate is not None:
            weights *= STEPS
        return Solution(weights, intercept, ridge, 1 - error / total if total > 0 else 1.0)

    def patterns(self, x: NDArray[Any]) -> NDArray[Any]:
        """Return ``φ (n, units)`` of ``x (n, d)`` in the dtype of ``x``."""
        if self.dentate is None:
            return x
        if self._reading is None or self._reading[0].dtype != x.dtype:
            self._reading = self.dentate.synapses(x.dtype)
        weights, thresholds = self._reading
        drive = x @ weights
        drive += thresholds
        np.maximum(drive, 0, out=drive)
        return np.asarray(drive)

    def read(self, x: NDArray[Any]) -> Floats:
        """Return ``Wφ(x) + b`` for each ``x (n, d)``, computed in the dtype of ``x``."""
        solution = self.solve()
        readout = np.ascontiguousarray(solution.weights.T, x.dtype)
        values = np.empty((len(x), len(solution.weights)))
        for first in range(0, len(x), BLOCK):
            part = slice(first, first + BLOCK)
            values[part] = self.patterns(x[part]) @ readout
        values += solution.intercept
        return values


def _fit(gram: Floats, cross: Floats, total: float, count: int, given: float | None) -> tuple[Floats, float, float]:
    """Return weights, ``λ`` and the error without the example's own share, for a given ``λ`` or the best.

    The error is that of generalised cross-validation (Golub, Heath and Wahba 1979,
    doi:10.1080/00401706.1979.10489751), ``RSS/n / (1 − df/n)²`` with ``df = 1 + tr A_c(A_c + λI)⁻¹``; random signs
    estimate the trace (Hutchinson 1989, doi:10.1080/03610918908812806), which is taken two standard errors up. It is
    followed downhill over a grid.
    """
    probes = np.random.default_rng(0).choice([-1.0, 1.0], (PROBES, len(gram)))
    both = np.concatenate([cross, probes])

    def attempt(ridge: float) -> tuple[Floats, float, float]:
        found = Projection(ridge).weights({"gram": gram, "cross": both})
        weights = found[: len(cross)].copy()
        each = len(gram) - ridge * np.einsum("pd,pd->p", found[len(cross) :], probes)
        freedom = float(each.mean() + 2 * each.std(ddof=1) / PROBES**0.5)  # two standard errors up: noise is no fit
        leverage = max((1 + freedom) / count, 1 / count)
        squares = total - float(np.sum(weights * cross)) - ridge * float(np.sum(weights**2))
        return weights, ridge, squares / (1 - leverage) ** 2 if leverage < MOST else np.inf

    if given is not None:
        return attempt(given)
    tried: dict[int, tuple[Floats, float, float]] = {}

    def error(i: int) -> float:
        if i not in tried:
            tried[i] = attempt(float(RIDGES[i]))
        return tried[i][2]

    best = FIRST
    for step in (1, -1):
        while 0 <= best + step < len(RIDGES) and error(best + step) < error(best):
            best += step
    if not np.isfinite(error(best)):  # hardly more examples than there are degrees of freedom
        best = len(RIDGES) - 1
    error(best)
    return tried[best]

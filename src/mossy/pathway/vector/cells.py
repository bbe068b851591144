"""Cells: where sketches lie, near others that are alike. They split when they are full, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import LARGE
from mossy.kernels.pages import NONE, PAGE, Pages
from mossy.pathway.vector.threads import share_out

__all__ = ["Cells"]

FEWEST = 320  # sketches that a cell may hold, at least
FILLED = 0.5  # of what a cell may hold, when cells are learned for many patterns
SAMPLE = 40  # patterns a cell from which cells are learned
LESSONS = 4  # times that cells learn from the sample
HALVED = 256  # members from which the halves are learned, at most
HALVING = 4  # times that two halves of a cell learn from it
AROUND = 3  # cells around one that is split, whose members may go to the halves
UNEVEN = 16  # a half is at least one in so many
MANY = 256  # cells from which the nearest is found by signs
TOGETHER = 1024  # patterns that are worth a thread
AT_ONCE = 8192  # patterns assigned at once
SPARE = 8  # pages grow by one in so many, but double where they are many, as columns do

Floats = NDArray[np.float32]
Rows = NDArray[np.intp]


@final
class Cells:
    """Centres ``(C, d)`` and pages of sketches.

    A pattern belongs to the cell whose centre is nearest. A cell that holds more than ``√n`` sketches (320 at least)
    splits in two, as two of its patterns that lie far apart divide it. One whose patterns are all alike stays whole.

    Parameters
    ----------
    d
        The number of entries of a pattern.
    """

    def __init__(self, d: int) -> None:
        self.size = 64 * -(-d // 64)
        rounds = 3 if self.size & (self.size - 1) == 0 else 4
        self.signs = np.random.default_rng(d).choice(np.array([-1, 1], np.float32), (rounds, self.size))
        self.begin(np.zeros((0, d), np.float32))

    def begin(self, centres: Floats) -> None:
        """Start with these cells, all empty."""
        n = len(centres)
        self.centres = np.ascontiguousarray(centres, np.float32)
        self.turned = self.rotated(self.centres)
        self._signed: Signed | None = None
        self._touched = 0  # pages that were ever written
        self.pages = Pages(
            np.full(n, NONE, np.int64),
            np.zeros(n, np.int64),
            np.zeros(n),
            np.empty(0, np.int64),
            np.empty((0, self.size // 64 + 1, PAGE), np.uint64),
            np.full(1, NONE, np.int64),
        )
        self._whole: dict[int, int] = {}  # the size of cells when they could not be split

    def __len__(self) -> int:
        return len(self.centres)

    @property
    def sketches(self) -> int:
        """How many sketches there are."""
        return int(self.pages.counts.sum())

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        held = [part.nbytes for part in self.pages if part is not self.pages.words]
        held += [part.nbytes for part in (self.centres, self.turned, self.signs)]
        return sum(held) + self._touched * self.pages.words[:1].nbytes

    def rotated(self, patterns: Floats) -> Floats:
        """Return patterns ``(n, d)`` rotated, ``(n, D)``."""
        from mossy.kernels.rotate import rotate_all

        out = np.empty((len(patterns), self.size), np.float32)
        patterns, ones = np.ascontiguousarray(patterns), np.ones(len(patterns), np.float32)
        share_out(lambda some: rotate_all(patterns[some], ones[some], self.signs, out[some]), len(out), TOGETHER)
        return out

    def learn(self, patterns: Floats, n: int) -> None:
        """Start anew with cells for ``n`` patterns like these, learned from them by competition (k-means)."""
        count = max(int(n / (FILLED * _room(n))), 1)
        sample = patterns[_evenly(len(patterns), count * SAMPLE)]
        self.begin(sample[_evenly(len(sample), count)])
        turned = self.rotated(sample)
        for _ in range(LESSONS):
            self.begin(_means(sample, self._nearest(turned)))

    def add(self, patterns: Floats, rows: Rows) -> None:
        """Add patterns ``(n, d)`` of these rows to the cells that they belong to."""
        for first in range(0, len(rows), AT_ONCE):
            part = slice(first, first + AT_ONCE)
            turned = self.rotated(patterns[part])
            self._put(turned, rows[part], self._nearest(turned))

    def nearest(self, patterns: Floats) -> Rows:
        """Return the cell of each pattern."""
        return self._nearest(self.rotated(patterns))

    def _nearest(self, turned: Floats) -> Rows:
        """Return the cell of each rotated pattern."""
        if len(self) < MANY:
            return _nearest(turned, self.turned)
        return self.signed().nearest(turned)

    def signed(self) -> Signed:
        """Return the centres with their signs."""
        if self._signed is None:
            self._signed = Signed(self.turned)
        return self._signed

    def _put(self, turned: Floats, rows: Rows, cells: Rows) -> None:
        from mossy.kernels.cells import add

        filled = np.bincount(cells, minlength=len(self))
        after = self.pages.counts + filled
        self._make_room(int((-(-after // PAGE) - -(-self.pages.counts // PAGE)).sum()))
        add(self.pages, turned, rows.astype(np.int32), cells, self.turned)

    def _make_room(self, needed: int) -> None:
        """See that so many pages are free."""
        pages = self.pages
        used = int((-(-pages.counts // PAGE)).sum())
        self._touched = max(self._touched, used + needed)
        old = len(pages.after)
        if used + needed <= old:
            return
        new = 2 * (used + needed) if self.pages.words.nbytes >= LARGE else max(used + needed, old + old // SPARE)
        after = np.append(pages.after, np.append(np.arange(old + 1, new), pages.free[0]))
        words = np.zeros((new, *pages.words.shape[1:]), np.uint64)
        words[:old] = pages.words
        self.pages = pages._replace(after=after, words=words, free=np.full(1, old, np.int64))

    def members(self, cell: int) -> Rows:
        """Return the rows of a cell."""
        from mossy.kernels.cells import members

        rows = np.empty(self.pages.counts[cell], np.int64)
        members(self.pages, cell, rows)
        return np.sort(rows)

    def full(self) -> Rows:
        """Return the cells that hold too many sketches, and may be split."""
        room = _room(self.sketches)
        over = np.flatnonzero(self.pages.counts > room)
        return np.array([cell for cell in over if self.pages.counts[cell] > 2 * self._whole.get(int(cell), 0)], np.intp)

    def split(self, cell: int, patterns_of: Callable[[Rows], Floats]) -> None:
        """Split a cell in two, and let what lies near go to the cell whose centre is nearest now.

        ``patterns_of`` returns the patterns of rows.
        """
        from mossy.kernels.cells import dissolve

        rows = self.members(cell)
        patterns = patterns_of(rows)
        centres = _halve(patterns)
        if centres is None:
            self._whole[cell] = len(rows)
            return
        near = np.argsort(((self.centres - self.centres[cell]) ** 2).sum(axis=1), kind="stable")[1 : AROUND + 1]
        dissolve(self.pages, cell)
        two = np.array([cell, self._new_cell(cell, centres)])
        around = np.append(two, near)
        self._put(self.rotated(patterns), rows, around[_nearest(patterns, self.centres[around])])
        for other in near.tolist():
            self._give(other, two, patterns_of)

    def _new_cell(self, cell: int, centres: Floats) -> int:
        """Move the centre of a cell to the first of two, and return the cell that is made around the second."""
        new, self._signed = len(self), None
        self.centres = np.concatenate([self.centres, centres[1:]])
        self.turned = np.concatenate([self.turned, self.rotated(centres[1:])])
        self.centres[cell], self.turned[cell] = centres[0], self.rotated(centres[:1])[0]
        self.pages = self.pages._replace(
            first=np.append(self.pages.first, NONE),
            counts=np.append(self.pages.counts, 0),
            squares=np.append(self.pages.squares, 0.0),
        )
        return new

    def _give(self, cell: int, others: Rows, patterns_of: Callable[[Rows], Floats]) -> None:
        """Let the members of a cell that are nearer to one of the others go there."""
        from mossy.kernels.cells import drop

        rows = self.members(cell)
        if not len(rows):
            return
        patterns, cells = patterns_of(rows), np.append(cell, others)
        nearest = cells[_nearest(patterns, self.centres[cells])]
        moves = nearest != cell
        if moves.any():
            drop(self.pages, cell, rows[moves])
            self._put(self.rotated(patterns[moves]), rows[moves], nearest[moves])

    def renumber(self, place: Rows) -> None:
        """Let row ``i`` be row ``place[i]`` from now on, -1 for none."""
        from mossy.kernels.cells import renumber

        renumber(self.pages, place)
        empty = self.pages.counts == 0
        self.centres[empty] = self.turned[empty] = 0  # a lone pattern was its own centre
        self._whole, self._signed = {}, None


@final
class Signed:
    """Rotated centres of cells ``(C, D)``, with their signs, by which those that are nearest are found."""

    def __init__(self, turned: Floats) -> None:
        from mossy.kernels.nearest import signs

        self.turned, self.halves, self.middle = turned, _halves(turned), turned.mean(axis=0)
        bits = np.empty((len(turned), turned.shape[1] // 64), np.uint64)
        signs(turned, self.middle, bits)
        self.bits = np.ascontiguousarray(bits.T)

    def nearest(self, turned: Floats) -> Rows:
        """Return the nearest centre of each rotated pattern."""
        from mossy.kernels.nearest import nearest

        given = (self.middle, self.turned, self.halves, self.bits)
        found = np.zeros(len(turned), np.int64)
        share_out(lambda some: nearest(turned[some], *given, found[some]), len(found), TOGETHER)
        return found


def _evenly(n: int, most: int) -> Rows:
    """Return at most so many of ``n`` rows, evenly spaced."""
    return np.linspace(0, n - 1, min(n, most)).astype(np.intp)


def _means(patterns: Floats, winner: Rows) -> Floats:
    """Return the mean of what each centre won; a centre that won nothing is given up."""
    wins = np.bincount(winner)
    wins = wins[wins > 0]
    sums = np.add.reduceat(patterns[np.argsort(winner, kind="stable")], np.cumsum(wins) - wins, axis=0)
    return np.asarray(sums / wins[:, None], np.float32)


def _halves(centres: Floats) -> Floats:
    """Return ``½‖c‖²`` of each centre."""
    return np.asarray(0.5 * np.einsum("cd,cd->c", centres, centres), np.float32)


def _room(n: int) -> int:
    """Return how many sketches a cell may hold when there are ``n``."""
    return max(FEWEST, int(np.sqrt(n)))


def _nearest(patterns: Floats, centres: Floats) -> Rows:
    """Return the nearest centre of each pattern; of equals, the first."""
    out = np.empty(len(patterns), np.intp)
    half = _halves(centres)
    for first in range(0, len(patterns), AT_ONCE):
        part = slice(first, first + AT_ONCE)
        fits = patterns[part] @ centres.T
        fits -= half
        out[part] = fits.argmax(axis=1)
    return out


def _halve(patterns: Floats) -> Floats | None:
    """Return the centres ``(2, d)`` of two halves; None if the patterns are too much alike, or a half is too small."""
    patterns = patterns[:: -(-len(patterns) // HALVED)]
    start = ((patterns - patterns.mean(axis=0)) ** 2).sum(axis=1).argmax()
    far = ((patterns - patterns[start]) ** 2).sum(axis=1).argmax()
    centres = patterns[[start, far]].copy()
    for _ in range(HALVING):
        side = _nearest(patterns, centres) == 1
        if side.all() or not side.any():
            return None
        centres = np.stack([patterns[~side].mean(axis=0), patterns[side].mean(axis=0)])
    side = _nearest(patterns, centres) == 1
    return None if min(side.sum(), (~side).sum()) * UNEVEN < len(side) else centres

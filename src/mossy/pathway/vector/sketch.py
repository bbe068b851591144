"""Sketch: one-bit synapses in cells, scanned in place of the keys."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.pages import COSINE, DOT, EUCLIDEAN, MANHATTAN, Memories
from mossy.pathway.vector.base import Fading, Pairs, Rows, Vector
from mossy.pathway.vector.cells import Cells
from mossy.pathway.vector.exact import Exact
from mossy.pathway.vector.threads import share_out
from mossy.pathway.vector.visits import NEIGHBOURS, asked, learn_visits
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["KINDS", "Sketch"]

EXACT = Exact()
KINDS = {"euclidean": EUCLIDEAN, "cosine": COSINE, "dot": DOT, "manhattan": MANHATTAN}

AT_ONCE = 16_384  # rows that are sketched at once
LOOKED_AT_LEAST = 16_384  # sketches that a recall may look at
SPARED = 8  # one in so many cells may be visited while that finds better ones, k/10 times as many for more
ENTRIES = 24  # entries of about equal variance that a cue has to know; with fewer, every key is compared
NOTHING = np.empty(0, np.float32)
HARDER = 3.0  # times as many cells are visited with a mask, or where strengths count
WIDE = 1.2  # how far the keys of a cell may reach towards a cue, in mean radii
KEPT = 4096  # memories that a cue can find
MOST = KEPT // 4  # k beyond which every key is compared
TOGETHER = 8  # cues that are worth a thread
SAMPLE = 65_536  # keys from which cells are learned, at most
BULK = 2048  # rows that came since then, from which cells are learned again if they are as many as those


@final
class Sketch(Vector):
    r"""Keeps one bit of each rotated entry of a key's distance from its cell's centre, and finds keys by these.

    .. math::  \langle k - c, z\rangle ≈ f\,\sum_j b_j\,(Rz)_j, \qquad b = \operatorname{sign} R(k - c),
               \qquad f = \frac{‖k - c‖^2}{‖R(k - c)‖_1}

    ``c`` is the centre of the cell, ``z`` the way from it to the cue (for products the cue itself), R a fixed random
    rotation into D entries, d rounded up to 64. The estimate has no bias, and a standard error of about ``.76 r‖z‖/√D``
    with ``r = ‖k - c‖``.

    A recall visits the cells from the nearest on. Where an estimate and two standard errors reach what the ``k``-th
    best has so far, first with the signs of the way to the cue alone, then with three bits of each entry, the true
    similarity is computed, under the mask and with the strength. How many cells it visits is learned from the
    neighbours of 48 to 192 stored keys: as many as hold .98 of them, and more while it still finds better ones; where
    these are many, as many as hold .97 at most. With a mask, or where strengths count, it visits three times as many,
    and for ``k`` over 10 ``k/10`` times as many. At most 4,096 memories are found for a cue; where more are alike,
    those no better than the ``k``-th best are left out.

    A cell splits in two when it holds more than ``√n`` sketches (320 at least). When as many memories have come as
    there were at the last time, the next recall learns all cells again, which takes 20 to 40 µs of CPU time a memory. A
    sketch takes ``D/8 + 8`` bytes; cells, and pages that are not full, add about a fifth (D = 256) to a third (D = 64).

    References
    ----------
    Gao & Long (2024), RaBitQ, SIGMOD, arXiv:2405.12497 (the estimate). Xu et al. (2023), SPFresh, SOSP,
    arXiv:2410.14452 (cells that split in place).
    """

    name = "sketch"

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._cells: Cells | None = None
        self._seen = 0
        self._learned = 0  # for how many memories the cells were learned
        self._written = 0  # memories that came since then
        self._visits = self._allowed = 0
        self._visits_of = 0  # the number of cells for which it was learned,
        self._visits_at = 0  # and what was written until then

    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return pairs that may be among the ``k`` best or within ``reach`` of the best, as far as the sketches show.

        All keys are compared where every one may be active, for ``k`` over 1,024, for a similarity of your own, and
        where a cue knows fewer than 24 entries (of about equal variance).
        """
        if index.similarity.name not in KINDS or k > MOST or not np.isfinite(reach) or _few_entries(index, cues):
            return EXACT.find(index, cues, reach, slack, k, fading)
        which, rows = self._search(self.see(index), index, cues, reach, slack, k, fading)
        if (np.bincount(which, minlength=len(cues.exact)) < k).any():  # cells that were not looked at hold the rest
            return EXACT.find(index, cues, reach, slack, k, fading)
        return which, rows

    def _search(
        self, cells: Cells, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None
    ) -> Pairs:
        from mossy.kernels.cell_search import search

        kind, c = KINDS[index.similarity.name], len(cues.exact)
        batch = _unit(cues) if kind == COSINE else cues.exact.astype(np.float32)
        mask = np.empty((1, 0), np.float32) if cues.known is None else cues.known.astype(np.float32)
        share = np.ones(1) if cues.known is None else _share(index, cues.known)
        margin = np.zeros(c) + 2 * index.rounding(cues) + (slack if fading is None else fading.slack)
        weight, top = (0.0, 0.0) if fading is None else (float(fading.weight), float(fading.top))
        logs = NOTHING if fading is None else fading.logs
        memories = self._memories(index, cells, logs)
        harder = max(k / NEIGHBOURS, 1.0) * (HARDER if cues.known is not None or fading is not None else 1.0)
        visits = int(self._visits * harder)
        allowed = max(self._allowed * harder**0.5, len(cells) / SPARED * max(k / NEIGHBOURS, 1.0))
        looked = max(int(allowed / len(cells) * len(index)), LOOKED_AT_LEAST)
        limit = looked * cells.sketches // max(len(index), 1)  # those of silent rows are looked at as well
        rows, scores = np.empty((c, KEPT), np.int32), np.empty((c, KEPT), np.float32)
        found = np.zeros(c, np.int64)

        # Cues of one cell follow each other, so that what they share is in the cache.
        order = np.argsort(cells.nearest(batch), kind="stable") if c >= TOGETHER else np.arange(c)

        def part(some: slice) -> None:
            mine = order[some]

            def cut(array: NDArray[Any]) -> NDArray[Any]:
                return array if len(array) == 1 else array[mine]

            cue = (batch[mine], cut(mask), cut(cues.scale), cut(share))
            out = (rows[some], scores[some], found[some])
            search(
                cells.pages, memories, *cue, kind, k, float(reach), margin[mine], weight, top, WIDE, visits, limit, *out
            )

        share_out(part, c, TOGETHER)
        if c == 1:
            return np.zeros(found[0], np.intp), np.sort(rows[0, : found[0]]).astype(np.intp)
        place = np.argsort(order)
        every = [np.sort(rows[i, : found[i]]) for i in place]
        return np.repeat(np.arange(c), found[place]), np.concatenate(every).astype(np.intp)

    def see(self, index: Index) -> Cells:
        """Sketch the rows that came since the last time."""
        if self._cells is not None and self._seen == index.rows:
            return self._cells
        try:
            return self._catch_up(index)
        except BaseException:  # an interruption, or no room: begin again rather than sketch a row twice
            self._begin()
            raise

    def _catch_up(self, index: Index) -> Cells:
        new = np.flatnonzero(~index.dead[self._seen :]) + self._seen
        if self._cells is None:
            self._cells = Cells(index.keys.shape[1])
        cells = self._cells
        self._written += len(new)
        if not len(cells) or self._written > max(BULK, self._learned):
            new = index.alive()
            self._learned, self._written, self._visits_of = len(new), 0, 0
            some = new[np.linspace(0, len(new) - 1, min(len(new), SAMPLE)).astype(np.intp)]
            cells.learn(self._patterns(index, some), len(new))
        for first in range(0, len(new), AT_ONCE):
            rows = new[first : first + AT_ONCE]
            cells.add(self._patterns(index, rows), rows)
        self._seen = index.rows
        if len(new):
            self._split(index, cells)
        often = self._written - self._visits_at > max(BULK, cells.sketches // 4)
        if often or not self._visits_of * 4 // 5 < len(cells) <= self._visits_of * 5 // 4:
            self._learn_visits(index, cells)
        return cells

    def _learn_visits(self, index: Index, cells: Cells) -> None:
        alive = index.alive()
        some = alive[np.linspace(0, len(alive) - 1, asked(len(alive))).astype(np.intp)]
        cues = index.prepare(index.keys[some], None)
        patterns, kind = self._patterns(index, some), KINDS[index.similarity.name]
        memories = self._memories(index, cells, NOTHING)
        self._visits, self._allowed = learn_visits(index, cells, memories, cues, some, patterns, kind, WIDE)
        self._visits_of, self._visits_at = len(cells), self._written

    @staticmethod
    def _memories(index: Index, cells: Cells, logs: NDArray[np.float32]) -> Memories:
        signed = cells.signed()
        geometry = (cells.centres, cells.turned, cells.signs, signed.middle, signed.bits)
        return Memories(index.keys, index.norms, index.dead, logs, *geometry)

    def _split(self, index: Index, cells: Cells) -> None:
        full = cells.full()
        while len(full):
            for cell in full.tolist():
                cells.split(cell, lambda rows: self._patterns(index, rows))
            full = cells.full()

    @staticmethod
    def _patterns(index: Index, rows: Rows) -> NDArray[np.float32]:
        """Return the keys in ``rows`` as their cells see them: for cosine with the length 1."""
        keys = index.keys[rows]
        if KINDS[index.similarity.name] == COSINE:
            keys *= index.norms[rows][:, None]
        return keys

    def forget(self, rows: Rows) -> None:
        """Do nothing: silent rows are passed over, and leave with ``moved``."""

    def moved(self, place: Rows) -> None:
        """Take note that row ``i`` is row ``place[i]`` from now on, -1 for none, of which no sketch is left."""
        if self._cells is None:
            return
        self._cells.renumber(place)
        self._seen = int((place[: self._seen] >= 0).sum())
        if not self._seen:
            self._begin()

    def truncate(self, n: int) -> None:
        """Know the first ``n`` rows alone."""
        if self._cells is not None and n < self._seen:
            place = np.arange(self._seen)
            place[n:] = -1
            self.moved(place)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return 0 if self._cells is None else self._cells.nbytes


def _unit(cues: Cues) -> NDArray[np.float32]:
    """Return cues for cosine ``(c, d)`` with the length 1; those of zeros stay."""
    if cues.columns is None:
        return cues.scan
    every = np.zeros(cues.exact.shape, np.float32)
    every[:, cues.columns] = cues.scan
    return every


def _few_entries(index: Index, cues: Cues) -> bool:
    """Say whether a cue knows too few entries for sketches, counted by how evenly they vary."""
    return bool((index.statistics().evenness(cues.known) < ENTRIES).any())


def _share(index: Index, known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of the variance of the keys lies in the known entries ``(c,)``."""
    variance = index.statistics().of_entries("variance")
    return np.asarray((known @ variance / max(float(variance.sum()), 1e-30)).clip(1e-6, 1.0))

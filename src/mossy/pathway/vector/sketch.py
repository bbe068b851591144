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
from mossy.similarity import Cues
from mossy.substrate.index import Index

__all__ = ["KINDS", "Sketch"]

EXACT = Exact()
KINDS = {"euclidean": EUCLIDEAN, "cosine": COSINE, "dot": DOT, "manhattan": MANHATTAN}

AT_ONCE = 16_384  # rows that are sketched at once
LOOKED = 16_384  # sketches that a recall looks at, at most; two fifths of all, if that is more
WIDE = 0.8  # how far the keys of a cell reach towards a cue, in mean radii; at 1 one may be a twin of the cue
KEPT = 4096  # memories that a cue can find, at least 4k
MOST = KEPT // 4  # k beyond which every key is compared
TOGETHER = 8  # cues that are worth a thread
SAMPLE = 65_536  # keys from which cells are learned, at most
BULK = 2048  # new rows from which cells are learned anew, if they are more than those before


@final
class Sketch(Vector):
    r"""Keeps one bit of each rotated entry of a key's distance from its cell's centre, and finds keys by these.

    .. math::  \langle k - c, z\rangle ≈ f\,\sum_j b_j\,(Rz)_j, \qquad b = \operatorname{sign} R(k - c),
               \qquad f = \frac{‖k - c‖^2}{‖R(k - c)‖_1}

    R is a fixed random rotation. The estimate has no bias, and a standard error of about ``.76 r‖z‖/√D``. A recall
    visits the cells from the most promising on; where an estimate, less two standard errors, leaves it open, the true
    similarity is computed, under the mask and with the strength. It ends when no cell can hold better, or when
    third of all sketches (65,536 at least) were looked at.

    A cell splits in two when it holds more than ``2√n`` sketches (512 at least), so that storing and forgetting never
    wait for anything to be built again. A sketch takes ``D/8 + 8`` bytes, D being d rounded up to 64.

    References
    ----------
    Gao & Long (2024), RaBitQ, SIGMOD, arXiv:2405.12497 (the estimate). Xu et al. (2023), SPFresh, SOSP,
    arXiv:2410.14452 (cells that split in place).
    """

    name = "sketch"

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self._seen = 0

    def find(self, index: Index, cues: Cues, reach: float, slack: float, k: int, fading: Fading | None) -> Pairs:
        """Return pairs that may be among the ``k`` best or within ``reach`` of the best, as far as the sketches show.

        Where every key may be active, ``k`` is over 1,024, or the similarity is one of your own, all keys are compared.
        """
        if index.similarity.name not in KINDS or k > MOST or not np.isfinite(reach):
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
        batch = (unit(cues.exact) if kind == COSINE else cues.exact).astype(np.float32)
        mask = np.empty((1, 0), np.float32) if cues.known is None else cues.known.astype(np.float32)
        share = np.ones(1) if cues.known is None else _share(index, cues.known)
        margin = np.zeros(c) + 2 * index.rounding(cues) + (slack if fading is None else fading.slack)
        nothing = np.empty(0, np.float32)
        weight, logs = (0.0, nothing) if fading is None else (float(fading.weight), fading.logs)
        memories = Memories(index.keys, index.norms, index.dead, logs, cells.centres, cells.turned, cells.signs)
        limit = max(2 * len(index) // 5, LOOKED)
        width = max(4 * k, KEPT if c == 1 else KEPT // 4)
        rows, scores = np.empty((c, width), np.int32), np.empty((c, width), np.float32)
        found = np.zeros(c, np.int64)

        def part(some: slice) -> None:
            def cut(array: NDArray[Any]) -> NDArray[Any]:
                return array if len(array) == 1 else array[some]

            cue = (batch[some], cut(mask), cut(cues.scale), cut(share))
            out = (rows[some], scores[some], found[some])
            search(cells.pages, memories, *cue, kind, k, float(reach), margin[some], weight, WIDE, limit, *out)

        share_out(part, c, TOGETHER)
        if c == 1:
            return np.zeros(found[0], np.intp), np.sort(rows[0, : found[0]]).astype(np.intp)
        every = [np.sort(rows[i, : found[i]]) for i in range(c)]
        return np.repeat(np.arange(c), found), np.concatenate(every).astype(np.intp)

    def see(self, index: Index) -> Cells:
        """Sketch the rows that came since the last time."""
        if self._cells is not None and self._seen == index.rows:
            return self._cells
        new = np.flatnonzero(~index.dead[self._seen :]) + self._seen
        if self._cells is None:
            self._cells = Cells(index.keys.shape[1])
        cells = self._cells
        if not len(cells) or len(new) > max(BULK, cells.sketches):
            new = index.alive()
            some = new[np.linspace(0, len(new) - 1, min(len(new), SAMPLE)).astype(np.intp)]
            cells.learn(self._patterns(index, some), len(new))
        for first in range(0, len(new), AT_ONCE):
            rows = new[first : first + AT_ONCE]
            cells.add(self._patterns(index, rows), rows)
        self._seen = index.rows
        if len(new):
            self._split(index, cells)
        return cells

    def _split(self, index: Index, cells: Cells) -> None:
        full = cells.full()
        while len(full):
            for cell in full.tolist():
                rows = cells.members(cell)
                cells.split(cell, self._patterns(index, rows), rows)
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
        """Take note that row ``i`` is row ``place[i]`` from now on, -1 for none, of which no byte is left."""
        if self._cells is None:
            return
        self._cells.renumber(place)
        self._seen = int((place[: self._seen] >= 0).sum())
        if not self._seen:
            self._cells = None

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


def unit(patterns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return patterns ``(c, d)`` with the length 1; those of zeros stay."""
    length = np.sqrt(np.einsum("cd,cd->c", patterns, patterns))[:, None]
    return patterns / np.where(length > 0, length, 1)


def _share(index: Index, known: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return which part of the variance of the keys lies in the known entries ``(c,)``."""
    variance = index.statistics().of_entries("variance")
    return np.asarray((known @ variance / max(float(variance.sum()), 1e-30)).clip(1e-6, 1.0))

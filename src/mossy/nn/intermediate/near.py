"""Which stored input is nearest to a new one: short vectors propose, the inputs themselves decide."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mossy.nn.tensors import wide

__all__ = ["LENGTH", "REACH", "Neighbours", "apart", "differences", "distances", "leaders", "sketch"]

LENGTH = 128  # entries of a sketch
PROPOSED = 4  # stored inputs that are compared with a new one, at most
BLOCK = 256  # rows of which all pairs are taken at once
CLOSE = 1e-8  # of squares: nearer pairs lose half of the digits of float64
REACH = 2.0  # how many times farther sketches may be than inputs that are near


def apart(rows: Tensor, others: Tensor) -> Tensor:
    """Return the r.m.s. differences ``(n,)`` of vectors ``(n, d)``, in their own dtype (half precision: float32)."""
    kind = wide(rows.dtype)
    difference = rows.to(kind) - others.to(kind)
    found: Tensor = torch.linalg.vector_norm(difference, dim=1) / max(rows.shape[1], 1) ** 0.5
    return found


@lru_cache(maxsize=16)
def _draw(d: int, device: torch.device) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):  # it is kept for all that come
        generator = torch.Generator().manual_seed(d)
        places = torch.randint(0, LENGTH, (d,), generator=generator)
        signs = torch.randint(0, 2, (d,), generator=generator).float() * 2 - 1
        return places.to(device), signs.to(device)


def sketch(rows: Tensor) -> Tensor:
    """Return vectors ``(n, ≤ 128)`` whose distances are about the r.m.s. differences of the rows ``(n, ...)``.

    ``v_k = Σ_{i: h(i) = k} s_i x_i / √d``, each entry i at a drawn place h(i) with a drawn sign s_i (Charikar, Chen &
    Farach-Colton 2002, "Finding frequent items in data streams"; Weinberger et al. 2009, arXiv:0902.2206). A squared
    distance is kept in the mean. If many entries differ, a distance is off by about 6 % (one standard deviation); a
    difference in two entries may be lost altogether. Rows of up to 128 entries keep it exactly.
    """
    flat = rows.detach().reshape(len(rows), -1)
    d = max(flat.shape[1], 1)
    scaled: Tensor = flat.to(wide(flat.dtype)) * d**-0.5
    if d <= LENGTH:
        return scaled
    places, signs = _draw(d, flat.device)
    short: Tensor = scaled.new_zeros(len(scaled), LENGTH).index_add_(1, places, scaled * signs.to(scaled.dtype))
    return short


def distances(rows: Tensor) -> NDArray[Any]:
    """Return the Euclidean distances of all pairs of ``(n, k)`` as ``(n, n)``; of what is not finite: infinite."""
    found: NDArray[Any] = (
        torch.cdist(rows, rows, compute_mode="donot_use_mm_for_euclid_dist").nan_to_num(torch.inf).cpu().numpy()
    )
    return found


def differences(rows: Tensor) -> NDArray[Any]:
    """Return the r.m.s. differences of all pairs of ``(n, d)`` as ``(n, n)``, on the host, in float64.

    ``‖a - b‖² = ‖a‖² + ‖b‖² - 2 a·b``, of rows less their mean; pairs that are so near that this loses digits are
    taken from their differences.
    """
    exact = rows.detach().cpu().double()
    exact = exact - exact.mean(0)
    squares = exact.square().sum(1)
    found = torch.empty(len(exact), len(exact), dtype=torch.float64)
    for start in range(0, len(exact), BLOCK):
        block = slice(start, start + BLOCK)
        together = squares[block, None] + squares
        to = torch.addmm(together, exact[block], exact.T, alpha=-2)
        for i, row in enumerate(exact[block]):
            close = (to[i] < CLOSE * together[i]).nonzero()[:, 0]
            to[i, close] = (exact[close] - row).square().sum(1)
        found[block] = to
    scaled: NDArray[Any] = found.div_(max(rows.shape[1], 1)).sqrt_().nan_to_num_(torch.inf).numpy()
    return scaled


def leaders(apart: NDArray[Any], tolerance: float, serves: NDArray[np.bool_] | None = None) -> list[int]:
    """Return for each row the nearest earlier one that stands for it, itself where none is near enough.

    ``apart (n, n)`` are the distances. A row that another stands for stands for none, as if each were looked up and
    stored for itself, in order. ``serves (n,)`` says which may stand for others; None: all.
    """
    alone = np.empty(len(apart), np.intp)
    n, found = 0, []
    for i, row in enumerate(apart):
        to = row[alone[:n]]
        place = int(to.argmin()) if n else 0
        if n and to[place] <= tolerance:
            found.append(int(alone[place]))
        else:
            alone[n] = i
            n += serves is None or bool(serves[i])
            found.append(i)
    return found


@final
class Neighbours:
    """Sketches in the rows of a growing matrix, each with the key of what it belongs to.

    Parameters
    ----------
    like
        Sketches ``(n, k)``, of whose length, dtype and device all are.
    """

    def __init__(self, like: Tensor) -> None:
        self.keys: list[bytes] = []
        with torch.inference_mode(False):
            self._matrix = like.new_empty(0, like.shape[1])
            self._halves = like.new_empty(0)  # ½‖v‖²

    @property
    def nbytes(self) -> int:
        """Bytes of all sketches, and of the room for more."""
        return self._matrix.nbytes + self._halves.nbytes

    def propose(self, queries: Tensor, reach: float) -> list[list[bytes]]:
        """Return for each of ``queries (n, k)`` the keys of the nearest sketches, up to 4 that are within reach."""
        n = len(self.keys)
        if not n:
            return [[] for _ in queries]
        # ‖q - v‖² is least where q·v - ½‖v‖² is greatest
        scores = torch.addmm(self._halves[:n], queries, self._matrix[:n].T, beta=-1)
        best = scores.topk(min(PROPOSED, n), 1).indices
        within = (queries[:, None] - self._matrix[best]).norm(dim=2) <= reach
        return [
            [self.keys[place] for place, near in zip(places, fine, strict=True) if near]
            for places, fine in zip(best.tolist(), within.tolist(), strict=True)
        ]

    @torch.inference_mode(False)
    def add(self, keys: list[bytes], sketches: Tensor) -> None:
        """Add rows; one that is not finite is left out, since it is near to nothing."""
        finite = sketches.isfinite().all(1)
        rows = sketches[finite]
        old, new = len(self.keys), len(self.keys) + len(rows)
        if new > len(self._matrix):
            more = new - old + new // 4  # a quarter of spare room, so that few adds copy all
            self._matrix = torch.cat([self._matrix[:old], self._matrix.new_empty(more, rows.shape[1])])
            self._halves = torch.cat([self._halves[:old], self._halves.new_empty(more)])
        self._matrix[old:new] = rows
        self._halves[old:new] = rows.square().sum(1) / 2
        self.keys += [key for key, fine in zip(keys, finite.tolist(), strict=True) if fine]

    @torch.inference_mode(False)
    def keep(self, held: Callable[[bytes], bool]) -> None:
        """Leave out those whose key is not held, and all but the last of each key."""
        rows = sorted({key: row for row, key in enumerate(self.keys) if held(key)}.values())
        self.keys = [self.keys[row] for row in rows]
        self._matrix, self._halves = self._matrix[rows], self._halves[rows]

"""Which stored input is nearest to a new one, by short vectors that keep distances."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

__all__ = ["LENGTH", "Neighbours", "distances", "leaders", "sketch"]

LENGTH = 128  # entries of a sketch


@lru_cache(maxsize=16)
def _draw(d: int, device: torch.device) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(d)
    places = torch.randint(0, LENGTH, (d,), generator=generator)
    signs = torch.randint(0, 2, (d,), generator=generator).float() * 2 - 1
    return places.to(device), signs.to(device)


def sketch(rows: Tensor) -> Tensor:
    """Return vectors ``(n, ≤ 128)`` whose distances are the r.m.s. differences of the rows ``(n, ...)``.

    ``v_k = Σ_{i: h(i) = k} s_i x_i / √d``, each entry i at a drawn place h(i) with a drawn sign s_i (Charikar, Chen &
    Farach-Colton 2002, "Finding frequent items in data streams"; Weinberger et al. 2009, arXiv:0902.2206). A distance
    is kept up to about 6 % (one standard deviation). Rows of up to 128 entries keep it exactly.
    """
    flat = rows.detach().reshape(len(rows), -1).float()
    d = max(flat.shape[1], 1)
    scaled: Tensor = flat * d**-0.5
    if d <= LENGTH:
        return scaled
    places, signs = _draw(d, flat.device)
    short: Tensor = scaled.new_zeros(len(scaled), LENGTH).index_add_(1, places, scaled * signs)
    return short


def distances(sketches: Tensor) -> NDArray[np.float32]:
    """Return the distances of all pairs ``(n, n)``; of what is not finite they are infinite."""
    found: NDArray[np.float32] = (
        torch.cdist(sketches, sketches, compute_mode="donot_use_mm_for_euclid_dist").nan_to_num(torch.inf).cpu().numpy()
    )
    return found


def leaders(apart: NDArray[np.float32], tolerance: float, serves: NDArray[np.bool_] | None = None) -> list[int]:
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
        Sketches ``(n, k)``, of whose length and device all are.
    """

    def __init__(self, like: Tensor) -> None:
        self.keys: list[bytes] = []
        self._matrix = like.new_zeros(64, like.shape[1])
        self._halves = like.new_zeros(64)  # ½‖v‖²

    def find(self, queries: Tensor, tolerance: float) -> list[bytes | None]:
        """Return for each of ``queries (n, k)`` the key of the nearest sketch, or None if it is too far."""
        n = len(self.keys)
        if not n:
            return [None] * len(queries)
        # ‖q - v‖² is least where q·v - ½‖v‖² is greatest
        best = torch.addmm(self._halves[:n], queries, self._matrix[:n].T, beta=-1).argmax(1)
        near = (queries - self._matrix[best]).norm(dim=1) <= tolerance
        return [self.keys[place] if hit else None for place, hit in zip(best.tolist(), near.tolist(), strict=True)]

    def add(self, keys: list[bytes], sketches: Tensor) -> None:
        """Add rows; one that is not finite is left out, since it is near to nothing."""
        finite = sketches.isfinite().all(1)
        rows = sketches[finite]
        old, new = len(self.keys), len(self.keys) + len(rows)
        if new > len(self._matrix):
            self._matrix = torch.cat([self._matrix[:old], self._matrix.new_zeros(new, rows.shape[1])])
            self._halves = torch.cat([self._halves[:old], self._halves.new_zeros(new)])
        self._matrix[old:new] = rows
        self._halves[old:new] = rows.square().sum(1) / 2
        self.keys += [key for key, fine in zip(keys, finite.tolist(), strict=True) if fine]

    def keep(self, held: Callable[[bytes], bool]) -> None:
        """Leave out those whose key is not held, and all but the last of each key."""
        rows = sorted({key: row for row, key in enumerate(self.keys) if held(key)}.values())
        self.keys = [self.keys[row] for row in rows]
        self._matrix, self._halves = self._matrix[rows], self._halves[rows]

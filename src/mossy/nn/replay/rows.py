"""Rows of one tensor, on any device."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

__all__ = ["Rows"]


@final
class Rows:
    """A tensor that grows at its end, as ``mossy.arrays.Column`` does for arrays.

    Parameters
    ----------
    like
        A batch ``(n, ...)``, of which the shape of a row and the dtype are taken.
    device
        Where the rows are held.
    """

    def __init__(self, like: Tensor, device: torch.device) -> None:
        self._buffer = torch.empty((0, *like.shape[1:]), dtype=like.dtype, device=device)
        self.rows = self._buffer

    def reserve(self, n: int) -> None:
        """Make room for ``n`` rows in all."""
        if n > len(self._buffer):
            grown = self._buffer.new_zeros((n, *self._buffer.shape[1:]))
            grown[: len(self.rows)] = self.rows
            self._buffer.zero_()  # what is forgotten later is not left in what is given back now
            self._buffer, self.rows = grown, grown[: len(self.rows)]

    def append(self, batch: Tensor) -> None:
        """Copy a batch ``(n, ...)`` behind the last row."""
        old, new = len(self.rows), len(self.rows) + len(batch)
        self.reserve(new)
        self._buffer[old:new] = batch
        self.rows = self._buffer[:new]

    def overwrite(self, at: Tensor, batch: Tensor) -> None:
        """Copy a batch ``(n, ...)`` over the rows ``at (n,)``."""
        self.rows[at] = batch.to(self.rows.device)

    def truncate(self, n: int) -> None:
        """Hold the first ``n`` rows alone; no byte of the others is left."""
        self.rows[n:] = 0
        self.rows = self._buffer[:n]

    def to(self, device: torch.device) -> None:
        """Hold them on another device."""
        self._buffer = self.rows = self.rows.to(device)

    @property
    def nbytes(self) -> int:
        """Bytes held, with what is reserved."""
        return self._buffer.nbytes

"""Rows of one tensor, on any device."""

from __future__ import annotations

from typing import final

import torch
from torch import Tensor

__all__ = ["Rows"]


@final
class Rows:
    """A tensor that grows at its end, as ``mossy.arrays.Column`` does for arrays.

    What is made in inference mode cannot be written later, so here nothing is.

    Parameters
    ----------
    like
        A batch ``(n, ...)``, of which the shape of a row and the dtype are taken.
    device
        Where the rows are held.
    """

    @torch.inference_mode(False)
    def __init__(self, like: Tensor, device: torch.device) -> None:
        self._buffer = torch.empty((0, *like.shape[1:]), dtype=like.dtype, device=device)
        self.rows = self._buffer

    @torch.inference_mode(False)
    def reserve(self, n: int) -> None:
        """Make room for ``n`` rows in all."""
        if n > len(self._buffer):
            grown = self._buffer.new_zeros((n, *self._buffer.shape[1:]))
            grown[: len(self.rows)] = self.rows
            self._buffer.zero_()  # what is forgotten later is not left in what is given back now
            self._buffer, self.rows = grown, grown[: len(self.rows)]

    @torch.inference_mode(False)
    def append(self, batch: Tensor) -> None:
        """Copy a batch ``(n, ...)`` behind the last row."""
        old, new = len(self.rows), len(self.rows) + len(batch)
        self.reserve(new)
        self.rows = self._buffer[:new]  # before they are written, so that truncate finds them if this is interrupted
        self.rows[old:] = batch.detach()

    @torch.inference_mode(False)
    def overwrite(self, at: Tensor, batch: Tensor) -> None:
        """Copy a batch ``(n, ...)`` over the rows ``at (n,)``."""
        self.rows[at] = batch.detach().to(self.rows.device)

    @torch.inference_mode(False)
    def truncate(self, n: int) -> None:
        """Hold the first ``n`` rows alone; no byte of the others is left."""
        self.rows[n:] = 0
        self.rows = self._buffer[:n]

    @torch.inference_mode(False)
    def on(self, device: torch.device) -> Rows:
        """Return them as held on a device: a copy, or these if they are there."""
        there = self.rows.to(device)
        if there is self.rows:
            return self
        copied = Rows(there[:0], device)
        copied._buffer = copied.rows = there
        return copied

    @property
    def nbytes(self) -> int:
        """Bytes held, with what is reserved."""
        return self._buffer.nbytes

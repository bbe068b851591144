"""The examples that a memory holds: a row of each in tensors, and what is known of it in arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mossy.arrays import Column
from mossy.errors import EmptyBatch, InvalidDtype, UnknownMemory
from mossy.nn.replay.rows import Rows
from mossy.strength import LinearLaw, Strengths

__all__ = ["Examples", "Places", "Replayed"]

Places = NDArray[np.intp]

KEPT = 8 + 8 + 8 + 4 + 4  # bytes of an id, a time, a lot, a surprise and a code; a strength has 4 a mode and 8


class Replayed(NamedTuple):
    """Examples that were drawn: ``x (n, ...)``, ``y (n, ...)``, ``ids (n,)``, ``logits (n, k)`` or None."""

    x: Tensor
    y: Tensor
    ids: Tensor
    logits: Tensor | None


@final
class Examples:
    """Rows ``x``, ``y`` and perhaps ``logits`` on a device; here ids, lots, surprise, codes of classes and strengths.

    Parameters
    ----------
    law
        How the strengths fade.
    held
        Where the tensors are written, by name.
    """

    def __init__(self, law: LinearLaw, held: dict[str, Rows]) -> None:
        self.held = held
        self.known = {
            "ids": Column((), np.int64),
            "born": Column((), np.float64),
            "lots": Column((), np.float64),
            "surprise": Column((), np.float32),
            "codes": Column((), np.int32),
        }
        self.strengths = Strengths(law, ages=2)

    def __len__(self) -> int:
        return len(self.known["ids"].rows)

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.known[name].rows

    @property
    def each(self) -> int:
        """Bytes of one example."""
        rows = sum(rows.rows.new_empty((1, *rows.rows.shape[1:])).nbytes for rows in self.held.values())
        return rows + KEPT + 4 * self.strengths.law.modes + 8

    @property
    def nbytes(self) -> int:
        """Bytes of all."""
        parts: list[Rows | Column] = [*self.held.values(), *self.known.values()]
        return sum(part.nbytes for part in parts) + self.strengths.nbytes

    def log_strengths(self, now: float) -> NDArray[np.float64]:
        """Return ``ln s (n,)``."""
        return np.asarray(self.strengths.log(np.arange(len(self)), now), np.float64)

    def log_fresh(self, now: float) -> NDArray[np.float64]:
        """Return ``ln r (n,)``: what ``ln s`` would be had nothing been reinforced."""
        modes = np.ones((len(self), self.strengths.law.modes))
        return np.asarray(self.strengths.law.log_strength(modes, now - self["born"]), np.float64)

    def at(self, places: Places) -> Replayed:
        """Return copies of the examples at these places."""
        x, y, *logits = (rows.rows[_index(places, rows.rows.device)] for rows in self.held.values())
        return Replayed(x, y, torch.from_numpy(self["ids"][places]), logits[0] if logits else None)

    def places(self, ids: Tensor | Iterable[int], by: str) -> Places:
        """Return the places of these ids, or raise."""
        wanted = np.atleast_1d(torch.as_tensor(ids if isinstance(ids, Tensor | int) else list(ids)).cpu().numpy())
        if not len(wanted):
            raise EmptyBatch(f"{by}.ids: none was given; give at least one.")
        if wanted.dtype.kind not in "iu" or wanted.ndim != 1:
            raise InvalidDtype(
                f"{by}.ids: {wanted.dtype} of shape {wanted.shape} was given; integers (n,), as store returned, are "
                "allowed."
            )
        held = self["ids"]
        order = np.argsort(held)
        found = np.searchsorted(held, wanted, sorter=order)
        unknown = found == len(held)
        places = order[np.where(unknown, 0, found)] if len(held) else found
        if len(held):
            unknown |= held[places] != wanted
        if unknown.any():
            raise UnknownMemory(f"{by}: no example has the id {wanted[unknown][0]}; nothing was changed.")
        return np.asarray(places)

    def write(
        self,
        given: Mapping[str, Tensor],
        known: Mapping[str, NDArray[Any]],
        come: Places,
        free: Places,
        room: int,
        now: float,
    ) -> None:
        """Write those of the given rows that come: over places that are free, then behind the last one.

        Parameters
        ----------
        given, known
            Tensors and arrays of ``n`` new examples, by name.
        come
            Which of them are written.
        free
            Places of which the examples are let go.
        room
            For how many there may be room.
        now
            The time.
        """
        over, behind = come[: len(free)], come[len(free) :]
        at, left = free[: len(over)], free[len(over) :]
        if len(behind):
            room = min(max(len(self) + len(behind), len(self) * 9 // 8), room)
            parts: list[Rows | Column] = [*self.held.values(), *self.known.values(), *self.strengths.columns()]
            for part in parts:
                part.reserve(room)
            for name, rows in self.held.items():
                rows.append(given[name][_index(behind, given[name].device)])
            for name, column in self.known.items():
                column.append(known[name][behind])
            self.strengths.append(len(behind), now)
        if len(at):
            for name, rows in self.held.items():
                rows.overwrite(_index(at, rows.rows.device), given[name][_index(over, given[name].device)])
            for name, column in self.known.items():
                column.rows[at] = known[name][over]
            self.strengths.erase(at)
            self.strengths.excite(at, np.ones(len(at)), now)
        self.take_out(left)

    def rewrite(self, name: str, places: Places, rows: Tensor) -> None:
        """Write these rows of a tensor over those at places."""
        held = self.held[name]
        held.overwrite(_index(places, held.rows.device), rows.to(held.rows.dtype))

    def take_out(self, gone: Places) -> None:
        """Hold the examples at these places no more; no byte of them is left."""
        if not len(gone):
            return
        n = len(self) - len(gone)
        holes = gone[gone < n]
        moved = np.setdiff1d(np.arange(n, len(self)), gone)  # from the end into the holes
        for rows in self.held.values():
            rows.overwrite(_index(holes, rows.rows.device), rows.rows[_index(moved, rows.rows.device)])
            rows.truncate(n)
        for column in [*self.known.values(), *self.strengths.columns()]:
            column.rows[holes] = column.rows[moved]
            column.truncate(n)

    def state(self) -> dict[str, Tensor]:
        """Return copies of all."""
        tensors = {name: rows.rows.clone() for name, rows in self.held.items()}
        arrays = {name: column.rows.copy() for name, column in self.known.items()} | self.strengths.state()
        return tensors | {name: torch.from_numpy(array) for name, array in arrays.items()}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Append what ``state`` returned."""
        for name, rows in self.held.items():
            rows.append(state[name])
        for name, column in self.known.items():
            column.append(state[name].cpu().numpy())
        self.strengths.restore({name: state[name].cpu().numpy() for name in ("modes", "when")})


def _index(places: Places, device: torch.device) -> Tensor:
    """Return places as an index on a device."""
    return torch.from_numpy(places).to(device)

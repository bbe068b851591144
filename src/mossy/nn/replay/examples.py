"""The examples that a memory holds: a row of each in tensors, and what is known of it in arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mossy.arrays import Column
from mossy.errors import EmptyBatch, InvalidDtype, UnknownMemory
from mossy.nn.replay.checks import as_numbers
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
        wanted = as_numbers(ids, f"{by}.ids")
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
        at: Places,
        room: int,
        now: float,
    ) -> None:
        """Write those of the given rows that come: over those at some places, then behind the last one.

        If that is cut off, what came is cut back, and if it had begun to write over old ones, those are let go.

        Parameters
        ----------
        given, known
            Tensors and arrays of ``n`` new examples, by name.
        come
            Which of them are written.
        at
            Places of which the examples are written over, no more than come.
        room
            For how many there may be room.
        now
            The time.
        """
        n, over, begun = len(self), len(at), at[:0]
        ready = {  # what may fail, such as a copy to another device, comes before anything is written
            name: given[name].detach()[_index(come, given[name].device)].to(rows.rows.device, rows.rows.dtype)
            for name, rows in self.held.items()
        }
        try:
            self._write_behind(ready, known, come, over, room, now)
            if over:
                begun = at
                for name, rows in self.held.items():
                    rows.overwrite(_index(at, rows.rows.device), ready[name][:over])
                for name, column in self.known.items():
                    column.rows[at] = known[name][come[:over]]
                self.strengths.erase(at)
                self.strengths.excite(at, np.ones(over), now)
        except BaseException:  # no room, or an interruption
            for part in self._parts():
                part.truncate(n)
            self.take_out(begun)
            raise

    def _write_behind(
        self,
        ready: Mapping[str, Tensor],
        known: Mapping[str, NDArray[Any]],
        come: Places,
        over: int,
        room: int,
        now: float,
    ) -> None:
        """Write what comes, but for the first ``over``, behind the last row; the ids, which are counted, last."""
        behind = come[over:]
        if not len(behind):
            return
        room = min(max(len(self) + len(behind), len(self) * 9 // 8), room)
        for part in self._parts():
            part.reserve(room)
        for name, rows in self.held.items():
            rows.append(ready[name][over:])
        self.strengths.append(len(behind), now)
        for name, column in reversed(self.known.items()):
            column.append(known[name][behind])

    def _parts(self) -> list[Rows | Column]:
        return [*self.held.values(), *self.known.values(), *self.strengths.columns()]

    def rewrite(self, name: str, places: Places, rows: Tensor) -> Tensor:
        """Write these rows of a tensor over those at places, and return those."""
        held = self.held[name]
        at = _index(places, held.rows.device)
        before = held.rows[at]
        held.overwrite(at, rows)
        return before

    def move(self, device: torch.device) -> None:
        """Hold the tensors on another device; no byte of them is left on this one."""
        moved = {name: rows.on(device) for name, rows in self.held.items()}
        left = [rows for name, rows in self.held.items() if rows is not moved[name]]
        self.held = moved
        for rows in left:
            rows.truncate(0)

    def take_out(self, gone: Places) -> None:
        """Hold the examples at these places no more; no byte of them is left."""
        if not len(gone):
            return
        n = len(self) - len(gone)
        holes = gone[gone < n]
        moved = np.setdiff1d(np.arange(n, len(self)), gone)  # from the end into the holes

        def move() -> None:
            for rows in self.held.values():
                rows.overwrite(_index(holes, rows.rows.device), rows.rows[_index(moved, rows.rows.device)])
            for column in [*self.known.values(), *self.strengths.columns()]:
                column.rows[holes] = column.rows[moved]

        def cut() -> None:
            for part in self._parts():
                part.truncate(n)

        _to_the_end(move, cut)

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


def _to_the_end(change: Callable[[], None], *rest: Callable[[], None]) -> None:
    """Make changes that may be made again; one that is interrupted is, so that they are never half made."""
    try:
        change()
    except BaseException:
        change()
        raise
    finally:
        if rest:
            _to_the_end(*rest)


def _index(places: Places, device: torch.device) -> Tensor:
    """Return places as an index on a device."""
    return torch.from_numpy(places).to(device)

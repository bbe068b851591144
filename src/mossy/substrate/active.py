"""Sparse patterns as lists of their active neurons: from and to the two forms that users hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mossy.arrays import as_array, as_batch, as_cues, as_known
from mossy.errors import EmptyBatch, InvalidDtype, InvalidInput, InvalidShape, NothingKnown
from mossy.kernels.codes import NOT_A_NEURON, TWICE

__all__ = ["CUE", "FEW", "Active", "as_lists", "as_patterns"]

# Up to so many items NumPy answers: within a few ms, which is less than loading the compiler takes.
FEW = 64

CUE = "cue"  # the name of a cue in errors


@final
@dataclass(frozen=True)
class Active:
    """The active neurons of ``m`` patterns.

    Attributes
    ----------
    neurons
        Their indices (total,), one pattern after the other.
    offsets
        Where each pattern begins, and where the last ends (m + 1,).
    single
        Whether one pattern was given, not a batch.
    """

    neurons: NDArray[np.int32]
    offsets: NDArray[np.int64]
    single: bool

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, m: int) -> NDArray[np.int32]:
        """Return the active neurons of pattern ``m``."""
        return self.neurons[self.offsets[m] : self.offsets[m + 1]]

    @classmethod
    def of_patterns(cls, given: ArrayLike, name: str, n: int) -> Active:
        """Take binary patterns ``(n,)`` or ``(m, n)``.

        Raises
        ------
        InvalidInput
        """
        raw = as_array(given, name)
        return cls._of_batch(*as_batch(raw, name, n, _narrow(raw)), name)

    @classmethod
    def of_cues(cls, given: ArrayLike, n: int, known: ArrayLike | None) -> Active:
        """Take binary cues ``(n,)`` or ``(m, n)``; an entry that is not ``known`` may hold anything.

        Raises
        ------
        InvalidInput
        """
        raw = as_array(given, CUE)
        batch, single, _ = as_cues(raw, known, n, _narrow(raw))
        return cls._of_batch(batch, single, CUE)

    @classmethod
    def _of_batch(cls, batch: NDArray[Any], single: bool, name: str) -> Active:
        active = batch != 0
        if batch.dtype != np.bool_ and not (batch[active] == 1).all():
            item, entry = np.argwhere(active & (batch != 1))[0]
            raise InvalidDtype(
                f"{name}: {batch[item, entry]:g} was given at item {item}, entry {entry}; a sparse memory "
                "takes booleans, or 0 and 1. Encode the pattern sparsely first."
            )
        offsets = np.zeros(len(batch) + 1, np.int64)
        np.cumsum(active.sum(axis=1), out=offsets[1:])
        return cls(np.nonzero(active)[1].astype(np.int32), offsets, single)

    @classmethod
    def of_lists(cls, given: ArrayLike, name: str, n: int) -> Active:
        """Take index lists ``(k,)`` or ``(m, k)``, in any order, where -1 stands for no neuron.

        Raises
        ------
        InvalidInput
        """
        raw = as_array(given, name)
        if raw.ndim not in (1, 2):
            raise InvalidShape(f"{name}: shape {raw.shape} was given; index lists (k,) or (m, k) are allowed.")
        if len(raw) == 0:
            raise EmptyBatch(f"{name}: shape {raw.shape} was given; give at least one active neuron.")
        if raw.dtype.kind not in "iu":
            raise InvalidDtype(
                f"{name}: dtype {raw.dtype} was given; indices of active neurons are integers. "
                "For patterns of 0 and 1 use write, read and forget."
            )
        single = raw.ndim == 1
        lists = np.ascontiguousarray(raw[None] if single else raw)
        if lists.dtype.kind == "u":
            # An unsigned -1 would be a large number, and a large number must not become -1.
            lists = np.minimum(lists, n)
        lists = lists.astype(np.int64, copy=False)
        return cls(*(_pack_few if len(lists) <= FEW else _pack_many)(lists, name, n), single)

    def within(self, known: ArrayLike | None, n: int) -> Active:
        """Leave out the neurons that are not ``known``, ``(n,)`` or ``(m, n)``.

        Raises
        ------
        InvalidInput
        """
        if known is None:
            return self
        mask = as_known(known, np.broadcast_to(np.float32(0), (len(self), n)))
        pattern = np.repeat(np.arange(len(self)), np.diff(self.offsets))
        keep = mask[pattern if len(mask) > 1 else 0, self.neurons]
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        return Active(self.neurons[keep], offsets, self.single)

    def check_none_empty(self, name: str) -> Active:
        """Return itself, or raise ``NothingKnown`` for a cue, ``InvalidInput`` for another pattern."""
        empty = np.flatnonzero(np.diff(self.offsets) == 0)
        if len(empty) and name == CUE:
            raise NothingKnown(
                f"{name}: item {empty[0]} has no neuron that is active and known; one at least is needed."
            )
        if len(empty):
            raise InvalidInput(f"{name}: item {empty[0]} has no active neuron, so no synapse can hold it; give one.")
        return self


def _narrow(patterns: NDArray[Any]) -> DTypeLike:
    return np.bool_ if patterns.dtype == np.bool_ else np.float32


def _pack_few(lists: NDArray[np.int64], name: str, n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    for m, row in enumerate(lists):
        used = row[row != -1]
        outside = used[(used < 0) | (used >= n)]
        if len(outside):
            raise _not_a_neuron(name, m, outside[0], n)
        if len(np.unique(used)) < len(used):
            neurons, times = np.unique(used, return_counts=True)
            raise _twice(name, m, neurons[times > 1][0])
    offsets = np.concatenate([[0], np.cumsum((lists != -1).sum(axis=1))])
    return lists[lists != -1].astype(np.int32), offsets


def _pack_many(lists: NDArray[np.int64], name: str, n: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    from mossy.kernels.bits import pack_active

    neurons, offsets = np.empty(lists.size, np.int32), np.empty(len(lists) + 1, np.int64)
    code, m, neuron = pack_active(lists, n, neurons, offsets)
    if code == NOT_A_NEURON:
        raise _not_a_neuron(name, m, neuron, n)
    if code == TWICE:
        raise _twice(name, m, neuron)
    return neurons[: offsets[-1]], offsets


def _not_a_neuron(name: str, m: int, neuron: Any, n: int) -> InvalidInput:
    return InvalidInput(
        f"{name}: an index outside the {n} neurons (read as {neuron}) was given in item {m}; 0 … {n - 1} are "
        "allowed, and -1 for no neuron."
    )


def _twice(name: str, m: int, neuron: Any) -> InvalidInput:
    return InvalidInput(
        f"{name}: neuron {neuron} was given twice in item {m}; a neuron is active or not, give it once."
    )


def as_patterns(bits: NDArray[np.uint64], n: int) -> NDArray[np.float32]:
    """Unpack words of bits ``(m, words)`` into patterns of 0 and 1 ``(m, n)``."""
    return np.unpackbits(bits.view(np.uint8), axis=1, count=n, bitorder="little").astype(np.float32)


def as_lists(bits: NDArray[np.uint64], n: int, few: bool) -> NDArray[np.int32]:
    """Unpack words of bits ``(m, words)`` into ascending index lists ``(m, most)``, filled up with -1."""
    sizes = np.bitwise_count(bits).sum(axis=1, dtype=np.int64)
    found = np.full((len(bits), int(sizes.max())), -1, np.int32)
    if not few:
        from mossy.kernels.bits import list_active

        list_active(bits, found)
        return found
    for row, pattern in zip(found, as_patterns(bits, n), strict=True):
        active = np.flatnonzero(pattern)
        row[: len(active)] = active
    return found

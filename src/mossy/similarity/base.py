r"""What every similarity is: how well a stored key fits a cue, over the entries that the cue knows.

Similarities are dimensionless. They are measured in the scale of the stored keys, ``σ²`` below, so that in any
data two keys that have nothing to do with each other lie about one unit below a perfect fit:

.. math::  σ^2(\text{known}) = \sum_{j\,\text{known}} \operatorname{Var}_i\,k_{ij}

A memory scans all keys in float32 (``scores``), which ranks them up to a proven rounding error (``rounding``), and then
computes those that can still matter in float64 (``exact``). So what a recall returns is what an exact search returns.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "Cues", "KeyStatistics", "Similarity", "lengths", "products"]

UNIT = 2.0**-24  # rounding unit of float32
AT_ONCE = 256  # keys summed at once, so that no copy of all keys is made
LEAST = 1e-30  # squared lengths below it are as good as none: float32 cannot divide by them


class KeyStatistics:
    """Mean square, variance and deviation of each entry of some keys, kept by sums.

    The sums add key after key, so that any batching gives the same bits.

    Parameters
    ----------
    d
        The number of neurons of a key.
    """

    def __init__(self, d: int) -> None:
        self.count = 0
        self.total = np.zeros(d)
        self.squares = np.zeros(d)
        self._entries: dict[str, NDArray[np.float64]] = {}
        self._sums: dict[str, NDArray[np.float64]] = {}

    def add(self, keys: NDArray[Any]) -> None:
        """Count a batch of keys ``(n, d)`` in."""
        self._entries.clear()
        self._sums.clear()
        self.count += len(keys)
        for first in range(0, len(keys), AT_ONCE):
            wide = keys[first : first + AT_ONCE].astype(np.float64)
            self.total = _row_after_row(self.total, wide)
            self.squares = _row_after_row(self.squares, wide**2)

    def scale(self, of: str, known: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the sum over the known entries of their ``"power"``, ``"variance"`` or ``"deviation"``.

        ``(c,)`` for masks ``(c, d)``, ``(1,)`` without. Where the keys do not vary, it is their power (a single key is
        measured by its own length), and 1 where they are all but 0.
        """
        if known is None:
            if of not in self._sums:
                self._sums[of] = self.scale(of, np.ones((1, len(self.total))))
            return self._sums[of]
        scale = np.einsum("cd,d->c", known, self.of_entries(of))
        if (scale > LEAST).all():
            return np.asarray(scale)
        power = np.einsum("cd,d->c", known, self.of_entries("power" if of == "variance" else "length"))
        return np.asarray(np.where(scale > LEAST, scale, np.where(power > LEAST, power, 1.0)))

    def unrelated(self, known: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return the cosine to expect of two keys that have nothing to do with each other, ``(c,)`` or ``(1,)``.

        It is ``|mean|²/mean square`` over the known entries: 0 for centred keys, near 1 for keys that are all alike.
        """
        if known is None:
            if "unrelated" not in self._sums:
                self._sums["unrelated"] = self.unrelated(np.ones((1, len(self.total))))
            return self._sums["unrelated"]
        entries = self.of_entries("variance"), self.of_entries("power")
        variance, power = (np.einsum("cd,d->c", known, each) for each in entries)
        return np.asarray(np.maximum(1 - variance / np.where(power > LEAST, power, 1.0), 0.0))

    def evenness(self, known: NDArray[np.float64] | None) -> NDArray[np.float64]:
        """Return how many entries of equal variance are worth the known ones, ``(Σ v)²/Σ v²``, ``(c,)`` or ``(1,)``.

        Where no entry varies, it is infinite: none is missed.
        """
        if known is None:
            if "evenness" not in self._sums:
                self._sums["evenness"] = self.evenness(np.ones((1, len(self.total))))
            return self._sums["evenness"]
        variance = self.of_entries("variance")
        squares = known @ variance**2
        return np.where(squares > 0, (known @ variance) ** 2 / np.where(squares > 0, squares, 1.0), np.inf)

    def of_entries(self, of: str) -> NDArray[np.float64]:
        """Return the ``"power"`` (mean square), its root ``"length"``, ``"variance"`` or ``"deviation"``, ``(d,)``."""
        if not self._entries:
            power = self.squares / max(self.count, 1)
            spread = power - (self.total / max(self.count, 1)) ** 2
            variance = np.where(spread > 1e-12 * power, spread, 0.0)  # what is less is rounding
            self._entries.update(power=power, length=np.sqrt(power), variance=variance, deviation=np.sqrt(variance))
        return self._entries[of]


@dataclass(slots=True)
class Cues:
    """A batch of cues, as ``prepare`` makes it for scanning.

    Attributes
    ----------
    exact
        The cues ``(c, d)`` in float64, 0 where unknown.
    known
        ``(c, d)`` or ``(1, d)`` in float64, 1 where known; None when all is known.
    scale
        ``(c,)`` or ``(1,)``: what one unit of similarity is worth.
    unrelated, perfect
        ``(c,)`` or ``(1,)``, and a number: the similarity to expect of an unrelated key, and of a perfect fit.
    scan
        The cues ``(c, d)`` in float32, scaled for the scan; with ``columns``, those entries alone.
    mask
        The mask in float32, scaled for the scan, or None.
    columns
        The entries that all cues know, where they share a mask: the scan then reads these columns alone.
    """

    exact: NDArray[np.float64]
    known: NDArray[np.float64] | None
    scale: NDArray[np.float64]
    unrelated: NDArray[np.float64]
    perfect: float
    scan: NDArray[np.float32]
    mask: NDArray[np.float32] | None
    columns: NDArray[np.intp] | None = None

    def from_unrelated(self, share: float) -> NDArray[np.float64]:
        """Return the similarity that lies this share of the way from an unrelated key to a perfect fit."""
        return self.unrelated + share * (self.perfect - self.unrelated)

    def sharing(self) -> Cues:
        """Return the cues for a scan of the columns that they all know, if they share one mask."""
        if self.known is None or len(self.known) > 1:
            return self
        columns = np.flatnonzero(self.known[0])
        return replace(self, scan=np.ascontiguousarray(self.scan[:, columns]), mask=None, columns=columns)

    def part(self, rows: slice) -> Cues:
        """Return some of the cues."""

        def cut(array: NDArray[Any]) -> NDArray[Any]:
            return array if len(array) == 1 else array[rows]

        return Cues(
            self.exact[rows],
            None if self.known is None else cut(self.known),
            cut(self.scale),
            cut(self.unrelated),
            self.perfect,
            self.scan[rows],
            None if self.mask is None else cut(self.mask),
            self.columns,
        )


class Similarity(ABC):
    """How well keys fit cues.

    Attributes
    ----------
    name
        The name in the registry.
    beta
        The default inverse temperature β: the evidence that one unit of this similarity is worth.
    reflexive
        Whether every key is its own best fit.
    zero_based
        Whether unrelated patterns have the similarity 0, which linear and polynomial separation need.
    """

    name: ClassVar[str]
    beta: ClassVar[float]
    reflexive: ClassVar[bool]
    zero_based: ClassVar[bool]

    @abstractmethod
    def norms(self, keys: NDArray[np.float32]) -> NDArray[np.float32] | None:
        """Return what is worth keeping of each key ``(n, d)`` for scans, ``(n,)``, or None."""

    @abstractmethod
    def prepare(self, cues: NDArray[np.float64], known: NDArray[np.bool_] | None, keys: KeyStatistics) -> Cues:
        """Prepare cues ``(c, d)`` (0 where unknown) for ``scores`` and ``exact``."""

    @abstractmethod
    def scores(self, cues: Cues, keys: NDArray[np.float32], norms: NDArray[np.float32] | None) -> NDArray[np.float32]:
        """Return the similarities ``(c, n)`` in float32, up to a constant for each cue."""

    @abstractmethod
    def rounding(self, cues: Cues, longest: float) -> NDArray[np.float64]:
        """Return by how much a score can be off ``(c,)``, when no key is longer than ``longest``."""

    @abstractmethod
    def cue_energy(self, cues: Cues) -> NDArray[np.float64]:
        """Return what each cue alone adds to the energy, in units of similarity, ``(c,)`` or ``(1,)``."""

    @abstractmethod
    def exact(
        self,
        cues: NDArray[np.float64],
        known: NDArray[np.float64] | None,
        scale: NDArray[np.float64],
        keys: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Return the similarity ``(p,)`` of pairs of a cue and a key ``(p, d)``.

        Masks are ``(p, d)`` or ``(1, d)`` or None, scales ``(p,)`` or ``(1,)``.
        """


def products(cues: NDArray[np.float32], keys: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the dot products ``(c, n)`` of cues and keys; one cue takes the faster matrix-vector product."""
    return cues @ keys.T


def _row_after_row(total: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ``total (d,)`` with ``rows (n, d)`` added one after the other; NumPy adds a single column in pairs."""
    every = np.concatenate([total[None], rows])
    return np.asarray(np.cumsum(every, axis=0)[-1].copy() if every.shape[1] == 1 else np.add.reduce(every, axis=0))


def lengths(patterns: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the euclidean length ``(n,)`` of each pattern ``(n, d)``."""
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", patterns, patterns)))

"""A durable memory that keeps weights alone: no pattern, no payload."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.encode import Dentate
from mossy.errors import ClosedMemory, ForgetPending, InvalidDtype, InvalidParameter
from mossy.journal import Journal, named, pack, unpack
from mossy.memory.results import Consolidation
from mossy.substrate import Matrix, Sparse

__all__ = ["Remembered", "WeightMemory", "WeightStats", "check_substrate", "name_of"]

NOTHING = np.empty(0, np.bool_)
SUBSTRATES: dict[str, type[Matrix] | type[Sparse]] = {"matrix": Matrix, "sparse": Sparse}


@dataclass(frozen=True)
class Remembered:
    """What weights recall: the pattern ``(d_value,)``, or ``(c, d_value)`` for a batch of cues."""

    pattern: NDArray[Any]


@dataclass(frozen=True)
class WeightStats:
    """What a memory of weights holds: how many pairs made them, and their bytes in this process."""

    memories: int
    substrate: str
    bytes: int


@final
class WeightMemory:
    """A matrix or a sparse memory in a file: what is stored changes its weights, and nothing else of it is kept.

    There are no ids, payloads and strengths, and recall explains nothing. The whole of the weights is on disk when
    ``store`` returns, so store in batches. How much of the patterns the weights give away is measured in the pages, and
    for few patterns it is all of them. ``open`` makes it, with ``keep_raw=False``.

    Parameters
    ----------
    journal
        The open file.
    substrate
        What a new file begins with, or the one whose encoder the weights in the file need; None takes that of the file.

    Raises
    ------
    InvalidDtype, InvalidParameter
        No substrate that keeps weights alone.
    Damaged
    """

    def __init__(self, journal: Journal, substrate: Matrix | Sparse | None) -> None:
        self._journal = journal
        self._given = substrate
        self._lock = threading.RLock()
        self._load()

    def store(self, patterns: ArrayLike, values: ArrayLike | None = None) -> None:
        """Write a pattern, or a batch ``(n, d)``, with its values, if the substrate maps to such.

        Raises
        ------
        InvalidInput, JournalError
            Nothing was stored.
        """
        with self._call(), self._kept():
            self._substrate.write(patterns, values)

    def recall(self, cue: ArrayLike, known: ArrayLike | None = None) -> Remembered:
        """Recall from a noisy or partial cue ``(d,)`` or a batch ``(c, d)``, with the mask ``known`` of true entries.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        with self._call():
            return Remembered(self._substrate.read(cue, known))

    def consolidate(self) -> Consolidation:
        """Do nothing: what is written into weights is as long-term as it gets."""
        return Consolidation(0, 0, 0)

    def forget(self, patterns: ArrayLike, values: ArrayLike | None = None) -> None:
        """Take out what these patterns, with their values, wrote, as if it had not been written.

        Raises
        ------
        CannotForget
            The rule does not allow it exactly.
        UnknownMemory, InvalidInput, JournalError
            Nothing was forgotten.
        ForgetPending
            It is forgotten, but an open reader keeps the earlier weights in the log.
        """
        with self._call():
            with self._kept():
                self._substrate.forget(patterns, values)
            if not self._journal.scrub(NOTHING):
                raise ForgetPending(
                    f"{self._journal.path}: it is forgotten. Earlier weights stay in the log of the file while another "
                    "reads there; the next store, or the next opening to write, takes them out."
                )

    def __len__(self) -> int:
        with self._call():
            return len(self._substrate)

    def stats(self) -> WeightStats:
        """Return what it holds."""
        with self._call():
            return WeightStats(len(self._substrate), name_of(self._substrate), self._substrate.nbytes)

    def close(self) -> None:
        """Let another process write; a second call does nothing."""
        with self._lock:
            self._journal.close()

    def __enter__(self) -> WeightMemory:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"WeightMemory(memories={len(self._substrate)}, substrate={name_of(self._substrate)!r})"

    @contextmanager
    def _call(self) -> Iterator[None]:
        with self._lock:
            if self._journal.closed:
                raise ClosedMemory(f"{self._journal.path}: the memory was closed; open it again with mossy.open().")
            if not self._journal.writes:
                with self._journal.snapshot() as changed:
                    if changed:
                        self._load()
            yield

    @contextmanager
    def _kept(self) -> Iterator[None]:
        """Write the weights that the block changed; if that fails, have those of before again."""
        self._journal.check_writes()
        try:
            yield
            with self._journal.transaction():
                self._journal.put_weights(pack(self._substrate.state()), len(self._substrate))
            self._journal.scrub(NOTHING)  # the weights of before, as far as no reader holds them
        except BaseException:
            self._load()
            raise

    def _load(self) -> None:
        with named(self._journal.path):
            content = self._journal.weights()
        if content:
            state = unpack(content)
            self._substrate = _made(self._journal.configuration["substrate"], state, self._given)
        elif self._given is None:
            raise InvalidParameter("open.substrate: none was given; give an empty mossy.Matrix or mossy.Sparse.")
        else:
            self._substrate = _copy(self._given)


def check_substrate(given: object) -> Matrix | Sparse:
    """Return an empty substrate that keeps weights alone, or raise."""
    if not isinstance(given, Matrix | Sparse):
        raise InvalidDtype(f"open.substrate: {given!r} was given; an empty mossy.Matrix or mossy.Sparse is allowed.")
    if isinstance(given, Matrix) and given.keep_examples:
        raise InvalidParameter("open.substrate: a Matrix with keep_examples=True keeps raw patterns; leave that out.")
    if len(given):
        raise InvalidParameter(f"open.substrate: it holds {len(given)} pairs; give an empty one.")
    return given


def name_of(given: Matrix | Sparse) -> str:
    """Return the name of the kind of a substrate."""
    return next(name for name, kind in SUBSTRATES.items() if isinstance(given, kind))


def _copy(given: Matrix | Sparse) -> Matrix | Sparse:
    return _made(name_of(given), given.state(), given)


def _made(name: str, state: dict[str, Any], given: Matrix | Sparse | None) -> Matrix | Sparse:
    """Make the substrate of a state; a Matrix behind a Dentate finds it again by its seed."""
    if name == "sparse":
        return Sparse.from_state(state)
    encoder = given.encoder if isinstance(given, Matrix) else None
    told = {part.removeprefix("encoder."): state[part] for part in state if part.startswith("encoder.")}
    if encoder is None and told:
        encoder = Dentate.from_state(told)
    return Matrix.from_state(state, encoder=encoder)

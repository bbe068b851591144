"""Opening a durable memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, overload

from mossy.arrays import check_flag, choose
from mossy.clock import Clock, Seconds, clock_of
from mossy.errors import InvalidDtype, InvalidParameter
from mossy.journal import DURABILITY, Journal, as_secret, check_path
from mossy.memory.configuration import Configuration
from mossy.memory.durable import Durable
from mossy.memory.memory import Memory
from mossy.memory.store import Store
from mossy.memory.weights import WeightMemory, check_substrate, name_of
from mossy.substrate import Matrix, Sparse

__all__ = ["open_memory"]

WEIGHTS = "weights"  # the kind of a file that keeps nothing else
MODES = {"a": "read and write", "r": "read"}
FIXED = ("law", "law_parameters", "links")  # what the rows of a file are made for


@overload
def open_memory(
    path: str | os.PathLike[str],
    mode: str = "a",
    *,
    durability: str = "full",
    key: str | None = None,
    keep_raw: Literal[True] = True,
    clock: Clock | None = None,
    **settings: Any,
) -> Memory: ...


@overload
def open_memory(
    path: str | os.PathLike[str],
    mode: str = "a",
    *,
    durability: str = "full",
    key: str | None = None,
    keep_raw: Literal[False],
    substrate: Matrix | Sparse | None = None,
) -> WeightMemory: ...


def open_memory(
    path: str | os.PathLike[str],
    mode: str = "a",
    *,
    durability: str = "full",
    key: str | None = None,
    keep_raw: bool = True,
    substrate: Matrix | Sparse | None = None,
    clock: Clock | None = None,
    **settings: Any,
) -> Memory | WeightMemory:
    """Open the durable memory in a file, or make one.

    Storing, forgetting, pinning and consolidating are on disk when they return; a batch is one commit. Reinforcement is
    written by the next call after one second, and by ``close``. There is one writer; readers open beside it and follow
    it. Use it in a ``with`` block, or call ``close``.

    Parameters
    ----------
    path
        The file, such as ``"life.mossy"``. Beside it lie ``life.mossy.arrays``, which makes opening quick and may be
        deleted at any time, and, while it is open, a lock and the files of SQLite's log.
    mode
        ``"a"``: read and write, and make it if it is not there. ``"r"``: read; nothing is reinforced.
    durability
        ``"full"``: power loss included. ``"process"``: safe from the end of the process, not of the machine; quicker.
    key
        ``"env:NAME"`` or ``"file:PATH"``: where the key of an encrypted memory stands, of at least 16 characters. A new
        file is encrypted if one is given. Needs ``pip install 'mossy[encrypt]'``.
    keep_raw
        False keeps weights alone: no pattern and no payload enters the file. It gives a ``WeightMemory``.
    substrate
        With ``keep_raw=False``: an empty ``mossy.Matrix`` or ``mossy.Sparse`` to begin a new file with. Of a file that
        is there, only its encoder is used.
    clock, settings
        As in ``Memory``. Of a memory that is there, those given replace its own, except ``law``, ``links`` and the kind
        of clock, which must be the same.

    Raises
    ------
    InvalidInput
        A parameter or a setting cannot be used.
    HeldByWriter, ReadOnly, NoRoom, NotAMemory, NewerLayout, Damaged, WrongKey
        Nothing was changed. Where rows are damaged, the others open with ``mode="r"``, with a warning; where SQLite
        cannot read the file, ``mossy.journal.repair`` can.
    """
    file = check_path(path)
    choose(MODES, mode, "open.mode")
    choose(DURABILITY, durability, "open.durability")
    secret = as_secret(key)
    if not check_flag(keep_raw, "open.keep_raw"):
        if settings or clock is not None:
            raise InvalidParameter("open: settings or a clock were given with keep_raw=False, which takes none.")
        return _open_weights(file, mode, durability, secret, substrate)
    if substrate is not None:
        raise InvalidParameter("open.substrate: needs keep_raw=False; with raw patterns the index is used.")
    return _open_raw(file, mode, durability, secret, clock, settings)


def _open_raw(
    file: Path, mode: str, durability: str, secret: bytes | None, clock: Clock | None, settings: dict[str, Any]
) -> Memory:
    unknown = sorted(set(settings) - set(Configuration.__dataclass_fields__))
    if unknown:
        allowed = ", ".join(Configuration.__dataclass_fields__)
        raise InvalidParameter(f"open: {unknown[0]!r} was given; allowed are {allowed}.")
    if clock is not None and not isinstance(clock, Clock):
        raise InvalidDtype(f"open.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
    made = _told(Configuration(**settings), Seconds() if clock is None else clock)
    Configuration.from_dict(made)  # a variant of one's own cannot be made again from a file
    journal = Journal(file, mode, durability, secret, made)
    with _closed_on_error(journal):
        told = journal.configuration
        if told.get("kind") == WEIGHTS:
            raise InvalidParameter(f"{file}: it keeps weights alone; open it with keep_raw=False.")
        configuration = Configuration.from_dict(told)
        if not journal.new and settings:
            configuration = configuration.replaced(settings)
            _check_fixed(told, configuration)
        clock = clock_of(told["clock"], journal.head.latest, clock)
        if clock.name != told["clock"]:
            raise InvalidParameter(
                f"open.clock: one of {clock.name} was given, and the memory was made with {told['clock']}; give such."
            )
        memory = Memory.made(configuration, clock, Durable(journal, Store))
        now = _told(configuration, clock)
        if any(name not in told or now[name] != told[name] for name in now) and journal.writes:
            with journal.transaction():
                journal.configure(now)
    return memory


def _open_weights(
    file: Path, mode: str, durability: str, secret: bytes | None, substrate: Matrix | Sparse | None
) -> WeightMemory:
    if substrate is not None:
        check_substrate(substrate)
    elif not file.exists():
        raise InvalidParameter(f"{file}: it is not there; give substrate=, an empty mossy.Matrix or mossy.Sparse.")
    made = {"kind": WEIGHTS, "modes": 1, "links": 0, "substrate": "" if substrate is None else name_of(substrate)}
    journal = Journal(file, mode, durability, secret, made)
    with _closed_on_error(journal):
        if journal.configuration.get("kind") != WEIGHTS:
            raise InvalidParameter(f"{file}: it keeps raw patterns; open it without keep_raw=False.")
        return WeightMemory(journal, substrate)


@contextmanager
def _closed_on_error(journal: Journal) -> Iterator[None]:
    try:
        yield
    except BaseException:
        journal.close()
        raise


def _told(configuration: Configuration, clock: Clock) -> dict[str, Any]:
    modes = configuration.linear_law().modes
    return configuration.as_dict() | {"clock": clock.name, "modes": modes}


def _check_fixed(told: dict[str, Any], configuration: Configuration) -> None:
    now = configuration.as_dict()
    for name in FIXED:
        if told[name] != now[name]:
            raise InvalidParameter(
                f"open.{name.partition('_')[0]}: {now[name]!r} was given, and the memory was made with {told[name]!r}, "
                "which cannot be changed. Leave it out, or export into a new one."
            )

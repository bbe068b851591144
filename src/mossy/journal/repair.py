"""Rescuing what is intact in a damaged file into a new one."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.errors import InvalidParameter, NotAMemory
from mossy.journal.connection import check_path, named
from mossy.journal.files import on_disk, sync_folder
from mossy.journal.journal import Journal
from mossy.journal.layout import BLOCK, GONE
from mossy.journal.packing import unpack
from mossy.journal.remains import STATE, Contents, Pages, look_through
from mossy.journal.seal import as_secret
from mossy.journal.verify import Progress, is_out_of_reach, is_torn, layout_of, looking, spans

__all__ = ["Repaired", "repair"]

Ids = NDArray[np.int64]

AT_ONCE = 4096  # memories in one commit
BLOCKS = 256  # blocks of state in one commit
NO_TARGET = -1
MEMBER = np.dtype([("id", "<i8"), ("flags", "u1")])  # of short-term memory


@dataclass(frozen=True)
class Repaired:
    """What ``repair`` did: how many memories it rescued, and what is lost, in words."""

    rescued: int
    lost: list[str]


def repair(
    path: str | os.PathLike[str],
    into: str | os.PathLike[str],
    key: str | None = None,
    progress: Progress | None = None,
) -> Repaired:
    """Copy what is intact in a damaged file, its log and the arrays beside it into a new file.

    The damaged one is not changed. Every page of it is looked through for rows that fit their checksums, also where
    SQLite cannot read it any more. A pattern whose row is damaged is taken from the arrays beside it. Ids, times,
    payloads, strengths, pins, links, merged ids and short-term memory are kept where they are intact. What was
    forgotten stays forgotten.

    Parameters
    ----------
    path
        The damaged file.
    into
        The new file; it must not be there.
    key
        ``"env:NAME"`` or ``"file:PATH"``, if it is encrypted; the new one is then encrypted with the same.
    progress
        Is told how much is done, and of how much.

    Raises
    ------
    NotAMemory
        It is not there, or nothing of a memory is in it.
    Damaged
        Nothing can be rescued.
    InvalidParameter
        The new file is there already, or cannot be there.
    NewerLayout, WrongKey, NoRoom, ReadOnly, HeldByWriter
        No new file was made.
    """
    file, new, secret = check_path(path), check_path(into), as_secret(key)
    if not file.exists():
        raise NotAMemory(f"{file}: it is not there; give the file of a memory.")
    with _unfinished(new) as unfinished, named(file), Pages(file) as pages, _held(file):
        tell = _telling(progress, 2 * len(pages))
        contents = Contents(file, look_through(pages, lambda done, _: tell(done)), secret)
        if not contents:
            raise NotAMemory(f"{file}: nothing of a memory is in it. No new file was made.")
        with closing(Journal(unfinished, "a", "full", secret, contents.configuration)) as journal:
            kind = WEIGHTS if contents.configuration.get("kind") == WEIGHTS else MEMORIES
            rescued = _WRITE[kind](contents, journal, lambda share: tell(int(len(pages) * (1 + share))))
    return Repaired(rescued, _told(contents))


def _write_memories(contents: Contents, journal: Journal, tell: Callable[[float], None]) -> int:
    """Write all memories that are intact, and what goes with them, and return how many they are."""
    wanted = contents.wanted()
    written: list[int] = []
    for first in range(0, len(wanted), AT_ONCE):
        found = [contents.memory(id) for id in wanted[first : first + AT_ONCE].tolist()]
        with journal.transaction():
            for stored, group in groupby((one for one in found if one is not None), lambda one: one.stored):
                ids, _, keys, values, payloads = zip(*group, strict=True)
                answers = None if values[0] is None else _patterns(values)
                journal.append(np.array(ids, np.int64), stored, _patterns(keys), answers, list(payloads))
                written += ids
        tell(0.8 * (first + len(found)) / len(wanted))
    _write_state(contents, journal, np.array(written, np.int64), tell)
    head = contents.head
    if head is None:
        contents.lost.append("the count of the memories: more may be lost than is named here")
    elif head.memories > len(wanted):
        contents.lost.append(f"{head.memories - len(wanted)} more memories, of which nothing is left")
    return len(written)


def _write_state(contents: Contents, journal: Journal, ids: Ids, tell: Callable[[float], None]) -> None:
    """Write strengths, pins, links, merged ids and short-term memory of the memories ``ids``."""
    latest = [journal.head.latest, 0.0 if contents.head is None else contents.head.latest]
    written = {block for (block,) in journal.connection.execute("SELECT block FROM state")}
    if contents.next_id:
        written.add((contents.next_id - 1) // BLOCK)
    blocks = np.array(sorted(written), np.int64)
    for first in range(0, len(blocks), BLOCKS):
        some = blocks[first : first + BLOCKS]
        content = np.stack([_state_of(contents, block, ids) for block in some.tolist()])
        latest.append(float(content["when"].max()))
        with journal.transaction():
            journal.put_state(some, content)
        tell(0.8 + 0.2 * (first + len(some)) / len(blocks))
    with journal.transaction():
        journal.put("short", _short(contents, ids))
        journal.put("merged", _merged(contents, ids))
        journal.put_state(blocks[:0], np.zeros((0, BLOCK), journal.dtype))
        journal.head.next_id, journal.head.latest = contents.next_id, max(latest)


def _state_of(contents: Contents, block: int, ids: Ids) -> NDArray[Any]:
    """Return the state of a block in which of all memories only ``ids`` are there."""
    first = block * BLOCK
    here = ids[np.searchsorted(ids, first) : np.searchsorted(ids, first + BLOCK)] - first
    content = np.zeros(BLOCK, contents.dtype)
    content["flags"][: max(0, contents.next_id - first)] = GONE
    records = contents.state(block)
    if records is None:
        content["flags"][here] = 0
        contents.losses[STATE] += (first + here).tolist()
        return content
    content[here] = records[here]
    if "targets" in (contents.dtype.names or ()):
        cut = ~np.isin(content["targets"], ids)
        content["targets"][cut] = NO_TARGET
        content["linked"][cut] = 0
    return content


def _short(contents: Contents, ids: Ids) -> bytes:
    told = contents.entry("short")
    if told is None:
        contents.lost.append("which memories were in short-term memory")
        return np.int64(contents.next_id).tobytes()
    members = np.frombuffer(told[8:], MEMBER)
    return told[:8] + members[np.isin(members["id"], ids)].tobytes()


def _merged(contents: Contents, ids: Ids) -> bytes:
    told = contents.entry("merged")
    if told is None:
        contents.lost.append("which ids were merged into others")
        return b""
    pairs = np.frombuffer(told, "<i8").reshape(-1, 2)
    return pairs[np.isin(pairs[:, 1], ids)].tobytes()


def _write_weights(contents: Contents, journal: Journal, tell: Callable[[float], None]) -> int:
    content = contents.weights()
    written = 0 if contents.head is None else contents.head.memories
    if content:
        unpack(content)
        with journal.transaction():
            journal.put_weights(content, written)
    if contents.head is None:
        contents.lost.append("the count of what made the weights")
    tell(1.0)
    return written


MEMORIES, WEIGHTS = "memories", "weights"
_WRITE = {MEMORIES: _write_memories, WEIGHTS: _write_weights}


def _told(contents: Contents) -> list[str]:
    lost = [f"{some}: {what}" for what, ids in contents.losses.items() for some in spans(ids)]
    return [*lost, *contents.lost]


def _patterns(content: tuple[Any, ...]) -> NDArray[np.float32]:
    return np.frombuffer(b"".join(content), np.float32).reshape(len(content), -1)


def _telling(progress: Progress | None, total: int) -> Callable[[int], None]:
    return lambda done: None if progress is None else progress(done, total)


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Keep a writer from moving its log into the file meanwhile, where SQLite can open that at all."""
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(closing(looking(path)))
            connection.execute("BEGIN")
            layout_of(path, connection)
        except sqlite3.DatabaseError as error:
            if not is_torn(error) and not is_out_of_reach(path, error):
                raise
        yield


@contextmanager
def _unfinished(new: Path) -> Iterator[Path]:
    """Give a file in a folder of its own; it becomes ``new`` when the block ends well, and is gone if not."""
    beside = [new.with_name(new.name + end) for end in ("", "-wal", "-shm", ".arrays", ".lock")]
    there = next((path for path in beside if path.exists()), None)
    if there is not None:
        raise InvalidParameter(f"into: {there} is there already; give the name of a new file.")
    folder = new.with_name(new.name + ".part")
    with on_disk(folder):
        if not new.parent.is_dir():
            raise InvalidParameter(f"into: the folder {new.parent} is not there; make it first.")
        try:
            folder.mkdir()
        except FileExistsError as error:
            raise InvalidParameter(
                f"into: {folder} is there: another repair is at work, or one was cut off. Delete it, and try again."
            ) from error
        try:
            yield folder / new.name
            if new.exists():
                raise InvalidParameter(f"into: {new} has come to be there meanwhile; nothing was written over.")
            (folder / new.name).rename(new)
            sync_folder(new.parent)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

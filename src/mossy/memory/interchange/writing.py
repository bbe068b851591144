"""Writing all memories into two files, a part at a time."""

from __future__ import annotations

import fcntl
import json
import os
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from mossy.errors import HeldByWriter, InvalidDtype, InvalidInput, JournalError
from mossy.journal import LINK_MODES, on_disk, state_dtype, sync_folder
from mossy.memory.catalog import LONG, PINNED, USED
from mossy.memory.configuration import Configuration
from mossy.memory.interchange.form import AT_ONCE, FORMAT, VERSION, Progress, as_text, files_of
from mossy.memory.store import Store
from mossy.pathway import Links

__all__ = ["export"]

Rows = NDArray[np.intp]

LINES = 256  # memories whose payloads are held at once
NONE = np.empty(0, np.intp)


def export(
    store: Store,
    configuration: Configuration,
    clock: str,
    path: str | os.PathLike[str],
    now: float,
    progress: Progress | None = None,
) -> int:
    """Write all memories into ``NAME.jsonl`` and ``NAME.npz``, and return how many they are.

    An export of this name that is there is replaced when the new one is whole.

    Parameters
    ----------
    store, configuration, clock
        What is exported, how it is set, and by which clock it goes.
    path
        ``NAME`` or ``NAME.jsonl``.
    now
        The time.
    progress
        Is told how many memories are written, and of how many.

    Raises
    ------
    InvalidDtype
        A payload that neither JSON nor NumPy can keep.
    NoRoom, ReadOnly, HeldByWriter, JournalError
        Nothing was written under this name.
    """
    lines, arrays = files_of(path)
    rows = store.catalog.alive()
    with _whole(lines, arrays) as (line_file, array_file):
        header = {
            "format": FORMAT,
            "version": VERSION,
            "memories": len(rows),
            "d": store.index.d,
            "d_value": store.index.d_value if store.index.has_values else None,
            "next_id": store.catalog.next_id,
            "clock": clock,
            "now": now,
            "modes": store.strengths.law.modes,
            "link_modes": min(store.strengths.law.modes, LINK_MODES),
            "short_term": store.catalog.ids[store.short.rows].tolist(),
            "configuration": configuration.as_dict(),
            "checksums": _write_arrays(array_file, store, rows),
        }
        line_file.write(json.dumps(header).encode() + b"\n")
        before = _shape(store)
        for first in range(0, len(rows), LINES):
            some = rows[first : first + LINES]
            line_file.writelines(_lines(store, some, now))
            if progress is not None:
                progress(first + len(some), len(rows))
            if _shape(store) != before:
                raise InvalidInput("export: progress changed the memory; it must not. Nothing was written.")
    return len(rows)


def _shape(store: Store) -> tuple[int, int, int]:
    return store.catalog.next_id, store.index.rows, len(store.index)


# -- lines --------------------------------------------------------------------------------------------------------


def _lines(store: Store, rows: Rows, now: float) -> Iterator[bytes]:
    """Yield the line of each memory."""
    catalog, strengths, links = store.catalog, store.strengths, store.links
    ids = catalog.ids[rows]
    records = np.zeros(len(rows), state_dtype(strengths.law.modes, 0 if links is None else links.most))
    strengths.describe(rows, records)
    if links is not None:
        links.describe(rows, catalog.ids, records, NONE)
    modes, when = records["modes"].tolist(), records["when"].tolist()
    strength = np.exp(strengths.log(rows, now)).tolist()
    flags = catalog.flags[rows]
    stored = _stored(store, ids)
    for i, (row, payload) in enumerate(zip(rows.tolist(), catalog.payload_of(rows), strict=True)):
        told: dict[str, Any] = {
            "id": int(ids[i]),
            "ids": list(catalog.names(row)),
            "pinned": bool(flags[i] & PINNED),
            "used": bool(flags[i] & USED),
            "long_term": bool(flags[i] & LONG),
            "strength": strength[i],
            "when": when[i],
            "modes": modes[i],
        }
        if stored is not None:
            told["stored"] = stored[i]
        if links is not None:
            told |= _links(links, records[i], now)
        try:
            text = as_text(payload)
        except InvalidDtype as error:
            raise InvalidDtype(f"export: memory {ids[i]}: {error} Nothing was written.") from error
        yield b'%s,"payload":%s}\n' % (json.dumps(told, separators=(",", ":")).encode()[:-1], text)


def _links(links: Links, record: Any, now: float) -> dict[str, Any]:
    """Return the links of one memory."""
    there = np.flatnonzero((record["targets"] >= 0) & record["linked"].any(axis=1))
    when, modes = float(record["linked_when"]), record["linked"][there]
    strength = links.law.strength(modes.astype(np.float64), np.full(len(there), now - when))
    parts = zip(record["targets"][there].tolist(), strength.tolist(), modes.tolist(), strict=True)
    return {
        "linked": when,
        "links": [{"id": id, "strength": strength, "modes": modes} for id, strength, modes in parts],
    }


def _stored(store: Store, ids: NDArray[np.int64]) -> list[float] | None:
    """Return when memories with rising ids were stored, None where that is not kept."""
    if store.durable is None:
        return None
    times = np.zeros(len(ids))
    first = int(ids[0])
    while first <= ids[-1]:
        for some, stored, _ in store.durable.journal.stamps(first, 2 * len(ids)):  # what is let go may still be there
            _, mine, here = np.intersect1d(ids, some, assume_unique=True, return_indices=True)
            times[mine] = stored[here]
            first = int(some[-1]) + 1
    return [float(one) for one in times]


# -- arrays -------------------------------------------------------------------------------------------------------


def _write_arrays(file: BinaryIO, store: Store, rows: Rows) -> dict[str, int]:
    """Write ids, keys and values, and return the checksum of each."""
    index, ids = store.index, store.catalog.ids
    d = index.d or 0
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        checksums = {
            "ids": _write_array(archive, "ids", (len(rows),), "<i8", (ids[some] for some in _parts(rows))),
            "keys": _write_array(archive, "keys", (len(rows), d), "<f4", (index.keys[some] for some in _parts(rows))),
        }
        if index.has_values:
            shape = (len(rows), index.d_value or 0)
            checksums["values"] = _write_array(
                archive, "values", shape, "<f4", (index.values[some] for some in _parts(rows))
            )
    return checksums


def _parts(rows: Rows) -> Iterator[Rows]:
    return (rows[first : first + AT_ONCE] for first in range(0, len(rows), AT_ONCE))


def _write_array(
    archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: str, parts: Iterator[NDArray[Any]]
) -> int:
    info = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))  # the same content gives the same bytes
    with archive.open(info, "w", force_zip64=True) as member:
        header = {"descr": dtype, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(member, header)
        for part in parts:
            member.write(np.ascontiguousarray(part, dtype).tobytes())
    return info.CRC


# -- files --------------------------------------------------------------------------------------------------------


@contextmanager
def _whole(lines: Path, arrays: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Give two files to write; when the block ends well they have the names asked for, and if not they are gone.

    Two files cannot be replaced at once: so the earlier lines go first, and an export is there when its lines are.
    """
    unfinished = [path.with_name(path.name + ".part") for path in (lines, arrays)]
    with on_disk(lines), ExitStack() as stack:
        if not lines.parent.is_dir():
            raise JournalError(f"{lines}: its folder is not there; make it first.")
        files = [stack.enter_context(_alone(path)) for path in unfinished]
        yield files[0], files[1]
        for file in files:
            file.flush()
            os.fsync(file.fileno())
        lines.unlink(missing_ok=True)
        sync_folder(lines.parent)
        unfinished[1].replace(arrays)
        unfinished[0].replace(lines)
        sync_folder(lines.parent)


@contextmanager
def _alone(path: Path) -> Iterator[BinaryIO]:
    """Open a file that no other export may write now; it is deleted at the end, unless it has another name then."""
    while True:
        number = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(number)
            raise HeldByWriter(f"{path}: another export is writing it; try again when that is done.") from error
        if _is(path, number):
            break
        os.close(number)  # the other one has just finished
    with os.fdopen(number, "r+b") as file:
        file.truncate()
        try:
            yield file
        finally:
            if _is(path, number):
                path.unlink()


def _is(path: Path, number: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(number))
    except FileNotFoundError:
        return False

"""Reading patterns: one file a format, and the registry of formats.

A new one is a file here and a line in ``FORMATS``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from mossy.arrays import choose
from mossy.cli.reading.batch import Batch
from mossy.cli.reading.csv_lines import read_csv
from mossy.cli.reading.images import SUFFIXES, read_images
from mossy.cli.reading.json_lines import read_json_lines
from mossy.cli.reading.npy import read_npy
from mossy.cli.reading.npz import read_npz
from mossy.cli.reading.parquet import read_parquet
from mossy.cli.reading.source import Format, Options, Source
from mossy.errors import EmptyBatch, InvalidParameter

__all__ = ["FORMATS", "Batch", "Format", "Options", "Source", "find_sources", "read"]

NAMED = frozenset({"payload", "ignore"})

FORMATS: dict[str, Format] = {
    "npy": Format(read_npy, (".npy",)),
    "npz": Format(read_npz, (".npz",), NAMED),
    "csv": Format(read_csv, (".csv",), NAMED, streams=True),
    "jsonl": Format(read_json_lines, (".jsonl", ".ndjson"), NAMED, streams=True),
    "parquet": Format(read_parquet, (".parquet",), NAMED),
    "images": Format(read_images, SUFFIXES, frozenset({"size", "colour"}), folders=True),
}


def find_sources(names: Sequence[str], form: str | None, options: Options) -> list[tuple[Source, Format]]:
    """Return each source with its format: the one that is given, or the one that its name tells.

    Raises
    ------
    InvalidParameter, UnknownName
        It is not there, its format cannot be told or does not go with it, or an option is given that no format heeds.
    """
    found = [_find(name, form) for name in names]
    plain = Options()
    for option in ("payload", "ignore", "size", "colour"):
        heeded = any(option in format.options for _, format in found)
        if getattr(options, option) != getattr(plain, option) and not heeded:
            kinds = ", ".join(name for name, format in FORMATS.items() if option in format.options)
            raise InvalidParameter(f"--{option}: it was given without a source that heeds it; these are {kinds}.")
    return found


def read(source: Source, format: Format, options: Options) -> Iterator[Batch]:
    """Yield the batches of a source, or raise ``EmptyBatch`` if it holds nothing."""
    empty = True
    for batch in format.read(source, options):
        if len(batch):
            empty = False
            yield batch
    if empty:
        raise EmptyBatch(f"{source}: no pattern was given in it; give at least one.")


def _find(name: str, form: str | None) -> tuple[Source, Format]:
    if name == "-":
        return _find_stream(form)
    path = Path(name).expanduser()
    if not path.exists():
        raise InvalidParameter(f"{name}: it was given, and is not there; a file or a folder of images is allowed.")
    source = Source(name, path)
    if form is not None:
        format = choose(FORMATS, form, "--format")
    elif path.is_dir():
        format = next(format for format in FORMATS.values() if format.folders)
    else:
        suffixes = {suffix: format for format in FORMATS.values() for suffix in format.suffixes}
        if path.suffix.lower() not in suffixes:
            raise InvalidParameter(
                f"{name}: its format cannot be told from its name; it may end with {', '.join(suffixes)}, or give "
                f"--format with one of {', '.join(FORMATS)}."
            )
        format = suffixes[path.suffix.lower()]
    if path.is_dir() and not format.folders:
        raise InvalidParameter(f"{name}: it is a folder; --format {form} reads a file.")
    return source, format


def _find_stream(form: str | None) -> tuple[Source, Format]:
    streams = [name for name, format in FORMATS.items() if format.streams]
    if form not in streams:
        given = "without --format" if form is None else f"with --format {form}"
        raise InvalidParameter(f"-: standard input was given {given}; --format {' or '.join(streams)} is allowed.")
    return Source("standard input", None), FORMATS[form]

"""The arguments and options that several commands have, and the opening of a memory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from inspect import signature
from pathlib import Path
from typing import Annotated, Any, TypeAlias

import typer

import mossy
from mossy.arrays import choose
from mossy.cli.reading import FORMATS, Options
from mossy.errors import InvalidParameter, NotAMemory
from mossy.journal import Journal, as_secret, check_path

__all__ = [
    "AsJson",
    "Colour",
    "Durability",
    "File",
    "FormatName",
    "Ignore",
    "Key",
    "Payload",
    "Settings",
    "Size",
    "keeps_raw",
    "opened",
    "reading",
    "settings_of",
    "there",
]

SETTINGS = {name: one for name, one in signature(mossy.Memory).parameters.items() if name != "clock"}

File: TypeAlias = Annotated[Path, typer.Argument(metavar="FILE", help="The memory, such as life.mossy.")]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
Key: TypeAlias = Annotated[
    str | None, typer.Option(metavar="env:NAME|file:PATH", help="Where the key of an encrypted memory stands.")
]
Durability: TypeAlias = Annotated[
    str,
    typer.Option(
        metavar="full|process",
        help="full: survives power loss; process: survives the end of the process, and is quicker.",
    ),
]
Settings: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="NAME=VALUE", help="A setting of the memory, such as similarity=cosine; may be repeated."
    ),
]
FormatName: TypeAlias = Annotated[
    str | None,
    typer.Option("--format", metavar="FORMAT", help=f"{', '.join(FORMATS)}; told by the name unless given."),
]
Payload: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="COLUMN", help="A column that goes into the payload; may be repeated."),
]
Ignore: TypeAlias = Annotated[
    list[str] | None, typer.Option(metavar="COLUMN", help="A column that goes nowhere; may be repeated.")
]
Size: TypeAlias = Annotated[
    str | None, typer.Option(metavar="WIDTHxHEIGHT", help="Scale images to so many pixels, such as 32x32.")
]
Colour: TypeAlias = Annotated[bool, typer.Option("--colour", help="Read images in colour, not grey.")]


def reading(payload: list[str] | None, ignore: list[str] | None, size: str | None, colour: bool) -> Options:
    """Return how sources are read."""
    return Options(tuple(payload or ()), tuple(ignore or ()), _pixels(size), colour)


def _pixels(size: str | None) -> tuple[int, int] | None:
    if size is None:
        return None
    parts = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size)
    if parts is None:
        raise InvalidParameter(f"--size: {size!r} was given; WIDTHxHEIGHT in pixels is allowed, such as 32x32.")
    return int(parts[1]), int(parts[2])


def settings_of(given: list[str] | None) -> dict[str, Any]:
    """Return settings by name; a value is JSON, or else a text."""
    settings = {}
    for one in given or ():
        name, equals, value = one.partition("=")
        if not equals:
            raise InvalidParameter(f"--set: {one!r} was given; NAME=VALUE is allowed, such as similarity=cosine.")
        choose(SETTINGS, name, "--set")
        try:
            settings[name] = json.loads(value)
        except ValueError:
            settings[name] = value
    return settings


def there(path: Path) -> Path:
    """Return the path of a memory that is there, or raise ``NotAMemory``."""
    if not path.expanduser().exists():
        raise NotAMemory(f"{path}: it was given, and is not there; mossy store makes a memory.")
    return path


def keeps_raw(path: Path, key: str | None) -> bool:
    """Return whether a memory keeps its patterns, or weights alone.

    Raises
    ------
    JournalError
        It is no memory, or cannot be read as one.
    """
    with closing(Journal(check_path(path), "r", "full", as_secret(key), {})) as journal:
        return journal.configuration.get("kind") != "weights"


@contextmanager
def opened(
    path: Path,
    mode: str = "a",
    *,
    new: bool = False,
    key: str | None = None,
    durability: str = "full",
    settings: dict[str, Any] | None = None,
) -> Iterator[mossy.Memory]:
    """Open a memory for the time of a block.

    Parameters
    ----------
    path
        Its file.
    mode
        ``"a"`` or ``"r"``.
    new
        Whether it is made if it is not there.
    key, durability, settings
        As in ``mossy.open``.

    Raises
    ------
    NotAMemory
        It is not there, and ``new`` is false.
    """
    with mossy.open(path if new else there(path), mode, durability=durability, key=key, **settings or {}) as memory:
        yield memory

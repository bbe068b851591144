"""What is read: a file, a folder or standard input, in one of the formats."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NoReturn, TypeAlias, final

from mossy.cli.reading.batch import Batch
from mossy.errors import InvalidInput, InvalidParameter, MossyError

__all__ = ["Format", "Options", "Read", "Source", "decoded"]


def refuse(error: InvalidInput) -> NoReturn:
    """Raise it: what cannot be used ends the reading."""
    raise error


@final
@dataclass(frozen=True)
class Source:
    """A file or a folder; without a path, standard input."""

    name: str
    path: Path | None

    def __str__(self) -> str:
        """Return the name as it was given."""
        return self.name

    @property
    def file(self) -> Path:
        """Its path, or ``InvalidParameter`` where there is none."""
        if self.path is None:
            raise InvalidParameter(f"{self}: this format is read from a file; give its path.")
        return self.path

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open it to read bytes, or raise ``InvalidParameter``."""
        if self.path is None:
            yield sys.stdin.buffer
            return
        try:
            file = self.path.open("rb")
        except OSError as error:
            raise InvalidParameter(f"{self}: it cannot be read ({error.strerror}); change its permissions.") from error
        with file:
            yield file


@final
@dataclass(frozen=True)
class Options:
    """How sources are read.

    Attributes
    ----------
    payload, ignore
        The columns that go into the payload, and those that go nowhere.
    size, colour
        Of images: width and height in pixels, and whether in colour.
    refuse
        Takes what is wrong with one row or one image: raises it, or notes it, and then that one is left out.
    tell
        Takes the share of the source that is read, from 0 to 1.
    """

    payload: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    size: tuple[int, int] | None = None
    colour: bool = False
    refuse: Callable[[InvalidInput], None] = refuse
    tell: Callable[[float], None] = lambda share: None


Read: TypeAlias = Callable[[Source, Options], Iterator[Batch]]


@final
@dataclass(frozen=True)
class Format:
    """One way in which patterns are written.

    Attributes
    ----------
    read
        Yields the batches of a source.
    suffixes
        The endings of file names by which it is recognised.
    options
        Those of ``Options`` that it heeds.
    streams, folders
        Whether it is read from standard input, and from a folder.
    """

    read: Read
    suffixes: tuple[str, ...]
    options: frozenset[str] = frozenset()
    streams: bool = False
    folders: bool = False


@contextmanager
def decoded(place: object, what: str) -> Iterator[None]:
    """Raise whatever a library raises on bytes that it does not understand as ``InvalidInput`` that names the place."""
    try:
        yield
    except MossyError:
        raise
    except Exception as error:
        told = str(error).partition("\n")[0].rstrip(".") or type(error).__name__
        raise InvalidInput(f"{place}: it cannot be read as {what} ({told}). Mend it or take it away.") from error

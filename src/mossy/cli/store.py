"""``mossy store``: patterns from files, folders of images and standard input."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, final

import typer

import mossy
from mossy.cli.options import (
    AsJson,
    Colour,
    Durability,
    File,
    FormatName,
    Ignore,
    Key,
    Payload,
    Settings,
    Size,
    opened,
    reading,
    settings_of,
)
from mossy.cli.reading import Batch, Format, Options, Source, find_sources, read
from mossy.cli.report import STOPPED, Tell, failures, last_words, memories, progress, say, whole, write_json
from mossy.errors import EmptyBatch, InvalidInput, MossyError

__all__ = ["store"]

NAMED = 10  # rows and images that are named when they are skipped; --json names all


def store(
    file: File,
    sources: Annotated[
        list[str], typer.Argument(metavar="SOURCE", help="Files, folders of images, or - for standard input.")
    ],
    format: FormatName = None,
    payload: Payload = None,
    ignore: Ignore = None,
    size: Size = None,
    colour: Colour = False,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Leave out rows and images that cannot be used, and name them.")
    ] = False,
    pin: Annotated[bool, typer.Option("--pin", help="Never let these go by themselves.")] = False,
    settings: Settings = None,
    key: Key = None,
    durability: Durability = "full",
    as_json: AsJson = False,
) -> None:
    """Store patterns; the memory is made if it is not there.

    Columns of numbers are entries by their order alone, never by name: every source needs the same in the same order.
    What is there already, with the same payload, is reinforced instead. Each batch is on disk before the next one;
    Ctrl-C, or an error on the way, keeps what was stored until then and says how much.
    """
    kept = Kept(file)
    with failures():
        options = reading(payload, ignore, size, colour)
        if skip_bad:
            options = replace(options, refuse=kept.skip)
        found = find_sources(sources, format, options)
        try:
            with progress("storing") as tell:
                batches = _batches(found, options, tell)
                # A new file is made when there is something to put into it.
                first = [] if file.exists() else [next(batches)]
                with opened(file, new=True, key=key, durability=durability, settings=settings_of(settings)) as memory:
                    kept.begin(memory)
                    for batch in chain(first, batches):
                        with whole():
                            kept.add(memory, _store(memory, batch, pin))
        except KeyboardInterrupt:
            with last_words():
                say(f"stopped. {kept}")
                if as_json:
                    write_json(kept.as_dict(stopped=True))
            raise typer.Exit(STOPPED) from None
        except MossyError:
            if kept.ids:
                say(str(kept))
                if as_json:
                    write_json(kept.as_dict(stopped=True))
            raise
        if as_json:
            write_json(kept.as_dict(stopped=False))
        else:
            typer.echo(kept)


@final
@dataclass
class Kept:
    """What was stored so far, and what was skipped."""

    file: Path
    last: int = -1  # the largest id that was there before
    memories: int | None = None  # not known before it is open
    ids: list[int] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def begin(self, memory: mossy.Memory) -> None:
        """Note what is there already."""
        self.last = int(memory.ids.max(initial=-1))
        self.memories = len(memory)

    def add(self, memory: mossy.Memory, ids: list[int]) -> None:
        """Note what was stored."""
        self.ids += ids
        self.memories = len(memory)

    def skip(self, error: InvalidInput) -> None:
        """Note what was skipped."""
        self.skipped.append(str(error))
        if len(self.skipped) <= NAMED:
            say(f"skipped: {error}")

    @property
    def stored(self) -> int:
        """How many memories are new."""
        return len({id for id in self.ids if id > self.last})

    def as_dict(self, stopped: bool) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "file": str(self.file),
            "stored": self.stored,
            "reinforced": len(self.ids) - self.stored,
            "skipped": self.skipped,
            "memories": self.memories,
            "stopped": stopped,
            "ids": self.ids,
        }

    def __str__(self) -> str:
        again = len(self.ids) - self.stored
        parts = [f"{self.stored:,} stored"]
        parts += [f"{again:,} there already and reinforced"] if again else []
        parts += [f"{len(self.skipped):,} skipped"] if self.skipped else []
        holds = "" if self.memories is None else f" It holds {memories(self.memories)}."
        return f"{self.file}: {', '.join(parts)}.{holds}"


def _batches(found: list[tuple[Source, Format]], options: Options, tell: Tell) -> Iterator[Batch]:
    """Yield what can be stored of all sources, or raise ``EmptyBatch`` if nothing can."""
    empty = True
    for i, (source, format) in enumerate(found):
        for batch in read(source, format, replace(options, tell=_share(tell, i, len(found)))):
            complete = batch.complete(options.refuse)
            if len(complete):
                empty = False
                yield complete
    if empty:
        raise EmptyBatch("no pattern was given that can be stored: all were skipped.")


def _share(tell: Tell, i: int, n: int) -> Callable[[float], None]:
    return lambda share: tell(i + share, n)


def _store(memory: mossy.Memory, batch: Batch, pin: bool) -> list[int]:
    try:
        ids: list[int] = memory.store(batch.patterns, batch.values, batch.payload, pin=pin).tolist()
    except InvalidInput as error:
        raise type(error)(f"{batch.place(0)} to {batch.place(len(batch) - 1)}: {error}") from error
    return ids

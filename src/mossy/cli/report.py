"""What every command shares: how it fails and stops, shows its progress, and writes JSON."""

from __future__ import annotations

import json
import re
import signal
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn

from mossy.errors import Damaged, DamageWarning, InvalidInput, MossyError, NotAMemory, UnknownMemory, WrongKey
from mossy.memory.interchange.form import as_text

__all__ = [
    "DAMAGED",
    "STOPPED",
    "Tell",
    "bar",
    "failures",
    "json_payload",
    "last_words",
    "memories",
    "progress",
    "say",
    "shortened",
    "whole",
    "write_json",
]

Tell: TypeAlias = Callable[[float, float], None]  # how much is done, of how much

FAILED, UNUSABLE, DAMAGED, STOPPED = 1, 2, 3, 130

# In indented JSON, where no text holds the end of a line: a list of numbers, and a negative zero.
NUMBERS = re.compile(r"\[\n[-+.\deE,\s]+\]")
NEGATIVE_ZERO = re.compile(r"(?<= )-0\.0(?=,?$)", re.MULTILINE)

# The errors that say that something given cannot be used; the rest is that something could not be done.
GIVEN = (InvalidInput, NotAMemory, UnknownMemory, WrongKey)

# What messages advise to who writes Python, and what that is in the shell.
SHELL = {
    "with mode='r'": "with mossy stats, export or recall --no-reinforce",
    "with mode='a'": "with mossy store",
    "key='env:NAME' or key='file:PATH'": "--key env:NAME or --key file:PATH",
    "without key=": "without --key",
    "open it with keep_raw=False": "mossy stats, verify and repair take it, the rest is mossy.open(…, keep_raw=False)",
    "memory.ids lists": "mossy export lists",
    "recall.k:": "-k:",
    "open.durability:": "--durability:",
}


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors of mossy and Ctrl-C into one line on standard error and an exit code; warnings into a line as well.

    1: it did not work; 2: what was given cannot be used; 3: the file is damaged; 130: Ctrl-C.
    """
    damaged = False

    def show(message: Warning | str, *_: object, **__: object) -> None:
        nonlocal damaged
        damaged = damaged or isinstance(message, DamageWarning)
        say(f"warning: {message}")

    try:
        with warnings.catch_warnings():
            warnings.showwarning = show
            yield
        if damaged:
            raise typer.Exit(DAMAGED)
    except KeyboardInterrupt:
        with last_words():
            say("stopped.")
        raise typer.Exit(STOPPED) from None
    except MossyError as error:
        say(str(error))
        raise typer.Exit(_code(error)) from error
    except BrokenPipeError:  # who reads what is written has seen enough
        raise
    except OSError as error:  # of a source, or of a temporary file
        say(f"{error.filename or 'the system'}: {error.strerror or error}.")
        raise typer.Exit(FAILED) from error


def _code(error: MossyError) -> int:
    if isinstance(error, Damaged):
        return DAMAGED
    return UNUSABLE if isinstance(error, GIVEN) else FAILED


def say(text: str) -> None:
    """Write a line to standard error, where it is in nobody's way, with the shell's form of what is Python's in it."""
    for python, shell in SHELL.items():
        text = text.replace(python, shell)
    typer.echo(f"mossy: {text}", err=True)


@contextmanager
def last_words() -> Iterator[None]:
    """Ignore Ctrl-C, so that the second one does not keep a command from saying what it did until the first."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def whole() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait until the block is done, or calls what it is given; the second Ctrl-C does not wait."""
    before = signal.getsignal(signal.SIGINT)
    came = False

    def wait(*_: object) -> None:
        nonlocal came
        came = True
        signal.signal(signal.SIGINT, before)

    def check() -> None:
        if came:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, wait)
    try:
        yield check
    finally:
        signal.signal(signal.SIGINT, before)
    check()


def bar() -> Progress:
    """Return a bar on standard error, which shows only on a terminal and is gone when the work is done."""
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<26}"),
        BarColumn(),
        TaskProgressColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show how far some work is."""
    with bar() as shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


def memories(n: int) -> str:
    """Return how many memories, in words."""
    return f"{n:,} memory" if n == 1 else f"{n:,} memories"


def write_json(result: Mapping[str, Any]) -> None:
    """Write a result to standard output as JSON."""
    text = json.dumps(result, indent=2, allow_nan=False, ensure_ascii=False)
    text = NEGATIVE_ZERO.sub("0.0", text)
    typer.echo(NUMBERS.sub(lambda found: " ".join(found[0].split()).replace("[ ", "[").replace(" ]", "]"), text))


def json_payload(payload: Any) -> Any:
    """Return a payload as JSON holds it; what is no JSON stands as in an export (``$bytes``, ``$array``)."""
    return json.loads(as_text(payload))


def shortened(payload: Any, width: int = 60) -> str:
    """Return a payload in one line of a table."""
    if isinstance(payload, bytes):
        return f"{len(payload):,} bytes"
    if isinstance(payload, np.ndarray):
        return f"array {payload.shape} of {payload.dtype}"
    text = payload if isinstance(payload, str) else json.dumps(payload, ensure_ascii=False)
    line = "".join(one if one.isprintable() else " " for one in " ".join(text.split()))
    return line if len(line) <= width else f"{line[: width - 3]}..."

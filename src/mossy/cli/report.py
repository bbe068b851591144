"""What every command shares: how it fails, and how it writes JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import typer

from mossy.errors import InvalidInput, MossyError

__all__ = ["failures", "write_json"]


@contextmanager
def failures() -> Iterator[None]:
    """Turn errors of mossy and Ctrl-C into one line on standard error and an exit code: 1, 2 or 130."""
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("mossy: stopped.", err=True)
        raise typer.Exit(130) from None
    except MossyError as error:
        typer.echo(f"mossy: {error}", err=True)
        raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from error


def write_json(result: Mapping[str, Any]) -> None:
    """Write a result to standard output as JSON."""
    typer.echo(json.dumps(result, indent=2, allow_nan=False))

"""Writes the help of every command into the docs: ``python -m mossy.cli.reference docs/cli.md``."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer
from typer.main import get_command

from mossy.cli.app import app

__all__ = ["commands", "written"]

PART = re.compile(r"(<!-- cli -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 100


def commands() -> dict[str, str]:
    """Return the help of each command by its full name, such as ``"mossy lab article"``."""
    return dict(_commands(get_command(app), "mossy", None))


def written(page: str) -> str:
    """Return a page with the help of all commands between its marks."""
    parts = (f"### {name}\n\n```text\n{text}\n```\n" for name, text in commands().items())
    told = "\n".join(parts)
    return PART.sub(lambda marks: f"{marks[1]}\n{told}\n{marks[2]}", page)


def _commands(command: Any, name: str, parent: typer.Context | None) -> Iterator[tuple[str, str]]:
    context = typer.Context(
        command, parent=parent, info_name=name.rpartition(" ")[2], terminal_width=WIDTH, **command.context_settings
    )
    yield name, command.get_help(context).rstrip()
    for below, one in getattr(command, "commands", {}).items():
        yield from _commands(one, f"{name} {below}", context)


if __name__ == "__main__":
    path = Path(sys.argv[1])
    path.write_text(written(path.read_text(encoding="utf-8")), encoding="utf-8")

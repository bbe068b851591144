"""The command ``mossy`` and its groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

import mossy
from mossy.cli.demo import demo
from mossy.cli.health import repair, verify
from mossy.cli.interchange import export, import_
from mossy.cli.lab import lab
from mossy.cli.recall import recall
from mossy.cli.store import store
from mossy.cli.upkeep import consolidate, forget, stats

__all__ = ["app"]

HELP = """A short-term and a long-term memory made of synapses.

Exit codes: 0 it worked; 1 it did not, and the message says why; 2 what was given cannot be used; 3 the file is damaged,
or a repair lost a part of it; 130 stopped by Ctrl-C.
"""

app = typer.Typer(
    help=HELP,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
COMMANDS: dict[str, Callable[..., None]] = {
    "store": store,
    "recall": recall,
    "forget": forget,
    "consolidate": consolidate,
    "stats": stats,
    "export": export,
    "import": import_,
    "verify": verify,
    "repair": repair,
    "demo": demo,
}
for name, command in COMMANDS.items():
    app.command(name)(command)
app.add_typer(lab, name="lab")


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mossy {mossy.__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    pass

"""``mossy lab``: published experiments, re-run on this code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from mossy.cli.report import failures, write_json
from mossy.lab import Article
from mossy.lab import article as run_article

__all__ = ["lab"]

lab = typer.Typer(help="Published experiments, re-run on this code.", no_args_is_help=True)


@lab.callback()
def _group() -> None:
    pass


@lab.command()
def article(
    out: Annotated[
        Path | None, typer.Option(help="A folder for the figure of the weights; none is drawn without it.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="For the first weights and the patterns.")] = 0,
) -> None:
    """Reproduce the article, then run it under every rule.

    Its worked example, its program as written, and, on one set of random patterns, what each rule stores.
    """
    with failures():
        if as_json:
            write_json(run_article(out, seed).as_dict())
            return
        with Console(stderr=True).status("running the article's program under eight rules"):
            found = run_article(out, seed)
        _print(Console(), found)


def _print(console: Console, found: Article) -> None:
    worked = found.worked
    same = "identical to the article's" if worked.identical else "NOT the article's"

    def say(text: str) -> None:
        console.print(text, highlight=False)

    say("[bold]The worked example[/bold]")
    say(f"a_i(1) = {worked.a_i}, a_j(1) = {worked.a_j}, w_ij(1) = {worked.w_ij}: {same}.\n")
    say("[bold]The program as written[/bold]")
    epochs = len(found.program.weights) - 1
    say(
        f"The largest change of a weight in {epochs} epochs is {found.program.largest_change:g}. "
        "Both neurons get the same input over the same synapses, so a_i = a_j, always.\n"
    )
    say("[bold]The same under each rule[/bold]")
    table = Table(box=None, pad_edge=False)
    table.add_column("rule")
    heads = (
        "largest change\nin the program",
        "patterns right\nwritten once",
        f"\n{epochs} times",
        "entries right\nwritten once",
    )
    for head in heads:
        table.add_column(head, justify="right")
    for run, kept in zip(found.runs, found.storage, strict=True):
        shares = (f"{kept.once:.0%}", f"{kept.often:.0%}", f"{kept.entries_once:.1%}")
        table.add_row(run.rule, f"{run.largest_change:.3f}", *shares)
    console.print(table)
    say(
        "One set of ten random patterns in 100 neurons (the pages show the mean of 20 sets), each recalled from half "
        "of it; by chance half of the covered entries are right. The article's rule stores no pattern. Nor does bcm, "
        "which tunes neurons to features.\n"
    )
    limits = found.limits
    growth = ", ".join(f"{weight:g} after {n:,}" for n, weight in limits.growth.items())
    say("[bold]What the article's rule does instead[/bold]")
    say(f"antisymmetric: the largest |w_ij + w_ji| is {limits.asymmetry:g}")
    say(f"silent when both neurons fire: the largest change is {limits.both_fire:g}")
    say(f"unbounded: one pair written again and again makes a weight of {growth} writes")
    say(f"rank of all that it wrote: {limits.rank}")
    for path in found.figures:
        console.print(f"Figure: {path}", highlight=False, soft_wrap=True)

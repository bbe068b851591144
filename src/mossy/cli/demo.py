"""``mossy demo``: real images from fragments, and memories that last or fade."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import TaskID
from rich.table import Table

from mossy.cli.report import bar, failures, write_json
from mossy.lab import Demo
from mossy.lab import demo as run_demo
from mossy.lab.completion import METHODS, SHARES, Completion
from mossy.lab.fading import Fading
from mossy.lab.survival import Survival

__all__ = ["demo"]


def demo(
    out: Annotated[Path, typer.Option(help="The folder for the figures.")] = Path(),
    figure: Annotated[bool, typer.Option(help="Whether to draw the figures.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    seed: Annotated[int, typer.Option(help="Draws what covers, and which examples are shown.")] = 0,
    images: Annotated[
        int | None, typer.Option(help="At most so many images of each kind, at least 40; all unless given.")
    ] = None,
) -> None:
    """Recall real images from fragments; let the unused fade.

    Draws mossy-demo.png and mossy-demo-fading.png, into the current folder unless --out names another.
    """
    with failures():
        folder = out if figure else None
        if as_json:
            write_json(run_demo(folder, seed, images).as_dict())
            return
        console = Console()
        with bar() as shown:
            tasks: dict[str, TaskID] = {}

            def tell(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = shown.add_task(what, total=total)
                shown.update(tasks[what], completed=done)

            found = run_demo(folder, seed, images, tell)
        _print(console, found)


def _print(console: Console, found: Demo) -> None:
    def say(text: str = "") -> None:
        console.print(text, highlight=False)

    kinds = " and ".join(
        f"{len(done.images):,} {done.images.name} ({done.images.origin}: {done.images.patterns.shape[1]:,} neurons)"
        for done in found.completions
    )
    say("[bold]A whole memory from a fragment[/bold]")
    say(
        f"Stored, each once: {kinds}. Each is asked for with a half or a quarter of it; "
        "the rest of the cue is another image, which is stored too.\n"
    )
    console.print(_answers(found.completions))
    say(
        "\nA NumPy search that masks the unknown entries finds the same images. The point is that known= is part "
        "of the memory: one call, with fading, forgetting and an explanation of every answer."
    )
    for done in found.completions:
        right, exact = done.blend
        if exact < 1:
            say(
                f"Separation is 'winner' here. With the default, softmax, the right one of the {done.images.name} "
                f"comes first as well ({right:.0%}), but near-twins, such as plain sky, are blended: "
                f"{exact:.0%} exact."
            )
    _print_fading(say, console, found.fading)
    _print_survival(say, found.survival)
    say()
    for path in found.figures:
        console.print(f"Figure: {path if path.is_absolute() else f'./{path}'}", highlight=False, soft_wrap=True)
    say("Next: the first example in README.md, and: mossy lab article")


def _answers(completions: tuple[Completion, ...]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("")
    for name in ("half known\nright / exact", "a quarter\nright / exact", "time\na recall", "bytes\na memory"):
        table.add_column(name, justify="right")
    for done in completions:
        table.add_row(f"[bold]{done.images.name}[/bold]")
        for method in METHODS:
            both = [done.answers[share][method] for share in SHARES]
            style = "green" if method == METHODS[0] else ""
            table.add_row(
                f"  {method}",
                *(f"{_percent(one.right)} / {_percent(one.exact)}" for one in both),
                _time(sum(one.seconds for one in both) / len(both)),
                f"{both[0].bytes:,.0f}",
                style=style,
            )
    return table


def _print_fading(say: Callable[[str], None], console: Console, fading: Fading) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("strength after")
    for name in ("used\nshort", "\nlong", "never used\nshort", "\nlong"):
        table.add_column(name, justify="right")
    for line in fading.readings:
        parts = (line.used_short, line.used_long, line.unused_short, line.unused_long)
        table.add_row(line.age, *(_strength(part) for part in parts))
    say("\n[bold]What is used lasts, the rest fades[/bold]")
    say(
        f"A year on a fast clock. Of {fading.stored} digits, {fading.used} are recalled {fading.uses} times, "
        "at growing intervals, the last time after about a week. A fresh memory has the strength 1.\n"
    )
    console.print(table)
    last = fading.readings[-1]
    ratio = (last.used_short + last.used_long) / (last.unused_short + last.unused_long)
    same = "just those that were used" if fading.kept_used else "not only those that were used"
    say(
        f"\nAfter a year a used memory is {ratio:.0f} times as strong as the others. Half of a digit still finds "
        f"{fading.found:.0%} of all {fading.stored}: fading settles ties, it hides nothing. One more recall brings "
        f"a memory back into short-term memory: short part {fading.recalled[0]:.2f}."
    )
    say(
        f'With keep="frequent", consolidate() after the last use keeps {fading.kept}, {same}, and lets '
        f"{fading.let_go} go."
    )


def _print_survival(say: Callable[[str], None], survival: Survival) -> None:
    say("\n[bold]What is stored is there[/bold]")
    say(
        f"Another process stored {survival.stored:,} digits in a file and was killed (signal {survival.signal}) before "
        f"it could close it. This one opened the file: {survival.there:,} memories are there, and half of a digit "
        f"finds {survival.found:.0%} of them, whole and with its payload, {survival.seconds:.2f} s later."
    )


def _percent(share: float) -> str:
    """Write a share with three places, so that what is not all is never shown as 100."""
    return f"{100 * share:5.1f}" if share in (0.0, 1.0) or 0.0005 <= share < 0.9995 else f"{100 * share:.2f}"


def _time(seconds: float) -> str:
    return f"{1e3 * seconds:.3f} ms"


def _strength(value: float) -> str:
    """Write two significant digits without an exponent; what is below a millionth is nothing."""
    return "0" if value < 1e-6 else f"{value:.{1 - math.floor(math.log10(value))}f}"

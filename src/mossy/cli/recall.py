"""``mossy recall``: from whole, noisy or partial cues."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, final

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from rich.text import Text

import mossy
from mossy.cli.options import AsJson, Colour, File, FormatName, Ignore, Key, Payload, Size, opened, reading
from mossy.cli.reading import Options
from mossy.cli.reading.cues import Cues
from mossy.cli.report import failures, json_payload, shortened, write_json
from mossy.errors import InvalidParameter

__all__ = ["recall"]

SHOWN = ("id", "probability", "fit", "strength", "short", "long")  # of an Explanation, without --explain


def recall(
    file: File,
    cue: Annotated[
        str | None,
        typer.Argument(metavar="CUE", help="A file or a folder of cues, an image, or - for standard input."),
    ] = None,
    like: Annotated[int | None, typer.Option(metavar="ID", help="Take the pattern of this memory as the cue.")] = None,
    known: Annotated[
        str | None,
        typer.Option(
            metavar="RANGES|FILE", help="The entries that are true, such as 0-15,32, or a file of 0 and 1 for each."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", metavar="K", help="How many memories each cue recalls.")] = 1,
    no_reinforce: Annotated[
        bool, typer.Option("--no-reinforce", help="Only read: beside a writer as well, and without a trace.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Show the evidence, in numbers that add up.")] = False,
    out: Annotated[Path | None, typer.Option(metavar="FILE.npy", help="Write the recalled patterns.")] = None,
    format: FormatName = None,
    payload: Payload = None,
    ignore: Ignore = None,
    size: Size = None,
    colour: Colour = False,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Recall memories from whole, noisy or partial cues.

    What a cue lacks (an empty cell, null, NaN) is unknown, and is completed. Columns that are no part of the cue are
    named with --payload or --ignore, as for store; those left must be the same as were stored, in the same order, since
    they are matched by their order, never by name.

    Without --no-reinforce, what is recalled becomes stronger.
    """
    with failures():
        cues_of = _cues(cue, like, format, reading(payload, ignore, size, colour))
        with opened(file, "r" if no_reinforce else "a", key=key) as memory:
            answers = _recall(memory, cues_of(memory).masked(known), k, not no_reinforce)
        if out is not None:
            _write(out, np.stack([answer.pattern for answer in answers]))
        if as_json:
            write_json({"recalled": [answer.as_dict(explain) for answer in answers]})
        else:
            _print(answers, explain)


@final
@dataclass(frozen=True)
class Answer:
    """What one cue recalled."""

    place: str
    pattern: NDArray[np.float32]
    familiar: bool
    steps: int
    energy: float
    explanations: list[mossy.Explanation]
    payload: list[Any]

    def as_dict(self, explain: bool) -> dict[str, Any]:
        """Return it for JSON."""
        told = [asdict(one) for one in self.explanations]
        return {
            "cue": self.place,
            "familiar": self.familiar,
            "steps": self.steps,
            "energy": self.energy,
            "pattern": self.pattern.tolist(),
            "memories": [
                {**(one if explain else {name: one[name] for name in SHOWN}), "payload": json_payload(payload)}
                for one, payload in zip(told, self.payload, strict=True)
            ],
        }


def _cues(cue: str | None, like: int | None, form: str | None, options: Options) -> Callable[[mossy.Memory], Cues]:
    """Return what gives the cues, once the memory is open."""
    if cue is not None and like is None:
        cues = Cues.read(cue, form, options)
        return lambda memory: cues
    if like is not None and cue is None:
        return lambda memory: Cues.of(memory[like].pattern, f"memory {like}")
    given = "neither CUE nor --like ID was" if cue is None else "both CUE and --like ID were"
    raise InvalidParameter(f"recall: {given} given; give one of them.")


def _recall(memory: mossy.Memory, cues: Cues, k: int, reinforce: bool) -> list[Answer]:
    """Recall whole and partial cues apart: the entries of a partial one are held fast, those of a whole one are not."""
    answers: dict[int, Answer] = {}
    for rows, known in cues.parts():
        found = memory.recall(cues.patterns[rows], known, k, reinforce=reinforce)
        told = found.explain()
        for i, row in enumerate(rows.tolist()):
            answers[row] = Answer(
                cues.places[row],
                found.pattern[i],
                bool(found.familiar[i]),
                int(found.steps[i]),
                float(found.energy[i]),
                told[i],
                found.payload[i],
            )
    return [answers[row] for row in sorted(answers)]


def _print(answers: list[Answer], explain: bool) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("cue")
    for name in ("id", "probability", "fit", "strength"):
        table.add_column(name, justify="right")
    table.add_column("payload")
    table.columns[0].overflow = table.columns[-1].overflow = "fold"
    for answer in answers:
        place = answer.place
        for one, payload in zip(answer.explanations, answer.payload, strict=True):
            numbers = (f"{one.probability:.4f}", f"{one.fit + 0.0:.4g}", f"{one.strength:.3g}")
            table.add_row(Text(place), str(one.id), *numbers, Text("" if payload is None else shortened(payload)))
            place = ""
    console = Console()
    with console.capture() as shown:
        console.print(table)
    typer.echo("\n".join(line.rstrip(" ") for line in shown.get().split("\n")), nl=False)
    if explain:
        for answer in answers:
            typer.echo(f"\n{answer.place}")
            for one in answer.explanations:
                typer.echo(f"  {one}")
    unfamiliar = [answer.place for answer in answers if not answer.familiar]
    if unfamiliar:
        more = f" and {len(unfamiliar) - 3:,} more" if len(unfamiliar) > 3 else ""
        typer.echo(f"Not familiar, and not reinforced: {', '.join(unfamiliar[:3])}{more}.")


def _write(out: Path, patterns: NDArray[np.float32]) -> None:
    try:
        with out.expanduser().open("wb") as file:
            np.save(file, patterns, allow_pickle=False)
    except OSError as error:
        raise InvalidParameter(f"--out: {out} cannot be written ({error.strerror}); give a file that can.") from error

"""``mossy verify`` and ``mossy repair``."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from mossy import journal
from mossy.cli.options import AsJson, File, Key, keeps_raw
from mossy.cli.report import DAMAGED, failures, memories, progress, write_json
from mossy.errors import Damaged

__all__ = ["repair", "verify"]


def verify(file: File, key: Key = None, as_json: AsJson = False) -> None:
    """Check a memory against its checksums, and name the damage.

    Ends with 3 if there is any.
    """
    with failures():
        with progress("verifying") as tell:
            found = journal.verify(file, key=key, progress=tell)
        if not found and not found.memories:
            with suppress(Damaged):
                keeps_raw(file, key)  # or raises what other commands say of a file that is no memory
        if as_json:
            write_json({"file": str(file), "sound": bool(found), "memories": found.memories, "damage": found.damage})
        elif found:
            typer.echo(f"{file}: sound. It holds {memories(found.memories)}.")
        else:
            for one in found.damage:
                typer.echo(f"{file}: {one}")
            typer.echo(f"{file}: damaged. Intact: {memories(found.memories)}; mossy repair rescues them.")
        if not found:
            raise typer.Exit(DAMAGED)


def repair(
    file: File,
    into: Annotated[Path, typer.Argument(metavar="INTO", help="A new file for what is intact.")],
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Rescue what is intact into a new file, and name what is lost.

    The damaged file is left as it is. Ends with 3 if something is lost.
    """
    with failures():
        with progress("rescuing") as tell:
            done = journal.repair(file, into, key=key, progress=tell)
        if as_json:
            write_json({"file": str(file), "into": str(into), "rescued": done.rescued, "lost": done.lost})
        else:
            for one in done.lost:
                typer.echo(f"{file}: lost: {one}")
            lost = {0: "nothing lost", 1: "1 loss"}.get(len(done.lost), f"{len(done.lost):,} losses")
            typer.echo(f"{into}: {memories(done.rescued)} rescued from {file}, {lost}.")
        if done.lost:
            raise typer.Exit(DAMAGED)

"""``mossy export`` and ``mossy import``: JSON Lines with the arrays in ``.npz`` beside them."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mossy.cli.options import AsJson, Durability, File, Key, Settings, opened, settings_of
from mossy.cli.report import STOPPED, failures, last_words, memories, progress, say, whole, write_json
from mossy.errors import InvalidParameter, MossyError
from mossy.memory.interchange.form import files_of
from mossy.memory.interchange.reading import Export

__all__ = ["export", "import_"]


def export(
    file: File,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="life or life.jsonl: life.jsonl and life.npz are made.")],
    force: Annotated[bool, typer.Option("--force", help="Replace an export that is there.")] = False,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Write all memories as JSON Lines, with their arrays in .npz.

    An export is never encrypted, even if the memory is.
    """
    with failures():
        made = [path for path in files_of(out) if path.exists()]
        if made and not force:
            raise InvalidParameter(f"{made[0]}: it is there already; give another name, or --force to replace it.")
        with opened(file, "r", key=key) as memory, progress("exporting") as tell:
            n = memory.export(out, progress=tell)
        names = [str(out.with_name(path.name)) for path in files_of(out)]
        if as_json:
            write_json({"file": str(file), "out": names, "exported": n, "encrypted": False})
        else:
            clear = "" if key is None else " The memory is encrypted, these files are not: whoever has them reads them."
            typer.echo(f"{file}: {memories(n)} exported to {' and '.join(names)}.{clear}")


def import_(
    file: File,
    source: Annotated[Path, typer.Argument(metavar="IN", help="What export wrote: life or life.jsonl.")],
    settings: Settings = None,
    key: Key = None,
    durability: Durability = "full",
    as_json: AsJson = False,
) -> None:
    """Add the memories that export wrote, merging by id.

    The memory is made if it is not there. Ctrl-C keeps what was added until then, and says how much.
    """
    before = after = 0
    made = False
    with failures():
        Export(*files_of(source))  # so that no memory is made for what is no export
        new = not file.expanduser().exists()
        try:
            with opened(file, new=True, key=key, durability=durability, settings=settings_of(settings)) as memory:
                made = new
                before = after = len(memory)
                with progress("importing") as tell, whole() as check:

                    def told(done: float, total: float) -> None:
                        nonlocal after
                        after = len(memory)
                        tell(done, total)
                        check()

                    done = memory.import_(source, progress=told)
                after = len(memory)
        except KeyboardInterrupt:
            with last_words():
                say(f"stopped. {file}: {after - before:,} added. It holds {memories(after)}.")
                if as_json:
                    write_json({"file": str(file), "added": after - before, "memories": after, "stopped": True})
            raise typer.Exit(STOPPED) from None
        except MossyError:
            if made and not after:
                for path in (file.expanduser(), file.expanduser().with_name(f"{file.name}.arrays")):
                    path.unlink(missing_ok=True)
            raise
        if as_json:
            write_json({"file": str(file), **asdict(done), "memories": after, "stopped": False})
        else:
            typer.echo(
                f"{file}: {done.added:,} added, {done.merged:,} merged with what was there, {len(done.renamed):,} got "
                f"another id. It holds {memories(after)}."
            )

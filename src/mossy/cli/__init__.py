"""The command line: one file a command group. Needs the extra ``cli``.

``main`` says which extra is missing before anything else is imported.
"""

from __future__ import annotations

import sys

from mossy.errors import MissingExtra

__all__ = ["main"]

LIBRARIES = {"typer", "rich", "click"}


def main() -> None:
    """Run ``mossy`` with the arguments of this process, and exit with its status."""
    try:
        from mossy.cli.app import app

        app()
    except ModuleNotFoundError as missing:
        library = (missing.name or "").partition(".")[0]
        if library not in LIBRARIES:
            raise
        print(f"mossy: {MissingExtra(library, 'cli')}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:  # while it was starting; a command that runs says so itself
        print("mossy: stopped.", file=sys.stderr)
        sys.exit(130)

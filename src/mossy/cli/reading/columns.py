"""Named columns: which of them make the pattern, and which the payload."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

from mossy.cli.reading.source import Options, Source
from mossy.errors import InvalidInput, UnknownName

__all__ = ["Columns", "not_a_number"]

SHOWN = 12


@final
@dataclass(frozen=True)
class Columns:
    """The columns of the pattern, in the order of the source, of the payload, and the one of the value, if any."""

    pattern: tuple[str, ...]
    payload: tuple[str, ...]
    value: str | None = None

    @classmethod
    def of(cls, source: Source, names: Sequence[str], options: Options) -> Columns:
        """Divide ``names``: what is neither payload nor ignored is the pattern.

        Raises
        ------
        UnknownName
            An option names a column that is not there.
        InvalidInput
            Two columns have one name, a column of the pattern has none, or no column is left for the pattern.
        """
        for option, wanted in (("--payload", options.payload), ("--ignore", options.ignore)):
            for name in wanted:
                if name not in names:
                    raise UnknownName(f"{source}: {option} {name!r} was given; its columns are {_listed(names)}.")
        twice = [name for i, name in enumerate(names) if name in names[:i]]
        if twice:
            raise InvalidInput(f"{source}: two columns are called {twice[0]!r}; give each a name of its own.")
        pattern = tuple(name for name in names if name not in options.payload and name not in options.ignore)
        if "" in pattern:
            raise InvalidInput(
                f"{source}: column {list(names).index('') + 1} has no name. Give it one, or leave it out with "
                "--ignore '' (the index of a table, for example)."
            )
        if not pattern:
            raise InvalidInput(f"{source}: no column is left for the pattern; its columns are {_listed(names)}.")
        return cls(pattern, options.payload)

    def whole(self, source: Source, pattern: str, value: str) -> Columns:
        """Return them where the column ``pattern`` holds whole patterns: beside it, ``value`` and a payload may stand.

        Raises
        ------
        InvalidInput
            Another column is there.
        """
        payload = self.payload or tuple(name for name in self.pattern if name == "payload")
        others = [name for name in self.pattern if name not in (pattern, value, *payload)]
        if others or pattern not in self.pattern:
            raise InvalidInput(
                f"{source}: {(others or self.pattern)[0]!r} was given; beside {pattern!r} are allowed {value!r} and "
                "'payload'. Others go into the payload (--payload) or nowhere (--ignore)."
            )
        return Columns((pattern,), payload, value if value in self.pattern else None)

    def payload_of(self, cells: Sequence[Any]) -> Any:
        """Return the payload of a row: of one column what stands in it, of several a dict by name, of none None."""
        return cells[0] if len(self.payload) == 1 else dict(zip(self.payload, cells, strict=True)) or None


def not_a_number(column: str, given: object) -> str:
    """Return the end of a message that says what to do about a cell."""
    return (
        f"column {column!r}: {_shortened(given)} was given; a number is allowed. A column of another kind goes into "
        f"the payload (--payload {column}) or nowhere (--ignore {column})."
    )


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(repr(name) for name in names[:SHOWN]) + more


def _shortened(given: object) -> str:
    text = repr(given)
    return text if len(text) <= 40 else f"{text[:37]}..."

"""How a result becomes a Markdown table."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

__all__ = ["NotMeasured", "Results", "markdown", "number"]


class NotMeasured(LookupError):
    """A result that no benchmark has written yet."""


class Results(dict[str, dict[str, Any]]):
    """What the benchmarks wrote, by name. Each has result, question, seeds, machine, versions and date."""

    def __missing__(self, name: str) -> dict[str, Any]:
        """Say that it is not measured yet; a table that needs it says so too."""
        raise NotMeasured(name)


def markdown(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Lay out a Markdown table: the first column to the left, the others to the right."""
    names = [str(name) for name in head]
    lines = [names, ["---", *("---:" for _ in names[1:])], *([str(cell) for cell in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def number(value: float, digits: int = 3) -> str:
    """Write a number with ``digits`` significant digits and commas: 0.98, 1.00, 1,230,000."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    exponent = math.floor(math.log10(abs(rounded)))
    if exponent < -4:
        return f"{rounded:.{digits - 1}e}"
    return f"{rounded:,.{max(0, digits - 1 - exponent)}f}"

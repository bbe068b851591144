"""The table of what was measured of replay."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["replay"]


def replay(results: Results) -> str:
    """List who learns classes that come two at a time, from a buffer of so many images."""
    cells = results["nn_replay"]["result"]["cells"]
    names = sorted({name: None for rows in cells.values() for name in rows}, key=lambda name: -_mean(cells, name))
    rows = [
        (
            name,
            *(f"{rows[name]['accuracy']:.4f} ± {rows[name]['deviation']:.4f}" for rows in cells.values()),
            number(sum(rows[name]["cpu_s"] for rows in cells.values()) / len(cells), 2),
        )
        for name in names
    ]
    return markdown(("two classes at a time, images kept", *cells, "CPU s"), rows)


def _mean(cells: dict[str, dict[str, dict[str, float]]], name: str) -> float:
    return sum(rows[name]["accuracy"] for rows in cells.values())

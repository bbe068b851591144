"""Draw the figures of the pages from benchmarks/results/*.json: ``docs/cost.png``.

``make tables`` runs it. A figure is drawn only where its result is there.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mossy.lab.figures import GREY, INK, RED, TEAL, new_figure, save

ROOT = Path(__file__).resolve().parent.parent
STYLES: dict[str, dict[str, Any]] = {
    "exact": {"color": INK, "marker": "o"},
    "sketch": {"color": TEAL, "marker": "s"},
    "graph": {"color": GREY, "marker": "^"},
    "matrix": {"color": RED, "marker": "D"},
    "sparse": {"color": "#e09f3e", "marker": "v"},
}
PANELS = (
    ("seconds", 1e3, "one recall, ms", "log"),
    ("bytes", 1.0, "bytes a memory, beyond the vectors", "log"),
    ("accuracy", 1.0, "part that is right", "linear"),
)


def cost(folder: Path) -> Path | None:
    """Draw time, bytes and accuracy against the number of memories."""
    source = ROOT / "benchmarks" / "results" / "cost.json"
    if not source.exists():
        return None
    ways = json.loads(source.read_text(encoding="utf-8"))["result"]["ways"]
    figure = new_figure(11, 3.9)
    axes = figure.subplots(1, len(PANELS))
    for axis, (what, factor, label, scale) in zip(axes, PANELS, strict=True):
        for name, cells in ways.items():
            sizes = sorted(map(int, cells))
            values = [factor * cells[str(size)][what] for size in sizes]
            axis.plot(sizes, values, label=name, linewidth=1.8, markersize=5, **STYLES[name])
        axis.set_xscale("log")
        axis.set_yscale(scale)
        axis.set_xlabel("memories")
        axis.set_title(label, fontsize=11, color=INK, loc="left")
        axis.grid(True, which="major", color="#e3e8e7", linewidth=0.8)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    axes[2].set_ylim(0, 1.05)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="lower center", ncol=len(ways), frameon=False)
    figure.tight_layout(rect=(0, 0.08, 1, 1))
    return save(figure, folder, "cost.png", dpi=130)


if __name__ == "__main__":
    drawn = cost(ROOT / "docs")
    print(f"drew {drawn}" if drawn else "cost.json is not there yet; run benchmarks/cost.py")

"""The figures of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mossy.lab.completion import METHODS, SHARES, Completion
from mossy.lab.fading import USES, Fading
from mossy.lab.figures import GREY, INK, RED, TEAL, new_figure
from mossy.lab.images import KNOWN, Images

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_completion", "draw_fading"]

HEADINGS = ("stored", "asked with", "cosine's answer", "mossy's answer")
EXAMPLES = {"photo patches": 2, "digits": 1}  # rows of each share
BRIGHT = "#00bfa5"
LABELS = {"half": "left half known", "quarter": "a quarter known"}


def draw_completion(completions: Sequence[Completion], seed: int) -> Figure:
    """Draw four columns: the original, the cue, cosine's answer and mossy's, for examples of each kind and share.

    The examples are drawn among the half of the images with more contrast, without a look at the answers.
    """
    lines = [
        (done, share, int(row))
        for done in completions
        for share, rows in zip(SHARES, _examples(done.images, seed), strict=True)
        for row in rows
    ]
    side, left, top = 1.5, 1.55, 1.8
    width, height = left + 4 * (side + 0.34) + 0.1, top + len(lines) * (side + 0.2) + 0.15
    figure = new_figure(width, height)

    def place(column: int, line: int) -> Axes:
        x, y = left + column * (side + 0.34), height - top - (line + 1) * (side + 0.2) + 0.2
        return figure.add_axes((x / width, y / height, side / width, side / height))

    figure.text(0.3 / width, 1 - 0.32 / height, "A whole memory from a fragment", fontsize=19, color=INK, va="center")
    stored = " and ".join(f"{len(done.images):,} {done.images.name} ({done.images.origin})" for done in completions)
    figure.text(
        0.3 / width,
        1 - 0.72 / height,
        f"Stored: {stored}.\nEach is asked for with a part of it.",
        fontsize=10,
        color=GREY,
        va="center",
        linespacing=1.4,
    )
    for line, (done, share, row) in enumerate(lines):
        _draw_line([place(column, line) for column in range(4)], done, share, row)
        axis_y = height - top - (line + 0.5) * (side + 0.2) + 0.1
        label = f"{done.images.one}\n{LABELS[share]}"
        figure.text((left - 0.15) / width, axis_y / height, label, fontsize=10.5, color=INK, ha="right", va="center")
    right = {method: _right(completions, method) for method in (METHODS[0], METHODS[1])}
    under = (
        "",
        "framed: known\nthe rest: another image",
        f"right for\n{_percent(right[METHODS[1]])} of all cues",
        f"right for\n{_percent(right[METHODS[0]])} of all cues",
    )
    for column, (heading, below) in enumerate(zip(HEADINGS, under, strict=True)):
        x = (left + column * (side + 0.34) + side / 2) / width
        colour = (INK, INK, RED, TEAL)[column]
        figure.text(x, 1 - 1.18 / height, heading, fontsize=13, fontweight="bold", color=colour, ha="center")
        figure.text(
            x, 1 - 1.26 / height, below, fontsize=9.5, va="top", color=colour if column > 1 else GREY, ha="center"
        )
    return figure


def _examples(images: Images, seed: int) -> list[NDArray[np.intp]]:
    contrast = images.patterns.std(axis=1)
    clear = contrast >= np.median(contrast)
    random = np.random.default_rng([seed, 1])
    sources = random.permutation(np.unique(images.source))
    drawn: list[NDArray[np.intp]] = []
    for first in range(0, len(SHARES) * EXAMPLES[images.name], EXAMPLES[images.name]):
        each = [sources[(first + i) % len(sources)] for i in range(EXAMPLES[images.name])]
        drawn.append(np.array([random.choice(np.flatnonzero(clear & (images.source == one))) for one in each]))
    return drawn


def _draw_line(axes: Sequence[Axes], done: Completion, share: str, row: int) -> None:
    images = done.images
    cue = done.cues(share)[row].reshape(images.pictures.shape[1:])
    shown = [
        images.pictures[row],
        cue,
        *(images.pictures[done.chosen[share][m][row]] for m in (METHODS[1], METHODS[0])),
    ]
    for axis, picture in zip(axes, shown, strict=True):
        axis.imshow(picture, cmap="gray_r", vmin=0, vmax=1, interpolation="nearest")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set(color=GREY, linewidth=0.6)
    _frame_known(axes[1], images, share)
    for axis, method in zip(axes[2:], (METHODS[1], METHODS[0]), strict=True):
        _mark(axis, bool(done.chosen[share][method][row] == row))


def _frame_known(axis: Axes, images: Images, share: str) -> None:
    from matplotlib.patches import Rectangle

    height, width = images.pictures.shape[1:3]
    rows, columns = KNOWN[share]
    size = (width // columns, height // rows)
    axis.add_patch(Rectangle((-0.5, -0.5), *size, fill=False, edgecolor=BRIGHT, linewidth=3.4, clip_on=False))


def _mark(axis: Axes, right: bool) -> None:
    colour = TEAL if right else RED
    for spine in axis.spines.values():
        spine.set(color=colour, linewidth=2.4)
    axis.text(
        0.97,
        0.03,
        "right" if right else "wrong",
        transform=axis.transAxes,
        ha="right",
        va="bottom",
        fontsize=9,
        fontweight="bold",
        color="white",
        bbox={"facecolor": colour, "edgecolor": "none", "pad": 2.0},
    )


def _right(completions: Sequence[Completion], method: str) -> float:
    """Return the share of right answers over all cues of all kinds."""
    hits = [done.chosen[share][method] == np.arange(len(done.images)) for done in completions for share in SHARES]
    return float(np.concatenate(hits).mean())


def _percent(share: float) -> str:
    """Write a share as a percentage that is never rounded to 0 or 100."""
    if share in (0.0, 1.0) or 0.005 <= share < 0.995:
        return f"{100 * share:.0f} %"
    return f"{100 * share:.2f} %"


def draw_fading(fading: Fading) -> Figure:
    """Draw the strength over a year of memories that were used and of the rest, both axes logarithmic."""
    figure = new_figure(8.4, 4.6)
    axis: Any = figure.add_axes((0.1, 0.14, 0.84, 0.64))
    total = fading.curve.sum(axis=2)
    for side, (name, colour) in enumerate((("used ten times", TEAL), ("never used", RED))):
        axis.plot(fading.times, total[:, side], color=colour, linewidth=2.4, label=f"{name}: strength")
        axis.plot(
            fading.times,
            np.maximum(fading.curve[:, side, 0], 1e-12),
            color=colour,
            linewidth=1.3,
            linestyle=(0, (3, 2)),
            label=f"{name}: its short part",
        )
    axis.set(xscale="log", yscale="log", xlim=(1, fading.times[-1]), ylim=(3e-5, 4))
    axis.set_xticks([1, 60, 3600, 86_400, 7 * 86_400, 365.25 * 86_400])
    axis.set_xticklabels(["a second", "a minute", "an hour", "a day", "a week", "a year"], color=INK)
    axis.minorticks_off()
    axis.plot(USES, np.full(len(USES), 4e-5), "|", color=TEAL, markersize=10, markeredgewidth=2)
    axis.set_ylabel("strength", color=INK)
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(colors=GREY)
    axis.legend(frameon=False, fontsize=9.5, loc="lower left", bbox_to_anchor=(0.0, 0.06))
    figure.text(0.03, 0.94, "What is used lasts; the rest fades", fontsize=16, color=INK, va="center")
    figure.text(
        0.03,
        0.865,
        f"{fading.used} of {fading.stored} digits are recalled {fading.uses} times, at the marks below.",
        fontsize=10.5,
        color=GREY,
        va="center",
    )
    return figure

"""The figure of the article's experiment: weights over time, one panel a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mossy.lab.figures import GREY, INK, RED, TEAL, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_weights"]

COLOURS = ("#00796b", "#ef6c00", "#5e35b1", "#c2185b")


def draw_weights(weights: Mapping[str, NDArray[Any]], kept: Mapping[str, float]) -> Figure:
    """Draw the four weights of the program over its epochs, under each rule.

    Parameters
    ----------
    weights
        By rule, ``(epochs + 1, 2, 2)``.
    kept
        By rule, the share of patterns that it recalls from half, each written once.
    """
    rows = -(-len(weights) // 4)
    epochs = len(next(iter(weights.values()))) - 1
    figure = new_figure(12, 1.5 + 2.9 * rows)
    figure.suptitle(
        f"The article's program under each rule: four weights over {epochs} epochs",
        x=0.05,
        y=0.975,
        ha="left",
        fontsize=15,
        color=INK,
    )
    figure.text(
        0.05,
        0.905,
        "Under each name: of ten random patterns in 100 neurons, written once, how many come back from half.",
        fontsize=10.5,
        color=GREY,
    )
    axes = figure.subplots(rows, 4, squeeze=False)
    for axis in axes.flat[len(weights) :]:
        axis.set_axis_off()
    for axis, (rule, history) in zip(axes.flat, weights.items(), strict=False):
        flat = history.reshape(len(history), 4)
        for column, colour in enumerate(COLOURS):
            label = f"$w_{{{column // 2 + 1}{column % 2 + 1}}}$"
            axis.plot(flat[:, column], color=colour, linewidth=2, label=label)
        still = not np.any(history != history[0])
        name = f"{rule} (the article's)" if rule == "difference" else rule
        axis.set_title(name, loc="left", fontsize=12, fontweight="bold", color=INK, pad=20)
        verdict = f"recalls {kept[rule]:.0%} of the patterns"
        axis.text(0, 1.03, verdict, transform=axis.transAxes, fontsize=10, color=TEAL if kept[rule] > 0.5 else RED)
        if still:
            axis.text(0.97, 0.95, "no weight ever moves", transform=axis.transAxes, ha="right", va="top", color=RED)
            axis.set_ylim(0, 1.2)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=GREY, labelsize=9)
        axis.margins(x=0.02)
    for axis in axes[-1]:
        axis.set_xlabel("epoch", color=INK)
    axes[0][0].set_ylabel("weight", color=INK)
    axes[-1][0].set_ylabel("weight", color=INK)
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="upper right", ncols=4, frameon=False, fontsize=13, handlelength=1.2, columnspacing=1.2
    )
    figure.subplots_adjust(left=0.05, right=0.98, top=1 - 1.45 / (1.5 + 2.9 * rows), bottom=0.09, hspace=0.55)
    return figure

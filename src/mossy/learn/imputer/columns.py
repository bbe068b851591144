"""A table and its patterns: a numeric column is one neuron, a categorical one has a neuron for each category."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Columns", "bound", "learn_columns", "to_patterns", "to_table"]

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Columns(NamedTuple):
    """How the columns of a table become patterns ``(n, d)`` in units of mean 0 and variance 1.

    Attributes
    ----------
    categories
        For each column its categories, sorted, or None where it is numeric.
    mean, spread
        ``(d,)``: of the neurons, where they are known. A neuron that never varies has spread 1.
    low, high
        ``(d,)``: the least and the greatest activity of each neuron that is known, in those units.
    some
        ``(columns,)``: whether anything is known of the column.
    """

    categories: list[NDArray[Any] | None]
    mean: Floats
    spread: Floats
    low: Floats
    high: Floats
    some: Mask


def learn_columns(table: NDArray[Any], known: Mask, categorical: Mask) -> Columns:
    """Take categories, means and spreads from a table ``(n, columns)``, where it is known."""
    categories = [
        _sorted_unique(table[known[:, j], j]) if is_categorical else None
        for j, is_categorical in enumerate(categorical)
    ]
    raw, there = _neurons(table, known, categories)
    count = np.maximum(there.sum(axis=0), 1)
    mean = np.where(there, raw, 0).sum(axis=0) / count
    spread = np.sqrt(np.square(np.where(there, raw - mean, 0)).sum(axis=0) / count)
    spread[spread <= 1e-12 * np.abs(mean)] = 1.0  # what is less is rounding
    spread[spread == 0] = 1.0
    units = np.where(there, (raw - mean) / spread, 0.0)
    return Columns(categories, mean, spread, units.min(axis=0), units.max(axis=0), np.asarray(known.any(axis=0)))


def to_patterns(table: NDArray[Any], known: Mask, columns: Columns) -> tuple[Floats, Mask]:
    """Return the patterns ``(n, d)``, 0 where nothing is known, and their mask. An unseen category is nothing known."""
    raw, there = _neurons(table, known, columns.categories)
    return np.where(there, (raw - columns.mean) / columns.spread, 0.0), there


def bound(patterns: Floats, known: Mask, columns: Columns) -> Floats:
    """Return the patterns, where they are not known no further out than any that was learned from.

    A projection that meets one outlier in a column that hardly varies would send others far beyond it.
    """
    return np.where(known, patterns, np.clip(patterns, columns.low, columns.high))


def to_table(patterns: Floats, table: NDArray[Any], known: Mask, columns: Columns) -> NDArray[Any]:
    """Return the table with what is not known from the patterns: of a category's neurons, the most active is right."""
    raw = patterns * columns.spread + columns.mean
    filled = table.copy()
    at = 0
    for j, categories in enumerate(columns.categories):
        width = 1 if categories is None else len(categories)
        neurons = raw[:, at : at + width]
        missing = ~known[:, j]
        if width and missing.any():
            filled[missing, j] = (
                neurons[missing, 0] if categories is None else categories[neurons[missing].argmax(axis=1)]
            )
        at += width
    return filled


def _sorted_unique(values: NDArray[Any]) -> NDArray[Any]:
    """Return the categories, sorted; those of mixed type by the names of their types first."""
    found = sorted(dict.fromkeys(values.tolist()), key=lambda value: (type(value).__name__, value))
    made = np.empty(len(found), object)
    made[:] = found
    return made


def _neurons(table: NDArray[Any], known: Mask, categories: list[NDArray[Any] | None]) -> tuple[Floats, Mask]:
    """Return the activities of the neurons ``(n, d)``, 0 and 1 for categories, and which of them are known."""
    activity, there = [np.empty((len(table), 0))], [np.empty((len(table), 0), np.bool_)]
    for j, of in enumerate(categories):
        if of is None:
            activity.append(np.where(known[:, j], table[:, j], 0.0).astype(np.float64)[:, None])
            there.append(known[:, j, None])
            continue
        place = {category: i for i, category in enumerate(of.tolist())}
        which = np.array(
            [place.get(value, -1) if has else -1 for value, has in zip(table[:, j].tolist(), known[:, j], strict=True)]
        )
        activity.append((which[:, None] == np.arange(len(of))).astype(np.float64))
        there.append(np.broadcast_to((which >= 0)[:, None], (len(table), len(of))))
    return np.hstack(activity), np.hstack(there)

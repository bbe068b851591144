"""Sketches of patterns in cells: one bit for each rotated entry of what a pattern differs by from its cell's centre.

A page holds 32 sketches of one cell, word by word, so that one instruction serves several of them. The pages of a cell
are a list, ``first[cell]`` and ``after[page]``, of which only the first page can have room.

For a pattern ``x`` of the cell with the centre ``c``, ``o`` the rotated residual ``R(x - c)`` of length ``r`` and
``b = sign(o)``, a page keeps the bits of ``b`` and, in 16 bits each, ``r`` and ``f = r²/Σ|o_j|``. Then
``f·Σ_j b_j z_j`` estimates ``<x - c, R⁻¹z>`` without bias.

References
----------
Gao & Long (2024), RaBitQ: quantizing high-dimensional vectors with a theoretical error bound, SIGMOD, arXiv:2405.12497.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.compiled import compiled
from mossy.kernels.instructions import float_of
from mossy.kernels.pages import NONE, PAGE, Pages

__all__ = ["add", "dissolve", "drop", "members", "radius_and_factor", "renumber", "row_of"]

Array = NDArray[Any]


@compiled()
def radius_and_factor(last: Any) -> tuple[Any, Any]:
    """Return ``r`` and ``f`` of the last word of a sketch, which holds the upper half of each."""
    both = np.uint32(last & np.uint64(0xFFFFFFFF))
    return float_of(both & np.uint32(0xFFFF0000)), float_of((both & np.uint32(0xFFFF)) << np.uint32(16))


@compiled()
def row_of(last: Any) -> Any:
    """Return the row of the last word of a sketch, NONE if there is none."""
    return np.int64(last >> np.uint64(32)) - 1


@compiled()
def _with_row(last: Any, row: int) -> Any:
    """Return the last word of a sketch with another row."""
    return (last & np.uint64(0xFFFFFFFF)) | (np.uint64(row + 1) << np.uint64(32))


@compiled(reassociate=True)
def _sketch(residual: Array, words: Array, halves: Array) -> Any:
    """Write the signs of a rotated residual into ``words``, ``r`` and ``f`` into the last; return its squared length.

    ``halves (2,)`` is float32 to work with.
    """
    square = np.float32(0)
    total = np.float32(0)
    for j in range(residual.shape[0]):
        square += residual[j] * residual[j]
        total += abs(residual[j])
    for w in range(residual.shape[0] // 64):
        word = np.uint64(0)
        for bit in range(64):
            word |= np.uint64(residual[64 * w + bit] > 0) << np.uint64(bit)
        words[w] = word
    halves[0] = np.sqrt(square)
    halves[1] = square / total if total > 0 else np.float32(0)
    bits = halves.view(np.uint32)  # rounded to the nearer half
    upper = (bits[0] + np.uint32(0x8000)) & np.uint32(0xFFFF0000)
    words[-1] = np.uint64(upper | ((bits[1] + np.uint32(0x8000)) >> np.uint32(16)))
    return square


@compiled()
def _put(pages: Pages, cell: int, words: Array) -> None:
    """Add one sketch to a cell."""
    slot = pages.counts[cell] % PAGE
    if slot == 0:
        page = pages.free[0]
        pages.free[0] = pages.after[page]
        pages.after[page] = pages.first[cell]
        pages.first[cell] = page
    page = pages.first[cell]
    for w in range(words.shape[0]):
        pages.words[page, w, slot] = words[w]
    pages.counts[cell] += 1


@compiled()
def add(pages: Pages, rotated: Array, rows: Array, cells: Array, centres: Array) -> None:
    """Add rotated patterns ``(n, D)`` of ``rows (n,)`` to ``cells (n,)``, by rotated centres; enough pages are free."""
    residual = np.empty(rotated.shape[1], np.float32)
    words = np.empty(pages.words.shape[1], np.uint64)
    halves = np.empty(2, np.float32)
    for i in range(rotated.shape[0]):
        cell = cells[i]
        for j in range(residual.shape[0]):
            residual[j] = rotated[i, j] - centres[cell, j]
        pages.squares[cell] += _sketch(residual, words, halves)
        words[-1] = _with_row(words[-1], rows[i])
        _put(pages, cell, words)


@compiled()
def members(pages: Pages, cell: int, out: Array) -> int:
    """Write the rows of a cell into ``out`` and return how many there are."""
    n = 0
    page = pages.first[cell]
    while page != NONE:
        for slot in range(PAGE):
            row = row_of(pages.words[page, -1, slot])
            if row != NONE:
                out[n] = row
                n += 1
        page = pages.after[page]
    return n


@compiled()
def dissolve(pages: Pages, cell: int) -> None:
    """Take all sketches out of a cell and overwrite them."""
    page = pages.first[cell]
    while page != NONE:
        following = pages.after[page]
        pages.words[page, :, :] = 0
        pages.after[page] = pages.free[0]
        pages.free[0] = page
        page = following
    pages.first[cell] = NONE
    pages.counts[cell] = 0
    pages.squares[cell] = 0


@compiled()
def _take_out(pages: Pages, cell: int, words: Array) -> int:
    """Move all sketches of a cell into an array, and return how many there were."""
    n = 0
    page = pages.first[cell]
    while page != NONE:
        for slot in range(PAGE):
            if row_of(pages.words[page, -1, slot]) != NONE:
                for w in range(words.shape[1]):
                    words[n, w] = pages.words[page, w, slot]
                n += 1
        page = pages.after[page]
    dissolve(pages, cell)
    return n


@compiled()
def _put_back(pages: Pages, cell: int, words: Array) -> None:
    """Put a sketch that was taken out into its cell again."""
    radius, _ = radius_and_factor(words[-1])
    pages.squares[cell] += radius * radius
    _put(pages, cell, words)


@compiled()
def drop(pages: Pages, cell: int, gone: Array) -> None:
    """Take the sketches of the rows ``gone``, which rise, out of a cell."""
    words = np.empty((pages.counts[cell], pages.words.shape[1]), np.uint64)
    for i in range(_take_out(pages, cell, words)):
        row = row_of(words[i, -1])
        at = np.searchsorted(gone, row)
        if at == gone.shape[0] or gone[at] != row:
            _put_back(pages, cell, words[i])


@compiled()
def renumber(pages: Pages, place: Array) -> None:
    """Let row ``i`` be row ``place[i]`` from now on; the sketches of those that have none are dropped."""
    most = 0
    for cell in range(pages.first.shape[0]):
        most = max(most, pages.counts[cell])
    words = np.empty((most, pages.words.shape[1]), np.uint64)
    for cell in range(pages.first.shape[0]):
        for i in range(_take_out(pages, cell, words)):
            row = place[row_of(words[i, -1])]
            if row != NONE:
                words[i, -1] = _with_row(words[i, -1], row)
                _put_back(pages, cell, words[i])

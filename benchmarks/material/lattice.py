"""Lattice reduction: from the sums of products of whole-numbered patterns back to the patterns themselves.

Pixel ``j`` over ``n`` stored images is a vector ``r_j`` of ``n`` whole numbers, and ``G_jl = ⟨r_j, r_l⟩`` is what a
weight matrix keeps. The whole-numbered combinations of the ``r_j`` are a lattice; with enough more pixels than images
it is all of ``Zⁿ``, whose shortest vectors are the ``n`` unit vectors. Each stands for one image: its product with
``r_j`` is that image's pixel ``j``. Reduction finds short vectors from ``G`` alone.

A. K. Lenstra, H. W. Lenstra and L. Lovász (1982), doi:10.1007/BF01457454; for vectors that depend on each other
M. Pohst (1987), doi:10.1016/S0747-7171(87)80061-5.
"""

from __future__ import annotations

import numba
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DELTA = 0.99
NOTHING = 1e-6  # a squared height below this is 0: heights of independent whole-numbered vectors are far above it
MOST_STEPS = 1_000_000


def unit_vectors(gram: Floats) -> Floats:
    """Return the products ``(m, d)`` of the unit vectors that were found with each ``r_j``; their sign is open.

    Parameters
    ----------
    gram
        ``⟨r_j, r_l⟩ (d, d)``: whole numbers, below ``2⁵³``.
    """
    squares = np.diag(gram)
    used = np.flatnonzero(squares > 0)
    used = used[np.argsort(squares[used], kind="stable")]  # short ones first: what follows is reduced by them
    rows = np.zeros((len(used) + 1, len(gram)))
    products = np.zeros((len(used) + 1, len(used) + 1))
    m = 0
    steps = 0
    for j in used:
        rows[m] = gram[j]
        products[m, :m] = products[:m, m] = rows[:m, j]
        products[m, m] = gram[j, j]
        m, taken = _reduce(products, rows, m + 1, MOST_STEPS - steps)
        steps += taken
        if steps >= MOST_STEPS:
            break
    return rows[:m][np.diag(products)[:m] == 1.0]


@numba.njit(cache=True)
def _reduce(products: Floats, rows: Floats, m: int, most: int) -> tuple[int, int]:
    """Reduce the first ``m`` vectors, all but the last of which are reduced; return how many are left."""
    mu = np.zeros((m, m))
    height = np.zeros(m)
    part = np.zeros(m)
    for k in range(m - 1):
        _heights(products, mu, height, part, k)
    k = m - 1
    steps = 0
    while k < m and steps < most:
        steps += 1
        _shorten(products, rows, mu, height, part, m, k)
        if products[k, k] < 0.5:
            _take_out(products, rows, m, k)
            m -= 1
            k = max(k - 1, 0)
            if k == 0 and m > 0:
                _heights(products, mu, height, part, 0)
                k = 1
            continue
        if k > 0 and (height[k] < NOTHING or height[k] < (DELTA - mu[k, k - 1] ** 2) * height[k - 1] - 1e-9):
            _swap(products, rows, m, k)
            _heights(products, mu, height, part, k - 1)
            k = max(k - 1, 1)
        else:
            k += 1
    return m, steps


@numba.njit(cache=True)
def _heights(products: Floats, mu: Floats, height: Floats, part: Floats, k: int) -> None:
    """Find how far vector ``k`` lies along those before it, and the square of what is left of it."""
    for j in range(k):
        along = products[k, j]
        for t in range(j):
            along -= mu[j, t] * part[t]
        part[j] = along
        mu[k, j] = along / height[j] if height[j] > NOTHING else 0.0
    left = products[k, k]
    for t in range(k):
        left -= mu[k, t] * part[t]
    height[k] = max(left, 0.0)


@numba.njit(cache=True)
def _shorten(products: Floats, rows: Floats, mu: Floats, height: Floats, part: Floats, m: int, k: int) -> None:
    """Subtract whole multiples of the vectors before ``k`` until it can't be brought nearer to nothing."""
    for _ in range(30):  # again, as long as rounding left something
        _heights(products, mu, height, part, k)
        changed = False
        for j in range(k - 1, -1, -1):
            times = np.round(mu[k, j])
            if height[j] <= NOTHING or times == 0.0:
                continue
            changed = True
            square = products[k, k] - 2 * times * products[k, j] + times * times * products[j, j]
            for t in range(m):
                products[k, t] -= times * products[j, t]
            products[k, k] = square
            for t in range(m):
                products[t, k] = products[k, t]
            rows[k] -= times * rows[j]
            for t in range(j):
                mu[k, t] -= times * mu[j, t]
            mu[k, j] -= times
        if not changed:
            return


@numba.njit(cache=True)
def _swap(products: Floats, rows: Floats, m: int, k: int) -> None:
    for t in range(m):
        products[k, t], products[k - 1, t] = products[k - 1, t], products[k, t]
    for t in range(m):
        products[t, k], products[t, k - 1] = products[t, k - 1], products[t, k]
    for t in range(rows.shape[1]):
        rows[k, t], rows[k - 1, t] = rows[k - 1, t], rows[k, t]


@numba.njit(cache=True)
def _take_out(products: Floats, rows: Floats, m: int, k: int) -> None:
    for t in range(k, m - 1):
        products[t, :m] = products[t + 1, :m]
        rows[t] = rows[t + 1]
    for t in range(k, m - 1):
        products[: m - 1, t] = products[: m - 1, t + 1]

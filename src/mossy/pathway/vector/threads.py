"""Threads for compiled work: begun for one call, and over when it returns."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

__all__ = ["share_out"]


def share_out(work: Callable[[slice], None], n: int, least: int) -> None:
    """Do the work on ``n`` items: in this thread, or in one for each processor, each with at least so many items."""
    threads = min(_processors(), n // least)
    if threads < 2:
        work(slice(0, n))
        return
    bounds = np.linspace(0, n, threads + 1).astype(int)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(work, [slice(first, last) for first, last in pairwise(bounds.tolist())]))


def _processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

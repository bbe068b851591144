"""Ways of doing something, timed in turns, so that what else the machine does falls on all of them alike."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def in_turns(ways: Mapping[str, Callable[[int], object]], repeat: int, warm_up: int = 2) -> dict[str, dict[str, float]]:
    """Call every way once, ``repeat`` times over, with the number of the round; return the medians in seconds.

    ``wall`` is the median, ``best`` the least wall time, ``cpu`` the median CPU time of all threads together.
    """
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(-warm_up, repeat):
        for name, way in ways.items():
            spent, start = time.process_time(), time.perf_counter()
            way(turn)
            end, stop = time.perf_counter(), time.process_time()
            if turn >= 0:
                wall[name].append(end - start)
                cpu[name].append(stop - spent)
    return {
        name: {
            "wall": rounded(np.median(wall[name])),
            "best": rounded(min(wall[name])),
            "cpu": rounded(np.median(cpu[name])),
        }
        for name in ways
    }


def rounded(value: Any, digits: int = 4) -> float:
    return float(f"{float(value):.{digits}g}")


def blas() -> dict[str, Any]:
    """Describe NumPy's matrix product: the library, its kernel, its threads, and what was set from outside."""
    from threadpoolctl import threadpool_info

    built = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    loaded = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    return {
        "library": f"{built['name']} {built['version']}",
        "kernel": loaded[0].get("architecture", "unknown") if loaded else "unknown",
        "threads": loaded[0]["num_threads"] if loaded else None,
        "set": {name: value for name, value in sorted(os.environ.items()) if name.startswith("OPENBLAS_")},
    }

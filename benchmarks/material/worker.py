"""One index in one process: its threads, its memory, how long it takes, and how a script starts it.

A script calls ``in_worker(__file__, job)``; the process that starts finds the job with ``job_given()`` and answers with
``answer``. What it takes of the memory is the anonymous part of its resident set, so that mapped files don't count.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from material.indexes import Peer
from material.timing import rounded

__all__ = ["anonymous_bytes", "answer", "gauge", "in_worker", "job_given", "latencies", "throughput", "use_cores"]

MARK = "result: "
CORES = sorted(os.sched_getaffinity(0))


def in_worker(script: str, job: Mapping[str, Any], limit: float = 7200.0) -> dict[str, Any]:
    """Run the script with a job in a new process and return its answer, or ``{"failed": why}``."""
    threads = {f"{library}_NUM_THREADS": str(len(CORES)) for library in ("OPENBLAS", "OMP", "MKL", "NUMBA")}
    command = [sys.executable, str(Path(script).resolve()), "--worker", json.dumps(job)]
    try:
        run = subprocess.run(command, env=os.environ | threads, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"failed": f"not done after {limit:.0f} s"}
    for line in run.stdout.splitlines():
        if line.startswith(MARK):
            found: dict[str, Any] = json.loads(line[len(MARK) :])
            return found
    said = [line for line in run.stderr.splitlines() if line.strip()] or [f"exit status {run.returncode}"]
    return {"failed": said[-1][:300]}


def job_given() -> dict[str, Any] | None:
    """Return the job of this process, or None if it is not a worker."""
    if len(sys.argv) != 3 or sys.argv[1] != "--worker":
        return None
    job: dict[str, Any] = json.loads(sys.argv[2])
    return job


def answer(result: Mapping[str, Any]) -> None:
    """Hand the result to the script."""
    print(MARK + json.dumps(result, default=lambda value: value.tolist()), flush=True)


def anonymous_bytes() -> int:
    """Return the resident memory of this process but for mapped files, after what is free was given back."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    raise OSError("RssAnon is not in /proc/self/status")


def use_cores(n: int, peer: Peer) -> None:
    """Let this process run on ``n`` cores with so many threads, whatever library they belong to."""
    from threadpoolctl import threadpool_limits

    for thread in os.listdir("/proc/self/task"):
        try:
            os.sched_setaffinity(int(thread), CORES[:n])
        except ProcessLookupError:  # it ended
            continue
    threadpool_limits(n)
    peer.threads(n)


def gauge() -> float:
    """Return how many ms a product of 20,000 vectors and a cue takes on one core; more than usual: it was busy."""
    from threadpoolctl import threadpool_limits

    rng = np.random.default_rng(0)
    rows, cue = rng.standard_normal((20_000, 256), np.float32), rng.standard_normal(256, np.float32)
    with threadpool_limits(1):
        return latencies(lambda _: rows @ cue, range(200))["p50"]


def latencies(ask: Callable[[Any], object], cues: Any, budget: float = 20.0, least: int = 30) -> dict[str, float]:
    """Ask each cue and return ``p50`` and ``p95`` in ms; stop early after ``budget`` seconds, if ``least`` were asked.

    Three cues come before, unmeasured.
    """
    for cue in list(cues[:3]):
        ask(cue)
    spent: list[float] = []
    begin = time.perf_counter()
    for cue in cues:
        start = time.perf_counter()
        ask(cue)
        spent.append(time.perf_counter() - start)
        if len(spent) >= least and spent[-1] + start - begin > budget:
            break
    return {"p50": rounded(1e3 * np.percentile(spent, 50)), "p95": rounded(1e3 * np.percentile(spent, 95))}


def throughput(search: Callable[[NDArray[np.float32]], object], cues: NDArray[np.float32], size: int = 64) -> float:
    """Return cues a second in batches of ``size``: the median batch."""
    spent = []
    for first in range(0, len(cues) - size + 1, size):
        start = time.perf_counter()
        search(cues[first : first + size])
        spent.append(time.perf_counter() - start)
        if sum(spent) > 30:
            break
    return rounded(size / np.median(spent))

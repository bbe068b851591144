"""What every benchmark needs: where the data is, how long something takes, and how a result is kept.

A benchmark asks one question and ends with::

    record("recall_speed", "How fast is one recall?", {"index": timing.as_dict()}, seeds=[0, 1, 2])
"""

from __future__ import annotations

import datetime
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def data_dir(name: str = "") -> Path:
    """Return the folder of the real data, or the data set ``name`` in it.

    It is the environment variable ``MOSSY_DATA``, or ``../shared/data`` beside the repository.

    Raises
    ------
    SystemExit
        If it is not there; the message says what to set.
    """
    given = os.environ.get("MOSSY_DATA")
    folder = Path(given).expanduser() if given else ROOT.parent / "shared" / "data"
    if not (folder / name).is_dir():
        where = "MOSSY_DATA" if given else "../shared/data, beside the repository (MOSSY_DATA is not set)"
        what = f"the data set {name!r}" if name and folder.is_dir() else "the benchmarks' data"
        raise SystemExit(f"{what} is not in {where}. Set MOSSY_DATA to the folder that holds the data sets.")
    return folder / name


@dataclass(frozen=True)
class Timing:
    """Seconds that one call took: wall time (median and best), and CPU time of all threads (median)."""

    median: float
    best: float
    cpu: float
    repeats: int

    def as_dict(self) -> dict[str, float | int]:
        """Return it for ``record``, times in seconds with four significant digits."""
        return {
            name: float(f"{value:.4g}") if isinstance(value, float) else value for name, value in asdict(self).items()
        }


def cpu_and_wall(fn: Callable[[], object], repeat: int = 7, warm_up: int = 1) -> Timing:
    """Call ``fn`` ``warm_up`` times unmeasured, then ``repeat`` times, and say how long one call takes."""
    if repeat < 1:
        raise ValueError(f"repeat: {repeat} was given; at least 1 is allowed.")
    for _ in range(warm_up):
        fn()
    walls, cpus = [], []
    for _ in range(repeat):
        cpu, wall = time.process_time(), time.perf_counter()
        fn()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Timing(statistics.median(walls), min(walls), statistics.median(cpus), repeat)


def record(
    name: str,
    question: str,
    result: Mapping[str, Any],
    seeds: Iterable[int],
    peers: Iterable[str] = (),
) -> Path:
    """Write ``benchmarks/results/<name>.json``: the question, its answer, the machine and the versions.

    Parameters
    ----------
    name
        The benchmark's name, the file's stem; ``tables.py`` finds the result under it.
    question
        The one question that was asked.
    result
        The answer, as numbers, strings, lists and dicts (NumPy's scalars and arrays too). NaN is refused.
    seeds
        Every seed that was used.
    peers
        The distributions that were measured in the same run, such as ``"torch-hd"``.

    Returns
    -------
    Path
        The file that was written.
    """
    entry = {
        "name": name,
        "question": question,
        "result": result,
        "seeds": [int(seed) for seed in seeds],
        "machine": machine(),
        "versions": versions(peers),
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
    }
    text = json.dumps(entry, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False, default=_plain)
    RESULTS.mkdir(parents=True, exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(text + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")
    return path


def machine() -> dict[str, Any]:
    """Describe the machine by what decides the speed; it says nothing about whose machine it is."""
    return {
        "cpu": _cpu_model(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "system": platform.system(),
        "architecture": platform.machine(),
    }


def versions(peers: Iterable[str] = ()) -> dict[str, str]:
    """Return the versions of Python, NumPy, Numba, mossy and ``peers``."""
    names = ("numpy", "numba", "mossy", *peers)
    return {"python": platform.python_version()} | {name: _version(name) for name in names}


def _version(distribution: str) -> str:
    if distribution == "mossy":  # the source that runs, which may be newer than what was installed
        import mossy

        return mossy.__version__
    return importlib.metadata.version(distribution)


def _cpu_model() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    if platform.system() == "Darwin":
        asked = subprocess.run(["sysctl", "-n", "machdep.cpu.brand_string"], capture_output=True, text=True)
        if asked.returncode == 0:
            return asked.stdout.strip()
    return platform.processor() or platform.machine()


def _plain(value: Any) -> Any:
    """Turn NumPy's scalars and arrays into what JSON knows."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"result: {type(value).__name__} cannot be kept; give numbers, strings, lists and dicts.")

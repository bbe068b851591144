"""How much memory, start-up time and disk does mossy take?

- Memory held: ``stats().bytes`` beside the bytes of the stored patterns (float32), and how much the resident memory
  of a new process grows, when all patterns are stored in one call and when they come in a hundred. The patterns
  that were handed over are there before, and are not counted.
- Start: ``import mossy`` and the first recalls, each in a new process; the median of 11, after one to warm the
  disk cache. NumPy's import, which is part of it, is measured in processes of its own.
- Disk: a new environment with mossy and no extras; pip and setuptools are not counted.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import textwrap
import venv
from pathlib import Path
from typing import Any

import numpy as np

from material.images import digits, mnist
from record import ROOT, record

PROCESSES = 11
SEED = 0

IMPORTS = """
import json, sys, time
start = time.perf_counter()
import {module}
print(json.dumps({{"import": time.perf_counter() - start, "compiler": "numba" in sys.modules}}))
"""

FIRST_RECALL = """
import json, sys, time
import numpy as np
import mossy
rng = np.random.default_rng(0)
keys = rng.standard_normal((1000, 256)).astype(np.float32)
cue, known = keys[7] + np.float32(0.3), np.arange(256) < 128
memory = mossy.Memory(similarity="{similarity}")
times, start = {{}}, time.perf_counter()
def lap(name):
    global start
    times[name] = time.perf_counter() - start
    start = time.perf_counter()
memory.store(keys); lap("first store")
memory.recall(cue); lap("first recall")
memory.recall(cue); lap("second recall")
memory.recall(cue, known=known); lap("first recall with known")
print(json.dumps({{"times": times, "compiler": "numba" in sys.modules}}))
"""

HELD = """
import gc, json, sys
import numpy as np
import mossy
def resident():
    gc.collect()
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096
keys = np.load({path!r})
warm = mossy.Memory(); warm.store(keys[:2]); warm.recall(keys[0]); del warm
square = np.ones((1024, 1024), np.float32); square @ square; del square  # the matrix product takes its buffers
memory, before = mossy.Memory(), resident()
for part in np.array_split(keys, {calls}):
    memory.store(part)
del part
after = resident()
cues = keys[:64].copy()
memory.recall(cues)
stats = memory.stats()
print(json.dumps({{
    "stats": stats.bytes, "patterns": stats.bytes_of_patterns,
    "grown": after - before, "grown_after_recall": resident() - before,
}}))
"""


def in_new_process(code: str) -> Any:
    """Run ``code`` in a new process and return the JSON that it prints."""
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)


def held() -> dict[str, Any]:
    """Measure the memory held for three sets of patterns."""
    rng = np.random.default_rng(SEED)
    sets = {images.name: images.pixels for images in (digits(), mnist())}
    sets["random, 100,000 × 256"] = rng.standard_normal((100_000, 256), np.float32)
    result: dict[str, Any] = {}
    for name, keys in sets.items():
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "keys.npy")
            np.save(path, keys)
            runs = {calls: in_new_process(HELD.format(path=path, calls=calls)) for calls in (1, 100)}
        entry: dict[str, Any] = {"n": len(keys), "d": keys.shape[1], "bytes_of_patterns": keys.nbytes}
        for calls, run in runs.items():
            when = "one call" if calls == 1 else f"{calls} calls"
            entry[when] = {part: run[part] / run["patterns"] for part in ("stats", "grown", "grown_after_recall")}
        result[name] = entry
        print(name, entry)
    return result


def start() -> dict[str, Any]:
    """Measure imports and first recalls in new processes."""
    result: dict[str, Any] = {"processes": PROCESSES}
    for module in ("numpy", "mossy"):
        runs = [in_new_process(IMPORTS.format(module=module)) for _ in range(PROCESSES + 1)][1:]
        result[f"import {module}"] = {
            "seconds": float(np.median([run["import"] for run in runs])),
            "most": max(run["import"] for run in runs),
            "compiler_loaded": any(run["compiler"] for run in runs),
        }
    for similarity in ("euclidean", "cosine", "dot", "manhattan"):
        code = FIRST_RECALL.format(similarity=similarity)
        runs = [in_new_process(code) for _ in range(PROCESSES + 1)][1:]
        result[similarity] = {name: float(np.median([run["times"][name] for run in runs])) for name in runs[0]["times"]}
        result[similarity]["compiler_loaded"] = any(run["compiler"] for run in runs)
    for name, figures in result.items():
        print(name, figures)
    return result


def installed() -> dict[str, Any]:
    """Install mossy alone into a new environment and measure what it takes on disk."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [os.path.join(folder, "bin", "python"), "-m", "pip", "install", "--quiet"]
        limits = ["-c", str(ROOT / "constraints.txt")]
        run = subprocess.run([*pip, *limits, str(ROOT)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if run.returncode != 0:
            return {"installed": False, "why": "pip failed; is a package registry reachable?"}
        site = next(Path(folder).glob("lib/python*/site-packages"))
        sizes: dict[str, int] = {}
        disk = 0
        for path in site.rglob("*"):
            top = path.relative_to(site).parts[0]
            if path.is_file() and not path.is_symlink() and not top.startswith(("pip", "setuptools", "pkg_")):
                sizes[top] = sizes.get(top, 0) + path.stat().st_size
                disk += path.stat().st_blocks * 512
        largest = sorted(sizes.items(), key=lambda item: -item[1])[:6]
    return {
        "installed": True,
        "megabytes": sum(sizes.values()) / 1e6,
        "megabytes_of_disk_blocks": disk / 1e6,
        "largest": {name: size / 1e6 for name, size in largest},
    }


def main() -> None:
    result = {"start": start(), "held": held(), "installed": installed()}
    print(result["installed"])
    record(
        "footprint",
        "How much memory, start-up time and disk does mossy take?",
        result,
        seeds=[SEED],
    )


if __name__ == "__main__":
    main()

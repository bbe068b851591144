"""The third part of the demo: a process is killed between storing and recalling, and nothing is lost."""

from __future__ import annotations

import select
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mossy.errors import MossyError
from mossy.lab.images import Images
from mossy.memory import open_memory

__all__ = ["Survival", "survive"]

PATIENCE = 120.0  # seconds after which a process that says nothing is given up

# What the other process does: it stores, says so, and would wait for ever.
PROGRAM = """
import sys, time
import numpy as np
import mossy

folder = sys.argv[1]
memory = mossy.open(folder + "/life.mossy", separation="winner")
ids = memory.store(np.load(folder + "/images.npy"), payload=[f"image {i}" for i in range(int(sys.argv[2]))])
print("stored", len(ids), flush=True)
time.sleep(3600)
"""


@dataclass(frozen=True)
class Survival:
    """What was there after the kill.

    Attributes
    ----------
    stored
        How many memories the process had stored when it was killed.
    signal
        The number of the signal that ended it: 9 cannot be caught.
    there
        How many were there afterwards.
    found
        The share of them that half of an image found, whole and with its payload.
    seconds
        From opening the file to the last answer.
    """

    stored: int
    signal: int
    there: int
    found: float
    seconds: float


def survive(images: Images) -> Survival:
    """Store ``images`` in another process, kill it with ``SIGKILL``, and recall them from the file that is left."""
    with tempfile.TemporaryDirectory(prefix="mossy-demo-") as folder:
        patterns = images.patterns
        np.save(Path(folder) / "images.npy", patterns)
        ended = _store_and_kill(folder, len(images))
        begun = time.perf_counter()
        with open_memory(Path(folder) / "life.mossy") as memory:
            there = len(memory)
            recalled = memory.recall(patterns, known=images.known("half"))
            whole = (recalled.pattern == patterns).all(axis=1)
            named = [payload == [f"image {i}"] for i, payload in enumerate(recalled.payload)]
            found = float((whole & np.array(named)).mean())
        return Survival(len(images), ended, there, found, time.perf_counter() - begun)


def _store_and_kill(folder: str, n: int) -> int:
    """Run the other process until it says that all is stored, kill it, and return the signal that ended it."""
    command = [sys.executable, "-c", PROGRAM, folder, str(n)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        said = ""
        if process.stdout is not None and select.select([process.stdout], [], [], PATIENCE)[0]:
            said = process.stdout.readline()
        if said.split() != ["stored", str(n)]:
            process.kill()
            raise MossyError(f"demo: the process that stores did not: {said}{process.communicate(timeout=PATIENCE)[0]}")
        process.send_signal(signal.SIGKILL)
        return -process.wait(PATIENCE)

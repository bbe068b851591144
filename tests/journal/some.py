"""Some memories in a file, and Python lines in a process of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from mossy import Steps

ROOT = Path(__file__).resolve().parents[2]
KEYS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)


def in_a_process(body: str, *prefix: str, **named: Any) -> Any:
    """Run Python lines in a process of its own, and return what they put into ``told``."""
    lines = [
        "import errno, json, os, resource, sys, warnings",
        "import numpy as np",
        "import mossy",
        "from mossy.errors import *",
        f"named = json.loads({json.dumps(named, default=str)!r})",
        "globals().update(named)",
        "told = {}",
        textwrap.dedent(body),
        "print(json.dumps(told))",
    ]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    arguments = [*prefix, sys.executable, "-c", "\n".join(lines)]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def fill(path: Path, n: int = 20, **settings: Any) -> None:
    with mossy.open(path, clock=Steps(), **settings) as memory:
        memory.store(KEYS[:n], payload=[f"number {i}" for i in range(n)])
        memory.reinforce(range(5))
        memory.pin(3)

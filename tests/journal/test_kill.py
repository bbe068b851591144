"""A process that is killed at any point loses nothing that it acknowledged, and brings back nothing that it forgot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("seed", [0, 1000])
def test_nothing_acknowledged_is_lost_and_nothing_forgotten_is_back(tmp_path, seed):
    """In a process of its own, since it forks: 20 rounds on one file, half of them killed between two of its calls."""
    (tmp_path / "live").mkdir()
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, str(ROOT)])}
    arguments = [sys.executable, "-m", "tests.journal.load", str(tmp_path / "live"), "20", str(seed)]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["faults"] == []
    assert told["there"] + told["forgotten"] > 100, "the load did nothing"
    assert len(told["killed_in"]) >= 3, told["killed_in"]

"""Code that runs in a process of its own."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from typing import Any


def in_new_process(code: str) -> Any:
    """Run ``code`` in a new process and return the JSON that it prints."""
    run = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, check=True)
    return json.loads(run.stdout)

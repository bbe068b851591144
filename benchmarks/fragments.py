"""How much of an image must be known to recall the whole, when another image covers the rest?

The demo's own run: scikit-learn's digits, and patches of its two photographs. Its figure becomes ``docs/demo.png``.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from mossy.lab import demo
from record import ROOT, record

QUESTION = "Which image comes back for half or a quarter of one, when another image covers the rest?"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        found = demo(folder, seed=0)
        (ROOT / "docs" / "demo.png").write_bytes(Path(found.figures[0]).read_bytes())
    result = found.as_dict()
    del result["figures"], result["seed"]
    record("fragments", QUESTION, result, seeds=[found.seed], peers=["scikit-learn"])


if __name__ == "__main__":
    main()

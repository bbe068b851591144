"""What all tests share: how Hypothesis runs, and where figures go."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

# Figures are drawn into files, on machines without a screen.
os.environ.setdefault("MPLBACKEND", "Agg")

# A slow or busy machine must not fail a test, so there is no deadline. CI runs the same examples each time.
settings.register_profile(
    "mossy", deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile("ci", parent=settings.get_profile("mossy"), derandomize=True)
settings.load_profile("ci" if os.environ.get("CI") else "mossy")

"""The table of how fast the Hopfield layers are."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["association"]

PARTS = {"forward": "fwd", "forward and backward": "fwd + bwd"}


def association(results: Results) -> str:
    """List CPU times of the Hopfield layers, and what attention and hflayers take for one time of ours."""
    rows = []
    for name, row in results["nn_association"]["result"]["rows"].items():
        for part, short in PARTS.items():
            times, ratio = row[part]["times"], row[part]["ratio"]
            attention = next((who for who in ratio if who != "hflayers"), None)
            rows.append(
                (
                    f"{name}, {short}",
                    number(1e3 * times["mossy"]["cpu"]),
                    "–" if "hflayers" not in ratio else f"{number(ratio['hflayers'])} ×",
                    "–" if attention is None else f"{attention}: {number(ratio[attention])} ×",
                )
            )
    return markdown(("CPU ms, float32, two threads", "mossy", "hflayers", "attention"), rows)

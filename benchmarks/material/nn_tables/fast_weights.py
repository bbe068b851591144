"""Tables of fast weights: their speed, and how many associations they hold."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["fast_weights", "mqar"]

KINDS = ("forward", "forward and backward")


def fast_weights(results: Results) -> str:
    """List CPU times of the delta rule and of the other rules, and ratios to the plain kernel at its fastest chunk."""
    found = results["nn_fast_weights"]["result"]
    plain = {
        kind: min(row["cpu"] for name, row in found[kind].items() if name.startswith("plain chunked")) for kind in KINDS
    }
    rows = [
        (
            name,
            *(number(found[kind][name]["cpu"] * 1e3, 1) for kind in KINDS),
            *(f"{found[kind][name]['cpu'] / plain[kind]:.2f}" for kind in KINDS),
        )
        for name in found[KINDS[0]]
    ]
    what = "batch 8, 4 heads, 256 tokens, 64 × 64"
    heads = (what, "forward, CPU ms", "with backward", "of the plain kernel", "its backward")
    return markdown(heads, rows)


def mqar(results: Results) -> str:
    """List the accuracy of associative recall."""
    rows = [
        (
            name,
            f"{row['accuracy']:.4f}",
            f"{row['least']:.4f}",
            row["state"],
            f"{row['parameters']:,}",
            f"{row['cpu_s']:.0f}",
        )
        for name, row in results["nn_mqar"]["result"]["layers"].items()
    ]
    heads = ("64 pairs in 256 tokens", "accuracy", "least of the seeds", "state", "parameters", "CPU s of training")
    return markdown(heads, rows)

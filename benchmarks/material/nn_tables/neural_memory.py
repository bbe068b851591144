"""Tables of the memory that learns at test time: its speed, and what long streams leave behind."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["neural_memory", "neural_memory_streams"]

KINDS = ("forward", "forward and backward")


def neural_memory(results: Results) -> str:
    """List CPU times, and how many times as fast as titans-pytorch each is."""
    rows = []
    for case, found in results["nn_neural_memory"]["result"]["speed"].items():
        peer = found[KINDS[0]].keys() & {"titans-pytorch"}
        for name in found[KINDS[0]]:
            times = [found[kind][name]["cpu"] for kind in KINDS]
            ratios = [found[kind]["titans-pytorch"]["cpu"] / found[kind][name]["cpu"] for kind in KINDS] if peer else []
            rows.append(
                (f"{case}: {name}", *(number(time * 1e3, 1) for time in times), *(f"{r:.2f} ×" for r in ratios))
            )
    heads = ("chunks of 64 tokens", "forward, CPU ms", "with backward", "times as fast", "with backward, times as fast")
    return markdown(heads, rows)


def neural_memory_streams(results: Results) -> str:
    """List what 100,000 tokens leave behind."""
    rows = [
        (
            name,
            f"{row['tokens']:,}",
            f"{row['largest_weight']:.3g}",
            f"{row['largest_answer']:.3g}",
            number(row["state_bytes"] / 1024, 0),
            f"{row['grown_kib']:,}",
        )
        for name, row in results["nn_neural_memory"]["result"]["streams"].items()
    ]
    heads = ("stream", "tokens", "largest weight", "largest answer", "KiB of state", "KiB that the process grew")
    return markdown(heads, rows)

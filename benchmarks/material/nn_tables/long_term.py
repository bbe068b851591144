"""Tables of what product keys and written memories cost in a network."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["long_term", "long_term_written"]


def long_term(results: Results) -> str:
    """List the CPU time of both passes beside the peer, and the loss after learning."""
    found = results["nn_long_term"]["result"]
    passes = ("forward", "forward + backward")
    rows = [
        (
            name,
            *(number(1e3 * found["speed"]["taken"][f"{name}, {one}"]["cpu"]) for one in passes),
            f"{left['left']:.3f} ± {left['sd']:.3f}",
        )
        for name, left in found["learning"].items()
    ]
    times = found["speed"].get("times_as_fast")
    if times:
        rows.append(("times as fast", *(number(times[one]) for one in passes), ""))
    return markdown(("16,384 slots, 8 × 256 inputs of 256", *(f"{one}, CPU ms" for one in passes), "loss left"), rows)


def long_term_written(results: Results) -> str:
    """List what memories that are written cost, and how many are found."""
    rows = [
        (
            f"{int(n):,}",
            number(1e3 * row["forward_s"]),
            *(number(1e3 * row[one], 2) if one in row else "–" for one in ("store_s", "recall_s", "forget_s")),
            *(f"{100 * row[one]:.1f} %" if one in row else "–" for one in ("found", "found_noisy")),
        )
        for n, row in results["nn_long_term"]["result"]["written"].items()
    ]
    head = ("written", "forward, CPU ms", "store all", "recall all", "forget all", "found to the bit", "of noisy cues")
    return markdown(head, rows)

"""Tables of what was measured of intermediate results: remembered outputs, and heads trained from memory."""

from __future__ import annotations

import statistics

from material.markdown import Results, markdown, number

__all__ = ["features", "hits", "streams"]


def hits(results: Results) -> str:
    """List the time of a hit on 2 MiB."""
    hit = results["nn_memoize"]["result"]["hit_2_mib"]
    rows = [(name, number(hit[name]["cpu"] * 1e3, 2), number(hit[name]["wall"] * 1e3, 2)) for name in WAYS]
    return markdown(("2 MiB in, 2 MiB out", "CPU ms", "wall ms"), rows)


WAYS = ("memoize", "joblib.Memory", "copy")


def streams(results: Results) -> str:
    """List what remembering saves on streams with repeats, and what it changes."""
    result = results["nn_memoize"]["result"]
    frames, words = result["frames"]["median"], result["words"]
    looked_up = frames["hits"] + frames["near_hits"] + frames["misses"]
    rows = [
        (
            f"frames, near hits at a rate of {result['rate']:g}",
            f"{frames['hits'] / looked_up:.3f}",
            f"{frames['near_hits'] / looked_up:.3f}",
            f"{frames['false_of_near']:.4f}",
            f"{frames['changed']:.4f}",
            number(frames["times_faster_cpu"], 2),
        ),
        ("words, equal ones only", f"{words['hit_ratio']:.3f}", "–", "–", "0", number(words["times_faster_cpu"], 2)),
    ]
    head = ("stream", "equal", "near", "false of near", "changed answers", "× less CPU time")
    return markdown(head, rows)


def features(results: Results) -> str:
    """List the CPU time of heads that are trained through a frozen trunk and from memory."""
    seeds = results["nn_features"]["result"]["seeds"]
    rows = []
    for layer in seeds[0]:
        of = {name: [seed[layer][name] for seed in seeds] for name in seeds[0][layer]}
        reached = [value for value in of["memory_s"] if value is not None]
        rows.append(
            (
                layer,
                f"{statistics.median(of['goal']):.4f}",
                number(statistics.median(of["through_s"]), 1),
                number(statistics.median(reached), 1) if reached else "–",
                f"{len(reached)} of {len(seeds)}",
                number(statistics.median(of["times_less_in_all"]), 1),
            )
        )
    head = ("layer", "goal", "CPU s, through the trunk", "from memory", "reached", "× less for all epochs")
    return markdown(head, rows)

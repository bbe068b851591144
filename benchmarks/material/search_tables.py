"""Tables of what was measured of many memories: search, turnover, codes, caches, cost."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["cache", "cache_time", "codes", "cost", "fading", "links", "search", "turnover"]

CODES = {
    "hamming": "bits of the cue",
    "float cue": "the cue itself",
    "float cue, scaled, 256 cells": "... in cells",
    "half known: hamming of known bits": "half known, bits",
    "half known: float cue, mean": "half known, the cue itself",
    "half known: scaled, 256 cells, zeros": "... in cells",
}
POLICIES = {
    "Cache": "mossy.Cache",
    "Cache, adapt=False": "adapt=False",
    "LRU": "LRU",
    "LFU": "LFU",
    "ARC": "ARC",
    "S3FIFO": "S3-FIFO",
    "WTinyLFU": "W-TinyLFU",
    "Belady": "Belady (bound)",
}


def cache(results: Results) -> str:
    """List hit ratios of caches of 100 and 400 items."""
    result = results["cache"]["result"]
    rows = [
        (f"{trace}, {size} items", *(f"{cell[name]['mean']:.3f}" for name in POLICIES))
        for trace, sizes in result["ratio"].items()
        for size, cell in sizes.items()
    ]
    rows.append(("mean", *(f"{result['summary']['mean'][name]:.3f}" for name in POLICIES)))
    return markdown(("hit ratio", *POLICIES.values()), rows)


def cache_time(results: Results) -> str:
    """List the CPU time of a hit and of a miss."""
    rows = [
        (f"{int(size):,} items, {name}", number(times["hit"], 2), number(times["miss"], 2))
        for size, every in results["cache"]["result"]["microseconds"].items()
        for name, times in every.items()
    ]
    return markdown(("CPU µs", "a hit", "a miss, with what it stores and lets go"), rows)


def fading(results: Results) -> str:
    """List hit ratios of memories with a capacity, beside a cache and LRU."""
    result, names = results["fading"]["result"], ("Memory, adapt=True", "Memory", "Cache", "LRU")
    rows = [
        (f"{trace}, {size} memories", *(f"{cell[name]['mean']:.3f}" for name in names))
        for trace, sizes in result["ratio"].items()
        for size, cell in sizes.items()
    ]
    rows.append(("mean", *(f"{result['mean'][name]:.3f}" for name in names)))
    rows.append(("CPU µs a request", *(number(result["microseconds_a_request"][name], 2) for name in names)))
    return markdown(("asked for and there", *names), rows)


def cost(results: Results) -> str:
    """List time a recall, bytes a memory and accuracy of each way to hold memories, by their number."""
    result = results["cost"]["result"]
    sizes = [str(size) for size in result["sizes"]]

    def line(name: str, what: str, factor: float, digits: int) -> tuple[str, ...]:
        cells = result["ways"][name]
        return (name, *(number(factor * cells[size][what], digits) if size in cells else "–" for size in sizes))

    parts = []
    for head, what, factor, digits in (
        ("one recall, ms", "seconds", 1e3, 2),
        ("bytes a memory, beyond its vector", "bytes", 1, 3),
        ("part that is right", "accuracy", 1, 3),
    ):
        names = (head, *(f"{int(size):,}" for size in sizes))
        rows = [line(name, what, factor, digits) for name in result["ways"]]
        if what == "bytes":
            by_size = {str(one["n"]): number(one["bytes"], 3) for one in result["held"]}
            rows.append(("sketch, with eight links", *(by_size.get(size, "–") for size in sizes)))
        parts.append(markdown(names, rows))
    cells = result["ways"]["sketch"]
    firsts = (number(cells[size]["first"], 2) if "first" in cells[size] else "–" for size in sizes)
    names = ("CPU s of the first recall, or after as many more", *(f"{int(size):,}" for size in sizes))
    parts.append(markdown(names, [("sketch", *firsts)]))
    return "\n\n".join(parts)


def search(results: Results, kind: str) -> str:
    """Compare indexes at equal recall: time, writing, bytes, with strengths and with half of the cue."""
    rows, missing = [], []
    for name, found in results["search"]["result"][kind]["indexes"].items():
        if "failed" in found:
            missing.append(name)
            continue
        late = "" if found["reached"] else " (not .95)"
        one, two, removed = found["1 thread"], found["2 threads"], found["remove"]
        cells = [
            (f"{found['recall']:.3f}{late}", one["p50"], two["p50"], two["batch_cues_a_second"]),
            (f"{found['recall']:.3f}", *(w.get("pathway_alone", {}).get("p50") for w in (one, two)), None),
        ]
        strong, half = found["weighted"], found["half_known"]
        rest = (
            number(found["insert_a_second"]),
            removed if isinstance(removed, str) else number(removed["p50_ms"], 2),
            number(found["bytes_an_item"]),
            f"{strong['recall']:.3f} at {number(strong['1 thread']['p50'], 2)}",
            f"{half['recall']:.3f} at {number(half['1 thread']['p50'], 2)}",
        )
        rows.append((name, *_timed(cells[0]), *rest))
        if cells[1][1] is not None:
            rows.append((f"{name}, pathway alone", *_timed(cells[1]), *("" for _ in rest)))
    head = (
        "index",
        "recall@10",
        "p50 ms",
        "two threads",
        "cues/s in batches",
        "insert/s",
        "delete ms",
        "bytes an item",
    )
    table = markdown((*head, "strengths: recall, ms", "half known: recall, ms"), rows)
    return f"{table}\n\nNot measured in this run: {', '.join(missing)}." if missing else table


def _timed(cell: tuple[str, float, float, float | None]) -> tuple[str, ...]:
    recall, *times = cell
    return (recall, *("" if value is None else number(value) for value in times))


def turnover(results: Results) -> str:
    """Compare indexes before and after all was replaced twice with one that is fresh."""
    rows = []
    for n, indexes in results["turnover"]["result"].items():
        for name, found in indexes.items():
            if "failed" in found:
                continue
            rows.append(
                (
                    f"{int(n):,}, {name}",
                    *(f"{found[when]['recall']:.3f}" for when in ("after", "fresh")),
                    *(number(found[when]["p50"]) for when in ("after", "fresh")),
                    number(found["replacements_a_cpu_second"]),
                    number(found["one_by_one_a_cpu_second"]),
                    *(number(found[when]["an_item"]) for when in ("bytes_before", "bytes_after")),
                )
            )
    head = ("index", "recall after", "fresh", "p50 ms after", "fresh", "replaced a CPU s", "one by one")
    return markdown((*head, "bytes an item before", "after"), rows)


def codes(results: Results) -> str:
    """Compare one-bit codes of real embeddings."""
    found = results["codes"]["result"]["real"]

    def share(cells: dict[str, dict[str, float]] | None) -> str:
        return "–" if cells is None else f"{cells['100']['mean']:.3f} ({cells['30']['mean']:.3f})"

    rows = [(rotation, *(share(ways.get(way)) for way in CODES)) for rotation, ways in found.items()]
    return markdown(("rotation", *CODES.values()), rows)


def links(results: Results) -> str:
    """List what a recall costs before and after a million others."""
    found = results["links"]["result"]
    rows = [
        (f"{when} ten thousand", number(1e3 * found[when]["median"]), number(1e3 * found[when]["p99"]))
        for when in ("first", "last")
    ]
    return markdown(("one recall, ms", "median", "99th of 100"), rows)

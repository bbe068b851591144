"""Tables of what was measured of many memories: search, turnover, codes, caches, cost."""

from __future__ import annotations

from material.markdown import Results, markdown, number

__all__ = ["cache", "cache_time", "cost"]

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
        parts.append(markdown(names, [line(name, what, factor, digits) for name in result["ways"]]))
    return "\n\n".join(parts)

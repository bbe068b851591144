"""What is left of an index after everything in it was replaced twice?

- 50,000 vectors (``--n 50000 200000`` for more), drawn as ``material.embeddings`` draws clustered ones. What comes is
  like what is there, but for a mild drift: with each full turnover every centre turns by 15 degrees.
- 200 % turnover: the oldest go, as many new ones come; in batches of 500, and the last 500 one by one.
- Recall of the true ten, with the setting of the search that found .95 before, and p50 of one cue on one core: before,
  after, and in a fresh index that is built from the final vectors. The cues are drawn as the vectors are: before from
  those that are there then, after from those that are there in the end.
- Bytes before and after: the growth of the anonymous resident memory since the index began, and what it says itself.
- Replacements a CPU second on one core: of batches with an answer after each, so that no work is put off; and one by
  one, with an answer after each ten. The CPU time of those answers is in it.
- ``found again``: vectors that were removed and are named in an answer afterwards; there may be none.

Only indexes that can remove take part: the others refuse. ``--small`` tries 5,000 vectors and writes no result.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from material.embeddings import D, Drifting
from material.indexes import INDEXES, Peer, distributions, missing
from material.neighbours import neighbours, score
from material.timing import rounded
from material.worker import anonymous_bytes, answer, gauge, in_worker, job_given, latencies, use_cores
from record import record

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

SEED = 0
K, CUES, TUNING = 10, 500, 200
ENOUGH = 0.95
TURNS, BATCH, SINGLES, WARM = 2, 500, 500, 2000
QUESTION = "What is left of an index after everything in it was replaced twice?"
NAMES = [name for name, kind in INDEXES.items() if kind.removes and name not in ("mossy graph", "usearch f32")]


class World:
    """Vectors that come one after the other, and what is there at a time: the last ``n``."""

    def __init__(self, n: int) -> None:
        self.n, self.end = n, n
        self.source = Drifting(round(n**0.5), n, SEED)
        self.rows = np.empty(((TURNS + 1) * n, D), np.float32)
        for first in range(0, len(self.rows), BATCH):
            part = self.rows[first : first + BATCH]
            part[:] = self.source.draw(first, len(part))

    def there(self) -> slice:
        """Return which vectors are there."""
        return slice(self.end - self.n, self.end)

    def cues(self) -> Floats:
        """Draw cues like what is there."""
        oldest = self.end - self.n
        rng = np.random.default_rng([SEED, 5, self.end])
        ages = np.sort(rng.integers(oldest, self.end, CUES))
        return np.concatenate([self.source.draw(int(age), 1, salt=1 + i) for i, age in enumerate(ages)])[
            rng.permutation(CUES)
        ]


def asked(peer: Peer, world: World, offset: int = 0) -> dict[str, Any]:
    """Measure recall and latency with what is there; ``offset`` is the number of the first vector of the index."""
    rows, cues = world.rows[world.there()], world.cues()[TUNING:]
    use_cores(1, peer)
    truth = neighbours(rows, cues, K)
    found = in_batches(peer, cues) - (world.end - world.n) + offset
    inside = (found >= 0) & (found < world.n)
    times = latencies(lambda cue: peer.search(cue[None], K), cues)
    use_cores(2, peer)
    recall = truth.recall(np.where(inside, found, -1), score(rows, cues, np.where(inside, found, -1)))
    return {"recall": rounded(recall), "found_again": int((~inside).sum())} | times


def in_batches(peer: Peer, cues: Floats) -> Ids:
    return np.concatenate([peer.search(cues[first : first + 50], K) for first in range(0, len(cues), 50)])


def tuned(peer: Peer, world: World) -> dict[str, Any]:
    """Take the cheapest setting that finds enough of what is there now, in the order of the sweeps."""
    rows, cues = world.rows[world.there()], world.cues()[:TUNING]
    truth, recall = neighbours(rows, cues, K), 0.0
    for setting in (setting for sweep in peer.sweeps for setting in sweep):
        peer.tune(setting)
        found = in_batches(peer, cues)
        recall = truth.recall(found, score(rows, cues, found))
        if recall >= ENOUGH:
            break
    return {"setting": setting, "reached": recall >= ENOUGH}


def replace(peer: Peer, world: World, count: int) -> None:
    """Let the oldest go and as many new ones come."""
    oldest, end = world.end - world.n, world.end
    peer.remove(np.arange(oldest, oldest + count))
    peer.add(np.arange(end, end + count), world.rows[end : end + count])
    world.end += count


def turned_over(peer: Peer, world: World) -> dict[str, Any]:
    """Replace everything, in batches and the last ones one by one, and say how fast that was."""
    use_cores(1, peer)  # threads that wait for each other use CPU time as well
    cue = world.cues()[:1]
    total = TURNS * world.n - SINGLES
    cpu, wall = time.process_time(), time.perf_counter()
    for _ in range(total // BATCH):
        replace(peer, world, BATCH)
        peer.search(cue, K)
    batches, batches_wall = time.process_time() - cpu, time.perf_counter() - wall
    cpu = time.process_time()
    for i in range(SINGLES):
        replace(peer, world, 1)
        if i % 10 == 9:
            peer.search(cue, K)
    singles = time.process_time() - cpu
    done = total // BATCH * BATCH
    return {
        "replacements_a_cpu_second": rounded(done / batches),
        "replacements_a_second": rounded(done / batches_wall),
        "one_by_one_a_cpu_second": rounded(SINGLES / singles),
    }


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Measure one index in this process."""
    kind, world = INDEXES[job["name"]], World(job["n"])
    _warm(kind(), world)
    peer, busy, before = kind(), gauge(), anonymous_bytes()
    peer.build(world.rows[: world.n])
    peer.search(world.rows[:1], K)
    result: dict[str, Any] = {"keeps": peer.keeps, "gauge_ms": busy}
    result |= tuned(peer, world)
    result["bytes_before"] = _size(peer, world, before)
    result["before"] = asked(peer, world)
    result |= turned_over(peer, world)
    result["bytes_after"] = _size(peer, world, before)
    result["after"] = asked(peer, world)
    fresh = kind()
    fresh.build(world.rows[world.there()].copy())
    fresh.tune(result["setting"])
    result["fresh"] = asked(fresh, world, offset=world.end - world.n)
    result["gauge_after_ms"] = gauge()
    return result


def _warm(peer: Peer, world: World) -> None:
    """Use another of its kind first: what it loads and compiles is not counted."""
    peer.build(world.rows[:WARM].copy())
    peer.search(world.rows[:1], K)
    peer.remove(np.arange(10))
    peer.add(np.arange(WARM, WARM + 10), world.rows[:10])
    peer.search(world.rows[:50], K)


def _size(peer: Peer, world: World, before: int) -> dict[str, float | None]:
    said = peer.own_bytes()
    return {
        "an_item": rounded((anonymous_bytes() - before) / world.n),
        "an_item_it_says": None if said is None else rounded(said / world.n),
    }


def show(name: str, found: dict[str, Any]) -> None:
    if "failed" in found:
        print(f"{name}: {found['failed']}", flush=True)
        return
    ways = [f"{way} {found[way]['recall']} at {found[way]['p50']} ms" for way in ("before", "after", "fresh")]
    print(
        f"{name} {found['setting'] or ''}: {'; '.join(ways)}; {found['replacements_a_cpu_second']} a CPU second, "
        f"one by one {found['one_by_one_a_cpu_second']}; {found['bytes_before']['an_item']} B, then "
        f"{found['bytes_after']['an_item']}; found again {found['after']['found_again']}; "
        f"gauge {found['gauge_ms']}/{found['gauge_after_ms']}",
        flush=True,
    )


def main() -> None:
    job = job_given()
    if job is not None:
        answer(measure(job))
        return
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--n", type=int, nargs="+", default=[50_000], help="how many vectors; several are allowed")
    ask.add_argument("--only", nargs="+", choices=NAMES, help="these indexes alone; writes no result")
    ask.add_argument("--small", action="store_true", help="5,000 vectors; writes no result")
    given = ask.parse_args()
    names, result = given.only or NAMES, {}
    for n in [5000] if given.small else given.n:
        result[str(n)] = {}
        for name in names:
            why = missing(name)
            found = {"failed": why} if why is not None else in_worker(__file__, {"name": name, "n": n})
            result[str(n)][name] = found
            show(f"{n}, {name}", found)
    if not given.small and not given.only:
        record("turnover", QUESTION, result, seeds=[SEED], peers=distributions(names))


if __name__ == "__main__":
    main()

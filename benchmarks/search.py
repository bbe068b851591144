"""How fast are the ten nearest of a million vectors found, at equal recall, and what does it cost to keep them?

- Vectors: a million clustered ones that are drawn, and 120,643 real embeddings (``material.embeddings``). 256 entries,
  float32, the length 1, cosine. Cues are not stored. The truth is exact (``material.neighbours``).
- Every index runs in a process of its own. The setting of its search is the fastest that finds at least .95 of the true
  ten for the first 500 cues; everything below is measured with the other cues.
- ``p50`` and ``p95`` of one cue at a time in ms, on one core with one thread and on two with two; cues a second in
  batches of 64; the recall.
- The last 50,000 vectors come in one batch, and an answer after it: vectors a second at that size. Then 200 come one by
  one, and an answer. At the end 200 are removed one by one, and an answer must not name them.
- Bytes an item: the growth of the anonymous resident memory, divided by the vectors, their own bytes among them
  (1,024 for float32); beside it what the library says of itself.
- Strengths: uniform in [.05, 1], with a prior so strong that it matters (``DELTA``): the score is ``cos + δ/20 ln s``.
  An exact search that fetches the 100 most similar, and ranks these by the score, then finds about .96 (clustered) and
  .85 (real) of the true ten. mossy's strengths take part in its search; the others fetch 100 and rank them.
- Half known: a random half of each cue's entries. mossy is told which; the others are asked with zeros in place of the
  rest, fetch 100 and rank them exactly by the known entries.

mossy is measured through ``Memory.recall``, and its pathway alone, which finds the keys. ``gauge`` is a fixed product
on one core in each process: where it differs between two, the machine was busy.

``--quick`` tries everything with 20,000 vectors and writes no result. ``--n``, ``--kinds`` and ``--only`` measure a
part; each part is kept in the cache folder, and ``--resume`` takes it from there.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from material.embeddings import cache_dir, kept
from material.indexes import GROWS_SLOWLY, INDEXES, Mossy, Peer, Product, distributions, missing
from material.neighbours import Truth, neighbours, prior, score
from material.timing import rounded
from material.worker import anonymous_bytes, answer, gauge, in_worker, job_given, latencies, throughput, use_cores
from record import record

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]

SEED = 0
K, FETCHED = 10, 100
TUNING, ASKED = 300, 300
ENOUGH = 0.95
LAST, SINGLES = 50_000, 200
DELTA = {"clustered": 16.0, "real": 22.0}
QUICK = 20_000
WARM = 5000
QUESTION = (
    "How fast are the ten nearest of a million vectors found, at equal recall, and what does it cost to keep them?"
)


# -- the truth --------------------------------------------------------------------------------------------------


def prepared(kind: str, n: int | None) -> dict[str, Any]:
    """Make the vectors, the cues and the truth, if they are not there, and say where they are."""
    vectors, cues = kept(kind, n, TUNING + ASKED, SEED)
    truth = cache_dir() / f"truth-{vectors.stem}-{TUNING}-{DELTA[kind]}.npz"
    if not truth.exists():
        rows, asked = np.load(vectors, mmap_mode="r"), np.load(cues)
        rng = np.random.default_rng([SEED, 1])
        strengths = rng.uniform(0.05, 1.0, len(rows))
        known = rng.random(asked.shape).argsort(axis=1) < asked.shape[1] // 2
        added = prior(strengths, DELTA[kind])
        found = {
            "near": neighbours(rows, asked, FETCHED),
            "weighted": neighbours(rows, asked[TUNING:], K, added=added),
            "masked": neighbours(rows, asked[TUNING:], K, known=known[TUNING:]),
        }
        arrays = {f"{name}_{part}": getattr(of, part) for name, of in found.items() for part in ("ids", "scores")}
        part = truth.with_suffix(".part.npz")
        np.savez(part, strengths=strengths, known=known, **arrays)
        part.replace(truth)
    return {"vectors": str(vectors), "cues": str(cues), "truth": str(truth)}


class Trial:
    """The vectors, the cues and the truth that one index is measured with."""

    def __init__(self, files: dict[str, Any], kind: str) -> None:
        self.rows: Floats = np.load(files["vectors"], mmap_mode="r")
        cues = np.load(files["cues"])
        self.tuning, self.cues = cues[:TUNING], cues[TUNING:]
        with np.load(files["truth"]) as truth:
            ids, scores = truth["near_ids"], truth["near_scores"]
            self.near = Truth(ids[TUNING:], scores[TUNING:])
            self.tuned = Truth(ids[:TUNING, :K], scores[:TUNING, :K])
            self.true = Truth(ids[TUNING:, :K], scores[TUNING:, :K])
            self.weighted = Truth(truth["weighted_ids"], truth["weighted_scores"])
            self.masked = Truth(truth["masked_ids"], truth["masked_scores"])
            self.known, self.strengths = truth["known"][TUNING:], truth["strengths"]
        self.delta = DELTA[kind]
        self.added = prior(self.strengths, self.delta)

    def recall(self, found: Ids) -> float:
        """Return which share of the true ten was found for the cues."""
        return rounded(self.true.recall(found, score(self.rows, self.cues[: len(found)], found)))

    def ideal(self) -> float:
        """Return what an exact search finds of the strong when it fetches the 100 most similar and ranks these."""
        scores = self.near.scores + self.added[self.near.ids]
        best = np.argsort(-scores, axis=1)[:, :K]
        found = np.take_along_axis(self.near.ids, best, 1)
        return rounded(self.weighted.recall(found, np.take_along_axis(scores, best, 1)))


# -- one index --------------------------------------------------------------------------------------------------


def in_batches(peer: Peer, cues: Floats, k: int = K) -> Ids:
    return np.concatenate([peer.search(cues[first : first + 64], k) for first in range(0, len(cues), 64)])


def filled(peer: Peer, trial: Trial) -> dict[str, Any]:
    """Build it, and measure the last vectors that come and what all of them take."""
    rows, n = trial.rows, len(trial.rows)
    _warm(peer, trial)
    last = min(LAST, n // 10)
    one, many = n - SINGLES, n - SINGLES - last
    before, start = anonymous_bytes(), time.perf_counter()
    peer.build(np.ascontiguousarray(rows[:many]))
    peer.search(trial.tuning[:1], K)
    built = time.perf_counter()
    batch, ids = np.ascontiguousarray(rows[many:one]), np.arange(many, one)
    begin = time.perf_counter()
    peer.add(ids, batch)
    peer.search(trial.tuning[:1], K)
    added = time.perf_counter()
    for i in range(one, n):
        peer.add(np.array([i]), np.ascontiguousarray(rows[i : i + 1]))
    peer.search(trial.tuning[:1], K)
    ended = time.perf_counter()
    del batch
    own = anonymous_bytes() - before
    said = peer.own_bytes()
    return {
        "build_s": rounded(built - start),
        "insert_a_second": rounded(last / (added - begin)),
        "insert_one_ms": rounded(1e3 * (ended - added) / SINGLES),
        "bytes_an_item": rounded(own / n),
        "bytes_an_item_it_says": None if said is None else rounded(said / n),
        "keeps": peer.keeps,
    }


def _warm(peer: Peer, trial: Trial) -> None:
    """Use another of its kind, so that what it loads and compiles counts neither as time nor as memory."""
    other, few = type(peer)(), np.ascontiguousarray(trial.rows[:WARM])
    other.build(few[:-1])
    other.search(trial.tuning[:1], K)
    other.add(np.array([WARM - 1]), few[-1:])
    other.search(trial.tuning[:64], K)


def tuned(peer: Peer, trial: Trial) -> dict[str, Any]:
    """Find the fastest setting that finds enough; the one that finds most, if none does."""
    tried: list[tuple[bool, float, float, dict[str, int]]] = []
    for sweep in peer.sweeps:
        for setting in sweep:
            peer.tune(setting)
            found = in_batches(peer, trial.tuning)
            recall = trial.tuned.recall(found, score(trial.rows, trial.tuning, found))
            enough = recall >= ENOUGH
            if enough or setting is sweep[-1]:
                spent = latencies(lambda cue: peer.search(cue[None], K), trial.tuning[:100], budget=5.0)["p50"]
                tried.append((enough, spent if enough else -recall, recall, setting))
                break
    enough, _, recall, setting = min(tried, key=lambda one: (not one[0], one[1]))
    peer.tune(setting)
    return {"setting": setting, "reached": bool(enough), "recall_when_tuned": rounded(recall)}


def asked(peer: Peer, trial: Trial) -> dict[str, Any]:
    """Measure the search for one cue at a time and in batches, with one thread and two."""
    result: dict[str, Any] = {"recall": trial.recall(in_batches(peer, trial.cues))}
    for threads in (1, 2):
        use_cores(threads, peer)
        times: dict[str, Any] = latencies(lambda cue: peer.search(cue[None], K), trial.cues)
        times["batch_cues_a_second"] = throughput(lambda cues: peer.search(cues, K), trial.cues)
        if isinstance(peer, Mossy):
            alone = peer.pathway_alone()
            if alone is not None:
                times["pathway_alone"] = latencies(lambda cue, alone=alone: alone(cue[None], K), trial.cues)
        result[f"{threads} threads" if threads > 1 else "1 thread"] = times
    return result


def of_fetched(peer: Peer, trial: Trial, cues: Floats, weighed: bool, masks: NDArray[np.bool_] | None) -> Ids:
    """Fetch the 100 most similar and rank them by the score, or by the known entries."""
    found = peer.search(cues, FETCHED)
    rows = trial.rows[np.maximum(found, 0)]
    known = rows if masks is None else rows * masks[:, None]
    scores = np.einsum("cfd,cd->cf", known, cues)
    if masks is not None:
        scores = scores / np.maximum(np.linalg.norm(known, axis=2) * np.linalg.norm(cues, axis=1)[:, None], 1e-12)
    if weighed:
        scores = scores + trial.added[np.maximum(found, 0)]
    scores = np.where(found >= 0, scores, -np.inf)
    return np.take_along_axis(found, np.argsort(-scores, axis=1)[:, :K], 1)


def half_known(peer: Peer, trial: Trial) -> dict[str, Any]:
    """Ask with a random half of each cue."""
    cues = trial.cues * trial.known

    def ask(some: slice) -> Ids:
        if isinstance(peer, Mossy):
            return peer.search(cues[some], K, trial.known[some])
        if isinstance(peer, Product):
            return peer.search_known(cues[some], K, trial.known[some])
        return of_fetched(peer, trial, cues[some], False, trial.known[some])

    use_cores(1, peer)
    times = latencies(lambda i: ask(slice(i, i + 1)), range(len(cues)))
    found = np.concatenate([ask(slice(first, first + 16)) for first in range(0, len(cues), 16)])
    scores = score(trial.rows, trial.cues, found, trial.known)
    return {"recall": rounded(trial.masked.recall(found, scores)), "1 thread": times}


def weighted(peer: Peer, trial: Trial) -> dict[str, Any]:
    """Ask for what is similar and strong."""
    if isinstance(peer, Mossy):
        peer.weigh(trial.strengths, trial.delta)
    elif isinstance(peer, Product):
        peer.weigh(trial.added)

    def ask(some: slice) -> Ids:
        if isinstance(peer, Mossy):
            return peer.search(trial.cues[some], K)
        if isinstance(peer, Product):
            return peer.search_weighted(trial.cues[some], K)
        return of_fetched(peer, trial, trial.cues[some], True, None)

    use_cores(1, peer)
    times = latencies(lambda i: ask(slice(i, i + 1)), range(len(trial.cues)))
    found = np.concatenate([ask(slice(first, first + 16)) for first in range(0, len(trial.cues), 16)])
    scores = score(trial.rows, trial.cues, found, added=trial.added)
    return {"recall": rounded(trial.weighted.recall(found, scores)), "1 thread": times, "delta": trial.delta}


def removed(peer: Peer, trial: Trial, budget: float = 20.0) -> dict[str, Any] | str:
    """Remove vectors one by one; none may be found again."""
    if not peer.removes:
        return "refused"
    use_cores(2, peer)
    n = len(trial.rows)
    chosen = np.unique(np.concatenate([trial.true.ids[:50, 0], np.random.default_rng(SEED).integers(n, size=150)]))
    spent: list[float] = []
    for i in chosen:
        start = time.perf_counter()
        peer.remove(np.array([i]))
        spent.append(time.perf_counter() - start)
        if sum(spent) > budget:
            break
    gone = set(chosen[: len(spent)].tolist())
    found = in_batches(peer, trial.cues[:50])
    return {
        "p50_ms": rounded(1e3 * np.median(spent)),
        "mean_ms": rounded(1e3 * np.mean(spent)),
        "found_again": len(gone & set(found.ravel().tolist())),
    }


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Measure one index in this process."""
    trial, peer = Trial(job["files"], job["kind"]), INDEXES[job["name"]]()
    result = {"gauge_ms": gauge()} | filled(peer, trial)
    use_cores(2, peer)
    result |= tuned(peer, trial) | asked(peer, trial)
    result["half_known"] = half_known(peer, trial)
    result["weighted"] = weighted(peer, trial)
    result["remove"] = removed(peer, trial)
    result["gauge_after_ms"] = gauge()
    return result


# -- all of them ------------------------------------------------------------------------------------------------


def compared(kind: str, n: int | None, names: list[str], resume: bool) -> dict[str, Any]:
    """Measure the indexes on one kind of vectors, each in a process of its own."""
    files = prepared(kind, n)
    trial = Trial(files, kind)
    result: dict[str, Any] = {
        "n": len(trial.rows),
        "cues": len(trial.cues),
        "delta": trial.delta,
        "ideal_of_100_fetched": trial.ideal(),
        "indexes": {},
    }
    print(f"{kind}: {result['n']:,} vectors; the ideal of 100 fetched is {result['ideal_of_100_fetched']}", flush=True)
    for name in names:
        path = cache_dir() / f"search-{kind}-{len(trial.rows)}-{name.replace(' ', '_')}.json"
        why = missing(name)
        if why is not None:
            found: dict[str, Any] = {"failed": why}
        elif resume and path.exists():
            found = json.loads(path.read_text(encoding="utf-8"))
        else:
            found = in_worker(__file__, {"name": name, "kind": kind, "files": files})
            if "failed" not in found:
                path.write_text(json.dumps(found), encoding="utf-8")
        result["indexes"][name] = found
        show(kind, name, found)
    base = result["indexes"].get("NumPy product", {})
    for found in result["indexes"].values():
        for threads in ("1 thread", "2 threads"):
            if threads in found and threads in base:
                found[threads]["times_as_fast_as_numpy"] = rounded(base[threads]["p50"] / found[threads]["p50"], 3)
    return result


def show(kind: str, name: str, found: dict[str, Any]) -> None:
    if "failed" in found:
        print(f"{kind}, {name}: {found['failed']}", flush=True)
        return
    one, two, known, strong = found["1 thread"], found["2 threads"], found["half_known"], found["weighted"]
    removed = found["remove"] if isinstance(found["remove"], str) else f"{found['remove']['p50_ms']} ms"
    parts = [
        f"recall {found['recall']}" + ("" if found["reached"] else " (not enough)"),
        f"p50/p95 ms {one['p50']}/{one['p95']}, two threads {two['p50']}/{two['p95']}",
        f"batch {two['batch_cues_a_second']}/s",
        f"insert {found['insert_a_second']}/s, {found['insert_one_ms']} ms each",
        f"remove {removed}",
        f"{found['bytes_an_item']} B ({found['bytes_an_item_it_says']})",
        f"half known {known['recall']} at {known['1 thread']['p50']} ms",
        f"strengths {strong['recall']} at {strong['1 thread']['p50']} ms",
        f"gauge {found['gauge_ms']}/{found['gauge_after_ms']}",
    ]
    if "pathway_alone" in one:
        parts.append(f"pathway alone {one['pathway_alone']['p50']} ms")
    print(f"{kind}, {name} {found['setting'] or ''}: " + "; ".join(parts), flush=True)


def main() -> None:
    job = job_given()
    if job is not None:
        answer(measure(job))
        return
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--n", type=int, default=1_000_000, help="how many clustered vectors")
    ask.add_argument("--kinds", nargs="+", choices=list(DELTA), default=list(DELTA))
    ask.add_argument("--only", nargs="+", choices=list(INDEXES), help="these indexes alone; writes no result")
    ask.add_argument("--without-graphs", action="store_true", help="leave out what takes minutes to build")
    ask.add_argument("--quick", action="store_true", help="20,000 vectors; writes no result")
    ask.add_argument("--resume", action="store_true", help="measure only what is not in the cache folder")
    given = ask.parse_args()
    names = given.only or [name for name in INDEXES if not (given.without_graphs and name in GROWS_SLOWLY)]
    sizes = {"clustered": QUICK if given.quick else given.n, "real": QUICK if given.quick else None}
    result = {kind: compared(kind, sizes[kind], names, given.resume) for kind in given.kinds}
    if given.quick or given.only or given.n != 1_000_000 or len(given.kinds) < len(DELTA):
        return
    record("search", QUESTION, result, seeds=[SEED], peers=[*distributions(names), "wordllama"])


if __name__ == "__main__":
    main()

"""How fast and how large is a durable memory?

Ratios, each with what stands in its denominator:

- batch: items/s of one ``store`` of all items into a new file, one commit, beside raw SQLite that inserts the same
  keys and payloads in one commit (``executemany``, WAL, synchronous=FULL), with SQLite's page of 4,096 bytes and with
  16,384. It is measured with its rows ready as bytes before the clock starts, and ``from arrays``: given what mossy is
  given, so that it cuts the array and writes JSON on the clock too. ``of_raw`` and ``of_raw_from_arrays`` are mossy's
  median rate / that of the page that is faster. Files are made before the clock starts, every way begins on a disk
  that has nothing left to write, and ``close_seconds``, in which mossy makes its sidecar, comes on top.
- single: one commit an item, in rounds of many, all ways in turns, each with its file open and growing, once from
  nothing and once from a file that holds as many as the batch. ``of_raw`` as above; ``full`` is held to
  synchronous=FULL, ``process`` to NORMAL. ``disk`` is a write of a page and an fdatasync by themselves, in the same
  rounds: the part of it that no way at FULL can do without. LanceDB does not sync.
- reopen: seconds in a new process, after its imports, from ``open`` to the end of the first recall, with its payload.
  ``warm``: the file is in the page cache; ``cold``: the cache was dropped (left out where that is not permitted).
  ``grown`` is the resident memory after the recall less that before ``open``, ``peak`` the most in between, ``stats``
  what ``stats().bytes`` says, all / the bytes of the vectors (float32). Beside it: the same rows read by plain
  ``sqlite3``, and the vectors alone by ``numpy.load``.
- size: bytes of the file, and of file and sidecar, after ``close`` / (bytes of the vectors + of the payloads as UTF-8).
- forget: seconds of one exact ``forget`` of one id and of 100 ids, at random, the sidecar being there.
- recall: one cue, beside a ``Memory`` in this process that holds the same, all in turns; µs above it. And how many
  memories a second are written by ``flush`` after they were reinforced.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from material.process import in_new_process
from material.stores import (
    PAYLOAD,
    PEERS,
    Maker,
    Place,
    installed,
    mossy_file,
    patterns,
    raw_sqlite,
    record_of,
    text,
)
from material.timing import in_turns, rounded
from material.trial import is_small, record_or_show

SEED = 0
D = 256
WIDTHS = (64, 256, 384, 768, 1024, 1536, 2048)
PAGES = (4096, 16384)  # SQLite's default, and ours
FRAME = 24  # bytes that SQLite's log adds to a page
DROP = Path("/proc/sys/vm/drop_caches")


@dataclass(frozen=True)
class Extent:
    """How much is measured."""

    items: int = 100_000
    many: int = 1_000_000
    rounds: int = 5
    singles: int = 1000
    single_rounds: int = 7
    peer_singles: int = 100
    processes: int = 5
    sizes: int = 5 * 4096  # whole blocks of the sidecar, which has no part of one
    forgets: int = 20
    turns: int = 500


SMALL = Extent(5000, 20_000, 2, 50, 2, 20, 2, 4096, 3, 20)

REOPEN = """
import gc, json, time
import numpy as np
import mossy
def resident(name="VmRSS"):
    gc.collect()
    with open("/proc/self/status") as file:
        return 1024 * next(int(line.split()[1]) for line in file if line.startswith(name))
cue = np.load({cue!r})
before, cpu, start = resident(), time.process_time(), time.perf_counter()
memory = mossy.open({path!r}, mode={mode!r})
opened = time.perf_counter() - start
found = memory.recall(cue)
recalled, cpu = time.perf_counter() - start, time.process_time() - cpu
grown, peak = resident() - before, resident("VmHWM") - before
assert found.ids[0] == {id} and found.payload[0] == {payload!r}, found
stats = memory.stats()
start = time.perf_counter()
memory.close()
print(json.dumps({{
    "open": opened, "first_recall": recalled, "cpu": cpu, "close": time.perf_counter() - start,
    "grown": grown / stats.bytes_of_patterns, "peak": peak / stats.bytes_of_patterns,
    "stats": stats.bytes / stats.bytes_of_patterns,
}}))
"""

READ_BY_SQLITE = """
import json, sqlite3, time
import numpy as np
start = time.perf_counter()
connection = sqlite3.connect("file:" + {path!r} + "?mode=ro", uri=True)
keys = np.empty(({n}, {d}), np.float32)
for row, (key,) in enumerate(connection.execute("SELECT key FROM memory ORDER BY id")):
    keys[row] = np.frombuffer(key, np.float32)
assert row == {n} - 1
print(json.dumps({{"seconds": time.perf_counter() - start}}))
"""

READ_BY_NUMPY = """
import json, time
import numpy as np
start = time.perf_counter()
keys = np.load({path!r})
print(json.dumps({{"seconds": time.perf_counter() - start}}))
"""


@contextmanager
def folder() -> Iterator[Path]:
    """Give a folder that is gone afterwards, and a disk that has nothing left to write before."""
    with tempfile.TemporaryDirectory() as name:
        os.sync()
        yield Path(name)


def per_second(n: int, seconds: list[float]) -> dict[str, float]:
    return {
        "items_per_s": rounded(n / statistics.median(seconds)),
        "slowest": rounded(n / max(seconds)),
        "fastest": rounded(n / min(seconds)),
    }


# --- storing ---------------------------------------------------------------------------------------


def batch(extent: Extent) -> dict[str, Any]:
    """Measure one commit of all items into a new file, for payloads of two kinds."""
    keys = patterns(extent.items, D, SEED)
    result: dict[str, Any] = {"items": extent.items, "rounds": extent.rounds}
    for kind, make in (("text", text), ("dict", record_of)):
        payloads = [make(i) for i in range(extent.items)]
        ways: dict[str, Maker] = {"mossy": mossy_file}
        for page in PAGES:
            ways[f"raw SQLite, page {page}"] = partial(raw_sqlite, page=page)
            ways[f"raw SQLite, page {page}, from arrays"] = partial(raw_sqlite, page=page, from_arrays=True)
        ways |= {name: maker for name, (distribution, maker) in PEERS.items() if installed(distribution)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        closing: list[float] = []
        for turn in range(extent.rounds):
            for name, maker in list(ways.items())[:: 1 if turn % 2 else -1]:
                with folder() as where:
                    place = maker(where)
                    ready = place.ready(keys, payloads)
                    start = time.perf_counter()
                    place.write_many(ready)
                    seconds[name].append(time.perf_counter() - start)
                    start = time.perf_counter()
                    place.close()
                    if name == "mossy":
                        closing.append(time.perf_counter() - start)
        found: dict[str, Any] = {name: per_second(extent.items, spent) for name, spent in seconds.items()}
        for part, ending in (("of_raw", ""), ("of_raw_from_arrays", ", from arrays")):
            raw = max(found[f"raw SQLite, page {page}{ending}"]["items_per_s"] for page in PAGES)
            found[part] = rounded(found["mossy"]["items_per_s"] / raw)
        found["close_seconds"] = rounded(statistics.median(closing))
        result[kind] = found
        print(f"batch, {kind}:", found)
    return result


def synced_writes(path: Path, size: int, over: bool) -> Callable[[int], None]:
    """Return what one write and an fdatasync are: at the end of a file, or ``over`` what is there."""
    file = os.open(path, os.O_RDWR | os.O_CREAT)
    content = os.urandom(size)
    if over:
        os.pwrite(file, os.urandom(1000 * size), 0)
        os.fsync(file)

    def write(i: int) -> None:
        if over:
            os.pwrite(file, content, i % 1000 * size)
        else:
            os.write(file, content)
        os.fdatasync(file)

    return write


def single(extent: Extent, held: int) -> dict[str, Any]:
    """Measure one commit an item, with ``held`` items there before."""
    n, turns = extent.singles, extent.single_rounds
    ways: dict[str, Maker] = {"mossy, full": mossy_file, "mossy, process": partial(mossy_file, durability="process")}
    for level in ("FULL", "NORMAL"):
        ways |= {
            f"raw SQLite, {level}, page {page}": partial(raw_sqlite, synchronous=level, page=page) for page in PAGES
        }
    ways |= {name: maker for name, (distribution, maker) in PEERS.items() if installed(distribution)}
    keys = patterns(held + n * (turns + 1), D, SEED + 1)
    payloads = [text(i) for i in range(len(keys))]
    with folder() as where:
        calls: dict[str, Callable[[int], None]] = {}
        places: list[Place] = []
        for number, (name, maker) in enumerate(ways.items()):
            inside = where / str(number)
            inside.mkdir()
            place = maker(inside)
            if held:
                place.write_many(place.ready(keys[:held], payloads[:held]))
            ready = place.ready(keys[held:], payloads[held:])
            calls[name] = lambda i, place=place, ready=ready: place.write_one(ready, i)
            places.append(place)
        for size, over in itertools.product((page + FRAME for page in PAGES), (False, True)):
            kind = f"disk, {size} bytes {'over what is there' if over else 'at the end'}"
            calls[kind] = synced_writes(where / kind, size, over)
        os.sync()
        spent: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
        slow: dict[str, list[float]] = {name: [] for name in calls}
        for turn in range(turns + 1):  # the first is to warm up
            for name, call in list(calls.items())[:: 1 if turn % 2 else -1]:
                each = extent.peer_singles if name in PEERS else n
                wall, cpu, laps = time.perf_counter(), time.process_time(), []
                for i in range(n * turn, n * turn + each):
                    call(i)
                    laps.append(time.perf_counter())
                cpu = time.process_time() - cpu
                if turn:
                    spent[name].append(((laps[-1] - wall) / each, cpu / each))
                    slow[name] += np.diff(laps).tolist()
        for place in places:
            place.close()
    found: dict[str, Any] = {"held": held, "a_round": n, "rounds": turns}
    for name, pairs in spent.items():
        seconds = [wall for wall, _ in pairs]
        found[name] = per_second(1, seconds) | {
            "us": rounded(1e6 * statistics.median(seconds)),
            "cpu_us": rounded(1e6 * statistics.median(cpu for _, cpu in pairs)),
            "us_median_of_one": rounded(1e6 * np.median(slow[name])),
            "us_99th_of_one": rounded(1e6 * np.quantile(slow[name], 0.99)),
        }
    for ours, level in (("full", "FULL"), ("process", "NORMAL")):
        raw = max(found[f"raw SQLite, {level}, page {page}"]["items_per_s"] for page in PAGES)
        found[f"of_raw_{ours}"] = rounded(found[f"mossy, {ours}"]["items_per_s"] / raw)
    print(f"single, {held} held:", found)
    return found


# --- opening ---------------------------------------------------------------------------------------


def build(path: Path, n: int, d: int, chunk: int = 100_000) -> float:
    """Make a memory of ``n`` patterns with texts, and return the seconds in ``store``."""
    seconds = 0.0
    with mossy.open(path) as memory:
        for first in range(0, n, chunk):
            keys = patterns(min(chunk, n - first), d, SEED + first)
            payloads = [text(i) for i in range(first, first + len(keys))]
            start = time.perf_counter()
            memory.store(keys, payload=payloads)
            seconds += time.perf_counter() - start
    return seconds


def drop_cache() -> bool:
    """Have the system forget what it keeps of files in memory; False if that is not permitted."""
    os.sync()
    try:
        DROP.write_text("3\n", encoding="ascii")
    except OSError:
        return False
    return True


def medians(runs: list[dict[str, float]]) -> dict[str, float]:
    return {name: rounded(statistics.median(run[name] for run in runs)) for name in runs[0]}


def reopen(extent: Extent, where: Path, path: Path) -> dict[str, Any]:
    """Measure new processes that open the file, with its sidecar and without."""
    n, sidecar = extent.many, path.with_name(path.name + ".arrays")
    np.save(where / "cue.npy", patterns(8, D, SEED)[7])
    code = {
        mode: REOPEN.format(cue=str(where / "cue.npy"), path=str(path), mode=mode, id=7, payload=text(7))
        for mode in ("a", "r")
    }
    result: dict[str, Any] = {"n": n, "d": D, "processes": extent.processes}

    def measure(name: str, mode: str, cold: bool, without: bool) -> None:
        runs = []
        for turn in range(extent.processes + (not cold)):
            if cold and not drop_cache():
                return
            if without:
                sidecar.unlink(missing_ok=True)
            run = in_new_process(code[mode])
            if turn or cold:  # the first is to warm up
                runs.append(run)
        result[name] = medians(runs)
        print(name, result[name])

    measure("with the sidecar, warm", "a", False, False)
    measure("with the sidecar, read only, warm", "r", False, False)
    measure("with the sidecar, cold", "a", True, False)
    measure("without, warm", "a", False, True)
    measure("without, cold", "a", True, True)
    reading = READ_BY_SQLITE.format(path=str(path), n=n, d=D)
    result["rows by plain sqlite3, warm"] = medians([in_new_process(reading) for _ in range(2)])
    with folder() as other:
        np.save(other / "keys.npy", np.concatenate([patterns(100_000, D, SEED)] * -(-n // 100_000))[:n])
        loading = READ_BY_NUMPY.format(path=str(other / "keys.npy"))
        result["vectors by numpy.load, warm"] = medians([in_new_process(loading) for _ in range(3)])
    return result


def sizes(extent: Extent) -> dict[str, Any]:
    """Measure the files for several widths of a pattern."""
    result: dict[str, Any] = {"n": extent.sizes, "payload": PAYLOAD}
    for d in WIDTHS:
        with folder() as where:
            path = where / "life.mossy"
            build(path, extent.sizes, d)
            held = extent.sizes * (4 * d + PAYLOAD)
            files = {found.name: found.stat().st_size for found in where.iterdir()}
            result[str(d)] = {
                "file": rounded(files[path.name] / held),
                "with_sidecar": rounded(sum(files.values()) / held),
                "files": sorted(files),
            }
    print("size:", result)
    return result


# --- forgetting and recalling ------------------------------------------------------------------------


def forget(extent: Extent, path: Path) -> dict[str, Any]:
    """Measure exact forgetting from the file at ``path``."""
    rng = np.random.default_rng(SEED)
    with mossy.open(path) as memory:
        result: dict[str, Any] = {"n": len(memory)}
        drawn = iter(rng.permutation(memory.ids).tolist())
        for k, times in ((1, extent.forgets), (100, -(-extent.forgets // 4))):
            walls, cpus = [], []
            for _ in range(times):
                ids = [next(drawn) for _ in range(k)]
                wall, cpu = time.perf_counter(), time.process_time()
                memory.forget(ids)
                walls.append(time.perf_counter() - wall)
                cpus.append(time.process_time() - cpu)
            result[str(k)] = {"seconds": rounded(np.median(walls)), "cpu": rounded(np.median(cpus)), "times": times}
    print("forget:", result)
    return result


def recall(extent: Extent, n: int) -> dict[str, Any]:
    """Measure one cue among ``n``, in this process and on disk, and the writing of reinforcement."""
    keys = patterns(n, D, SEED)
    payloads = [text(i) for i in range(n)]
    cues = keys[:100] + np.float32(0.3) * patterns(100, D, SEED + 1)
    here = mossy.Memory()
    here.store(keys, payload=payloads)
    with folder() as where:
        memory = mossy.open(where / "life.mossy")
        memory.store(keys, payload=payloads)
        memory.flush()
        reader = mossy.open(where / "other.mossy")
        reader.store(keys, payload=payloads)
        reader.close()
        reader = mossy.open(where / "other.mossy", mode="r")
        ways: dict[str, Callable[[int], object]] = {
            "in this process": lambda turn: here.recall(cues[turn % 100]),
            "on disk": lambda turn: memory.recall(cues[turn % 100]),
            "in this process, reinforce=False": lambda turn: here.recall(cues[turn % 100], reinforce=False),
            "on disk, reinforce=False": lambda turn: memory.recall(cues[turn % 100], reinforce=False),
            "on disk, mode r": lambda turn: reader.recall(cues[turn % 100]),
        }
        times = in_turns(ways, extent.turns, warm_up=20)
        found: dict[str, Any] = {"n": n, "times": times}
        alone = times["in this process, reinforce=False"]["wall"]
        found["above_us"] = {
            "on disk": rounded(1e6 * (times["on disk"]["wall"] - times["in this process"]["wall"])),
            "on disk, reinforce=False": rounded(1e6 * (times["on disk, reinforce=False"]["wall"] - alone)),
            "on disk, mode r": rounded(1e6 * (times["on disk, mode r"]["wall"] - alone)),
        }
        found["flush"] = flushes(memory)
        memory.close()
        reader.close()
    print(f"recall, {n}:", found)
    return found


def flushes(memory: mossy.Memory) -> dict[str, Any]:
    """Measure the writing of reinforcement: of a thousand memories at random, and of all."""
    rng, ids, result = np.random.default_rng(SEED), memory.ids, {}
    for name, k in (("at random", min(1000, len(ids) // 10)), ("all", len(ids))):
        seconds = []
        for _ in range(5):
            memory.reinforce(rng.permutation(ids)[:k])
            start = time.perf_counter()
            memory.flush()
            seconds.append(time.perf_counter() - start)
        result[name] = {"memories": k} | per_second(k, seconds)
    return result


def file_system() -> str:
    """Return the kind of file system that the files are on."""
    where, best = tempfile.gettempdir(), ("", "unknown")
    mounts = Path("/proc/mounts")
    for line in mounts.read_text(encoding="utf-8").splitlines() if mounts.exists() else ():
        _, point, kind, *_ = line.split()
        if os.path.commonpath([where, point]) == point and len(point) > len(best[0]):
            best = point, kind
    return best[1]


def main() -> None:
    extent = SMALL if is_small() else Extent()
    result: dict[str, Any] = {"sqlite": sqlite3.sqlite_version, "file_system": file_system()}
    result["not_installed"] = [name for name, (distribution, _) in PEERS.items() if not installed(distribution)]
    result["batch"] = batch(extent)
    result["single"] = [single(extent, held) for held in (0, extent.items)]
    result["size"] = sizes(extent)
    result["recall"] = [recall(extent, n) for n in (1000, extent.items)]
    result["forget"] = []
    with folder() as where:
        few = where / "few.mossy"
        build(few, extent.items, D)
        result["forget"].append(forget(extent, few))
        few.unlink()
        many = where / "life.mossy"
        result["build"] = per_second(extent.many, [build(many, extent.many, D)])
        result["reopen"] = reopen(extent, where, many)
        result["forget"].append(forget(extent, many))
    record_or_show(
        "durable",
        "How fast and how large is a durable memory?",
        result,
        seeds=[SEED, SEED + 1],
        peers=[distribution for distribution, _ in PEERS.values() if installed(distribution)],
    )


if __name__ == "__main__":
    main()

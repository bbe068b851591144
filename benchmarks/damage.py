"""Is a torn or altered file noticed?

Memories in three sets of files: as ``close`` leaves them (the file, and the arrays beside it); as a killed process
leaves them (with a log that is not yet in the file); and as a killed process leaves them whose log SQLite had just
moved into the file, which then has rows that were not counted yet. Each case alters a copy of one of these files in one
place, drawn evenly: one bit flipped; one bit of the first 40 bytes of its page flipped, where SQLite notes what rows
are in it; 1 to 64 bytes written over with others; a sector of 512 bytes made zero; or cut off there.

A process of its own then verifies it, opens it to read, opens it to write, closes it and opens it again. Each time all
that is in the memory (ids, patterns, values, payloads, strengths, links, what is pinned) and some recalls are compared
with the truth. What comes of a case is the first of these that holds:

- ``crash``: the process ended by a signal, did not end within a minute, or raised what is no error of mossy's.
- ``wrong``: something was given that differs from the truth, and no error and no warning came before.
- ``detected``: opening or a recall raised an error of mossy's, or warned.
- ``detected by verify alone``: ``verify`` named it, and what was given was the truth.
- ``harmless``: nothing was noticed, and all was the truth. The arrays beside the file, for one, can be made again.

``warned_and_wrong`` counts the cases in which a memory that was given after a warning was not one that was stored.
``named`` counts what opening to write said. Whenever ``verify`` names damage, ``repair`` writes what is intact into a
new file: ``rescued`` is the share of the memories that is in it with payload (a pattern alone comes back from the
arrays), and ``wrong`` counts the cases in which one of them differs from the truth, or lacks its payload unsaid.
"""

from __future__ import annotations

import collections
import contextlib
import hashlib
import json
import os
import select
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from material.timing import rounded
from material.trial import is_small, record_or_show
from mossy.journal import repair, verify
from mossy.journal.layout import PAGE

SEED = 0
N, D, D_VALUE = 4500, 16, 4
PATIENCE = 60.0  # seconds
HEAD = 40  # bytes
NAME = "life.mossy"

CASES = {  # of each, in all
    "the file": ("closed", NAME, 350),
    "the file under a log": ("killed", NAME, 100),
    "the file that the log was moved into": ("moved", NAME, 100),
    "the log": ("killed", NAME + "-wal", 250),
    "the arrays": ("closed", NAME + ".arrays", 200),
}
OUTCOMES = ("detected", "detected by verify alone", "harmless", "wrong", "crash")


# --- the memory --------------------------------------------------------------------------------------


def random_rows(n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng([SEED, seed])
    return rng.standard_normal((n, D), np.float32), rng.standard_normal((n, D_VALUE), np.float32)


def fill(path: Path, **settings: Any) -> None:
    """Make a memory in which everything occurs that a file can hold."""
    keys, values = random_rows(N, 1)
    with mossy.open(path, merge=0.0, clock=mossy.Steps(), **settings) as memory:
        memory.store(keys, values, payload=[payload(i) for i in range(N)])
        memory.store(keys[:20], values[:20], payload=[payload(i) for i in range(20)])
        memory.recall(keys[:200] + np.float32(0.1), k=3)
        memory.pin([5, 7])
        memory.forget(range(100, 200))


def go_on(path: Path) -> mossy.Memory:
    """Store, forget and reinforce more, and return what then is open."""
    memory = mossy.open(path)
    for i, (key, value) in enumerate(zip(*random_rows(40, 2), strict=True), N):
        memory.store(key, value, payload=payload(i))
    memory.forget([300, 301])
    memory.reinforce([400, 401])
    memory.flush()
    keys, values = random_rows(300, 3)
    memory.store(keys, values, payload=[payload(i) for i in range(N + 40, N + 340)])
    return memory


def until_killed(path: Path) -> None:
    """Let another process go on, and be killed."""
    child = os.fork()
    if not child:
        _open = go_on(path)  # what nothing holds would be closed
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def payload(number: int) -> dict[str, Any]:
    return {"number": number, "text": "x" * (number % 90)}


def flat(part: Any) -> bytes:
    """Return arrays, numbers, names and what holds them as bytes."""
    if isinstance(part, dict):
        return b"".join(repr(name).encode() + flat(part[name]) for name in sorted(part, key=str))
    if isinstance(part, np.ndarray):
        return f"{part.dtype} {part.shape}".encode() + part.tobytes()
    return repr(part).encode()


def all_of(memory: mossy.Memory) -> str:
    """Return a hash of all that a memory holds, and of what it recalls."""
    cues = np.random.default_rng(SEED + 2).standard_normal((20, D), np.float32)
    found = memory.recall(cues, k=3, reinforce=False)
    recalled = {"ids": found.ids, "pattern": found.pattern, "payload": found.payload, "odds": found.probability}
    return hashlib.sha256(flat(memory.state()) + flat(recalled)).hexdigest()


def rows_of(memory: mossy.Memory) -> dict[str, str]:
    """Return pattern, value and payload of each id, as text."""
    state = memory.state()
    rows, payloads = np.hstack([state["index"]["keys"], state["index"]["values"]]), state["catalog"]["payload"]
    every = zip(state["catalog"]["ids"], rows, payloads, strict=True)
    return {str(id): f"{row.tobytes().hex()} {one}" for id, row, one in every}


# --- what happens in a process of its own ------------------------------------------------------------


def in_a_process(call: Callable[[], Any]) -> Any:
    """Return what ``call`` returns in a forked process: JSON, or None if it crashed."""
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        try:
            os.write(tell, json.dumps(call()).encode())
        except BaseException:  # noqa: BLE001 whatever it is, this process must not go on as a copy of its parent
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(tell)
    content, end = b"", time.monotonic() + PATIENCE
    while select.select([told], [], [], max(0.0, end - time.monotonic()))[0] and (part := os.read(told, 1 << 20)):
        content += part
    os.close(told)
    if time.monotonic() >= end:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return json.loads(content) if status == 0 else None


def look(path: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """Verify, open, compare, close and open again; return what was noticed, and whether it was wrong."""
    found: dict[str, Any] = {"named": None, "detected": False, "wrong": False, "warned_and_wrong": False}
    try:
        found["verified"] = bool(verify(path))
    except mossy.MossyError:
        found["verified"] = False
    if not found["verified"]:
        found |= rescue(path, truth)
    told = False  # what opening to write told of is as it is from then on
    for mode in ("r", "a", "r"):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                with mossy.open(path, mode=mode) as memory:
                    if warned or told:
                        rows = rows_of(memory).items()
                        found["warned_and_wrong"] |= any(truth["rows"].get(id) != row for id, row in rows)
                    else:
                        found["wrong"] |= all_of(memory) != truth["all"]
            except mossy.MossyError as error:
                found["detected"] = True
                if mode == "a":
                    told, found["named"] = True, type(error).__name__
        if warned:
            found["detected"] = True
            if mode == "a":
                told, found["named"] = True, found["named"] or "a warning"
    return found


def rescue(path: Path, truth: dict[str, Any]) -> dict[str, Any]:
    """Repair into a new file, and return the share of the memories that are in it, and whether one is wrong."""
    into = path.with_name("rescued") / NAME
    into.parent.mkdir()
    try:
        repaired = repair(path, into)
        with mossy.open(into, mode="r") as memory:
            rows = rows_of(memory)
    except mossy.MossyError as error:
        return {"rescued": 0.0, "refused": type(error).__name__}
    bare = sum(row.endswith(" None") for row in rows.values())  # the row was damaged, and the arrays have no payload
    right = sum(_same_or_bare(truth["rows"].get(id, ""), row) for id, row in rows.items())
    return {
        "rescued": (len(rows) - bare) / len(truth["rows"]),
        "rescued_wrong": right < len(rows) or (bare > 0 and not repaired.lost),
    }


def _same_or_bare(true: str, row: str) -> bool:
    return row == true or row == f"{true.partition(' ')[0]} None"


def truth_of(path: Path) -> dict[str, Any]:
    with mossy.open(path, mode="r") as memory:
        return {"all": all_of(memory), "rows": rows_of(memory)}


# --- the damage --------------------------------------------------------------------------------------


def flip_bit(content: bytearray, place: int, rng: np.random.Generator) -> None:
    content[place] ^= 1 << int(rng.integers(8))


def flip_bit_of_head(content: bytearray, place: int, rng: np.random.Generator) -> None:
    first = place // PAGE * PAGE
    flip_bit(content, min(first + int(rng.integers(HEAD)), len(content) - 1), rng)


def write_over(content: bytearray, place: int, rng: np.random.Generator) -> None:
    n = min(int(rng.integers(1, 65)), len(content) - place)
    content[place : place + n] = rng.bytes(n)


def make_zero(content: bytearray, place: int, rng: np.random.Generator) -> None:
    first = place // 512 * 512
    content[first : first + 512] = bytes(min(512, len(content) - first))


def cut_off(content: bytearray, place: int, rng: np.random.Generator) -> None:
    del content[place:]


KINDS = {"bit": flip_bit, "bit of a head": flip_bit_of_head, "bytes": write_over, "sector": make_zero, "cut": cut_off}


def damage(folder: Path, files: Path, name: str, kind: str, rng: np.random.Generator) -> bool:
    """Copy ``files`` into ``folder`` and damage one of them; False if it is as it was."""
    for source in files.iterdir():
        shutil.copyfile(source, folder / source.name)
    path = folder / name
    before = path.read_bytes()
    content = bytearray(before)
    KINDS[kind](content, int(rng.integers(len(content))), rng)
    path.write_bytes(content)
    return bytes(content) != before


def one_case(files: Path, name: str, kind: str, truth: dict[str, Any], seed: list[int]) -> dict[str, Any]:
    """Return what comes of one case."""
    rng = np.random.default_rng(seed)
    with tempfile.TemporaryDirectory() as folder:
        while not damage(Path(folder), files, name, kind, rng):  # a sector that is zero already
            pass
        found = in_a_process(lambda: look(Path(folder) / NAME, truth))
    if found is None:
        return {"outcome": "crash", "named": None, "warned_and_wrong": False}
    noticed = (
        ("wrong", found["wrong"]),
        ("detected", found["detected"]),
        ("detected by verify alone", not found["verified"]),
        ("harmless", True),
    )
    return found | {"outcome": next(outcome for outcome, holds in noticed if holds)}


def prepare(folder: Path) -> tuple[dict[str, Path], dict[str, Any]]:
    """Make both sets of files, and return where they are and their truth; end if they are not found sound untouched."""
    sets = {name: folder / name for name in ("closed", "killed", "moved")}
    sets["closed"].mkdir()
    fill(sets["closed"] / NAME, links=2, association=0.2)
    shutil.copytree(sets["closed"], sets["killed"])
    until_killed(sets["killed"] / NAME)
    sets["moved"].mkdir()
    fill(sets["moved"] / NAME)
    until_killed(sets["moved"] / NAME)
    with contextlib.closing(sqlite3.connect(sets["moved"] / NAME)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    truths = {}
    for name, files in sets.items():
        with tempfile.TemporaryDirectory() as copy:
            path = Path(copy) / "it" / NAME
            shutil.copytree(files, path.parent)
            truths[name] = in_a_process(partial(truth_of, path))
            untouched = in_a_process(partial(look, path, truths[name]))
        if untouched["detected"] or untouched["wrong"] or not untouched["verified"]:
            raise SystemExit(f"{name}: files that nothing was done to are not found sound: {untouched}")
    return sets, truths


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Count what came of all cases."""
    rescued = [one["rescued"] for one in found if "rescued" in one]
    return {
        "cases": len(found),
        "in_all": {outcome: sum(one["outcome"] == outcome for one in found) for outcome in OUTCOMES},
        "warned_and_wrong": sum(one["warned_and_wrong"] for one in found),
        "named": dict(collections.Counter(one["named"] or "nothing" for one in found)),
        "repair": {
            "cases": len(rescued),
            "refused": dict(collections.Counter(one["refused"] for one in found if "refused" in one)),
            "rescued_mean": rounded(np.mean(rescued)),
            "rescued_median": rounded(np.median(rescued)),
            "wrong": sum(one.get("rescued_wrong", False) for one in found),
        },
    }


def main() -> None:
    share = 0.02 if is_small() else 1.0
    began, every = time.perf_counter(), []
    result: dict[str, Any] = {"memories": N, "by_file": {}}
    with tempfile.TemporaryDirectory() as folder:
        sets, truths = prepare(Path(folder))
        result["bytes"] = {
            name: {path.name: path.stat().st_size for path in sorted(files.iterdir())} for name, files in sets.items()
        }
        for place, (what, (which, name, n)) in enumerate(CASES.items()):
            kinds = result["by_file"][what] = {kind: dict.fromkeys(OUTCOMES, 0) for kind in KINDS}
            for i in range(max(len(KINDS), round(n * share))):
                kind = list(KINDS)[i % len(KINDS)]
                found = one_case(sets[which], name, kind, truths[which], [SEED, place, i])
                kinds[kind][found["outcome"]] += 1
                every.append(found)
                bad = found["outcome"] in ("wrong", "crash") or found["warned_and_wrong"] or found.get("rescued_wrong")
                if bad:
                    print(f"{what}, {kind}, seed {[SEED, place, i]}: {found}", file=sys.stderr)
            print(what, kinds)
    result |= summary(every) | {"seconds": round(time.perf_counter() - began)}
    print({name: result[name] for name in ("in_all", "named", "repair", "seconds")})
    record_or_show("damage", "Is a torn or altered file noticed?", result, seeds=[SEED])


if __name__ == "__main__":
    main()

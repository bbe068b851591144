"""Is anything lost or undone when the process is killed?

A process runs a mixed load on one file: it stores one and many, recalls, reinforces, forgets, consolidates and exports,
and says before each call what it is about to do, and after it that it is done. It is ended by ``kill -9`` at a moment
drawn evenly from its first 0.4 s, opening included, again and again on the same file, in turn with
``durability="full"`` and ``"process"``. (That a process is killed says nothing about power loss: what the system was
given stays. For that, see what ``damage.py`` does to the log.) After each kill:

- ``verify`` looks at the files as they are. ``verify_failures`` are rounds in which it finds damage.
- The memory is opened, and all that is in it is compared. ``lost`` are memories whose ``store`` had returned, and that
  are not there, or not as they were; ``came_back`` are those whose ``forget`` had returned, and that are there.
  ``torn_batches`` are calls that were killed and of whose batch a part is there, since a batch is one commit;
  ``unknown`` are memories that nobody stored. In ``not_opened`` and ``warned`` rounds, opening failed or warned.
- It is closed, and all files are searched for texts and patterns of what is forgotten: ``bytes_left`` counts them.

``acknowledged`` counts the calls that returned, by kind, ``killed_in`` the calls that were under way.
"""

from __future__ import annotations

import collections
import json
import os
import re
import select
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from material.trial import is_small, record_or_show
from mossy.journal import verify

SEED = 0
D = 32
ROUNDS = 500
LIFE = 0.4  # seconds within which a process is killed
BEGIN = 5000  # memories at first: more than a block of the sidecar
MOST = 9000  # memories from which many are forgotten at once
DURABILITIES = ("full", "process")
MARK = np.float32(0.123456789)
UNIT = 2**23  # so that a number is exact as a float32 beside -1 to 1
KEY = re.compile(re.escape(MARK.tobytes()) + b"(.{4})", re.DOTALL)
TEXT = re.compile(rb"<(\d+):[0-9a-f]{8}>")

# How often a call is made. What takes long is killed more often than that.
MIX = {"store": 40, "store many": 12, "recall": 20, "reinforce": 8, "forget": 14, "consolidate": 5, "export": 1}


def patterns(numbers: Any) -> Any:
    """Return the patterns with these numbers ``(n, D)``; each begins with a mark and its number."""
    numbers = np.asarray(numbers, np.uint64)
    mixed = (numbers[:, None] * np.uint64(D) + np.arange(D, dtype=np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    made = (mixed >> np.uint64(40)).astype(np.float32) / np.float32(2**23) - np.float32(1)
    made[:, 0], made[:, 1] = MARK, numbers / UNIT
    return made


def payload(number: int) -> dict[str, Any]:
    """Return a payload that names its pattern, in bytes that stand nowhere else."""
    return {"number": number, "text": f"<{number}:{number * 2654435761 % 2**32:08x}>"}


def numbers_in(content: bytes) -> set[int]:
    """Return the numbers of all payloads and patterns, or parts of them, that are somewhere in a file."""
    keys = np.frombuffer(b"".join(KEY.findall(content)), np.float32) * UNIT
    return {int(number) for number in TEXT.findall(content)} | set(keys.astype(int).tolist())


# --- the process that is killed --------------------------------------------------------------------


class Load:
    """Calls at random on the memory at ``path``; ``tell`` takes what is about to be done, and what is done."""

    def __init__(self, path: Path, first: int, seed: int, tell: Callable[[dict[str, Any]], None]) -> None:
        self._next, self._tell = first, tell
        self._rng = np.random.default_rng([SEED, seed])
        self._exports = path.with_name("exports")
        tell({"begin": "open"})
        self._memory = mossy.open(path, durability=DURABILITIES[seed % 2])
        tell({"done": "open"})

    def run(self) -> None:
        """Go on for ever."""
        calls: dict[str, Callable[[], None]] = {
            "store": lambda: self._store(1),
            "store many": lambda: self._store(int(self._rng.integers(2, 400))),
            "recall": self._recall,
            "reinforce": self._reinforce,
            "forget": self._forget,
            "consolidate": self._consolidate,
            "export": self._export,
        }
        odds = np.array(list(MIX.values())) / sum(MIX.values())
        while True:
            calls[list(MIX)[self._rng.choice(len(MIX), p=odds)]]()

    def _store(self, n: int) -> None:
        numbers = range(self._next, self._next + n)
        self._next += n
        name = "store" if n == 1 else "store many"
        keys, payloads = patterns(numbers), [payload(i) for i in numbers]
        self._tell({"begin": name, "first": numbers[0], "n": n})
        if n == 1:
            ids = [int(self._memory.store(keys[0], payload=payloads[0]))]
        else:
            ids = self._memory.store(keys, payload=payloads).tolist()
        self._tell({"done": name, "ids": ids})

    def _forget(self) -> None:
        many = len(self._memory) > MOST
        n = MOST // 2 if many else int(self._rng.integers(1, 30))
        ids = self._rng.choice(self._memory.ids, n, replace=False).tolist()
        self._tell({"begin": "forget", "ids": ids})
        self._memory.forget(ids)
        self._tell({"done": "forget"})

    def _recall(self) -> None:
        self._tell({"begin": "recall"})
        self._memory.recall(patterns([self._rng.integers(self._next)])[0])
        self._tell({"done": "recall"})

    def _reinforce(self) -> None:
        ids = self._rng.choice(self._memory.ids, 20)
        self._tell({"begin": "reinforce"})
        self._memory.reinforce(ids)
        self._memory.flush()
        self._tell({"done": "reinforce"})

    def _consolidate(self) -> None:
        self._tell({"begin": "consolidate"})
        self._memory.consolidate()
        self._tell({"done": "consolidate"})

    def _export(self) -> None:
        self._exports.mkdir(exist_ok=True)
        self._tell({"begin": "export"})
        self._memory.export(self._exports / "life")
        self._tell({"done": "export"})


def start(path: Path, first: int, seed: int) -> tuple[int, int]:
    """Start the load in a new process, and return its number and where it tells what it does."""
    told, tell = os.pipe()
    child = os.fork()
    if child:
        os.close(tell)
        return child, told
    os.close(told)
    try:
        Load(path, first, seed, lambda line: os.write(tell, json.dumps(line).encode() + b"\n")).run()
    except BaseException:  # noqa: BLE001 whatever it is, this process must not go on as a copy of its parent
        os.write(tell, json.dumps({"error": traceback.format_exc()}).encode() + b"\n")
    os._exit(1)


def listen(child: int, told: int, life: float) -> list[dict[str, Any]]:
    """Kill ``child`` after ``life`` seconds, and return what it told."""
    end, content = time.monotonic() + life, b""
    while (left := end - time.monotonic()) > 0:
        if select.select([told], [], [], left)[0]:
            part = os.read(told, 1 << 16)
            if not part:
                break
            content += part
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    while part := os.read(told, 1 << 16):
        content += part
    os.close(told)
    return [json.loads(line) for line in content.splitlines() if line.endswith(b"}")]


# --- what is found -------------------------------------------------------------------------------------


class Witness:
    """What must be there, by what was acknowledged, and what was found instead.

    Attributes
    ----------
    there
        The number of the pattern of each id.
    forgotten
        The numbers of all that was forgotten.
    """

    def __init__(self, there: dict[int, int]) -> None:
        self.there, self.next = there, len(there)
        self.forgotten: set[int] = set()
        self.acknowledged: collections.Counter[str] = collections.Counter()
        self.killed_in: collections.Counter[str] = collections.Counter()
        self.found: collections.Counter[str] = collections.Counter()

    def hear(self, told: list[dict[str, Any]]) -> dict[str, Any] | None:
        """Take in what a process told, and return the call that was under way."""
        under_way = None
        for line in told:
            if "error" in line:
                print(line["error"], file=sys.stderr)
                self.found["load_failed"] += 1
            elif "begin" in line:
                under_way = line
                self.next = max(self.next, line.get("first", 0) + line.get("n", 0))
            else:
                self.acknowledged[line["done"]] += 1
                if "ids" in line and under_way is not None:
                    self.there |= zip(line["ids"], range(under_way["first"], self.next), strict=True)
                elif line["done"] == "forget" and under_way is not None:
                    self.forgotten |= {self.there.pop(id) for id in under_way["ids"]}
                under_way = None
        self.killed_in["between calls" if under_way is None else under_way["begin"]] += 1
        return under_way

    def compare(self, memory: mossy.Memory, under_way: dict[str, Any] | None) -> None:
        """Compare what is there with what must be, and take over what became of the call that was under way."""
        held = memory.replay(len(memory), seed=SEED)
        ids = held.ids.tolist()
        numbers = {id: one["number"] for id, one in zip(ids, held.payload, strict=True)}
        as_stored = (held.patterns == patterns(list(numbers.values()))).all(axis=1).tolist()
        texts = [one == payload(one["number"]) for one in held.payload]
        sound = {id for id, key, text in zip(ids, as_stored, texts, strict=True) if key and text}
        call = under_way or {"begin": "none"}
        going = set(call["ids"]) if call["begin"] == "forget" else set()
        coming = set(range(call["first"], call["first"] + call["n"])) if "first" in call else set()
        self.found["lost"] += sum(
            id not in going and (id not in sound or numbers[id] != number) for id, number in self.there.items()
        )
        self.found["came_back"] += sum(number in self.forgotten for number in numbers.values())
        new = {number for id, number in numbers.items() if id not in self.there and number not in self.forgotten}
        self.found["unknown"] += len(new - coming)
        gone = {self.there[id] for id in going if id not in numbers}
        self.found["torn_batches"] += bool(new & coming) and new & coming != coming
        self.found["torn_batches"] += 0 < len(gone) < len(going)
        self.forgotten |= gone
        self.there = numbers

    def search(self, folder: Path) -> None:
        """Search all files beside the memory for what is forgotten."""
        for path in folder.iterdir():
            if path.is_file():
                self.found["bytes_left"] += len(numbers_in(path.read_bytes()) & self.forgotten)


def survive(path: Path, witness: Witness, seed: int) -> None:
    """Run the load for a while, kill it, and look at what is left."""
    life = float(np.random.default_rng([SEED, seed]).uniform(0, LIFE))
    under_way = witness.hear(listen(*start(path, witness.next, seed), life))
    found = verify(path)
    if not found:
        print(f"round {seed}, killed in {under_way}: {found.damage}", file=sys.stderr)
    witness.found["verify_failures"] += not found
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            with mossy.open(path) as memory:
                witness.compare(memory, under_way)
        except mossy.MossyError as error:
            print(f"round {seed}: {error}", file=sys.stderr)
            witness.found["not_opened"] += 1
    witness.found["warned"] += bool(warned)
    witness.search(path.parent)


def main() -> None:
    rounds = 10 if is_small() else ROUNDS
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "life.mossy"
        with mossy.open(path) as memory:
            ids = memory.store(patterns(range(BEGIN)), payload=[payload(i) for i in range(BEGIN)])
        witness = Witness(dict(zip(ids.tolist(), range(BEGIN), strict=True)))
        for seed in range(rounds):
            survive(path, witness, seed)
    names = ("lost", "came_back", "torn_batches", "unknown", "bytes_left", "verify_failures", "not_opened", "warned")
    result: dict[str, Any] = {
        "rounds": rounds,
        "acknowledged": dict(witness.acknowledged),
        "killed_in": dict(witness.killed_in),
        "found": {name: int(witness.found[name]) for name in (*names, "load_failed")},
        "forgotten": len(witness.forgotten),
        "seconds": round(time.perf_counter() - began),
    }
    print(result)
    record_or_show("kill", "Is anything lost or undone when the process is killed?", result, seeds=[SEED])


if __name__ == "__main__":
    main()

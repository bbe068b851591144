"""A mixed load on one file that is killed at any point, and what must be there afterwards.

``round_of`` forks a child that works on the file and tells each call before it and after it, and kills it: after a
number of calls into the journal or SQLite (so that every gap between two of them is hit), or after a time. Sizes are
small, so that the file is written anew, and the sidecar made, every few calls.

``python -m tests.journal.load FOLDER ROUNDS SEED`` prints what was found, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from mossy.errors import MossyError
from mossy.journal import verify
from tests.journal.remnants import remnants
from tests.journal.small import small

D, D_VALUE = 8, 4
SIZES: dict[str, Any] = {"LAG": 0.01, "EMPTY": 20, "ROWS": 16, "WAIT": 0.5}
CALLS = 3000  # calls into journal and SQLite after which it is killed, at most
LIFE = 0.12  # seconds after which it is killed, at most

Tell = Callable[[dict[str, Any]], None]


def content_of(token: int) -> tuple[np.ndarray, np.ndarray, Any]:
    """Return the pattern, value and payload that belong to a number; no two have a piece in common."""
    random = np.random.default_rng([7, token])
    key, value = random.normal(size=D).astype(np.float32), random.normal(size=D_VALUE).astype(np.float32)
    text = "".join(chr(0x4E00 + int(i)) for i in random.integers(0, 0x5000, 8 + token % 50))
    payload: Any = {"token": token, "text": text}
    if token % 3 == 1:
        payload = text.encode() + token.to_bytes(8, "little")
    if token % 3 == 2:
        payload = np.append(random.integers(0, 2**60, 4 + token % 9), token)
    return key, value, payload


def exported(path: Path) -> Path:
    """Return where the memory at ``path`` is exported to."""
    return path.parent.with_name(f"{path.parent.name}-exports") / "life"


def secret_of(token: int) -> list[bytes]:
    """Return the bytes of it that may not be left when it is forgotten."""
    key, value, payload = content_of(token)
    text = payload["text"].encode() if isinstance(payload, dict) else payload
    return [key.tobytes(), value.tobytes(), text[:-8] if isinstance(text, bytes) else text[:-1].tobytes()]


class Load:
    """Calls at random on one memory, for ever; each is told before and after it."""

    def __init__(self, path: Path, first: int, seed: int, tell: Tell) -> None:
        self.path, self.next, self.tell = path, first, tell
        self.random = np.random.default_rng(seed)
        self.seed = seed

    def run(self) -> None:
        self.open()
        steps: dict[str, int] = {
            "store_one": 30, "store_some": 15, "forget": 22, "recall": 8, "reinforce": 6, "pin": 8,
            "flush": 4, "consolidate": 6, "again": 3, "export": 3,
        }  # fmt: skip
        names, odds = list(steps), np.array(list(steps.values())) / sum(steps.values())
        while True:
            getattr(self, names[self.random.choice(len(names), p=odds)])()

    def does(self, name: str, call: Callable[[], Any], **told: Any) -> Any:
        self.tell({"begin": name, **told})
        answer = call()
        self.tell({"end": name, "ids": np.atleast_1d(answer).tolist() if name == "store" else None})
        return answer

    def open(self) -> None:
        durability = "process" if self.seed % 3 == 0 else "full"
        self.memory = self.does("open", lambda: mossy.open(self.path, durability=durability))

    def again(self) -> None:
        self.does("close", self.memory.close)
        self.open()

    def store(self, n: int, pin: bool) -> None:
        tokens = list(range(self.next, self.next + n))
        self.next += n
        keys, values, payloads = zip(*map(content_of, tokens), strict=True)
        call = lambda: self.memory.store(np.stack(keys), np.stack(values), payload=list(payloads), pin=pin)  # noqa: E731
        self.does("store", call, tokens=tokens, pin=pin)

    def store_one(self) -> None:
        self.store(1, bool(self.random.random() < 0.2))

    def store_some(self) -> None:
        self.store(int(self.random.integers(2, 40)), False)

    def some(self, most: int) -> list[int]:
        ids = self.memory.ids
        return self.random.choice(ids, min(len(ids), int(self.random.integers(1, most))), replace=False).tolist()

    def forget(self) -> None:
        ids = self.some(60 if len(self.memory) > 150 else 8) if len(self.memory) else []
        if ids:
            self.does("forget", lambda: self.memory.forget(ids), gone=ids)

    def pin(self) -> None:
        ids = self.some(4) if len(self.memory) else []
        if ids:
            pinned = bool(self.random.random() < 0.7)
            self.does("pin", lambda: self.memory.pin(ids, pinned), which=ids, pin=pinned)

    def recall(self) -> None:
        if len(self.memory):
            cue = content_of(int(self.random.integers(self.next)))[0]
            self.does("recall", lambda: self.memory.recall(cue))

    def reinforce(self) -> None:
        ids = self.some(9) if len(self.memory) else []
        if ids:
            self.does("reinforce", lambda: self.memory.reinforce(ids))

    def flush(self) -> None:
        self.does("flush", self.memory.flush)

    def consolidate(self) -> None:
        self.does("consolidate", self.memory.consolidate)

    def export(self) -> None:
        self.does("export", lambda: self.memory.export(exported(self.path)))


def kill_after(calls: int) -> None:
    """Kill this process at the call into the journal, SQLite or the system of that number."""
    rooms = tuple(
        os.path.join(*room) for room in (("mossy", "journal"), ("memory", "durable"), ("memory", "interchange"))
    )

    def counted(frame: Any, event: str, what: Any) -> None:
        nonlocal calls
        if event in ("c_call", "c_return", "call") and any(room in frame.f_code.co_filename for room in rooms):
            calls -= 1
            if calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(counted)


def work(path: Path, first: int, seed: int) -> list[dict[str, Any]]:
    """Let a child do the load until it is killed, and return what it told.

    With an odd seed it is killed after a time, else after a number of calls, which mostly begin when it is open.
    """
    calls = None if seed % 2 else int(np.random.default_rng([seed, 2]).integers(1, CALLS))
    life = float(np.random.default_rng([seed, 1]).uniform(0.0, LIFE))
    told, tell = os.pipe()
    child = os.fork()
    if not child:
        os.close(told)
        try:
            counts = calls

            def say(line: dict[str, Any]) -> None:
                nonlocal counts
                os.write(tell, json.dumps(line).encode() + b"\n")
                if counts is not None and (line.get("end") == "open" or seed % 8 == 0):
                    kill_after(counts)
                    counts = None

            Load(path, first, seed, say).run()
        except BaseException:  # noqa: BLE001 whatever it is, the child must not go on as a copy of its parent
            os.write(tell, json.dumps({"error": traceback.format_exc()}).encode() + b"\n")
        os._exit(1)
    os.close(tell)
    if calls is None:
        time.sleep(life)
        os.kill(child, signal.SIGKILL)
    content = b""
    while part := os.read(told, 1 << 20):
        content += part
    os.close(told)
    os.waitpid(child, 0)
    return [json.loads(line) for line in content.split(b"\n")[:-1]]


class Truth:
    """What was acknowledged: the number behind each id, what is pinned, what is forgotten."""

    def __init__(self) -> None:
        self.there: dict[int, int] = {}
        self.pinned: dict[int, bool] = {}
        self.forgotten: set[int] = set()
        self.next = 0
        self.exports = False
        self.killed_in: Counter[str] = Counter()

    def hear(self, told: list[dict[str, Any]]) -> dict[str, Any]:
        """Take in what a child told, and return the call that was under way."""
        begun: dict[str, Any] = {}
        for line in told:
            if "error" in line:
                begun["error"] = line["error"]
            elif "begin" in line:
                begun = line
                self.next = max([self.next, *(token + 1 for token in line.get("tokens", []))])
            else:
                self._done(begun, line)
                begun = {}
        self.killed_in[begun.get("begin", "between calls")] += 1
        return begun

    def _done(self, begun: dict[str, Any], ended: dict[str, Any]) -> None:
        if begun["begin"] == "store":
            self.there |= dict(zip(ended["ids"], begun["tokens"], strict=True))
            self.pinned |= dict.fromkeys(ended["ids"], begun["pin"])
        self.exports |= begun["begin"] == "export"
        for id in begun.get("gone", []):
            self.forgotten.add(self.there.pop(id))
        for id in begun.get("which", []):
            self.pinned[id] = begun["pin"]

    def faults(self, memory: mossy.Memory, under_way: dict[str, Any]) -> list[str]:
        """Return what is not as it must be, and take over what became of the call that was under way."""
        found = [under_way["error"]] if "error" in under_way else []
        ids = set(memory.ids.tolist())
        coming = under_way.get("tokens", [])
        new = sorted(ids - set(self.there))
        if new and len(new) != len(coming):
            found.append(f"of a batch of {len(coming)}, {len(new)} are there")
        self.there |= dict(zip(new, coming, strict=False))
        self.pinned |= dict.fromkeys(new, under_way.get("pin", False))
        gone = [id for id in under_way.get("gone", []) if id not in ids]
        if gone and len(gone) != len(under_way["gone"]):
            found.append(f"of {len(under_way['gone'])} that were to be forgotten, {len(gone)} are gone")
        for id in gone:
            self.forgotten.add(self.there.pop(id))
        found += [f"memory {id} was acknowledged and is not there" for id in set(self.there) - ids]
        for id in sorted(ids & set(self.there)):
            key, value, payload = content_of(self.there[id])
            stored = memory[id]
            sound = np.array_equal(stored.pattern, key) and np.array_equal(stored.value, value)
            if not sound or not np.array_equal(stored.payload, payload):
                found.append(f"memory {id} is not as it was stored")
            if stored.pinned != self.pinned[id] and id not in under_way.get("which", []):
                found.append(f"memory {id} is {'' if stored.pinned else 'not '}pinned")
            self.pinned[id] = stored.pinned
        return found


def round_of(path: Path, truth: Truth, seed: int) -> list[str]:
    """Work, kill, open, compare, and search the files; return what is not as it must be."""
    exported(path).parent.mkdir(exist_ok=True)
    under_way = truth.hear(work(path, truth.next, seed))
    damage = verify(path).damage
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with mossy.open(path, "r") as reader:
                seen = reader.ids.tolist()
            memory = mossy.open(path)
        except (MossyError, Warning) as error:
            return [f"opening, killed in {under_way}: {error!r}"]
        with memory:
            found = [f"verify: {line}" for line in damage] + truth.faults(memory, under_way)
            if seen != memory.ids.tolist():
                found.append("a reader saw something else")
    if under_way.get("begin") == "export":  # two files cannot be replaced at once, so it may be gone
        truth.exports = False
    if truth.exports:
        try:
            mossy.Memory().import_(exported(path))
        except MossyError as error:
            found.append(f"the last export that was acknowledged cannot be imported: {error}")
    secrets = [secret for token in truth.forgotten for secret in secret_of(token)]
    if secrets:
        found += [
            f"{count} pieces of what is forgotten are in {name}"
            for name, count in remnants(path.parent, *secrets).items()
        ]
    return [f"round {seed}, killed in {under_way.get('begin')}: {line}" for line in found]


def main(folder: str, rounds: int, seed: int) -> None:
    truth, found = Truth(), []
    with small(**SIZES):
        for number in range(seed, seed + rounds):
            found += round_of(Path(folder) / "life.mossy", truth, number)
    told = {"faults": found, "there": len(truth.there), "forgotten": len(truth.forgotten)}
    print(json.dumps(told | {"killed_in": truth.killed_in}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))

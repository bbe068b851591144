"""Files that are torn or altered, and whether that is noticed wherever it matters.

``cases`` draws them, ``looked_at`` opens one to write and to read and compares every answer with the truth.
"""

from __future__ import annotations

import shutil
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import mossy
from mossy.errors import MossyError
from tests.naive.same import differences, same

N, D, D_VALUE = 160, 6, 3
NAME = "life.mossy"
SECTOR = 512
PAGE = 16384

Random = np.random.Generator


def flipped(content: bytearray, random: Random) -> None:
    """Flip one bit."""
    content[random.integers(len(content))] ^= 1 << int(random.integers(8))


def flipped_in_what_is_used(content: bytearray, random: Random) -> None:
    """Flip one bit in a byte that is not 0, or beside one: where SQLite keeps its pointers, headers and rows."""
    used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
    at = min(len(content) - 1, int(random.choice(used)) + int(random.integers(-1, 2)))
    content[max(0, at)] ^= 1 << int(random.integers(8))


def flipped_in_a_header(content: bytearray, random: Random) -> None:
    """Flip one bit in the first bytes of a page, of the file, or of the log."""
    at = int(random.integers(-(-len(content) // PAGE))) * PAGE + int(random.integers(120))
    content[min(at, len(content) - 1)] ^= 1 << int(random.integers(8))


def garbled(content: bytearray, random: Random) -> None:
    """Write other bytes over up to 64."""
    n = int(random.integers(1, 65))
    at = int(random.integers(max(1, len(content) - n)))
    content[at : at + n] = random.bytes(len(content[at : at + n]))


def zeroed(content: bytearray, random: Random) -> None:
    """Make a sector zero."""
    at = int(random.integers(-(-len(content) // SECTOR))) * SECTOR
    content[at : at + SECTOR] = bytes(len(content[at : at + SECTOR]))


def swapped(content: bytearray, random: Random) -> None:
    """Exchange two pages."""
    pages = len(content) // PAGE
    if pages < 3:
        return flipped(content, random)
    one, other = (int(page) * PAGE for page in random.choice(np.arange(1, pages), 2, replace=False))
    content[one : one + PAGE], content[other : other + PAGE] = content[other : other + PAGE], content[one : one + PAGE]
    return None


def cut(content: bytearray, random: Random) -> None:
    """Cut it off anywhere, the beginning included."""
    del content[int(random.integers(len(content))) :]


def cut_at_a_border(content: bytearray, random: Random) -> None:
    """Cut it off at the end of a page or a sector."""
    size = int(random.choice([SECTOR, PAGE, PAGE, PAGE + 24]))
    del content[int(random.integers(-(-len(content) // size))) * size :]


def longer(content: bytearray, random: Random) -> None:
    """Append what does not belong there."""
    content += random.bytes(int(random.integers(1, 2 * PAGE)))


WAYS: tuple[Callable[[bytearray, Random], None], ...] = (
    flipped,
    flipped_in_what_is_used,
    flipped_in_what_is_used,
    flipped_in_a_header,
    garbled,
    zeroed,
    swapped,
    cut,
    cut_at_a_border,
    longer,
)


def content_of(i: int) -> tuple[np.ndarray, np.ndarray, Any]:
    random = np.random.default_rng([11, i])
    payload = ({"n": i, "text": "記憶" * (i % 40)}, random.bytes(i % 300), random.normal(size=i % 9 + 1), None)[i % 4]
    return random.normal(size=D).astype(np.float32), random.normal(size=D_VALUE).astype(np.float32), payload


def make(folder: Path) -> None:
    """Make a memory in ``folder/closed``, and in ``folder/killed`` as a killed process leaves it, with a long log."""
    closed, killed = folder / "closed", folder / "killed"
    closed.mkdir(parents=True)
    path = closed / NAME
    keys, values, payloads = zip(*map(content_of, range(N + 40)), strict=True)
    with mossy.open(path, links=2, short_term=50, clock=mossy.Steps()) as memory:
        for first in range(0, N, 20):
            part = slice(first, first + 20)
            memory.store(np.stack(keys[part]), np.stack(values[part]), payload=list(payloads[part]))
        memory.recall(np.stack(keys[:30]) + np.float32(0.01), k=2)
        memory.reinforce([5, 6, 7], [2.0, 3.0, 4.0])
        memory.forget(range(60, 75))
        memory.pin([1, 2, 3])
    shutil.copytree(closed, folder / "busy")
    busy = mossy.open(folder / "busy" / NAME)
    for i in range(N, N + 20):
        busy.store(keys[i], values[i], payload=payloads[i])
    busy.forget([8, 9, 100])
    busy.reinforce([10, 11])
    busy.flush()
    for i in range(N + 20, N + 40):
        busy.store(keys[i], values[i], payload=payloads[i])
    shutil.copytree(folder / "busy", killed)
    busy.close()
    for leftover in killed.glob("*-shm"):
        leftover.unlink()


class Truth:
    """All that a memory holds, and the answers to some cues."""

    def __init__(self, memory: mossy.Memory) -> None:
        cues = np.random.default_rng(12).normal(size=(6, D)).astype(np.float32)
        self.state = memory.state()
        self.ids = memory.ids.tolist()
        self.answers: list[Any] = []
        if len(memory):
            found = memory.recall(cues, k=min(3, len(memory)), reinforce=False)
            self.answers = [found.ids, found.pattern, found.payload, found.probability, found.strength]

    def differs(self, seen: Truth) -> str:
        """Return what was seen that is not true, nothing if all is."""
        found = differences(self.state, seen.state)
        return ", ".join(found) if found else "" if same(self.answers, seen.answers) else "answers"

    def untrue(self, seen: Truth) -> list[str]:
        """Return the memories that were given with a content that nobody stored, which no warning excuses."""
        index, payloads = seen.state["index"], seen.state["catalog"]["payload"]
        found = []
        for row, id in enumerate(seen.state["catalog"]["ids"].tolist()):
            if not same([index["keys"][row], index["values"][row], payloads[row]], list(content_of(id))):
                found.append(f"memory {id} is not what was stored")
            elif id not in self.ids:
                found.append(f"memory {id} is back")
        return found[:3]


@dataclass(frozen=True)
class Case:
    """One alteration: what was done to which file of which set, and with which seed it is done again."""

    state: str
    name: str
    way: Callable[[bytearray, Random], None]
    seed: int

    def __str__(self) -> str:
        return f"{self.state}/{self.name} {self.way.__name__} (seed {self.seed})"

    def lay_out(self, made: Path, folder: Path) -> Path:
        """Copy the files into ``folder``, alter the one, and return the path of the memory."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made / self.state, folder)
        file = folder / self.name
        content = bytearray(file.read_bytes())
        self.way(content, np.random.default_rng(self.seed))
        file.write_bytes(content)
        return folder / NAME


SETS = (
    ("closed", NAME),
    ("closed", NAME),
    ("closed", NAME + ".arrays"),
    ("killed", NAME),
    ("killed", NAME + "-wal"),
    ("killed", NAME + "-wal"),
    ("killed", NAME + ".lock"),
)


def cases(n: int, seed: int) -> Iterator[Case]:
    """Draw ``n`` cases; each way meets each file."""
    for i in range(n):
        state, name = SETS[i % len(SETS)]
        yield Case(state, name, WAYS[i // len(SETS) % len(WAYS)], seed + i)


def looked_at(case: Case, path: Path, truth: Truth) -> tuple[str, list[str]]:
    """Open it to read, to write and to read again, and then go on with it.

    Returns whether it was ``"detected"`` or is ``"harmless"``, and what is wrong: another exception than one of
    mossy's, or an answer that is not true before anything was raised or warned of; to be told once is enough.
    """
    faults: list[str] = []
    detected = False
    for mode in ("r", "a", "r", "go on"):
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always")
            try:
                with mossy.open(path, "r" if mode == "r" else "a", durability="process") as memory:
                    seen = Truth(memory)
                    if not detected and not warned and (wrong := truth.differs(seen)):
                        faults.append(f"{case}: {mode}: {wrong}, and nothing was said")
                    faults += [f"{case}: {mode}: {line}" for line in truth.untrue(seen)]
                    if mode == "go on":
                        go_on(memory)
            except MossyError:
                detected = True
            except Exception as error:  # noqa: BLE001 this is what is looked for
                faults.append(f"{case}: {mode}: {type(error).__name__}: {error}")
        detected = detected or any(issubclass(one.category, RuntimeWarning) for one in warned)
    return "detected" if detected else "harmless", faults


def go_on(memory: mossy.Memory) -> None:
    """Change it in all ways."""
    id = memory.store(np.full(D, 9.0), np.zeros(D_VALUE), payload="new")
    assert memory[id].payload == "new"
    memory.reinforce(memory.ids[:20])
    memory.pin(memory.ids[5])
    memory.forget([id, memory.ids[0], memory.ids[-2]])
    memory.consolidate()

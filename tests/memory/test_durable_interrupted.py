"""Ctrl-C at any line of a call: what is in this process and what is on disk agree, and the call was done or was not."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.journal.alike import unlike
from tests.journal.remnants import remnants
from tests.journal.small import small

import mossy
from mossy import Memory, Steps
from mossy.errors import ForgetPending

KEYS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
CUES = KEYS[:3] + np.float32(0.02)
SOURCE = os.path.dirname(mossy.__file__) + os.sep


class Interruption:
    """Raise ``KeyboardInterrupt`` before the ``nth`` line of mossy's, as a signal that arrives there would."""

    def __init__(self, nth: int) -> None:
        self.left = nth
        self.place = ""

    def __enter__(self) -> Interruption:
        sys.settrace(self._called)
        return self

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)

    def _called(self, frame: Any, event: str, given: Any) -> Any:
        return self._line if frame.f_code.co_filename.startswith(SOURCE) and self.left > 0 else None

    def _line(self, frame: Any, event: str, given: Any) -> Any:
        if event == "line":
            self.left -= 1
            if self.left == 0:
                sys.settrace(None)
                self.place = f"{frame.f_code.co_filename.removeprefix(SOURCE)}:{frame.f_lineno}"
                raise KeyboardInterrupt
        return self._line


Call = Callable[[Memory], Any]
CALLS: dict[str, Call] = {
    "store one": lambda memory: memory.store(KEYS[30], payload="one"),
    "store many": lambda memory: memory.store(KEYS[30:36], payload=list("abcdef")),
    "store pinned": lambda memory: memory.store(KEYS[30:33], pin=True),
    "store what is there": lambda memory: memory.store(KEYS[4:7]),
    "forget": lambda memory: memory.forget(memory.ids[[1, 3, -1]]),
    "pin": lambda memory: memory.pin(memory.ids[[1, -2]]),
    "reinforce and flush": lambda memory: (memory.reinforce(memory.ids[[1, -2]]), memory.flush()),
    "recall": lambda memory: memory.recall(KEYS[:3]),
    "consolidate": lambda memory: memory.consolidate(),
}
WAYS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "linked": {"links": 2, "association": 0.5, "short_term": 5},
    "frequent": {"keep": "frequent", "short_term": 5, "capacity": 20},
    "merging": {"duplicates": "keep"},
}


@pytest.fixture(autouse=True)
def sizes() -> Iterator[None]:
    with small(LAG=1e9, WAIT=0.05, RECENT=4096):
        yield


def filled(path: Path, way: str) -> Memory:
    memory = mossy.open(path, clock=Steps(), durability="process", **WAYS[way])
    memory.store(KEYS[:14], payload=[f"p{i}" for i in range(14)])
    memory.store(KEYS[:3], payload=["p0", "p1", "p2"])
    memory.reinforce(memory.ids)
    memory.forget(memory.ids[3])
    memory.flush()
    return memory


def interrupted(folder: Path, way: str, name: str, nth: int) -> tuple[str, list[str]]:
    """Interrupt a call at its ``nth`` line; return where that was (nothing if it ended before), and what is wrong."""
    path = folder / f"{nth}.mossy"
    memory = filled(path, way)
    before = Memory.from_state(memory.state(), Steps())
    after = Memory.from_state(memory.state(), Steps())
    CALLS[name](after)
    interruption = Interruption(nth)
    try:
        with interruption:
            CALLS[name](memory)
        return "", []
    except (KeyboardInterrupt, ForgetPending):
        pass
    finally:
        sys.settrace(None)
        if not interruption.place:
            memory.close()
    found = []
    kept = set(memory.ids.tolist())
    if kept not in ({*before.ids.tolist()}, {*after.ids.tolist()}):
        found.append(f"half done: {sorted(kept)}")
    memory.flush()
    with mossy.open(path, "r") as reader:
        found += unlike(reader, memory, CUES)[:2]
    memory.store(KEYS[50], payload="later")
    memory.forget(int(memory.ids[0]))
    twin = Memory.from_state(memory.state(), Steps())
    memory.close()
    with mossy.open(path) as memory:
        found += unlike(memory, twin, CUES)[:2]
    for file in folder.glob(f"{nth}.*"):
        file.unlink()
    return interruption.place, [f"{way}, {name}, {interruption.place} (line {nth}): {one}" for one in found]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CALLS)
def test_an_interrupted_call_is_done_or_not(tmp_path, way, name):
    """At lines drawn from all of the call."""
    lines = len_of(tmp_path, way, name)
    draws = np.random.default_rng([list(WAYS).index(way), list(CALLS).index(name)]).integers(1, lines, 4)
    faults, places = [], set()
    for nth in draws.tolist():
        place, wrong = interrupted(tmp_path, way, name, nth)
        places.add(place)
        faults += wrong
    assert faults == []
    assert any(places), "nothing was interrupted"


def len_of(folder: Path, way: str, name: str) -> int:
    """Return how many lines a call runs through."""
    memory = filled(folder / "length.mossy", way)
    interruption = Interruption(10**9)
    with interruption:
        CALLS[name](memory)
    memory.close()
    for file in folder.glob("length.*"):
        file.unlink()
    return 10**9 - interruption.left


class TestSignals:
    """A real Ctrl-C, from outside, at any time."""

    def test_a_load_that_is_interrupted_again_and_again(self, tmp_path):
        """What is in this process is what a reader sees, after each; and nothing is left of what is forgotten."""
        path = tmp_path / "folder" / "life.mossy"
        path.parent.mkdir()
        random = np.random.default_rng(3)
        memory = mossy.open(path, clock=Steps(), duplicates="keep", short_term=20)
        memory.store(KEYS[:10])
        patterns: dict[int, np.ndarray] = {}
        hits = 0
        for turn in range(50):
            patterns |= {id: memory[id].pattern for id in memory}
            timer = threading.Timer(float(random.uniform(0, 0.012)), signal.raise_signal, [signal.SIGINT])
            try:
                timer.start()
                for _ in range(10**6):
                    memory.store(random.normal(size=(5, 6)), payload=[f"{turn}-{i}" for i in range(5)])
                    memory.recall(KEYS[turn])
                    memory.forget(memory.ids[[0, -1]])
                    memory.reinforce(memory.ids[:3])
                    if turn % 7 == 0:
                        memory.consolidate()
            except KeyboardInterrupt:
                hits += 1
            timer.join()
            memory.flush()
            if turn % 5 == 0:
                with mossy.open(path, "r") as reader:
                    assert unlike(reader, memory, CUES) == []
                memory.forget(memory.ids[:-8])
        assert hits == 50
        twin = Memory.from_state(memory.state(), Steps())
        for one in (memory, twin):
            one.forget(one.ids[:1])
        memory.close()
        forgotten = [pattern for id, pattern in patterns.items() if id not in twin]
        assert len(forgotten) > 50
        assert remnants(path.parent, *forgotten) == {}
        with mossy.open(path) as memory:
            assert unlike(memory, twin, CUES) == []

    @pytest.mark.parametrize("mode", ["a", "r"])
    def test_opening_and_closing_that_are_interrupted(self, tmp_path, mode):
        """The file is free again, and as it was."""
        path = tmp_path / "life.mossy"
        filled(path, "linked").close()
        with mossy.open(path) as memory:
            twin = Memory.from_state(memory.state(), Steps())
        interruption = Interruption(10**9)
        with interruption:
            mossy.open(path, mode).close()
        lines = 10**9 - interruption.left
        assert lines > 300
        for nth in np.random.default_rng(0).integers(1, lines, 25).tolist():
            interruption = Interruption(nth)
            with pytest.raises(KeyboardInterrupt), interruption:
                mossy.open(path, mode).close()
            sys.settrace(None)
            with mossy.open(path) as memory:
                assert unlike(memory, twin, CUES) == [], interruption.place

    @pytest.mark.xfail(strict=False, reason="the lock is kept until the process ends")
    def test_the_first_opening_that_is_interrupted(self, tmp_path):
        """There is a memory, or there is none that anybody could take for damaged."""
        interruption = Interruption(10**9)
        with interruption:
            mossy.open(tmp_path / "whole.mossy").close()
        lines = 10**9 - interruption.left
        for nth in np.random.default_rng(1).integers(1, lines, 25).tolist():
            path = tmp_path / f"{nth}.mossy"
            interruption = Interruption(nth)
            try:
                with interruption:
                    mossy.open(path).close()
            except KeyboardInterrupt:
                pass
            finally:
                sys.settrace(None)
            with mossy.open(path) as memory:
                assert memory.store(KEYS[:3]).tolist() == [0, 1, 2], interruption.place

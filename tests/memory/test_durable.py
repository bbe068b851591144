"""Any sequence of calls, on disk and in this process at once: whatever comes between, both hold and answer the same.

All sizes of the file are small here, so that thirty memories fill many blocks, have a sidecar, and are written anew.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.journal.alike import unlike
from tests.journal.small import small

import mossy
from mossy import Memory, Steps
from mossy.errors import FullMemory, UnknownMemory

D = 6
POOL = np.random.default_rng(0).normal(size=(24, D)).astype(np.float32)
CUES = np.concatenate([POOL[:3] + np.float32(0.05), np.zeros((1, D), np.float32)])
PAYLOADS: list[Any] = [
    None,
    "ein Wort",
    "记忆",
    {"number": 7, "list": [1.5, None, True, {"deep": "\ud800"}]},
    b"\x00\x93bytes",
    np.arange(6, dtype=np.int16).reshape(2, 3),
    12345678901234567890123,
    "",
]


class Twins(RuleBasedStateMachine):
    """``disk`` is closed, opened, killed and left without its sidecar; ``here`` lives on in this process."""

    given: dict[str, Any] = {}  # noqa: RUF012 - set once by each subclass
    lag = 1e9  # seconds: nothing is written late by itself
    key: str | None = None

    def __init__(self) -> None:
        super().__init__()
        self.small = small(LAG=self.lag)
        self.small.__enter__()
        self.folder = Path(tempfile.mkdtemp(prefix="mossy-twins-"))
        self.clock, self.clock_on_disk = Steps(), Steps()
        self.here = Memory(clock=self.clock, **self.given)
        self.disk = self.opened(self.clock_on_disk, **self.given)

    @property
    def path(self) -> Path:
        return self.folder / "life.mossy"

    def opened(self, clock: Steps | None, **given: Any) -> Memory:
        return mossy.open(self.path, key=self.key, clock=clock, **given)

    def teardown(self) -> None:
        self.disk.close()
        self.small.__exit__(None, None, None)
        shutil.rmtree(self.folder, ignore_errors=True)

    def both(self, call: Any) -> Any:
        answers = []
        for memory in (self.here, self.disk):
            try:
                answers.append(call(memory))
            except (FullMemory, UnknownMemory) as error:
                answers.append(type(error))
        assert np.array_equal(answers[0], answers[1])
        return answers[0]

    def some_id(self, pick: int) -> int:
        return int(self.here.ids[pick % len(self.here)])

    # -- calls ------------------------------------------------------------------------------------------------------

    @rule(
        places=st.lists(st.integers(0, 23), min_size=1, max_size=9),
        kind=st.integers(0, 2 * len(PAYLOADS)),
        pin=st.sampled_from([False, False, False, True]),
    )
    def store(self, places: list[int], kind: int, pin: bool) -> None:
        payload = [PAYLOADS[(place + kind) % len(PAYLOADS)] for place in places] if kind < len(PAYLOADS) else None
        self.both(lambda memory: memory.store(POOL[places], payload=payload, pin=pin))

    @rule(place=st.integers(0, 23), kind=st.integers(0, len(PAYLOADS) - 1))
    def store_one(self, place: int, kind: int) -> None:
        self.both(lambda memory: memory.store(POOL[place], payload=PAYLOADS[kind]))

    @precondition(lambda self: len(self.here))
    @rule(place=st.integers(0, 23), k=st.integers(1, 3), batch=st.booleans())
    def recall(self, place: int, k: int, batch: bool) -> None:
        cue = POOL[place] + np.float32(0.01)
        cue = np.stack([cue, POOL[0]]) if batch else cue
        self.both(lambda memory: memory.recall(cue, k=min(k, len(memory))).ids)

    @precondition(lambda self: len(self.here))
    @rule(pick=st.integers(0, 99), other=st.integers(0, 99), amount=st.sampled_from([0.25, 1.0, 40.0]))
    def reinforce(self, pick: int, other: int, amount: float) -> None:
        ids = [self.some_id(pick), self.some_id(other)]
        self.both(lambda memory: memory.reinforce(ids, amount))

    @precondition(lambda self: len(self.here))
    @rule(picks=st.lists(st.integers(0, 99), min_size=1, max_size=8))
    def forget(self, picks: list[int]) -> None:
        ids = [self.some_id(pick) for pick in picks]
        self.both(lambda memory: memory.forget(ids))

    @precondition(lambda self: len(self.here))
    @rule(pick=st.integers(0, 99), pinned=st.booleans())
    def pin(self, pick: int, pinned: bool) -> None:
        id = self.some_id(pick)
        self.both(lambda memory: memory.pin(id, pinned))

    @rule()
    def consolidate(self) -> None:
        done = [memory.consolidate() for memory in (self.here, self.disk)]
        assert done[0] == done[1]

    @precondition(lambda self: len(self.here))
    @rule(seed=st.integers(0, 9), n=st.integers(1, 5))
    def replay(self, seed: int, n: int) -> None:
        here, disk = (memory.replay(min(n, len(memory)), seed=seed) for memory in (self.here, self.disk))
        assert np.array_equal(here.ids, disk.ids)
        assert np.array_equal(here.patterns, disk.patterns)

    @rule(id=st.integers(0, 400))
    def ask_for_what_may_not_be_there(self, id: int) -> None:
        self.both(lambda memory: memory[id].ids)
        self.both(lambda memory: id in memory)

    @rule(steps=st.sampled_from([1.0, 50.0, 3e3, 1e6, 3e8]))
    def advance(self, steps: float) -> None:
        assert self.clock.advance(steps) == self.clock_on_disk.advance(steps)

    # -- what happens to the file ----------------------------------------------------------------------------------

    @rule()
    def flush(self) -> None:
        self.disk.flush()

    def reopen(self, given: bool) -> None:
        clock = Steps(self.clock.now()) if given else None
        self.disk = self.opened(clock)
        self.clock_on_disk = clock or self.disk._clock
        assert self.clock_on_disk.now() <= self.clock.now()
        self.clock_on_disk.advance(self.clock.now() - self.clock_on_disk.now())

    @rule(given=st.booleans(), sidecar=st.booleans())
    def close_and_open(self, given: bool, sidecar: bool) -> None:
        self.disk.close()
        if not sidecar:
            Path(f"{self.path}.arrays").unlink(missing_ok=True)
        self.reopen(given)

    @rule(sidecar=st.booleans())
    def kill(self, sidecar: bool) -> None:
        """Go on from the files as they lie there after a flush, which is what a kill leaves."""
        self.disk.flush()
        left = self.folder.with_name(self.folder.name + "-left")
        shutil.copytree(self.folder, left)
        self.disk.close()
        shutil.rmtree(self.folder)
        left.rename(self.folder)
        if not sidecar:
            Path(f"{self.path}.arrays").unlink(missing_ok=True)
        self.reopen(False)

    @invariant()
    def both_are_alike(self) -> None:
        assert unlike(self.disk, self.here, CUES) == []

    @invariant()
    def a_reader_sees_what_is_written(self) -> None:
        if self.lag == 0 and len(self.disk):
            self.disk.flush()
            with mossy.open(self.path, "r", key=self.key) as reader:
                assert reader.ids.tolist() == self.here.ids.tolist()


class Plain(Twins):
    """All is kept, and what is stored again is reinforced."""


class Keeping(Twins):
    """The same is stored several times, and merged."""

    given = {"duplicates": "keep", "short_term": 6}  # noqa: RUF012


class Frequent(Twins):
    """Only what is used or pinned is kept; each call writes what was noted."""

    given = {"keep": "frequent", "short_term": 5}  # noqa: RUF012
    lag = 0.0


class Linked(Twins):
    """A capacity, a small short-term memory, links, and merging of what is similar."""

    given = {"capacity": 14, "short_term": 4, "links": 2, "association": 0.5, "duplicates": "keep", "law": "two_phase"}  # noqa: RUF012


class Far(Twins):
    """Another similarity and another separation; merging what is similar."""

    given = {"similarity": "cosine", "separation": "sparsemax", "merge": 0.05, "capacity": 20}  # noqa: RUF012


class Sealed(Twins):
    """Encrypted."""

    given = {"short_term": 8}  # noqa: RUF012
    key = "env:MOSSY_TEST_KEY"


@pytest.fixture(autouse=True)
def secret(monkeypatch):
    monkeypatch.setenv("MOSSY_TEST_KEY", "a key of more than sixteen characters")


STEPS = settings(max_examples=15, stateful_step_count=25, deadline=None)


class TestPlain(Plain.TestCase):
    """Run it."""

    settings = STEPS


class TestKeeping(Keeping.TestCase):
    """Run it."""

    settings = STEPS


class TestFrequent(Frequent.TestCase):
    """Run it."""

    settings = STEPS


class TestLinked(Linked.TestCase):
    """Run it."""

    settings = STEPS


class TestFar(Far.TestCase):
    """Run it."""

    settings = STEPS


class TestSealed(Sealed.TestCase):
    """Run it."""

    settings = settings(STEPS, max_examples=4, stateful_step_count=15)

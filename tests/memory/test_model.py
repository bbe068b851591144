"""Any sequence of store, recall, forget, pin, consolidate, reinforce and time, against a dict of what must be there."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.naive.same import differences

from mossy import Memory, Steps
from mossy.errors import FullMemory, UnknownMemory

D = 12
POOL = np.random.default_rng(0).normal(size=(40, D)).astype(np.float32)


class Life(RuleBasedStateMachine):
    """``expected`` maps each id to its place in the pool; what the memory may drop by itself is checked against it."""

    settings_of_memory: dict = {}  # noqa: RUF012 - set once by each subclass

    def __init__(self) -> None:
        super().__init__()
        self.clock = Steps()
        self.memory = Memory(clock=self.clock, duplicates="keep", **self.settings_of_memory)
        self.expected: dict[int, int] = {}
        self.pinned: set[int] = set()
        self.used: set[int] = set()
        self.forgotten: set[int] = set()
        self.next_id = 0

    def some_id(self, pick: int) -> int:
        return sorted(self.expected)[pick % len(self.expected)]

    def dropped(self) -> None:
        """Take what the memory let go by itself out of the expectation; nothing that must stay may be among it."""
        gone = set(self.expected) - {one for one in self.expected if one in self.memory}
        capacity, keep = self.settings_of_memory.get("capacity"), self.settings_of_memory.get("keep")
        assert not gone or capacity is not None or keep == "frequent"
        assert not gone & self.pinned
        if capacity is None:
            assert not gone & self.used, "only what was never used is let go"
        for one in gone:
            del self.expected[one]
        self.forgotten |= gone

    @rule(places=st.lists(st.integers(0, 39), min_size=1, max_size=6, unique=True), pin=st.booleans())
    def store(self, places, pin):
        before = self.memory.state()
        try:
            ids = self.memory.store(POOL[places], payload=[int(place) for place in places], pin=pin)
        except FullMemory:
            assert self.settings_of_memory["capacity"] <= len(self.pinned) + len(places)
            assert differences(self.memory.state(), before) == []
            return
        assert ids.tolist() == list(range(self.next_id, self.next_id + len(places)))
        self.next_id += len(places)
        self.expected.update(zip(ids.tolist(), places, strict=True))
        if pin:
            self.pinned |= set(ids.tolist())
        self.dropped()

    @precondition(lambda self: self.expected)
    @rule(pick=st.integers(0, 99), reinforce=st.booleans())
    def recall(self, pick, reinforce):
        place = self.expected[self.some_id(pick)]
        before = self.memory.state()
        found = self.memory.recall(POOL[place] + np.float32(0.02), reinforce=reinforce)
        assert np.array_equal(found.pattern, POOL[place])
        assert found.payload == [place]
        assert self.expected[int(found.ids[0])] == place
        assert found.familiar
        if reinforce:
            self.used |= set(self.names(int(found.ids[0])))
            self.used |= {one for one, other in self.expected.items() if other == place}  # equals share the activity
            self.dropped()
            assert int(found.ids[0]) in self.memory.short_term or "short_term" in self.settings_of_memory
        else:
            assert differences(self.memory.state(), before) == []

    @precondition(lambda self: self.expected)
    @rule(picks=st.lists(st.integers(0, 99), min_size=1, max_size=3))
    def forget(self, picks):
        ids = {self.some_id(pick) for pick in picks}
        gone = {name for one in ids for name in self.names(one)}
        self.memory.forget(ids)
        for one in gone:
            self.expected.pop(one)
            self.pinned.discard(one)
        self.forgotten |= gone

    @precondition(lambda self: self.expected)
    @rule(pick=st.integers(0, 99), pinned=st.booleans())
    def pin(self, pick, pinned):
        one = self.some_id(pick)
        self.memory.pin(one, pinned)
        names = set(self.names(one))
        self.pinned = self.pinned | names if pinned else self.pinned - names

    @precondition(lambda self: self.expected)
    @rule(pick=st.integers(0, 99), amount=st.floats(0.1, 5))
    def reinforce(self, pick, amount):
        one = self.some_id(pick)
        before = self.memory.strength(one).sum()
        names = set(self.names(one))
        self.memory.reinforce(one, amount)
        self.used |= names
        assert self.memory.strength(one).sum() == pytest.approx(before + amount, rel=1e-4)
        self.dropped()

    @rule()
    def consolidate(self):
        short, long = self.memory.stats().short_term, self.memory.stats().long_term
        done = self.memory.consolidate()
        self.dropped()
        stats = self.memory.stats()
        assert stats.short_term == 0
        assert stats.long_term == stats.memories
        assert done.moved + done.let_go <= short
        assert done.moved - done.merged <= stats.long_term <= long + done.moved
        for one in self.expected:
            names = self.names(one)
            assert all(self.expected[name] == self.expected[one] for name in names), "only equals are merged"
            if self.pinned & set(names):
                self.pinned |= set(names)
            if self.used & set(names):
                self.used |= set(names)

    @rule(steps=st.sampled_from([0.0, 1.0, 1e3, 1e6, 3e8, 3e10]))
    def advance(self, steps):
        before = self.memory.strength(self.memory.ids).sum(axis=1) if len(self.memory) else np.zeros(0)
        self.clock.advance(steps)
        after = self.memory.strength(self.memory.ids).sum(axis=1) if len(self.memory) else np.zeros(0)
        assert (after <= before * (1 + 1e-6)).all()

    @rule()
    def make_again(self):
        state = self.memory.state()
        if len(self.memory):
            self.memory = Memory.from_state(state, self.clock)
            assert differences(self.memory.state(), state) == []

    def names(self, one: int) -> tuple[int, ...]:
        return self.memory[one].ids

    @invariant()
    def what_must_be_there_is_there(self):
        ids = self.memory.ids.tolist()
        assert ids == sorted(set(ids))
        assert len(self.memory) == len(ids) == self.memory.stats().memories
        assert {name for one in ids for name in self.names(one)} == set(self.expected)
        for one, place in self.expected.items():
            stored = self.memory[one]
            assert stored.payload == place
            assert np.array_equal(stored.pattern, POOL[place])
            assert stored.pinned == (one in self.pinned)
            assert stored.short_term or stored.long_term
        for one in list(self.forgotten)[:5]:
            assert one not in self.memory
            with pytest.raises(UnknownMemory):
                self.memory.reinforce(one)

    @invariant()
    def bounds_hold(self):
        short = self.memory.short_term.tolist()
        assert len(set(short)) == len(short) <= self.settings_of_memory.get("short_term", 1024)
        assert set(short) <= set(self.memory.ids.tolist())
        assert all(self.memory[one].short_term for one in short)
        capacity = self.settings_of_memory.get("capacity")
        assert capacity is None or len(self.memory) <= capacity
        if len(self.memory):
            assert np.isfinite(self.memory.strength(self.memory.ids)).all()


class Plain(Life):
    """All is kept."""


class Frequent(Life):
    """Only what is used or pinned is kept."""

    settings_of_memory = {"keep": "frequent", "short_term": 5}  # noqa: RUF012


class Bounded(Life):
    """A capacity, a small short-term memory, and links."""

    settings_of_memory = {"capacity": 10, "short_term": 4, "links": 2, "association": 0.5}  # noqa: RUF012


class TestPlain(Plain.TestCase):
    """Run it."""

    settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


class TestFrequent(Frequent.TestCase):
    """Run it."""

    settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


class TestBounded(Bounded.TestCase):
    """Run it."""

    settings = settings(max_examples=15, stateful_step_count=25, deadline=None)

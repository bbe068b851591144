"""What a capacity lets go where that is learned from use: held to loops, with ghosts that can be forgotten."""

from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.memory.test_model import Life
from tests.naive.fading import Bounded
from tests.naive.same import differences

import mossy
from mossy import Memory, Steps
from mossy.errors import InvalidInput, UnknownMemory
from mossy.strength import power_law

D = 12
POOL = np.random.default_rng(0).normal(size=(300, D)).astype(np.float32)


def small(capacity: int | str = 4, **given) -> tuple[Memory, Steps]:
    clock = Steps()
    return Memory(capacity=capacity, adapt=True, clock=clock, **given), clock


def ghosts(memory: Memory) -> set[int]:
    return memory._store.adapting.ghosts.ids


def learned(memory: Memory) -> np.ndarray:
    return memory._store.adapting.shares.copy()


def one_by_one(memory: Memory, clock: Steps, keys: np.ndarray) -> None:
    for key in keys:
        memory.store(key)
        clock.advance(10)


class Adapting(RuleBasedStateMachine):
    """A memory beside the loops; where two candidates are nearly alike, rounding may choose, and it ends there."""

    def __init__(self) -> None:
        super().__init__()
        self.memory, self.clock = small(7, law=power_law(0.5, 1.0, 1e4, 5))
        self.naive = Bounded(7, self.memory._store.strengths.law.rates.tolist())
        self.given: list[int] = []

    @property
    def alike(self) -> bool:
        return self.naive.closest < 1e-4

    @rule(steps=st.floats(0.5, 500))
    def advance(self, steps):
        self.clock.advance(steps)

    @precondition(lambda self: not self.alike)
    @rule(places=st.lists(st.integers(0, 15), min_size=1, max_size=4, unique=True))
    def store(self, places):
        places = [place for place in places if place not in self.naive.patterns.values()]
        if places:
            self.clock.advance(1)
            self.given += self.memory.store(POOL[places]).tolist()
            self.naive.store(places, self.clock.now())

    @precondition(lambda self: not self.alike and self.naive.patterns)
    @rule(place=st.integers(0, 15))
    def ask(self, place):
        """By a cue that fits to the bit, or by storing it again."""
        here = [id for id, one in self.naive.patterns.items() if one == place]
        self.memory.recall(POOL[place])
        self.naive.ask(place, self.clock.now())
        for id in here:
            self.naive.reinforce(id, 1.0, self.clock.now())
            self.memory.store(POOL[place])
            self.naive.reinforce(id, 1.0, self.clock.now())

    @precondition(lambda self: not self.alike and self.naive.patterns)
    @rule(pick=st.integers(0, 99), amount=st.floats(0.1, 3))
    def reinforce(self, pick, amount):
        id = sorted(self.naive.patterns)[pick % len(self.naive.patterns)]
        self.memory.reinforce(id, amount)
        self.naive.reinforce(id, amount, self.clock.now())

    @precondition(lambda self: not self.alike and self.given)
    @rule(pick=st.integers(0, 99))
    def forget(self, pick):
        id = self.given[pick % len(self.given)]
        if id in self.naive.patterns or id in [ghost[1] for ghost in self.naive.ghosts]:
            self.memory.forget(id)
            self.naive.forget(id)
        else:
            with pytest.raises(UnknownMemory):
                self.memory.forget(id)

    @invariant()
    def both_are_the_same(self):
        if self.alike:
            return
        now = self.clock.now()
        assert self.memory.ids.tolist() == sorted(self.naive.patterns)
        assert ghosts(self.memory) == {ghost[1] for ghost in self.naive.ghosts}
        assert learned(self.memory) == pytest.approx(np.array(self.naive.shares), rel=1e-4, abs=1e-9)
        assert learned(self.memory).sum() == pytest.approx(1)
        law = self.memory._store.strengths.law
        for id, uses in self.naive.uses.items():
            strength = sum(w * self.naive.mode(uses, k, now) for k, w in enumerate(law.readout))
            assert self.memory.strength(id).sum() == pytest.approx(strength, rel=1e-4)


class TestAdapting(Adapting.TestCase):
    """Run it."""

    settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class Bound(Life):
    """As every memory with a capacity."""

    settings_of_memory = {"capacity": 10, "short_term": 4, "links": 2, "adapt": True}  # noqa: RUF012


class TestBound(Bound.TestCase):
    """Run it."""

    settings = settings(max_examples=15, stateful_step_count=25, deadline=None)


class TestHistory:
    def test_what_comes_back_is_as_strong_as_if_it_had_stayed(self, make):
        memory, whole = make(capacity=4, adapt=True), Memory(clock=Steps(100))
        for one in (memory, whole):
            one.store(POOL[0])
            one.reinforce(0, 2.0)
            one._clock.advance(50)
            for key in POOL[1:7]:
                one.store(key)
                one.reinforce(one.ids[-1:])
                one.reinforce(one.ids[-1:])
                one._clock.advance(10)
        assert 0 not in memory
        ids = memory.store(POOL[0]), whole.store(POOL[0])
        assert ids == (7, 0)
        assert memory.strength(7) == pytest.approx(whole.strength(0), rel=1e-5)
        assert memory.strength(7).sum() > 1

    def test_it_is_on_disk_with_the_memory(self, tmp_path):
        clock = Steps()
        with mossy.open(tmp_path / "m", clock=clock, capacity=3, adapt=True, durability="process") as memory:
            one_by_one(memory, clock, POOL[:6])
            assert ghosts(memory) == {0, 1, 2}
            id = memory.store(POOL[1])
            before = memory.strength(id)
            assert before.sum() > 1
        with mossy.open(tmp_path / "m", durability="process") as memory:
            assert memory.stats().ghosts == 0
            assert memory._configuration.adapt
            assert memory.strength(id) == pytest.approx(before)

    def test_a_pattern_counts_whatever_goes_with_it(self):
        memory, clock = small(3)
        memory.store(np.array([0.0, 1.0, 2.0, 3.0]), payload="one")
        clock.advance(10)
        one_by_one(memory, clock, POOL[:3, :4])
        assert ghosts(memory) == {0}
        assert memory.strength(memory.store([-0.0, 1.0, 2.0, 3.0], payload="other")).sum() > 1.05

    def test_without_adapting_there_is_none(self):
        clock = Steps()
        memory = Memory(capacity=3, clock=clock)
        one_by_one(memory, clock, POOL[:6])
        assert memory.strength(memory.store(POOL[0])).sum() == pytest.approx(1)
        assert memory.stats().ghosts == 0
        with pytest.raises(UnknownMemory):
            memory.forget(1)


class TestGhosts:
    def test_there_are_no_more_than_memories(self):
        memory, clock = small(5)
        one_by_one(memory, clock, POOL[:40])
        assert ghosts(memory) == set(range(30, 35))
        memory.store(POOL[40:80])
        assert ghosts(memory) == set(range(70, 75))
        assert memory.stats().ghosts == 5

    @pytest.mark.parametrize("ids", [1, np.int64(1), [1], np.array([1]), iter([1])])
    def test_forget_takes_the_id_of_a_ghost(self, ids):
        memory, clock = small(4)
        one_by_one(memory, clock, POOL[:8])
        assert ghosts(memory) == {0, 1, 2, 3}
        kept = memory._store.adapting.ghosts
        mark = kept.hashes(POOL[1:2])[0]
        memory.forget(ids)
        assert ghosts(memory) == {0, 2, 3}
        assert mark not in kept._slots
        assert len(memory) == 4
        for column in kept._columns():
            assert (column.rows[kept._free] == 0).all()
        with pytest.raises(UnknownMemory, match="no memory has the id 1"):
            memory.forget(1)
        assert memory.strength(memory.store(POOL[1])).sum() == pytest.approx(1)

    def test_ghosts_and_memories_are_forgotten_together_or_not_at_all(self, make):
        memory = make(capacity=4, adapt=True)
        one_by_one(memory, memory._clock, POOL[:8])
        with pytest.raises(UnknownMemory):
            memory.forget([0, 5, 99])
        assert ghosts(memory) == {0, 1, 2, 3}
        memory.forget([0, 5, 3])
        assert ghosts(memory) == {1, 2}
        assert memory.ids.tolist() == [4, 6, 7]

    def test_a_ghost_ends_when_its_pattern_is_back(self):
        memory, clock = small(4)
        one_by_one(memory, clock, POOL[:8])
        memory.store(POOL[2])
        assert 2 not in ghosts(memory)
        with pytest.raises(UnknownMemory):
            memory.forget(2)

    def test_one_ghost_a_pattern(self):
        memory, clock = small(3, duplicates="keep")
        one_by_one(memory, clock, POOL[[0, 0, 1, 2, 3]])
        assert ghosts(memory) == {1}

    def test_the_hash_is_keyed(self):
        one, other = small()[0]._store.adapting.ghosts, small()[0]._store.adapting.ghosts
        assert one.hashes(POOL[:3]) == one.hashes(POOL[:3])
        assert not set(one.hashes(POOL[:3])) & set(other.hashes(POOL[:3]))

    def test_a_memory_of_several_ids_leaves_none(self):
        memory, clock = small(4, duplicates="keep")
        memory.store(POOL[[0, 0, 1]])
        memory.consolidate()
        clock.advance(10)
        one_by_one(memory, clock, POOL[10:18])
        assert not ghosts(memory) & {0, 1}

    def test_what_only_the_capacity_lets_go_leaves_one(self):
        memory, clock = small(50, keep="frequent", short_term=3)
        one_by_one(memory, clock, POOL[:9])
        memory.forget(memory.ids[:2])
        assert ghosts(memory) == set()

    def test_they_are_in_no_copy_and_no_state(self):
        memory, clock = small(4)
        one_by_one(memory, clock, POOL[:8])
        state = memory.state()
        for again in (copy.deepcopy(memory), Memory.from_state(state, clock)):
            assert ghosts(again) == set()
            assert differences(again.state(), state) == []
            assert again._configuration.adapt

    def test_pins_stay(self):
        memory, clock = small(4)
        memory.store(POOL[:2], pin=True)
        one_by_one(memory, clock, POOL[2:40])
        assert memory.ids[:2].tolist() == [0, 1]


class TestLearning:
    def test_a_recall_that_is_to_leave_no_trace_leaves_none(self):
        memory, clock = small(4)
        one_by_one(memory, clock, POOL[:8])
        before = learned(memory)
        memory.recall(POOL[1], reinforce=False)
        assert np.array_equal(learned(memory), before)
        memory.recall(POOL[1] + np.float32(1e-3))
        memory.recall(POOL[1], known=np.arange(D) < 6)
        assert np.array_equal(learned(memory), before), "only what fits to the bit is known"
        memory.recall(POOL[1])
        after = learned(memory)
        assert not np.array_equal(after, before)
        memory.store(POOL[1])
        assert np.array_equal(learned(memory), after), "it was asked for once"

    def test_a_batch_of_cues(self):
        memory, clock = small(4)
        one_by_one(memory, clock, POOL[:8])
        before = learned(memory)
        memory.recall(POOL[[20, 1, 21, 1]])
        assert not np.array_equal(learned(memory), before)

    def test_it_follows_a_change(self):
        """What is asked for often; then others, a few of which are asked for for a while."""
        rng = np.random.default_rng(1)
        asked = [int(60 * rng.random() ** 3) for _ in range(1000)]
        asked += [100 + (step // 12 + int(rng.integers(12))) % 200 for step in range(1500)]
        there = {}
        for adapt in (False, True):
            clock = Steps()
            memory, held = Memory(capacity=20, adapt=adapt, clock=clock), []
            for place in asked:
                next_id = memory._store.catalog.next_id
                held.append(memory.store(POOL[place]) < next_id)
                clock.advance(1)
            there[adapt] = np.mean(held[:1000]), np.mean(held[1000:])
        assert there[True][0] > there[False][0] - 0.03
        assert there[True][1] > there[False][1] + 0.1

    @pytest.mark.parametrize("pool", [8, 16])
    def test_among_many_the_weakest_of_a_pool_go(self, monkeypatch, pool):
        from mossy.memory import adapting as module

        monkeypatch.setattr(module, "POOL", pool)
        monkeypatch.setattr(module, "TAKEN", pool // 2)
        monkeypatch.setattr(module, "AT_ONCE", 7)
        memory, clock = small(60)
        memory.store(POOL[:60])
        clock.advance(1)
        memory.reinforce(np.arange(0, 60, 2))
        for i, key in enumerate(POOL[60:140]):
            clock.advance(1)
            memory.store(key)
            if i % 9 == 0:
                memory.forget(memory.ids[40])
            assert len(memory) <= 60
        assert (memory.ids[memory.ids < 60] % 2 == 0).all()
        memory.store(POOL[140:220])
        assert memory.ids.tolist() == list(range(160, 220))


@pytest.mark.parametrize("given", ["yes", 1, None])
def test_what_is_no_flag(given):
    with pytest.raises(InvalidInput, match=r"Memory\.adapt"):
        Memory(capacity=3, adapt=given)

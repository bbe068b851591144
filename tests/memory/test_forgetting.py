"""Forgetting is exact; merging loses nothing; a state makes the same memory again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive.same import differences, holds

from mossy import Memory, Steps
from mossy.errors import InvalidParameter, InvalidTime, UnknownMemory
from mossy.separation import SEPARATIONS, Polynomial
from mossy.similarity import SIMILARITIES

YEAR = 365.25 * 86_400.0


def some(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def steady(**settings) -> tuple[Memory, Steps]:
    clock = Steps()
    return Memory(clock=clock, **{"duplicates": "keep"} | settings), clock


def but_ids(state: dict, ids: np.ndarray) -> dict:
    """Return a state in which ids are counted from 0, as the memory ``ids`` lists them."""
    place = {int(one): i for i, one in enumerate(ids)}
    catalog = {key: part for key, part in state["catalog"].items() if key != "next_id"}
    catalog["ids"] = np.array([place[one] for one in catalog["ids"].tolist()])
    return {**state, "catalog": catalog}


class TestForgetting:
    @given(st.sets(st.integers(0, 14), min_size=1, max_size=14), st.integers(0, 99))
    def test_leaves_what_never_knew(self, gone, seed):
        keys, values = some(seed, 15, 6), some(seed + 1, 15, 2)
        left = [i for i in range(15) if i not in gone]
        memory, clock = steady()
        never, other = steady()
        for i in range(15):
            memory.store(keys[i], values[i], payload=f"p{i}", pin=i % 4 == 0)
            if i in left:
                never.store(keys[i], values[i], payload=f"p{i}", pin=i % 4 == 0)
            clock.advance(10.0)
            other.advance(10.0)
        memory.reinforce(left, 0.5)
        never.reinforce(np.arange(len(left)), 0.5)
        memory.forget(sorted(gone))
        assert memory.ids.tolist() == left
        assert differences(but_ids(memory.state(), memory.ids), but_ids(never.state(), never.ids)) == []
        for one, same in zip(memory.recall(keys).payload, never.recall(keys).payload, strict=True):
            assert one == same
        for i in gone:
            assert i not in memory
            assert not holds(memory, keys[i])
            assert not holds(memory, values[i])
            assert holds(memory, keys[left[0]])

    @pytest.mark.parametrize("n", [100, 6000])
    def test_no_byte_is_left_however_many_there_are(self, n):
        """A few of many are silenced at once and taken out later; not even then is a byte left."""
        memory, _ = steady(links=2, association=1.0)
        keys, values = some(1, n, 4), some(2, n, 3)
        payloads = [object() for _ in range(n)]
        memory.store(keys, values, payload=payloads)
        memory.recall(keys[:50] + 0.01, k=2)
        memory.forget([7, 8, 60])
        for i in (7, 8, 60):
            assert not holds(memory, keys[i])
            assert not holds(memory, values[i])
            assert not holds(memory.state(), keys[i])
            assert payloads[i] not in memory.state()["catalog"]["payload"]
        found = memory.recall(keys[[7, 8, 60]], k=5, reinforce=False)
        assert not np.isin(found.ids, [7, 8, 60]).any()
        assert len(memory) == n - 3

    @pytest.mark.parametrize("similarity", SIMILARITIES)
    @pytest.mark.parametrize("separation", ["softmax", "winner"])
    def test_what_is_silent_is_as_if_it_were_not_there(self, similarity, separation):
        keys = some(3, 5000, 4)
        memory, _ = steady(similarity=similarity, separation=separation, beta=40.0)
        never, _ = steady(similarity=similarity, separation=separation, beta=40.0)
        memory.store(keys)
        never.store(keys[10:])
        memory.forget(np.arange(10))
        for cue, k in ((keys[3], 1), (keys[:20], 3)):
            one, other = memory.recall(cue, k=k, reinforce=False), never.recall(cue, k=k, reinforce=False)
            assert np.array_equal(one.ids - 10, other.ids)
            assert one.pattern == pytest.approx(other.pattern, rel=1e-5, abs=1e-6)
            assert one.probability == pytest.approx(other.probability, rel=1e-5, abs=1e-9)

    def test_ids_are_never_used_again(self):
        memory, _ = steady()
        memory.store(some(4, 3, 2))
        memory.forget([1, 2])
        assert memory.store([0.0, 0.0]) == 3
        memory.forget(memory.ids)
        assert len(memory) == 0
        assert memory.store([1.0, 1.0]) == 4
        assert memory.recall([1.0, 1.0]).ids.tolist() == [4]

    def test_the_same_id_twice_is_once(self):
        memory, _ = steady()
        memory.store(some(5, 3, 2))
        memory.forget([1, 1])
        assert memory.ids.tolist() == [0, 2]

    def test_all_or_nothing(self):
        memory, _ = steady()
        memory.store(some(6, 3, 2))
        before = memory.state()
        with pytest.raises(UnknownMemory, match="no memory has the id 9"):
            memory.forget([0, 9])
        assert differences(memory.state(), before) == []

    @pytest.mark.parametrize("kind", [list, tuple, set, np.array, iter])
    def test_ids_of_any_kind(self, kind):
        memory, _ = steady()
        memory.store(some(7, 5, 2))
        memory.forget(kind([0, 3]))
        assert memory.ids.tolist() == [1, 2, 4]

    def test_links_to_it_are_gone(self):
        memory, _ = steady(links=3, association=500.0)
        keys = some(8, 10, 16)
        memory.store(keys)
        memory.forget(4)
        assert max(one.association for one in memory.recall(keys[5], k=9, reinforce=False).explain()) > 0
        linked = [one.id for one in memory.recall(keys[5], k=9, reinforce=False).explain() if one.association > 0]
        assert linked == [6]

    def test_a_memory_that_forgot_all_is_a_new_one(self):
        memory, _ = steady()
        memory.store([1.0, 2.0, 3.0])
        memory.forget(0)
        assert memory.stats().d is None
        memory.store([1.0, 2.0])

    def test_something_large_leaves_no_shadow(self):
        keys = some(9, 20, 4)
        memory, _ = steady(beta=5.0)
        never, _ = steady(beta=5.0)
        memory.store(keys)
        never.store(keys)
        memory.forget(memory.store(np.full(4, 1e9)))
        cue = keys[0] + 0.3
        found = memory.recall(cue, reinforce=False).probability
        assert found == pytest.approx(never.recall(cue, reinforce=False).probability, rel=1e-6)


class TestMerging:
    def test_identical_memories_become_one(self):
        memory, clock = steady()
        keys = some(1, 3, 4)
        memory.store(keys[[0, 1, 0, 2, 0]], payload=["a", "b", "a", "c", "a"])
        clock.advance(100)
        memory.reinforce(2, 3.0)
        clock.advance(100)
        total = memory.strength([0, 2, 4]).sum(axis=0)
        done = memory.consolidate()
        assert (done.merged, len(memory)) == (2, 3)
        assert memory[2].ids == (0, 2, 4)
        for one in (0, 2, 4):
            assert one in memory
            assert memory[one].ids == (0, 2, 4)
            assert memory.strength(one) == pytest.approx(total, rel=1e-5)
        clock.advance(1e6)
        assert memory.recall(keys[0]).ids.tolist() == [2], "the strongest gave its name"
        assert memory.ids.tolist() == [1, 2, 3]
        assert memory.consolidate().merged == 0

    def test_forgetting_one_name_forgets_the_memory(self):
        memory, _ = steady()
        key = some(2, 1, 4)[0]
        memory.store(np.stack([key, key, key + 1]))
        memory.consolidate()
        memory.forget(1)
        assert memory.ids.tolist() == [2]
        assert 0 not in memory
        assert not holds(memory, key)

    def test_a_merged_memory_merges_again(self):
        memory, _ = steady()
        key = some(3, 1, 4)[0]
        memory.store(np.stack([key, key]))
        memory.consolidate()
        memory.store(key)
        assert memory.consolidate().merged == 1
        assert memory[2].ids == (0, 1, 2)
        assert memory.strength(0).sum() == pytest.approx(3)

    @pytest.mark.parametrize(
        ("values", "payload"),
        [
            ([[1.0], [2.0]], None),
            (None, ["a", "b"]),
            (None, [1, True]),
            (None, [[1], [2]]),
            (None, [np.array([1]), np.array([2])]),
            (None, [np.array([1]), [1]]),
            (None, [float("nan"), float("nan") * 1]),
            (None, [{"x": np.arange(2)}, {"x": np.arange(2.0)}]),
            (None, [(np.arange(2),), (np.arange(1, 3),)]),
        ],
    )
    def test_what_differs_or_may_differ_is_not_merged(self, values, payload):
        memory, _ = steady()
        memory.store(np.ones((2, 3)), values, payload=payload)
        assert memory.consolidate().merged == 0
        assert len(memory) == 2

    @pytest.mark.parametrize("payload", [["a", "a"], [(1,), (1,)], [np.arange(3), np.arange(3)], [None, None]])
    def test_equal_payloads_are_merged(self, payload):
        memory, _ = steady()
        memory.store(np.ones((2, 3)), payload=payload)
        assert memory.consolidate().merged == 1

    def test_a_payload_that_cannot_be_compared_is_not_merged(self):
        class Tensor:
            def __eq__(self, other):
                raise RuntimeError("ambiguous")

            __hash__ = None

        memory, _ = steady()
        memory.store(np.ones((2, 3)), payload=[Tensor(), Tensor()])
        memory.consolidate()
        assert len(memory) == 2

    def test_zero_and_minus_zero_are_identical(self):
        memory, _ = steady()
        memory.store([[0.0, 1.0], [-0.0, 1.0]])
        assert memory.consolidate().merged == 1

    def test_near_ones_are_merged_into_the_strongest_and_never_averaged(self):
        memory, _ = steady(merge=0.01)
        keys = some(4, 20, 32)
        near = keys[:5] + np.float32(0.01)
        memory.store(np.concatenate([keys, near]))
        memory.reinforce(np.arange(20, 25))
        assert memory.consolidate().merged == 5
        assert len(memory) == 20
        for i in range(5):
            assert np.array_equal(memory[i].pattern, near[i])
            assert memory[i].ids == (i, 20 + i)

    @pytest.mark.parametrize("similarity", [name for name in SIMILARITIES if SIMILARITIES[name]().reflexive])
    def test_near_ones_of_every_similarity(self, similarity):
        memory, _ = steady(merge=0.02, similarity=similarity)
        keys = some(5, 15, 32)
        memory.store(np.concatenate([keys, keys[:3]]))
        assert memory.consolidate().merged == 3

    def test_none_merges_nothing(self):
        memory, _ = steady(merge=None)
        memory.store(np.ones((4, 2)))
        assert (memory.consolidate().merged, len(memory)) == (0, 4)

    def test_many_copies_over_several_blocks(self):
        for merge in (0.0, 1e-6):
            memory, _ = steady(merge=merge)
            keys = some(6, 300, 6)
            memory.store(np.concatenate([keys, keys[::-1]]))
            assert memory.consolidate().merged == 300
            assert memory.ids.tolist() == list(range(300))
            assert all(memory[i].ids == (i, 599 - i) for i in range(0, 300, 37))

    def test_pins_and_long_term_are_taken_over(self):
        memory, _ = steady(capacity=2, keep="frequent")
        memory.store([1.0, 2.0], pin=True)
        memory.store([1.0, 2.0])
        memory.reinforce(1, 5.0)
        memory.consolidate()
        assert memory[0].ids == (0, 1)
        assert (memory[0].pinned, memory[0].long_term) == (True, True)
        memory.store(some(7, 4, 2))
        assert 0 in memory

    def test_links_are_taken_over(self):
        memory, _ = steady(links=3, association=500.0)
        keys = some(8, 6, 16)
        memory.store(keys[:3])
        memory.store(keys[3:])
        memory.store(keys[1])  # linked with the last, 5
        memory.consolidate()
        linked = {one.id for one in memory.recall(keys[1], k=6, reinforce=False).explain() if one.association > 0}
        assert {0, 2, 5} <= linked

    def test_after_two_thousand_years(self):
        memory, clock = steady()
        memory.store(np.ones((2, 3)))
        memory.store(np.zeros(3))
        clock.advance(2000 * YEAR)
        memory.consolidate()
        assert len(memory) == 2
        assert np.isfinite(memory.strength([0, 2])).all()
        assert memory.recall(np.ones(3)).ids.tolist() == [0]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("separation", SEPARATIONS)
def test_a_state_makes_the_same_memory_again(similarity, separation):
    if not SEPARATIONS[separation]().shift_invariant and similarity not in ("dot", "cosine"):
        return
    settings = {"links": 3, "association": 2.0, "short_term": 9, "capacity": 60, "keep": "frequent"}
    settings["merge"] = 0.001 if SIMILARITIES[similarity]().reflexive else 0.0
    memory, clock = steady(similarity=similarity, separation=separation, beta=9.0, law="two_phase", **settings)
    keys = some(9, 40, 6)
    for key in keys:
        memory.store(key, key[:2], payload=key.tobytes())
        clock.advance(5.0)
        memory.recall(key + 0.1)
    memory.consolidate()
    memory.pin(memory.ids[3])
    memory.forget(memory.ids[5])
    memory.store(keys[:2], keys[:2, :2])
    state = memory.state()
    again = Memory.from_state(state, Steps(clock.now()))
    assert differences(again.state(), state) == []
    assert replace(again.stats(), bytes=0) == replace(memory.stats(), bytes=0)  # but for spare room
    for reinforce in (False, True):
        one, other = (m.recall(keys + 0.2, k=3, reinforce=reinforce) for m in (memory, again))
        assert np.array_equal(one.ids, other.ids)
        assert one.payload == other.payload
        assert np.array_equal(one.strength, other.strength)
        assert one.pattern == pytest.approx(other.pattern, rel=1e-3, abs=1e-4)
        assert one.probability == pytest.approx(other.probability, rel=1e-3, abs=1e-5)
    clock.advance(50.0)
    assert memory.store(keys[7], keys[7, :2]) == again.store(keys[7], keys[7, :2])
    assert memory.ids.tolist() == again.ids.tolist()


def test_a_state_gives_the_same_recall_bit_for_bit():
    memory, clock = steady(beta=9.0)
    keys = some(10, 30, 5)
    memory.store(keys)
    clock.advance(10.0)
    memory.recall(keys[0], reinforce=False)
    clock.advance(0.1)
    again = Memory.from_state(memory.state(), Steps(clock.now()))
    one, other = (m.recall(keys + 0.3, reinforce=False) for m in (memory, again))
    assert one.explain() == other.explain()


@pytest.mark.parametrize("stored", [0, 3])
def test_an_empty_state(stored):
    memory, _ = steady()
    if stored:
        memory.forget(memory.store(some(11, stored, 2)))
    again = Memory.from_state(memory.state(), Steps())
    assert len(again) == 0
    assert again.store([1.0, 2.0]) == stored


def test_a_state_keeps_the_parameters_of_a_separation():
    memory, _ = steady(similarity="cosine", separation=Polynomial(2), beta=1.0)
    keys = np.abs(some(12, 10, 4))
    memory.store(keys)
    again = Memory.from_state(memory.state(), Steps())
    assert np.array_equal(again.recall(keys[0] + 0.2).pattern, memory.recall(keys[0] + 0.2).pattern)


def test_a_state_brings_its_clock_along():
    clock = Steps()
    memory = Memory(clock=clock)
    memory.store([[1.0, 2.0]])
    clock.advance(5)
    again = Memory.from_state(memory.state())
    assert np.array_equal(again.strength(0), memory.strength(0))
    assert Memory.from_state(Memory().state()).state()["clock"] == "seconds"


def test_a_state_from_the_future_is_refused():
    memory, clock = steady()
    clock.advance(1000)
    memory.store(some(13, 3, 2))
    with pytest.raises(InvalidTime):
        Memory.from_state(memory.state(), Steps())


def test_a_state_is_a_copy_both_ways():
    memory, _ = steady(links=2)
    memory.store(some(14, 5, 3), payload=list("abcde"))
    before, state = memory.state(), memory.state()
    again = Memory.from_state(state, Steps())
    for part in (state["index"], state["strengths"], state["linked"], state["catalog"]):
        for array in part.values():
            if isinstance(array, np.ndarray):
                array[...] = 0
    state["catalog"]["payload"][:] = ["x"] * 5
    assert differences(memory.state(), before) == []
    assert differences(again.state(), before) == []


def test_with_dot_a_longer_key_is_no_duplicate():
    with pytest.raises(InvalidParameter, match=r"^Memory\.merge: "):
        Memory(similarity="dot", merge=0.01)
    memory = Memory(similarity="dot", duplicates="keep", clock=Steps())
    memory.store([[100.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert memory.consolidate().merged == 1
    assert len(memory) == 2

"""Storing, short-term and long-term memory, capacity, pins, and what each says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from tests.naive.same import differences

from mossy import Memory, Steps
from mossy.errors import FullMemory, UnknownMemory


def some(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def steady(**settings) -> tuple[Memory, Steps]:
    clock = Steps()
    return Memory(clock=clock, **settings), clock


class TestStoring:
    def test_what_is_stored_is_recalled(self):
        memory, _ = steady()
        keys = some(1, 50, 16)
        ids = memory.store(keys)
        assert ids.tolist() == list(range(50))
        found = memory.recall(keys + 0.1)
        assert np.array_equal(found.pattern, keys)
        assert np.array_equal(found.ids[:, 0], ids)

    def test_one_in_one_out(self):
        memory, _ = steady()
        assert memory.store([1.0, 2.0]) == 0
        assert isinstance(memory.store([2.0, 1.0]), int)
        assert memory.store([[5.0, 5.0]]).tolist() == [2]
        assert memory.recall([1.0, 2.1]).pattern.tolist() == [1.0, 2.0]
        assert len(memory) == 3

    @pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float16, np.float64])
    def test_any_kind_of_number(self, dtype):
        memory, _ = steady()
        keys = (np.random.default_rng(2).random((10, 12)) < 0.5).astype(dtype)
        memory.store(keys)
        assert np.array_equal(memory.recall(keys).pattern, keys.astype(np.float32))

    def test_values(self):
        memory, _ = steady()
        keys, values = some(3, 30, 8), some(4, 30, 3)
        memory.store(keys, values)
        assert np.array_equal(memory.recall(keys).pattern, values)
        assert memory.recall(keys[4]).pattern.shape == (3,)
        assert memory.stats().d_value == 3

    @pytest.mark.parametrize(
        "payload", ["text", b"bytes", 7, None, (1, 2), [1, 2, 3], {"a": 1}, {1, 2}, np.arange(3), lambda: 1, object()]
    )
    def test_a_payload_comes_back_as_the_same_object(self, payload):
        memory, _ = steady()
        memory.store([1.0, 2.0], payload=payload)
        assert memory.recall([1.0, 2.0]).payload[0] is payload
        assert memory[0].payload is payload
        assert memory.replay(1, seed=0).payload[0] is payload

    @pytest.mark.parametrize("payloads", [["a", "b", "c"], ("a", "b", "c"), np.array(["a", "b", "c"]), range(3)])
    def test_a_batch_has_a_payload_for_each(self, payloads):
        memory, _ = steady()
        keys = some(5, 3, 4)
        memory.store(keys, payload=payloads)
        assert [line[0] for line in memory.recall(keys).payload] == list(payloads)

    def test_payloads_may_come_and_go(self):
        memory, _ = steady()
        keys = some(6, 6, 4)
        memory.store(keys[:2])
        memory.store(keys[2], payload="two")
        memory.store(keys[3:5])
        memory.store(keys[5:], payload=["five"])
        assert [line[0] for line in memory.recall(keys).payload] == [None, None, "two", None, None, "five"]
        memory.forget([0, 3])
        assert [line[0] for line in memory.recall(keys[[1, 2, 4, 5]]).payload] == [None, "two", None, "five"]

    def test_what_was_given_may_change_afterwards(self):
        memory, _ = steady()
        keys = some(7, 3, 4)
        given_, payload = keys.copy(), ["a", "b", "c"]
        memory.store(given_, payload=payload)
        given_[:] = 0
        payload[:] = ["x"] * 3
        assert np.array_equal(memory.recall(keys).pattern, keys)
        assert memory.recall(keys[0]).payload == ["a"]

    def test_a_stored_memory_is_looked_at_without_a_trace(self):
        memory, clock = steady()
        memory.store([1.0, 2.0], payload="p", pin=True)
        clock.advance(100)
        before = memory.state()
        one = memory[0]
        assert (one.ids, one.payload, one.pinned, one.short_term, one.long_term) == ((0,), "p", True, True, False)
        assert one.short + one.long == pytest.approx(memory.strength(0).sum())
        one.pattern[:] = 9
        one.value[:] = 9
        assert differences(memory.state(), before) == []
        assert 0 in memory
        for other in (1, -1, 2**40, "0", None, 0.0, True):
            assert other not in memory

    def test_a_huge_number_is_no_id(self):
        memory, _ = steady()
        memory.store([1.0])
        assert 2**70 not in memory

    def test_a_memory_is_not_iterated_by_accident(self):
        memory, _ = steady()
        memory.store(some(8, 3, 2))
        memory.forget(0)
        try:
            found = list(memory)
        except TypeError:
            return
        assert found == [1, 2]


class TestShortTerm:
    def test_is_bounded_and_the_oldest_of_equals_leaves_first(self):
        memory, _ = steady(short_term=5)
        memory.store(some(1, 12, 3))
        assert memory.short_term.tolist() == [7, 8, 9, 10, 11]
        for key in some(2, 3, 3):
            memory.store(key)
        assert memory.short_term.tolist() == [10, 11, 12, 13, 14]
        assert len(memory) == 15
        assert [memory[i].long_term for i in (0, 9, 10, 14)] == [True, True, False, False]

    def test_holds_1024_unless_set(self):
        memory, _ = steady()
        memory.store(some(3, 1030, 2))
        assert (memory.stats().short_term, memory.stats().long_term) == (1024, 6)

    def test_the_least_strong_leaves(self):
        memory, clock = steady(short_term=3)
        memory.store(some(4, 3, 8))
        clock.advance(1000)
        memory.reinforce([0, 2])
        clock.advance(1000)
        memory.store(some(5, 1, 8))
        assert sorted(memory.short_term.tolist()) == [0, 2, 3]

    def test_recall_brings_back_what_had_left(self):
        memory, clock = steady(short_term=4)
        keys = some(6, 10, 32)
        memory.store(keys)
        assert 2 not in memory.short_term
        clock.advance(50)
        found = memory.recall(keys[2])
        assert found.ids.tolist() == [2]
        assert 2 in memory.short_term
        assert len(memory.short_term) == 4
        assert memory[2].long_term
        memory.recall(keys[3], reinforce=False)
        assert 3 not in memory.short_term

    def test_is_a_set(self):
        memory, _ = steady(short_term=4)
        keys = some(7, 4, 16)
        memory.store(keys)
        for _ in range(5):
            memory.recall(keys)
            memory.reinforce([0, 0, 1])
        assert sorted(memory.short_term.tolist()) == [0, 1, 2, 3]

    def test_consolidation_empties_it(self):
        memory, _ = steady()
        memory.store(some(8, 6, 4))
        done = memory.consolidate()
        assert (done.moved, done.let_go, done.merged) == (6, 0, 0)
        assert (memory.stats().short_term, memory.stats().long_term) == (0, 6)
        assert (memory.consolidate().moved, len(memory)) == (0, 6)
        memory.reinforce(3)
        assert memory.short_term.tolist() == [3]
        assert (memory[3].short_term, memory[3].long_term) == (True, True)
        assert memory.consolidate().moved == 0

    def test_consolidating_an_empty_memory(self):
        memory, _ = steady()
        done = memory.consolidate()
        assert (done.moved, done.let_go, done.merged) == (0, 0, 0)

    def test_frequent_keeps_what_was_used_or_pinned(self):
        memory, clock = steady(keep="frequent")
        keys = some(9, 5, 32)
        memory.store(keys, payload=list("abcde"))
        memory.pin(4)
        clock.advance(10)
        assert memory.recall(keys[1]).ids.tolist() == [1]
        memory.reinforce(3, 0.5)
        memory.recall(keys[2], reinforce=False)
        done = memory.consolidate()
        assert (done.moved, done.let_go) == (3, 2)
        assert memory.ids.tolist() == [1, 3, 4]
        assert [line[0] for line in memory.recall(keys[[1, 3, 4]]).payload] == list("bde")
        with pytest.raises(UnknownMemory):
            memory.forget(0)
        clock.advance(1e6)
        assert memory.consolidate().let_go == 0, "what became long-term stays"

    def test_frequent_lets_go_of_what_leaves_a_full_short_term(self):
        memory, clock = steady(keep="frequent", short_term=3)
        keys = some(10, 8, 16)
        for i, key in enumerate(keys):
            memory.store(key)
            clock.advance(1.0)
            if i % 2:
                memory.reinforce(i)
        assert set(memory.ids[memory.ids % 2 == 1].tolist()) == {1, 3, 5, 7}
        assert len(memory) <= 4 + 3

    def test_frequent_in_one_large_batch(self):
        memory, _ = steady(keep="frequent", short_term=4)
        ids = memory.store(some(11, 10, 3))
        assert ids.tolist() == list(range(10))
        assert memory.ids.tolist() == [6, 7, 8, 9]


class TestCapacity:
    def test_the_weakest_is_forgotten(self):
        memory, clock = steady(capacity=3)
        keys = some(1, 5, 16)
        for key in keys[:3]:
            memory.store(key)
            clock.advance(1000)
        memory.reinforce(0)
        clock.advance(1000)
        memory.store(keys[3])
        assert memory.ids.tolist() == [0, 2, 3]
        clock.advance(1000)
        memory.store(keys[4])
        assert memory.ids.tolist() == [0, 3, 4]

    def test_of_equals_the_oldest_is_forgotten(self):
        memory, _ = steady(capacity=4)
        memory.store(some(2, 7, 3))
        assert memory.ids.tolist() == [3, 4, 5, 6]
        memory.store(some(3, 2, 3))
        assert memory.ids.tolist() == [5, 6, 7, 8]

    def test_what_is_pinned_is_never_forgotten(self):
        memory, clock = steady(capacity=3)
        memory.store(some(4, 1, 8), pin=True)
        memory.store(some(5, 2, 8))
        memory.pin(2)
        for key in some(6, 6, 8):
            clock.advance(1e5)
            memory.store(key)
        assert memory.ids.tolist() == [0, 2, 8]
        memory.pin([0, 2], pinned=False)
        memory.reinforce(8)
        memory.store(some(7, 2, 8))
        assert memory.ids.tolist() == [8, 9, 10]

    def test_a_memory_full_of_pins_says_so(self):
        memory, _ = steady(capacity=2)
        memory.store(some(8, 2, 4), pin=True)
        before = memory.state()
        with pytest.raises(FullMemory, match="capacity is 2 and 2 memories are pinned"):
            memory.store(some(9, 1, 4))
        assert differences(memory.state(), before) == []
        memory.forget(0)
        before = memory.state()
        with pytest.raises(FullMemory):
            memory.store(some(9, 2, 4), pin=True)
        assert differences(memory.state(), before) == []
        memory.store(some(9, 1, 4), pin=True)
        assert memory.ids.tolist() == [1, 2]

    def test_a_capacity_of_one(self):
        memory, _ = steady(capacity=1, short_term=1)
        for i, key in enumerate(some(10, 4, 8)):
            assert memory.store(key) == i
            assert memory.ids.tolist() == [i]
            assert np.array_equal(memory.recall(key, reinforce=False).pattern, key)

    def test_what_was_just_stored_is_there(self):
        memory, _ = steady(capacity=2)
        memory.store(some(12, 2, 8))
        memory.reinforce([0, 1])
        assert memory.store(some(13, 1, 8)[0]) in memory

    def test_what_was_just_stored_is_there_when_only_the_frequent_is_kept(self):
        memory, _ = steady(short_term=2, keep="frequent")
        memory.store(some(14, 2, 8))
        memory.reinforce([0, 1])
        assert memory.store(some(15, 1, 8)[0]) in memory

    def test_the_bound_holds_whatever_happens(self):
        memory, clock = steady(capacity=20, short_term=7, keep="frequent", links=2)
        rng = np.random.default_rng(11)
        for _ in range(60):
            memory.store(rng.normal(size=(int(rng.integers(1, 30)), 5)))
            memory.recall(rng.normal(size=(3, 5)))
            clock.advance(float(rng.uniform(0, 50)))
            assert len(memory) <= 20
            assert len(memory.short_term) <= 7
            assert set(memory.short_term.tolist()) <= set(memory.ids.tolist())


class TestStats:
    def test_counts_and_settings(self):
        memory, _ = steady(similarity="cosine", separation="sparsemax", law="benna_fusi", keep="frequent", capacity=99)
        empty = memory.stats()
        assert (empty.memories, empty.d, empty.d_value, empty.bytes_of_patterns) == (0, None, None, 0)
        memory.store(some(1, 10, 4), some(2, 10, 3), pin=True)
        memory.forget([3, 4])
        stats = memory.stats()
        assert (stats.memories, stats.short_term, stats.long_term, stats.pinned) == (8, 8, 0, 8)
        assert (stats.capacity, stats.d, stats.d_value, stats.keep, stats.law) == (99, 4, 3, "frequent", "benna_fusi")
        assert (stats.similarity, stats.separation, stats.beta) == ("cosine", "sparsemax", 2000.0)
        assert repr(memory).startswith("Memory(memories=8")

    def test_bytes_are_at_most_1_3_of_the_patterns(self):
        memory, _ = steady()
        memory.store(some(3, 2000, 784))
        stats = memory.stats()
        assert stats.bytes_of_patterns == 2000 * 784 * 4
        assert stats.bytes <= 1.3 * stats.bytes_of_patterns

    def test_the_values_are_patterns_too(self):
        memory, _ = steady()
        memory.store(some(3, 100, 8), some(4, 100, 40))
        assert memory.stats().bytes_of_patterns == 100 * 48 * 4

    def test_nothing_grows_with_the_number_of_recalls(self):
        memory, clock = steady(links=3, association=1.0)
        keys = some(4, 50, 8)
        memory.store(keys)
        memory.recall(keys)
        before = memory.stats().bytes
        for _ in range(50):
            memory.recall(keys + 0.1, k=3)
            clock.advance(1)
        assert memory.stats().bytes <= before

    def test_strength(self):
        memory, clock = steady()
        memory.store(some(5, 3, 4))
        assert memory.strength([0, 1]).shape == (2, 2)
        assert memory.strength(2).shape == (2,)
        assert memory.strength(2).sum() == pytest.approx(1)
        clock.advance(10)
        later = memory.strength(2)
        assert later.sum() < 1
        memory.reinforce([2, 1], [3.0, 0.5])
        assert memory.strength(2).sum() == pytest.approx(later.sum() + 3, rel=1e-5)
        assert memory.strength([0, 1, 2]).sum(axis=1).argsort().tolist() == [0, 1, 2]
        memory.reinforce([0, 0], 2.0)
        assert memory.strength(0).sum() == pytest.approx(later.sum() + 4, rel=1e-5)


class TestAssociation:
    def test_a_linked_neighbour_is_found(self):
        """Stored next to each other: the one that fits brings the other with it."""
        memory, _ = steady(links=4, association=1600.0)
        keys = some(1, 30, 32)
        memory.store(keys)
        found = memory.recall(keys[10], k=3, reinforce=False)
        assert found.ids[0] == 10
        assert set(found.ids[1:].tolist()) == {9, 11}
        assert found.explain()[1].association == pytest.approx(1600.0, rel=1e-3)
        none = Memory(links=4, clock=Steps())
        none.store(keys)
        assert set(none.recall(keys[10], k=3, reinforce=False).ids[1:].tolist()) != {9, 11}

    def test_what_is_recalled_together_is_linked(self):
        memory, clock = steady(links=4, association=3.0, beta=5.0)
        keys = some(2, 4, 64)
        keys[3] = keys[0] + 0.6 * keys[3]
        for key in keys:
            memory.store(key)
            clock.advance(1e9)  # the links of storing fade
        both = (keys[0] + keys[3]) / 2
        for _ in range(3):
            assert set(memory.recall(both, k=2).ids.tolist()) == {0, 3}
        parts = {one.id: one.association for one in memory.recall(keys[0], k=4, reinforce=False).explain()}
        assert parts[3] > 0.5
        assert parts[3] > 10 * max(parts[1], parts[2])

    def test_links_fade(self):
        memory, clock = steady(links=2, association=10.0)
        keys = some(3, 5, 16)
        memory.store(keys)
        seen = []
        for _ in range(5):
            seen.append(max(one.association for one in memory.recall(keys[2], k=5, reinforce=False).explain()))
            clock.advance(1e7)
        assert (np.diff(seen) < 0).all()

    def test_links_do_not_disturb_a_certain_pattern(self):
        memory, _ = steady(links=8, association=1.0)
        keys = some(4, 200, 32)
        memory.store(keys)
        known = np.arange(32) < 16
        assert np.array_equal(memory.recall(np.where(known, keys, 0), known).pattern, keys)

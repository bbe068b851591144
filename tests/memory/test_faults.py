"""What an interruption, a lack of memory, or another process leaves behind."""

import copy
import os
import pickle
import threading

import numpy as np
import pytest
from tests.naive.same import differences

from mossy import Memory, MossyError, Steps
from mossy.arrays import Column
from mossy.errors import UnknownMemory
from mossy.memory.catalog import Catalog
from mossy.pathway import Links
from mossy.strength import Strengths
from mossy.substrate.index import Index

RNG = np.random.default_rng(0)
KEYS = RNG.normal(size=(12, 6)).astype(np.float32)


def full(n=8, **settings):
    memory = Memory(clock=Steps(), links=2, **settings)
    if n:
        memory.store(KEYS[:n], KEYS[:n, :2], payload=list("abcdefgh")[:n])
    return memory


@pytest.mark.parametrize("fault", [MemoryError, KeyboardInterrupt])
@pytest.mark.parametrize("n", [0, 8])
def test_a_store_that_is_cut_off_stores_nothing(monkeypatch, fault, n):
    fill, cut, calls = Column.fill, 0, 0
    while True:
        memory = full(n)
        before = memory.state()
        cut, calls = cut + 1, 0

        def failing(self, n, value, cut=cut):
            nonlocal calls
            calls += 1
            if calls == cut:
                raise fault
            fill(self, n, value)

        monkeypatch.setattr(Column, "fill", failing)
        try:
            memory.store(KEYS[8:10], KEYS[8:10, :2], payload=["x", "y"])
            break  # no append is left to fail
        except fault:
            pass
        finally:
            monkeypatch.setattr(Column, "fill", fill)
        assert differences(memory.state(), before) == []
        ids = memory.store(KEYS[8:], KEYS[8:, :2], payload=list("wxyz"))
        assert memory.recall(KEYS[10]).payload == ["y"]
        assert memory.recall(KEYS[10]).ids[0] == ids[2]
    assert cut > 8


@pytest.mark.parametrize("part", [Index, Strengths, Links, Catalog])
def test_a_forgetting_that_is_cut_off_is_finished_by_the_next_call(monkeypatch, part):
    memory, whole = full(), full()
    whole.forget([2, 5])
    erase = part.erase
    monkeypatch.setattr(part, "erase", lambda self, rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        memory.forget([2, 5])
    monkeypatch.setattr(part, "erase", erase)
    memory.recall(KEYS[0], reinforce=False)
    assert differences(memory.state(), whole.state()) == []


def test_a_child_forked_while_the_memory_is_held_goes_on():
    memory = full()
    with memory._held():
        child = os.fork()
        if child == 0:
            answer = []
            thread = threading.Thread(target=lambda: answer.append(memory.recall(KEYS[3]).payload), daemon=True)
            thread.start()
            thread.join(20)
            os._exit(0 if answer == [["d"]] else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_copies_are_independent_and_pickling_is_refused_by_name():
    memory = full()
    for twin in (copy.copy(memory), copy.deepcopy(memory)):
        assert differences(twin.state(), memory.state()) == []
        twin.forget(0)
        assert 0 in memory
    with pytest.raises(MossyError, match="state"):
        pickle.dumps(memory)


def test_a_surprise_that_changes_the_memory_cannot_mix_memories_up():
    memory = full()

    def forgets(seen):
        memory.forget(seen.ids[:1])
        return np.ones(len(seen))

    with pytest.raises(UnknownMemory):
        memory.replay(8, seed=0, surprise=forgets)
    assert len(memory) == 7


def test_one_very_long_key_does_not_blur_the_others():
    keys = RNG.normal(size=(200, 16)).astype(np.float32)
    keys[7] *= 1000
    memory = Memory(clock=Steps())
    memory.store(keys)
    found = memory.recall(keys, reinforce=False)
    assert (found.ids[:, 0] == np.arange(200)).all()
    assert np.array_equal(found.pattern, keys)
    assert not memory.recall(RNG.normal(size=16) * 3, reinforce=False).familiar


def test_what_was_very_long_leaves_no_trace_when_it_is_forgotten():
    memory = Memory(clock=Steps())
    memory.store(np.full(8, 1e15))
    memory.forget(0)
    other = Memory(clock=Steps())
    for each in (memory, other):
        each.store(RNG.permutation(np.arange(80.0)).reshape(10, 8) if each is memory else memory[1].pattern)
    assert memory._store.index._longest < 1e3


def test_many_cues_are_answered_in_blocks_as_if_at_once():
    memory, clock = full(), None
    cues = KEYS[RNG.integers(0, 8, 700)] + 0.05 * RNG.normal(size=(700, 6)).astype(np.float32)
    whole = memory.recall(cues, k=2, reinforce=False)
    assert clock is None
    assert len(whole.payload) == 700
    for i in (0, 255, 256, 699):
        one = memory.recall(cues[i], k=2, reinforce=False)
        assert np.array_equal(one.ids, whole.ids[i])
        assert np.array_equal(one.pattern, whole.pattern[i])
        assert np.array_equal(one.fit, whole.fit[i])

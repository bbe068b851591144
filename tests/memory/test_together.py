"""Many threads at one memory, and a child that was forked after a recall."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest

from mossy import Memory, Steps
from mossy.errors import EmptyMemory, UnknownMemory


def run(*works) -> list[BaseException]:
    """Run each work in a thread of its own, at once, and return what they raised."""
    raised: list[BaseException] = []
    start = threading.Barrier(len(works))

    def work(body):
        try:
            start.wait()
            body()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the test must see it
            raised.append(error)

    threads = [threading.Thread(target=work, args=(body,)) for body in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    return raised


def test_four_threads_leave_it_consistent():
    memory = Memory(links=2, association=1.0, short_term=50, capacity=400, clock=Steps())
    rng = np.random.default_rng(1)
    keys = rng.normal(size=(1200, 8)).astype(np.float32)
    memory.store(keys[:200], payload=list(range(200)))
    stored: dict[int, int] = dict(enumerate(range(200)))
    lock = threading.Lock()

    def store(first: int) -> None:
        for i in range(first, first + 300, 3):
            ids = memory.store(keys[i : i + 3], payload=list(range(i, i + 3)))
            with lock:
                stored.update(zip(ids.tolist(), range(i, i + 3), strict=True))

    def recall() -> None:
        for i in range(150):
            found = memory.recall(keys[i : i + 2] + 0.01, k=2)
            for line, payload, pattern in zip(found.ids.tolist(), found.payload, found.pattern, strict=True):
                assert len(line) == len(payload) == 2
                assert np.isfinite(pattern).all()

    def forget() -> None:
        order = np.random.default_rng(2)
        for _ in range(150):
            ids = memory.ids
            one = int(ids[order.integers(len(ids))])
            try:
                memory.forget(one)
                memory.reinforce(int(ids[-1]))
            except UnknownMemory:
                pass

    assert run(lambda: store(200), lambda: store(500), recall, forget) == []
    assert len(memory) == len(memory.ids) == memory.stats().memories <= 400
    assert np.unique(memory.ids).size == len(memory.ids)
    assert set(memory.short_term.tolist()) <= set(memory.ids.tolist())
    for one in memory.ids.tolist():
        assert np.array_equal(memory[one].pattern, keys[stored[one]])
        assert memory[one].payload == stored[one]
    again = Memory.from_state(memory.state(), Steps())
    assert again.ids.tolist() == memory.ids.tolist()


def test_looking_while_another_forgets():
    memory = Memory(clock=Steps())
    memory.store(np.random.default_rng(3).normal(size=(600, 4)))
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            for one in range(0, 600, 7):
                _ = one in memory
            repr(memory)
            memory.stats()
            len(memory)

    def forget() -> None:
        try:
            for one in range(0, 600, 2):
                memory.forget(one)
        finally:
            done.set()

    assert run(look, look, forget) == []
    assert len(memory) == 300


def test_recalls_at_once_are_the_recalls_one_after_the_other():
    memory = Memory(beta=30.0, clock=Steps())
    keys = np.random.default_rng(4).normal(size=(500, 16)).astype(np.float32)
    memory.store(keys)
    cues = keys[:200] + np.float32(0.3)
    expected = memory.recall(cues, k=3, reinforce=False)

    def body() -> None:
        for _ in range(3):
            found = memory.recall(cues, k=3, reinforce=False)
            assert np.array_equal(found.ids, expected.ids)
            assert found.pattern.tobytes() == expected.pattern.tobytes()

    assert run(body, body, body, body) == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("similarity", ["euclidean", "manhattan"])
def test_a_child_forked_after_a_recall_recalls(similarity):
    """Large enough for the compiled loop of the manhattan distance."""
    memory = Memory(similarity=similarity, clock=Steps())
    keys = np.random.default_rng(5).normal(size=(20_000, 32)).astype(np.float32)
    memory.store(keys)
    expected = memory.recall(keys[:8] + 0.1, reinforce=False).ids.tobytes()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if memory.recall(keys[:8] + 0.1, reinforce=False).ids.tobytes() == expected else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_no_thread_is_left_behind():
    before = threading.active_count()
    memory = Memory(clock=Steps())
    memory.store(np.random.default_rng(6).normal(size=(5000, 32)))
    memory.recall(np.zeros((300, 32)), k=5)
    memory.consolidate()
    with pytest.raises(EmptyMemory):
        Memory().recall([1.0])
    assert threading.active_count() == before

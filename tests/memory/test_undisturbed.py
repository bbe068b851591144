"""A signal in the middle of compacting waits until every row is in its place again."""

from __future__ import annotations

import os
import signal
import threading

import numpy as np
import pytest

import mossy
from mossy.memory.undisturbed import undisturbed


class Stopped(Exception):
    """What the handler of a signal raises."""


@pytest.fixture
def stopping():
    def stop(number, frame):
        raise Stopped

    before = signal.signal(signal.SIGUSR1, stop)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_signal_waits_until_the_block_is_done(stopping):
    done = []

    def work():
        with undisturbed():
            os.kill(os.getpid(), signal.SIGUSR1)
            done.append(1)

    with pytest.raises(Stopped):
        work()
    assert done == [1]
    with pytest.raises(Stopped):  # the handler is there again
        signal.raise_signal(signal.SIGUSR1)


def test_other_threads_are_let_be():
    handler = signal.getsignal(signal.SIGINT)
    seen = []

    def work():
        with undisturbed():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [handler]


@pytest.mark.parametrize("pathway", ["exact", "sketch"])
def test_an_interrupted_compaction_mixes_nothing_up(stopping, monkeypatch, pathway):
    patterns = np.random.default_rng(0).normal(size=(2000, 32)).astype(np.float32)
    memory = mossy.Memory(pathway=pathway)
    memory.store(patterns, payload=list(range(2000)))
    memory.recall(patterns[:2])
    column = type(memory._store.index._keys)
    put = column.put

    def interrupted(self, rows):
        put(self, rows)
        os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(column, "put", interrupted)
    with pytest.raises(Stopped):
        memory.forget(range(500))
    monkeypatch.undo()
    assert len(memory) == len(memory.ids) == 1500
    for id in (500, 1000, 1999):
        assert (memory[id].pattern == patterns[id]).all()
        assert memory[id].payload == id
        assert memory.recall(patterns[id]).ids[0] == id

"""A capacity in bytes: it holds after every call, whatever is asked; and what is no capacity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive.same import differences

import mossy
from mossy import Memory, Steps
from mossy.errors import FullMemory, InvalidParameter
from mossy.memory import capacity as module
from mossy.memory.capacity import limit_of
from mossy.memory.configuration import Configuration
from mossy.pathway.vector import sketch as sketch_module

D = 16
POOL = np.random.default_rng(0).normal(size=(600, D)).astype(np.float32)

SETTINGS = {
    "plain": {},
    "links": {"links": 8, "association": 1.0},
    "sketch": {"pathway": "sketch", "similarity": "cosine"},
    "frequent": {"keep": "frequent", "short_term": 40},
    "adapting": {"adapt": True, "links": 2},
    "twice": {"duplicates": "keep", "law": "two_phase", "links": 1},
}


def holds(memory: Memory) -> None:
    stats = memory.stats()
    assert stats.bytes <= stats.capacity_bytes
    assert stats.fits is None or stats.memories <= stats.fits


@pytest.fixture(autouse=True)
def short_patterns_are_sketched(monkeypatch):
    """Let sketches be made of patterns of few entries, too."""
    monkeypatch.setattr(sketch_module, "ENTRIES", 1)


class TestBytes:
    @pytest.mark.parametrize("name", SETTINGS)
    def test_the_budget_holds_after_every_call(self, make, name):
        memory, rng = make(capacity="60 kB", **SETTINGS[name]), np.random.default_rng(1)
        for _ in range(40):
            memory.store(POOL[rng.integers(600, size=int(rng.integers(1, 300)))], payload=None)
            holds(memory)
            memory.recall(POOL[rng.integers(600, size=3)], k=2, reinforce=bool(rng.random() < 0.5))
            holds(memory)
            memory._clock.advance(float(10 ** rng.uniform(0, 11)))
            if rng.random() < 0.2:
                memory.consolidate()
                holds(memory)
        assert memory.stats().memories > (30 if name == "frequent" else 0.9 * memory.stats().fits)

    @settings(max_examples=25, deadline=None)
    @given(
        budget=st.integers(3_000, 200_000),
        name=st.sampled_from(sorted(SETTINGS)),
        sizes=st.lists(st.tuples(st.integers(1, 500), st.integers(0, 599), st.booleans()), min_size=1, max_size=12),
        d_value=st.sampled_from([None, 3]),
        small=st.sampled_from([16, 4096]),
    )
    def test_whatever_is_stored(self, budget, name, sizes, d_value, small):
        with pytest.MonkeyPatch.context() as patch:
            for place in ("capacity", "store"):  # with few rows at which forgetting compacts at once
                patch.setattr(f"mossy.memory.{place}.SMALL", small)
            clock = Steps()
            memory = Memory(capacity=f"{budget} B", clock=clock, **SETTINGS[name])
            for n, first, recalls in sizes:
                keys = np.roll(POOL, -first, axis=0)[:n] * np.float32(1 + len(memory))
                try:
                    memory.store(keys, None if d_value is None else keys[:, :d_value], payload=["x"] * n)
                except FullMemory:
                    assert memory.stats().memories == 0
                    continue
                holds(memory)
                if recalls:
                    memory.recall(keys[:2])
                    memory.forget(memory.ids[: len(memory) // 3 + 1])
                    clock.advance(1e5)
                holds(memory)

    def test_what_is_merged_takes_bytes(self):
        memory = Memory(capacity="20 kB", duplicates="keep", clock=Steps())
        for round in range(20):
            memory.store(np.tile(POOL[:9], (8, 1)) + (round % 3))
            memory.consolidate()
            holds(memory)
        assert len(memory) > 3

    def test_how_many_fit_is_a_function_of_the_settings(self, make):
        one, other = make(capacity="40 kB"), Memory(capacity="40 kB", clock=Steps(100))
        assert one.stats().fits is None
        one.store(POOL[:300])
        other.store(POOL[300:320])
        other.store(POOL[:280])
        durable = one.stats().file is not None
        fits = limit_of(Configuration(capacity="40 kB"), D, None, not durable).memories
        assert (one.stats().fits, len(one)) == (fits, fits)
        assert durable or other.stats().fits == fits

    def test_more_bytes_hold_more(self):
        budgets = [int(10**x) for x in np.linspace(4.2, 10, 200)]
        fits = [limit_of(Configuration(capacity=f"{budget} B"), 64, None, True).memories for budget in budgets]
        assert (np.diff(fits) >= 0).all()
        assert fits[0] >= 1
        assert fits[-1] * 64 * 4 > 0.4 * budgets[-1]

    def test_little_is_wasted(self):
        memory = Memory(capacity="2 MB", clock=Steps(), duplicates="keep")
        memory.store(np.random.default_rng(3).normal(size=(9000, 64)).astype(np.float32))
        stats = memory.stats()
        assert stats.memories == stats.fits
        assert stats.bytes > 0.75 * stats.capacity_bytes

    def test_the_weakest_is_forgotten(self):
        clock = Steps()
        memory = Memory(capacity="30 kB", clock=clock)
        memory.store(POOL[:40])
        fits = memory.stats().fits
        memory.store(POOL[40:fits])
        clock.advance(1000)
        memory.reinforce([3, 5])
        clock.advance(1000)
        memory.store(POOL[fits : fits + 7])
        assert memory.ids[:3].tolist() == [3, 5, 9]
        assert len(memory) == fits

    def test_a_sketch_that_takes_too_much_is_made_again(self, monkeypatch):
        memory = Memory(capacity="60 kB", pathway="sketch", clock=Steps())
        memory.store(POOL[:100])
        memory.recall(POOL[:2])
        sketch = memory._store.vector
        assert sketch.nbytes
        monkeypatch.setattr(type(sketch), "nbytes", property(lambda self: 10**6 * (self is sketch)))
        assert memory.recall(POOL[7]).ids.tolist() == [7]
        assert memory._store.vector is not sketch
        assert memory.recall(POOL[8]).ids.tolist() == [8]

    def test_a_failed_store_takes_nothing(self, make, monkeypatch):
        memory = make(capacity="40 kB")
        memory.store(POOL[:30])
        monkeypatch.setattr(type(memory._store.short), "enter", None)
        with pytest.raises(TypeError):
            memory.store(POOL[30:600])
        monkeypatch.undo()
        holds(memory)
        assert len(memory) == 30


class TestTooSmall:
    def test_a_budget_below_one_memory_is_named_when_it_is_known(self, make):
        memory = make(capacity="500 B")
        before = memory.state()
        with pytest.raises(FullMemory, match=r"a capacity of 500 B was given; at least [\d,]+ bytes are allowed"):
            memory.store(POOL[:3])
        assert differences(memory.state(), before) == []
        assert len(memory) == 0

    def test_the_budget_that_it_names_has_room_for_one(self):
        memory = Memory(capacity="500 B", clock=Steps())
        with pytest.raises(FullMemory) as caught:
            memory.store(POOL[:1])
        least = int(str(caught.value).split("at least ")[1].split(" ")[0].replace(",", ""))
        assert Memory(capacity=f"{least} B").store(POOL[0]) == 0
        with pytest.raises(FullMemory):
            Memory(capacity=f"{least - 1} B").store(POOL[0])

    def test_a_budget_full_of_pins_says_so(self, make):
        memory = make(capacity="20 kB")
        memory.store(POOL[:1])
        fits = memory.stats().fits
        memory.store(POOL[1:fits], pin=True)
        memory.pin(0)
        before = memory.state()
        with pytest.raises(FullMemory, match=f"is 20 kB, which is {fits} memories, and {fits} memories are pinned"):
            memory.store(POOL[fits])
        assert differences(memory.state(), before) == []


class TestGiven:
    @pytest.mark.parametrize("given", ["many", "", "100", "64 MBit", "-1 MB", "0 MB", "1e3 MB", "MB", "9999999999 TB"])
    def test_what_is_no_capacity(self, given):
        with pytest.raises(InvalidParameter, match=r"Memory.capacity: .* a number of memories, or bytes"):
            Memory(capacity=given)

    def test_the_bytes_of_a_graph_are_not_known(self):
        with pytest.raises(InvalidParameter, match="pathway='graph'"):
            Memory(capacity="1 GB", pathway="graph")

    def test_stats_tell_it(self, make):
        memory = make(capacity="1 MiB")
        memory.store(POOL[:5])
        stats = memory.stats()
        assert (stats.capacity, stats.capacity_bytes) == ("1 MiB", 1 << 20)
        assert stats.fits > 1000
        number = make(capacity=7)
        number.store(POOL[:9])
        assert (number.stats().capacity, number.stats().capacity_bytes, number.stats().fits) == (7, None, 7)

    def test_it_is_kept_with_the_memory(self, tmp_path):
        with mossy.open(tmp_path / "m.mossy", capacity="50 kB", clock=Steps(), durability="process") as memory:
            memory.store(POOL)
            held = memory.ids.tolist()
        with mossy.open(tmp_path / "m.mossy", durability="process") as memory:
            assert memory.stats().capacity == "50 kB"
            assert memory.ids.tolist() == held
            holds(memory)
            again = Memory.from_state(memory.state())
            assert again.stats().capacity == "50 kB"
            memory.store(POOL[:5] + 1)
            holds(memory)
        with mossy.open(tmp_path / "m.mossy", capacity="20 kB", durability="process") as memory:
            memory.store(POOL[5] + 1)
            holds(memory)
            assert len(memory) < len(held)

    def test_an_import_keeps_within_it(self, tmp_path):
        one = Memory(clock=Steps())
        one.store(POOL)
        one.export(tmp_path / "all")
        small = Memory(capacity="50 kB", clock=Steps())
        with pytest.raises(FullMemory, match="the capacity is 50 kB"):
            small.import_(tmp_path / "all")
        one.forget(np.arange(100, 600))
        one.export(tmp_path / "some")
        small.import_(tmp_path / "some")
        holds(small)
        assert len(small) == 100


def test_the_rows_are_the_most_that_fit():
    for d, links in ((1, 0), (16, 3), (784, 8)):
        for budget in (5_000, 77_777, 10**6, 3 * 10**8):
            configuration = Configuration(capacity=f"{budget} B", links=links)
            limit, size = limit_of(configuration, d, None, True), module._Size(configuration, d, None, True)
            assert size.of(limit.rows) <= budget < size.of(limit.rows + 1)

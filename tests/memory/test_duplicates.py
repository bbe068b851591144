"""What is there already is reinforced, and nothing else is taken for it: in this process and on disk alike."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.small import small
from tests.naive.same import same

import mossy
from mossy import Memory, Steps

KEYS = np.random.default_rng(0).normal(size=(30, 5)).astype(np.float32)
VALUES = np.random.default_rng(1).normal(size=(30, 2)).astype(np.float32)

Maker = Callable[..., Memory]


@pytest.fixture(params=["here", "disk", "reopened"])
def make(request, tmp_path) -> Any:
    """Return what makes a memory; ``again`` closes one on disk and opens it, which then knows only its file."""
    opened: list[Memory] = []

    def maker(**settings: Any) -> Memory:
        if request.param == "here":
            return Memory(clock=Steps(), **settings)
        opened.append(mossy.open(tmp_path / f"{len(opened)}.mossy", clock=Steps(), durability="process", **settings))
        return opened[-1]

    def again(memory: Memory) -> Memory:
        if request.param != "reopened":
            return memory
        memory.close()
        place = opened.index(memory)
        opened[place] = mossy.open(tmp_path / f"{place}.mossy", durability="process")
        return opened[place]

    maker.again = again
    yield maker
    for memory in opened:
        memory.close()


def total(memory: Memory, id: int) -> float:
    return float(memory.strength(id).sum())


class TestReinforced:
    """The same pattern, value and payload."""

    def test_its_id_is_returned_and_its_strength_grows(self, make):
        memory = make()
        ids = memory.store(KEYS[:4], payload=list("abcd"))
        once = total(memory, 1)
        memory = make.again(memory)
        assert memory.store(KEYS[1], payload="b") == ids[1]
        assert len(memory) == 4
        assert total(memory, 1) == pytest.approx(2 * once, rel=1e-5)
        assert total(memory, 2) == pytest.approx(once, rel=1e-5)
        memory = make.again(memory)
        assert total(memory, 1) == pytest.approx(2 * once, rel=1e-5)
        assert memory.store(KEYS[4], payload="e") == 4

    def test_a_batch_with_some_that_are_there_and_repeats_inside(self, make):
        memory = make()
        memory.store(KEYS[:3])
        once = total(memory, 0)
        memory = make.again(memory)
        ids = memory.store(KEYS[[5, 1, 6, 5, 1, 5, 2]])
        assert ids.tolist() == [3, 1, 4, 3, 1, 3, 2]
        assert len(memory) == 5
        memory = make.again(memory)
        strengths = [round(total(memory, id) / once, 4) for id in range(5)]
        assert strengths == [1, 3, 2, 3, 1]
        assert memory.store(KEYS[7]) == 5

    def test_a_batch_of_one_thing(self, make):
        memory = make()
        assert memory.store(np.repeat(KEYS[:1], 50, axis=0), payload=["x"] * 50).tolist() == [0] * 50
        assert len(memory) == 1
        assert total(memory, 0) == pytest.approx(50 * total(Memory.from_state(memory.state(), Steps()), 0) / 50)
        memory.store(KEYS[1])
        assert total(memory, 0) == pytest.approx(50 * total(memory, 1), rel=1e-5)

    def test_it_is_short_term_again_and_counts_as_used(self, make):
        memory = make(keep="frequent", short_term=3)
        memory.store(KEYS[0])
        memory.reinforce(0)
        memory.store(KEYS[1:3])
        memory.consolidate()
        assert memory.ids.tolist() == [0]
        memory = make.again(memory)
        memory.store(KEYS[[0, 5]])
        assert memory.short_term.tolist() == [3, 0]
        memory.store(KEYS[5])
        memory.consolidate()
        assert memory.ids.tolist() == [0, 3]

    def test_pinning_reaches_what_is_there(self, make):
        memory = make()
        memory.store(KEYS[:2])
        memory = make.again(memory)
        memory.store(KEYS[[1, 2, 2]], pin=True)
        memory = make.again(memory)
        assert [memory[id].pinned for id in range(3)] == [False, True, True]
        memory.store(KEYS[1])
        assert memory[1].pinned, "storing it again without pin takes nothing back"

    def test_links_lead_from_the_last_that_was_new(self, make):
        memory = make(links=2, association=0.5)
        memory.store(KEYS[:3])
        memory.store(KEYS[0])
        memory.store(KEYS[3])
        assert len(memory) == 4
        assert memory.recall(KEYS[2], k=4, reinforce=False).explain()[0].id == 2

    def test_zero_has_no_sign(self, make):
        memory = make()
        memory.store([0.0, 1.0, 0.0], [0.0, -0.0])
        memory = make.again(memory)
        assert memory.store([-0.0, 1.0, 0.0], [-0.0, 0.0]) == 0
        assert memory.store([[0.0, 1.0, -0.0], [-0.0, 1.0, -0.0]], [[0.0, 0.0], [0.0, -0.0]]).tolist() == [0, 0]
        assert len(memory) == 1

    def test_a_capacity_that_is_reached_has_room_for_it(self, make):
        memory = make(capacity=3)
        memory.store(KEYS[:3], pin=True)
        memory = make.again(memory)
        assert memory.store(KEYS[[2, 0, 2]]).tolist() == [2, 0, 2]
        with pytest.raises(mossy.MossyError):
            memory.store(KEYS[[2, 5]])
        assert total(memory, 2) == pytest.approx(3 * total(memory, 1), rel=1e-5), (
            "a batch that fails reinforces nothing"
        )

    def test_what_was_forgotten_is_new(self, make):
        memory = make()
        memory.store(KEYS[:5], payload=list("abcde"))
        memory.forget([1, 4])
        memory = make.again(memory)
        assert memory.store(KEYS[[1, 4, 0]], payload=list("bea")).tolist() == [5, 6, 0]
        memory.forget(memory.ids)
        assert memory.store(KEYS[0], payload="a") == 7

    def test_what_was_let_go_is_new(self, make):
        memory = make(capacity=2, short_term=1)
        memory.store(KEYS[0])
        memory._clock.advance(1e5)
        memory.store(KEYS[1])
        memory.store(KEYS[2])
        assert memory.ids.tolist() == [1, 2]
        memory = make.again(memory)
        assert memory.store(KEYS[0]) == 3

    def test_a_merged_memory_is_known_by_its_key(self, make):
        memory = make(duplicates="keep", merge=0.5)
        near = KEYS[0] + np.float32(0.01)
        memory.store([*KEYS[:5], near], payload=["x"] * 6)
        memory.reinforce(0, 5.0)
        assert memory.consolidate().merged == 1
        memory = make.again(memory)
        state = memory.state()
        state["configuration"]["duplicates"] = "reinforce"
        here = Memory.from_state(state, Steps())
        assert here.store(KEYS[0], payload="x") == 0
        assert here.store(near, payload="x") == 6
        assert here[5].ids == (0, 5)


class TestApart:
    """What differs in anything is stored by itself."""

    def test_another_value_or_payload(self, make):
        memory = make()
        assert memory.store(KEYS[0], VALUES[0], payload="a") == 0
        memory = make.again(memory)
        assert memory.store(KEYS[0], VALUES[1], payload="a") == 1
        assert memory.store(KEYS[0], VALUES[0], payload="b") == 2
        assert memory.store(KEYS[0], VALUES[0]) == 3
        assert memory.store(KEYS[0], VALUES[0], payload="a") == 0
        assert memory.store(KEYS[[0, 0, 0]], VALUES[[0, 1, 2]], payload=["a", "a", "a"]).tolist() == [0, 1, 4]
        assert memory.store(np.nextafter(KEYS[0], np.float32(9)), VALUES[0], payload="a") == 5

    UNLIKE: tuple[Any, ...] = (
        None, 1, True, 1.0, "1", b"1", 0, False, 0.0, "", b"", [], {}, [1], [True], [1.0], ["1"], [[1]], [1, 1], [None],
        {"a": 1}, {"a": True}, {"a": 1.0}, {"a": [1]}, {"a": [True]}, {"b": 1}, {"a": 1, "b": 2}, {"a": None},
        np.array([1]), np.array([1.0]), np.array([True]), np.array([1], np.int8), np.array([[1]]), np.array(["1"]),
        np.array([1 + 0j]), np.array([]), np.array([], np.int8), np.zeros((0, 2)), "é", "e\u0301", "\ud800", 2**53,
        2**53 + 1, float(2**53), [2**53], [float(2**53)], {"a": {"b": 0}}, {"a": {"b": False}},
    )  # fmt: skip

    def test_payloads_that_python_takes_for_equal(self, make):
        memory = make()
        key = KEYS[0]
        ids = [memory.store(key, payload=payload) for payload in self.UNLIKE]
        assert ids == list(range(len(self.UNLIKE)))
        memory = make.again(memory)
        assert [memory.store(key, payload=payload) for payload in self.UNLIKE] == ids
        batch = memory.store(np.stack([key] * len(ids)), payload=list(self.UNLIKE))
        assert batch.tolist() == ids
        for id, payload in zip(ids, self.UNLIKE, strict=True):
            assert same(memory[id].payload, payload)

    def test_a_batch_of_payloads_that_python_takes_for_equal(self, make):
        memory = make()
        ids = memory.store(np.stack([KEYS[0]] * len(self.UNLIKE)), payload=list(self.UNLIKE))
        assert ids.tolist() == list(range(len(self.UNLIKE)))

    def test_the_order_of_a_dict_is_no_difference(self, make):
        memory = make()
        memory.store(KEYS[0], payload={"a": 1, "b": [1, {"c": 2, "d": 3}]})
        memory = make.again(memory)
        assert memory.store(KEYS[0], payload={"b": [1, {"d": 3, "c": 2}], "a": 1}) == 0

    def test_values_are_compared_where_they_are_given(self, make):
        memory = make()
        assert memory.store(KEYS[0], KEYS[0]) == 0
        memory = make.again(memory)
        assert memory.store(KEYS[0], KEYS[0]) == 0
        assert memory.store(KEYS[0], KEYS[1]) == 1

    def test_equal_fingerprints_are_not_enough(self, make, monkeypatch):
        from mossy.memory.fingerprints import Fingerprints

        monkeypatch.setattr(Fingerprints, "_hash", lambda self, patterns: np.zeros(len(patterns), np.uint32))
        memory = make()
        assert memory.store(KEYS[:20]).tolist() == list(range(20))
        memory.forget([3, 4])
        memory = make.again(memory)
        assert memory.store(KEYS[[7, 21, 21, 3]]).tolist() == [7, 20, 20, 21]

    def test_duplicates_can_be_kept(self, make):
        memory = make(duplicates="keep")
        assert memory.store(KEYS[[0, 0]]).tolist() == [0, 1]
        memory = make.again(memory)
        assert memory.store(KEYS[0]) == 2
        assert total(memory, 0) == total(memory, 2)
        assert memory.consolidate().merged == 2
        memory = make.again(memory)
        assert memory[2].ids == (0, 1, 2)
        assert total(memory, 0) == pytest.approx(3 * math.fsum(memory.strength(0)) / 3)
        assert memory.store(KEYS[0]) == 3


@settings(max_examples=30)
@given(
    st.lists(
        st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1), st.integers(0, 2)), min_size=1, max_size=6),
        min_size=1,
        max_size=8,
    ),
    st.sets(st.integers(0, 20), max_size=5),
)
def test_batches_of_any_kind_against_a_dict(tmp_path_factory, batches, forgotten):
    """Here and on disk: one id for each triple, and a strength for each time it was stored."""
    payloads = (None, "a", [1])
    path = tmp_path_factory.mktemp("any") / "life.mossy"
    with small(RECENT=2, BLOCK=64), mossy.open(path, clock=Steps(), durability="process") as disk:
        here = Memory(clock=Steps())
        expected: dict[tuple[int, int, int], int] = {}
        times: dict[int, int] = {}
        count = 0
        for batch in batches:
            answers = []
            for triple in batch:
                if triple not in expected:
                    expected[triple], count = count, count + 1
                answers.append(expected[triple])
                times[answers[-1]] = times.get(answers[-1], 0) + 1
            for memory in (here, disk):
                keys, values, kinds = (list(part) for part in zip(*batch, strict=True))
                ids = memory.store(KEYS[keys], VALUES[values], payload=[payloads[kind] for kind in kinds])
                assert ids.tolist() == answers
            for id in forgotten & set(here.ids.tolist()):
                here.forget(id)
                disk.forget(id)
                expected = {triple: one for triple, one in expected.items() if one != id}
        for memory in (here, disk):
            assert memory.ids.tolist() == sorted(expected.values())
            fresh = sum(memory._store.strengths.law.split(np.ones(memory._store.strengths.law.modes), 0.0))
            for id in expected.values():
                assert total(memory, id) == pytest.approx(times[id] * fresh, rel=1e-5)

"""What is exported comes back, and what is here already is joined with it."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journal.alike import unlike
from tests.memory.lives import POOL, linked, lived, strengths, whole
from tests.naive.same import differences

import mossy
from mossy import Memory, Steps
from mossy.errors import FullMemory
from mossy.journal import verify
from mossy.memory.interchange import form
from mossy.memory.results import Imported

# -- there and back -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("links", [0, 3])
def test_an_export_into_an_empty_memory_gives_the_same(make, tmp_path, links):
    one, other = lived(make(links=links, duplicates="keep")), make(links=links, clock=Steps(500), duplicates="keep")
    n = one.export(tmp_path / "life")
    assert n == len(one) == 16
    assert other.import_(tmp_path / "life.jsonl") == Imported(16, 0, {})
    assert differences(whole(one), whole(other)) == []
    one._clock.advance(382)
    assert one._clock.now() == other._clock.now()
    assert unlike(one, other, POOL[:6] + np.float32(0.02)) == []
    assert other.store(POOL[30]) == one.store(POOL[30]) == 20, "no id is used again"


def test_an_import_is_on_disk(tmp_path):
    lived(Memory(clock=Steps(), duplicates="keep", links=2)).export(tmp_path / "life")
    with mossy.open(tmp_path / "m", links=2, clock=Steps(200)) as memory:
        memory.import_(tmp_path / "life")
        before = whole(memory)
    assert verify(tmp_path / "m")
    with mossy.open(tmp_path / "m") as memory:
        assert differences(whole(memory), before) == []


def test_values_go_along(make, tmp_path):
    one, other = make(), make()
    one.store(POOL[:6], POOL[:6, :2])
    one.forget(2)
    one.export(tmp_path / "life")
    other.import_(tmp_path / "life")
    assert differences(whole(one), whole(other)) == []
    assert np.array_equal(other.recall(POOL[4]).pattern, POOL[4, :2])


def test_an_empty_memory_goes_out_and_in(make, tmp_path):
    one, other = make(), make()
    assert one.export(tmp_path / "nothing") == 0
    assert other.import_(tmp_path / "nothing") == Imported(0, 0, {})
    assert other.store(POOL[0]) == 0
    assert other.import_(tmp_path / "nothing") == Imported(0, 0, {})


def test_ids_that_were_forgotten_are_not_used_again_elsewhere(make, tmp_path):
    one, other = make(), make()
    one.store(POOL[:9])
    one.forget(range(3, 9))
    one.export(tmp_path / "life")
    other.import_(tmp_path / "life")
    assert other.store(POOL[20]) == 9


payloads = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=3) | st.sampled_from(["$json", "$bytes", "$array"]), inner, max_size=2)
    ),
    max_leaves=6,
) | st.binary(max_size=9)


@given(payload=payloads)
def test_every_payload_is_told_in_a_line_and_read_from_it(payload):
    text = form.as_text(payload)
    assert b"\n" not in text
    assert form.encoded(json.loads(text)) == mossy.journal.encode(payload)


@settings(max_examples=30)
@given(data=st.data(), keep=st.booleans(), links=st.sampled_from([0, 2]))
def test_any_life_comes_back_and_twice_changes_nothing(tmp_path_factory, data, keep, links):
    folder = tmp_path_factory.mktemp("life")
    duplicates = "keep" if keep else "reinforce"
    one, other = (Memory(clock=Steps(), links=links, duplicates=duplicates, short_term=4) for _ in range(2))
    random_life(one, data)
    random_life(other, data)
    for memory in (one, other):
        memory._clock.advance(1e3 - memory._clock.now())
    one.export(folder / "one")
    fresh = Memory(clock=Steps(1e3), links=links, duplicates=duplicates, short_term=4)
    fresh.import_(folder / "one")
    assert differences(whole(one), whole(fresh)) == []

    content = [(one[id].pattern.tobytes(), one[id].payload) for id in one.ids.tolist()]
    here = {id: (other[id].pattern.tobytes(), other[id].payload) for id in other.ids.tolist()}
    done = other.import_(folder / "one")
    assert done.added + done.merged == len(one)
    assert len(other) == len(here) + done.added
    for id, told in zip(one.ids.tolist(), content, strict=True):
        stored = other[done.renamed.get(id, id)]
        assert (stored.pattern.tobytes(), stored.payload) == told
        assert stored.pinned >= one[id].pinned
        assert (other.strength(done.renamed.get(id, id)).sum() >= one.strength(id).sum() * (1 - 1e-6)).all()
        for also in one[id].ids:
            assert done.renamed.get(also, also) in stored.ids
    for id, told in here.items():
        assert (other[id].pattern.tobytes(), other[id].payload) == told, "what was here stays"
    if not keep:
        assert len({(other[id].pattern.tobytes(), other[id].payload) for id in other.ids.tolist()}) <= len(other)

    before = other.state()
    again = other.import_(folder / "one")
    assert (again.added, again.merged) == (0, len(one))
    assert again.renamed == done.renamed
    assert differences(other.state(), before) == []


def random_life(memory: Memory, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 8))):
        what = data.draw(st.sampled_from(["store", "store", "forget", "reinforce", "pin", "consolidate", "recall"]))
        places = data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=4))
        ids = memory.ids
        some = np.unique([ids[place % len(ids)] for place in places]) if len(ids) else ids
        memory._clock.advance(data.draw(st.sampled_from([0.0, 1.0, 40.0])))
        if what == "store":
            memory.store(POOL[places], payload=[place % 3 for place in places])
        elif what == "consolidate":
            memory.consolidate()
        elif len(ids) and what == "recall":
            memory.recall(POOL[places[0]])
        elif len(ids):
            {"forget": memory.forget, "reinforce": memory.reinforce, "pin": memory.pin}[what](some)


# -- joining ------------------------------------------------------------------------------------------------------


def test_two_copies_that_went_apart_become_one(make, tmp_path):
    one, other = make(links=2, duplicates="keep"), make(links=2)
    lived(one).export(tmp_path / "begin")
    other._clock.advance(20)
    other.import_(tmp_path / "begin")
    one.reinforce(4, 3.0)
    one.pin(2)
    mine = one.store(POOL[30:32], payload=["mine", "mine too"])
    other.reinforce([5, 6], 1.0)
    theirs = other.store(POOL[32:34], payload=["theirs", "theirs too"])
    assert mine.tolist() == theirs.tolist() == [20, 21]
    expected = np.maximum(strengths(one, range(2, 9)), strengths(other, range(2, 9)))
    for memory in (one, other):
        memory._clock.advance(50 - memory._clock.now() + 200)
    expected = np.maximum(modes_now(one, range(2, 9)), modes_now(other, range(2, 9)))
    one.export(tmp_path / "one")
    other.export(tmp_path / "other")
    assert one.import_(tmp_path / "other") == Imported(2, 16, {20: 22, 21: 23})
    assert other.import_(tmp_path / "one") == Imported(2, 16, {20: 22, 21: 23})
    for memory in (one, other):
        assert len(memory) == 20
        assert memory[2].pinned
        assert np.allclose(modes_now(memory, range(2, 9)), expected, rtol=1e-5)
    assert (one[22].payload, other[23].payload) == ("theirs", "mine too")
    assert np.array_equal(modes_now(one, range(2, 9)), modes_now(other, range(2, 9))), "in whichever order"


def modes_now(memory: Memory, ids: Any) -> np.ndarray:
    """Return the modes as they are now, by the law's own equation in loops."""
    law, rows = memory._store.strengths.law, memory._store.catalog.rows_of(list(ids))
    modes, elapsed = memory._store.strengths.modes(rows, memory._clock.now())
    return np.array(
        [
            [float(z) * np.exp(-rate * t) for z, rate in zip(line, law.rates, strict=True)]
            for line, t in zip(modes, elapsed, strict=True)
        ]
    )


def test_links_follow_the_new_ids_and_both_sides_are_joined(tmp_path):
    one, other = (Memory(clock=Steps(10), links=4) for _ in range(2))
    other.store(POOL[10:12], payload=["a", "b"])
    one.store(POOL[:3])  # 0 – 1 – 2
    one.export(tmp_path / "life")
    assert other.import_(tmp_path / "life").renamed == {0: 3, 1: 4}
    assert linked(other, 2) == {4}
    assert linked(other, 4) == {3, 2}
    assert linked(other, 0) == {1}, "what was linked here stays so"
    one.store(POOL[5])  # 3, linked with 2
    one.export(tmp_path / "life")
    assert other.import_(tmp_path / "life").renamed == {0: 3, 1: 4, 3: 5}
    assert linked(other, 2) == {4, 5}


def test_of_too_many_links_the_strongest_stay(tmp_path):
    one = Memory(clock=Steps(), links=4)
    one.store(POOL[:2])
    one._clock.advance(50)
    one.store(POOL[2])
    one.store(POOL[3])  # 2 is linked with 1 and with 3, both fresh; 1 with 0 long ago and with 2
    one.export(tmp_path / "life")
    few = Memory(clock=Steps(60), links=1)
    few.import_(tmp_path / "life")
    assert linked(few, 1) == {2}
    before = few.state()
    few.import_(tmp_path / "life")
    assert differences(few.state(), before) == []
    none = Memory(clock=Steps(60))
    assert none.import_(tmp_path / "life").added == 4


@pytest.mark.parametrize(
    ("here", "told", "duplicates", "expected"),
    [
        # what is here, what the export has, what becomes of it; letters are contents, None is an id without a memory
        ("", "ab", "reinforce", Imported(2, 0, {})),
        ("ab", "ab", "reinforce", Imported(0, 2, {})),
        ("ab", "ab", "keep", Imported(0, 2, {})),
        ("ab", "ba", "reinforce", Imported(0, 2, {0: 1, 1: 0})),
        ("ab", "ac", "reinforce", Imported(1, 1, {1: 2})),
        ("ab", "..c", "reinforce", Imported(1, 0, {})),
        ("ab", "..a", "reinforce", Imported(0, 1, {2: 0})),
        ("ab", "..a", "keep", Imported(1, 0, {})),
        ("a.", "ab", "reinforce", Imported(1, 1, {1: 2})),
        ("a.", "cd..e", "reinforce", Imported(3, 0, {0: 5, 1: 6})),
        ("xa", "ax", "keep", Imported(2, 0, {0: 2, 1: 3})),
        ("xb", "aa", "keep", Imported(2, 0, {0: 2, 1: 3})),
        ("aa", "aa", "keep", Imported(0, 2, {})),
    ],
)
def test_ids(make, tmp_path, here, told, duplicates, expected):
    def filled(contents: str, duplicates: str) -> Memory:
        memory = make(duplicates=duplicates)
        if contents:
            letters = [ord(letter) if letter != "." else 1000 + i for i, letter in enumerate(contents)]
            memory.store([[float(one)] for one in letters], payload=list(contents))
            gone = [i for i, letter in enumerate(contents) if letter == "."]
            if gone:
                memory.forget(gone)
        return memory

    memory, other = filled(here, duplicates), filled(told, "keep")
    other.export(tmp_path / "life")
    assert memory.import_(tmp_path / "life") == expected
    for i, letter in enumerate(told):
        if letter != ".":
            assert memory[expected.renamed.get(i, i)].payload == letter
    before = memory.state()
    assert memory.import_(tmp_path / "life") == Imported(0, expected.added + expected.merged, expected.renamed)
    assert differences(memory.state(), before) == []


def test_the_same_payload_in_other_words(tmp_path):
    """A tuple is a list in an export; that makes no other memory of it."""
    memory = Memory(clock=Steps())
    memory.store(POOL[:3], payload=[("Ada", "tea"), {"b": 1, "a": 2}, np.float64(0.5)])
    memory.export(tmp_path / "life")
    assert memory.import_(tmp_path / "life") == Imported(0, 3, {})
    assert memory[0].payload == ("Ada", "tea")


def test_payloads_that_are_alike_are_not_the_same(tmp_path):
    memory, other = Memory(clock=Steps()), Memory(clock=Steps())
    memory.store(POOL[:3], payload=[1, [1], {"a": 1}])
    other.store(POOL[:3], payload=[True, [1.0], {"a": True}])
    memory.export(tmp_path / "life")
    assert other.import_(tmp_path / "life") == Imported(3, 0, {0: 3, 1: 4, 2: 5})


def test_merged_ids_that_are_others_here_are_told(tmp_path):
    one, other = (Memory(clock=Steps(), duplicates="keep") for _ in range(2))
    one.store(POOL[[0, 1, 0, 2]])
    one.consolidate()
    assert one[0].ids == one[2].ids == (0, 2)
    other.store(POOL[5:8])
    one.export(tmp_path / "life")
    done = other.import_(tmp_path / "life")
    assert done == Imported(3, 0, {0: 4, 1: 5, 2: 4})
    assert other[3].pattern.tolist() == POOL[2].tolist()
    fresh = Memory(clock=Steps(), duplicates="keep")
    fresh.import_(tmp_path / "life")
    assert fresh[2].ids == (0, 2)
    fresh.forget(2)
    assert 0 not in fresh


def test_under_another_law_the_strength_at_the_export_begins_anew(tmp_path):
    one = lived(Memory(clock=Steps(), duplicates="keep", law="two_phase", links=2))
    one.export(tmp_path / "life")
    other = Memory(clock=Steps(one._clock.now()), law="power_law", links=2)
    assert other.import_(tmp_path / "life").added == len(one)
    assert np.allclose(strengths(one, one.ids), strengths(other, other.ids), rtol=1e-6)
    assert linked(one, 20 - 1) == linked(other, 19)
    other._clock.advance(1e5)
    before = other.state()
    other.import_(tmp_path / "life")
    assert differences(other.state(), before) == []


def test_short_term_memory_takes_in_what_it_has_room_for(tmp_path):
    one = Memory(clock=Steps(), short_term=6, keep="frequent")
    one.store(POOL[:6])
    one.export(tmp_path / "life")
    other = Memory(clock=Steps(), short_term=6, keep="frequent")
    other.store(POOL[10:14])
    other.import_(tmp_path / "life")
    assert len(other) == 10, "nothing leaves for what is imported"
    assert other.short_term.tolist() == [0, 1, 2, 3, 4, 5]
    assert [other[id].long_term for id in (4, 5, 6, 9)] == [False, False, True, True]


def test_a_capacity_is_not_exceeded(make, tmp_path):
    one, other = make(), make(capacity=12)
    one.store(POOL[:10])
    other.store(POOL[5:10])
    before = other.state()
    one.export(tmp_path / "life")
    with pytest.raises(FullMemory, match="capacity is 9, 0 memories"):
        make(capacity=9).import_(tmp_path / "life")
    assert other.import_(tmp_path / "life").added == 5
    assert differences(before, other.state()) != []

"""What a payload may be on disk comes back as it was; what it may not be is refused by name, and nothing is stored."""

from __future__ import annotations

import datetime
import enum
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import mossy
from mossy.errors import InvalidDtype, InvalidInput, InvalidShape
from tests.naive.same import same

TEXT = st.text(st.characters(exclude_categories=()), max_size=20)  # with halves of surrogate pairs
NUMBERS = st.integers() | st.integers(-(10**300), 10**300) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
KINDS = (
    arrays.integer_dtypes(endianness="?")
    | arrays.unsigned_integer_dtypes(endianness="?")
    | arrays.floating_dtypes(endianness="?")
    | arrays.complex_number_dtypes()
    | arrays.boolean_dtypes()
    | arrays.unicode_string_dtypes(max_len=5)
    | arrays.byte_string_dtypes(max_len=5)
    | arrays.datetime64_dtypes()
    | arrays.timedelta64_dtypes()
)
ARRAYS = KINDS.flatmap(lambda kind: arrays.arrays(kind, arrays.array_shapes(min_dims=1, max_dims=4, min_side=0)))
PAYLOADS = JSON | st.binary(max_size=40) | ARRAYS


@pytest.fixture(scope="module")
def memory(tmp_path_factory) -> Any:
    with mossy.open(tmp_path_factory.mktemp("payloads") / "life.mossy", durability="process") as memory:
        memory.store(np.zeros(4))  # so that it can be recalled from, whichever test comes first
        yield memory


class TestRoundTrips:
    """Stored, read by id, recalled, and read again when it is opened again."""

    @settings(max_examples=150)
    @given(payload=PAYLOADS)
    def test_one(self, memory, payload):
        key = np.random.default_rng(memory.stats().memories).normal(size=4)
        id = memory.store(key, payload=payload)
        assert same(memory[id].payload, payload)
        assert same(memory.recall(key, reinforce=False).payload[0], payload)

    @settings(max_examples=15)
    @given(payloads=st.lists(PAYLOADS, min_size=1, max_size=20))
    def test_a_batch_and_after_reopening(self, tmp_path_factory, payloads):
        path = tmp_path_factory.mktemp("batch") / "life.mossy"
        keys = np.random.default_rng(0).normal(size=(len(payloads), 4))
        with mossy.open(path) as memory:
            ids = memory.store(keys, payload=payloads)
        for mode in ("a", "r"):
            with mossy.open(path, mode) as memory:
                for id, payload in zip(ids.tolist(), payloads, strict=True):
                    assert same(memory[id].payload, payload)
                assert same(memory.state()["catalog"]["payload"], payloads)

    @pytest.mark.parametrize(
        "payload",
        [
            0, -0.0, 1e308, 5e-324, 2**64, -(2**4000), True, False, "", "\x00", "\ud800", "\U0001f400", b"", b"\x00",
            b"\x93NUMPY", b"\x93", [], {}, [[]], {"": {"": []}}, [None], "\x93NUMPY", {"\ud83d": "\udc00"},
            np.array([]), np.zeros((0, 3)), np.array([np.nan, -0.0, np.inf]), np.array(["", "日本", "\x00a"]),
            np.array(["2020-01-01", "NaT"], "M8[s]"), np.array([(1, 2.0)], [("a", "i4"), ("b", "f8")]),
            np.arange(24).reshape(2, 3, 4).transpose(2, 0, 1), np.arange(12).reshape(3, 4, order="F")[::2, ::-1],
            np.array([1 + 2j]), np.array([1.5], np.float16), np.array([1.5], np.longdouble), np.array([b"ab", b""]),
        ],
        ids=repr,
    )  # fmt: skip
    def test_borders(self, memory, payload):
        id = memory.store(np.random.default_rng(memory.stats().memories + 10**6).normal(size=4), payload=payload)
        assert same(memory[id].payload, payload)

    @pytest.mark.parametrize(
        ("payload", "back"),
        [
            ((1, (2, 3)), [1, [2, 3]]),
            (bytearray(b"ab"), b"ab"),
            (memoryview(b"abcd")[::2], b"ac"),
            (np.float32(1.5), 1.5),
            (np.int8(3), 3),
            (np.bool_(True), True),
            (np.str_("a"), "a"),
            (np.array(7), 7),
            ({"n": np.int64(3), "x": np.float64(0.5)}, {"n": 3, "x": 0.5}),
            (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        ],
    )
    def test_what_comes_back_as_the_like(self, memory, payload, back):
        id = memory.store(np.random.default_rng(memory.stats().memories + 2 * 10**6).normal(size=4), payload=payload)
        assert same(memory[id].payload, back)

    def test_what_is_changed_later_stays_as_it_was_stored(self, memory):
        payload = {"list": [1]}
        array = np.arange(3)
        ids = memory.store(np.random.default_rng(9).normal(size=(2, 4)), payload=[payload, array])
        payload["list"].append(2)
        array[0] = 9
        assert memory[ids[0]].payload == {"list": [1]}
        memory[ids[0]].payload["list"].append(3)
        assert memory[ids[0]].payload == {"list": [1]}
        assert memory[ids[1]].payload.tolist() == [0, 1, 2]

    def test_the_largest(self, memory):
        for payload in (
            "記" * 3_000_000,
            np.zeros(2_000_000),
            list(range(200_000)),
            np.random.default_rng(0).bytes(10**7),
        ):
            id = memory.store(
                np.random.default_rng(memory.stats().memories + 4 * 10**6).normal(size=4), payload=payload
            )
            assert same(memory[id].payload, payload)
            memory.forget(id)


class Colour(enum.Enum):
    RED = 1


def nested(depth: int) -> list[Any]:
    payload: list[Any] = []
    for _ in range(depth):
        payload = [payload]
    return payload


def circular() -> list[Any]:
    payload: list[Any] = []
    payload.append(payload)
    return payload


REFUSED = {
    "set": {1},
    "object": object(),
    "function": len,
    "nan": float("nan"),
    "inf": [1.0, float("-inf")],
    "complex": 1j,
    "date": datetime.date(2020, 1, 1),
    "enum": Colour.RED,
    "number as a name": {1: "a"},
    "None as a name": {"a": {None: 1}},
    "tuple as a name": [{("a",): 1}],
    "bytes inside": {"a": b"x"},
    "array inside": [np.arange(3)],
    "circular": circular(),
    "deep": nested(100_000),
    "objects": np.array([object()]),
    "objects inside": np.array([(1, "a")], [("a", "i4"), ("b", "O")]),
    "ragged": np.array([[1], [1, 2]], dtype=object),
    "masked": np.ma.array([1, 2, 3], mask=[0, 1, 0]),
    "datetime scalar": np.datetime64("2020-01-01"),
    "path": Path("a"),
    "generator": (i for i in range(3)),
    "range": range(3),
    "long number": 10**5000,
    "type": int,
    "numpy nan": np.float32("nan"),
    "variable strings": np.array(["a"], dtype=np.dtypes.StringDType()),
}


class TestRefused:
    """Each by name; nothing of it, and nothing of its batch, is stored."""

    @pytest.mark.parametrize("name", list(REFUSED))
    @pytest.mark.parametrize("batch", [False, True])
    def test_what_cannot_be_kept(self, memory, name, batch):
        before, next_id = memory.ids.tolist(), memory._store.catalog.next_id
        keys = np.random.default_rng(3).normal(size=(3, 4)) + 100
        given = (keys, ["fine", REFUSED[name], "fine too"]) if batch else (keys[0], REFUSED[name])
        with pytest.raises(InvalidDtype, match="payload") as told:
            memory.store(given[0], payload=given[1])
        assert len(str(told.value)) < 600
        assert memory.ids.tolist() == before
        assert memory._store.catalog.next_id == next_id
        assert 0 not in memory.recall(keys, reinforce=False).fit

    @pytest.mark.parametrize("payload", ["abc", b"abc", {"a": 1, "b": 2, "c": 3}, 7, [1, 2], {1, 2, 3}, np.array(3)])
    def test_a_batch_needs_one_for_each(self, memory, payload):
        with pytest.raises(InvalidShape, match="payload"):
            memory.store(np.random.default_rng(3).normal(size=(3, 4)), payload=payload)

    def test_what_was_accepted_can_be_read_however_deep_the_call(self, memory):
        """A limit of depth that depends on how deep the stack is would lose what was stored at a shallow one."""

        def deep(calls: int, body: Any) -> Any:
            return body() if not calls else deep(calls - 1, body)

        key = np.random.default_rng(4).normal(size=4)
        accepted = 0
        for depth in (10, 50, 100, 150, 200, 400, 600, 800, 900, *range(930, 1000, 5)):
            payload = nested(depth)
            try:
                id = memory.store(key * depth, payload=payload)
            except InvalidInput:
                continue
            accepted = depth
            assert deep(60, lambda id=id: memory[id].payload) == payload
            assert deep(60, lambda depth=depth: memory.recall(key * depth)).payload[0] == payload
            assert deep(60, lambda depth=depth, payload=payload: memory.store(key * depth, payload=payload)) == id
        assert accepted >= 50
        assert sys.getrecursionlimit() >= 1000

    def test_an_object_that_is_in_no_file_is_fine_in_this_process(self):
        memory = mossy.Memory()
        for name, payload in REFUSED.items():
            id = memory.store(np.random.default_rng(len(memory)).normal(size=4), payload=payload)
            assert memory[id].payload is payload, name

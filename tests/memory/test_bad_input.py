"""Bad input to each verb: a named error that says what was given and what is allowed; the memory is unchanged."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.naive.same import differences

from mossy import Memory, Steps
from mossy.clock import Clock
from mossy.errors import (
    EmptyBatch,
    EmptyMemory,
    InvalidDtype,
    InvalidParameter,
    InvalidShape,
    InvalidTime,
    MossyError,
    NotFinite,
    NothingKnown,
    UnknownMemory,
    UnknownName,
)

D = 4
SAYS = re.compile(
    r"given|was returned|holds nothing|no entry is known|no memory has the id|different lengths|needs|none were"
)


@pytest.fixture
def memory() -> Memory:
    clock = Steps()
    memory = Memory(links=2, association=1.0, clock=clock)
    rng = np.random.default_rng(0)
    memory.store(rng.normal(size=(6, D)), rng.normal(size=(6, 2)), payload=list("abcdef"))
    clock.advance(10.0)
    memory.forget(2)
    memory.reinforce([0, 4])
    memory.consolidate()
    return memory


def refused(memory: Memory, error: type[Exception], call) -> str:
    """Hold that a call raises this error, says what it should, and leaves the memory as it was, bit for bit."""
    before = memory.state()
    with pytest.raises(error) as caught:
        call(memory)
    assert isinstance(caught.value, MossyError)
    assert SAYS.search(str(caught.value)), str(caught.value)
    assert differences(memory.state(), before) == []
    return str(caught.value)


PATTERNS = [
    (np.zeros(3), InvalidShape),
    (np.zeros((2, 5)), InvalidShape),
    (np.zeros((2, 2, D)), InvalidShape),
    (1.0, InvalidShape),
    (np.zeros((0, D)), EmptyBatch),
    ([], (EmptyBatch, InvalidShape)),
    ("text", InvalidDtype),
    ([["a", "b", "c", "d"]], InvalidDtype),
    (np.zeros(D, object), InvalidDtype),
    (None, InvalidDtype),
    (np.zeros(D, complex), InvalidDtype),
    (np.zeros(D, "datetime64[s]"), InvalidDtype),
    ([0, np.nan, 0, 0], NotFinite),
    ([[0, 0, 0, 0], [0, 0, 0, np.inf]], NotFinite),
    ([0, 0, 0, -np.inf], NotFinite),
    ([1e39, 0, 0, 0], NotFinite),
    ([-1e300, 0, 0, 0], NotFinite),
    ([1e16, 0, 0, 0], NotFinite),
]


class TestStore:
    @pytest.mark.parametrize(("patterns", "error"), [*PATTERNS, ([[0, 0, 0, 0], [1, 2]], InvalidShape)])
    def test_patterns(self, memory, patterns, error):
        values = np.zeros((2, 2)) if np.ndim(patterns if not isinstance(patterns, list) else 0) == 2 else np.zeros(2)
        assert refused(memory, error, lambda m: m.store(patterns, values)).startswith("patterns: ")

    @pytest.mark.parametrize(
        ("values", "error"),
        [
            (None, InvalidShape),
            (np.zeros((2, 3)), InvalidShape),
            (np.zeros((3, 2)), InvalidShape),
            (np.zeros((2, 2), complex), InvalidDtype),
            ([["a", "b"], ["c", "d"]], InvalidDtype),
            ([[0, np.nan], [0, 0]], NotFinite),
            ([[0, 1e39], [0, 0]], NotFinite),
            ([[1, 2], [3]], InvalidShape),
            (np.zeros((0, 2)), EmptyBatch),
        ],
    )
    def test_values(self, memory, values, error):
        assert refused(memory, error, lambda m: m.store(np.zeros((2, D)), values)).startswith("values: ")

    def test_values_that_appear_later(self):
        memory = Memory(clock=Steps())
        memory.store(np.zeros(D))
        refused(memory, InvalidShape, lambda m: m.store(np.zeros(D), np.zeros(2)))

    @pytest.mark.parametrize(
        "payload",
        [
            "ab",
            b"ab",
            7,
            ["a"],
            ["a", "b", "c"],
            {"a": 1, "b": 2},
            {1, 2},
            iter("ab"),
            np.arange(3),
            np.array(3),
        ],
    )
    def test_payload(self, memory, payload):
        call = lambda m: m.store(np.zeros((2, D)), np.zeros((2, 2)), payload=payload)  # noqa: E731
        assert refused(memory, InvalidShape, call).startswith("payload: ")

    @pytest.mark.parametrize("pin", ["no", 2, [0]])
    def test_pin(self, memory, pin):
        refused(memory, MossyError, lambda m: m.store(np.zeros(D), np.zeros(2), pin=pin))


class TestRecall:
    @pytest.mark.parametrize(("cue", "error"), [*PATTERNS, ([[0, 0, 0, 0], [1, 2]], InvalidShape)])
    def test_cue(self, memory, cue, error):
        assert refused(memory, error, lambda m: m.recall(cue)).startswith("cue: ")

    @pytest.mark.parametrize(
        ("known", "error"),
        [
            ([True] * 3, InvalidShape),
            (np.ones((2, D), bool), InvalidShape),
            (np.ones((1, 1, D), bool), InvalidShape),
            (True, InvalidShape),
            ([False] * D, NothingKnown),
            ([0, 1, 2, 3], InvalidDtype),
            ([0.1, 1, 1, 1], InvalidDtype),
            ([np.nan, 1, 1, 1], InvalidDtype),
            (["y"] * D, InvalidDtype),
            ([1j, 0, 0, 0], InvalidDtype),
            ([None, True, True, True], InvalidDtype),
            ([[True], [True, False, True, True]], InvalidShape),
        ],
    )
    def test_known(self, memory, known, error):
        assert refused(memory, error, lambda m: m.recall(np.zeros(D), known)).startswith("known: ")

    def test_a_batch_of_masks(self, memory):
        known = np.ones((3, D), bool)
        refused(memory, InvalidShape, lambda m: m.recall(np.zeros((2, D)), known))
        known[1] = False
        assert "cue 1" in refused(memory, NothingKnown, lambda m: m.recall(np.zeros((3, D)), known))

    def test_a_known_entry_must_be_finite(self, memory):
        refused(memory, NotFinite, lambda m: m.recall([np.nan, 0, 0, 0], [1, 0, 0, 0]))

    @pytest.mark.parametrize("k", [0, -1, 6, 100, True, 1.0, 2.5, "1", None, [1], np.nan, np.array([1])])
    def test_k(self, memory, k):
        assert refused(memory, InvalidParameter, lambda m: m.recall(np.zeros(D), k=k)).startswith("recall.k: ")
        refused(memory, InvalidParameter, lambda m: m.recall(np.zeros((2, D)), k=k))

    @pytest.mark.parametrize("steps", [0, -3, 1.5, True, "2", np.inf])
    def test_steps(self, memory, steps):
        refused(memory, InvalidParameter, lambda m: m.recall(np.zeros(D), steps=steps))

    def test_nothing_was_stored(self):
        refused(Memory(clock=Steps()), EmptyMemory, lambda m: m.recall(np.zeros(D)))

    def test_all_was_forgotten(self, memory):
        memory.forget(memory.ids)
        refused(memory, EmptyMemory, lambda m: m.recall(np.zeros(D)))


IDS = [
    (2, UnknownMemory),
    (6, UnknownMemory),
    (-1, UnknownMemory),
    ([0, 99], UnknownMemory),
    (2**62, UnknownMemory),
    (np.uint64(2**63 + 5), UnknownMemory),
    ([], InvalidShape),
    (np.array([], int), InvalidShape),
    ("0", InvalidDtype),
    (["a"], InvalidDtype),
    ([0.0], InvalidDtype),
    ([True], InvalidDtype),
    (True, InvalidDtype),
    (np.array([0.5]), InvalidDtype),
    ([None], InvalidDtype),
    (np.array(None), InvalidDtype),
    (2**70, UnknownMemory),
    (None, InvalidDtype),
    (0.5, InvalidDtype),
    ([[0], [1, 2]], InvalidShape),
]
VERBS = {
    "forget": lambda m, ids: m.forget(ids),
    "reinforce": lambda m, ids: m.reinforce(ids),
    "pin": lambda m, ids: m.pin(ids),
    "unpin": lambda m, ids: m.pin(ids, pinned=False),
    "strength": lambda m, ids: m.strength(ids),
    "get": lambda m, ids: m[ids],
}


class TestIds:
    @pytest.mark.parametrize("verb", VERBS)
    @pytest.mark.parametrize(("ids", "error"), IDS)
    def test_ids(self, memory, verb, ids, error):
        if verb == "get" and not isinstance(ids, int | np.integer):
            error = InvalidDtype  # one id at a time
        refused(memory, error, lambda m: VERBS[verb](m, ids))

    @pytest.mark.parametrize("verb", VERBS)
    def test_an_empty_memory(self, verb):
        refused(Memory(clock=Steps()), UnknownMemory, lambda m: VERBS[verb](m, 0))

    def test_one_id_at_a_time(self, memory):
        refused(memory, MossyError, lambda m: m[[0, 1]])

    def test_duplicate_ids_count_each_time(self, memory):
        before = memory.strength([0, 1]).sum(axis=1)
        memory.reinforce([0, 1, 0], [1.0, 2.0, 4.0])
        assert memory.strength([0, 1]).sum(axis=1) - before == pytest.approx([5.0, 2.0], rel=1e-5)
        memory.pin([0, 0])
        memory.forget([0, 0])
        assert 0 not in memory

    @pytest.mark.parametrize(
        ("amount", "error"),
        [
            (-1, InvalidParameter),
            (0, InvalidParameter),
            ([1, -0.1], InvalidParameter),
            ([1, 2, 3], InvalidShape),
            ([[1, 2]], InvalidShape),
            (np.nan, NotFinite),
            (np.inf, NotFinite),
            ("1", InvalidDtype),
            (None, InvalidDtype),
            (1j, InvalidDtype),
            (1e300, MossyError),
        ],
    )
    def test_amount(self, memory, amount, error):
        refused(memory, error, lambda m: m.reinforce([0, 1], amount))

    def test_strengths_stay_finite(self, memory):
        refused(memory, InvalidParameter, lambda m: m.reinforce([0, 1], 2e38))
        for _ in range(20):
            memory.reinforce([0, 1], 1e15)
        assert np.isfinite(memory.strength([0, 1])).all()
        assert np.isfinite(memory.recall(np.zeros(D), k=5).probability).all()


class TestReplay:
    @pytest.mark.parametrize("n", [0, -1, 6, True, 1.0, "1", None])
    def test_n(self, memory, n):
        assert refused(memory, InvalidParameter, lambda m: m.replay(n, seed=1)).startswith("replay.n: ")

    def test_nothing_is_there(self):
        refused(Memory(clock=Steps()), EmptyMemory, lambda m: m.replay(1, seed=1))

    @pytest.mark.parametrize(
        ("surprise", "error"),
        [
            (lambda seen: [1.0], InvalidShape),
            (lambda seen: np.full(len(seen), -1.0), InvalidParameter),
            (lambda seen: np.full(len(seen), np.nan), NotFinite),
            (lambda seen: np.full(len(seen), np.inf), NotFinite),
            (lambda seen: "much", InvalidDtype),
            (lambda seen: None, InvalidDtype),
            (3, MossyError),
        ],
    )
    def test_surprise(self, memory, surprise, error):
        refused(memory, error, lambda m: m.replay(2, surprise=surprise, seed=1))

    @pytest.mark.parametrize("seed", [-1, "x", 1.5])
    def test_seed(self, memory, seed):
        refused(memory, MossyError, lambda m: m.replay(2, seed=seed))

    def test_a_surprise_that_fails_changes_nothing(self, memory):
        before = memory.state()
        with pytest.raises(ZeroDivisionError):
            memory.replay(2, surprise=lambda seen: 1 / 0, seed=1)
        assert differences(memory.state(), before) == []
        assert len(memory.replay(2, seed=1)) == 2


class TestSettings:
    @pytest.mark.parametrize(
        ("given", "error"),
        [
            ({"similarity": "l2"}, UnknownName),
            ({"separation": None}, UnknownName),
            ({"separation": "linear"}, InvalidParameter),
            ({"law": "exponential"}, UnknownName),
            ({"law": 3}, UnknownName),
            ({"keep": "some"}, UnknownName),
            ({"keep": True}, UnknownName),
            ({"beta": 0}, InvalidParameter),
            ({"beta": np.nan}, InvalidParameter),
            ({"beta": "1"}, InvalidParameter),
            ({"delta": -0.1}, InvalidParameter),
            ({"delta": np.inf}, InvalidParameter),
            ({"links": -1}, InvalidParameter),
            ({"links": 1.5}, InvalidParameter),
            ({"links": True}, InvalidParameter),
            ({"association": 1.0}, InvalidParameter),
            ({"association": -1.0, "links": 2}, InvalidParameter),
            ({"short_term": 0}, InvalidParameter),
            ({"short_term": None}, InvalidParameter),
            ({"capacity": 0}, InvalidParameter),
            ({"capacity": -5}, InvalidParameter),
            ({"capacity": 2.0}, InvalidParameter),
            ({"capacity": False}, InvalidParameter),
            ({"merge": -0.1}, InvalidParameter),
            ({"merge": "yes"}, InvalidParameter),
            ({"clock": 3}, InvalidDtype),
            ({"clock": Steps}, InvalidDtype),
        ],
    )
    def test_settings(self, given, error):
        with pytest.raises(error, match=r"given.*(allowed|needs)|needs") as caught:
            Memory(**given)
        assert isinstance(caught.value, MossyError)


class Told(Clock):
    """A clock that says what it is told to."""

    def __init__(self, now: float) -> None:
        self.time = now

    def now(self) -> float:
        return self.time


@pytest.mark.parametrize("wrong", [5.0, -1.0, np.nan, np.inf])
@pytest.mark.parametrize(
    "verb",
    [
        lambda m: m.store(np.zeros(D)),
        lambda m: m.recall(np.zeros(D)),
        lambda m: m.reinforce(0),
        lambda m: m.strength(0),
        lambda m: m.consolidate(),
        lambda m: m.replay(1, seed=1),
    ],
)
def test_a_clock_that_is_turned_back_or_wrong(verb, wrong):
    clock = Told(10.0)
    memory = Memory(clock=clock)
    memory.store(np.ones((3, D)))
    before = memory.state()
    clock.time = wrong
    with pytest.raises(InvalidTime):
        verb(memory)
    clock.time = 10.0
    assert differences(memory.state(), before) == []


def test_time_is_never_negative():
    clock = Steps()
    memory = Memory(clock=clock)
    memory.store(np.ones(D))
    refused(memory, InvalidTime, lambda m: clock.advance(-1))
    refused(memory, InvalidTime, lambda m: clock.advance(np.nan))


def test_the_first_store_decides_nothing_when_it_is_refused():
    memory = Memory(clock=Steps())
    for wrong in (np.full(3, np.nan), np.zeros((0, 3)), "abc"):
        with pytest.raises(MossyError):
            memory.store(wrong)
    with pytest.raises(MossyError):
        memory.store(np.zeros((2, 3)), np.zeros((3, 3)))
    with pytest.raises(MossyError):
        memory.store(np.zeros((2, 3)), payload=["one"])
    assert memory.stats().d is None
    assert memory.store(np.zeros(7)) == 0

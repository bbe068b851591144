"""The index substrate: one neuron a memory. What it reads is what its equation says, over every similarity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import separation as naive_separation
from tests.naive import similarity as naive_similarity
from tests.naive.same import holds, same

from mossy.errors import (
    EmptyBatch,
    EmptyMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    NothingKnown,
    UnknownMemory,
    UnknownName,
)
from mossy.separation import SEPARATIONS, Polynomial
from mossy.similarity import SIMILARITIES
from mossy.substrate.index import LARGEST, Index

ZERO_BASED = ("dot", "cosine")
PAIRS = [
    (similarity, separation)
    for similarity in SIMILARITIES
    for separation in SEPARATIONS
    if SEPARATIONS[separation]().shift_invariant or similarity in ZERO_BASED
]


def some(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.mark.parametrize(("similarity", "separation"), PAIRS)
@given(seed=st.integers(0, 999), beta=st.sampled_from([0.5, 4.0, 300.0]), masked=st.booleans(), valued=st.booleans())
def test_a_read_equals_its_equation(similarity, separation, seed, beta, masked, valued):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 9)), int(rng.integers(2, 6))
    keys = some(seed, n, d)
    values = some(seed + 1, n, 3) if valued else None
    cue = (keys[0] + 0.4 * rng.normal(size=d)).astype(np.float32)
    known = rng.random(d) < 0.7 if masked else None
    if known is not None:
        known[0] = True
    index = Index(similarity, separation, beta)
    index.write(keys, values)
    wide = keys.astype(float).tolist()
    evidence = [
        beta * naive_similarity.similarity(similarity, wide, key, cue.astype(float).tolist(), known) for key in wide
    ]
    activity = naive_separation.SEPARATIONS[separation](evidence)
    stored = keys if values is None else values
    expected = [sum(a * float(v[j]) for a, v in zip(activity, stored, strict=True)) for j in range(stored.shape[1])]
    assert index.read(cue, known) == pytest.approx(expected, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("similarity", SIMILARITIES)
def test_winner_is_an_exact_search_over_many_rows(similarity):
    """More rows than one block of the scan holds; masks; cues with noise."""
    keys = some(1, 20_000, 8)
    cues = keys[::900] + 0.3 * some(2, 23, 8)
    known = np.random.default_rng(3).random((23, 8)) < 0.6
    known[:, 0] = True
    index = Index(similarity, "winner")
    index.write(keys)
    for mask in (None, known, known[0]):
        prepared = index.prepare(cues, None if mask is None else np.atleast_2d(mask))
        which, rows = np.repeat(np.arange(23), len(keys)), np.tile(np.arange(len(keys)), 23)
        best = index.exact(prepared, which, rows).reshape(23, -1).argmax(axis=1)
        assert np.array_equal(index.read(cues, mask), keys[best])


@pytest.mark.parametrize(("similarity", "separation"), PAIRS)
def test_one_item_is_the_batch_of_one(similarity, separation):
    keys = some(4, 40, 6)
    index = Index(similarity, separation, 20.0)
    index.write(keys)
    cues = keys[:5] + 0.2 * some(5, 5, 6)
    known = np.array([True, True, False, True, False, True])
    for mask in (None, known):
        batch = index.read(cues, mask)
        assert batch.shape == (5, 6)
        assert batch.dtype == np.float32
        for i in range(5):
            assert np.array_equal(index.read(cues[i], mask), batch[i])


def test_one_certain_memory_comes_back_bit_for_bit():
    keys = some(6, 500, 64)
    for separation in ("softmax", "sparsemax", "entmax", "winner"):
        index = Index("euclidean", separation)
        index.write(keys)
        assert np.array_equal(index.read(keys + 0.1 * some(7, 500, 64)), keys)


@given(st.lists(st.integers(1, 7), min_size=1, max_size=8), st.integers(0, 99))
def test_batching_does_not_matter(sizes, seed):
    keys = some(seed, sum(sizes), 5)
    whole, parts = Index(), Index()
    rows = whole.write(keys)
    assert rows.tolist() == list(range(len(keys)))
    first = 0
    for size in sizes:
        assert parts.write(keys[first : first + size]).tolist() == list(range(first, first + size))
        first += size
    assert same(whole.state(), parts.state())
    cue = keys[0] + np.float32(0.1)
    assert whole.read(cue) == pytest.approx(parts.read(cue), rel=1e-5, abs=1e-6)


@given(st.sets(st.integers(0, 11), min_size=1, max_size=11), st.integers(0, 99))
def test_forgetting_leaves_what_never_knew(gone, seed):
    keys, values = some(seed, 12, 4), some(seed + 1, 12, 2)
    left = [i for i in range(12) if i not in gone]
    index, never = Index(), Index()
    index.write(keys, values)
    never.write(keys[left], values[left])
    index.forget(keys[sorted(gone)])
    assert same(index.state(), never.state())
    assert len(index) == len(left)
    assert index.read(keys) == pytest.approx(never.read(keys), rel=1e-5, abs=1e-6)
    for i in gone:
        assert not holds(index, keys[i])
        assert not holds(index, values[i])


def test_forgetting_something_large_leaves_the_scale_as_it_was():
    keys = some(8, 20, 4)
    index, never = Index(beta=5.0), Index(beta=5.0)
    never.write(keys)
    index.write(keys)
    index.write(np.full(4, 1e9))
    index.forget(np.full(4, 1e9))
    cue = keys[0] + 0.3
    assert index.read(cue) == pytest.approx(never.read(cue), rel=1e-5)


def test_forgetting_is_exact_to_the_last_bit_of_what_is_read():
    keys = some(9, 200, 16)
    index, never, again = (Index(beta=3.0) for _ in range(3))
    never.write(keys[:100])
    index.write(keys)
    index.forget(keys[100:])
    again = Index.from_state(index.state())
    cues = keys[:50] + 0.5 * some(10, 50, 16)
    prepared = [one.prepare(cues, None).scale for one in (index, never, again)]
    assert np.array_equal(prepared[0], prepared[1])
    assert np.array_equal(prepared[0], prepared[2])


def test_a_key_that_is_stored_twice_is_forgotten_once_at_a_time_and_a_pair_by_its_value():
    keys, values = np.zeros((3, 2)), np.array([[1.0], [2.0], [1.0]])
    index = Index()
    index.write(keys, values)
    index.forget(keys[:2], values[[0, 2]])
    assert len(index) == 1
    assert index.read(keys[0]).tolist() == [2.0]
    index = Index()
    index.write(keys)
    index.forget(keys[0])
    assert len(index) == 2
    with pytest.raises(UnknownMemory, match="item 2"):
        index.forget(keys)
    assert len(index) == 2
    index.forget(keys[:2])
    with pytest.raises(EmptyMemory):
        index.read(keys[0])


def test_forgetting_all_and_writing_again():
    keys = some(11, 6, 3)
    index = Index()
    index.write(keys)
    index.forget(keys)
    index.write(keys[:2])
    assert np.array_equal(index.read(keys[1]), keys[1])
    assert len(index) == 2


def test_erased_rows_are_silent_until_they_are_taken_out():
    keys = some(12, 10, 4)
    index = Index("euclidean", "winner")
    index.write(keys)
    index.erase(np.array([2, 5]))
    assert (len(index), index.rows) == (8, 10)
    assert not holds(index, keys[2])
    nearest = index.read(keys[[2, 5]])
    assert not (nearest == keys[[2, 5]]).all(axis=1).any()
    assert np.array_equal(index.alive(), [0, 1, 3, 4, 6, 7, 8, 9])
    index.compact()
    assert np.array_equal(index.read(keys[[2, 5]]), nearest)


@pytest.mark.parametrize(("similarity", "separation"), PAIRS)
def test_state_makes_it_again(similarity, separation):
    index = Index(similarity, separation, 7.0)
    keys, values = some(13, 25, 5), some(14, 25, 2)
    index.write(keys, values)
    again = Index.from_state(index.state())
    cues = keys + 0.2 * some(15, 25, 5)
    assert np.array_equal(again.read(cues), index.read(cues))
    assert same(again.state(), index.state())
    assert (again.d, again.d_value, len(again)) == (5, 2, 25)


def test_state_keeps_the_parameters_of_a_separation():
    index = Index("cosine", Polynomial(2), 1.0)
    keys = np.abs(some(16, 10, 4))
    index.write(keys)
    cue = keys[0] + 0.2
    assert np.array_equal(Index.from_state(index.state()).read(cue), index.read(cue))


def test_an_empty_state_makes_an_empty_index():
    again = Index.from_state(Index("dot", "winner", 3.0).state())
    assert (len(again), again.d, again.beta) == (0, None, 3.0)


def test_what_is_given_and_handed_out_is_a_copy():
    keys = some(17, 5, 3)
    given_ = keys.copy()
    index = Index()
    index.write(given_)
    given_[:] = 99
    state = index.state()
    state["keys"][:] = 98
    index.read(keys[0])[:] = 97
    index.read(keys)[:] = 96
    assert np.array_equal(index.read(keys), keys)


def test_the_bytes_held():
    index = Index()
    index.write(some(18, 10_000, 64))
    assert 10_000 * 64 * 4 <= index.nbytes <= 1.3 * 10_000 * 64 * 4
    for row in some(19, 300, 64):
        index.write(row)
    assert index.nbytes <= 1.3 * 10_300 * 64 * 4


def test_unknown_entries_may_hold_anything():
    keys = some(20, 30, 6)
    index = Index()
    index.write(keys)
    known = np.array([True, False, True, True, False, True])
    clean = index.read(keys, known)
    for filler in (np.nan, np.inf, -np.inf, 1e30, 7.0):
        spoiled = keys.copy()
        spoiled[:, ~known] = filler
        assert np.array_equal(index.read(spoiled, known), clean)
        assert np.array_equal(index.read(spoiled[3], known), clean[3])
        assert np.array_equal(index.read(spoiled.astype(np.float64), np.tile(known, (30, 1))), clean)


class TestBadInput:
    @pytest.fixture
    def index(self):
        index = Index()
        index.write(some(21, 6, 4), some(22, 6, 2))
        return index

    @pytest.mark.parametrize(
        ("keys", "values", "error"),
        [
            (np.zeros((2, 3)), np.zeros((2, 2)), InvalidShape),
            (np.zeros((2, 2, 4)), np.zeros((2, 2)), InvalidShape),
            (np.float64(1), np.zeros(2), InvalidShape),
            ([[1, 2, 3, 4], [1, 2]], np.zeros((2, 2)), InvalidShape),
            (np.zeros((0, 4)), np.zeros((0, 2)), EmptyBatch),
            ([["a", "b", "c", "d"]], np.zeros((1, 2)), InvalidDtype),
            (np.zeros((1, 4), complex), np.zeros((1, 2)), InvalidDtype),
            (np.array([[None, 1, 2, 3]]), np.zeros((1, 2)), InvalidDtype),
            ([np.nan, 0, 0, 0], np.zeros(2), NotFinite),
            ([np.inf, 0, 0, 0], np.zeros(2), NotFinite),
            ([1e300, 0, 0, 0], np.zeros(2), NotFinite),
            ([2 * LARGEST, 0, 0, 0], np.zeros(2), NotFinite),
            (np.zeros((2, 4)), np.zeros((2, 3)), InvalidShape),
            (np.zeros((2, 4)), np.zeros((1, 2)), InvalidShape),
            (np.zeros((2, 4)), [[np.nan, 0], [0, 0]], NotFinite),
            (np.zeros((2, 4)), None, InvalidShape),
        ],
    )
    def test_write(self, index, keys, values, error):
        before = index.state()
        with pytest.raises(error) as caught:
            index.write(keys, values)
        assert isinstance(caught.value, InvalidInput)
        assert same(index.state(), before)

    def test_values_appear_later(self):
        index = Index()
        index.write(np.zeros(3))
        with pytest.raises(InvalidShape, match="values: were given; this memory was begun without"):
            index.write(np.zeros(3), np.zeros(2))

    @pytest.mark.parametrize(
        ("cue", "known", "error"),
        [
            (np.zeros(3), None, InvalidShape),
            (np.zeros((0, 4)), None, EmptyBatch),
            ("cue", None, InvalidDtype),
            ([np.nan, 0, 0, 0], None, NotFinite),
            ([np.nan, 0, 0, 0], [True, True, True, False], NotFinite),
            (np.zeros(4), [False] * 4, NothingKnown),
            (np.zeros(4), [True] * 3, InvalidShape),
            (np.zeros((2, 4)), np.ones((3, 4), bool), InvalidShape),
            (np.zeros(4), [0, 1, 2, 0], InvalidDtype),
            (np.zeros(4), ["y", "n", "y", "n"], InvalidDtype),
            (np.zeros(4), [0.5, 1, 1, 1], InvalidDtype),
        ],
    )
    def test_read(self, index, cue, known, error):
        before = index.state()
        with pytest.raises(error):
            index.read(cue, known)
        assert same(index.state(), before)

    @pytest.mark.parametrize(
        ("cue", "known"), [([[1, 2, 3, 4], [1, 2]], None), (np.zeros((2, 4)), [[True, True, True, True], [True]])]
    )
    def test_read_of_ragged_lists(self, index, cue, known):
        with pytest.raises(InvalidShape):
            index.read(cue, known)

    def test_forget(self, index):
        before = index.state()
        for keys, values, error in [
            (np.full(4, 3.0), None, UnknownMemory),
            (np.concatenate([index.keys[:1], np.ones((1, 4))]), None, UnknownMemory),
            (index.keys[:1], index.values[1:2], UnknownMemory),
            (index.keys[:2], index.values[:1], InvalidShape),
            (np.zeros(3), None, InvalidShape),
            (np.full(4, np.nan), None, NotFinite),
        ]:
            with pytest.raises(error):
                index.forget(keys, values)
            assert same(index.state(), before)

    def test_forget_from_an_empty_one(self):
        with pytest.raises((UnknownMemory, EmptyMemory)):
            Index().forget([1.0, 2.0])

    def test_read_from_an_empty_one(self):
        with pytest.raises(EmptyMemory, match="write at least one"):
            Index().read([1.0, 2.0])

    @pytest.mark.parametrize(
        ("given_", "error"),
        [
            ({"similarity": "l2"}, UnknownName),
            ({"separation": "soft"}, UnknownName),
            ({"separation": 3}, UnknownName),
            ({"beta": 0}, InvalidParameter),
            ({"beta": -1.0}, InvalidParameter),
            ({"beta": float("nan")}, InvalidParameter),
            ({"beta": "1"}, InvalidParameter),
            ({"separation": "linear"}, InvalidParameter),
            ({"similarity": "manhattan", "separation": "polynomial"}, InvalidParameter),
        ],
    )
    def test_settings(self, given_, error):
        with pytest.raises(error):
            Index(**given_)


@given(st.integers(1, 60), st.sets(st.integers(0, 59), max_size=40), st.integers(0, 99))
def test_the_nth_row_that_is_not_silent(n, gone, seed):
    index = Index()
    index.write(np.random.default_rng(seed).normal(size=(n, 3)))
    index.erase(np.array(sorted(row for row in gone if row < n), np.intp))
    alive = index.alive()
    assert index._alive_at(np.arange(len(alive))).tolist() == alive.tolist()

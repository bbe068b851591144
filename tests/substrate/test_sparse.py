"""The sparse memory: its laws, its two doors, its two paths (few and many items), and what it refuses."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import sparse as naive

from mossy.errors import (
    CannotForget,
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
from mossy.substrate.active import FEW
from mossy.substrate.sparse import Sparse

N, N_OUT, K = 20, 70, 4
MANY = FEW + 7


def pairs_of(rng, m, n=N, n_out=N_OUT, k=K):
    keys = np.array([rng.choice(n, k, replace=False) for _ in range(m)])
    return keys, np.array([rng.choice(n_out, k, replace=False) for _ in range(m)])


def patterns(lists, n):
    result = np.zeros((len(lists), n), bool)
    for row, active in zip(result, lists, strict=True):
        row[active[active >= 0]] = True
    return result


def assert_same(a: Sparse, b: Sparse):
    one, other = a.state(), b.state()
    assert one.keys() == other.keys()
    for name, value in one.items():
        assert np.array_equal(value, other[name]), name


@st.composite
def batches(draw, counts=None):
    """Draw a memory, the keys and values written to it, on both sides of the size where kernels begin."""
    m = draw(st.sampled_from([1, 2, 5, FEW, MANY]))
    keys, values = pairs_of(np.random.default_rng(draw(st.integers(0, 10**6))), m)
    counts = draw(st.booleans()) if counts is None else counts
    return Sparse(N, N_OUT, counts=counts), keys, values


# --- laws ----------------------------------------------------------------------------------------


@given(batches())
def test_a_stored_key_gets_its_whole_value_back(drawn):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    found = sparse.read(patterns(keys, N))
    assert found.dtype == np.float32
    assert (found[patterns(values, N_OUT)] == 1).all()
    assert len(sparse) == len(keys)


@given(batches(), st.integers(1, N_OUT), st.booleans())
def test_reads_are_the_naive_ones(drawn, k, many):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    needed = naive.write([(set(x), set(y)) for x, y in zip(keys, values, strict=True)], N, N_OUT)
    rng = np.random.default_rng(k)
    cues = np.array([rng.choice(N, 3, replace=False) for _ in range(MANY if many else 3)])
    some = range(0, len(cues), 11)
    found = sparse.read_active(cues)
    best = sparse.read_active(cues, mode="best", k=k)
    for m in some:
        assert set(found[m]) - {-1} == naive.read_all(needed, set(cues[m]), N_OUT)
        assert set(best[m]) - {-1} == naive.read_best(needed, set(cues[m]), N_OUT, k)
    assert (patterns(found, N_OUT) == sparse.read(patterns(cues, N))).all()
    assert (patterns(best, N_OUT) == sparse.read(patterns(cues, N), mode="best", k=k)).all()


@given(batches())
def test_winners_that_all_inputs_reach_come_first(drawn):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    every = sparse.read(patterns(keys, N)).astype(bool)
    best = sparse.read(patterns(keys, N), mode="best").astype(bool)
    within = every.sum(axis=1) >= sparse.k
    assert (every[within] >= best[within]).all()
    assert (best[~within] >= every[~within]).all()


@given(batches(), st.randoms(use_true_random=False))
def test_order_and_batching_do_not_matter(drawn, random):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    other = Sparse(N, N_OUT, counts=sparse.state()["counts"])
    order = list(range(len(keys)))
    random.shuffle(order)
    cut = random.randint(0, len(order))
    for part in (order[:cut], order[cut:]):
        if part:
            other.write(patterns(keys[part], N), patterns(values[part], N_OUT))
    assert_same(sparse, other)


@given(batches())
def test_batched_equals_one_by_one(drawn):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    other = Sparse(N, N_OUT, counts=sparse.state()["counts"])
    for x, y in zip(keys, values, strict=True):
        other.write_active(x, y)
    assert_same(sparse, other)
    for mode in ("all", "best"):
        batch = sparse.read_active(keys, mode=mode)
        for m in range(0, len(keys), 7):
            one = sparse.read_active(keys[m], mode=mode)
            assert one.ndim == 1
            assert (patterns(one[None], N_OUT) == patterns(batch[m : m + 1], N_OUT)).all()
            assert (sparse.read(patterns(keys, N)[m], mode=mode) == patterns(batch, N_OUT)[m]).all()


@given(batches(counts=True), st.data())
def test_forgetting_is_exact(drawn, data):
    sparse, keys, values = drawn
    gone = data.draw(st.one_of(st.just([0]), st.just(list(range(len(keys)))), st.just([len(keys) - 1])))
    sparse.write_active(keys, values)
    sparse.forget_active(keys[gone], values[gone])
    kept = np.setdiff1d(np.arange(len(keys)), gone)
    never = Sparse(N, N_OUT, counts=True)
    if len(kept):
        never.write(patterns(keys[kept], N), patterns(values[kept], N_OUT))
    assert_same(sparse, never)


@given(batches())
def test_state_round_trip(drawn):
    sparse, keys, values = drawn
    sparse.write_active(keys, values)
    state = sparse.state()
    again = Sparse.from_state(state)
    assert_same(sparse, again)
    state["synapses"][:] = 0
    assert (again.read(patterns(keys, N)) == sparse.read(patterns(keys, N))).all()
    assert again.nbytes == sparse.nbytes == N * 2 * 8 + (N * N_OUT if state["counts"] else 0)


# --- what it is for ------------------------------------------------------------------------------


@pytest.mark.parametrize("m", [20, 80])
def test_recall_from_a_noisy_and_from_a_partial_cue(m):
    rng = np.random.default_rng(m)
    keys, values = pairs_of(rng, m, 300, 300, 9)
    sparse = Sparse(300, k=9)
    sparse.write_active(keys, values)
    noisy = keys.copy()
    for row in noisy:
        row[:2] = rng.choice(np.setdiff1d(np.arange(300), row), 2, replace=False)
    assert (np.sort(values) == sparse.read_active(noisy, mode="best")).all()
    known = np.ones((m, 300), bool)
    known[np.arange(m), noisy[:, 0]] = known[np.arange(m), noisy[:, 1]] = False
    assert (np.sort(values) == sparse.read_active(noisy, known)).mean() > 0.99
    cue = np.where(known, patterns(noisy, 300), np.nan)
    assert (sparse.read(cue, known) == patterns(sparse.read_active(noisy, known), 300)).all()


def test_completes_a_pattern_written_with_itself():
    sparse = Sparse(64)
    pattern = patterns(np.array([[1, 9, 33, 34, 50, 63]]), 64)[0]
    sparse.write(pattern)
    known = np.arange(64) < 34
    assert (sparse.read(pattern, known=known) == pattern).all()
    assert sparse.read_active([1, 9]).tolist() == [1, 9, 33, 34, 50, 63]
    assert sparse.load == 36 / 64**2


def test_patterns_may_differ_in_size():
    sparse = Sparse(8, 5)
    sparse.write_active([[0, 1, 2], [5, -1, -1]], [[4, -1], [0, 3]])
    assert sparse.read_active([[5, -1], [2, 1], [0, 5]]).tolist() == [[0, 3], [4, -1], [-1, -1]]
    assert sparse.read_active([[5, -1], [2, 1], [0, 5]], mode="best", k=3).tolist() == [
        [0, 3, -1],
        [4, -1, -1],
        [0, 3, 4],
    ]


def test_ties_go_to_the_lower_index():
    sparse = Sparse(4, 200)
    sparse.write_active([0], [190, 70, 3])
    assert sparse.read_active([0], mode="best", k=2).tolist() == [3, 70]
    assert (sparse.read_active(np.zeros((MANY, 1), int), mode="best", k=2) == [3, 70]).all()


def test_default_k():
    assert Sparse(4000).k == 12
    assert Sparse(4000, 1).k == 1


def test_a_thousand_neurons_hold_4700_pairs_at_one_percent_error():
    rng = np.random.default_rng(0)
    keys, values = (np.argsort(rng.random((4700, 1000)), axis=1)[:, :10] for _ in range(2))
    sparse = Sparse(1000)
    sparse.write_active(keys, values)
    spurious = (sparse.read_active(keys) >= 0).sum() / values.size - 1
    assert 0.005 < spurious < 0.01


def test_reading_changes_nothing():
    sparse = Sparse(N, counts=True)
    sparse.write_active([1, 2, 3])
    before = Sparse.from_state(sparse.state())
    sparse.read_active([1, 2], mode="best")
    assert_same(sparse, before)


# --- what it refuses -----------------------------------------------------------------------------


def wrong_lists():
    yield "float", [[0.0, 1.0]], InvalidDtype
    yield "bool", np.ones((2, N), bool), InvalidDtype
    yield "text", ["a"], InvalidDtype
    yield "ragged", [[0, 1], [2]], InvalidShape
    yield "3-d", np.zeros((1, 1, 1), int), InvalidShape
    yield "scalar", 3, InvalidShape
    yield "too large", [[0, 1], [2, N]], InvalidInput
    yield "negative", [0, -2], InvalidInput
    yield "twice", [[0, 1], [3, 3]], InvalidInput
    yield "empty batch", np.zeros((0, 3), int), EmptyBatch
    yield "no neuron", [[0, 1], [-1, -1]], InvalidInput
    yield "no width", np.zeros((2, 0), int), InvalidInput
    yield "huge unsigned", np.array([0, 2**64 - 1], np.uint64), InvalidInput


def wrong_patterns():
    yield "not binary", np.full((2, N), 0.5), InvalidDtype
    yield "negative", -np.ones(N), InvalidDtype
    yield "nan", np.full(N, np.nan), NotFinite
    yield "infinite", np.full((2, N), np.inf), NotFinite
    yield "text", np.array(["1"] * N), InvalidDtype
    yield "shape", np.ones((2, N + 1)), InvalidShape
    yield "3-d", np.ones((2, 2, N)), InvalidShape
    yield "ragged", [[0, 1], [2]], InvalidShape
    yield "empty batch", np.ones((0, N)), EmptyBatch
    yield "no active neuron", np.zeros(N), InvalidInput


def cases(wrong):
    return [pytest.param(given, error, id=name) for name, given, error in wrong]


def filled():
    sparse = Sparse(N, counts=True)
    sparse.write_active([[1, 2, 3], [3, 4, 5]])
    return sparse, Sparse.from_state(sparse.state())


@pytest.mark.parametrize(("given", "error"), cases(wrong_lists()))
@pytest.mark.parametrize("verb", ["write_active", "read_active", "forget_active"])
def test_bad_lists_are_refused_and_change_nothing(verb, given, error):
    sparse, before = filled()
    with pytest.raises(error, match=r"^(keys|cue):"):
        getattr(sparse, verb)(given)
    assert_same(sparse, before)


@pytest.mark.parametrize(("given", "error"), cases(wrong_patterns()))
@pytest.mark.parametrize("verb", ["write", "read", "forget"])
def test_bad_patterns_are_refused_and_change_nothing(verb, given, error):
    sparse, before = filled()
    with pytest.raises(error, match=r"^(keys|cue):"):
        getattr(sparse, verb)(given)
    assert_same(sparse, before)


@pytest.mark.parametrize("bad", [N, -2, 7])
def test_a_bad_list_among_many_is_refused(bad):
    sparse, before = filled()
    keys = np.tile([6, 7], (MANY, 1))
    keys[-2, 0] = bad
    with pytest.raises(InvalidInput, match=f"item {MANY - 2}"):
        sparse.write_active(keys)
    assert_same(sparse, before)


def test_keys_and_values_must_match():
    sparse, before = filled()
    with pytest.raises(InvalidShape, match="1 were given for 2 keys"):
        sparse.write_active([[1], [2]], [[1]])
    with pytest.raises(InvalidInput, match="values"):
        sparse.write_active([[1], [2]], [[1], [N]])
    assert_same(sparse, before)
    with pytest.raises(InvalidShape, match="needs one for each key"):
        Sparse(3, 4).write_active([1])


def test_a_cue_without_a_known_active_neuron():
    sparse, _ = filled()
    nothing = np.zeros(N, bool)
    others = np.arange(N) > 5
    for cue in (nothing, np.zeros((2, N))):
        with pytest.raises(NothingKnown):
            sparse.read(cue)
    for known in (nothing, others):
        with pytest.raises(NothingKnown):
            sparse.read(patterns(np.array([[1, 2]]), N), known)
        with pytest.raises(NothingKnown):
            sparse.read_active([1, 2], known)
    with pytest.raises(InvalidShape):
        sparse.read_active([1, 2], np.ones(N + 1, bool))


def test_empty_memory_and_wrong_arguments():
    with pytest.raises(EmptyMemory):
        Sparse(N).read_active([1])
    sparse, _ = filled()
    with pytest.raises(UnknownName, match="'all', 'best'"):
        sparse.read_active([1], mode="some")
    for k in (0, N + 1, 2.5, True):
        with pytest.raises(InvalidParameter):
            sparse.read_active([1], mode="best", k=k)
        with pytest.raises(InvalidParameter):
            Sparse(N, k=k)
    for wrong in (
        {"n": 0},
        {"n": 3, "n_out": 0},
        {"n": 3, "counts": 1},
        {"n": 3, "count_bits": 32},
        {"n": 2.0},
    ):
        with pytest.raises(InvalidParameter):
            Sparse(**wrong)


@pytest.mark.parametrize("many", [False, True])
def test_forgetting_without_counters_is_refused(many):
    sparse = Sparse(N)
    keys = np.tile([1, 2], (MANY if many else 1, 1))
    sparse.write_active(keys)
    before = Sparse.from_state(sparse.state())
    for forget in (
        lambda: sparse.forget_active(keys),
        lambda: sparse.forget(patterns(keys, N)),
    ):
        with pytest.raises(CannotForget, match="counts=True"):
            forget()
    for forget in (sparse.forget, sparse.forget_active):
        with pytest.raises(InvalidParameter, match="no keys"):
            forget()
    assert_same(sparse, before)


@pytest.mark.parametrize("m", [1, MANY])
def test_forgetting_what_was_not_written_changes_nothing(m):
    sparse, before = filled()
    for keys in (np.tile([7, 8], (m, 1)), np.tile([1, 2, 3], (m + 1, 1))):
        with pytest.raises(UnknownMemory, match="nothing was forgotten"):
            sparse.forget_active(keys)
        assert_same(sparse, before)
    with pytest.raises(InvalidParameter, match="no keys"):
        sparse.forget()


@pytest.mark.parametrize("m", [1, MANY])
def test_a_saturated_counter_is_not_counted_down(m):
    sparse = Sparse(N, counts=True)
    sparse.write_active(np.tile([1, 2], (200, 1)))
    sparse.write_active(np.tile([4, 5], (m, 1)))
    for _ in range(60):
        sparse.write_active([[1, 2]])
    before = Sparse.from_state(sparse.state())
    with pytest.raises(CannotForget, match="saturated at 255"):
        sparse.forget_active(np.concatenate([np.tile([4, 5], (m, 1)), [[1, 2]]]))
    assert_same(sparse, before)
    sparse.forget_active(np.tile([4, 5], (m, 1)))
    wide = Sparse(N, counts=True, count_bits=16)
    wide.write_active(np.tile([1, 2], (300, 1)))
    wide.forget_active(np.tile([1, 2], (299, 1)))
    once = Sparse(N, counts=True, count_bits=16)
    once.write_active([1, 2])
    assert_same(wide, once)


def test_a_bad_state_is_refused():
    state = filled()[0].state()
    for change in (
        {"synapses": state["synapses"][:-1]},
        {"synapses": state["synapses"].astype(np.int64)},
        {"synapses": ~state["synapses"]},
        {"counters": None},
        {"pairs": -1},
        {"n": 0},
    ):
        with pytest.raises(InvalidInput):
            Sparse.from_state(state | change)
    del state["pairs"]
    with pytest.raises(InvalidInput, match="'pairs' is missing"):
        Sparse.from_state(state)


# --- processes and threads -----------------------------------------------------------------------


def test_few_items_need_no_compiler():
    program = """
import sys
import numpy as np
from mossy.substrate.sparse import Sparse
sparse = Sparse(1000, counts=True)
keys = np.arange(64 * 10).reshape(64, 10)
sparse.write_active(keys)
sparse.read_active(keys[:, :5])
sparse.read_active(keys[:, :5], mode="best")
sparse.forget_active(keys)
assert "numba" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_four_threads_read_at_once():
    rng = np.random.default_rng(0)
    keys, values = pairs_of(rng, 400, 200, 200, 6)
    sparse = Sparse(200, k=6)
    sparse.write_active(keys, values)
    start, found = threading.Barrier(4), [None] * 4

    def work(number):
        start.wait()
        found[number] = [sparse.read_active(keys, mode=mode) for mode in ("all", "best")]

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in found:
        for a, b in zip(one, found[0], strict=True):
            assert (a == b).all()

"""The compiled loops over packed synapses, on batches of any size, against the naive ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import sparse as naive

from mossy.kernels import bits
from mossy.kernels.codes import GOOD, NOT_A_NEURON, NOT_WRITTEN, SATURATED, TWICE

N, N_OUT = 12, 130  # more than two words of outputs


def subsets(n, most=8):
    return st.sets(st.integers(0, n - 1), min_size=1, max_size=most)


PAIRS = st.lists(st.tuples(subsets(N), subsets(N_OUT)), min_size=1, max_size=12)


def flat(patterns):
    neurons = [i for pattern in patterns for i in sorted(pattern, reverse=True)]
    offsets = np.cumsum([0, *(len(pattern) for pattern in patterns)])
    return np.array(neurons, np.int32), offsets.astype(np.int64)


def written(pairs):
    synapses = np.zeros((N, 3), np.uint64)
    counters = np.zeros((N, N_OUT), np.uint8)
    lists = (*flat([x for x, _ in pairs]), *flat([y for _, y in pairs]))
    bits.write_pairs(synapses, *lists)
    bits.count_pairs(counters, *lists)
    return synapses, counters, lists


def unpack(synapses):
    return np.unpackbits(synapses.view(np.uint8), axis=1, bitorder="little")


def as_sets(words):
    return [set(np.flatnonzero(row).tolist()) for row in unpack(words)]


@given(PAIRS)
def test_write_and_count(pairs):
    synapses, counters, _ = written(pairs)
    needed = np.array(naive.write(pairs, N, N_OUT))
    assert (counters == needed).all()
    assert (unpack(synapses)[:, :N_OUT] == (needed > 0)).all()
    assert not unpack(synapses)[:, N_OUT:].any()


def test_write_sorted_in_several_chunks():
    rng = np.random.default_rng(3)
    pairs = [
        (set(rng.choice(N, 2, replace=False).tolist()), {int(rng.integers(N_OUT))}) for _ in range(bits.CHUNK * 2 + 7)
    ]
    pairs = [(x, y) for x, y in pairs if (min(x) + min(y)) % 7 == 0 or max(y) == 129]
    few = pairs[:40]
    repeated = few * (2 * bits.CHUNK // len(few) + 1)
    assert len(repeated) > 2 * bits.CHUNK
    assert (written(repeated)[0] == written(few)[0]).all()


@given(PAIRS, st.lists(subsets(N), min_size=1, max_size=5), st.integers(1, N_OUT))
def test_read(pairs, cues, k):
    synapses, _, _ = written(pairs)
    needed = naive.write(pairs, N, N_OUT)
    words = np.empty((len(cues), 3), np.uint64)
    bits.read_all(synapses, *flat(cues), words)
    assert as_sets(words) == [naive.read_all(needed, cue, N_OUT) for cue in cues]
    bits.read_best(synapses, *flat(cues), k, words)
    assert as_sets(words) == [naive.read_best(needed, cue, N_OUT, k) for cue in cues]


@given(PAIRS)
def test_list_active(pairs):
    synapses, _, _ = written(pairs)
    found = np.full((N, N_OUT), -7, np.int32)
    bits.list_active(synapses, found)
    for row, active in zip(found, as_sets(synapses), strict=True):
        assert row[: len(active)].tolist() == sorted(active)
        assert (row[len(active) :] == -1).all()


@given(PAIRS, st.data())
def test_forget_leaves_what_never_writing_would(pairs, data):
    gone = data.draw(st.lists(st.sampled_from(range(len(pairs))), unique=True))
    synapses, counters, _ = written(pairs)
    lists = (*flat([pairs[m][0] for m in gone]), *flat([pairs[m][1] for m in gone]))
    assert bits.forget_pairs(synapses, counters, *lists) == (GOOD, -1)
    kept = [pair for m, pair in enumerate(pairs) if m not in gone]
    assert (counters == np.array(naive.write(kept, N, N_OUT))).all()
    assert (synapses == written(kept)[0]).all() if kept else not synapses.any()


@given(PAIRS)
def test_forget_one_too_often_changes_nothing(pairs):
    synapses, counters, (x, xo, y, yo) = written(pairs)
    before = synapses.copy(), counters.copy()
    twice = np.concatenate([x, x]), np.concatenate([xo, xo[1:] + xo[-1]])
    twice_out = np.concatenate([y, y]), np.concatenate([yo, yo[1:] + yo[-1]])
    code, fault = bits.forget_pairs(synapses, counters, *twice, *twice_out)
    assert code == NOT_WRITTEN
    assert fault >= len(pairs)
    assert (synapses == before[0]).all()
    assert (counters == before[1]).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_counter_saturates(dtype):
    full = np.iinfo(dtype).max
    synapses = np.zeros((N, 3), np.uint64)
    counters = np.full((N, N_OUT), full - 1, dtype)
    lists = (*flat([{1}, {2}]), *flat([{5}, {6}]))
    for _ in range(2):
        bits.count_pairs(counters, *lists)
    assert counters[1, 5] == full
    counters[1, 5] = full - 1
    before = counters.copy()
    assert bits.forget_pairs(synapses, counters, *lists) == (SATURATED, 1)
    assert (counters == before).all()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_pack_active(dtype):
    given = np.array([[3, -1, 0], [-1, 3, 1], [-1, -1, -1]], dtype)
    active, offsets = np.empty(9, np.int32), np.empty(4, np.int64)
    assert bits.pack_active(given, 4, active, offsets)[0] == GOOD
    assert active[:4].tolist() == [3, 0, 3, 1]
    assert offsets.tolist() == [0, 2, 4, 4]
    assert bits.pack_active(given, 3, active, offsets) == (NOT_A_NEURON, 0, 3)
    given[1, 0] = 1
    assert bits.pack_active(given, 4, active, offsets) == (TWICE, 1, 1)
    given[1, 0] = -2
    assert bits.pack_active(given, 4, active, offsets) == (NOT_A_NEURON, 1, -2)

"""Every similarity equals its equation in loops, and a scan in float32 misses nothing that can matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.naive import similarity as naive

from mossy.errors import UnknownName
from mossy.similarity import SIMILARITIES, KeyStatistics, as_similarity
from mossy.substrate.index import Index

every = pytest.mark.parametrize("name", SIMILARITIES)


def exact_table(index: Index, cues: np.ndarray, known: np.ndarray | None) -> np.ndarray:
    """Return the exact similarity ``(c, n)`` of every cue and key, by the index itself."""
    c, n = len(cues), index.rows
    which, rows = np.repeat(np.arange(c), n), np.tile(np.arange(n), c)
    return index.exact(index.prepare(cues, known), which, rows).reshape(c, n)


@st.composite
def worlds(draw):
    """Keys with duplicates, offsets, zeros and any scale; cues near them or not; a mask for none, all or each."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    n, d, c = draw(st.integers(1, 40)), draw(st.integers(1, 12)), draw(st.integers(1, 6))
    keys = rng.choice([-1.0, 0.0, 1.0], (n, d)) if draw(st.booleans()) else rng.normal(size=(n, d))
    copies = draw(st.integers(0, n // 2))
    keys[rng.integers(0, n, copies)] = keys[rng.integers(0, n, copies)]
    if draw(st.booleans()):
        keys[rng.integers(0, n)] = 0
    if draw(st.booleans()):
        keys[:, rng.integers(0, d)] = 0.5
    keys = (keys + draw(st.sampled_from([0.0, 0.0, 1000.0, -3.0]))) * draw(st.sampled_from([1.0, 1e-6, 1e6, 255.0]))
    keys = keys.astype(np.float32)
    noise = draw(st.sampled_from([0.0, 1e-3, 0.5])) * (keys.std() + 1e-30)
    cues = (keys[rng.integers(0, n, c)] + noise * rng.normal(size=(c, d))).astype(np.float32)
    if draw(st.booleans()):
        cues[rng.integers(0, c)] = 0
    kind = draw(st.sampled_from(["none", "shared", "each"]))
    known = None
    if kind != "none":
        known = rng.random((1 if kind == "shared" else c, d)) < 0.6
        known[np.arange(len(known)), rng.integers(0, d, len(known))] = True
    return keys, cues, known


@every
@given(world=worlds())
def test_the_exact_similarity_equals_its_equation(name, world):
    keys, cues, known = world
    index = Index(name)
    index.write(keys)
    found = exact_table(index, cues, known)
    wide, rows = keys.astype(np.float64).tolist(), range(0, len(keys), max(len(keys) // 5, 1))
    for i, cue in enumerate(cues.astype(np.float64).tolist()):
        mask = None if known is None else known[i % len(known)].tolist()
        for j in rows:
            expected = naive.similarity(name, wide, wide[j], cue, mask)
            assert found[i, j] == pytest.approx(expected, rel=1e-5, abs=1e-9)


@every
@given(
    world=worlds(),
    k=st.integers(1, 5),
    reach=st.sampled_from([0.0, 1e-6, 0.01, 1.0, np.inf]),
    slack=st.sampled_from([0.0, 0.002, 0.3]),
)
@example(world=(np.zeros((3, 2), np.float32), np.zeros((1, 2), np.float32), None), k=1, reach=0.0, slack=0.0)
def test_a_scan_misses_nothing(name, world, k, reach, slack):
    """Whatever is among the k best, or within reach of the best, to within slack, by an exact search, is returned."""
    keys, cues, known = world
    index = Index(name)
    index.write(keys)
    table = exact_table(index, cues, known)
    k = min(k, len(keys))
    which, rows = index.scan(index.prepare(cues, known), reach, slack, k)
    pairs = list(zip(which.tolist(), rows.tolist(), strict=True))
    assert pairs == sorted(set(pairs)), "ordered by cue, then by row, each once"
    for i, line in enumerate(table):
        falling = np.sort(line)[::-1]
        must = np.flatnonzero((line >= falling[k - 1] - slack) | (line >= falling[0] - reach - slack))
        assert set(must.tolist()) <= {row for cue, row in pairs if cue == i}


@every
@given(world=worlds())
def test_the_rounding_is_a_bound(name, world):
    """Differences of two scores in float32 are those of the exact similarities, to within twice the bound."""
    keys, cues, known = world
    index = Index(name)
    index.write(keys)
    prepared = index.prepare(cues, known)
    table = exact_table(index, cues, known)
    scores = index.scores(prepared).astype(np.float64)
    bound = np.broadcast_to(index.rounding(prepared), len(cues))
    for i in range(len(cues)):
        off = (scores[i] - scores[i][0]) - (table[i] - table[i][0])
        assert np.abs(off).max() <= 2 * bound[i] + 1e-30


@every
def test_a_scan_over_several_blocks_and_many_cues(name):
    """More keys than one block holds, more cues than are scanned at once, masks of each."""
    rng = np.random.default_rng(5)
    keys = rng.normal(size=(20_000, 6)).astype(np.float32)
    cues = (keys[rng.integers(0, len(keys), 300)] + 0.2 * rng.normal(size=(300, 6))).astype(np.float32)
    known = rng.random((300, 6)) < 0.7
    known[:, 2] = True
    index = Index(name)
    index.write(keys)
    for mask in (None, known):
        which, rows = index.scan(index.prepare(cues, mask), 0.0, 0.0, 3)
        few = rng.choice(300, 5, replace=False)
        table = exact_table(index, cues[few], None if mask is None else mask[few])
        for place, i in enumerate(few):
            best = np.argsort(-table[place], kind="stable")[:3]
            assert set(best.tolist()) <= set(rows[which == i].tolist())
        assert len(rows) < 0.02 * 300 * len(keys), "a scan that returns many rows saves nothing"


@every
def test_silent_rows_are_never_found(name):
    rng = np.random.default_rng(1)
    keys = rng.normal(size=(20, 4)).astype(np.float32)
    index = Index(name)
    index.write(keys)
    index.erase(np.array([3, 7]))
    which, rows = index.scan(index.prepare(keys[[3, 7]], None), np.inf, 0.0, 1)
    assert not np.isin(rows, [3, 7]).any()
    assert len(which) == 2 * 18


@every
@given(world=worlds())
def test_unknown_entries_do_not_matter(name, world):
    keys, cues, known = world
    if known is None:
        return
    index = Index(name)
    index.write(keys)
    other = np.where(known, cues, 12345.0).astype(np.float32)
    assert np.array_equal(exact_table(index, cues, known), exact_table(index, other, known))


@every
def test_a_mask_of_all_is_no_mask(name):
    rng = np.random.default_rng(2)
    keys = rng.normal(size=(30, 5)).astype(np.float32)
    index = Index(name)
    index.write(keys)
    cues = keys[:4] + np.float32(0.1)
    assert exact_table(index, cues, np.ones((4, 5), bool)) == pytest.approx(exact_table(index, cues, None), rel=1e-12)


@pytest.mark.parametrize(("name", "fit"), [("euclidean", 0.0), ("manhattan", 0.0), ("cosine", 1.0)])
def test_a_perfect_fit_is_the_best(name, fit):
    rng = np.random.default_rng(3)
    keys = rng.normal(size=(50, 8)).astype(np.float32)
    index = Index(name)
    index.write(keys)
    table = exact_table(index, keys, None)
    assert np.diag(table) == pytest.approx(np.full(50, fit), abs=1e-12)
    assert (table.argmax(axis=1) == np.arange(50)).all()


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize(
    ("name", "unrelated"), [("euclidean", -1.0), ("manhattan", -1.13), ("cosine", 0.0), ("dot", 0.0)]
)
def test_unrelated_gaussian_keys_lie_where_the_docs_say_in_any_scale(name, unrelated, scale):
    rng = np.random.default_rng(4)
    index = Index(name)
    index.write((scale * rng.normal(size=(400, 64))).astype(np.float32))
    cues = (scale * rng.normal(size=(20, 64))).astype(np.float32)
    assert exact_table(index, cues, None).mean() == pytest.approx(unrelated, abs=0.05)


def test_one_key_alone_is_measured_by_its_own_length():
    index = Index("euclidean")
    index.write([1.0, 2.0])
    assert exact_table(index, np.array([[1.0, 3.0]]), None)[0, 0] == pytest.approx(-0.5 / 5)


def test_statistics_are_moments():
    rng = np.random.default_rng(6)
    keys = rng.normal(2, 3, (30, 4)).astype(np.float32)
    statistics = KeyStatistics(4)
    statistics.add(keys[:10])
    statistics.add(keys[10:])
    variance, power = naive.moments(keys.astype(np.float64).tolist())
    assert statistics.of_entries("variance") == pytest.approx(variance, rel=1e-9)
    assert statistics.of_entries("deviation") == pytest.approx(np.sqrt(variance), rel=1e-9)
    assert statistics.of_entries("power") == pytest.approx(power, rel=1e-12)
    whole = KeyStatistics(4)
    whole.add(keys)
    for of in ("variance", "deviation", "power"):
        assert np.array_equal(statistics.of_entries(of), whole.of_entries(of)), "whatever the batches"
    known = np.array([[1.0, 0.0, 0.0, 1.0], [0.0, 1.0, 1.0, 1.0]])
    assert statistics.scale("variance", known) == pytest.approx(
        [variance[0] + variance[3], sum(variance[1:])], rel=1e-9
    )
    assert statistics.scale("variance", None) == pytest.approx([sum(variance)], rel=1e-9)


@every
@pytest.mark.parametrize("size", [1e-14, 1e14])
def test_sizes_at_the_ends_of_what_is_allowed(name, size):
    rng = np.random.default_rng(7)
    keys = (size * rng.normal(size=(60, 5))).astype(np.float32)
    index = Index(name, "winner")
    index.write(keys)
    known = np.array([True, True, False, True, True])
    cues = np.ascontiguousarray(keys[:20])
    for mask in (None, known):
        table = exact_table(index, cues, None if mask is None else mask[None])
        assert np.isfinite(table).all()
        assert np.array_equal(index.read(cues, mask), keys[table.argmax(axis=1)])


@every
@pytest.mark.parametrize("size", [1e-24, 1e-30, 1e-40])
def test_sizes_whose_square_is_no_float32(name, size):
    rng = np.random.default_rng(8)
    keys = (size * rng.normal(size=(20, 5))).astype(np.float32)
    index = Index(name, "winner")
    index.write(keys)
    for mask in (None, np.array([True, True, False, True, True])):
        table = exact_table(index, keys, None if mask is None else mask[None])
        assert np.array_equal(index.read(keys, mask), keys[table.argmax(axis=1)])


def test_the_scale_is_that_of_a_sample_of_the_keys_that_are_there():
    rng = np.random.default_rng(9)
    keys = (rng.normal(size=(10_000, 3)) * np.linspace(1, 2, 10_000)[:, None]).astype(np.float32)
    one, other = Index(), Index()
    one.write(keys)
    for first in range(0, 12_000, 500):
        other.write(np.concatenate([keys, keys[:2000] + 7])[first : first + 500])
    other.erase(np.arange(10_000, 12_000))
    cues = keys[:5]
    assert one.prepare(cues, None).scale == pytest.approx(keys.astype(np.float64).var(axis=0).sum(), rel=0.15)
    assert np.array_equal(one.prepare(cues, None).scale, other.prepare(cues, None).scale)


def test_names():
    for name, kind in SIMILARITIES.items():
        assert isinstance(as_similarity(name), kind)
    own = SIMILARITIES["dot"]()
    assert as_similarity(own) is own
    with pytest.raises(UnknownName, match="similarity: 'l2' was given; allowed are 'dot', 'cosine'"):
        as_similarity("l2")


@given(st.integers(1, 9), st.lists(st.integers(1, 300), min_size=1, max_size=4), st.integers(0, 99))
def test_statistics_are_the_same_bits_in_any_batching(d, sizes, seed):
    keys = np.random.default_rng(seed).normal(size=(sum(sizes), d)) * 10.0 ** np.arange(d)
    whole, parts = KeyStatistics(d), KeyStatistics(d)
    whole.add(keys)
    for part in np.split(keys, np.cumsum(sizes)[:-1]):
        parts.add(part)
    total = np.zeros(d)
    for key in keys:
        total += key
    assert whole.total.tolist() == parts.total.tolist() == total.tolist()
    assert whole.squares.tolist() == parts.squares.tolist()

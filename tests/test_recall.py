"""Recall is its equations in loops; its promises hold whatever was stored, however old it is."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy import Memory, Steps
from mossy.pathway import Links
from mossy.pathway.vector import Exact
from mossy.recall import Settings, gather, settle
from mossy.separation import SEPARATIONS, as_separation
from mossy.similarity import SIMILARITIES
from mossy.strength import Strengths, power_law, two_phase
from mossy.substrate.index import Index
from tests.naive import recall as naive
from tests.naive.same import differences, same
from tests.naive.separation import SEPARATIONS as NAIVE_SEPARATIONS

YEAR = 365.25 * 86_400.0
ZERO_BASED = ("dot", "cosine")
PAIRS = [
    (similarity, separation)
    for similarity in SIMILARITIES
    for separation in SEPARATIONS
    if SEPARATIONS[separation]().shift_invariant or similarity in ZERO_BASED
]
CROWD = [(s, p) for s, p in PAIRS if p in ("softmax", "sparsemax", "entmax", "winner")]
every_pair = pytest.mark.parametrize(("similarity", "separation"), PAIRS)


def some(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def aged(seed: int, n: int, d: int, **settings) -> tuple[Memory, Steps, np.ndarray, np.ndarray]:
    """Return a memory whose members are of any age and use, its clock, their keys and ``ln s``."""
    rng = np.random.default_rng(seed)
    clock = Steps()
    memory = Memory(clock=clock, **settings)
    keys = some(seed, n, d)
    for key in keys:
        memory.store(key)
        clock.advance(float(10 ** rng.uniform(-2, 8)))
    for _ in range(3):
        memory.reinforce(int(rng.integers(n)), float(rng.uniform(0.1, 5)))
        clock.advance(float(10 ** rng.uniform(-2, 8)))
    return memory, clock, keys, np.log(memory.strength(memory.ids).sum(axis=1))


def shown(found) -> list:
    """Return all that a recall says, to compare bit for bit."""
    return [
        found.pattern.tobytes(),
        found.ids.tolist(),
        found.payload,
        found.probability.tolist(),
        np.asarray(found.energy).tolist(),
        np.asarray(found.familiar).tolist(),
        np.asarray(found.steps).tolist(),
        found.explain(),
    ]


@every_pair
@given(
    seed=st.integers(0, 9999),
    beta=st.sampled_from([0.7, 6.0, 400.0]),
    delta=st.sampled_from([0.0, 0.002, 0.3]),
    masked=st.booleans(),
    steps=st.integers(1, 4),
)
def test_a_recall_equals_its_equations(similarity, separation, seed, beta, delta, masked, steps):
    rng = np.random.default_rng(seed)
    n, d = int(rng.integers(1, 7)), int(rng.integers(2, 5))
    memory, _, keys, ln_s = aged(seed, n, d, similarity=similarity, separation=separation, beta=beta, delta=delta)
    cue = (keys[0] + 0.3 * rng.normal(size=d)).astype(np.float32)
    known = rng.random(d) < 0.6 if masked else None
    if known is not None:
        known[int(rng.integers(d))] = True
    found = memory.recall(cue, known, k=n, steps=steps, reinforce=False)
    expected = naive.recall(
        keys.astype(float).tolist(),
        keys.astype(float).tolist(),
        ln_s.tolist(),
        cue.astype(float).tolist(),
        None if known is None or known.all() else known.tolist(),
        name=similarity,
        separation=separation,
        beta=beta,
        delta=delta,
        steps=steps,
    )
    near = {"rel": 1e-5, "abs": 2e-5 * max(beta * delta, 1.0)}
    order = [one.id for one in found.explain()]
    assert sorted(order) == list(range(n))
    for one in found.explain():
        assert one.fit == pytest.approx(expected.fit[one.id], rel=1e-6, abs=1e-8)
        assert one.similarity == pytest.approx(expected.similarity[one.id], rel=1e-6, abs=1e-6)
        assert one.prior == pytest.approx(expected.prior[one.id], rel=1e-4, abs=1e-5)
        assert one.association == 0
        assert math.log(one.strength) == pytest.approx(ln_s[one.id], abs=1e-4)
        assert one.short + one.long == pytest.approx(one.strength)
        if separation not in ("winner", "linear", "polynomial"):
            assert one.probability == pytest.approx(expected.probability[one.id], rel=1e-2, abs=1e-3)
    if separation != "winner":
        assert found.pattern == pytest.approx(expected.pattern, rel=1e-3, abs=1e-4)
        assert float(found.energy) == pytest.approx(expected.energy, rel=1e-4, abs=1e-4)
        assert found.probability == pytest.approx([expected.probability[i] for i in order], **near)


@pytest.mark.parametrize(("similarity", "separation"), CROWD)
@given(seed=st.integers(0, 9999), gain=st.sampled_from([0.5, 20.0]), steps=st.integers(1, 3))
def test_association_equals_its_equations(similarity, separation, seed, gain, steps):
    rng = np.random.default_rng(seed)
    n, d, beta = 6, 4, 5.0
    keys = some(seed, n, d)
    index, strengths, links = Index(similarity, separation, beta), Strengths(power_law()), Links(3, two_phase())
    index.write(keys)
    strengths.append(n, 0.0)
    links.append(n, 0.0, None)
    for _ in range(5):
        i, j = rng.choice(n, 2, replace=False)
        links.strengthen(np.array([i]), np.array([j]), rng.uniform(0.1, 2, 1), 0.0)
    now = float(10 ** rng.uniform(0, 5))
    matrix = np.zeros((n, n))
    targets, amounts = links.of(np.arange(n), now)
    for j in range(n):
        for target, amount in zip(targets[j], amounts[j], strict=True):
            if target >= 0:
                matrix[j, target] = amount
    cue = keys[:1] + np.float32(0.3)
    prepared = index.prepare(cue, None)
    table = gather(index, Exact(), strengths, links, prepared, n, Settings(0.01, gain), now)
    activity = index.separation.activity(table.total, n)
    pattern, _, _ = settle(index, Exact(), cue.astype(float), None, prepared, table, activity, steps)
    wide = keys.astype(float).tolist()
    expected = naive.recall(
        wide,
        wide,
        [0.0] * n,
        cue[0].astype(float).tolist(),
        name=similarity,
        separation=separation,
        beta=beta,
        delta=0.01,
        links=matrix.tolist(),
        gain=gain,
        steps=steps,
    )
    rows = table.rows[0]
    if separation == "winner" and np.unique(np.round(expected.evidence, 6)).size < n:
        return
    assert table.association[0] == pytest.approx([expected.association[i] for i in rows], abs=1e-5)
    assert table.total[0] == pytest.approx([expected.evidence[i] for i in rows], rel=1e-5, abs=1e-4)
    assert activity[0] == pytest.approx([expected.probability[i] for i in rows], abs=1e-4)
    assert pattern[0] == pytest.approx(expected.pattern, rel=1e-3, abs=1e-3)


@every_pair
@given(seed=st.integers(0, 9999), masked=st.booleans())
def test_the_parts_sum_to_the_evidence_and_its_separation_is_the_probability(similarity, separation, seed, masked):
    memory, _, keys, _ = aged(seed, 12, 5, similarity=similarity, separation=separation, beta=20.0)
    known = np.array([True, False, True, True, False]) if masked else None
    for line in memory.recall(keys[:4] + 0.2, known, k=12, reinforce=False).explain():
        evidence = np.array([one.evidence for one in line])
        assert (np.diff(evidence) <= 0).all(), "best first"
        for one in line:
            assert one.similarity + one.prior + one.association == pytest.approx(one.evidence, rel=1e-12)
            assert one.similarity == pytest.approx(20.0 * one.fit, rel=1e-12)
        assert [one.probability for one in line] == pytest.approx(
            NAIVE_SEPARATIONS[separation](evidence.tolist()), abs=1e-6
        )


def test_the_parts_sum_with_association_and_values_too():
    clock = Steps()
    memory = Memory(links=4, association=30.0, clock=clock)
    keys = some(1, 50, 6)
    memory.store(keys, some(2, 50, 3))
    clock.advance(100)
    for line in memory.recall(keys[:7] + 0.2, k=50).explain():
        assert any(one.association > 0 for one in line)
        for one in line:
            assert one.similarity + one.prior + one.association == pytest.approx(one.evidence, rel=1e-12)
        together = as_separation("softmax").activity(np.array([one.evidence for one in line]), 50)
        assert [one.probability for one in line] == pytest.approx(together.tolist(), abs=1e-9)
        assert str(line[0]).startswith(f"memory {line[0].id}: evidence ")


@pytest.mark.parametrize(("similarity", "separation"), CROWD)
@given(seed=st.integers(0, 9999), delta=st.sampled_from([0.002, 0.05, 0.4]), spread=st.floats(0.05, 1))
def test_no_ages_outweigh_a_difference_in_similarity_beyond_delta(similarity, separation, seed, delta, spread):
    rng = np.random.default_rng(seed)
    clock = Steps()
    memory = Memory(similarity=similarity, separation=separation, delta=delta, clock=clock)
    keys = (spread * some(seed, 8, 4) + 1).astype(np.float32)
    for key in keys:
        memory.store(key)
        clock.advance(float(10 ** rng.uniform(-3, 10.5)))  # up to a thousand years
        memory.reinforce(memory.ids[rng.integers(len(memory))], float(10 ** rng.uniform(-3, 6)))
    line = memory.recall((keys[0] + spread * 0.3 * rng.normal(size=4)).astype(np.float32), k=8).explain()
    for above, one in enumerate(line):
        assert abs(one.prior) <= memory.stats().beta * delta / 2 * (1 + 1e-9)
        for other in line[above + 1 :]:
            assert other.fit <= one.fit + delta * (1 + 1e-9)


@pytest.mark.parametrize("age", [60.0, YEAR, 1000 * YEAR])
def test_the_right_memory_is_found_however_old_it_is(age):
    """Old memories among a crowd of fresh, much-used ones: found as often as with no prior."""
    keys = some(3, 400, 32)
    right = {}
    for delta in (0.0, 0.002):
        clock = Steps()
        memory = Memory(delta=delta, clock=clock)
        memory.store(keys[:200])
        clock.advance(age)
        memory.store(keys[200:])
        memory.reinforce(memory.ids[200:], 20.0)
        cues = keys[:200] + 0.9 * np.random.default_rng(4).normal(size=(200, 32)).astype(np.float32)
        right[delta] = (memory.recall(cues, reinforce=False).ids[:, 0] == np.arange(200)).mean()
    assert right[0.002] >= right[0.0] - 0.01


def test_strength_breaks_ties():
    clock = Steps()
    memory = Memory(clock=clock)
    one, other = memory.store([[0.0, 1.0], [0.0, -1.0]])
    memory.store([5.0, 0.0])
    clock.advance(3600)
    assert memory.recall([0.1, 0.0], reinforce=False).ids[0] == one, "of equals the first"
    memory.reinforce(other)
    clock.advance(YEAR)
    assert memory.recall([0.1, 0.0], reinforce=False).ids[0] == other


def test_the_memory_that_fits_best_has_the_prior_zero():
    memory, _, keys, _ = aged(4, 20, 5, delta=0.3)
    for line in memory.recall(keys + 0.3, k=20, reinforce=False).explain():
        assert max(line, key=lambda one: one.fit).prior == 0.0


def batch_and_singles(similarity, separation, masked, k, beta):
    """Return a batched recall, and the recalls of its cues one by one."""
    memory, _, keys, _ = aged(5, 60, 9, similarity=similarity, separation=separation, beta=beta)
    rng = np.random.default_rng(6)
    cues = (keys[:40] + 0.5 * rng.normal(size=(40, 9))).astype(np.float32)
    cues[3], cues[4] = keys[3], 0
    known = None
    if masked:
        known = rng.random((40, 9)) < 0.6
        known[:, 0] = True
    whole = memory.recall(cues, known, k, reinforce=False)
    return whole, [
        memory.recall(cue, None if known is None else known[i], k, reinforce=False) for i, cue in enumerate(cues)
    ]


@pytest.mark.parametrize(("similarity", "separation"), PAIRS)
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("k", [1, 5])
def test_batched_is_one_by_one(similarity, separation, masked, k):
    whole, singles = batch_and_singles(similarity, separation, masked, k, 60.0)
    for i, one in enumerate(singles):
        assert same(one.ids, whole.ids[i])
        assert (int(one.steps), bool(one.familiar)) == (int(whole.steps[i]), bool(whole.familiar[i]))
        assert one.pattern == pytest.approx(whole.pattern[i], rel=1e-6, abs=1e-7)
        assert one.probability == pytest.approx(whole.probability[i], rel=1e-9, abs=1e-12)
        assert float(one.energy) == pytest.approx(float(whole.energy[i]), rel=1e-9, abs=1e-9)
        for single, among in zip(one.explain(), whole.explain()[i], strict=True):
            assert (single.id, single.strength) == (among.id, among.strength)
            assert single.evidence == pytest.approx(among.evidence, rel=1e-12)


@pytest.mark.parametrize(("similarity", "separation"), CROWD)
@pytest.mark.parametrize("masked", [False, True])
def test_certain_recalls_in_a_batch_are_one_by_one_bit_for_bit(similarity, separation, masked):
    whole, singles = batch_and_singles(similarity, separation, masked, 1, 1e5)
    for i, one in enumerate(singles):
        if whole.probability[i, 0] == 1.0 and whole.steps[i] == 1:
            assert same(one.pattern, whole.pattern[i])
            assert one.probability[0] == 1.0


def test_batched_is_one_by_one_bit_for_bit():
    different = []
    for similarity, separation in PAIRS:
        for masked in (False, True):
            for k in (1, 5):
                whole, singles = batch_and_singles(similarity, separation, masked, k, 60.0)
                for i, one in enumerate(singles):
                    for name in ("pattern", "ids", "probability", "energy", "strength"):
                        if np.asarray(getattr(one, name)).tobytes() != np.asarray(getattr(whole, name)[i]).tobytes():
                            different.append((similarity, separation, masked, k, name))
                    if one.explain() != whole.explain()[i]:
                        different.append((similarity, separation, masked, k, "explain"))
    assert sorted(set(different)) == []


def test_a_cue_known_altogether_among_others_is_as_if_alone():
    different = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        n, d = int(rng.integers(2, 40)), int(rng.integers(2, 12))
        memory = Memory(similarity="manhattan", clock=Steps())
        memory.store(some(seed, n, d))
        known = np.ones((2, d), bool)
        known[1, 0] = False
        cues = some(seed + 1, 2, d)
        whole = memory.recall(cues, known, reinforce=False).explain()[0]
        different += memory.recall(cues[0], known[0], reinforce=False).explain() != whole
    assert different == 0


@pytest.mark.parametrize("separation", ["softmax", "sparsemax", "entmax", "winner"])
@pytest.mark.parametrize("beta", [3.0, 60.0, 1000.0])
def test_the_pattern_does_not_depend_on_how_many_are_asked_for(separation, beta):
    memory, _, keys, _ = aged(7, 80, 6, separation=separation, beta=beta)
    cues = (keys + 0.4 * some(8, 80, 6)).astype(np.float32)
    one = memory.recall(cues, k=1, reinforce=False)
    for k in (2, 10, 80):
        more = memory.recall(cues, k=k, reinforce=False)
        assert np.array_equal(more.ids[:, 0], one.ids[:, 0])
        assert more.pattern == pytest.approx(one.pattern, rel=1e-6, abs=1e-6)
        assert more.probability[:, 0] == pytest.approx(one.probability[:, 0], rel=1e-6)
        assert more.energy == pytest.approx(one.energy, rel=1e-9)


def test_a_certain_pattern_is_exact_whatever_k_is():
    """One memory 17.8 below the best: silent among all 1,000, yet active when ten candidates are counted, not two."""
    keys = np.zeros((1000, 2), np.float32)
    keys[:, 0] = 1000 + np.arange(1000)
    keys[0] = 0
    keys[1] = [1.0, 0.0]
    memory = Memory(delta=0, beta=1.0)
    memory.store(keys)
    unit = -memory.recall(keys[0], k=2, reinforce=False).explain()[1].fit
    memory = Memory(delta=0, beta=17.8 / unit)
    memory.store(keys)
    one = memory.recall(keys[0], k=1, reinforce=False)
    ten = memory.recall(keys[0], k=10, reinforce=False)
    assert same(one.pattern, ten.pattern)
    assert one.probability[0] == ten.probability[0]


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("k", [1, 4])
def test_winner_is_an_exact_search_in_float64(similarity, k):
    """Over more rows than one block, with noise or another pattern where nothing is known, masked and not."""
    rng = np.random.default_rng(9)
    n, d, c = 17_000, 12, 20
    keys = some(10, n, d)
    keys[100:110] = keys[5000:5010]  # duplicates: the first wins
    memory = Memory(similarity=similarity, separation="winner", delta=0.0, duplicates="keep")
    memory.store(keys)
    known = rng.random((c, d)) < 0.6
    known[:, 0] = True
    picked = np.concatenate([np.arange(5000, 5005), rng.integers(0, n, c - 5)])
    noisy = (keys[picked] + 0.3 * rng.normal(size=(c, d))).astype(np.float32)
    foreign = np.where(known, keys[picked], keys[rng.integers(0, n, c)])
    for cues, mask in ((noisy, None), (foreign, None), (noisy, known), (foreign, known), (foreign, known[0])):
        whole = np.ones((c, d), bool) if mask is None else np.broadcast_to(mask, (c, d))
        scale = _scale(similarity, keys[:16_384:16].astype(np.float64), whole)  # by the sample of the keys
        found = memory.recall(cues, mask, k, reinforce=False)
        for i in range(c):
            m = whole[i]
            sims = _search(similarity, keys[:, m].astype(np.float64), cues[i, m].astype(np.float64), scale[i])
            best = np.argsort(-sims, kind="stable")[:k]
            fits = [one.fit for one in found.explain()[i]]
            assert fits == pytest.approx(sims[best].tolist(), rel=1e-9, abs=1e-12)
            if np.diff(sims[best]).max(initial=-1.0) < -1e-9:
                assert found.ids[i].tolist() == best.tolist()


def _scale(name: str, keys: np.ndarray, known: np.ndarray) -> np.ndarray:
    entries = {"dot": (keys**2).mean(0), "cosine": np.zeros(keys.shape[1]), "euclidean": keys.var(0)}
    return known @ entries.get(name, keys.std(0))


def _search(name: str, keys: np.ndarray, cue: np.ndarray, scale: float) -> np.ndarray:
    if name == "dot":
        return keys @ cue / scale
    if name == "cosine":
        return keys @ cue / np.linalg.norm(keys, axis=1) / np.linalg.norm(cue)
    if name == "euclidean":
        return -0.5 * ((keys - cue) ** 2).sum(1) / scale
    return -np.abs(keys - cue).sum(1) / scale


@every_pair
def test_recall_without_reinforcing_changes_nothing(similarity, separation):
    memory, clock, keys, _ = aged(11, 30, 6, similarity=similarity, separation=separation, links=3, association=1.0)
    before = memory.state()
    memory.recall(keys[3] + 0.1, reinforce=False)
    memory.recall(keys + 0.1, [True] * 5 + [False], k=4, reinforce=False)
    memory.recall(np.zeros(6), k=30, steps=20, reinforce=False)
    assert differences(memory.state(), before) == []
    clock.advance(1.0)
    memory.recall(keys, reinforce=False)
    after = memory.state()
    assert differences(after, before) == ["state.now"]


def test_a_recall_without_reinforcing_leaves_no_trace_in_later_ones():
    shows = []
    for looks in (0, 1):
        clock = Steps()
        memory = Memory(beta=20.0, clock=clock)
        keys = some(12, 10, 4)
        memory.store(keys)
        clock.advance(10.0)
        for _ in range(looks):
            memory.recall(keys[2], reinforce=False)
        clock.advance(0.05)
        shows.append(shown(memory.recall(keys + 0.5, k=3, reinforce=False)))
    assert shows[0] == shows[1]


def test_the_same_calls_give_the_same_bytes():
    def life():
        clock = Steps()
        memory = Memory(links=3, association=2.0, short_term=20, capacity=50, keep="frequent", beta=50.0, clock=clock)
        keys = some(13, 60, 7)
        rng = np.random.default_rng(14)
        shows = []
        for key in keys:
            memory.store(key, payload=key.tobytes())
            clock.advance(3.0)
            found = memory.recall(keys[rng.integers(0, 60)] + 0.1, k=min(2, len(memory)))
            shows.append(shown(found))
        memory.consolidate()
        shows.append(memory.replay(5, seed=3).ids.tolist())
        return memory.state(), shows

    (one, shows), (other, again) = life(), life()
    assert differences(one, other) == []
    assert shows == again


@pytest.mark.parametrize("similarity", ["euclidean", "manhattan", "cosine", "dot"])
def test_an_unrelated_cue_reinforces_nothing(similarity):
    """Patterns around zero: an unrelated cue of the same kind is not familiar."""
    clock = Steps()
    memory = Memory(similarity=similarity, short_term=10, links=2, clock=clock)
    memory.store(some(15, 300, 256))
    clock.advance(100)
    before = memory.state()
    found = memory.recall(some(16, 50, 256), k=3)
    assert not np.asarray(found.familiar).any()
    assert differences(memory.state(), before) == []
    assert memory.recall(some(15, 300, 256)[7]).familiar
    assert differences(memory.state(), before) != []


@pytest.mark.parametrize(
    "similarity",
    [
        "euclidean",
        "manhattan",
        "cosine",
        "dot",
    ],
)
def test_junk_among_positive_patterns_reinforces_nothing(similarity):
    """Entries from 0 to 1, as pixels are."""
    rng = np.random.default_rng(17)
    memory = Memory(similarity=similarity)
    memory.store(rng.random((100, 256)))
    assert not memory.recall(rng.random(256)).familiar


def test_a_blank_cue_reinforces_nothing():
    memory = Memory()
    memory.store(some(18, 300, 256))
    assert not memory.recall(np.zeros(256)).familiar


def test_a_familiar_cue_reinforces_by_its_activity():
    clock = Steps()
    memory = Memory(clock=clock, beta=4.0)
    keys = some(19, 3, 64)
    memory.store(keys)
    clock.advance(50.0)
    before = memory.strength(memory.ids).sum(axis=1)
    found = memory.recall(keys[1], k=3)
    after = memory.strength(memory.ids).sum(axis=1)
    gained = np.zeros(3)
    gained[found.ids] = np.where(found.probability >= 0.01, found.probability, 0)
    assert after - before == pytest.approx(gained, abs=1e-5)
    assert found.strength.sum(axis=1) == pytest.approx(before[found.ids], rel=1e-5), "as it was when recalled"


@pytest.mark.parametrize("similarity", ["euclidean", "dot"])
@pytest.mark.parametrize("separation", ["softmax", "sparsemax", "entmax"])
@pytest.mark.parametrize("beta", [1.0, 4.0, 12.0])
def test_each_step_of_completion_lowers_the_energy(similarity, separation, beta):
    keys = some(20, 25, 5)
    memory = Memory(similarity=similarity, separation=separation, beta=beta, delta=0.0)
    memory.store(keys)
    cues = (1.5 * some(21, 12, 5)).astype(np.float32)
    known = np.array([True, True, False, False, False])
    for mask in (None, known):
        energies = []
        first = 1 if mask is None else 2  # the first step of a partial cue follows the known entries alone
        for steps in range(first, 9):
            found = memory.recall(cues, mask, steps=steps, reinforce=False)
            assert (found.steps <= steps).all()
            energies.append(found.energy)
        assert (np.diff(energies, axis=0) <= 1e-5 * beta).all()


def test_completion_settles_and_then_stays():
    keys = some(22, 30, 8)
    memory = Memory(beta=30.0, delta=0.0)
    memory.store(keys)
    cues = keys[:10] + 0.4 * some(23, 10, 8)
    settled = memory.recall(cues, steps=200, reinforce=False)
    assert (settled.steps < 200).all()
    again = memory.recall(settled.pattern, steps=200, reinforce=False)
    assert again.pattern == pytest.approx(settled.pattern, abs=1e-5)


def test_one_memory_alone_is_the_answer_whatever_answers_it_louder():
    memory = Memory(similarity="dot", separation="sparsemax", delta=0.0)
    memory.store([[0.0, 1.0], [5.0, 2.0]])  # the first is nearer to the cue, and the second answers the first louder
    found = memory.recall([-1.0, 1.0], steps=50, reinforce=False)
    assert (found.ids.tolist(), found.pattern.tolist(), found.steps) == ([0], [0.0, 1.0], 1)


@pytest.mark.parametrize("similarity", SIMILARITIES)
@pytest.mark.parametrize("filler", [np.nan, np.inf, -np.inf, 1e30, 1e-30, -5.0])
def test_unknown_entries_may_hold_anything(similarity, filler):
    keys = some(24, 40, 6)
    memory = Memory(similarity=similarity, beta=30.0, clock=Steps())
    memory.store(keys)
    known = np.array([True, False, True, True, False, True])
    each = np.random.default_rng(25).random((40, 6)) < 0.7
    each[:, 1] = True
    for mask in (known, each):
        cues = np.where(mask, keys, np.float32(filler))
        assert shown(memory.recall(cues, mask, k=2, reinforce=False)) == shown(
            memory.recall(keys, mask, k=2, reinforce=False)
        )
        assert shown(memory.recall(cues[3], mask if mask.ndim == 1 else mask[3], reinforce=False)) == shown(
            memory.recall(keys[3], mask if mask.ndim == 1 else mask[3], reinforce=False)
        )


def test_half_of_a_pattern_recalls_the_whole_bit_for_bit():
    keys = some(26, 500, 64)
    memory = Memory()
    memory.store(keys)
    known = np.arange(64) < 32
    cues = np.where(known, keys, np.roll(keys, 1, axis=0))
    found = memory.recall(cues, known)
    assert np.array_equal(found.pattern, keys)
    assert np.array_equal(found.ids[:, 0], np.arange(500))


def test_what_a_recall_looks_like():
    memory = Memory()
    memory.store(some(27, 20, 4), payload=[f"m{i}" for i in range(20)])
    one = memory.recall(some(27, 20, 4)[3])
    assert (one.pattern.shape, one.ids.shape, one.probability.shape) == ((4,), (1,), (1,))
    assert one.payload == ["m3"]
    assert one.strength.shape == (1, 2)
    assert len(one) == 1
    assert "m3" in repr(one)
    three = memory.recall(some(27, 20, 4)[3], k=15, reinforce=False)
    assert (three.ids.shape, len(three.payload), len(three.explain())) == ((15,), 15, 15)
    assert repr(three)
    batch = memory.recall(some(27, 20, 4), k=2)
    assert (batch.pattern.shape, batch.ids.shape, batch.strength.shape) == ((20, 4), (20, 2), (20, 2, 2))
    assert [len(line) for line in batch.payload] == [2] * 20
    assert (len(batch), np.asarray(batch.energy).shape, np.asarray(batch.familiar).shape) == (20, (20,), (20,))
    assert repr(batch)


def test_what_is_handed_out_is_a_copy():
    keys = some(28, 5, 4)
    memory = Memory(clock=Steps())
    memory.store(keys)
    before = memory.state()
    for cue in (keys[0], keys, keys[0].astype(np.float64)):
        found = memory.recall(cue, reinforce=False)
        found.pattern[...] = 9
        found.ids[...] = 9
        found.strength[...] = 9
    memory.recall(keys[0], [True, True, False, False], reinforce=False).pattern[...] = 9
    assert differences(memory.state(), before) == []

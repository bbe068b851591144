from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy.errors import UnknownMemory
from mossy.learn import NoveltyDetector, novelty
from mossy.learn.novelty import UNRELATED
from mossy.similarity import Euclidean


@parametrize_with_checks([NoveltyDetector(), NoveltyDetector(contamination=0.1), NoveltyDetector(local=0.0, beta=5.0)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def patterns(seed: int, n: int, d: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32).astype(float)


def familiarity(x, memories, unit, beta):
    """Minus the energy, as a loop."""
    total = sum(np.exp(-beta * sum((k - q) ** 2 for k, q in zip(m, x, strict=True)) / (2 * unit)) for m in memories)
    return np.log(total) / beta if len(memories) else UNRELATED


def score(x, memories, unit, beta, local, left_out=None):
    among = [m for j, m in enumerate(memories) if j != left_out]
    weights = [np.exp(-beta * np.square(m - x).sum() / (2 * unit)) for m in among]
    own = [
        familiarity(m, [o for i, o in enumerate(memories) if i != j], unit, beta)
        for j, m in enumerate(memories)
        if j != left_out
    ]
    return familiarity(x, among, unit, beta) - local * sum(w * f for w, f in zip(weights, own, strict=True)) / sum(
        weights
    )


@pytest.mark.parametrize(("beta", "local"), [(40.0, 0.5), (2.0, 0.0), (7.0, 1.0)])
def test_scores_are_their_equation(beta, local):
    stored, new = patterns(0, 40), patterns(1, 9)
    detector = NoveltyDetector(beta=beta, local=local).fit(stored)
    unit = detector.index_.statistics().scale("variance", None)[0]
    at = detector.index_.keys.astype(float)
    np.testing.assert_allclose(unit, stored.var(axis=0).sum(), rtol=1e-5)
    wanted = [score(x - detector.centre_, at, unit, beta, local) for x in new]
    np.testing.assert_allclose(detector.score_samples(new), wanted, rtol=1e-6, atol=1e-6)
    own = [score(x, at, unit, beta, local, left_out=j) for j, x in enumerate(at)]
    low, high = np.percentile(own, [25, 75])
    assert detector.offset_ == pytest.approx(low - 1.5 * (high - low), abs=1e-6)


def test_the_energy_is_that_of_the_core():
    detector = NoveltyDetector(local=0.0).fit(patterns(0, 50))
    cues = patterns(2, 5) - detector.centre_
    index = detector.index_
    prepared = index.prepare(cues, None)
    which, rows = np.divmod(np.arange(5 * 50), 50)
    similarity = index.exact(prepared, which, rows).reshape(5, 50)
    wanted = index.separation.conjugate(index.beta * similarity) / index.beta
    np.testing.assert_allclose(detector.score_samples(cues + detector.centre_), wanted, atol=1e-9)
    assert isinstance(index.similarity, Euclidean)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), cuts=st.lists(st.integers(1, 99), max_size=4))
def test_batches_do_not_matter(seed, cuts):
    stored, new = patterns(seed, 100), patterns(seed + 1, 7)
    whole = NoveltyDetector().fit(stored)
    parts = NoveltyDetector()
    for part in np.split(stored, sorted(set(cuts))):
        parts.partial_fit(part)
    np.testing.assert_allclose(parts.score_samples(new), whole.score_samples(new), rtol=1e-4, atol=1e-5)
    assert parts.offset_ == pytest.approx(whole.offset_, rel=1e-4, abs=1e-5)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 99), gone=st.sets(st.integers(0, 49), min_size=1, max_size=40))
def test_forgotten_is_as_never_seen(seed, gone):
    stored, new = patterns(seed, 50), patterns(seed + 1, 7)
    left = NoveltyDetector().fit(stored).forget(sorted(gone))
    kept = [i for i in range(50) if i not in gone]
    never = NoveltyDetector().fit(stored[kept])
    np.testing.assert_allclose(left.score_samples(new), never.score_samples(new), rtol=1e-4, atol=1e-5)
    assert left.offset_ == pytest.approx(never.offset_, rel=1e-4, abs=1e-5)
    np.testing.assert_array_equal(left.ids_, kept)
    left.partial_fit(new)
    np.testing.assert_array_equal(left.ids_[-7:], np.arange(50, 57))


def test_what_was_seen_once_is_new_no_more_where_copies_count():
    detector = NoveltyDetector(count_copies=True).fit(patterns(0, 300))
    far = np.full((1, 3), 9.0)
    assert detector.predict(far) == -1
    assert detector.partial_fit(far).predict(far) == 1
    assert detector.forget(detector.ids_[-1]).predict(far) == -1


def test_of_the_copies_of_a_pattern_one_does_not_count():
    stored = patterns(0, 60)
    far = np.full((1, 3), 9.0)
    detector = NoveltyDetector().fit(np.vstack([stored, far]))
    assert detector.predict(far) == -1
    assert detector.partial_fit(far).predict(far) == 1
    alone = NoveltyDetector().fit(stored)
    np.testing.assert_allclose(alone.score_samples(stored[5:6]), alone._scores(alone.index_.keys[5:6], True))


@pytest.mark.parametrize("call", ["fit", "partial_fit", "forget"])
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("at", [0, 1])
def test_what_is_interrupted_changes_nothing(monkeypatch, call, error, at):
    detector, new = NoveltyDetector().fit(patterns(0, 200)), patterns(1, 20)
    scores, offset, done = detector.score_samples(new), detector.offset_, []
    excite = novelty._excite

    def interrupted(*args, **settings):
        done.append(None)
        if len(done) > at:
            raise error
        return excite(*args, **settings)

    with monkeypatch.context() as patch:
        patch.setattr(novelty, "_excite", interrupted)
        with pytest.raises(error):
            getattr(detector, call)(range(9) if call == "forget" else patterns(2, 10))
    np.testing.assert_array_equal(detector.ids_, np.arange(200))
    np.testing.assert_allclose(detector.score_samples(new), scores)
    assert detector.offset_ == offset
    detector.partial_fit(patterns(2, 30)).forget([1, 5])
    again = NoveltyDetector().fit(np.vstack([np.delete(patterns(0, 200), [1, 5], axis=0), patterns(2, 30)]))
    np.testing.assert_allclose(detector.score_samples(new), again.score_samples(new), rtol=1e-4, atol=1e-5)


def test_a_first_batch_that_is_interrupted_is_none(monkeypatch):
    detector = NoveltyDetector()
    with monkeypatch.context() as patch:
        patch.setattr(novelty, "_excite", None)
        with pytest.raises(TypeError):
            detector.partial_fit(patterns(0, 20, 2))
    with pytest.raises(NotFittedError):
        detector.predict(patterns(0, 5, 2))
    assert len(detector.partial_fit(patterns(0, 20)).ids_) == 20


@pytest.mark.parametrize("far", [1e39, -1e308, 3e38])
def test_what_is_beyond_float32_is_new(far):
    detector = NoveltyDetector().fit(patterns(0, 50))
    known = patterns(0, 50)[:2]
    cues = np.vstack([known, np.full((1, 3), far), [[0, far, 0]]])
    np.testing.assert_array_equal(detector.predict(cues), [1, 1, -1, -1])
    np.testing.assert_allclose(detector.score_samples(cues)[:2], detector.score_samples(known))
    assert not np.isnan(detector.score_samples(cues)).any()


@pytest.mark.parametrize("contamination", ["auto", 0.1])
@pytest.mark.parametrize("shape", [(30, 2), (7, 5), (100, 3)])
def test_rounding_decides_nothing_among_equal_patterns(shape, contamination):
    for value in (1.0, 0.1, -1e3):
        assert (NoveltyDetector(contamination=contamination).fit_predict(np.full(shape, value)) == 1).all()


def test_one_beta_holds_from_the_first_batch_on():
    stored, new = patterns(0, 60), patterns(1, 9)
    detector, same = NoveltyDetector().fit(stored[:40]), NoveltyDetector().fit(stored[:40])
    detector.set_params(beta=2.0)
    np.testing.assert_array_equal(detector.score_samples(new), same.score_samples(new))
    detector.partial_fit(stored[40:])
    np.testing.assert_array_equal(detector.score_samples(new), same.partial_fit(stored[40:]).score_samples(new))
    assert detector.offset_ == same.offset_
    np.testing.assert_array_equal(detector.forget([3]).score_samples(new), same.forget([3]).score_samples(new))
    other = NoveltyDetector(beta=2.0).fit(stored)
    np.testing.assert_array_equal(detector.fit(stored).score_samples(new), other.score_samples(new))


def test_parameters_are_checked_with_every_batch():
    detector = NoveltyDetector().fit(patterns(0, 20))
    for wrong in ({"beta": 0}, {"local": 2}, {"contamination": 0.6}):
        with pytest.raises(ValueError, match="must be"):
            detector.set_params(**wrong).partial_fit(patterns(1, 5))
    assert len(detector.ids_) == 20


def test_predicting_leaves_no_trace():
    detector = NoveltyDetector().fit(patterns(0, 60))
    before = detector.index_.state()["keys"].copy()
    detector.predict(patterns(1, 20))
    np.testing.assert_array_equal(detector.index_.state()["keys"], before)


def test_a_digit_never_seen_is_newer_than_the_others():
    X, y = load_digits(return_X_y=True)
    old = np.flatnonzero(y != 0)
    detector = NoveltyDetector().fit(X[old[::2]])
    scores = detector.score_samples(X)
    tested = np.setdiff1d(np.arange(len(X)), old[::2])
    assert roc_auc_score(y[tested] == 0, -scores[tested]) > 0.98


def test_contamination_is_the_share_of_memories_that_are_new_to_the_others():
    X = np.vstack([patterns(0, 95), patterns(1, 5) * 20])
    found = NoveltyDetector(contamination=0.05).fit_predict(X)
    np.testing.assert_array_equal(np.flatnonzero(found == -1), np.arange(95, 100))


def test_wrong_input_is_refused():
    detector = NoveltyDetector()
    with pytest.raises(NotFittedError):
        detector.forget([0])
    detector.fit(patterns(0, 5))
    with pytest.raises(UnknownMemory, match="no memory has the id 5"):
        detector.forget([1, 5])
    with pytest.raises(UnknownMemory, match="no memory would be left"):
        detector.forget(range(5))
    with pytest.raises(ValueError, match="ids should be integers"):
        detector.forget([0.5])
    assert len(detector.ids_) == 5
    with pytest.raises(ValueError, match="expecting 3 features"):
        detector.partial_fit(patterns(0, 5, 2))
    for wrong in ({"beta": 0}, {"local": 2}, {"contamination": 0.6}, {"contamination": "some"}):
        with pytest.raises(ValueError, match="must be"):
            NoveltyDetector(**wrong).fit(patterns(0, 5))

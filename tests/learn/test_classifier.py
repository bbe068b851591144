from __future__ import annotations

import io
import signal
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.datasets import load_digits, load_wine
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler
from tests.naive.learn import vote

from mossy.arrays import Column
from mossy.errors import CannotForget, UnknownMemory
from mossy.learn import MemoryClassifier
from mossy.learn.supervised.remembered import Remembered
from mossy.learn.supervised.superposed import Superposed

KINDS = {
    "index": {"substrate": "index"},
    "matrix": {"substrate": "matrix", "units": 60},
    "matrix, examples": {"substrate": "matrix", "units": 60, "keep_examples": True},
    "matrix, classes": {"substrate": "matrix", "units": 60, "per_class": True},
    "auto": {"units": 26},
}
KEEPING = [kind for kind in KINDS if kind in ("index", "matrix, examples")]
DIGITS, LABELS = load_digits(return_X_y=True)
ROWS = np.concatenate([np.flatnonzero(c == LABELS)[:25] for c in range(6)])
X, Y = DIGITS[ROWS], LABELS[ROWS]
ASKED = DIGITS[1000:1100]
# A batch that begins every stream: it decides the scale of the expansion.
FIRST = np.array([0, 30, 60, 90, 120, 149])


def learned(kind, rows, batch=10, **given):
    """Learn rows in batches; the same rows come first."""
    model = MemoryClassifier(**KINDS[kind] | given)
    model.partial_fit(X[FIRST], Y[FIRST])
    rows = np.setdiff1d(rows, FIRST) if len(rows) == len(X) else rows
    for first in range(0, len(rows), batch):
        part = rows[first : first + batch]
        model.partial_fit(X[part], Y[part])
    return model


def same(a, b, kind="matrix"):
    np.testing.assert_array_equal(a.classes_, b.classes_)
    np.testing.assert_array_equal(a.predict(ASKED), b.predict(ASKED))
    np.testing.assert_allclose(a.predict_proba(ASKED), b.predict_proba(ASKED), rtol=0, atol=1e-6)


REST = np.setdiff1d(np.arange(len(X)), FIRST)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), batch=st.sampled_from([1, 7, 50, 200]))
def test_order_and_batches_do_not_matter(kind, seed, batch):
    order = np.random.default_rng(seed).permutation(REST)
    if seed % 2:
        order = order[np.argsort(Y[order], kind="stable")]
    same(learned(kind, order, batch), learned(kind, REST, 144))


def test_a_matrix_is_the_same_to_the_bit_in_any_order():
    order = np.random.default_rng(0).permutation(REST)
    a, b = learned("matrix", order, 13), learned("matrix", REST, 144)
    np.testing.assert_array_equal(a.predict_proba(ASKED), b.predict_proba(ASKED))


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), count=st.integers(1, 40))
def test_forgotten_pairs_were_never_there(kind, seed, count):
    order = np.random.default_rng(seed).permutation(REST)
    gone, kept = order[:count], np.sort(order[count:])
    model = learned(kind, REST)
    if model.substrate_ == "matrix" and kind == "auto":
        gone = gone[np.argsort(Y[gone])]
    same(model.forget(X[gone], Y[gone]), learned(kind, kept))


@pytest.mark.parametrize("kind", KEEPING)
def test_forgotten_ids_were_never_there(kind):
    model = learned(kind, REST)
    gone = np.array([3, 9, 20])  # rows of REST, after the first batch
    model.forget(ids=gone + len(FIRST))
    same(model, learned(kind, np.delete(REST, gone)))
    assert not np.isin(gone + len(FIRST), model.ids_).any()


@pytest.mark.parametrize("kind", [*KEEPING, "matrix, classes"])
def test_a_forgotten_class_was_never_there(kind):
    model = learned(kind, REST).forget(classes=[2, 4])
    np.testing.assert_array_equal(model.classes_, [0, 1, 3, 5])
    rest = REST[~np.isin(Y[REST], [2, 4])]
    other = MemoryClassifier(**KINDS[kind])
    first = FIRST[~np.isin(Y[FIRST], [2, 4])]
    other.partial_fit(X[first], Y[first]).partial_fit(X[rest], Y[rest])
    same(model, other)


@pytest.mark.parametrize("kind", KINDS)
def test_forgetting_all_is_not_fitted(kind):
    model = MemoryClassifier(**KINDS[kind]).fit(X[:5], Y[:5])
    model.forget(X[:5], Y[:5])
    with pytest.raises(NotFittedError):
        model.predict(X)
    assert (model.partial_fit(X, Y).predict(X) == Y).mean() > 0.9


def test_no_byte_of_what_was_forgotten_is_left():
    model = MemoryClassifier("index").fit(X, Y).forget(ids=[7])
    file = io.BytesIO()
    joblib.dump(model, file)
    assert X[8].astype(np.float32).tobytes() in file.getvalue()
    assert X[7].astype(np.float32).tobytes() not in file.getvalue()


@pytest.mark.parametrize("how", [{"ids": [0]}, {"classes": [1]}])
def test_a_matrix_refuses_what_it_cannot_find(how):
    with pytest.raises(CannotForget):
        learned("matrix", REST).forget(**how)
    with pytest.raises(CannotForget):
        learned("matrix", REST).forget(X[:1])


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_not_learned_cannot_be_forgotten(kind):
    model = learned(kind, REST)
    before = model.predict_proba(ASKED)
    with pytest.raises(UnknownMemory):
        model.forget(1e4 * ASKED[:1], [0])
    with pytest.raises(UnknownMemory):
        model.forget(X[:1], [9])
    with pytest.raises(UnknownMemory):
        model.forget(classes=[9])
    with pytest.raises(ValueError, match="give X"):
        model.forget()
    np.testing.assert_array_equal(before, model.predict_proba(ASKED))


@pytest.mark.parametrize("kind", KINDS)
def test_new_classes_at_any_time(kind):
    model = MemoryClassifier(**KINDS[kind])
    for c in (3, 0, 5, 1, 4, 2):
        model.partial_fit(X[c == Y], Y[c == Y])
        assert (model.predict(X[c == Y]) == c).mean() > 0.9
    assert model.predict_proba(X).shape == (len(X), 6)
    assert model.score(X, Y) > 0.95


@pytest.mark.parametrize("kind", KINDS)
def test_declared_classes_count_but_are_not_predicted(kind):
    model = MemoryClassifier(**KINDS[kind]).partial_fit(X, Y, classes=[0, 1, 2, 3, 4, 5, 6])
    assert model.predict_proba(ASKED).shape[1] == 7
    assert 6 not in model.predict(ASKED)


@pytest.mark.parametrize("kind", KINDS)
def test_a_class_seen_once(kind):
    model = MemoryClassifier(**KINDS[kind]).fit(np.vstack([X[Y != 3], X[Y == 3][:1]]), np.append(Y[Y != 3], 3))
    assert model.predict(X[Y == 3][:1]) == [3]
    lone = MemoryClassifier(**KINDS[kind]).fit(X[:1], Y[:1])
    np.testing.assert_array_equal(lone.predict_proba(X[:3]), np.ones((3, 1)))


@pytest.mark.parametrize("kind", KINDS)
def test_bad_input(kind):
    model = MemoryClassifier(**KINDS[kind])
    with pytest.raises(ValueError, match="Mix of label input types"):
        model.fit(X, Y).partial_fit(X[:2], ["a", "b"])
    with pytest.raises(ValueError, match="features"):
        model.partial_fit(X[:, :5], Y)
    with pytest.raises(ValueError, match="Unknown label type"):
        model.fit(X, Y + 0.5)
    with pytest.raises(ValueError, match="substrate"):
        MemoryClassifier("cloud").fit(X, Y)
    with pytest.raises(ValueError, match="budget"):
        MemoryClassifier("index", budget=1000).fit(X, Y)
    with pytest.raises(ValueError, match="budget"):
        MemoryClassifier("matrix", budget="2 kB").fit(X, Y)
    with pytest.raises(ValueError, match="budget"):
        MemoryClassifier(budget="many").fit(X, Y)


def test_a_budget_that_new_classes_break_is_told_before():
    model = MemoryClassifier("index", budget=2000).fit(X[Y == 0], Y[Y == 0])
    before = model.predict_proba(ASKED)
    with pytest.raises(ValueError, match="budget"):
        model.partial_fit(np.arange(64 * 9).reshape(9, 64), np.arange(10, 19))
    np.testing.assert_array_equal(model.classes_, [0])
    np.testing.assert_array_equal(before, model.predict_proba(ASKED))
    model = MemoryClassifier("matrix", budget="60 kB").fit(X, Y)
    with pytest.raises(ValueError, match="more classes"):
        model.partial_fit(np.repeat(X, 2, axis=0)[:200], np.arange(200) // 2)
    assert len(model.classes_) == 6
    with pytest.raises(ValueError, match="keep_examples"):
        MemoryClassifier("matrix", budget="60 kB", keep_examples=True).fit(X, Y)


def test_after_an_error_it_knows_what_it_knew():
    model = MemoryClassifier("index").fit(X, Y)
    before = model.predict_proba(ASKED)
    with pytest.raises(ValueError, match="NaN"):
        model.partial_fit(np.full_like(X, np.nan), Y + 7)
    np.testing.assert_array_equal(before, model.predict_proba(ASKED))


@pytest.mark.parametrize("kind", KINDS)
def test_explanations_add_up(kind):
    model = learned(kind, REST)
    told = model.explain(ASKED[0])
    assert told.prediction == model.predict(ASKED[:1])[0]
    assert told.probability == model.predict_proba(ASKED[:1]).max()
    if told.substrate == "index":
        assert told.shares.sum() == pytest.approx(1)
        assert (np.diff(told.shares) <= 0).all()
        assert told.shares[told.targets == told.prediction].sum() >= told.shares[told.targets != told.prediction].max()
    else:
        assert told.shares.sum() + told.intercept == pytest.approx(told.drive)
    assert str(told.prediction) in str(told)


def test_an_index_votes_as_its_equation_says():
    model = MemoryClassifier("index", neighbours=7).fit(X, Y)
    p = model.predict_proba(ASKED[:5])
    sharpness, doubt = model._remembered.tuned
    for cue, row in zip(ASKED[:5], p, strict=True):
        np.testing.assert_allclose(row, vote(X, Y, cue, 6, 7, sharpness, doubt), atol=1e-7)


@pytest.mark.parametrize(
    ("substrate", "budget"), [("index", 20_000), ("matrix", 60_000), ("auto", 100_000), ("classes", 300_000)]
)
def test_a_budget_is_kept(substrate, budget):
    model = MemoryClassifier(substrate, budget=budget)
    if substrate == "classes":
        model.set_params(substrate="matrix", per_class=True)
    for first in range(0, 1200, 100):
        model.partial_fit(DIGITS[first : first + 100], LABELS[first : first + 100])
        model.predict(ASKED[:2])
        assert model.nbytes_ <= budget
    assert model.score(DIGITS[1300:], LABELS[1300:]) > 0.7


def test_auto_is_an_index_until_a_matrix_is_smaller():
    model = MemoryClassifier(units=100)
    seen = []
    for first in range(0, 600, 60):
        model.partial_fit(DIGITS[first : first + 60], LABELS[first : first + 60])
        seen.append(model.substrate_)
    assert seen[0] == "index"
    assert seen[-1] == "matrix"
    assert seen == sorted(seen)
    assert model.score(DIGITS[600:], LABELS[600:]) > 0.85


@pytest.mark.parametrize("substrate", ["index", "matrix"])
def test_probabilities_are_calibrated_on_what_was_not_seen(substrate):
    a, t, ya, yt = train_test_split(DIGITS, LABELS, test_size=0.4, random_state=0, stratify=LABELS)
    model = MemoryClassifier(substrate, units=300).fit(a, ya)
    p = model.predict_proba(t)
    assert abs(p.max(axis=1).mean() - (p.argmax(axis=1) == yt).mean()) < 0.03
    assert -np.log(p[np.arange(len(yt)), yt]).mean() < 0.15


def test_it_works_where_scikit_learn_does():
    wine, kinds = load_wine(return_X_y=True)
    line = make_pipeline(StandardScaler(), MemoryClassifier())
    search = GridSearchCV(line, {"memoryclassifier__substrate": ["index", "matrix"]}, cv=3).fit(wine, kinds)
    assert search.best_score_ > 0.9
    model = MemoryClassifier("matrix", encoder=PCA(10, random_state=0)).fit(X, Y)
    assert model.encoder_.components_.shape == (10, 64)
    assert model.score(X, Y) > 0.9
    fixed = model.encoder_.components_.copy()
    np.testing.assert_array_equal(model.partial_fit(X[:20], Y[:20]).encoder_.components_, fixed)
    assert clone(model).get_params()["substrate"] == "matrix"
    names = MemoryClassifier().fit(X, np.array(list("abcdef"))[Y])
    assert set(names.predict(ASKED)) <= set("abcdef")


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.int64])
def test_narrow_dtypes_predict_alike(dtype):
    model = MemoryClassifier("matrix", units=80).fit(X, Y)
    np.testing.assert_allclose(model.predict_proba(ASKED.astype(dtype)), model.predict_proba(ASKED), atol=1e-4)


@pytest.mark.parametrize("how", ["ids", "classes", "X"])
def test_within_a_budget_all_that_is_kept_can_be_forgotten(how):
    model = MemoryClassifier(budget="5 kB").fit(X, Y)
    assert len(model.ids_) < len(X)
    some = model.classes_[:2]
    model.forget(ids=model.ids_[np.isin(model._remembered.targets, some)])
    np.testing.assert_array_equal(model.classes_, [2, 3, 4, 5])
    assert set(model.predict(ASKED)) <= {2, 3, 4, 5}
    model.forget(**{how: {"ids": model.ids_, "classes": model.classes_, "X": model._remembered.keys.copy()}[how]})
    with pytest.raises(NotFittedError):
        model.predict(ASKED)


def test_a_budget_may_leave_one_example():
    model = MemoryClassifier("index", budget=1400).fit(X[Y == 2], Y[Y == 2])
    assert len(model.ids_) == 1
    np.testing.assert_array_equal(model.predict(ASKED), 2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_memory_that_is_mapped_from_a_file_goes_on(kind, tmp_path):
    model = learned(kind, REST)
    joblib.dump(model, tmp_path / "model")
    again = joblib.load(tmp_path / "model", mmap_mode="r")
    for each in (model, again):
        each.partial_fit(X[:20], Y[:20]).forget(X[30:40], Y[30:40])
    same(model, again)


@pytest.mark.parametrize("kind", KINDS)
def test_one_example_is_explained(kind):
    table = pd.DataFrame(X).add_prefix("pixel")
    model = MemoryClassifier(**KINDS[kind]).fit(table, Y)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.explain(table.iloc[[3]]).prediction == model.predict(table.iloc[[3]])[0]
    with pytest.raises(ValueError, match="feature names"):
        model.explain(table.iloc[[3]].add_prefix("other "))
    with pytest.raises(ValueError, match="explain takes one example; 20 were given"):
        model.explain(X[:20])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1e39, -1e300, 2e15])
def test_what_float32_cannot_hold_is_refused(kind, size):
    model = MemoryClassifier(**KINDS[kind]).fit(X, Y)
    before = model.predict_proba(ASKED)
    wide = X[:2].copy()
    wide[1, 7] = size
    for use in (model.predict, model.predict_proba, lambda x: model.partial_fit(x, [8, 9])):
        with pytest.raises(ValueError, match="too large for dtype"):
            use(wide)
    np.testing.assert_array_equal(model.classes_, range(6))
    np.testing.assert_array_equal(before, model.predict_proba(ASKED))


def fails_at(function, call):
    """Return the function, interrupted at this call of it."""
    calls = iter(range(1000))

    def interrupted(*given, **named):
        if next(calls) == call:
            raise KeyboardInterrupt
        return function(*given, **named)

    return interrupted


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "auto"])
@pytest.mark.parametrize(
    ("owner", "name", "call"),
    [(Column, "append", 0), (Column, "append", 1), (Column, "append", 2), (Column, "append", 3)]
    + [(Superposed, "_pattern", call) for call in range(3)]
    + [(Superposed, "_add", call) for call in range(3)],
)
def test_what_was_interrupted_was_never_there(kind, owner, name, call, monkeypatch):
    model, never = learned(kind, REST), learned(kind, REST)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails_at(getattr(owner, name), call))
        try:
            model.partial_fit(DIGITS[:700], LABELS[:700])
        except KeyboardInterrupt:
            np.testing.assert_array_equal(model.classes_, range(6))
            same(model, never)
        else:
            never.partial_fit(DIGITS[:700], LABELS[:700])
            return
    for each in (model, never):
        each.partial_fit(DIGITS[700:900], LABELS[700:900])
    same(model, never)
    new = MemoryClassifier(**KINDS[kind])
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, fails_at(getattr(owner, name), call))
        with pytest.raises(KeyboardInterrupt):
            new.partial_fit(DIGITS[:900], LABELS[:900])
    with pytest.raises(NotFittedError):
        new.predict(ASKED)
    assert new.partial_fit(X[:, :30], Y).n_features_in_ == 30


@pytest.mark.parametrize("kind", KEEPING)
def test_a_signal_waits_until_all_is_forgotten(kind, monkeypatch):
    model, never = learned(kind, REST), learned(kind, REST)
    remove = Remembered.remove

    def disturbed(self, rows):
        signal.raise_signal(signal.SIGINT)
        remove(self, rows)

    monkeypatch.setattr(Remembered, "remove", disturbed)
    with pytest.raises(KeyboardInterrupt):
        model.forget(classes=[3])
    monkeypatch.undo()
    same(model, never.forget(classes=[3]))


def test_a_refused_class_stays_declared():
    model = MemoryClassifier("matrix", units=60).fit(X, Y)
    model.partial_fit(X, Y, classes=[0, 1, 2, 3, 4, 5, 6])
    with pytest.raises(CannotForget):
        model.forget(classes=[6])
    assert 6 in model.forget(X, Y).classes_


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "matrix, examples"])
def test_an_encoder_of_changing_width_is_told_before_classes_are_named(kind):
    model = MemoryClassifier(**KINDS[kind], encoder=PCA(10, random_state=0)).fit(X, Y)
    before = model.predict_proba(ASKED)
    model.encoder_ = PCA(9, random_state=0).fit(X)
    with pytest.raises(ValueError, match="9 features, but 10 are expected"):
        model.partial_fit(X[:2], [8, 9])
    model.encoder_ = PCA(10, random_state=0).fit(X)
    np.testing.assert_array_equal(model.classes_, range(6))
    np.testing.assert_array_equal(before, model.predict_proba(ASKED))


def test_auto_stays_an_index_behind_an_encoder_that_does_not_widen():
    model = MemoryClassifier(encoder=StandardScaler()).fit(DIGITS[:900], LABELS[:900])
    assert model.substrate_ == "index"
    linear = MemoryClassifier("matrix", encoder=StandardScaler()).fit(DIGITS[:900], LABELS[:900])
    assert model.score(DIGITS[900:], LABELS[900:]) > linear.score(DIGITS[900:], LABELS[900:]) + 0.01
    wide = MemoryClassifier(encoder=PolynomialFeatures(2)).fit(DIGITS[:900, 20:36], LABELS[:900])
    assert wide.substrate_ == "matrix"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("offset", [1e6, -1e8, 1e12])
def test_far_from_zero_is_as_near_it(kind, offset):
    far = X + offset * (1 + np.arange(64) % 2)  # whole numbers, exact in float64
    near, model = MemoryClassifier(**KINDS[kind]).fit(X, Y), MemoryClassifier(**KINDS[kind]).fit(far, Y)
    known = np.flatnonzero(LABELS[1000:] < 6) + 1000
    asked, right = DIGITS[known] + offset * (1 + np.arange(64) % 2), LABELS[known]
    worse = 0.0 if model.substrate_ == "index" else 0.1  # another expansion, of few units
    assert model.score(asked, right) >= near.score(DIGITS[known], right) - worse
    assert model.explain(asked[0]).prediction == model.predict(asked[:1])[0]
    model.partial_fit(asked[:50], Y[:50]).forget(asked[:50], Y[:50])
    assert (model.predict(far) == Y).mean() > 0.95
    with pytest.raises(UnknownMemory):
        model.forget(far[:1] + 1e5, Y[:1])


def test_the_origin_counts_within_a_budget():
    far = DIGITS + np.linspace(1e7, 1e8, 64)
    model = MemoryClassifier("index", budget=20_000)
    for first in range(0, 600, 100):
        model.partial_fit(far[first : first + 100], LABELS[first : first + 100])
        assert model.nbytes_ <= 20_000
    assert model.score(far[600:], LABELS[600:]) > 0.7
    with pytest.raises(ValueError, match="budget"):
        MemoryClassifier("matrix", budget=400).fit(far, LABELS)

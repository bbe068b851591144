from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine
from sklearn.exceptions import NotFittedError
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy.learn import MemoryImputer
from mossy.learn.imputer import imputer as module
from mossy.learn.imputer.projection import Precision, complete, learn
from mossy.learn.imputer.recall import Memories, fit_gain, recall


@parametrize_with_checks([MemoryImputer(), MemoryImputer(add_indicator=True, keep_empty_features=True)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)


def correlated(seed: int, n: int, d: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, d)) + 0.1 * rng.normal(size=(n, d))


def hide(table: np.ndarray, seed: int, share: float = 0.3) -> np.ndarray:
    return np.where(np.random.default_rng(seed).random(table.shape) < share, np.nan, table)


# --- the projection under a mask -----------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 999), share=st.floats(0, 1))
def test_completion_is_where_the_network_settles(seed, share):
    rng = np.random.default_rng(seed)
    root = rng.normal(size=(8, 4))
    projection = Precision(rng.normal(size=4), root.T @ root + np.eye(4))
    x, known = rng.normal(size=(6, 4)), rng.random((6, 4)) >= share
    found, _ = complete(x, known, projection)
    mean, precision = projection
    wanted = np.where(known, x, mean)
    for row in range(6):
        for _ in range(500):  # one neuron after another, without a synapse to itself
            for j in np.flatnonzero(~known[row]):
                others = [i for i in range(4) if i != j]
                drive = sum(precision[j, i] * (wanted[row, i] - mean[i]) for i in others)
                wanted[row, j] = mean[j] - drive / precision[j, j]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    np.testing.assert_array_equal(found[known], x[known])


def test_completion_is_the_conditional_mean():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(9, 5))
    cov, mean = root.T @ root, rng.normal(size=5)
    x, known = rng.normal(size=(1, 5)), np.array([[True, False, True, False, True]])
    found, spread = complete(x, known, Precision(mean, np.linalg.inv(cov)), uncertainty=True)
    k, m = known[0], ~known[0]
    gain = cov[np.ix_(m, k)] @ np.linalg.inv(cov[np.ix_(k, k)])
    np.testing.assert_allclose(found[0, m], mean[m] + gain @ (x[0, k] - mean[k]))
    np.testing.assert_allclose(spread[np.ix_(m, m)], cov[np.ix_(m, m)] - gain @ cov[np.ix_(k, m)], atol=1e-9)
    assert not spread[k].any()


def test_without_missing_entries_it_is_the_projection_rule():
    from mossy.plasticity import Projection

    x = correlated(0, 50)
    x -= x.mean(axis=0)
    projection, passes = learn(x, np.ones(x.shape, bool), 2.0, 20, 0.0)
    state = Projection(2.0).write(Projection(2.0).start(5, 5), x, x)
    np.testing.assert_allclose(projection.precision, 50 * np.linalg.inv(state["gram"] + 2 * np.eye(5)))
    assert passes == 1


def test_each_pass_makes_what_is_known_more_likely():
    x = hide(correlated(1, 80), 2)
    known = ~np.isnan(x)

    def penalised_likelihood(projection):
        cov = np.linalg.inv(projection.precision)
        total = -0.5 * np.trace(projection.precision)
        for row, k in zip(x, known, strict=True):
            if k.any():
                part = cov[np.ix_(k, k)]
                gap = row[k] - projection.mean[k]
                total -= 0.5 * (np.linalg.slogdet(part)[1] + gap @ np.linalg.solve(part, gap))
        return total

    filled = np.where(known, x, 0)
    values = [penalised_likelihood(learn(filled, known, 1.0, passes, 0.0)[0]) for passes in range(1, 8)]
    assert (np.diff(values) > -1e-9).all()


# --- recall --------------------------------------------------------------------------------------


def test_recall_is_its_equation():
    rng = np.random.default_rng(0)
    memories = Memories(rng.normal(size=(20, 3)).astype(np.float32), rng.random((20, 3)) < 0.6, np.array([1.0, 2, 0.5]))
    cues, known = rng.normal(size=(7, 3)), rng.random((7, 3)) < 0.7
    known[:, 0] |= ~known.any(axis=1)
    found = recall(memories, cues, known, 9.0)
    for c in range(7):
        unit = 2 * sum(memories.variance[j] for j in range(3) if known[c, j])
        apart = [
            sum((k[j] - cues[c, j]) ** 2 for j in range(3) if known[c, j]) for k in memories.patterns.astype(float)
        ]
        activity = [np.exp(-9.0 * a / unit) for a in apart]
        for j in range(3):
            said = sum(
                a * (memories.patterns[i, j] - cues[c, j]) for i, a in enumerate(activity) if memories.known[i, j]
            )
            weight = sum(a for i, a in enumerate(activity) if memories.known[i, j]) + np.exp(-9.0)
            assert found[c, j] == pytest.approx(said / weight, abs=1e-9)


def test_gain_is_nothing_where_memories_know_nothing_more():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(200, 3))
    memories = Memories(truth.astype(np.float32), np.ones((200, 3), bool), np.ones(3))
    hidden = rng.random((200, 3)) < 0.2
    cues = np.where(hidden, 0.0, truth)  # independent entries: 0 is the best guess
    assert fit_gain(memories, cues, ~hidden, np.arange(200), hidden, truth).share < 0.2
    copies = np.concatenate([truth, truth])
    twice = Memories(copies.astype(np.float32), np.ones(copies.shape, bool), np.ones(3))
    assert fit_gain(twice, cues, ~hidden, np.arange(200), hidden, truth).share > 0.5


# --- the estimator -------------------------------------------------------------------------------


def test_what_is_known_is_handed_back_bit_for_bit():
    x = hide(correlated(0, 60), 1) * 1e6 + 3e9
    filled = MemoryImputer().fit_transform(x)
    np.testing.assert_array_equal(filled[~np.isnan(x)], x[~np.isnan(x)])
    assert np.isfinite(filled).all()


@settings(max_examples=10, deadline=None)
@given(cuts=st.lists(st.integers(1, 59), max_size=3))
def test_batches_do_not_matter(cuts):
    x = hide(correlated(0, 60), 1)
    whole, parts = MemoryImputer().fit(x), MemoryImputer()
    for part in np.split(x, sorted(set(cuts))):
        parts.partial_fit(part)
    np.testing.assert_array_equal(parts.transform(x), whole.transform(x))


def test_units_do_not_matter():
    x, scale = hide(correlated(0, 100), 1), np.array([1, 1e3, 1e-3, 7, 0.2])
    one, other = MemoryImputer().fit_transform(x), MemoryImputer().fit_transform(x * scale + 5)
    np.testing.assert_allclose((other - 5) / scale, one, rtol=1e-4, atol=1e-4)


def test_a_linear_table_is_completed():
    x = correlated(0, 200)
    cut = hide(x, 1, 0.2)
    hidden = np.isnan(cut)
    errors = [
        np.square((imputer.fit_transform(cut) - x)[hidden]).mean()
        for imputer in (MemoryImputer(), KNNImputer(), SimpleImputer())
    ]
    assert errors[0] < errors[1] < errors[2]


def test_a_curve_is_recalled():
    t = np.random.default_rng(0).uniform(0, 2 * np.pi, 400)
    x = np.column_stack([np.cos(t), np.sin(t), np.cos(2 * t), np.sin(2 * t)])
    cut = hide(x, 1, 0.15)
    hidden = np.isnan(cut)
    imputer = MemoryImputer().fit(cut)
    assert imputer.gain_.share > 0.5
    assert np.square((imputer.transform(cut) - x)[hidden]).mean() < 0.3 * np.square(x[hidden]).mean()


def test_nothing_is_filled_in_beyond_what_was_seen():
    x = hide(correlated(0, 300), 1)
    found = MemoryImputer().fit(x).transform(np.where(np.isnan(x), x, 10 * x))
    filled = np.isnan(x)
    low, high = np.nanmin(x, axis=0) - 1e-9, np.nanmax(x, axis=0) + 1e-9
    assert ((found >= low) & (found <= high))[filled].all()
    assert (np.abs(found[~filled]) == np.abs(10 * x[~filled])).all()


def test_more_rows_than_are_recalled():
    x = hide(correlated(0, 2500), 1)
    imputer = MemoryImputer(max_memories=50).fit(x)
    assert len(imputer.memories_.patterns) == 50
    assert np.isfinite(imputer.transform(x)).all()


@pytest.fixture(scope="module")
def mixed():
    wine = load_wine(as_frame=True)
    whole = wine.data.iloc[:, :6].copy()
    whole["grape"] = pd.Categorical(wine.target.map({0: "Barolo", 1: "Grignolino", 2: "Barbera"}))
    whole["colour"] = np.where(wine.data["color_intensity"] > 5, "dark", "light")
    hidden = np.random.default_rng(0).random(whole.shape) < 0.2
    return whole, whole.mask(hidden), hidden


def test_categories_are_recalled_by_vote(mixed):
    whole, cut, hidden = mixed
    filled = MemoryImputer().set_output(transform="pandas").fit_transform(cut)
    for j, column in ((6, "grape"), (7, "colour")):
        found = filled[column].astype(str)
        assert set(found) <= set(whole[column].astype(str))
        right = (found == whole[column].astype(str))[hidden[:, j]].mean()
        assert right > whole[column].value_counts(normalize=True).max() + 0.2
        assert (found == whole[column].astype(str))[~hidden[:, j]].all()


@pytest.mark.parametrize("settings", [{}, {"add_indicator": True}, {"keep_empty_features": True}])
def test_a_frame_has_the_dtypes_of_its_columns(mixed, settings):
    _, cut, _ = mixed
    cut = cut.assign(none=np.nan, nothing=pd.Categorical([None] * len(cut), categories=["x"]))
    cut.index = cut.index + 7
    cut["grape"] = cut["grape"].cat.reorder_categories(["Barolo", "Grignolino", "Barbera"], ordered=True)
    plain = MemoryImputer(**settings).fit(cut)
    imputer = MemoryImputer(**settings).set_output(transform="pandas")
    filled = imputer.fit_transform(cut)
    assert filled["grape"].dtype == cut["grape"].dtype
    assert filled["colour"].dtype == cut["colour"].dtype
    named = {"grape", "colour", "nothing"}
    assert (filled[[c for c in filled if c not in named]].dtypes == np.float64).all()
    assert filled.index.equals(cut.index)
    assert filled.columns.tolist() == plain.get_feature_names_out().tolist()
    np.testing.assert_array_equal(filled.astype(object).to_numpy(), plain.transform(cut))
    few = cut[cut["grape"] != "Barbera"].assign(grape=lambda x: x["grape"].cat.remove_unused_categories())
    part = imputer.transform(few)
    assert part["grape"].cat.categories.tolist() == ["Barolo", "Grignolino", "Barbera"]
    np.testing.assert_array_equal(part.astype(object).to_numpy(), plain.transform(few))
    array = cut.astype(object).to_numpy()
    assert (MemoryImputer().set_output(transform="pandas").fit_transform(array).dtypes.iloc[:6] == np.float64).all()


def test_ways_to_name_categorical_columns(mixed):
    _, cut, _ = mixed
    array = cut.astype(object).to_numpy()
    by_dtype = MemoryImputer().fit_transform(cut)
    for named in ([6, 7], [False] * 6 + [True] * 2, ["grape", "colour"]):
        np.testing.assert_array_equal(MemoryImputer(categorical_features=named).fit_transform(cut), by_dtype)
    np.testing.assert_array_equal(MemoryImputer().fit_transform(array), by_dtype)
    with pytest.raises(ValueError, match="mask of the 8 features"):
        MemoryImputer(categorical_features=[9]).fit(cut)
    with pytest.raises(ValueError, match="'from_dtype'"):
        MemoryImputer(categorical_features="some").fit(cut)


def test_a_category_that_was_never_seen_is_left_as_it_is():
    x = np.array([["a", 1.0], ["b", 2.0], ["a", None], [None, 2.0]], object)
    found = MemoryImputer().fit(x).transform(np.array([["c", None], [None, 1.0]], object))
    assert found[0, 0] == "c"
    assert found[1, 0] in "ab"
    assert isinstance(found[0, 1], float)


@pytest.mark.parametrize("missing", [-1, 0.0])
def test_missing_values_can_be_a_number(missing):
    x = np.abs(correlated(0, 30)) + 1
    cut = hide(x, 1)
    marked = np.where(np.isnan(cut), missing, cut)
    np.testing.assert_allclose(
        MemoryImputer(missing_values=missing).fit_transform(marked), MemoryImputer().fit_transform(cut)
    )
    with pytest.raises(ValueError, match="contains NaN"):
        MemoryImputer(missing_values=missing).fit(cut)


def test_an_empty_column():
    x = hide(correlated(0, 30), 1)
    x[:, 2] = np.nan
    frame = pd.DataFrame(x, columns=list("abcde"))
    without = MemoryImputer(add_indicator=True).fit(frame)
    assert without.transform(frame).shape == (30, 4 + 5)
    assert without.get_feature_names_out().tolist() == list("abde") + [f"missingindicator_{c}" for c in "abcde"]
    kept = MemoryImputer(keep_empty_features=True).set_output(transform="pandas").fit_transform(frame)
    assert (kept["c"] == 0).all()
    assert MemoryImputer().fit_transform(np.full((3, 2), np.nan)).shape == (3, 0)


def test_a_row_that_knows_nothing_gets_what_is_usual():
    x = hide(correlated(0, 200), 1)
    found = MemoryImputer().fit(x).transform(np.full((1, 5), np.nan))[0]
    assert (np.abs(found - np.nanmean(x, axis=0)) < np.nanstd(x, axis=0)).all()


@pytest.mark.parametrize("infinite", [np.inf, -np.inf, "inf"])
def test_infinity_beside_categories_is_refused(infinite):
    x = np.array([["a", 1.0], ["b", 2.0], ["a", None], [None, 2.0]], object)
    wrong = np.array([["a", infinite], ["b", 2.0]], object)
    imputer = MemoryImputer(categorical_features=[0]).fit(x)
    for refused in (imputer.transform, imputer.partial_fit, MemoryImputer(categorical_features=[0]).fit):
        with pytest.raises(ValueError, match="infinity"):
            refused(wrong)
    with pytest.raises(ValueError, match="contains NaN"):
        MemoryImputer(categorical_features=[0], missing_values=-1).fit(np.array([["a", np.nan], ["b", 2.0]], object))


@pytest.mark.parametrize("step", ["learn_columns", "learn", "complete", "fit_gain", "MissingIndicator"])
@pytest.mark.parametrize("call", ["fit", "partial_fit"])
@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_learning_that_fails_changes_nothing(monkeypatch, step, call, error):
    x = hide(correlated(0, 60), 1)
    imputer = MemoryImputer(add_indicator=True).fit(x[:40])
    before = imputer.transform(x)

    def failing(*_args, **_settings):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(module, step, failing)
        with pytest.raises(error):
            getattr(imputer, call)(x[:5, :3] * 9 if call == "fit" else x[:5] * 9)
    np.testing.assert_array_equal(imputer.transform(x), before)
    whole = MemoryImputer(add_indicator=True).fit(x)
    np.testing.assert_array_equal(imputer.partial_fit(x[40:]).transform(x), whole.transform(x))


def test_a_batch_that_is_refused_poisons_none_after_it():
    x = np.array([["a", 1.0], ["b", 2.0], ["a", None], [None, 2.0]], object)
    imputer = MemoryImputer(categorical_features=[0]).fit(x)
    with pytest.raises(ValueError, match="could not convert"):
        imputer.partial_fit(np.array([["a", "many"]], object))
    np.testing.assert_array_equal(
        imputer.partial_fit(x).transform(x), MemoryImputer(categorical_features=[0]).fit(np.vstack([x, x])).transform(x)
    )


def test_wrong_input_is_refused():
    x = hide(correlated(0, 30), 1)
    with pytest.raises(NotFittedError):
        MemoryImputer().transform(x)
    with pytest.raises(ValueError, match="expecting 5 features"):
        MemoryImputer().fit(x).partial_fit(x[:, :4])
    with pytest.raises(ValueError, match="infinity"):
        MemoryImputer().fit([[1.0, np.inf]])
    with pytest.raises(ValueError, match="could not convert string"):
        MemoryImputer().fit(np.array([[1.0, "a"], [2.0, "b"]], object)[:, :1]).transform([["a"]])
    for wrong in ({"ridge": 0}, {"max_iter": 0}, {"hidden": 1}, {"max_memories": 0}, {"tol": -1}):
        with pytest.raises(ValueError, match="must be"):
            MemoryImputer(**wrong).fit(x)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from tests.naive.learn import herd as naive_herd
from tests.naive.learn import ridge

from mossy.errors import CannotForget, UnknownMemory
from mossy.learn import MemoryRegressor
from mossy.learn.herding import herd
from mossy.learn.supervised.superposed import Superposed

KINDS = {
    "index": {"substrate": "index"},
    "matrix": {"substrate": "matrix", "units": 50},
    "matrix, examples": {"substrate": "matrix", "units": 50, "keep_examples": True},
}
X, Y = make_friedman1(160, noise=0.5, random_state=0)
X, ASKED = X[:120], X[120:]
Y, RIGHT = Y[:120], Y[120:]


def learned(kind, rows, batch=10, y=Y):
    model = MemoryRegressor(**KINDS[kind]).partial_fit(X[:20], y[:20])
    for first in range(0, len(rows), batch):
        model.partial_fit(X[rows[first : first + batch]], y[rows[first : first + batch]])
    return model


REST = np.arange(20, 120)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 99), batch=st.sampled_from([1, 9, 100]))
def test_order_and_batches_do_not_matter(kind, seed, batch):
    order = np.random.default_rng(seed).permutation(REST)
    np.testing.assert_allclose(
        learned(kind, order, batch).predict(ASKED), learned(kind, REST, 50).predict(ASKED), rtol=1e-6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [Y, np.column_stack([Y, -(Y**2)])])
def test_forgotten_pairs_were_never_there(kind, targets):
    model = learned(kind, REST, y=targets).forget(X[40:60], targets[40:60])
    other = learned(kind, np.setdiff1d(REST, np.arange(40, 60)), y=targets)
    np.testing.assert_allclose(model.predict(ASKED), other.predict(ASKED), rtol=1e-6)
    assert model.predict(ASKED).shape == (len(ASKED), *targets.shape[1:])


@pytest.mark.parametrize("kind", ["index", "matrix, examples"])
def test_forgotten_ids_were_never_there(kind):
    model = learned(kind, REST).forget(ids=range(40, 60))
    other = learned(kind, np.setdiff1d(REST, np.arange(40, 60)))
    np.testing.assert_allclose(model.predict(ASKED), other.predict(ASKED), rtol=1e-6)


def test_what_cannot_be_found_is_refused():
    model = learned("matrix", REST)
    with pytest.raises(CannotForget):
        model.forget(ids=[0])
    with pytest.raises(CannotForget):
        model.forget(X[:1])
    with pytest.raises(UnknownMemory):
        model.forget(np.full((1, 10), 1e4), [0.0])
    with pytest.raises(ValueError, match="y has shape"):
        model.partial_fit(X, np.column_stack([Y, Y]))
    model.forget(X, Y)
    with pytest.raises(NotFittedError):
        model.predict(X)


@pytest.mark.parametrize("kind", KINDS)
def test_it_learns(kind):
    model = MemoryRegressor(**KINDS[kind]).fit(X, Y)
    assert model.score(ASKED, RIGHT) > 0.5
    assert (
        MemoryRegressor(**KINDS[kind]).fit(*load_diabetes(return_X_y=True)).score(*load_diabetes(return_X_y=True)) > 0.4
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("targets", [Y, np.column_stack([Y, Y + 3])])
def test_explanations_add_up(kind, targets):
    model = MemoryRegressor(**KINDS[kind]).fit(X, targets)
    told = model.explain(ASKED[0])
    if told.substrate == "index":
        np.testing.assert_allclose(np.tensordot(told.shares, told.targets, 1), told.prediction)
    else:
        np.testing.assert_allclose(told.shares.sum(axis=0) + told.intercept, told.prediction)
    assert "example" in str(told) or "unit" in str(told)


def test_a_budget_is_kept():
    model = MemoryRegressor("index", budget=6000)
    for first in range(0, 120, 20):
        model.partial_fit(X[first : first + 20], Y[first : first + 20])
        assert model.nbytes_ <= 6000
    assert model.score(ASKED, RIGHT) > 0.1


def test_a_matrix_is_ridge_regression():
    x = np.random.default_rng(0).standard_normal((40, 6))
    y = x[:, :2] ** 2
    sums = Superposed(None, 6, 2, 0.1)
    sums.write(x[:25], y[:25])
    sums.write(x[25:], y[25:])
    weights, intercept = ridge(x.astype(np.float32).astype(float).tolist(), y.tolist(), 0.1)
    solution = sums.solve()
    np.testing.assert_allclose(solution.weights, weights, atol=1e-5)
    np.testing.assert_allclose(solution.intercept, intercept, atol=1e-5)


def test_the_chosen_ridge_predicts_nearly_as_well_as_the_best():
    errors = {}
    for ridge_ in ("auto", 1e-4, 1e-3, 1e-2, 1e-1, 1.0):
        model = MemoryRegressor("matrix", units=200, ridge=ridge_).fit(X, Y)
        errors[ridge_] = np.square(model.predict(ASKED) - RIGHT).mean()
    assert errors["auto"] < 1.2 * min(errors.values())


def test_herding_is_its_equation():
    x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
    found = herd(x, np.zeros(12, np.intp), 5)
    np.testing.assert_array_equal(found, np.sort(naive_herd(x.astype(float).tolist(), 5)))


def test_an_encoder_is_fitted_once_and_held():
    model = MemoryRegressor("matrix", encoder=PCA(4, random_state=0)).partial_fit(X[:30], Y[:30])
    held = model.encoder_.components_.copy()
    np.testing.assert_array_equal(model.partial_fit(X[30:], Y[30:]).encoder_.components_, held)


@pytest.mark.parametrize("kind", KINDS)
def test_only_one_example_within_range_is_explained(kind):
    model = MemoryRegressor(**KINDS[kind]).fit(X, Y)
    with pytest.raises(ValueError, match="explain takes one example; 20 were given"):
        model.explain(X[:20])
    with pytest.raises(ValueError, match="too large for dtype"):
        model.predict(np.full((1, X.shape[1]), 1e39))


@pytest.mark.parametrize("encoder", [None, PCA(1)])
@pytest.mark.parametrize("ridge_", ["auto", 1e-5])
def test_where_all_rows_are_equal_a_matrix_reads_the_mean(ridge_, encoder):
    rows, targets = np.array([[0.3, 0.1, 0.2]] * 7), np.array([3.0, 4, 3, 4, 3, 4, 3])
    model = MemoryRegressor("matrix", units=50, ridge=ridge_, encoder=encoder).fit(rows, targets)
    np.testing.assert_allclose(model.predict([[0.3, 0.1, 0.2], [9, -2, 4]]), targets.mean())
    model.partial_fit([[0.9, -0.5, 0.1]] * 7, targets + 5)
    np.testing.assert_allclose(model.predict([rows[0], [0.9, -0.5, 0.1]]), targets.mean() + np.array([0, 5]), atol=0.5)


def test_equal_rows_far_from_zero_read_the_mean():
    sums = Superposed(None, 3, 1, None)
    sums.write(np.full((7, 3), 1e8 + 0.3), np.arange(7.0)[:, None])
    np.testing.assert_allclose(sums.read(np.array([[1e8, 1e8, 1e8]])), [[3.0]])

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array, csr_matrix
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import RidgeClassifier
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

from mossy import encode
from mossy.learn import Dentate, ImageEncoder, MemoryClassifier, SoundEncoder

X, Y = load_digits(return_X_y=True)
ENCODERS = [Dentate(50), ImageEncoder(patches=10, size=4, samples=500), SoundEncoder(bands=5, steps=3)]


@parametrize_with_checks(
    [
        Dentate(60),
        Dentate(60, k=5, learning="competitive"),
        ImageEncoder(patches=8, samples=200),
        ImageEncoder(patches=8, samples=200, polarity=True, mirror=True, frame="scaled", learning="random"),
        SoundEncoder(bands=5, steps=3),
    ]
)
def test_scikit_learn_checks(estimator, check):
    check(estimator)


def test_they_are_the_cores():
    x = X.astype(np.float32)
    image = ImageEncoder((8, 8), patches=12, size=4, grid=2, polarity=True, random_state=3).fit(X)
    core = encode.ImageEncoder((8, 8), 12, 4, grid=2, polarity=True, seed=3).learn(x)
    np.testing.assert_array_equal(image.transform(X), core.encode(x))
    sound = SoundEncoder(4000.0, bands=6, steps=2).fit(X)
    np.testing.assert_array_equal(sound.transform(X), encode.SoundEncoder(64, 4000.0, 6, 2).encode(x))
    dentate = Dentate(30, bias=0.5, random_state=2).fit(X)
    core = encode.Dentate(64, 30, None, 2, X.mean(), X.std(), 0.5)
    np.testing.assert_allclose(dentate.transform(X), core.encode(X), atol=1e-4)


@pytest.mark.parametrize("learning", ["random", "competitive"])
@pytest.mark.parametrize("k", [None, 4])
@pytest.mark.parametrize("kind", [csr_array, csr_matrix])
def test_sparse_rows_are_as_dense_ones(kind, k, learning):
    dense = Dentate(40, k=k, learning=learning).fit(X[:1000])
    sparse = Dentate(40, k=k, learning=learning).fit(kind(X[:1000]))
    np.testing.assert_allclose(sparse.transform(kind(X[:50])), dense.transform(X[:50]), atol=1e-4)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_names_and_frames(encoder):
    pandas = pytest.importorskip("pandas")
    made = clone(encoder).set_output(transform="pandas").fit(X[:50]).transform(X[:50])
    assert isinstance(made, pandas.DataFrame)
    assert made.shape == (50, made.columns.size)
    name = type(encoder).__name__.lower()
    assert list(made.columns[:2]) == [f"{name}0", f"{name}1"]
    assert (made.dtypes == np.float32).all()


@pytest.mark.parametrize("encoder", ENCODERS)
def test_polars_frames(encoder):
    polars = pytest.importorskip("polars")
    made = clone(encoder).set_output(transform="polars").fit(X[:50]).transform(X[:50])
    assert isinstance(made, polars.DataFrame)


def test_partial_fit_begins_as_fit_and_goes_on():
    for make in (ImageEncoder(patches=10, size=4, samples=500), Dentate(40, learning="competitive")):
        whole, parts = clone(make).fit(X[:300]), clone(make).partial_fit(X[:300])
        np.testing.assert_array_equal(parts.transform(X[:20]), whole.transform(X[:20]))
        parts.partial_fit(X[300:600])
        assert (parts.transform(X[:20]) != whole.transform(X[:20])).any()
        np.testing.assert_array_equal(parts.fit(X[:300]).transform(X[:20]), whole.transform(X[:20]))


def test_an_image_without_a_shape_is_a_square_or_a_line():
    assert ImageEncoder(patches=4).fit(X).encoder_.shape == (8, 8)
    assert ImageEncoder(patches=4).fit(X[:, :60]).encoder_.shape == (1, 60)


def test_in_a_pipeline_it_helps():
    train, test = slice(0, 1000), slice(1000, None)
    plain = RidgeClassifier(1.0).fit(X[train], Y[train]).score(X[test], Y[test])
    for encoder in (ImageEncoder(patches=40, size=4), Dentate(500), Dentate(500, learning="competitive")):
        behind = make_pipeline(encoder, RidgeClassifier(1.0)).fit(X[train], Y[train]).score(X[test], Y[test])
        assert behind > plain + 0.01


def test_patches_of_one_class_serve_the_others():
    order = np.argsort(Y[:1000], kind="stable")
    memory = MemoryClassifier("matrix", encoder=ImageEncoder(patches=40, size=4))
    for part in np.array_split(order, 20):
        memory.partial_fit(X[part], Y[part])
    assert memory.score(X[1000:], Y[1000:]) > 0.93


@pytest.mark.parametrize(
    ("encoder", "message"),
    [
        (ImageEncoder((8, 9)), "has 72 entries, but X has 64 features"),
        (ImageEncoder((64,)), "should be"),
        (ImageEncoder((8, -8)), "should be"),
        (ImageEncoder(power=0), "'power' parameter"),
        (ImageEncoder(frame="golden"), "'frame' parameter"),
        (Dentate(10, k=11), "at most units=10"),
        (Dentate(0), "'units' parameter"),
        (SoundEncoder(rate=0), "'rate' parameter"),
        (SoundEncoder(low=5000.0), "low"),
    ],
)
def test_bad_parameters(encoder, message):
    with pytest.raises(ValueError, match=message):
        encoder.fit(X)


@pytest.mark.parametrize("encoder", ENCODERS)
def test_bad_input(encoder):
    with pytest.raises(NotFittedError):
        clone(encoder).transform(X)
    fitted = clone(encoder).fit(X)
    with pytest.raises(ValueError, match="features"):
        fitted.transform(X[:, :60])
    with pytest.raises(ValueError, match="NaN"):
        fitted.transform(np.where(X > 15, np.nan, X))

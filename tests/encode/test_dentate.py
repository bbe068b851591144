from __future__ import annotations

import numpy as np
import pytest

from mossy.encode import Dentate
from mossy.errors import InvalidInput, InvalidParameter, NotFinite


def test_follows_its_equation_and_its_seed():
    x = np.random.default_rng(0).normal(size=(4, 5))
    encoder = Dentate(5, 40, seed=7, mean=0.5, scale=2.0, bias=0.3)
    rng = np.random.default_rng(7)
    w, b = rng.standard_normal((40, 5)) / np.sqrt(5), 0.3 * rng.standard_normal(40)
    expected = [[max(0.0, float(w[i] @ ((row - 0.5) / 2.0) + b[i])) for i in range(40)] for row in x]
    np.testing.assert_allclose(encoder.encode(x), expected, atol=1e-12)
    np.testing.assert_allclose(encoder.encode(x[1]), expected[1], atol=1e-12)
    assert (Dentate(5, 40, seed=8).encode(x) != Dentate(5, 40, seed=9).encode(x)).any()


def test_k_units_fire():
    found = Dentate(5, 200, k=12).encode(np.random.default_rng(0).normal(size=(10, 5)))
    assert set(np.unique(found)) == {0.0, 1.0}
    assert (found.sum(axis=1) == 12).all()


def test_similar_inputs_overlap_less_after_it():
    rng = np.random.default_rng(1)
    x = rng.normal(size=(50, 30))
    near = x + rng.normal(scale=0.7, size=x.shape)

    def cosine(a, b):
        return ((a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).mean()

    encoder = Dentate(30, 3000, k=60)
    assert cosine(encoder.encode(x), encoder.encode(near)) < 0.8 * cosine(x, near)


def test_units_learn_what_they_are_shown():
    rng = np.random.default_rng(2)
    centres = rng.normal(size=(20, 12))
    x = (centres[rng.integers(0, 20, 2000)] + 0.1 * rng.normal(size=(2000, 12))).astype(np.float32)
    encoder = Dentate(12, 60, mean=0.5, scale=2.0).learn(x[:1000]).learn(x[1000:])
    again = Dentate(12, 60, mean=0.5, scale=2.0).learn(x[:1000]).learn(x[1000:])
    np.testing.assert_array_equal(again.encode(x[:5]), encoder.encode(x[:5]))
    state = encoder.state()
    assert state["learned.wins"].sum() == 2000
    seen = (centres - 0.5) / 2.0 - state["learned.middle"]
    best = (seen / np.linalg.norm(seen, axis=1, keepdims=True) @ state["learned.weights"].T).max(axis=1)
    assert best.min() > 0.95  # each centre has a unit; random units are far from all
    restored = Dentate.from_state(state)
    np.testing.assert_array_equal(restored.encode(x[:5]), encoder.encode(x[:5]))
    np.testing.assert_array_equal(restored.learn(x).encode(x[:5]), encoder.learn(x).encode(x[:5]))
    assert encoder.nbytes > 0


def test_synapses_give_the_drive():
    x = np.random.default_rng(0).normal(size=(4, 5))
    encoder = Dentate(5, 40, seed=7, mean=0.5, scale=2.0, bias=0.3)
    weights, thresholds = encoder.synapses(np.float64)
    np.testing.assert_allclose(np.maximum(x @ weights + thresholds, 0), encoder.encode(x), atol=1e-12)


def test_state_round_trip():
    encoder = Dentate(4, 30, k=3, seed=2, mean=0.1, scale=0.4, bias=0.0)
    again = Dentate.from_state(encoder.state())
    assert again.state() == encoder.state()
    x = np.random.default_rng(0).normal(size=(6, 4))
    np.testing.assert_array_equal(again.encode(x), encoder.encode(x))


@pytest.mark.parametrize(
    "wrong",
    [
        {"d": 0},
        {"d": 3, "units": 0},
        {"d": 3, "units": 5, "k": 6},
        {"d": 3, "k": 0},
        {"d": 3, "scale": 0.0},
        {"d": 3, "seed": -1},
    ],
)
def test_bad_parameters(wrong):
    with pytest.raises(InvalidParameter):
        Dentate(**wrong)


def test_bad_input():
    encoder = Dentate(3, 10)
    with pytest.raises(InvalidInput):
        encoder.encode(np.ones(4))
    with pytest.raises(NotFinite):
        encoder.encode(np.array([1.0, np.inf, 0.0]))

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.learn.supervised.posterior import GAIN, MOST, from_drives, from_votes

SEED, CLASSES = st.integers(0, 10_000), st.integers(2, 15)


def drives(seed, m):
    return np.random.default_rng(seed).normal(1 / m, 0.3, (4, m))


@given(SEED, CLASSES, st.floats(0, 1))
def test_drives_become_probabilities_as_their_equation_says(seed, m, fit):
    s = drives(seed, m)
    p = from_drives(s.copy(), np.ones(m, np.bool_), fit)
    for row, said in zip(s, p, strict=True):
        weights = [math.exp((min(m, MOST) + GAIN * fit) * drive) for drive in row]
        np.testing.assert_allclose(said, [w / sum(weights) for w in weights], rtol=1e-9)


@given(SEED, CLASSES, st.floats(0, 1), st.floats(0, 1))
def test_the_order_of_drives_stays_and_a_better_fit_leaves_no_more_doubt(seed, m, one, other):
    s = drives(seed, m)
    loose, sharp = (from_drives(s.copy(), np.ones(m, np.bool_), fit) for fit in sorted((one, other)))
    np.testing.assert_array_equal(loose.argmax(axis=1), s.argmax(axis=1))
    assert (sharp.max(axis=1) >= loose.max(axis=1) - 1e-12).all()


@pytest.mark.parametrize("fit", [-np.inf, -0.5, 0.0])
def test_a_fit_that_explains_nothing_adds_nothing(fit):
    s, known = drives(0, 4), np.ones(4, np.bool_)
    np.testing.assert_array_equal(from_drives(s.copy(), known, fit), from_drives(s.copy(), known, 0.0))


def test_a_drive_near_its_mean_is_nearly_a_probability():
    s = np.array([[0.26, 0.25, 0.25, 0.24]])
    np.testing.assert_allclose(from_drives(s.copy(), np.ones(4, np.bool_), 0.0), s, atol=2e-4)


def test_classes_without_examples_have_no_probability_and_do_not_count():
    s = drives(1, 5)
    known = np.array([True, False, True, True, False])
    p = from_drives(s.copy(), known, 0.6)
    assert (p[:, ~known] == 0).all()
    np.testing.assert_allclose(p[:, known], from_drives(s[:, known], np.ones(3, np.bool_), 0.6))


@given(SEED, CLASSES, st.floats(0.01, 10))
def test_doubt_counts_as_examples_of_no_class(seed, m, doubt):
    draws = np.random.default_rng(seed)
    votes, effective = draws.dirichlet(np.ones(m), 4), draws.uniform(1, 20, 4)
    p = from_votes(votes, effective, doubt)
    np.testing.assert_allclose(p.sum(axis=1), 1)
    np.testing.assert_allclose(p, (votes * effective[:, None] + doubt / m) / (effective[:, None] + doubt))

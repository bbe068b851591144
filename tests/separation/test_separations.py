"""Discovers every separation, compares it with loops copied from its equation, holds every trait that it declares."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.naive import separation as naive

from mossy.errors import InvalidParameter, UnknownName
from mossy.separation import SEPARATIONS, Polynomial, Separation, as_separation

evidences = arrays(
    np.float64, st.integers(1, 12), elements=st.floats(-60, 60) | st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])
)
every = pytest.mark.parametrize("name", SEPARATIONS)
DISTRIBUTIONS = [name for name in SEPARATIONS if SEPARATIONS[name]().shift_invariant]


def active(separation: Separation, e: np.ndarray, n: int | None = None) -> np.ndarray:
    """Return the activities when these are all the memories, or all that can be active of ``n``."""
    return separation.activity(e, e.shape[-1] if n is None else n)


@every
@given(e=evidences)
@example(e=np.zeros(5))
@example(e=np.array([-3.0, -3.0, -7.0]))
def test_equals_its_equation(name, e):
    activity = active(as_separation(name), e)
    assert activity == pytest.approx(naive.SEPARATIONS[name](e.tolist()), abs=2e-9, rel=1e-6)
    assert activity.dtype == np.float64
    assert activity.shape == e.shape


@every
@given(e=evidences)
def test_the_conjugate_equals_its_definition(name, e):
    expected = naive.conjugate(name, e.tolist())
    assert float(as_separation(name).conjugate(e)) == pytest.approx(expected, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@given(e=evidences)
def test_activities_are_a_distribution(name, e):
    a = active(as_separation(name), e)
    assert (a >= 0).all()
    assert a.sum() == pytest.approx(1, abs=1e-9)


@every
@given(e=evidences, shift=st.floats(-1000, 1000))
def test_shift_invariance_where_it_is_declared(name, e, shift):
    separation = as_separation(name)
    if separation.shift_invariant:
        e = np.unique(np.round(e, 6))  # so that the shift loses no digits that matter, and makes no equals
        assert active(separation, e + shift) == pytest.approx(active(separation, e), abs=1e-6)
        assert separation.conjugate(e + shift) == pytest.approx(separation.conjugate(e) + shift, abs=1e-6)


@every
def test_shift_invariance_is_declared_where_it_holds(name):
    e = np.array([0.1, 0.4, 0.2])
    separation = as_separation(name)
    same = np.allclose(active(separation, e), active(separation, e + 0.7), atol=1e-6)
    assert same == separation.shift_invariant


@every
@given(e=evidences)
def test_more_evidence_is_never_less_active(name, e):
    a = active(as_separation(name), e)
    order = np.argsort(e, kind="stable")
    assert (np.diff(a[order]) >= -1e-12).all() or name == "winner"
    assert a[e.argmax()] == a.max()


@every
@given(e=evidences, more=st.floats(0, 5), which=st.integers(0, 11))
def test_raising_one_evidence_never_lowers_its_activity(name, e, more, which):
    which %= len(e)
    raised = e.copy()
    raised[which] += more
    separation = as_separation(name)
    if name == "linear" and e[which] < 0:
        return  # less of a negative activity is no less
    assert active(separation, raised)[which] >= active(separation, e)[which] - 1e-9


@every
@given(e=evidences)
def test_reach_bounds_what_is_active(name, e):
    separation = as_separation(name)
    reach = separation.reach(len(e))
    a = active(separation, e)
    assert (e[a > 1e-15] >= e.max() - reach - 1e-12).all()
    # What lies beyond the reach may be left out before the separation, and nothing changes.
    near = e[e >= e.max() - reach]
    assert a[e >= e.max() - reach] == pytest.approx(active(separation, near, len(e)), abs=1e-12)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax"])
def test_reach_is_as_short_as_it_is_declared(name):
    """A little within the reach an evidence is active: the declared reach is no longer than it must be."""
    separation = as_separation(name)
    n = 4
    reach = separation.reach(n)
    e = np.array([0.0, 0.0, 0.0, 0.0]) if name == "softmax" else np.zeros(2)
    e[1:] = -reach + 1e-3
    assert (active(separation, e)[1:] > 0).all()


@pytest.mark.parametrize(("name", "lead"), [("sparsemax", 1.0), ("entmax", 2.0), ("winner", 1e-9)])
def test_one_neuron_alone_is_active_from_a_finite_lead(name, lead):
    e = np.array([3.0, 3.0 - lead * 1.001, -5.0])
    assert active(as_separation(name), e).tolist() == [1.0, 0.0, 0.0]


def test_softmax_silences_what_together_is_below_the_resolution_of_float32():
    softmax = as_separation("softmax")
    n = 1000
    e = np.full(n, -softmax.reach(n) - 1e-6)
    e[17] = 0.0
    a = active(softmax, e)
    assert a[17] == 1.0
    assert active(softmax, e[[17, 3]], n).tolist() == [1.0, 0.0], "whatever else is looked at"
    assert np.count_nonzero(a) == 1
    exact = np.exp(e) / np.exp(e).sum()
    assert exact[e < 0].sum() < 2.0**-24


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax"])
@given(e=arrays(np.float64, st.integers(2, 8), elements=st.floats(-5, 5)))
def test_the_activity_is_the_gradient_of_the_conjugate(name, e):
    separation = as_separation(name)
    a = active(separation, e)
    h = 1e-5
    for i in range(len(e)):
        up, down = e.copy(), e.copy()
        up[i] += h
        down[i] -= h
        slope = (separation.conjugate(up) - separation.conjugate(down)) / (2 * h)
        assert slope == pytest.approx(a[i], abs=2e-5)


@pytest.mark.parametrize("name", ["linear", "polynomial"])
@given(e=arrays(np.float64, st.integers(2, 6), elements=st.floats(0.1, 2)))
def test_the_activity_follows_the_gradient_of_the_conjugate(name, e):
    """Those that are no distribution are the gradient, normalised."""
    separation = Polynomial(3) if name == "polynomial" else as_separation(name)
    h = 1e-6
    slope = np.empty(len(e))
    for i in range(len(e)):
        up, down = e.copy(), e.copy()
        up[i] += h
        down[i] -= h
        slope[i] = (separation.conjugate(up) - separation.conjugate(down)) / (2 * h)
    assert active(separation, e) == pytest.approx(slope / slope.sum(), abs=1e-5)


def test_the_winner_is_the_gradient_where_there_is_one():
    winner = as_separation("winner")
    e = np.array([0.3, 2.0, 1.0])
    assert active(winner, e).tolist() == [0, 1, 0]
    assert winner.conjugate(e + np.array([0, 0.1, 0])) - winner.conjugate(e) == pytest.approx(0.1)


@every
@given(e=evidences, holes=st.integers(1, 5))
def test_an_index_neuron_that_is_not_there_is_silent(name, e, holes):
    separation = as_separation(name)
    padded = np.concatenate([e, np.full(holes, -np.inf)])
    a = active(separation, padded, len(e))
    assert (a[len(e) :] == 0).all()
    assert a[: len(e)] == pytest.approx(active(separation, e), abs=1e-12)
    assert float(separation.conjugate(padded)) == pytest.approx(float(separation.conjugate(e)), rel=1e-9, abs=1e-9)


@every
def test_a_batch_is_its_lines(name):
    separation = as_separation(name)
    e = np.random.default_rng(3).normal(0, 2, (3, 5, 40))
    a, conjugate = active(separation, e), separation.conjugate(e)
    assert a.shape == e.shape
    assert conjugate.shape == (3, 5)
    for i in range(3):
        for j in range(5):
            assert np.array_equal(a[i, j], active(separation, e[i, j]))
            assert conjugate[i, j] == separation.conjugate(e[i, j])


@every
def test_the_evidence_is_left_as_it_was(name):
    e = np.array([0.5, 2.0, -np.inf, -1.0])
    before = e.copy()
    separation = as_separation(name)
    active(separation, e)
    separation.conjugate(e)
    assert np.array_equal(e, before)


@every
@pytest.mark.parametrize("size", [1e-300, 1e-12, 1e12, 1e200])
def test_any_size_of_evidence_gives_numbers(name, size):
    a = active(as_separation(name), np.array([1.0, -2.0, 0.5]) * size)
    assert np.isfinite(a).all()
    assert np.abs(a).sum() == pytest.approx(1)


@every
def test_is_made_again_from_its_name_and_parameters(name):
    separation = SEPARATIONS[name]()
    again = SEPARATIONS[name](**separation.parameters)
    e = np.array([0.2, 0.5, 0.1])
    assert np.array_equal(active(separation, e), active(again, e))
    assert Polynomial(3).parameters == {"power": 3.0}


@every
@given(e=evidences, holes=st.integers(1, 9))
def test_padding_changes_no_bit(name, e, holes):
    separation = as_separation(name)
    padded = np.concatenate([np.sort(e)[::-1], np.full(holes, -np.inf)])
    alone = padded[: len(e)].copy()
    assert np.array_equal(active(separation, padded, len(e))[: len(e)], active(separation, alone))
    assert separation.conjugate(padded) == separation.conjugate(alone)


@every
def test_one_memory_alone(name):
    a = active(as_separation(name), np.array([0.25]))
    assert a.tolist() == [1.0]


def test_winner_takes_the_first_of_equals():
    assert active(as_separation("winner"), np.array([1.0, 3.0, 3.0, 2.0])).tolist() == [0, 1, 0, 0]


def test_polynomial_and_linear_where_nothing_speaks_for_anything():
    assert active(as_separation("polynomial"), np.array([-1.0, 0.0])).tolist() == [0, 0]
    assert active(as_separation("linear"), np.zeros(3)).tolist() == [0, 0, 0]


def test_polynomial_power():
    assert active(Polynomial(2), np.array([1.0, 2.0, -5.0])) == pytest.approx([0.2, 0.8, 0])
    for power in (0, -1, math.nan, math.inf, True, "3"):
        with pytest.raises(InvalidParameter, match=r"Polynomial\.power: .* is allowed"):
            Polynomial(power)


def test_names():
    for name, kind in SEPARATIONS.items():
        assert isinstance(as_separation(name), kind)
        assert isinstance(kind(), Separation)
    own = SEPARATIONS["softmax"]()
    assert as_separation(own) is own
    with pytest.raises(UnknownName, match="separation: 'soft' was given; allowed are 'linear'"):
        as_separation("soft")

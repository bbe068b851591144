from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mossy.activations import ACTIVATIONS, KWinners, as_activation
from mossy.errors import InvalidParameter, InvalidShape, UnknownName
from tests.naive import activations as naive

ELEMENTWISE = [name for name, kind in ACTIVATIONS.items() if kind.elementwise]
INVERTIBLE = sorted(naive.INVERSE)


@pytest.mark.parametrize("name", ELEMENTWISE)
@given(drive=arrays(np.float64, 7, elements=st.floats(-800, 800)), data=st.data())
def test_equals_its_equation(name, drive, data):
    f = as_activation(name)
    drive[0] = 0.0
    previous = data.draw(arrays(np.float64, 7, elements=st.sampled_from([f.low, f.high, 0.5])))
    if not np.isfinite(previous).all():
        previous = np.ones(7)
    np.testing.assert_allclose(f(drive), [naive.activate(name, h) for h in drive], rtol=1e-13)
    expected = [naive.activate(name, h, p) for h, p in zip(drive, previous, strict=True)]
    np.testing.assert_allclose(f(drive, previous), expected, rtol=1e-13)
    assert (f(drive) >= f.low).all()
    assert (f(drive) <= f.high).all()


@given(
    drive=st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=1, max_size=12),
    data=st.data(),
)
def test_k_winners_with_ties(drive, data):
    k = data.draw(st.integers(1, len(drive)))
    batch = np.array([drive, drive[::-1]])
    found = KWinners(k)(batch)
    np.testing.assert_array_equal(found[0], naive.k_winners(drive, k))
    np.testing.assert_array_equal(found[1], naive.k_winners(drive[::-1], k))
    assert (found.sum(axis=1) == k).all()


@pytest.mark.parametrize("name", INVERTIBLE)
@pytest.mark.parametrize("activity", [0.05, 0.3, 0.9])
def test_potential_is_the_integral_of_the_inverse(name, activity):
    f = as_activation(name)
    difference = f.potential(np.array(activity)) - f.potential(np.array(0.5))
    assert difference == pytest.approx(naive.potential(name, activity, 0.5), abs=1e-6)
    assert f.potential(np.array(0.0)) == 0


@pytest.mark.parametrize("name", [n for n in ELEMENTWISE if ACTIVATIONS[n].has_potential])
@given(drive=st.floats(-20, 20), other=st.floats(-1, 1))
def test_activity_minimises_the_energy_of_its_drive(name, drive, other):
    f = as_activation(name)
    best = f(np.array(drive))
    energies = [-drive * a + f.potential(np.asarray(a)) for a in (best, np.clip(other, f.low, f.high))]
    assert energies[0] <= energies[1] + 1e-9


@pytest.mark.parametrize("name", [n for n in ACTIVATIONS if np.isfinite(ACTIVATIONS[n].high) and n != "k_winners"])
def test_potential_is_infinite_outside_the_range(name):
    f = as_activation(name)
    outside = np.array([f.low - 0.1, f.high + 0.1])
    assert np.isinf(f.potential(outside)).all()
    assert np.isfinite(f.potential(np.array([f.low, f.high]))).all()


def test_dtype_is_kept():
    drive = np.array([-2.0, 0.0, 3.0], dtype=np.float32)
    for name in ELEMENTWISE:
        assert as_activation(name)(drive).dtype == np.float32, name
    assert KWinners(2)(drive).dtype == np.float32


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_parameters_make_it_again(name):
    made = [as_activation(name), *([KWinners(3)] if name == "k_winners" else [])]
    for f in made:
        assert ACTIVATIONS[f.name](**f.parameters) == f


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_traits_hold_exactly_where_they_are_declared(name):
    f = as_activation(name)
    drives = np.random.default_rng(0).normal(scale=3, size=(20, 40))
    assert np.isin(f(drives), (f.low, f.high)).all() == f.discrete
    alone = np.stack([f(drives[:, i : i + 10])[:, 0] for i in range(30)], axis=1)
    assert np.array_equal(alone, f(drives)[:, :30]) == f.elementwise


def test_errors_say_what_to_do():
    with pytest.raises(InvalidParameter, match="no potential"):
        KWinners(2).potential(np.zeros(3))
    with pytest.raises(InvalidShape, match="at most 3"):
        KWinners(5)(np.zeros(3))
    with pytest.raises(InvalidParameter):
        KWinners(0)
    with pytest.raises(UnknownName, match="sigmoid"):
        as_activation("sigmoyd")

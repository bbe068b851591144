from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.clock import Clock, Steps
from mossy.errors import (
    CannotForget,
    EmptyBatch,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    InvalidTime,
    NotFinite,
    UnknownMemory,
)
from mossy.plasticity import RULES, AdditiveRule, Projection, SummedRule
from mossy.strength import LAWS, power_law, two_phase
from mossy.synapses import Synapses
from tests.naive.network import faded

ADDITIVE = [name for name, kind in RULES.items() if issubclass(kind, AdditiveRule)]
SUMMED = [name for name, kind in RULES.items() if issubclass(kind, SummedRule)]


def pairs(rule, n=6, d=8, seed=0):
    rng = np.random.default_rng(seed)
    pre = rng.choice([-1.0, 1.0], (n, d))
    return (pre, pre) if RULES[rule].autoassociative else (pre, rng.choice([-1.0, 1.0], (n, d)))


def same_state(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, b[key])
        else:
            assert value == b[key], key


@pytest.mark.parametrize("rule", RULES)
def test_write_and_transmit_follow_the_rule(rule):
    pre, post = pairs(rule)
    synapses = Synapses(8, rule=rule)
    synapses.write(pre[:4], post[:4])
    synapses.write(pre[4], post[4])
    kind = RULES[rule]()
    expected = kind.weights(kind.write(kind.start(8, 8), pre[:5], post[:5]))
    np.testing.assert_allclose(synapses.weights, expected, atol=1e-9)
    np.testing.assert_allclose(synapses.transmit(pre), pre @ expected.T, atol=1e-8)
    np.testing.assert_allclose(synapses.transmit(pre[0]), expected @ pre[0], atol=1e-8)


@pytest.mark.parametrize("rule", ADDITIVE)
@pytest.mark.parametrize("law", LAWS)
def test_with_a_law_every_synapse_fades_as_its_equation(rule, law):
    clock = Steps()
    kind = RULES[rule]()
    n_post = 4 if kind.autoassociative else 3
    synapses = Synapses(4, n_post, rule, law, clock=clock)
    rng = np.random.default_rng(1)
    events = []
    for gap in (0.0, 3.0, 50.0, 4000.0):
        clock.advance(gap)
        pre = rng.normal(size=(2, 4))
        post = pre if kind.autoassociative else rng.normal(size=(2, n_post))
        synapses.write(pre, post)
        events.append((clock.now(), kind.weights(kind.write(kind.start(n_post, 4), pre, post))))
    clock.advance(700.0)
    made = synapses.law
    for i in range(n_post):
        for j in range(4):
            changes = [(time, change[i, j]) for time, change in events]
            expected = faded(made.rates, made.readout, changes, clock.now())
            assert synapses.weights[i, j] == pytest.approx(expected, rel=1e-9, abs=1e-12)
    short, long = synapses.split()
    np.testing.assert_allclose(short + long, synapses.weights, atol=1e-12)


@given(gaps=st.lists(st.floats(0, 1e5), min_size=1, max_size=6))
def test_asking_in_between_changes_nothing(gaps):
    asked_clock, clock = Steps(), Steps()
    asked = Synapses(3, rule="hebb", law="power_law", clock=asked_clock)
    left = Synapses(3, rule="hebb", law="power_law", clock=clock)
    x = np.array([1.0, -1.0, 1.0])
    asked.write(x, x)
    left.write(x, x)
    for gap in gaps:
        asked_clock.advance(gap)
        clock.advance(gap)
        assert np.isfinite(asked.weights).all()
    np.testing.assert_allclose(asked.weights, left.weights, rtol=1e-9)


def test_innate_weights_do_not_fade():
    clock = Steps()
    first = np.arange(6.0).reshape(2, 3)
    synapses = Synapses(3, 2, "hebb", two_phase(), weights=first, clock=clock)
    synapses.write(np.ones(3), np.ones(2))
    clock.advance(1e9)
    np.testing.assert_allclose(synapses.weights, first, atol=1e-12)


def test_phases_round_trip():
    clock = Steps()
    synapses = Synapses(3, rule="hebb", law="two_phase", clock=clock)
    synapses.write(np.array([1.0, -1.0, 1.0]), np.array([1.0, 1.0, -1.0]))
    early, late = synapses.phases
    assert not late.any()
    clock.advance(600.0)
    early, late = synapses.phases
    assert (np.abs(late) > 0).all()
    synapses.phases = np.zeros((3, 3)), early + late
    moved_early, moved_late = synapses.phases
    np.testing.assert_allclose(moved_early, 0, atol=1e-12)
    np.testing.assert_allclose(moved_late, early + late, rtol=1e-9)
    with pytest.raises(InvalidParameter, match="two_phase"):
        _ = Synapses(3, rule="hebb", law="power_law").phases
    with pytest.raises(InvalidParameter, match="two_phase"):
        Synapses(3).split()


@pytest.mark.parametrize("rule", [name for name, kind in RULES.items() if kind.local])
def test_missing_synapses_stay_missing(rule):
    pre, post = pairs(rule)
    mask = np.random.default_rng(3).random((8, 8)) < 0.5
    synapses = Synapses(8, rule=rule, wiring=mask)
    synapses.write(pre, post)
    full = Synapses(8, rule=rule)
    full.write(pre, post)
    np.testing.assert_allclose(synapses.weights, np.where(mask, full.weights, 0.0))


def test_sparse_wiring_is_seeded():
    one, two = (Synapses(40, wiring=0.3, seed=5).wiring for _ in range(2))
    np.testing.assert_array_equal(one, two)
    assert 0.2 < one.mean() < 0.4


@pytest.mark.parametrize("rule", [name for name, kind in RULES.items() if not kind.local])
def test_rules_that_are_not_local_take_only_a_missing_diagonal(rule):
    Synapses(4, rule=rule, wiring=~np.eye(4, dtype=bool))
    with pytest.raises(InvalidParameter, match="local"):
        Synapses(4, rule=rule, wiring=0.5, seed=0)


@pytest.mark.parametrize("rule", SUMMED)
def test_forgetting_is_exact(rule):
    pre, post = pairs(rule)
    kept = Synapses(8, rule=rule)
    kept.write(pre[2:], post[2:])
    synapses = Synapses(8, rule=rule)
    synapses.write(pre, post)
    synapses.forget(pre[:2], post[:2])
    np.testing.assert_allclose(synapses.weights, kept.weights, atol=1e-10)


@pytest.mark.parametrize("rule", [name for name in RULES if name not in SUMMED])
def test_forgetting_is_refused_where_order_matters(rule):
    pre, post = pairs(rule)
    synapses = Synapses(8, rule=rule)
    synapses.write(pre, post)
    before = synapses.state()
    with pytest.raises(CannotForget, match="projection"):
        synapses.forget(pre[0], post[0])
    same_state(synapses.state(), before)


@pytest.mark.parametrize("rule", SUMMED)
def test_clearing_leaves_the_weights_of_the_start(rule):
    pre, post = pairs(rule)
    first = np.arange(64.0).reshape(8, 8)
    synapses = Synapses(8, rule=rule, weights=first)
    fresh = synapses.state()
    synapses.write(pre, post)
    synapses.clear()
    same_state(synapses.state(), fresh)
    np.testing.assert_allclose(synapses.weights, first)
    with pytest.raises(CannotForget, match="new synapses"):
        Synapses(8, rule="oja").clear()


def test_forgetting_is_refused_under_a_law():
    synapses = Synapses(3, rule="hebb", law="power_law", clock=Steps())
    synapses.write(np.ones(3), np.ones(3))
    with pytest.raises(CannotForget, match="faded"):
        synapses.forget(np.ones(3), np.ones(3))


def test_projection_finds_out_keys_that_were_never_written():
    pre, post = pairs("projection")
    synapses = Synapses(8, rule="projection")
    synapses.write(pre[:3], post[:3])
    before = synapses.state()
    with pytest.raises(UnknownMemory):
        synapses.forget(pre[4], post[4])
    same_state(synapses.state(), before)


@pytest.mark.parametrize("rule", RULES)
def test_state_round_trip(rule):
    pre, post = pairs(rule)
    synapses = Synapses(8, rule=rule, wiring=~np.eye(8, dtype=bool))
    synapses.write(pre[:4], post[:4])
    state = synapses.state()
    again = Synapses.from_state(state)
    np.testing.assert_array_equal(again.weights, synapses.weights)
    same_state(again.state(), state)
    synapses.write(pre[4:], post[4:])
    same_state(again.state(), state)  # arrays are copies
    again.write(pre[4:], post[4:])
    np.testing.assert_array_equal(again.weights, synapses.weights)


@pytest.mark.parametrize("law", LAWS)
def test_state_round_trip_with_a_law(law):
    clock = Steps(7.0)
    synapses = Synapses(3, rule="covariance", law=law, clock=clock)
    synapses.write(np.ones(3), np.ones(3))
    clock.advance(30.0)
    again = Synapses.from_state(synapses.state())
    np.testing.assert_array_equal(again.weights, synapses.weights)
    clock.advance(100.0)
    again.clock.advance(100.0)
    np.testing.assert_array_equal(again.weights, synapses.weights)


@pytest.mark.parametrize(
    ("pre", "post", "error"),
    [
        (np.ones(4), np.ones(3), InvalidShape),
        (np.ones(3), np.ones((2, 3)), InvalidShape),
        (np.ones((0, 3)), np.ones((0, 3)), EmptyBatch),
        (np.array([1.0, np.nan, 1.0]), np.ones(3), NotFinite),
        (np.ones(3), np.array([np.inf, 1.0, 1.0]), NotFinite),
        (np.full(3, 1e200), np.ones(3), NotFinite),
        (np.array(["a", "b", "c"]), np.ones(3), InvalidDtype),
    ],
)
def test_bad_input_changes_nothing(pre, post, error):
    synapses = Synapses(3)
    synapses.write(np.ones(3), np.ones(3))
    before = synapses.state()
    for act in (synapses.write, synapses.forget):
        with pytest.raises(error):
            act(pre, post)
    same_state(synapses.state(), before)


@pytest.mark.parametrize(
    "wrong",
    [
        {"n_pre": 0},
        {"n_pre": 3, "rule": "oja", "law": "power_law"},
        {"n_pre": 3, "wiring": 0.5},
        {"n_pre": 3, "wiring": 1.5, "seed": 0},
        {"n_pre": 3, "wiring": np.ones((3, 3))},
        {"n_pre": 3, "wiring": np.ones((2, 3), bool)},
        {"n_pre": 3, "weights": np.ones((2, 3))},
        {"n_pre": 3, "rule": "hebbian"},
        {"n_pre": 3, "law": "power"},
        {"n_pre": 3, "n_post": 2, "rule": "storkey"},
    ],
)
def test_bad_parameters(wrong):
    with pytest.raises(InvalidInput):
        Synapses(**wrong)


def test_a_clock_that_is_none():
    with pytest.raises(InvalidDtype, match="clock"):
        Synapses(3, clock=5)


def test_a_clock_of_its_own_must_be_given_again():
    class Own(Clock):
        def now(self):
            return 3.0

    synapses = Synapses(3, law="power_law", clock=Own())
    synapses.write(np.ones(3), np.ones(3))
    with pytest.raises(InvalidParameter, match="clock="):
        Synapses.from_state(synapses.state())
    np.testing.assert_array_equal(Synapses.from_state(synapses.state(), Own()).weights, synapses.weights)
    Synapses.from_state(Synapses(3, clock=Own()).state())  # without a law it is never asked


def test_a_clock_that_runs_backwards():
    class Broken(Steps):
        def now(self):
            return -1.0 if broken else 5.0

    broken = False
    synapses = Synapses(3, law=power_law(), clock=Broken())
    broken = True
    with pytest.raises(InvalidTime):
        synapses.write(np.ones(3), np.ones(3))


def test_weights_are_read_only():
    synapses = Synapses(3, rule=Projection(ridge=0.1))
    with pytest.raises(ValueError, match="read-only"):
        synapses.weights[0, 0] = 1.0

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.activations import ACTIVATIONS, KWinners, as_activation
from mossy.clock import Steps
from mossy.errors import (
    CannotForget,
    EmptyMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    NotFinite,
    NothingKnown,
)
from mossy.network import Network
from mossy.plasticity import Difference, Hebb
from mossy.strength import benna_fusi, power_law
from tests.naive import network as naive

WITH_POTENTIAL = [name for name, kind in ACTIVATIONS.items() if kind.has_potential]
SYMMETRIC = ["hebb", "covariance", "storkey", "projection"]  # for y = x


def patterns(activation, rng, n, d):
    f = as_activation(activation)
    if f.low == -1:
        return rng.choice([-1.0, 1.0], (n, d))
    return rng.integers(0, 2, (n, d)).astype(float) if f.high == 1 else np.abs(rng.normal(size=(n, d)))


def network(activation, rule, seed, n=9, wiring=None):
    rng = np.random.default_rng(seed)
    made = Hebb(rate=0.02) if rule == "hebb" else rule  # weak enough for identity and relu
    if rule == "covariance":
        made = "projection" if activation in ("identity", "relu") else rule
    if rule == "storkey" and activation in ("identity", "relu"):
        made = "projection"
    bias = rng.normal(scale=0.3, size=n)
    net = Network(n, activation, made, law=None, bias=bias, wiring=wiring, seed=seed if wiring else None)
    net.store(patterns(activation, rng, 3, n))
    return net, rng


@pytest.mark.parametrize("rule", SYMMETRIC)
@pytest.mark.parametrize("activation", WITH_POTENTIAL)
@given(seed=st.integers(0, 10**6), shuffled=st.booleans())
def test_no_update_raises_the_energy(activation, rule, seed, shuffled):
    net, rng = network(activation, rule, seed)
    cue = patterns(activation, rng, 1, 9)[0]
    found = net.settle(cue, steps=20, seed=seed if shuffled else None)
    assert (np.diff(found.energies) <= 1e-9).all()
    assert found.energies[0] == pytest.approx(net.energy(cue))
    assert found.energies[-1] == pytest.approx(net.energy(found.state), abs=1e-7)


@pytest.mark.parametrize("activation", WITH_POTENTIAL)
def test_no_update_raises_the_energy_with_sparse_wiring(activation):
    for seed in range(10):
        net, rng = network(activation, "hebb", seed, wiring=0.5)
        np.testing.assert_array_equal(net.synapses.weights, net.synapses.weights.T)
        found = net.settle(patterns(activation, rng, 1, 9)[0], steps=20)
        assert (np.diff(found.energies) <= 1e-9).all()


@pytest.mark.parametrize("activation", WITH_POTENTIAL)
@given(seed=st.integers(0, 10**6))
def test_settling_and_energy_equal_their_equations(activation, seed):
    net, rng = network(activation, "hebb", seed)
    cue = patterns(activation, rng, 1, 9)[0]
    known = rng.random(9) < 0.4
    known[0] = True
    start = np.where(known, cue, 0.0)
    found = net.settle(cue, known, steps=6)
    state, energies = naive.settle(activation, net.synapses.weights, start, net.bias, np.flatnonzero(~known), 6)
    np.testing.assert_allclose(found.state, state, atol=1e-9)
    np.testing.assert_allclose(found.energies, energies, atol=1e-8)


@pytest.mark.parametrize("activation", [n for n in ACTIVATIONS if ACTIVATIONS[n].elementwise])
def test_activation_is_the_article_s_equation(activation):
    rng = np.random.default_rng(2)
    w, x, bias = rng.normal(size=(5, 5)), rng.normal(size=5), rng.normal(size=5)
    net = Network(5, activation, law=None, weights=w, bias=bias, self_connections=True)
    net.step_2_input(x)
    np.testing.assert_allclose(net.step_3_activate(), naive.activity(activation, w, x, bias), rtol=1e-12)
    net.step_2_input(np.stack([x, -x]))
    assert net.step_3_activate().shape == (2, 5)


@pytest.mark.parametrize("activation", WITH_POTENTIAL)
@given(seed=st.integers(0, 10**6))
def test_known_entries_stay(activation, seed):
    net, rng = network(activation, "hebb", seed)
    cue = patterns(activation, rng, 1, 9)[0]
    known = rng.random(9) < 0.5
    known[3] = True
    covered = np.where(known, cue, np.nan)
    found = net.recall(covered, known)
    np.testing.assert_array_equal(found[known], cue[known])
    assert np.isfinite(found).all()


@given(seed=st.integers(0, 10**6))
def test_energies_are_right_for_any_weights(seed):
    """Not symmetric, and with self-connections: the energy may rise, but each is the energy of its state."""
    rng = np.random.default_rng(seed)
    w, bias = rng.normal(size=(6, 6)), rng.normal(size=6)
    net = Network(6, "tanh", law=None, weights=w, bias=bias, self_connections=True)
    cue = rng.uniform(-1, 1, 6)
    found = net.settle(cue, steps=3)
    state, energies = naive.settle("tanh", w, cue, bias, range(6), 3)
    np.testing.assert_allclose(found.state, state, atol=1e-9)
    np.testing.assert_allclose(found.energies, energies, atol=1e-8)


def test_recall_from_a_noisy_and_from_a_partial_cue():
    rng = np.random.default_rng(0)
    stored = rng.choice([-1.0, 1.0], (8, 100))
    net = Network(100, law=None)
    net.store(stored)
    noisy = stored.copy()
    noisy[:, :10] *= -1
    np.testing.assert_array_equal(net.recall(noisy), stored)
    half = np.arange(100) < 50
    np.testing.assert_array_equal(net.recall(np.where(half, stored, 7.0), half), stored)
    np.testing.assert_array_equal(net.recall(noisy[0]), stored[0])


# --- short and long term -------------------------------------------------------------------------


def two_phase_network(seed=0, activation="sign"):
    clock = Steps()
    net = Network(60, activation, clock=clock)
    stored = np.random.default_rng(seed).choice([-1.0, 1.0], (3, 60))
    net.store(stored)
    return net, clock, stored


MONTH = 30 * 86400.0


def test_short_term_memory_fades():
    net, clock, stored = two_phase_network()
    at_once = np.abs(net.step_5_short_term()).max()
    np.testing.assert_allclose(net.synapses.phases[1], 0, atol=1e-12)
    clock.advance(MONTH)
    assert np.abs(net.step_5_short_term()).max() < 1e-12 * at_once
    assert np.abs(net.synapses.weights).max() < 0.2 * at_once
    del stored


def test_what_was_consolidated_stays():
    net, clock, stored = two_phase_network()
    before = net.synapses.weights.copy()
    assert net.consolidate() == np.count_nonzero(before)
    np.testing.assert_allclose(net.synapses.weights, before, atol=1e-12)  # it moves, so nothing is gained
    assert not net.step_5_short_term().any()
    clock.advance(MONTH)
    assert np.abs(net.synapses.weights).max() > 0.9 * np.abs(before).max()
    np.testing.assert_array_equal(net.recall(stored), stored)


def test_only_what_was_activated_often_is_encoded_above_a_threshold():
    net = Network(4, clock=Steps())
    often, once = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.0, 0.0, 1.0, 1.0])
    net.store(np.stack([often, often, often, once]))
    assert net.consolidate(threshold=2.0) == 2
    early, late = net.synapses.phases
    np.testing.assert_allclose(late[0, 1], 3.0)
    np.testing.assert_allclose(late[2, 3], 0.0, atol=1e-12)
    np.testing.assert_allclose(early[2, 3], 1.0)


def test_retrieval_lifts_the_late_phase_back_into_the_early_one():
    net, clock, stored = two_phase_network()
    net.consolidate()
    clock.advance(MONTH)
    late = net.synapses.phases[1]
    assert np.abs(net.step_5_short_term()).max() < 1e-12
    cue = stored[0].copy()
    cue[:6] *= -1
    np.testing.assert_array_equal(net.step_7_retrieve(cue), stored[0])
    lifted, still = net.synapses.phases
    np.testing.assert_allclose(still, late, rtol=1e-9)
    share = naive.share(late, naive.once(stored[0]))
    assert share > 0.8
    np.testing.assert_allclose(lifted, share * np.array(naive.once(stored[0])), atol=1e-12)
    net.step_7_retrieve(cue)
    np.testing.assert_allclose(net.synapses.phases[0], lifted, atol=1e-12)  # a second time adds nothing


def overlaps(phase, patterns):
    """How much of one writing of each pattern a phase holds; below 0 it holds the opposite."""
    return np.array([naive.overlap(phase, naive.once(pattern)) for pattern in patterns])


@pytest.mark.parametrize("seed", range(5))
def test_retrieval_lifts_what_was_retrieved_and_nothing_else(seed):
    net, clock, stored = two_phase_network(seed)
    net.consolidate()
    clock.advance(MONTH)
    before = overlaps(net.synapses.phases[0], stored)
    np.testing.assert_array_equal(net.recall(stored[1]), stored[1])
    gained = overlaps(net.synapses.phases[0], stored) - before
    assert gained[1] > 0.8
    likeness = (stored @ stored[1] / 60) ** 2  # what patterns that resemble each other share
    assert (np.abs(np.delete(gained - likeness, 1)) < 0.1).all()
    assert np.abs(np.delete(gained, 1)).max() < 0.25
    early = net.synapses.phases[0]
    assert (early * naive.once(stored[1]) >= -1e-12).all(), "no synapse is lifted with the wrong sign"
    net.recall(stored[0])
    assert overlaps(net.synapses.phases[0], stored).min() >= -0.1


@pytest.mark.parametrize("seed", range(5))
def test_what_was_never_encoded_lifts_almost_nothing(seed):
    net, clock, stored = two_phase_network(seed)
    net.consolidate()
    clock.advance(MONTH)
    junk = np.random.default_rng([seed, 1]).choice([-1.0, 1.0], 60)
    everything = np.ones(60, bool)
    np.testing.assert_array_equal(net.recall(junk, everything), junk)
    # what it shares with what is stored, by chance: the mean of (m·m·n − 1)/(n − 1) is 0
    chance = max(0.0, (((stored @ junk) ** 2 / 60 - 1) / 59).sum())
    assert overlaps(net.synapses.phases[0], [junk])[0] == pytest.approx(chance, abs=0.1 * chance + 1e-9)
    net, clock, stored = two_phase_network(seed)
    net.synapses.phases = np.zeros((60, 60)), -net.synapses.phases[0]
    net.recall(stored[0], everything)
    assert np.abs(net.synapses.phases[0]).max() < 0.1, "the opposite of what is retrieved is not lifted"


def test_retrieval_without_reinforcement_leaves_no_trace():
    net, clock, stored = two_phase_network()
    net.consolidate()
    clock.advance(MONTH)
    phases, activity = net.synapses.phases, net.activity.copy()
    for retrieve in (net.recall, net.step_7_retrieve):
        np.testing.assert_array_equal(retrieve(stored, reinforce=False), stored)
        for part, old in zip(net.synapses.phases, phases, strict=True):
            np.testing.assert_array_equal(part, old)
        np.testing.assert_array_equal(net.activity, activity)
    with pytest.raises(InvalidParameter, match="reinforce"):
        net.recall(stored[0], reinforce="no")


@pytest.mark.parametrize("rule", ["difference", "covariance"])
def test_a_rule_that_writes_nothing_for_a_pattern_lifts_nothing(rule):
    net = Network(4, "identity", rule, clock=Steps(), weights=np.eye(4)[::-1])
    net.recall(np.full(4, 0.5), np.ones(4, bool))
    assert not net.step_5_short_term().any()


@pytest.mark.parametrize("law", [benna_fusi(m=2), power_law(modes=2), "benna_fusi", "power_law", None])
def test_only_a_law_with_phases_has_phases(law):
    net = Network(4, law=law, clock=Steps())
    net.store(np.array([1.0, -1.0, 1.0, 1.0]))
    before = net.synapses.state()
    net.recall(np.array([1.0, -1.0, 1.0, 1.0]))
    for act in (net.step_6_encode, lambda: net.synapses.phases, net.consolidate):
        with pytest.raises(InvalidParameter, match="two_phase"):
            act()
    with pytest.raises(InvalidParameter, match="two_phase"):
        net.synapses.phases = np.zeros((4, 4)), np.zeros((4, 4))
    after = net.synapses.state()
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_retrieving_a_thousand_times_stays_bounded():
    net, clock, stored = two_phase_network()
    net.consolidate()
    start = np.abs(net.synapses.weights).max()
    for _ in range(1000):
        clock.advance(3600.0)
        net.recall(stored[0])
        net.consolidate()
    assert np.abs(net.synapses.weights).max() <= start + 1000.0


# --- the article ---------------------------------------------------------------------------------


def test_the_article_s_worked_example_to_the_last_digit():
    """a_i(1) = 0.2·1 + 0·0 = 0.2, a_j(1) = 0.2, w_ij(1) = 0.2 + 0.1(0.2 − 0.2) = 0.2."""
    i, j = 0, 1
    net = Network(2, "identity", Difference(rate=0.1), law=None, weights=[[0.0, 0.2], [0.0, 0.0]])
    each = np.zeros((2, 2, 2))
    each[:, i, j], each[:, j, i] = 1.0, 0.0  # x_i goes with w_ij and x_j with w_ji, for both neurons
    net.step_2_input(per_synapse=each)
    activity = net.step_3_activate()
    assert activity[i] == 0.2
    assert activity[j] == 0.2
    net.step_4_adjust()
    assert net.synapses.weights[i, j] == 0.2
    assert not net.step_5_short_term().any()


def test_the_article_s_program_never_moves_a_weight():
    """Both neurons get the same input over the same synapses, so a_i = a_j, always."""
    first = np.random.default_rng(0).uniform(0, 1, (2, 2))
    net = Network(2, "sigmoid", Difference(rate=0.1), law=None, weights=first, self_connections=True)
    for _ in range(10):
        for i in range(2):
            for j in range(2):
                net.step_2_input(per_synapse=np.full((2, 2, 2), float(i == j)))
                net.step_3_activate()
                net.step_4_adjust()
    np.testing.assert_array_equal(net.synapses.weights, first)


# --- bad input -----------------------------------------------------------------------------------


def test_errors():
    net = Network(3, law=None)
    with pytest.raises(EmptyMemory, match="step_2_input"):
        net.step_3_activate()
    with pytest.raises(InvalidParameter, match="either"):
        net.step_2_input()
    with pytest.raises(InvalidInput):
        net.step_2_input(np.ones(4))
    with pytest.raises(InvalidInput):
        net.step_2_input(per_synapse=np.ones((3, 3)))
    with pytest.raises(InvalidInput, match="lie from -1 to 1"):
        net.settle(np.array([3.0, 0.0, 0.0]))
    with pytest.raises(NothingKnown):
        net.settle(np.ones(3), np.zeros(3, bool))
    with pytest.raises(InvalidParameter, match="no potential"):
        Network(3, KWinners(1)).settle(np.ones(3))
    with pytest.raises(InvalidInput, match="without a seed"):
        Network(3, wiring=0.5)
    with pytest.raises(CannotForget):
        Network(3, clock=Steps()).forget(np.ones(3))
    with pytest.raises(InvalidDtype, match="clock"):
        Network(3, clock=5)
    with pytest.raises(InvalidParameter, match="imposed"):
        net.step_2_input(np.ones(3), imposed="no")
    with pytest.raises(InvalidParameter, match="self_connections"):
        Network(3, self_connections="no")
    strong = Network(3, "identity", law=None, weights=np.full((3, 3), 1e3))
    with pytest.raises(NotFinite, match="tanh"):
        strong.settle(np.ones(3), steps=1000)


def test_nothing_is_recalled_from_nothing():
    stored = np.array([1.0, -1.0, 1.0])
    for activation in ("sign", KWinners(1)):
        net = Network(3, activation, law=None)
        for retrieve in (net.recall, net.step_7_retrieve):
            with pytest.raises(EmptyMemory, match="store at least one"):
                retrieve(stored)
        net.store(stored)
        net.recall(stored)
        net.forget(stored)
        with pytest.raises(EmptyMemory):
            net.recall(stored)
    innate = Network(3, law=None, weights=np.ones((3, 3)))
    innate.recall(stored)


def test_forgetting_without_a_law_is_exact():
    stored = np.random.default_rng(1).choice([-1.0, 1.0], (4, 20))
    net, kept = Network(20, law=None), Network(20, law=None)
    net.store(stored)
    kept.store(stored[1:])
    net.forget(stored[0])
    np.testing.assert_array_equal(net.synapses.weights, kept.synapses.weights)


def test_k_winners_recall_in_one_pass():
    stored = np.zeros((2, 12))
    stored[0, :3] = stored[1, 6:9] = 1.0
    net = Network(12, KWinners(3), law=None)
    net.store(stored)
    cue = stored.copy()
    cue[0, 2] = cue[1, 8] = 0.0
    found = net.recall(cue)
    assert (found.sum(axis=1) == 3).all()
    assert found[0, 2] == found[1, 8] == 1.0


@given(seed=st.integers(0, 10**6))
def test_k_winners_keep_known_entries(seed):
    rng = np.random.default_rng(seed)
    net = Network(12, KWinners(3), law=None)
    net.store(rng.integers(0, 2, (3, 12)).astype(float) + np.eye(12)[:3])
    cues, known = rng.integers(0, 2, (4, 12)).astype(float), rng.random((4, 12)) < 0.5
    known[:, 0] = True
    found = net.recall(np.where(known, cues, np.nan), known)
    np.testing.assert_array_equal(found[known], cues[known])
    for i in range(4):
        np.testing.assert_array_equal(net.recall(cues[i], known[i]), found[i])

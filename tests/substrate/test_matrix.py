from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.activations import ACTIVATIONS, KWinners, as_activation
from mossy.clock import Steps
from mossy.encode import Dentate
from mossy.errors import (
    CannotForget,
    EmptyBatch,
    EmptyMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    NothingKnown,
    UnknownMemory,
    UnknownName,
)
from mossy.plasticity import RULES, Hebb, Projection, SummedRule
from mossy.substrate.matrix import Matrix

SUMMED = [name for name, kind in RULES.items() if issubclass(kind, SummedRule)]


def bipolar(n, d, seed=0):
    return np.random.default_rng(seed).choice([-1.0, 1.0], (n, d))


def flipped(patterns, count, seed=0):
    rng = np.random.default_rng(seed)
    cues = patterns.copy()
    for cue in cues:
        cue[rng.choice(cue.size, count, replace=False)] *= -1
    return cues


def same_state(a, b):
    assert a.keys() == b.keys()
    for key, value in a.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(value, b[key])
        else:
            assert value == b[key], key


# --- reading what was written --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "hetero"),
    [(n, h) for n in RULES for h in (False, True) if RULES[n].one_shot and not (h and RULES[n].autoassociative)],
)
def test_one_pair_is_read_back(rule, hetero):
    keys, values = bipolar(1, 20), bipolar(1, 7, seed=1)
    binary = RULES[rule].alphabet == "binary"
    if binary:
        keys, values = (keys > 0).astype(float), (values > 0).astype(float)
    memory = Matrix(20, 7 if hetero else None, rule, activation="step" if binary else "sign")
    memory.write(keys[0], values[0] if hetero else None)
    np.testing.assert_array_equal(memory.read(keys[0]), values[0] if hetero else keys[0])
    np.testing.assert_array_equal(memory.read(keys), values if hetero else keys)


def test_projection_recalls_pairs_exactly_and_in_any_order():
    rng = np.random.default_rng(0)
    keys, values = rng.normal(size=(30, 50)), rng.normal(size=(30, 4))
    memory, shuffled = (Matrix(50, 4, Projection(1e-9)) for _ in range(2))
    memory.write(keys, values)
    for part in np.array_split(rng.permutation(30), 7):
        shuffled.write(keys[part], values[part])
    np.testing.assert_allclose(memory.read(keys), values, atol=1e-6)
    np.testing.assert_allclose(shuffled.read(keys), memory.read(keys), atol=1e-6)


def test_projection_at_load_one_fifth_with_a_tenth_flipped_is_exact():
    for seed in range(3):
        stored = bipolar(20, 100, seed)
        memory = Matrix(100, activation="sign")
        memory.write(stored)
        np.testing.assert_array_equal(memory.read(flipped(stored, 10, seed)), stored)


def test_only_discrete_neurons_that_complete_have_no_synapse_to_themselves():
    stored = bipolar(4, 10)
    for parameters, empty in (({"activation": "sign"}, True), ({"activation": "step"}, True), ({}, False)):
        memory = Matrix(10, **parameters)
        memory.write(stored)
        assert (not np.diag(memory.synapses.weights).any()) == empty
    pairs = Matrix(10, 10, activation="sign")
    pairs.write(stored, stored)
    assert np.diag(pairs.synapses.weights).any()


@given(seed=st.integers(0, 10**6), n=st.integers(1, 12), per_class=st.booleans())
def test_forgetting_what_was_written_is_never_refused(seed, n, per_class):
    """However different the lengths of the keys, and in any order."""
    rng = np.random.default_rng(seed)
    keys = rng.normal(size=(n, 5)) * 10 ** rng.uniform(-4, 4, (n, 1))
    values, classes = rng.normal(size=(n, 2)), rng.integers(0, 2, n)
    memory = Matrix(5, 2, per_class=per_class)
    memory.write(keys, values, classes=classes)
    for i in rng.permutation(n):
        memory.forget(keys[i], values[i], classes=classes[i] if per_class else None)
    assert len(memory) == 0
    assert not any(part.any() for part in memory.synapses.rule_state.values())  # nor what rounding leaves


def test_hebb_is_exact_at_a_low_load_and_lost_at_a_high_one():
    rates = {}
    for load in (5, 20):
        found = []
        for seed in range(5):
            stored = bipolar(load, 100, seed)
            memory = Matrix(100, rule="hebb")
            memory.write(stored)
            found.append((memory.read(flipped(stored, 10, seed)) == stored).all(axis=1).mean())
        rates[load] = np.mean(found)
    assert rates[5] == 1.0
    assert rates[20] < 0.6


def test_real_patterns_are_completed_from_known_entries():
    rng = np.random.default_rng(1)
    stored = rng.normal(size=(5, 40))
    memory = Matrix(40, rule=Projection(1e-9))
    memory.write(stored)
    known = np.arange(40) < 30
    found = memory.read(np.where(known, stored, np.nan), known)
    np.testing.assert_array_equal(found[:, known], stored[:, known])
    np.testing.assert_allclose(found, stored, atol=1e-3)


@pytest.mark.parametrize("rule", ["hebb", "projection"])
@given(seed=st.integers(0, 10**6))
def test_batch_equals_one_by_one_and_known_entries_stay(rule, seed):
    rng = np.random.default_rng(seed)
    memory = Matrix(16, rule=rule, activation="sign")
    stored = bipolar(3, 16, seed)
    memory.write(stored)
    cues, known = bipolar(4, 16, seed + 1), rng.random((4, 16)) < 0.5
    known[:, 0] = True
    found = memory.read(cues, known)
    np.testing.assert_array_equal(found[known], cues[known])
    for i in range(4):
        np.testing.assert_array_equal(memory.read(cues[i], known[i]), found[i])


def test_unknown_entries_are_silent_whatever_they_hold():
    keys, values = bipolar(4, 10), bipolar(4, 3, seed=1)
    memory = Matrix(10, 3)
    memory.write(keys, values)
    known = np.arange(10) < 8
    np.testing.assert_array_equal(
        memory.read(np.where(known, keys, np.nan), known), memory.read(np.where(known, keys, 0.0))
    )


def test_size_is_constant():
    memory = Matrix(20, 5)
    memory.write(bipolar(1, 20), bipolar(1, 5))
    memory.read(np.ones(20))
    before = memory.nbytes
    memory.write(bipolar(500, 20), bipolar(500, 5))
    memory.read(np.ones(20))
    assert memory.nbytes == before
    assert len(memory) == 501


def test_behind_an_expansion_it_separates_what_is_not_linear():
    rng = np.random.default_rng(2)
    x = rng.choice([-1.0, 1.0], (200, 2)) + rng.normal(scale=0.2, size=(200, 2))
    parity = np.sign(x[:, :1] * x[:, 1:])
    for encoder, low, high in ((None, 0.0, 0.75), (Dentate(2, 200, seed=0), 0.98, 1.0)):
        memory = Matrix(2, 1, Projection(0.1), encoder)
        memory.write(x, parity)
        assert low <= (np.sign(memory.read(x)) == parity).mean() <= high


def test_a_law_fades_it():
    clock = Steps()
    memory = Matrix(10, 3, "hebb", activation="identity", law="two_phase", clock=clock)
    memory.write(np.ones(10), np.ones(3))
    fresh = memory.read(np.ones(10))
    clock.advance(3600.0)
    assert (np.abs(memory.read(np.ones(10))) < fresh).all()


# --- forgetting ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", SUMMED)
@given(seed=st.integers(0, 10**6), gone=st.integers(1, 4))
def test_forgetting_pairs_is_never_having_written_them(rule, seed, gone):
    keys, values = bipolar(6, 9, seed), bipolar(6, 4, seed + 1)
    alone = RULES[rule].autoassociative
    memory, never = (Matrix(9, None if alone else 4, rule, activation="identity") for _ in range(2))
    memory.write(keys, None if alone else values)
    memory.forget(keys[:gone], None if alone else values[:gone])
    never.write(keys[gone:], None if alone else values[gone:])
    assert len(memory) == len(never) == 6 - gone
    cues = bipolar(5, 9, seed + 2)
    np.testing.assert_allclose(memory.read(cues), never.read(cues), atol=1e-8)


def test_forgetting_bipolar_patterns_leaves_the_same_bits():
    stored = bipolar(12, 30)
    memory, never = Matrix(30), Matrix(30)
    memory.write(stored)
    memory.forget(stored[3:9])
    never.write(stored[[0, 1, 2, 9, 10, 11]])
    for name, part in never.synapses.rule_state.items():
        np.testing.assert_array_equal(memory.synapses.rule_state[name], part)


def test_forgetting_all_leaves_nothing():
    stored = np.random.default_rng(0).normal(size=(5, 8))
    memory = Matrix(8)
    memory.write(stored)
    memory.forget(stored)
    assert len(memory) == 0
    for part in memory.synapses.rule_state.values():
        assert not part.any()
    with pytest.raises(EmptyMemory):
        memory.read(stored)


@pytest.mark.parametrize("labels", [[3, 1, 3, 2, 1], ["cat", "dog", "cat", "owl", "dog"]])
def test_forgetting_a_class_leaves_the_very_bits_of_the_others(labels):
    rng = np.random.default_rng(3)
    keys, values = rng.normal(size=(5, 8)), rng.normal(size=(5, 2))
    memory, never = (Matrix(8, 2, per_class=True) for _ in range(2))
    memory.write(keys, values, classes=labels)
    memory.forget(classes=labels[0])
    rest = [i for i in range(5) if labels[i] != labels[0]]
    never.write(keys[rest], values[rest], classes=[labels[i] for i in rest])
    assert len(memory) == 3
    same_state(
        {k: v for k, v in memory.state().items() if k != "next"},
        {k: v for k, v in never.state().items() if k != "next"},
    )
    memory.forget(keys[1], values[1], classes=labels[1])
    assert len(memory) == 2
    with pytest.raises(UnknownMemory):
        memory.forget(classes=[labels[0]])


def test_forgetting_by_id_and_by_key_with_examples():
    rng = np.random.default_rng(4)
    keys, values = rng.normal(size=(6, 8)), rng.normal(size=(6, 2))
    memory, never = (Matrix(8, 2, keep_examples=True) for _ in range(2))
    ids = memory.write(keys, values, classes=[0, 0, 1, 1, 2, 2])
    memory.forget(ids=ids[[0, 5]])
    memory.forget(keys[2])
    memory.forget(classes=2)
    never.write(keys[[1, 3]], values[[1, 3]])
    assert len(memory) == 2
    np.testing.assert_allclose(memory.read(keys), never.read(keys), atol=1e-8)
    before = memory.state()
    for wrong in (
        {"ids": ids[0]},
        {"keys": keys[0]},
        {"keys": keys[1], "values": values[3]},
        {"classes": 2},
        {"ids": 99},
    ):
        with pytest.raises(UnknownMemory):
            memory.forget(**wrong)
    same_state(memory.state(), before)


@pytest.mark.parametrize("per_class", [False, True])
def test_of_equal_examples_the_oldest_is_forgotten(per_class):
    keys, values = bipolar(2, 8), bipolar(4, 2, seed=1)
    memory = Matrix(8, 2, keep_examples=True, per_class=per_class)
    ids = memory.write(keys[[0, 0, 1, 0]], values[[0, 1, 2, 0]], classes=["a", "b", "a", "b"])
    memory.forget(keys[0], values[0], classes="b")
    assert len(memory) == 3
    with pytest.raises(UnknownMemory):
        memory.forget(ids=ids[3])
    memory.forget(keys[0])
    with pytest.raises(UnknownMemory):
        memory.forget(ids=ids[0])
    before = memory.state()
    with pytest.raises(UnknownMemory, match="item 1"):
        memory.forget(keys[[0, 0]])
    same_state(memory.state(), before)
    memory.forget(ids=ids[[1, 2]])
    assert len(memory) == 0


def test_forgetting_per_class_by_id():
    keys, values = bipolar(6, 8), bipolar(6, 2, seed=1)
    memory = Matrix(8, 2, per_class=True, keep_examples=True)
    ids = memory.write(keys, values, classes=list("aabbcc"))
    memory.forget(ids=ids[[1, 2]])
    never = Matrix(8, 2)
    never.write(keys[[0, 3, 4, 5]], values[[0, 3, 4, 5]])
    np.testing.assert_allclose(memory.read(keys), never.read(keys), atol=1e-9)


def test_what_cannot_be_forgotten_exactly_is_refused():
    keys, values = bipolar(3, 8), bipolar(3, 2, seed=1)
    memory = Matrix(8, 2)
    memory.write(keys, values)
    before = memory.state()
    for wrong, match in (({"ids": 0}, "keep_examples=True"), ({"classes": 1}, "per_class=True")):
        with pytest.raises(CannotForget, match=match):
            memory.forget(**wrong)
    with pytest.raises(UnknownMemory):
        memory.forget(bipolar(1, 8, seed=9), values[:1])
    with pytest.raises(UnknownMemory):
        memory.forget(np.tile(keys, (2, 1)), np.tile(values, (2, 1)))
    for wrong in ({}, {"ids": 0, "classes": 1}, {"values": values}):
        with pytest.raises(InvalidParameter):
            memory.forget(**wrong)
    with pytest.raises(CannotForget, match="classes="):
        memory.forget(keys[0], values[0], classes=1)
    same_state(memory.state(), before)
    for rule in [name for name in RULES if name not in SUMMED]:
        refusing = Matrix(8, rule=rule)
        refusing.write(keys)
        before = refusing.state()
        with pytest.raises(CannotForget, match="projection"):
            refusing.forget(keys)
        same_state(refusing.state(), before)
        with pytest.raises(InvalidParameter, match="exact forgetting"):
            Matrix(8, rule=rule, keep_examples=True)


# --- state ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_state_round_trip(rule):
    stored = (bipolar(6, 12) + 1) / 2 if RULES[rule].alphabet == "binary" else bipolar(6, 12)
    memory = Matrix(12, rule=rule, steps=3, activation="tanh")
    memory.write(stored[:4])
    state = memory.state()
    again = Matrix.from_state(state)
    np.testing.assert_array_equal(again.read(stored), memory.read(stored))
    memory.write(stored[4:])
    same_state(again.state(), state)
    again.write(stored[4:])
    np.testing.assert_array_equal(again.read(stored), memory.read(stored))


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_any_activation_comes_back(name):
    activation = KWinners(3) if name == "k_winners" else as_activation(name)
    memory = Matrix(12, 12, activation=activation)
    memory.write(bipolar(4, 12), bipolar(4, 12, seed=1))
    again = Matrix.from_state(memory.state())
    assert again.activation == activation
    np.testing.assert_array_equal(again.read(bipolar(4, 12)), memory.read(bipolar(4, 12)))


@pytest.mark.parametrize("entry", ["activation", "synapses.rule", "synapses.law"])
def test_a_state_with_a_name_that_is_not_here(entry):
    memory = Matrix(4, rule="hebb", law="power_law", clock=Steps())
    with pytest.raises(UnknownName, match="allowed are"):
        Matrix.from_state({**memory.state(), entry: "unheard of"})


def test_state_round_trip_with_everything():
    encoder = Dentate(6, 30, seed=3)
    memory = Matrix(6, 2, encoder=encoder, per_class=True, keep_examples=True)
    keys, values = bipolar(5, 6), bipolar(5, 2, seed=1)
    ids = memory.write(keys, values, classes=["a", "b", "a", "b", "c"])
    state = memory.state()
    assert all(isinstance(value, np.ndarray | int | float | str | bool | None) for value in state.values())
    kept = {key.removeprefix("encoder."): value for key, value in state.items() if key.startswith("encoder.")}
    again = Matrix.from_state(state, Dentate.from_state(kept))
    same_state(again.state(), state)
    for each in (memory, again):
        each.forget(ids=ids[:2])
        each.forget(classes="c")
    np.testing.assert_array_equal(again.read(keys), memory.read(keys))
    for wrong in (None, Dentate(6, 30, seed=4)):
        with pytest.raises(InvalidParameter, match="encoder"):
            Matrix.from_state(state, wrong)


def test_a_state_knows_an_encoder_that_learned():
    encoder, other = Dentate(6, 30, seed=3), Dentate(6, 30, seed=3)
    for each, seed in ((encoder, 7), (other, 8)):
        each.learn(bipolar(40, 6, seed=seed))
    memory = Matrix(6, 2, encoder=encoder)
    memory.write(bipolar(5, 6), bipolar(5, 2, seed=1))
    again = Matrix.from_state(memory.state(), Dentate.from_state(encoder.state()))
    np.testing.assert_array_equal(again.read(bipolar(5, 6)), memory.read(bipolar(5, 6)))
    with pytest.raises(InvalidParameter, match="encoder"):
        Matrix.from_state(memory.state(), other)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "values", "error"),
    [
        (np.ones((2, 4)), np.ones((2, 2)), InvalidShape),
        (np.ones((2, 3)), np.ones((3, 2)), InvalidShape),
        (np.ones((2, 3)), np.ones((2, 4)), InvalidShape),
        (np.ones((2, 3)), None, InvalidShape),
        (np.ones((0, 3)), np.ones((0, 2)), EmptyBatch),
        (np.array([1.0, np.nan, 0.0]), np.ones(2), NotFinite),
        (np.array(["a", "b", "c"]), np.ones(2), InvalidDtype),
    ],
)
def test_bad_pairs_change_nothing(keys, values, error):
    memory = Matrix(3, 2, keep_examples=True)
    memory.write(np.ones(3), np.ones(2))
    before = memory.state()
    with pytest.raises(error):
        memory.write(keys, values)
    if values is not None:
        with pytest.raises(error):
            memory.forget(keys, values)
    same_state(memory.state(), before)


def test_bad_labels_cues_and_parameters():
    memory = Matrix(3, 2, per_class=True)
    memory.write(np.ones(3), np.ones(2), classes="a")
    before = memory.state()
    for wrong in (None, 1, 1.5, ["a", "b"], [["a"]]):
        with pytest.raises(InvalidInput):
            memory.write(np.ones(3), np.ones(2), classes=wrong)
    with pytest.raises(CannotForget, match="classes="):
        memory.forget(np.ones(3), np.ones(2))
    same_state(memory.state(), before)
    with pytest.raises(NothingKnown):
        memory.read(np.ones(3), np.zeros(3, bool))
    with pytest.raises(InvalidShape):
        memory.read(np.ones(3), np.ones(4, bool))
    with pytest.raises(InvalidShape):
        memory.read(np.ones(4))
    with pytest.raises(EmptyMemory):
        Matrix(3).read(np.ones(3))
    with pytest.raises(InvalidShape, match="d_value"):
        Matrix(3).write(np.ones(3), np.ones(3))
    for parameters in ({"d_key": 0}, {"d_key": 3, "steps": 0}, {"d_key": 3, "d_value": 2, "rule": "storkey"}):
        with pytest.raises(InvalidInput):
            Matrix(**parameters)
    for name in ("per_class", "keep_examples"):
        with pytest.raises(InvalidParameter, match=name):
            Matrix(3, **{name: "no"})
    with pytest.raises(InvalidDtype, match="clock"):
        Matrix(3, clock=5)
    with pytest.raises(InvalidShape, match="encoder"):
        Matrix(3, 2, encoder=Dentate(4, 10))
    growing = Matrix(4, rule=Hebb(rate=1e3), activation="identity", steps=1000)
    growing.write(np.ones(4))
    with pytest.raises(NotFinite, match="steps=1"):
        growing.read(np.ones(4))


@pytest.mark.parametrize("size", [1e7, 1e12, 1e15])
def test_keys_of_any_size_can_be_read(size):
    matrix = Matrix(8, 2)
    matrix.write(np.full((1, 8), size), [[1.0, 2.0]])
    assert matrix.read(np.full(8, size)) == pytest.approx([1.0, 2.0], rel=1e-3)

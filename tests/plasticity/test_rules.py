"""Every rule against loops copied from its equation, batched against one by one."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import fields, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import plasticity as naive

from mossy.errors import InvalidInput, InvalidParameter, InvalidShape, UnknownName
from mossy.plasticity import RULES, Rule, SummedRule, as_rule, parameters

BUILT_IN = ("difference", "hebb", "oja", "covariance", "bcm", "storkey", "delta", "projection")


def altered(kind: type[Rule]) -> Rule:
    """The rule with every number other than its default, each by another amount, as far as the rule allows it."""
    rule = kind()
    for i, field in enumerate(fields(kind)):
        given = getattr(rule, field.name)
        if isinstance(given, bool) or not isinstance(given, int | float):
            continue
        change = i + 1 if isinstance(given, int) else 0.3 + 0.1 * i
        for other in (given + change, given - change, given / 2):
            with suppress(InvalidInput):
                rule = replace(rule, **{field.name: type(given)(other)})
                break
    return rule


def pairs(name: str, seed: int, n: int, n_pre: int = 5, n_post: int = 4, alphabet: str | None = None):
    """Random pairs in the alphabet of the rule; autoassociative where the rule is."""
    rng = np.random.default_rng(seed)
    kind = alphabet or RULES[name].alphabet

    def draw(d):
        if kind == "bipolar":
            return rng.choice([-1.0, 1.0], (n, d))
        return rng.integers(0, 2, (n, d)).astype(float) if kind == "binary" else rng.uniform(-1, 1, (n, d))

    pre = draw(n_pre)
    return (pre, pre.copy()) if RULES[name].autoassociative else (pre, draw(n_post))


def test_the_rules_that_mossy_comes_with_have_loops():
    assert set(BUILT_IN) <= set(RULES)
    assert [name for name in BUILT_IN if not callable(getattr(naive, name, None))] == []


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_parameter_of_a_rule_is_altered(name):
    rule, default = altered(RULES[name]), RULES[name]()
    assert [field.name for field in fields(rule) if getattr(rule, field.name) == getattr(default, field.name)] == []


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("other", [False, True])
@given(seed=st.integers(0, 10**6), n=st.integers(1, 6), started=st.booleans())
def test_equals_its_equation(name, other, seed, n, started):
    loops = getattr(naive, name, None)
    if loops is None and name not in BUILT_IN:
        pytest.skip(f"{name} has no loops yet: a function {name} in tests/naive/plasticity.py is welcome")
    rule = altered(RULES[name]) if other else RULES[name]()
    pre, post = pairs(name, seed, n, alphabet="real" if other else None)
    shape = (post.shape[1], pre.shape[1])
    first = np.random.default_rng(seed).normal(size=shape) if started else np.zeros(shape)
    state = rule.start(*shape, first if started else None)
    before = {key: value.copy() for key, value in state.items()}
    found = rule.weights(rule.write(state, pre, post))
    np.testing.assert_allclose(found, loops(first.copy(), pre, post, **parameters(rule)), atol=1e-8)
    for key, value in before.items():
        np.testing.assert_array_equal(state[key], value)


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 10**6), n=st.integers(2, 7))
def test_a_batch_equals_its_items_one_after_another(name, seed, n):
    rule = as_rule(name)
    pre, post = pairs(name, seed, n)
    whole = rule.write(rule.start(post.shape[1], pre.shape[1]), pre, post)
    state = rule.start(post.shape[1], pre.shape[1])
    for i in range(n):
        state = rule.write(state, pre[i : i + 1], post[i : i + 1])
    assert state.keys() == whole.keys()
    np.testing.assert_allclose(rule.weights(state), rule.weights(whole), atol=1e-10)


@pytest.mark.parametrize("name", [name for name, kind in RULES.items() if issubclass(kind, SummedRule)])
@given(seed=st.integers(0, 10**6), n=st.integers(2, 7))
def test_unwriting_is_never_having_written(name, seed, n):
    rule = as_rule(name)
    pre, post = pairs(name, seed, n)
    kept = rule.write(rule.start(post.shape[1], pre.shape[1]), pre[1:], post[1:])
    state = rule.write(rule.start(post.shape[1], pre.shape[1]), pre, post)
    forgotten = rule.unwrite(state, pre[:1], post[:1])
    np.testing.assert_allclose(rule.weights(forgotten), rule.weights(kept), atol=1e-9)


@pytest.mark.parametrize("name", ["hebb", "projection", "difference"])
def test_unwriting_whole_numbers_is_exact_to_the_bit(name):
    rule = as_rule(name)
    pre, post = pairs(name, 3, 40, alphabet="bipolar")
    kept = rule.write(rule.start(4, 5), pre[7:], post[7:])
    forgotten = rule.unwrite(rule.write(rule.start(4, 5), pre, post), pre[:7], post[:7])
    for key in kept:
        np.testing.assert_array_equal(forgotten[key], kept[key])


def test_projection_is_the_exact_minimiser():
    rng = np.random.default_rng(0)
    rule = RULES["projection"](ridge=0.5)
    pre, post = rng.normal(size=(20, 6)), rng.normal(size=(20, 3))
    w = rule.weights(rule.write(rule.start(3, 6), pre, post))

    def loss(weights):
        return ((post - pre @ weights.T) ** 2).sum() + 0.5 * (weights**2).sum()

    for _ in range(50):
        assert loss(w) <= loss(w + rng.normal(scale=1e-3, size=w.shape))


@pytest.mark.parametrize("batches", [1, 10, 100])
def test_projection_is_equal_in_any_order_and_batching(batches):
    rng = np.random.default_rng(batches)
    pre, post = rng.normal(size=(100, 80)), rng.normal(size=(100, 12))
    rule = as_rule("projection")
    once = rule.weights(rule.write(rule.start(12, 80), pre, post))
    state = rule.start(12, 80)
    for part in np.array_split(rng.permutation(100), batches):
        state = rule.write(state, pre[part], post[part])
    np.testing.assert_allclose(rule.weights(state), once, atol=1e-6, rtol=0)


def test_delta_recalls_the_newest_pair():
    rule = as_rule("delta")
    pre, post = pairs("delta", 5, 10)
    w = rule.weights(rule.write(rule.start(4, 5), pre, post))
    np.testing.assert_allclose(w @ pre[-1], post[-1], atol=1e-6)


def test_oja_finds_the_first_principal_component():
    rng = np.random.default_rng(1)
    rule = RULES["oja"](rate=0.01)
    data = rng.normal(size=(4000, 3)) * [0.3, 1.0, 0.2]
    state = rule.start(1, 3, np.array([[0.5, 0.5, 0.5]]))
    for x in data:
        state = rule.write(state, x[None], (rule.weights(state) @ x)[None])
    np.testing.assert_allclose(np.abs(rule.weights(state)[0]), [0, 1, 0], atol=0.1)


def test_difference_stores_no_pattern():
    """Whatever was written, the weights have rank two at most, and both neurons firing changes nothing."""
    rule = as_rule("difference")
    pre, post = pairs("difference", 2, 30, n_pre=8, n_post=8)
    w = rule.weights(rule.write(rule.start(8, 8), pre, post))
    assert np.linalg.matrix_rank(w, tol=1e-9) <= 2
    both = rule.write(rule.start(8, 8), np.ones((5, 8)), np.ones((5, 8)))
    assert not rule.weights(both).any()
    same = rule.weights(rule.write(rule.start(8, 8), pre, pre))
    np.testing.assert_allclose(same, -same.T, atol=1e-12)


def test_storkey_refuses_pairs():
    rule = as_rule("storkey")
    with pytest.raises(InvalidShape, match="autoassociative"):
        rule.start(3, 4)
    with pytest.raises(InvalidInput, match="autoassociative"):
        rule.write(rule.start(3, 3), np.ones((1, 3)), -np.ones((1, 3)))


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("hebb", {"rate": 0.0}),
        ("hebb", {"rate": float("nan")}),
        ("difference", {"rate": -1.0}),
        ("oja", {"rate": 2.0}),
        ("delta", {"rate": 2.5}),
        ("delta", {"epsilon": 0.0}),
        ("bcm", {"window": 0.5}),
        ("covariance", {"pre_mean": "half"}),
        ("projection", {"ridge": 0.0}),
    ],
)
def test_parameters_outside_their_range(name, wrong):
    with pytest.raises(InvalidParameter, match=next(iter(wrong))):
        RULES[name](**wrong)


def test_unknown_rule_names_those_that_are_there():
    with pytest.raises(UnknownName, match="projection"):
        as_rule("hebbian")


@pytest.mark.parametrize("name", RULES)
def test_registry_and_parameters_round_trip(name):
    rule = altered(RULES[name])
    assert rule.name == name
    assert RULES[name](**parameters(rule)) == rule

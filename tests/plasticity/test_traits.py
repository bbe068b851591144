"""Discovers every rule and holds every trait that it declares, in both directions.

A trait declared True holds in every trial. A trait declared False is shown false by at least one trial.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mossy.errors import InvalidInput
from mossy.plasticity import RULES, AdditiveRule, Rule, SummedRule

TRAITS = ("local", "bounded", "additive", "order_invariant", "one_shot", "autoassociative")
TRIALS = 20
N_PRE, N_POST = 7, 6


def draw(rule: Rule, rng: np.random.Generator, n: int, d: int) -> np.ndarray:
    if rule.alphabet == "bipolar":
        return rng.choice([-1.0, 1.0], (n, d))
    if rule.alphabet == "binary":
        patterns = rng.integers(0, 2, (n, d)).astype(float)
        patterns[:, 0] = 1.0  # a silent pattern is no key
        return patterns
    return rng.uniform(-1, 1, (n, d))


def draw_pairs(rule: Rule, rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    pre = draw(rule, rng, n, N_PRE)
    return (pre, pre.copy()) if rule.autoassociative else (pre, draw(rule, rng, n, N_POST))


def written(rule: Rule, pre: np.ndarray, post: np.ndarray, first: np.ndarray | None = None) -> np.ndarray:
    return rule.weights(rule.write(rule.start(post.shape[1], pre.shape[1], first), pre, post))


def equal(a: np.ndarray, b: np.ndarray) -> bool:
    return bool(np.allclose(a, b, rtol=1e-9, atol=1e-9))


def local(rule: Rule, rng: np.random.Generator) -> bool:
    """Other neurons do something else; the synapse between neurons 1 and 2 does not notice."""
    pre, post = draw_pairs(rule, rng, 5)
    other_pre, other_post = draw_pairs(rule, rng, 5)
    if rule.autoassociative:
        keep = [1, 2]
        other_pre[:, keep] = pre[:, keep]
        other_post = other_pre.copy()
    else:
        other_pre[:, 2], other_post[:, 1] = pre[:, 2], post[:, 1]
    return bool(np.isclose(written(rule, pre, post)[1, 2], written(rule, other_pre, other_post)[1, 2], atol=1e-12))


def bounded(rule: Rule, rng: np.random.Generator) -> bool:
    """The same few pairs 1,500 times over: the weights stay within those of the first 500."""
    pre, post = draw_pairs(rule, rng, 3)
    state = rule.start(post.shape[1], pre.shape[1])
    largest = []
    for repeat in range(1500):
        state = rule.write(state, pre, post)
        if repeat % 10 == 0:
            largest.append(np.abs(rule.weights(state)).max())
        if largest[-1] > 1e6:
            return False
    return bool(max(largest[50:]) <= 1.02 * max(largest[:50]) + 1e-9)


def additive(rule: Rule, rng: np.random.Generator) -> bool:
    pre, post = draw_pairs(rule, rng, 4)
    first = rng.normal(size=(post.shape[1], N_PRE))
    empty = written(rule, pre[3:], post[3:])
    started = written(rule, pre[3:], post[3:], first) - first
    later = written(rule, pre, post) - written(rule, pre[:3], post[:3])
    return equal(empty, started) and equal(empty, later)


def order_invariant(rule: Rule, rng: np.random.Generator) -> bool:
    pre, post = draw_pairs(rule, rng, 5)
    order = rng.permutation(5)
    return equal(written(rule, pre, post), written(rule, pre[order], post[order]))


def one_shot(rule: Rule, rng: np.random.Generator) -> bool:
    pre, post = draw_pairs(rule, rng, 1)
    drive = written(rule, pre, post) @ pre[0]
    if rule.alphabet == "binary":
        return bool(np.array_equal(drive > 1e-12, post[0] > 0))
    return bool(np.array_equal(np.sign(drive), np.sign(post[0])))


def autoassociative(rule: Rule, rng: np.random.Generator) -> bool:
    """Pairs of different patterns, and populations of different sizes, are refused, and equal ones are not."""
    pre, other = draw(rule, rng, 3, N_PRE), draw(rule, rng, 3, N_PRE)
    rule.write(rule.start(N_PRE, N_PRE), pre, pre)
    refused = 0
    for pair in ((pre, other), (pre, other[:, :N_POST])):
        try:
            written(rule, *pair)
        except InvalidInput:
            refused += 1
    assert refused in (0, 2), "a rule refuses both or neither"
    return refused == 2


@pytest.mark.parametrize("trait", TRAITS)
@pytest.mark.parametrize("name", RULES)
def test_trait_holds_exactly_where_it_is_declared(name, trait):
    rule = RULES[name]()
    check = globals()[trait]
    trials = 3 if trait == "bounded" else TRIALS
    held = [check(rule, np.random.default_rng(seed)) for seed in range(trials)]
    if getattr(rule, trait):
        assert all(held), f"{name} declares {trait}, but trial {held.index(False)} shows otherwise"
    else:
        assert not all(held), f"{name} declares itself not {trait}, but every trial says that it is"


@pytest.mark.parametrize("name", RULES)
def test_every_trait_is_declared(name):
    kind = RULES[name]
    for trait in TRAITS:
        assert isinstance(vars(kind)[trait], bool)
    assert vars(kind)["alphabet"] in ("bipolar", "binary", "real")
    assert issubclass(kind, AdditiveRule) == kind.additive
    assert issubclass(kind, SummedRule) == kind.order_invariant


def test_the_page_on_rules_says_the_same():
    page = Path(__file__).parents[2] / "docs" / "rules.md"
    rows = [line.split("|") for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    found = {row[1].strip(" `"): [cell.strip() for cell in row[3:10]] for row in rows}
    assert found == {
        name: [*("yes" if getattr(kind, trait) else "no" for trait in TRAITS), kind.alphabet]
        for name, kind in RULES.items()
    }

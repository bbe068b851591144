"""Replay: experience handed on by strength and surprise, without repeats, and without a trace."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.naive.same import differences

from mossy import Memory, Steps


def some(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


@pytest.fixture
def memory() -> Memory:
    memory = Memory(clock=Steps())
    memory.store(some(1, 30, 4), some(2, 30, 2), payload=[f"p{i}" for i in range(30)])
    return memory


def test_hands_on_what_was_stored(memory):
    replay = memory.replay(7, seed=1)
    assert len(replay) == 7
    assert (replay.ids.shape, replay.patterns.shape, replay.values.shape) == ((7,), (7, 4), (7, 2))
    assert np.array_equal(replay.patterns, some(1, 30, 4)[replay.ids])
    assert np.array_equal(replay.values, some(2, 30, 2)[replay.ids])
    assert replay.payload == [f"p{i}" for i in replay.ids]


def test_never_repeats_and_can_hand_on_all(memory):
    for seed in range(20):
        assert np.unique(memory.replay(11, seed=seed).ids).size == 11
    assert sorted(memory.replay(30, seed=1).ids.tolist()) == list(range(30))


def test_one_seed_draws_one_sample(memory):
    assert memory.replay(5, seed=3).ids.tolist() == memory.replay(5, seed=3).ids.tolist()
    rng = np.random.default_rng(4)
    assert memory.replay(9, seed=rng).ids.tolist() != memory.replay(9, seed=rng).ids.tolist()


def test_leaves_no_trace_and_hands_out_copies(memory):
    before = memory.state()
    replay = memory.replay(5, seed=1, surprise=lambda seen: np.ones(len(seen)))
    replay.patterns[:] = 0
    replay.values[:] = 0
    replay.payload[:] = [None] * 5
    assert differences(memory.state(), before) == []


def odds_of_pairs(strength: list[float]) -> dict[tuple[int, int], float]:
    """The odds of the first two that are drawn one after the other, without repeats, by strength."""
    total = sum(strength)
    return {
        (i, j): strength[i] / total * strength[j] / (total - strength[i])
        for i, j in itertools.permutations(range(len(strength)), 2)
    }


def test_odds_are_the_strengths():
    memory = Memory(clock=Steps())
    memory.store(some(3, 4, 3))
    memory.reinforce([0, 1, 2, 3], [0.0001, 1.0, 3.0, 7.0])
    strength = memory.strength(memory.ids).sum(axis=1).tolist()
    expected, draws = odds_of_pairs(strength), 6000
    rng = np.random.default_rng(5)
    counts = dict.fromkeys(expected, 0)
    for _ in range(draws):
        counts[tuple(memory.replay(2, seed=rng).ids.tolist())] += 1
    chi2 = sum((counts[pair] - draws * p) ** 2 / (draws * p) for pair, p in expected.items())
    assert chi2 < 31.3, "11 degrees of freedom: exceeded by chance once in a thousand"


def test_odds_follow_surprise():
    memory = Memory(clock=Steps())
    memory.store(some(6, 5, 3))
    surprise = np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    rng = np.random.default_rng(7)
    counts = np.zeros(5)
    for _ in range(4000):
        counts[memory.replay(1, seed=rng, surprise=lambda seen: surprise[seen.ids]).ids] += 1
    assert counts[0] == 0, "what does not surprise is not drawn while there is something that does"
    expected = 4000 * surprise[1:] / surprise.sum()
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 16.3


def test_surprise_is_asked_of_eight_times_as_many(memory):
    asked = []
    memory.replay(3, seed=1, surprise=lambda seen: asked.append(len(seen)) or np.ones(len(seen)))
    memory.replay(10, seed=1, surprise=lambda seen: asked.append(len(seen)) or np.ones(len(seen)))
    assert asked == [24, 30]


def test_what_surprises_nowhere_is_drawn_all_the_same(memory):
    assert len(memory.replay(4, seed=1, surprise=lambda seen: np.zeros(len(seen)))) == 4


def test_the_old_and_weak_are_replayed_less():
    clock = Steps()
    memory = Memory(clock=clock)
    memory.store(some(8, 50, 3))
    clock.advance(1e7)
    memory.store(some(9, 50, 3))
    drawn = np.concatenate([memory.replay(10, seed=seed).ids for seed in range(50)])
    assert (drawn >= 50).mean() > 0.9


def test_forgotten_memories_are_not_replayed(memory):
    memory.forget(np.arange(20))
    assert sorted(memory.replay(10, seed=1).ids.tolist()) == list(range(20, 30))

"""Need: the equations as loops, any clock, exact forgetting, and the kernels held to the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import need as naive

from mossy.errors import InvalidParameter
from mossy.kernels.need import use_all, weakest
from mossy.strength import Need, benna_fusi, power_law, two_phase
from mossy.strength.need import GROUP_OF, GROUPS, MANY

LAWS = [power_law(fastest=2, slowest=1e4, modes=4), two_phase(5, 500, 0.1), benna_fusi(6)]

events = st.lists(st.tuples(st.integers(0, 5), st.floats(0, 200)), min_size=1, max_size=30)


class Kept:
    """Rows under a Need, moved with its landmark."""

    def __init__(self, law, rate, items=6):
        self.need = Need(law, rate)
        self.rows = np.zeros((items, law.modes), np.float32)
        self.uses = np.zeros(items, np.uint8)

    def move(self, now):
        if self.need.is_due(now):
            self.rows *= self.need.rebase(now, now).astype(np.float32)
        return self.need.gain(now)

    def use(self, item, now):
        gain = self.move(now)
        self.uses[item] = self.need.use(self.rows[item], int(self.uses[item]), gain)


def same(kept, model, now):
    assert kept.need.shares == pytest.approx(np.array(model.shares), rel=1e-3, abs=1e-6)
    assert kept.need.shares.sum() == pytest.approx(1)
    chance = kept.need.chance(kept.rows, kept.uses, kept.move(now))
    for item in model.items:
        assert chance[item] == pytest.approx(model.chance(item, now), rel=2e-3, abs=1e-9)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: law.name)
@pytest.mark.parametrize("rate", [0.0, 0.05])
@settings(max_examples=20)
@given(happened=events)
def test_it_is_the_equation(law, rate, happened):
    kept, model, now = Kept(law, rate), naive.Need(law.rates.tolist(), law.readout.tolist(), rate), 0.0
    for item, elapsed in happened:
        now += elapsed
        kept.use(item, now)
        model.use(item, now)
    same(kept, model, now)
    gone = happened[0][0]
    kept.need.forget(kept.rows[gone], int(kept.uses[gone]))
    kept.rows[gone], kept.uses[gone] = 0, 0
    model.forget(gone)
    same(kept, model, now + 1)


@pytest.mark.parametrize("unit", [1e-3, 1.0, 3600.0])
def test_the_unit_of_the_clock_does_not_matter(unit):
    rng = np.random.default_rng(0)
    items, gaps = rng.integers(0, 6, 300), rng.exponential(size=300)
    one = Kept(power_law(fastest=2, slowest=1e3, modes=5), 0.01)
    other = Kept(power_law(fastest=2 * unit, slowest=1e3 * unit, modes=5), 0.01)
    for item, now in zip(items, np.cumsum(gaps), strict=True):
        one.use(item, now)
        other.use(item, now * unit)
    assert other.need.shares == pytest.approx(one.need.shares, rel=1e-5)


def test_a_thousand_years_between_two_uses_are_no_trouble():
    kept = Kept(power_law(), 0.05)
    for now in (1.8e9, 1.8e9 + 3e10, 1.8e9 + 3e10 + 1):
        kept.use(0, now)
        kept.use(1, now)
    assert np.isfinite(kept.need.shares).all()
    assert np.isfinite(kept.need.chance(kept.rows, kept.uses, kept.move(4e10))).all()


def test_without_learning_the_worth_is_the_strength_of_the_law():
    law = power_law(fastest=2, slowest=1e4, modes=6)
    kept = Kept(law, 0.0)
    for now in (0.0, 30.0, 31.0):
        kept.use(0, now)
    kept.use(1, 31.0)
    chance = kept.need.chance(kept.rows, kept.uses, kept.move(40.0))
    expected = [naive_strength(law, [0, 30, 31], 40), naive_strength(law, [31], 40)]
    assert chance[0] / chance[1] == pytest.approx(expected[0] / expected[1], rel=1e-5)
    assert kept.need.shares == pytest.approx(np.tile(law.readout / len(GROUPS), (len(GROUPS), 1)))


def naive_strength(law, times, now):
    return sum(float(law.response(now - t)) for t in times)


def test_items_that_never_come_back_make_a_first_use_worth_less():
    kept = Kept(power_law(fastest=4, slowest=1e4, modes=5), 0.02, items=2000)
    for now in range(1000):
        kept.use(now if now % 2 else now % 6, now)  # half of it a scan
    gain = kept.move(1000)
    fresh, known = np.float32(gain), np.float32(gain)
    chance = kept.need.chance(np.stack([fresh, known]), np.array([1, MANY], np.uint8), gain)
    assert chance[0] < chance[1] / 3


def test_faster_change_gives_a_larger_exponent():
    found = []
    for every in (20, 2000):
        kept = Kept(power_law(fastest=4, slowest=1e4, modes=6), 0.02, items=2100)
        rng = np.random.default_rng(1)
        for now in range(2000):
            kept.use(10 * (now // every) + int(rng.integers(10)), now)
        found.append(kept.need.exponent(kept.move(2000)))
    assert found[0] > found[1]


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan"), "fast", True])
def test_a_rate_that_is_none_is_refused(rate):
    with pytest.raises(InvalidParameter, match=r"Need\.rate"):
        Need(power_law(), rate)


@pytest.mark.parametrize("rate", [0.0, 0.05])
@settings(max_examples=20)
@given(slots=st.lists(st.integers(0, 5), min_size=1, max_size=40), start=st.integers(0, 50))
def test_the_kernels_do_the_same(rate, slots, start):
    law = power_law(fastest=8, slowest=1e4, modes=7)
    one, other = Kept(law, rate), Kept(law, rate)
    for step, slot in enumerate(slots):
        one.use(slot, start + step)
    need = other.need
    state = (other.rows, other.uses, need.shares, need.totals, GROUP_OF)
    use_all(np.array(slots, np.int32), np.full(7, float(start)), law.rates, rate, *state)
    assert other.uses.tolist() == one.uses.tolist()
    assert other.rows == pytest.approx(one.rows, rel=1e-6)
    assert need.shares == pytest.approx(one.need.shares, rel=1e-6)
    assert need.totals == pytest.approx(one.need.totals, rel=1e-5, abs=1e-5)
    now = float(start + len(slots))
    since = np.full(7, now)
    pool, sizes = np.flatnonzero(other.uses).astype(np.int32), np.array([1, 2, 3, 1, 2, 3])
    skip = int(slots[-1])
    place = weakest(pool, skip, since, law.rates, other.rows, other.uses, sizes, need.shares, need.totals, GROUP_OF)
    worth = need.chance(other.rows[pool], other.uses[pool], need.gain(now)) / sizes[pool]
    worth[pool == skip] = np.inf
    if len(pool) == 1:
        assert place == -1
    else:
        assert worth[place] == pytest.approx(worth.min(), rel=1e-9)

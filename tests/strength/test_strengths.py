"""Many strengths under one law: exact when asked, cached within the tolerance for scans, whatever happened when."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from tests.naive import strength as naive

import mossy.strength.strengths as module
from mossy.strength import LAWS, TOLERANCE, Strengths, benna_fusi, power_law, two_phase

YEAR = 365.25 * 86_400.0
SINCE_1970 = 1.8e9
LEAST = math.log(1e-30)  # an event leaves no strength below it
ROUNDING = 2e-5  # float32 modes, and ln s of a few thousand in float32

MAKERS = {"power_law": power_law, "two_phase": two_phase, "benna_fusi": benna_fusi}

steps = st.lists(
    st.tuples(
        st.sampled_from(["append", "excite", "look"]),
        st.floats(-6, 10).map(lambda x: 10**x),
        st.integers(0, 9),
        st.floats(1e-3, 50),
    ),
    min_size=1,
    max_size=25,
)


@pytest.fixture(params=["numpy", "compiled"])
def path(request, monkeypatch):
    """Take one of the two paths, however few strengths there are; with blocks of four."""
    monkeypatch.setattr(module, "FEW", -1 if request.param == "compiled" else 10**9)
    monkeypatch.setattr(module, "BLOCK", 4)


@pytest.mark.parametrize("tolerance", [TOLERANCE, 0.1])
@pytest.mark.parametrize("name", LAWS)
@given(happened=steps)
@example(happened=[("append", SINCE_1970, 0, 1.0), *[("look", 2.0, 0, 1.0)] * 60])
@example(happened=[("look", 1e10, 0, 1.0), ("excite", 1e10, 0, 1.0), ("look", 1e-6, 0, 1.0)])
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_happens_the_cache_is_close_and_never_too_low(path, name, tolerance, happened):
    law = MAKERS[name]()
    strengths = Strengths(law, tolerance)
    strengths.append(2, 0.0)
    model = [[(0.0, 1.0)], [(0.0, 1.0)]]  # the events of each memory
    now = 0.0
    for what, elapsed, which, amount in happened:
        now += elapsed
        row = which % len(model)
        if what == "append":
            strengths.append(1, now, amount)
            model.append([(now, amount)])
        elif what == "excite":
            strengths.excite(np.array([row]), np.array([amount]), now)
            model[row].append((now, amount))
        cached = strengths.refreshed(now).astype(np.float64)
        true = strengths.log(np.arange(len(model)), now)
        assert np.isfinite(true).all()
        allowed = ROUNDING + 1e-6 * np.abs(true)
        assert (cached >= true - allowed).all(), "a cached ln s is too low"
        assert (cached <= true + tolerance + allowed).all(), "a cached ln s is too high"
    for row, events in enumerate(model):
        expected = naive.strength(law.rates.tolist(), law.readout.tolist(), events, now)
        if expected > 1e-30:
            assert strengths.log(np.array([row]), now)[0] == pytest.approx(math.log(expected), abs=1e-4, rel=1e-5)


@pytest.mark.parametrize("name", LAWS)
def test_merging_adds_the_strengths_at_any_later_time(name):
    law = MAKERS[name]()
    strengths = Strengths(law)
    strengths.append(3, 0.0)
    strengths.excite(np.array([1]), np.array([2.5]), 40.0)
    times = (50.0, 1e4, 1e6)
    before = [np.exp(strengths.log(np.arange(3), t)).sum() for t in times]
    strengths.merge(1, np.array([0, 2]), 50.0)
    assert [math.exp(strengths.log(np.array([1]), t)[0]) for t in times] == pytest.approx(before, rel=1e-5)
    assert strengths.refreshed(50.0)[1] == pytest.approx(math.log(before[0]), abs=TOLERANCE + ROUNDING)


def test_exciting_in_any_order_at_one_time_is_the_same():
    one, other = Strengths(power_law()), Strengths(power_law())
    for strengths, amounts in ((one, [1.0, 0.25, 3.0]), (other, [3.0, 1.0, 0.25])):
        strengths.append(1, 0.0)
        for amount in amounts:
            strengths.excite(np.array([0]), np.array([amount]), 7.0)
    assert one.log(np.array([0]), 9.0) == pytest.approx(other.log(np.array([0]), 9.0), abs=1e-6)


def test_a_thousand_years_leave_the_order_of_strengths():
    strengths = Strengths(power_law())
    strengths.append(1, 0.0)
    strengths.append(1, 0.5 * YEAR)
    strengths.append(1, 100 * YEAR)
    cached = strengths.refreshed(1000 * YEAR)
    assert np.isfinite(cached).all()
    assert (np.diff(cached) > 0).all()


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("years", [1000, 2000, 100_000])
def test_an_event_after_many_years_leaves_ln_s_finite(name, years):
    """However faded the modes are when the event comes, and however small it is."""
    strengths = Strengths(MAKERS[name]())
    strengths.append(1, 0.0)
    strengths.excite(np.array([0]), np.array([1e-3]), years * YEAR)
    assert strengths.log(np.array([0]), years * YEAR)[0] == pytest.approx(math.log(1e-3), abs=1e-3)
    assert strengths.refreshed(years * YEAR)[0] == pytest.approx(math.log(1e-3), abs=TOLERANCE + 1e-3)


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("years", [1, 1000, 2000, 100_000])
def test_merging_after_many_years_leaves_ln_s_finite(name, years):
    strengths = Strengths(MAKERS[name]())
    strengths.append(2, 0.0)
    before = strengths.log(np.array([0]), years * YEAR)[0]
    strengths.merge(0, np.array([1]), years * YEAR)
    after = strengths.log(np.array([0]), years * YEAR)[0]
    assert after == pytest.approx(max(before + math.log(2), LEAST), abs=0.01)
    assert np.isfinite(strengths.refreshed(years * YEAR)[0])


@pytest.mark.parametrize("law", [two_phase(transfer=1e-50)], ids=["two_phase"])
def test_a_readout_too_small_for_float32_leaves_ln_s_finite(law):
    strengths = Strengths(law)
    strengths.append(1, 0.0)
    assert np.isfinite(strengths.refreshed(1000 * YEAR)).all()


def test_state_is_restored():
    one = Strengths(benna_fusi())
    one.append(4, 0.0)
    one.excite(np.array([2, 3]), np.array([1.0, 5.0]), 10.0)
    other = Strengths(benna_fusi())
    other.restore(one.state())
    assert len(other) == 4
    rows = np.arange(4)
    assert np.array_equal(one.log(rows, 30.0), other.log(rows, 30.0))
    for name, array in one.state().items():
        assert np.array_equal(array, other.state()[name])


def test_state_is_a_copy():
    strengths = Strengths(power_law())
    strengths.append(2, 0.0)
    for array in strengths.state().values():
        array[...] = 7
    assert strengths.log(np.arange(2), 0.0) == pytest.approx([0, 0], abs=1e-6)


def test_kept_rows_keep_their_strengths_and_erased_ones_are_nothing():
    strengths = Strengths(power_law())
    strengths.append(5, 0.0)
    strengths.excite(np.array([1, 4]), np.array([1.0, 2.0]), 3.0)
    before = strengths.log(np.arange(5), 10.0)
    strengths.erase(np.array([0, 3]))
    assert np.isneginf(strengths.refreshed(10.0)[[0, 3]]).all()
    for column in strengths.columns():
        column.put(column.rows[[1, 2, 4]])
    assert len(strengths) == 3
    assert np.array_equal(strengths.log(np.arange(3), 10.0), before[[1, 2, 4]])
    assert strengths.refreshed(10.0) == pytest.approx(before[[1, 2, 4]], abs=TOLERANCE + ROUNDING)


def test_bytes_are_counted():
    strengths = Strengths(power_law())
    assert strengths.nbytes == 0
    strengths.append(1000, 0.0)
    strengths.refreshed(1e9)
    assert 1000 * (12 * 4 + 8 + 4 + 2) <= strengths.nbytes <= 1000 * (12 * 4 + 8 + 4 + 2) + 300_000


looks = st.lists(
    st.tuples(
        st.sampled_from(["append", "excite", "erase", "merge", "put", "adopt", "keep", "undo"]),
        st.floats(-4, 9).map(lambda x: 10**x),
        st.integers(0, 99),
        st.floats(1e-3, 50),
        st.booleans(),
    ),
    min_size=1,
    max_size=25,
)


@pytest.mark.parametrize("name", LAWS)
@given(happened=looks)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_looking_changes_nothing(path, name, happened):
    """Whoever looked when, and whatever was taken out: it tells bit by bit what one tells that is new."""
    law = MAKERS[name]()
    seen, unseen = Strengths(law), Strengths(law)
    gone: list[bool] = []
    now = 0.0
    for what, elapsed, which, amount, look in happened:
        now += elapsed
        n = len(gone)
        for strengths in (seen, unseen):
            apply(strengths, what, which, amount, now, gone.copy())
        if what in ("append", "adopt"):
            gone += [False] * (1 + which % 6)
        elif what == "erase" and n:
            gone[which % n] = True
        elif what == "keep":
            gone = [one for one in gone if not one]
        elif what == "undo":
            gone = gone[: which % (n + 1)]
        if look:
            seen.refreshed(now)
            if len(gone):
                seen.log_near(np.array([which % len(gone)]), now)
    alive = np.flatnonzero(~np.array(gone, bool))
    fresh = Strengths(law)
    fresh.restore({name: array[alive] for name, array in unseen.state().items()})
    expected = fresh.refreshed(now)
    for strengths in (seen, unseen):
        assert np.array_equal(strengths.log_near(alive, now), expected)
        assert np.array_equal(strengths.refreshed(now)[alive], expected)
        assert np.isneginf(strengths.refreshed(now)[gone]).all()


def apply(strengths: Strengths, what: str, which: int, amount: float, now: float, gone: list[bool]) -> None:
    alive = np.flatnonzero(~np.array(gone, bool))
    if what == "append":
        strengths.append(1 + which % 6, now, amount)
    elif what == "adopt":
        strengths.adopt(np.linspace(0, now, 1 + which % 6))
    elif what == "keep":
        for column in strengths.columns():
            column.put(column.rows[alive])
    elif what == "undo":
        for column in strengths.columns():
            column.truncate(which % (len(gone) + 1))
    elif what == "erase" and gone:
        strengths.erase(np.array([which % len(gone)]))
    elif what == "merge" and len(alive) > 1:
        strengths.merge(int(alive[0]), alive[1:3], now)
    elif what == "excite" and len(alive):
        strengths.excite(alive[which % len(alive) :], np.full(len(alive) - which % len(alive), amount), now)
    elif what == "put" and len(alive):
        records = np.zeros(len(alive), [("modes", "f4", strengths.law.modes), ("when", "f8")])
        strengths.describe(alive, records)
        strengths.put(alive, records)


def test_both_paths_tell_the_same(monkeypatch):
    told = []
    for few in (-1, 10**9):
        monkeypatch.setattr(module, "FEW", few)
        strengths = Strengths(power_law())
        strengths.adopt(np.linspace(0, SINCE_1970, 5000))
        strengths.excite(np.arange(0, 5000, 3), np.linspace(0.1, 9, 1667), SINCE_1970)
        told.append([strengths.refreshed(SINCE_1970 + t).copy() for t in (0.0, 1e-3, 5.0, 1e4, 1e9, 1e12)])
    assert np.array_equal(told[0], told[1])


def test_where_nothing_is_due_nothing_is_computed(path, monkeypatch):
    strengths = Strengths(power_law())
    strengths.append(50, 0.0)
    strengths.refreshed(1e6)

    def never(*_):
        raise AssertionError

    monkeypatch.setattr(Strengths, "_refresh_block", never)
    strengths.refreshed(1e6 + 1e3)
    strengths.excite(np.array([7]), np.array([1.0]), 1e6 + 1e3)
    with pytest.raises(AssertionError):
        strengths.refreshed(1e6 + 1e3)


@pytest.mark.parametrize("name", LAWS)
def test_a_cache_that_is_asked_late_tells_the_same(path, name):
    early, late = Strengths(MAKERS[name]()), Strengths(MAKERS[name]())
    rng, now = np.random.default_rng(0), SINCE_1970
    early.refreshed(now)
    for strengths in (early, late):
        rng, now = np.random.default_rng(0), SINCE_1970
        for _ in range(6):
            strengths.append(5, now, float(rng.uniform(0.5, 3)))
            now += float(10 ** rng.uniform(-1, 6))
            rows = rng.choice(len(strengths), 3, replace=False)
            strengths.excite(rows, rng.uniform(0.1, 2, 3), now)
            strengths.erase(rng.choice(len(strengths), 1))
    assert late.nbytes < early.nbytes
    rows = np.flatnonzero(early.refreshed(now) > -np.inf)
    np.testing.assert_array_equal(late.log_near(rows, now), early.log_near(rows, now))
    np.testing.assert_array_equal(late.refreshed(now), early.refreshed(now))
    for column, other in zip(late.columns(), early.columns(), strict=True):
        np.testing.assert_array_equal(column.rows, other.rows)

"""Every law is one linear law in closed form, equals its equation in loops, and keeps its known figures."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import strength as naive

from mossy.errors import InvalidParameter, UnknownName
from mossy.strength import LAWS, LinearLaw, as_law, benna_fusi, power_law, two_phase

YEAR = 365.25 * 86_400.0


@st.composite
def laws(draw):
    name = draw(st.sampled_from(sorted(LAWS)))
    if name == "power_law":
        fastest = draw(st.floats(0.1, 100))
        return power_law(
            draw(st.floats(0.05, 2)), fastest, fastest * draw(st.floats(10, 1e9)), draw(st.integers(2, 20))
        )
    if name == "two_phase":
        short = draw(st.floats(0.5, 1000))
        return two_phase(short, short * draw(st.floats(1.5, 1e5)), draw(st.floats(1e-6, 10)))
    return benna_fusi(draw(st.integers(1, 14)), draw(st.floats(0.1, 100)))


times = st.floats(0, 1000 * YEAR)
events = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0.01, 100)), min_size=1, max_size=6)


@pytest.mark.parametrize("name", LAWS)
class TestEveryLaw:
    def test_is_made_again_from_its_name_and_parameters(self, name):
        law = LAWS[name]()
        again = LAWS[law.name](**law.parameters)
        assert law.name == name
        for one, other in ((law.rates, again.rates), (law.readout, again.readout), (law.parts, again.parts)):
            assert np.array_equal(one, other)

    def test_has_twelve_modes_or_two_and_positive_numbers(self, name):
        law = LAWS[name]()
        assert law.modes == (2 if name == "two_phase" else 12)
        assert (law.rates > 0).all()
        assert (law.readout > 0).all()

    def test_a_fresh_memory_has_the_strength_one(self, name):
        law = LAWS[name]()
        assert law.readout.sum() == pytest.approx(1, abs=1e-12)
        assert law.response(0.0) == pytest.approx(1, abs=1e-12)
        assert law.strength(law.excite(np.zeros(law.modes), 1.0)) == pytest.approx(1, abs=1e-12)

    def test_a_fresh_memory_is_all_short(self, name):
        law = LAWS[name]()
        short, long = law.split(np.ones(law.modes))
        if name == "two_phase":
            assert (short, long) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
        else:
            assert 0 < long < short

    def test_the_short_part_goes_first(self, name):
        law = LAWS[name]()
        short, long = law.split(np.ones(law.modes), 2 * 86_400.0)
        assert long > short >= 0

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("age", [0.0, 1e-3, 1.0, 1e3, YEAR, 1000 * YEAR, 1e5 * YEAR])
    def test_ln_s_is_finite_at_any_age(self, name, dtype, age):
        law = LAWS[name]()
        logs, rate = law.log_strength_and_rate(np.ones((1, law.modes), dtype), np.array([age]))
        assert np.isfinite(logs).all()
        assert np.isfinite(rate).all()
        assert (rate > 0).all()
        reference = law.log_strength_and_rate(np.ones((1, law.modes)), np.array([age]))[0]
        assert logs == pytest.approx(reference, rel=1e-6, abs=1e-5)


@given(laws(), events, times)
def test_closed_form_equals_the_sum_over_modes_and_events(law, happened, later):
    happened = sorted(happened)
    end = happened[-1][0] + later
    z, now = np.zeros(law.modes), 0.0
    for when, amount in happened:
        z, now = law.excite(law.decay(z, when - now), amount), when
    expected = naive.strength(law.rates.tolist(), law.readout.tolist(), happened, end)
    assert float(law.strength(z, end - now)) == pytest.approx(expected, rel=1e-9, abs=1e-300)


@given(laws(), times, times)
def test_strengths_never_rise_without_an_event(law, one, other):
    early, late = sorted((one, other))
    z = np.ones(law.modes)
    assert law.strength(z, late) <= law.strength(z, early) * (1 + 1e-12)
    assert law.log_strength(z, late) <= law.log_strength(z, early) + 1e-9
    assert law.response(late) <= law.response(early) * (1 + 1e-12)


@given(laws(), events, times)
def test_the_two_parts_sum_to_the_strength(law, happened, later):
    z = np.zeros(law.modes)
    for _, amount in happened:
        z = law.excite(law.decay(z, 3.0), amount)
    short, long = law.split(z, later)
    assert short + long == pytest.approx(law.strength(z, later), rel=1e-9, abs=1e-12 * z.sum())
    assert short >= -1e-12 * z.sum()
    assert long >= -1e-12 * z.sum()


@given(laws(), times)
def test_ln_s_is_the_logarithm_of_s(law, age):
    s = float(law.strength(np.ones(law.modes), age))
    if s > 1e-290:
        assert float(law.log_strength(np.ones(law.modes), age)) == pytest.approx(math.log(s), rel=1e-9, abs=1e-9)


@given(laws(), st.floats(0, 1e6), st.floats(0, 1e6))
def test_decay_in_two_parts_is_decay_at_once(law, one, other):
    z = np.linspace(0.5, 2, law.modes)
    assert law.decay(law.decay(z, one), other) == pytest.approx(law.decay(z, one + other), rel=1e-9, abs=1e-300)


@given(laws(), st.lists(st.floats(0.01, 100), min_size=2, max_size=6), st.randoms())
def test_exciting_at_one_time_is_linear_and_free_of_order(law, amounts, random):
    shuffled = list(amounts)
    random.shuffle(shuffled)
    one = other = np.full(law.modes, 0.5)
    for amount in amounts:
        one = law.excite(one, amount)
    for amount in shuffled:
        other = law.excite(other, amount)
    assert one == pytest.approx(other, rel=1e-12)
    assert one == pytest.approx(law.excite(np.full(law.modes, 0.5), sum(amounts)), rel=1e-12)


@given(laws(), times)
def test_the_rate_bounds_the_loss(law, age):
    """After Δ more units ``ln s`` has lost at most rate·Δ, for any Δ: the promise on which the cache stands."""
    z = np.ones(law.modes)
    logs, rate = law.log_strength_and_rate(z, age)
    for delta in (1e-3, 1.0, 1e3, YEAR):
        assert logs - law.log_strength(z, age + delta) <= rate * delta * (1 + 1e-6) + 1e-9 * abs(logs) + 1e-9


def test_a_batch_is_its_rows():
    law = power_law()
    z = np.random.default_rng(0).uniform(0.1, 3, (5, 4, law.modes))
    ages = np.geomspace(1, 1e9, 20).reshape(5, 4)
    s, logs, (short, long) = law.strength(z, ages), law.log_strength(z, ages), law.split(z, ages)
    for i in range(5):
        for j in range(4):
            assert s[i, j] == pytest.approx(law.strength(z[i, j], ages[i, j]), rel=1e-12)
            assert logs[i, j] == pytest.approx(law.log_strength(z[i, j], ages[i, j]), rel=1e-12)
            assert short[i, j] + long[i, j] == pytest.approx(s[i, j])


class TestPowerLaw:
    @given(st.floats(0.05, 2), st.floats(0.1, 10), st.floats(10, 1e9), st.integers(2, 20), st.floats(0, 1e9))
    def test_equals_its_sum(self, exponent, fastest, span, modes, t):
        law = power_law(exponent, fastest, fastest * span, modes)
        expected = naive.power_law(exponent, fastest, fastest * span, modes, t)
        assert float(law.response(t)) == pytest.approx(expected, rel=1e-9, abs=1e-300)

    @pytest.mark.parametrize("exponent", [0.3, 0.5, 0.8, 1.0])
    def test_its_slope_is_minus_the_exponent(self, exponent):
        law = power_law(exponent)
        t = np.geomspace(3, 1 * YEAR, 400)
        slope = np.gradient(np.log(law.response(t)), np.log(t))
        assert np.abs(slope + exponent).max() <= 0.2

    def test_is_flat_before_the_fastest_and_exponential_after_the_slowest(self):
        law = power_law()
        assert law.response(0.01) > 0.99
        after = np.array([50.0, 60.0]) * 10 * YEAR
        logs = law.log_strength(np.ones(law.modes), after)
        assert logs[0] - logs[1] == pytest.approx(10, rel=1e-6)

    def test_the_short_part_is_what_is_faster_than_ten_minutes(self):
        law = power_law()
        fast = 1 / law.rates < 600
        assert np.array_equal(law.parts[0], np.where(fast, law.readout, 0))
        assert np.array_equal(law.parts[1], np.where(fast, 0, law.readout))

    def test_frequent_use_lasts_longer(self):
        """What was used more often is stronger at any later time: need as the sum over uses."""
        law = power_law()
        once = law.strength(np.ones(law.modes), YEAR)
        often = law.strength(10 * np.ones(law.modes), YEAR)
        assert often == pytest.approx(10 * once)


class TestTwoPhase:
    @pytest.mark.parametrize(("short", "long", "transfer"), [(10.0, 200.0, 0.05), (2.0, 3.0, 1.0), (5.0, 1e4, 1e-3)])
    def test_equals_tiny_euler_steps(self, short, long, transfer):
        law = two_phase(short, long, transfer)
        happened = [(0.0, 1.0), (4.0, 2.0), (12.0, 0.5)]
        for end in (4.0, 12.0, 30.0):
            until = [event for event in happened if event[0] <= end]
            z, now = np.zeros(2), 0.0
            for when, amount in until:
                z, now = law.excite(law.decay(z, when - now), amount), when
            early, late = law.split(z, end - now)
            expected = naive.two_phase(short, long, transfer, until, end, 60_000)
            assert early == pytest.approx(expected[0], rel=2e-3, abs=1e-6)
            assert late == pytest.approx(expected[1], rel=2e-3, abs=1e-3)

    def test_the_late_phase_rises_while_the_early_one_fades(self):
        law = two_phase()
        t = np.array([0.0, 60.0, 600.0, 1800.0])
        short, long = law.split(np.ones((4, 2)), t)
        assert (np.diff(short) < 0).all()
        assert (np.diff(long) > 0).all()


class TestBennaFusi:
    @pytest.mark.parametrize("m", [1, 2, 6, 10])
    def test_equals_the_stepped_chain(self, m):
        law = benna_fusi(m, fastest=3.0)
        expected = naive.benna_fusi(m, 300)
        assert law.response(3.0 * np.arange(301)) == pytest.approx(expected, rel=1e-9, abs=1e-15)

    @pytest.mark.parametrize("m", [6, 8, 10, 12])
    def test_falls_as_one_over_the_root_of_time(self, m):
        t = np.arange(100, 1001)
        assert np.abs(benna_fusi(m).response(t) * np.sqrt(t) - 0.947).max() <= 0.01

    @pytest.mark.parametrize(("synapses", "lifetime"), [(10**3, 68), (10**4, 677), (10**5, 6_835), (10**6, 67_846)])
    def test_lifetimes(self, synapses, lifetime):
        """The first step at which ``√N·r(t)/√Σ_{t'≥1} r(t')²`` is 1 or less."""
        law = benna_fusi(10)
        left = np.exp(-law.rates)  # of each mode after one step; the sum over all steps is geometric
        both = np.outer(left, left)
        noise = float((np.outer(law.readout, law.readout) * both / (1 - both)).sum())
        t = np.arange(1, 2 * lifetime)
        snr = math.sqrt(synapses / noise) * law.response(t)
        assert int(t[snr <= 1][0]) == lifetime

    def test_time_is_in_units_of_fastest(self):
        assert benna_fusi(8, fastest=60.0).response(600.0) == pytest.approx(benna_fusi(8).response(10.0), rel=1e-12)


class TestBadInput:
    @pytest.mark.parametrize(
        "make",
        [
            lambda: power_law(exponent=0),
            lambda: power_law(exponent=2.1),
            lambda: power_law(exponent=float("nan")),
            lambda: power_law(fastest=0),
            lambda: power_law(slowest=float("inf")),
            lambda: power_law(fastest=10, slowest=10),
            lambda: power_law(modes=1),
            lambda: power_law(modes=True),
            lambda: power_law(modes=2.5),
            lambda: power_law(short=-1),
            lambda: power_law(exponent="0.5"),
            lambda: two_phase(short=0),
            lambda: two_phase(short=10, long=10),
            lambda: two_phase(transfer=0),
            lambda: two_phase(transfer=-1),
            lambda: benna_fusi(m=0),
            lambda: benna_fusi(fastest=-1),
            lambda: benna_fusi(short=0),
        ],
    )
    def test_parameters_outside_their_range_are_named(self, make):
        with pytest.raises(InvalidParameter, match=r"^\w+\.\w+: .* was given; .* is allowed"):
            make()

    def test_an_unknown_law_is_named_with_those_there_are(self):
        with pytest.raises(UnknownName, match="'exponential' was given; allowed are 'power_law',"):
            as_law("exponential")

    def test_a_law_is_taken_as_given(self):
        law = two_phase()
        assert as_law(law) is law
        assert isinstance(as_law("benna_fusi"), LinearLaw)


# -- coarse forms -------------------------------------------------------------------------------------------------


def factors(law: LinearLaw, m: int) -> tuple[float, float]:
    """Return by which factor the coarse form is off over the span of the law: root mean square, and the most."""
    times = np.geomspace(1 / law.rates.max(), 1 / law.rates.min(), 2000)
    logs = np.log(law.coarse(m).response(times) / law.response(times))
    return math.exp(math.sqrt((logs**2).mean())), math.exp(np.abs(logs).max())


@pytest.mark.parametrize(("name", "m"), [(name, m) for name in ("power_law", "benna_fusi") for m in (2, 3, 4)])
def test_a_coarse_form_is_as_close_as_its_docstring_tells(name, m):
    line = next(line for line in LinearLaw.coarse.__doc__.splitlines() if line.strip().startswith(f"``{name}()``"))
    told = line.split("``")[2].split()[2 * (m - 2) : 2 * m]
    mean, most = factors(LAWS[name](), m)
    assert mean == pytest.approx(float(told[0]), rel=0.03)
    assert most == pytest.approx(float(told[1].strip("()")), rel=0.04)


@given(law=laws(), m=st.integers(1, 5))
def test_a_coarse_form_is_a_law(law, m):
    coarse = law.coarse(m)
    assert coarse.modes == min(m, law.modes)
    assert (coarse.readout > 0).all()
    assert coarse.readout.sum() == pytest.approx(1, abs=1e-12)
    assert coarse.parts.sum(axis=0) == pytest.approx(coarse.readout, abs=1e-12)
    assert coarse is law or (coarse.parts >= 0).all()
    assert law.rates.min() * (1 - 1e-5) <= coarse.rates.min()
    assert coarse.rates.max() <= law.rates.max() * (1 + 1e-5)
    if coarse.modes > 2 and coarse is not law:
        steps = np.diff(np.log(coarse.rates))
        assert steps == pytest.approx(steps[0], abs=1e-4)


def test_a_law_of_so_few_modes_is_its_own_coarse_form():
    for law, m in ((two_phase(), 2), (benna_fusi(3), 3), (power_law(), 12), (power_law(), 99)):
        assert law.coarse(m) is law


def test_more_modes_are_closer():
    means = [factors(power_law(), m)[0] for m in (1, 2, 3, 4, 6, 11)]
    assert means == sorted(means, reverse=True)
    assert means[-1] < 1.03

"""Clocks never fall, and say so when they are asked to."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy import Seconds, Steps
from mossy.clock import Clock, check_time
from mossy.errors import InvalidTime


@given(st.floats(0, 1e12), st.lists(st.floats(0, 1e12), max_size=20))
def test_steps_add_up(start, steps):
    clock = Steps(start)
    total = start
    assert clock.now() == start
    for step in steps:
        before = clock.now()
        total += step
        assert clock.advance(step) == clock.now() == total
        assert clock.now() >= before


def test_one_step_unless_told():
    clock = Steps()
    assert (clock.now(), clock.advance(), clock.now()) == (0.0, 1.0, 1.0)
    assert isinstance(clock, Clock)


WRONG = [-1, -1e-300, math.nan, math.inf, -math.inf, "1", None, True, [1], 1j]


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_time_is_refused_and_the_clock_stays(wrong):
    clock = Steps(5.0)
    with pytest.raises(InvalidTime, match=r"^Steps\.advance: .* was given; a finite number of at least 0 is allowed"):
        clock.advance(wrong)
    assert clock.now() == 5.0
    with pytest.raises(InvalidTime, match=r"^Steps\.start: "):
        Steps(wrong)
    with pytest.raises(InvalidTime, match=r"^t: "):
        check_time(wrong, "t")


@pytest.mark.parametrize(
    "right",
    [
        0,
        3,
        2.5,
        np.float64(2.5),
        np.int64(3),
        np.float32(2.5),
    ],
)
def test_any_number_is_a_time(right):
    assert check_time(right, "t") == float(right)


def test_an_integer_too_large_for_a_float():
    with pytest.raises(InvalidTime):
        Steps(10**400)


def test_a_clock_never_reaches_infinity():
    clock = Steps(9e299)
    with pytest.raises(InvalidTime):
        clock.advance(9e299)
    assert clock.now() == 9e299


def test_seconds_are_those_of_the_system_and_never_fall(monkeypatch):
    clock = Seconds()
    assert abs(clock.now() - time.time()) < 60
    for told, expected in ((2e9, 2e9), (1e9, 2e9), (2e9 - 1, 2e9), (2e9 + 1, 2e9 + 1)):
        monkeypatch.setattr(time, "time", lambda told=told: told)
        assert clock.now() == expected

"""What time it is: seconds of the world, or counted steps for training loops and tests."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from numbers import Real
from typing import ClassVar

from mossy.arrays import as_float
from mossy.errors import InvalidParameter, InvalidTime

__all__ = ["Clock", "Seconds", "Steps", "check_time", "clock_of"]

LATEST = 1e300  # no time comes later, so that none is infinite


def check_time(given: object, name: str) -> float:
    """Return a time or a duration as a float, or raise ``InvalidTime`` if it is negative or not finite."""
    value = as_float(given) if isinstance(given, Real) and not isinstance(given, bool) else -1.0
    if 0 <= value < LATEST:
        return value
    raise InvalidTime(f"{name}: {given!r} was given; a finite number of at least 0 is allowed.")


class Clock(ABC):
    """Tells the time as one number that never falls. The laws measure their time constants in its unit.

    Attributes
    ----------
    name
        By which a state says what clock it needs.
    """

    name: ClassVar[str] = "own"

    @abstractmethod
    def now(self) -> float:
        """Return the time in the unit of this clock."""


class Seconds(Clock):
    """Seconds since 1970, from the system. If that clock is set back, this one waits until it is reached again.

    Parameters
    ----------
    latest
        The time that was told last, at least 0.
    """

    name = "seconds"

    def __init__(self, latest: float = 0.0) -> None:
        self._latest = check_time(latest, "Seconds.latest")

    def now(self) -> float:
        """Return the time in seconds."""
        self._latest = max(self._latest, time.time())
        return self._latest


class Steps(Clock):
    """A clock that moves only when it is told to: one step of a training loop, or a year in a test.

    Parameters
    ----------
    start
        The first time, at least 0.
    """

    name = "steps"

    def __init__(self, start: float = 0.0) -> None:
        self._now = check_time(start, "Steps.start")

    def now(self) -> float:
        """Return the number of steps so far."""
        return self._now

    def advance(self, steps: float = 1.0) -> float:
        """Move on by ``steps`` (at least 0, whole or not) and return the new time.

        Raises
        ------
        InvalidTime
            If ``steps`` is negative or not finite; the clock stays as it was.
        """
        self._now = check_time(self._now + check_time(steps, "Steps.advance"), "Steps.advance")
        return self._now


def clock_of(name: str, latest: float, given: Clock | None) -> Clock:
    """Return the clock ``given``, or one such as a memory had that knew it by ``name``, going on from ``latest``.

    Raises
    ------
    InvalidParameter
        The memory had a clock of its own, and none was given.
    """
    if given is not None:
        return given
    if name not in _CLOCKS:
        raise InvalidParameter("clock: the memory had a clock of its own; give one as clock=.")
    return _CLOCKS[name](latest)


_CLOCKS: dict[str, Callable[[float], Clock]] = {"seconds": Seconds, "steps": Steps}

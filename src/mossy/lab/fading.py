"""The second half of the demo: on a fast clock, what is used lasts and the rest fades."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from mossy.clock import Steps
from mossy.lab.images import Images
from mossy.memory import Memory

__all__ = ["READINGS", "USES", "Fading", "Reading", "fade"]

Floats: TypeAlias = NDArray[np.float64]

MINUTE, HOUR, DAY, YEAR = 60.0, 3600.0, 86_400.0, 365.25 * 86_400.0
READINGS = {"a minute": MINUTE, "an hour": HOUR, "a day": DAY, "a week": 7 * DAY, "a year": YEAR}
USES = tuple(float(t) for t in 30.0 * 3.0 ** np.arange(10))  # ten times, the last after about a week
SAMPLES = 240


@dataclass(frozen=True)
class Reading:
    """Mean strengths at one time: the short and the long part, of the memories used and of the others."""

    age: str
    used_short: float
    used_long: float
    unused_short: float
    unused_long: float


@dataclass(frozen=True)
class Fading:
    """What became of memories that were used, and of the rest.

    Attributes
    ----------
    stored, used
        How many were stored, and how many of them were recalled.
    uses
        How often each of these was recalled.
    readings
        Strengths over time.
    recalled
        The short part and the whole strength of a used memory right after one more recall, a year later.
    found
        The share of all memories, used or not, that half of them still finds after that year.
    kept, let_go
        How many ``consolidate()`` kept after the last use with ``keep="frequent"``, and how many it let go.
    kept_used
        Whether those kept are exactly those used.
    times
        ``(t,)``: seconds since storing, for the curves.
    curve
        ``(t, 2, 2)``: used and unused, short and long part.
    """

    stored: int
    used: int
    uses: int
    readings: tuple[Reading, ...]
    recalled: tuple[float, float]
    found: float
    kept: int
    let_go: int
    kept_used: bool
    times: Floats
    curve: Floats


def fade(images: Images, used: int = 20) -> Fading:
    """Store images, recall some of them from half at growing intervals, and read all strengths for a year.

    Parameters
    ----------
    images
        What to store.
    used
        How many of them are recalled; they are spread evenly over all.
    """
    chosen = np.unique(np.linspace(0, len(images) - 1, used).astype(np.intp))
    others = np.setdiff1d(np.arange(len(images)), chosen)
    known, patterns = images.known("half"), images.patterns
    clock = Steps()
    memory = Memory(clock=clock, separation="winner", short_term=len(images))
    frequent = Memory(clock=clock, separation="winner", short_term=len(images), keep="frequent")
    for one in (memory, frequent):
        one.store(patterns)
    samples = np.geomspace(1.0, YEAR, SAMPLES)
    times = np.unique(np.concatenate([samples, USES, *[[t] for t in READINGS.values()]]))
    curve = np.empty((len(times), 2, 2))
    for i, now in enumerate(times):
        clock.advance(float(now) - clock.now())
        if now in USES:
            for one in (memory, frequent):
                one.recall(patterns[chosen], known=known)
        curve[i] = memory.strength(chosen).mean(axis=0), memory.strength(others).mean(axis=0)
        if now == USES[-1]:
            done = frequent.consolidate()
    readings = []
    for age, t in READINGS.items():
        used_now, unused_now = curve[int(np.searchsorted(times, t))]
        readings.append(Reading(age, *map(float, (*used_now, *unused_now))))
    found = memory.recall(patterns, known=known, reinforce=False).ids[:, 0] == np.arange(len(images))
    memory.recall(patterns[chosen], known=known)
    short, long = memory.strength(chosen).mean(axis=0)
    return Fading(
        stored=len(images),
        used=len(chosen),
        uses=len(USES),
        readings=tuple(readings),
        recalled=(float(short), float(short + long)),
        found=float(found.mean()),
        kept=done.moved,
        let_go=done.let_go,
        kept_used=bool(np.array_equal(frequent.ids, chosen)),
        times=times,
        curve=curve,
    )

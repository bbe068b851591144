"""Links as loops, by dicts of names: what is forgotten is taken out everywhere at once."""

from __future__ import annotations

import math

import numpy as np

MASK = (1 << 64) - 1


class Links:
    """``ΔL_ij = ΔL_ji = a_i a_j``, at most ``most`` of each memory, each mode in float16.

    A place is None or ``(target, modes)``.
    """

    def __init__(self, most: int, rates: list[float], readout: list[float]) -> None:
        self.most, self.rates, self.readout = most, rates, readout
        self.places: dict[int, list[tuple[int, list[float]] | None]] = {}
        self.when: dict[int, float] = {}
        self.moment, self.count = -1.0, 0

    def append(self, n: int, now: float) -> None:
        for i in range(n):
            neighbours = [j for j in (i + 1, i - 1) if 0 <= j < n]
            places: list[tuple[int, list[float]] | None] = [None] * self.most
            for j in neighbours[: self.most]:
                place = 0 if j == i + 1 or self.most == 1 else 1
                places[place] = (j, [1.0] * len(self.rates))
            self.places[i], self.when[i] = places, now

    def strengthen(self, pairs: list[tuple[int, int, float]], now: float) -> None:
        if now != self.moment:
            self.moment, self.count = now, 0
        for i, j, amount in pairs:
            if i != j and amount > 0:
                self.excite(i, j, amount, now)
                self.excite(j, i, amount, now)

    def faded(self, i: int, now: float) -> list[tuple[int, list[float]] | None]:
        elapsed = now - self.when[i]
        factors = [math.exp(-rate * elapsed) for rate in self.rates]
        return [
            None if place is None else (place[0], [z * f for z, f in zip(place[1], factors, strict=True)])
            for place in self.places[i]
        ]

    def strength(self, modes: list[float]) -> float:
        return sum(w * z for w, z in zip(self.readout, modes, strict=True))

    def excite(self, source: int, target: int, amount: float, now: float) -> None:
        places = self.faded(source, now)
        first, m = self.count, len(self.rates)
        self.count += self.most * m
        held = [None if place is None else place[0] for place in places]
        if target in held:
            at = held.index(target)
        else:
            strengths = [-1.0 if place is None else self.strength(place[1]) for place in places]
            at = strengths.index(min(strengths))
            if strengths[at] >= amount:
                return
            places[at] = (target, [0.0] * m)
        to, modes = places[at] or (target, [0.0] * m)
        places[at] = (to, [z + amount for z in modes])
        for s, place in enumerate(places):
            if place is not None:
                rounded = [half(z, share(now, first + s * m + k)) for k, z in enumerate(place[1])]
                places[s] = (place[0], rounded) if any(rounded) else None
        self.places[source], self.when[source] = places, now

    def spread(self, active: dict[int, float], now: float) -> dict[int, float]:
        excited: dict[int, float] = {}
        for j, activity in active.items():
            for place in self.faded(j, now):
                if place is not None:
                    amount = min(self.strength(place[1]), 1.0) * activity
                    excited[place[0]] = excited.get(place[0], 0.0) + amount
        return excited

    def erase(self, row: int) -> None:
        self.places[row] = [None] * self.most
        for places in self.places.values():
            for s, place in enumerate(places):
                if place is not None and place[0] == row:
                    places[s] = None

    def held(self, i: int) -> dict[int, list[float]]:
        return dict(place for place in self.places[i] if place is not None)

    def targets(self, i: int) -> set[int]:
        return set(self.held(i))


def share(now: float, count: int) -> float:
    """Return the ``count``-th number of the generator SplitMix64 that starts from the bits of ``now``."""
    z = (int(np.float64(now).view(np.uint64)) + count * 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return ((z ^ (z >> 31)) >> 11) * 2.0**-53


def half(x: float, share: float) -> float:
    """Return the float16 below ``x``, or that above if ``x`` lies further than ``share`` on the way to it."""
    if x >= 65504:
        return 65504.0
    below = np.float16(x)
    if float(below) > x:
        below = np.nextafter(below, np.float16(-1))
    above = np.nextafter(below, np.float16(np.inf))
    way = (x - float(below)) / (float(above) - float(below))
    return float(above) if way > share else float(below)

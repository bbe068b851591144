"""``strength.need`` as loops copied from its equations, and a cache that searches everything, with nothing put off."""

import math

GROUPS = (1, 2, 3, 5)


def group_of(uses: int) -> int:
    """The last group whose least number of uses is reached."""
    return max(g for g, least in enumerate(GROUPS) if uses >= least)


class Need:
    """Modes that fade by ``exp(-λΔ)``; totals summed afresh over everything that was ever used and not forgotten."""

    def __init__(self, rates, readout, rate):
        self.rates, self.rate = rates, rate
        m = len(rates)
        self.shares = [[1 / (len(GROUPS) * m) if rate else w / len(GROUPS) for w in readout] for _ in GROUPS]
        self.items = {}  # a name → (events, uses)
        self.lost = []  # the same of what is no longer known

    def mode(self, events, k, now):
        return sum(math.exp(-self.rates[k] * (now - t)) for t in events)

    def total(self, c, k, now):
        every = [*self.items.values(), *self.lost]
        return sum(self.mode(events, k, now) for events in every if group_of(len(events)) == c)

    def part(self, name, now):
        events = self.items[name]
        c = group_of(len(events))
        below = [1.0 + (self.total(c, k, now) if self.rate else 0.0) for k in range(len(self.rates))]
        return [self.shares[c][k] * self.mode(events, k, now) / below[k] for k in range(len(self.rates))]

    def use(self, name, now):
        if name in self.items and self.rate:
            part = self.part(name, now)
            whole = sum(part)
            c = group_of(len(self.items[name]))
            for g in range(len(GROUPS)):
                for k in range(len(self.rates)):
                    credit = part[k] / whole if g == c else 0.0
                    self.shares[g][k] = (1 - self.rate) * self.shares[g][k] + self.rate * credit
        self.items.setdefault(name, []).append(now)

    def chance(self, name, now):
        return sum(self.part(name, now))

    def forget(self, name):
        del self.items[name]

    def lose(self, name):
        self.lost.append(self.items.pop(name))


class Cache:
    """Values by key, the ghosts in the order in which they came, and bytes."""

    def __init__(self, capacity, overhead, need, ghosts=4):
        self.capacity, self.overhead, self.need, self.factor = capacity, overhead, need, ghosts
        self.values, self.sizes, self.ghosts = {}, {}, []
        self.time = 0
        self.last = []  # how far apart the two weakest were at each choice, as a ratio

    def use(self, key):
        self.need.use(key, self.time)
        self.time += 1

    def get(self, key):
        if key in self.values:
            self.use(key)
        return self.values.get(key)

    def set(self, key, value, size):
        if key in self.ghosts:
            self.ghosts.remove(key)
        self.values[key], self.sizes[key] = value, size + self.overhead
        self.use(key)
        gone = []
        while sum(self.sizes.values()) > self.capacity:
            worth = {one: self.need.chance(one, self.time) / self.sizes[one] for one in self.values if one != key}
            order = sorted(worth, key=worth.get)
            if len(order) > 1:
                self.last.append(worth[order[1]] / worth[order[0]])
            gone.append(order[0])
            del self.values[order[0]], self.sizes[order[0]]
            self.ghosts.append(order[0])
        self.lay_ghosts()
        return gone

    def lay_ghosts(self):
        while len(self.ghosts) > self.factor * len(self.values):
            self.need.lose(self.ghosts.pop(0))

    def forget(self, key):
        if key in self.values or key in self.ghosts:
            self.need.forget(key)
        if key in self.ghosts:
            self.ghosts.remove(key)
        self.values.pop(key, None)
        self.sizes.pop(key, None)
        self.lay_ghosts()

"""``memory.adapting`` as loops copied from its equations: every event is kept, and everything is compared."""

import math
from itertools import pairwise

RATE = 0.005
GROUPS = (1, 2, 3, 5)


class Bounded:
    """Patterns by id, the uses ``(time, amount)`` of each, and of the ghosts of those that were let go."""

    def __init__(self, capacity, rates):
        self.capacity, self.rates = capacity, rates
        m = len(rates)
        self.slowest = min(range(m), key=lambda k: rates[k])
        self.shares = [[1 / (len(GROUPS) * m)] * m for _ in GROUPS]
        self.totals = [[0.0] * m for _ in GROUPS]
        self.patterns, self.uses = {}, {}  # by id
        self.ghosts = []  # [pattern, id, uses, whether it was asked for]
        self.next_id = 0
        self.closest = math.inf  # how near, as a share, the last that went was to the first that stayed

    def mode(self, uses, k, now):
        return sum(amount * math.exp(-self.rates[k] * (now - t)) for t, amount in uses)

    def group(self, uses):
        count = max(round(self.mode(uses, self.slowest, uses[-1][0])), 1)
        return max(g for g, least in enumerate(GROUPS) if count >= least)

    def parts(self, uses, now):
        c = self.group(uses)
        return c, [
            self.shares[c][k] * self.mode(uses, k, now) / (self.totals[c][k] + 1) for k in range(len(self.rates))
        ]

    def learn(self, several, now):
        """From the uses of each that is used, and by how much."""
        credits, weight, kept = [[0.0] * len(self.rates) for _ in GROUPS], 0.0, 1.0
        for uses, amount in several:
            c, part = self.parts(uses, now)
            amount = min(amount, 1.0)
            for k, one in enumerate(part):
                credits[c][k] += amount * one / sum(part)
            weight += amount
            kept *= 1 - RATE * amount
        if weight:
            self.shares = [
                [kept * w + (1 - kept) * r / weight for w, r in zip(*both, strict=True)]
                for both in zip(self.shares, credits, strict=True)
            ]

    def reinforce(self, id, amount, now):
        self.learn([(self.uses[id], amount)], now)
        self.uses[id] = [*self.uses[id], (now, amount)]

    def ask(self, pattern, now):
        asked = [ghost for ghost in self.ghosts if ghost[0] == pattern and not ghost[3]]
        self.learn([(ghost[2], 1.0) for ghost in asked], now)
        for ghost in asked:
            ghost[3] = True

    def store(self, patterns, now):
        """All different, and none of them there."""
        first = self.next_id
        back = {ghost[0]: ghost for ghost in self.ghosts if ghost[0] in patterns}
        self.learn([(back[one][2], 1.0) for one in patterns if one in back and not back[one][3]], now)
        for one in patterns:
            self.patterns[self.next_id] = one
            self.uses[self.next_id] = (back[one][2] if one in back else []) + [(now, 1.0)]
            self.next_id += 1
        self.ghosts = [ghost for ghost in self.ghosts if ghost[0] not in back]
        self.let_go(first, now)

    def let_go(self, first, now):
        excess = len(self.patterns) - self.capacity
        if excess <= 0:
            return
        old = [id for id in self.patterns if id < first]
        order = old
        if excess < len(old):
            self.see_all(now)
            worth = {id: sum(self.parts(self.uses[id], now)[1]) for id in old}
            order = sorted(old, key=lambda id: worth[id])
            self.note_how_close([worth[id] for id in order], excess)
        for id in [*order, *(id for id in self.patterns if id >= first)][:excess]:
            pattern = self.patterns.pop(id)
            self.ghosts = [ghost for ghost in self.ghosts if ghost[0] != pattern]
            self.ghosts.append([pattern, id, self.uses.pop(id), False])
        self.ghosts = self.ghosts[-self.capacity :]

    def see_all(self, now):
        self.totals = [[0.0] * len(self.rates) for _ in GROUPS]
        for uses in [*self.uses.values(), *(ghost[2] for ghost in self.ghosts)]:
            for k in range(len(self.rates)):
                self.totals[self.group(uses)][k] += self.mode(uses, k, now)

    def note_how_close(self, worth, excess):
        for one, other in pairwise(worth):
            if one != other:
                self.closest = min(self.closest, abs(other / one - 1))

    def forget(self, id):
        self.ghosts = [ghost for ghost in self.ghosts if ghost[1] != id]
        self.patterns.pop(id, None)
        self.uses.pop(id, None)

"""A network of neurons as loops: activity, energy, settling, and synapses that fade."""

from __future__ import annotations

import math

from tests.naive.activations import activate


def drive(w, x, i):
    return sum(w[i][j] * x[j] for j in range(len(x)))


def activity(name, w, x, bias):
    return [activate(name, drive(w, x, i) + bias[i]) for i in range(len(x))]


def phi(name, a):
    """Closed forms of the potential."""
    if name in ("identity", "relu"):
        return a * a / 2
    if name == "sigmoid":
        return sum(p * math.log(p) for p in (a, 1 - a) if p > 0)
    if name == "tanh":
        return 0.5 * sum(p * math.log(p) for p in (1 + a, 1 - a) if p > 0)
    return 0.0


def energy(name, w, x, bias):
    n = len(x)
    total = 0.0
    for i in range(n):
        for j in range(n):
            total -= 0.5 * x[i] * w[i][j] * x[j]
        total += phi(name, x[i]) - bias[i] * x[i]
    return total


def settle(name, w, x, bias, free, sweeps):
    x = list(x)
    energies = [energy(name, w, x, bias)]
    for _ in range(sweeps):
        before = list(x)
        for i in free:
            x[i] = activate(name, drive(w, x, i) + bias[i], x[i])
            energies.append(energy(name, w, x, bias))
        if max(abs(a - b) for a, b in zip(x, before, strict=True)) <= 1e-12:
            break
    return x, energies


def faded(rates, readout, events, now):
    """Weight of one synapse at ``now`` from its events ``(time, change)``, each mode on its own."""
    return sum(
        w * change * math.exp(-rate * (now - time))
        for rate, w in zip(rates, readout, strict=True)
        for time, change in events
    )


def once(x):
    """What writing one pattern once changes under Hebb's rule at rate 1, without self-connections."""
    return [[x[i] * x[j] if i != j else 0.0 for j in range(len(x))] for i in range(len(x))]


def overlap(phase, change):
    """``⟨A, P⟩ / ⟨P, P⟩``: how much of the change a phase of the synapses holds."""
    n = range(len(change))
    return sum(phase[i][j] * change[i][j] for i in n for j in n) / sum(change[i][j] ** 2 for i in n for j in n)


def share(phase, change):
    return min(max(overlap(phase, change), 0.0), 1.0)

"""Recall as loops: evidence, bounded prior, association, separation, completion with the known entries held fast."""

from __future__ import annotations

from dataclasses import dataclass

from tests.naive.separation import SEPARATIONS, conjugate
from tests.naive.similarity import moments, similarity

DEEPEST = 20.0
RESOLUTION = 2.0**-24

Vector = list[float]


@dataclass
class Parts:
    """What speaks for each memory, and what comes of it."""

    fit: Vector
    similarity: Vector
    prior: Vector
    association: Vector
    evidence: Vector
    probability: Vector
    pattern: Vector
    energy: float
    steps: int


def prior(ln_s: Vector, best: int, beta: float, delta: float) -> Vector:
    """``κ·clip(ln(s_i/s_best), -L/2, L/2)`` with ``κL = βδ``; the best is the first of those that fit best."""
    half = DEEPEST / 2
    return [beta * delta / DEEPEST * min(max(x - ln_s[best], -half), half) for x in ln_s]


def associate(links: list[Vector], activity: Vector, gain: float) -> Vector:
    """``g_a·Σ_j min(L_ji, 1)·a_j``."""
    n = len(activity)
    return [gain * sum(min(links[j][i], 1.0) * activity[j] for j in range(n)) for i in range(n)]


def mix(activity: Vector, patterns: list[Vector]) -> Vector:
    """``Σ_i a_i v_i``."""
    return [sum(a * one[j] for a, one in zip(activity, patterns, strict=True)) for j in range(len(patterns[0]))]


def cue_energy(name: str, keys: list[Vector], cue: Vector, known: list[bool] | None) -> float:
    """``½‖q‖²/σ²`` for dot, 0 for the others."""
    if name != "dot":
        return 0.0
    _, power = moments(keys)
    entries = [j for j in range(len(cue)) if known is None or known[j]]
    return 0.5 * sum(cue[j] ** 2 for j in entries) / (sum(power[j] for j in entries) or 1.0)


def recall(
    keys: list[Vector],
    values: list[Vector],
    ln_s: Vector,
    cue: Vector,
    known: list[bool] | None = None,
    *,
    name: str = "euclidean",
    separation: str = "softmax",
    beta: float = 2000.0,
    delta: float = 0.002,
    links: list[Vector] | None = None,
    gain: float = 0.0,
    steps: int = 1,
) -> Parts:
    """Recall one cue."""
    n, d = len(keys), len(cue)
    cue = [cue[j] if known is None or known[j] else 0.0 for j in range(d)]
    fit = [similarity(name, keys, key, cue, known) for key in keys]
    faded = prior(ln_s, fit.index(max(fit)), beta, delta) if delta > 0 else [0.0] * n
    bare = [beta * fit[i] + faded[i] for i in range(n)]
    linked = [0.0] * n
    if links is not None and gain > 0:
        linked = associate(links, SEPARATIONS[separation](bare), gain)
    evidence = [bare[i] + linked[i] for i in range(n)]
    probability = activity = SEPARATIONS[separation](evidence)
    energy = beta * cue_energy(name, keys, cue, known) - conjugate(separation, evidence)
    state, taken = cue, 1
    while taken < steps and max(activity) < 1.0:  # one memory alone is the answer
        new = mix(activity, keys)
        if known is not None:
            new = [cue[j] if known[j] else new[j] for j in range(d)]
        if max(abs(x - y) for x, y in zip(new, state, strict=True)) <= RESOLUTION * max(abs(x) for x in new):
            break
        state = new
        bare = [beta * similarity(name, keys, key, state, None) for key in keys]
        activity = SEPARATIONS[separation](bare)
        energy = beta * cue_energy(name, keys, state, None) - conjugate(separation, bare)
        taken += 1
    return Parts(
        fit, [beta * x for x in fit], faded, linked, evidence, probability, mix(activity, values), energy, taken
    )

"""The article, reproduced: its worked example, its program, and the same experiment under every rule."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.arrays import check_integer
from mossy.lab.article_figure import draw_weights
from mossy.lab.figures import Out, as_folder, save
from mossy.network import Network
from mossy.plasticity import RULES, Difference, Rule, as_rule
from mossy.synapses import Synapses

__all__ = ["Article", "Limits", "Run", "Storage", "WorkedExample", "article"]

Floats = NDArray[np.float64]

RATE = 0.1  # the article's α
NEURONS, PATTERNS = 100, 10  # a load of .10, which Hebb's rule still holds
ACTIVATION = {"bipolar": "sign", "binary": "step", "real": "sign"}


@dataclass(frozen=True)
class WorkedExample:
    """The article's section 4.3: activities and weights after one step."""

    a_i: float
    a_j: float
    w_ij: float
    w_ji: float

    @property
    def identical(self) -> bool:
        """Whether every number is the article's."""
        return self == WorkedExample(a_i=0.2, a_j=0.2, w_ij=0.2, w_ji=0.0)


@dataclass(frozen=True)
class Run:
    """The article's program under one rule.

    Attributes
    ----------
    rule
        The name of the rule.
    weights
        ``(epochs + 1, 2, 2)``: at the start and after each epoch.
    largest_change
        The largest change of any weight from the start, at any epoch.
    """

    rule: str
    weights: Floats
    largest_change: float


@dataclass(frozen=True)
class Storage:
    """Whether a rule stores: random patterns are written, then each is recalled from half of it.

    Attributes
    ----------
    rule
        The name of the rule.
    alphabet
        What the patterns were made of: ``"bipolar"`` or ``"binary"``.
    once, entries_once
        The share of the patterns that came back without one wrong entry, and of the covered entries that came
        back right (chance is .5), each pattern written once.
    often, entries_often
        The same, each pattern written once an epoch.
    """

    rule: str
    alphabet: str
    once: float
    entries_once: float
    often: float
    entries_often: float


@dataclass(frozen=True)
class Limits:
    """What the article's rule cannot do, measured.

    Attributes
    ----------
    asymmetry
        The largest ``|w_ij + w_ji|`` after writing random activities: 0 means antisymmetric weights.
    both_fire
        The largest change of a weight when all neurons fire.
    growth
        The largest weight after so many writes of the same pair of activities, 1 and 0.
    rank
        The rank of all weights after writing the random patterns of ``Storage``.
    """

    asymmetry: float
    both_fire: float
    growth: dict[int, float]
    rank: int


@dataclass(frozen=True)
class Article:
    """What ``article()`` found."""

    worked: WorkedExample
    program: Run
    runs: tuple[Run, ...]
    storage: tuple[Storage, ...]
    limits: Limits
    seed: int
    figures: tuple[Path, ...] = field(default=())

    def as_dict(self) -> dict[str, Any]:
        """Return it as numbers, strings, lists and dicts, for JSON."""
        return {
            "worked": {**asdict(self.worked), "identical": self.worked.identical},
            "program": _as_dict(self.program),
            "runs": [_as_dict(run) for run in self.runs],
            "storage": [asdict(one) for one in self.storage],
            "limits": {**asdict(self.limits), "growth": {str(n): w for n, w in self.limits.growth.items()}},
            "seed": self.seed,
            "figures": [str(path) for path in self.figures],
        }


def article(out: Out | None = None, seed: int = 0, epochs: int = 10, repeats: int = 1) -> Article:
    """Reproduce the article: its worked example, its program as written, and the same under every rule.

    Parameters
    ----------
    out
        A folder for the figure ``article-weights.png``. None draws nothing.
    seed
        For the first weights of the program, drawn from uniform(0, 1) as in the article, and the patterns.
    epochs
        How often everything is shown; the article's 10 unless set.
    repeats
        Over how many sets of random patterns the storage is averaged.

    Raises
    ------
    InvalidParameter
        ``out`` cannot be written, or a number is outside its range.
    MissingExtra
        ``out`` is set, and Matplotlib is not installed.
    """
    seed = check_integer(seed, "article.seed", 0)
    epochs = check_integer(epochs, "article.epochs", 1)
    repeats = check_integer(repeats, "article.repeats", 1)
    folder = None if out is None else as_folder(out)
    runs = tuple(run_program(rule, seed, epochs) for rule in RULES)
    storage = tuple(_storage(rule, seed, epochs, repeats) for rule in RULES)
    figures: tuple[Path, ...] = ()
    if folder is not None:
        weights = {run.rule: run.weights for run in runs}
        kept = {one.rule: one.once for one in storage}
        figures = (save(draw_weights(weights, kept), folder, "article-weights.png"),)
    return Article(worked_example(), runs[0], runs, storage, _limits(seed), seed, figures)


def worked_example() -> WorkedExample:
    """Compute the article's example: ``w_ij = 0.2, w_ji = 0``, input 1 and 0, identity, ``α = 0.1``."""
    i, j = 0, 1
    network = Network(2, "identity", Difference(rate=RATE), law=None, weights=[[0.0, 0.2], [0.0, 0.0]])
    each = np.zeros((2, 2, 2))
    each[:, i, j] = 1.0  # for both neurons x_i comes over w_ij, and x_j, which is 0, over w_ji
    network.step_2_input(per_synapse=each)
    activity = network.step_3_activate()
    network.step_4_adjust()
    w = network.synapses.weights
    return WorkedExample(float(activity[i]), float(activity[j]), float(w[i, j]), float(w[j, i]))


def run_program(rule: str, seed: int = 0, epochs: int = 10) -> Run:
    """Run the article's program under a rule; ``"difference"`` is the program as written.

    2 neurons, sigmoid; for each pair (i, j) both get the input 1 if i = j, else 0, over the same synapses.
    The activity of the two is what comes before and after the synapses; a rule with a rate gets ``α``.
    """
    first = np.random.default_rng(seed).uniform(0, 1, (2, 2))
    network = Network(2, "sigmoid", _at_rate(rule), law=None, weights=first, self_connections=True)
    weights = [first]
    for _ in range(epochs):
        for i in range(2):
            for j in range(2):
                network.step_2_input(per_synapse=np.full((2, 2, 2), float(i == j)))
                network.step_3_activate()
                network.step_4_adjust()
        weights.append(network.synapses.weights)
    history = np.stack(weights)
    return Run(rule, history, float(np.abs(history - first).max()))


def _at_rate(name: str) -> Rule:
    rule = RULES[name]
    return rule(rate=RATE) if "rate" in rule.__dataclass_fields__ else rule()  # type: ignore[call-arg, attr-defined]


def _storage(name: str, seed: int, epochs: int, repeats: int) -> Storage:
    """Write random patterns once, and as often as the program does; recall each from its first half."""
    rule = as_rule(name)
    known = np.arange(NEURONS) < NEURONS // 2
    right: list[list[NDArray[np.bool_]]] = [[], []]
    for repeat in range(repeats):
        patterns = _patterns(rule, np.random.default_rng([seed, repeat]))
        network = Network(NEURONS, ACTIVATION[rule.alphabet], rule, law=None)
        for times, results in zip((1, epochs - 1), right, strict=True):
            for _ in range(times):
                network.store(patterns)
            results.append((network.recall(patterns, known) == patterns)[:, ~known])
    shares = [
        float(share) for results in map(np.concatenate, right) for share in (results.all(axis=1).mean(), results.mean())
    ]
    return Storage(name, "binary" if rule.alphabet == "binary" else "bipolar", *shares)


def _patterns(rule: Rule, random: np.random.Generator) -> Floats:
    """Return patterns in which half of the neurons fire."""
    fires = random.permuted(np.tile(np.arange(NEURONS) % 2, (PATTERNS, 1)), axis=1).astype(np.float64)
    return fires if rule.alphabet == "binary" else 2 * fires - 1


def _limits(seed: int) -> Limits:
    rule = Difference(rate=RATE)
    random = np.random.default_rng(seed)
    network = Network(NEURONS, "sign", rule, law=None)
    network.store(random.uniform(0, 1, (PATTERNS, NEURONS)))
    w = network.synapses.weights
    stored = Network(NEURONS, "sign", rule, law=None)
    stored.store(_patterns(rule, random))
    firing = Network(NEURONS, "sign", rule, law=None)
    firing.store(np.ones(NEURONS))
    growth = {}
    pair = Synapses(2, rule=rule)
    for n in range(1, 1001):
        pair.write([1.0, 0.0], [1.0, 0.0])
        if n in (10, 100, 1000):
            growth[n] = float(np.round(np.abs(pair.weights).max(), 12))
    return Limits(
        asymmetry=float(np.abs(w + w.T).max()),
        both_fire=float(np.abs(firing.synapses.weights).max()),
        growth=growth,
        rank=int(np.linalg.matrix_rank(stored.synapses.weights)),
    )


def _as_dict(run: Run) -> dict[str, Any]:
    return {"rule": run.rule, "largest_change": run.largest_change, "weights": run.weights.tolist()}

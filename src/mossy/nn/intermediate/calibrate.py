"""How near is near enough: the largest tolerance at which false hits are rare, for certain enough."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import final

import numpy as np
import torch
from torch import Tensor

from mossy.arrays import check_number, choose
from mossy.errors import InvalidInput, InvalidShape
from mossy.nn.intermediate.near import differences, leaders
from mossy.nn.tensors import check_shape

__all__ = ["ToleranceCalibration", "as_differs", "calibrated", "margins", "upper_bound"]

Differs = Callable[[Tensor, Tensor], Tensor]

CANDIDATES = 20  # tolerances that are tried
UNSURE = (0.05, 0.1, 0.2, 0.4)  # parts of the outputs that do not stand for others


@final
@dataclass(frozen=True)
class ToleranceCalibration:
    """What a calibration found.

    Attributes
    ----------
    tolerance
        The r.m.s. difference of inputs up to which a stored output stands for another.
    margin
        By how much the greatest entry of an output must exceed the next for it to stand for others.
    near_hits, false_hits
        How many inputs of the calibration were near to an earlier one, and of how many of these the output differs.
    bound
        The rate of false hits among near hits is at most this, with the stated confidence.
    rate, confidence
        What was asked for.
    """

    tolerance: float
    margin: float
    near_hits: int
    false_hits: int
    bound: float
    rate: float
    confidence: float


def upper_bound(false: int, n: int, confidence: float) -> float:
    """Return the upper bound of a rate of which ``false`` in ``n`` were seen (Clopper & Pearson 1934, one-sided).

    It is the p at which ``P(X ≤ false) = 1 - confidence`` for binomial X (doi:10.1093/biomet/26.4.404).
    """
    if false >= n:
        return 1.0
    k = np.arange(false + 1)
    ways = math.lgamma(n + 1) - np.array([math.lgamma(i + 1) + math.lgamma(n - i + 1) for i in range(false + 1)])
    low, high = false / n, 1.0
    for _ in range(60):
        p = (low + high) / 2
        if np.logaddexp.reduce(ways + k * math.log(p) + (n - k) * math.log1p(-p)) > math.log1p(-confidence):
            low = p
        else:
            high = p
        if high - low <= 1e-12 * high:
            break
    return high


def margins(outputs: Tensor) -> Tensor:
    """Return by how much the greatest entry of the last axis exceeds the next ``(n,)``, the least over other axes."""
    if not outputs.dim() > 1 or outputs.shape[-1] < 2 or not outputs.numel():
        return torch.full((len(outputs),), torch.inf)
    top = outputs.float().topk(2, -1).values
    least: Tensor = (top[..., 0] - top[..., 1]).reshape(len(outputs), -1).amin(1)
    return least


def calibrated(
    inputs: Tensor, outputs: Tensor, differs: Differs, rate: float, confidence: float, by_margin: bool
) -> ToleranceCalibration:
    """Return the tolerance and margin with the most near hits whose bound is at most ``rate``.

    20 tolerances are tried, each with 5 margins (0 and such that 5, 10, 20 and 40 % of the outputs do not stand for
    others), or with 0 only. For each, the inputs are taken in order, as ``memoize`` would: a later one is a near hit if
    a stored one is near enough, and is stored if not. The bounds hold for all of them together (Bonferroni).

    Parameters
    ----------
    inputs, outputs
        ``(n, d)`` and ``(n, ...)``, of inputs that are all different.

    Raises
    ------
    InvalidInput
        There is none. Then more inputs, or a higher rate, are needed.
    InvalidShape
        Margins are asked for, and outputs have no classes.
    """
    if by_margin and (outputs.dim() < 2 or outputs.shape[-1] < 2):
        raise InvalidShape(
            f"Memoized.calibrate: the module returned shape {tuple(outputs.shape)}; (n, ..., k) of k ≥ 2 classes is "
            "allowed with differs='argmax'. Give a number, such as differs=0.1, or a function."
        )
    finite = inputs.isfinite().all(1)
    inputs, outputs = inputs[finite], outputs[finite]  # the others are near to nothing
    apart = differences(inputs)
    nearest = np.array([row[:i].min() for i, row in enumerate(apart) if i])
    sure = margins(outputs).cpu().numpy()
    least = [0.0, *np.quantile(sure, UNSURE).tolist()] if by_margin and len(sure) else [0.0]
    each = 1 - (1 - confidence) / (CANDIDATES * len(least))
    fewest = math.ceil(math.log1p(-each) / math.log1p(-rate))  # near hits without a false one
    best: ToleranceCalibration | None = None
    candidates = np.quantile(nearest, np.linspace(1 / CANDIDATES, 1, CANDIDATES)).tolist() if len(nearest) else []
    most = 0
    for tolerance, margin in itertools.product(candidates, least):
        first = leaders(apart, tolerance, sure >= margin)
        new = [i for i, one in enumerate(first) if one != i]
        most = max(most, len(new))
        if len(new) < max(fewest, best.near_hits + 1 if best else 0):
            continue
        false = int(differs(outputs[new], outputs[[first[i] for i in new]]).sum())
        bound = upper_bound(false, len(new), each)
        if bound <= rate:
            best = ToleranceCalibration(tolerance, margin, len(new), false, bound, rate, confidence)
    if best is None:
        raise InvalidInput(
            f"Memoized.calibrate: no tolerance has at most {rate:g} false hits with confidence {confidence:g} on "
            f"{len(inputs)} different inputs, of which up to {most} were near to another; at least {fewest} near "
            "hits are needed, none of them false. Give more inputs as they come, repeats included, or a higher rate."
        )
    return best


def _argmax(true: Tensor, found: Tensor) -> Tensor:
    others: Tensor = torch.ne(true.argmax(-1), found.argmax(-1))
    differ: Tensor = others.reshape(len(true), -1).any(1)
    return differ


DIFFERS: dict[str, Differs] = {"argmax": _argmax}


def as_differs(given: str | float | Differs) -> Differs:
    """Return the function that says which outputs differ.

    ``"argmax"``: another greatest entry of the last axis. A number: ``‖a - b‖ > given · ‖a‖`` for the true output a.
    A function of true and found outputs ``(n, ...)`` returns ``(n,)`` booleans.
    """
    if isinstance(given, str):
        return choose(DIFFERS, given, "differs")
    if callable(given):
        own = given

        def checked(true: Tensor, found: Tensor) -> Tensor:
            said = own(true, found)
            return check_shape(torch.as_tensor(said).bool(), "differs: what it returned", (len(true),))

        return checked
    change = check_number(given, "differs", 0.0)

    def beyond(true: Tensor, found: Tensor) -> Tensor:
        true, found = true.reshape(len(true), -1).float(), found.reshape(len(found), -1).float()
        within: Tensor = (true - found).norm(dim=1) <= change * true.norm(dim=1)
        return ~within  # NaN differs, too

    return beyond

"""The law of ``attach``: what memories vote for, how it is mixed into a model's predictions, and by how much."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["TEMPERATURES", "Calibration", "calibrated", "mixture", "votes"]

TEMPERATURES = tuple(10.0 ** (exponent / 4) for exponent in range(-14, 3))  # in units of similarity
MOST = 0.99  # of the weight of memory: what nobody voted for keeps a probability
LEAST_IN_BIN = 50  # predictions by which the weight of a degree of familiarity is set
HALVINGS = 40  # of the interval in which a weight lies


def votes(fit: Tensor, targets: Tensor, temperature: float | Tensor, classes: int) -> Tensor:
    r"""Return the probability of each class by what was recalled.

    .. math::  p_\text{mem}(y) = \sum_{i : y_i = y} \text{softmax}(f / T)_i

    Parameters
    ----------
    fit
        ``f (n, k)``: how well each recalled memory fits.
    targets
        ``y (n, k)``: the class that it was stored with.
    temperature
        ``T``, above 0.
    classes
        How many there are.

    Returns
    -------
    tensor
        ``(n, classes)``.

    References
    ----------
    Khandelwal et al. (2020), Generalization through memorization, ICLR, arXiv:1911.00172, section 2.
    """
    shares = (fit / temperature).softmax(-1)
    return shares.new_zeros(len(fit), classes).scatter_add_(1, targets, shares)


def mixture(log_model: Tensor, memory: Tensor, weight: Tensor) -> Tensor:
    r"""Return ``ln p (n, classes)`` of ``p = λ p_mem + (1 − λ) p_model``.

    Parameters
    ----------
    log_model
        ``ln p_model (n, classes)``, finite.
    memory
        ``p_mem (n, classes)``.
    weight
        ``λ (n,)``, from 0 to below 1.
    """
    share = weight[:, None]
    return torch.logaddexp(log_model + torch.log1p(-share), torch.log(share * memory))


@dataclass(frozen=True)
class Calibration:
    """What ``calibrate`` chose, and what it brings on the data that it was chosen on.

    Attributes
    ----------
    weights
        ``λ`` by familiarity, the least familiar first: a mean of 0 would say that the memory does not help.
    temperature
        ``T``.
    before, after
        Mean negative log-likelihood of the model alone, and with memory, in nats.
    n
        Predictions that were looked at.
    """

    weights: tuple[float, ...]
    temperature: float
    before: float
    after: float
    n: int


def calibrated(log_true: Tensor, fit: Tensor, right: Tensor, bins: int) -> tuple[Calibration, Tensor]:
    r"""Return the temperature and the weights of least loss, and the degrees of familiarity between which they change.

    .. math::  \min_{T, λ} \; -\sum_n \ln\bigl(λ_{b(n)}\, p_\text{mem}(y_n) + (1 - λ_{b(n)})\, p_\text{model}(y_n)\bigr)

    ``b(n)`` is the bin of the best fit among bins of equal numbers. For each ``T`` of ``TEMPERATURES`` this is convex
    in every ``λ``, whose slope is halved to its zero.

    Parameters
    ----------
    log_true
        ``ln p_model(y) (n,)`` of the true class.
    fit, right
        ``(n, k)``: how well each memory fits, best first, and whether it votes for the true class.
    bins
        How many weights there are; with few data, neighbours are alike.

    References
    ----------
    A weight for each degree of similarity: Drozdov et al. (2022), You can't pick your neighbors, or can you?, Findings
    of EMNLP, arXiv:2210.15859, section 4.
    """
    n = len(log_true)
    used = min(bins, max(n // LEAST_IN_BIN, 1))
    best = fit[:, 0].contiguous()
    shares = torch.arange(1, bins, device=fit.device, dtype=fit.dtype) / bins
    if used < bins:
        shares = torch.floor(shares * used) / used
    edges = torch.quantile(best[:: max(n // 100_000, 1)], shares)
    edges = torch.where(shares > 0, edges, -math.inf)
    place = torch.bucketize(best, edges)
    model = log_true.double().exp()
    found = []
    for temperature in TEMPERATURES:
        memory = ((fit.double() / temperature).softmax(-1) * right).sum(-1)
        weights = _weights(model, memory, place, bins)
        share = weights[place]
        loss = -torch.log(share * memory + (1 - share) * model).mean().item()
        found.append((loss, temperature, weights))
    loss, temperature, weights = min(found, key=lambda one: one[0])
    return Calibration(tuple(weights.tolist()), temperature, -log_true.double().mean().item(), loss, n), edges


def _weights(model: Tensor, memory: Tensor, place: Tensor, bins: int) -> Tensor:
    """Return the weight of each bin at which the slope of the likelihood is 0, or the nearest that is allowed.

    A bin that holds nothing has the weight of what lies below it.
    """
    low, high = model.new_zeros(bins), model.new_full((bins,), MOST)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        share = middle[place]
        slope = (memory - model) / (share * memory + (1 - share) * model).clamp_min(math.ulp(0.0))
        rises = model.new_zeros(bins).index_add_(0, place, slope) > 0
        low, high = torch.where(rises, middle, low), torch.where(rises, high, middle)
    weights = (low + high) / 2
    filled = torch.bincount(place, minlength=bins) > 0
    for b in range(bins):
        if not filled[b]:
            weights[b] = weights[b - 1] if b else weights[filled][0]
    return weights

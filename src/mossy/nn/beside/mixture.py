"""The law of ``attach``: what memories vote for, how it is mixed into a model's predictions, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MOST", "TEMPERATURES", "MixtureCalibration", "calibrated", "mixture", "votes", "weight_of"]

TEMPERATURES = tuple(10.0 ** (exponent / 4) for exponent in range(-14, 3))  # in units of similarity
MOST = 0.99  # of the weight of memory: what nobody voted for keeps a probability
STEPS = 50  # of the search for slope and offset
TINY = 1e-300


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
    behind = fit - fit.amax(-1, keepdim=True)  # the best by 0, whatever T is rounded to
    shares = (behind / temperature).masked_fill(behind == 0, 0.0).softmax(-1)
    return shares.new_zeros(len(fit), classes).scatter_add_(1, targets, shares)


def mixture(log_model: Tensor, memory: Tensor, weight: Tensor) -> Tensor:
    r"""Return ``ln p (n, classes)`` of ``p = λ p_mem + (1 − λ) p_model``.

    Parameters
    ----------
    log_model
        ``ln p_model (n, classes)``; −inf for what a model rules out.
    memory
        ``p_mem (n, classes)``.
    weight
        ``λ (n,)``, from 0 to below 1: ``weight_of`` a familiarity.
    """
    share = weight[:, None]
    ruled_out = (log_model == -torch.inf) & (share * memory == 0)  # by both; the gradient of ln 0 would be NaN
    known = log_model.masked_fill(ruled_out, 0.0) + torch.log1p(-share)
    return torch.logaddexp(known, torch.log(share * memory)).masked_fill(ruled_out, -torch.inf)


@dataclass(frozen=True)
class MixtureCalibration:
    """What ``calibrate`` chose, and what it brings on the data that it was chosen on.

    Attributes
    ----------
    slope, offset
        Of ``λ = .99 σ(slope · f + offset)``, with the fit ``f`` of the best memory: how much the memory counts.
    temperature
        ``T``.
    weight
        The mean of ``λ``: 0 would say that the memory does not help.
    before, after
        Mean negative log-likelihood of the model alone, and with memory, in nats.
    n
        Predictions that were looked at.
    """

    slope: float
    offset: float
    temperature: float
    weight: float
    before: float
    after: float
    n: int


@torch.inference_mode(False)  # the search needs gradients
def calibrated(log_true: Tensor, fit: Tensor, right: Tensor, adaptive: bool = True) -> MixtureCalibration:
    r"""Return what brings the least loss.

    .. math::  \min_{T, a, b} \; -\sum_n \ln\bigl(λ_n\, p_\text{mem}(y_n) + (1 - λ_n)\, p_\text{model}(y_n)\bigr)
               + \tfrac12 \tilde a^2, \qquad λ_n = .99\, σ(a f_n + b)

    for each ``T`` of ``TEMPERATURES``. ``ã`` is the slope for one standard deviation of ``f``: few data do not make it
    steep.

    Parameters
    ----------
    log_true
        ``ln p_model(y) (n,)`` of the true class.
    fit, right
        ``(n, k)``: how well each memory fits, best first, and whether it votes for the true class.
    adaptive
        False holds ``a`` at 0.

    References
    ----------
    A weight by the similarity of what is found: Drozdov et al. (2022), You can't pick your neighbors, or can you?,
    Findings of EMNLP, arXiv:2210.15859, section 4, in steps instead of a curve.
    """
    model, wide = log_true.double().exp(), fit.double()
    best = wide[:, 0]
    centre, scale = best.mean(), best.std(correction=0).clamp_min(1e-9)
    given = torch.stack([(best - centre) / scale, torch.ones_like(best)], 1)
    found = []
    for temperature in TEMPERATURES:
        memory = ((wide / temperature).softmax(-1) * right).sum(-1)
        found.append((*_least(given, memory, model, adaptive), temperature))
    after, weights, temperature = min(found, key=lambda one: one[0])
    slope = float(weights[0] / scale)
    return MixtureCalibration(
        slope=slope,
        offset=float(weights[1]) - slope * float(centre),
        temperature=temperature,
        weight=weight_of(given @ weights).mean().item(),
        before=-log_true.double().mean().item(),
        after=after,
        n=len(log_true),
    )


@torch.enable_grad()
def _least(given: Tensor, memory: Tensor, model: Tensor, adaptive: bool) -> tuple[float, Tensor]:
    """Return the least loss, and the slope and the offset that bring it, for ``given (n, 2)``: a fit, and 1."""
    free = torch.tensor([1.0 if adaptive else 0.0, 1.0], dtype=given.dtype)
    weights = torch.zeros_like(free, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        share = weight_of(given @ (weights * free))
        return -torch.log((share * memory + (1 - share) * model).clamp_min(TINY)).mean()

    def closure() -> Tensor:
        optimizer.zero_grad()
        total = loss() + weights[0].square() / (2 * len(given))
        torch.autograd.backward(total)
        return total

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return loss().item(), (weights * free).detach()


def weight_of(evidence: Tensor) -> Tensor:
    """Return ``λ``, from 0 to .99, of ``slope · f + offset``."""
    return MOST * torch.sigmoid(evidence)

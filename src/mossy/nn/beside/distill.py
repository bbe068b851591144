"""distill: move what a memory adds into the weights of a model."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.arrays import check_integer, check_number
from mossy.errors import InvalidDtype, InvalidInput, InvalidShape
from mossy.nn.beside.attach import IGNORED, Attached, check_evaluates, check_targets, flat_targets, inputs_of, pair
from mossy.nn.parts import mode

__all__ = ["Distilled", "Score", "distill", "score", "widen"]

Batches = Iterable[Any]
Lesson = tuple[tuple[Any, ...], Tensor | None, tuple[Tensor, Tensor] | None]  # inputs, what counts, what is recalled


@dataclass(frozen=True)
class Score:
    """How well a model predicts: mean negative log-likelihood in nats, accuracy, and how many predictions."""

    loss: float
    accuracy: float
    n: int


@dataclass(frozen=True)
class Distilled:
    """A model that learned from another and its memory, and how much of the gain it kept.

    Attributes
    ----------
    model
        The student, in evaluation mode.
    divergence
        Mean ``KL(p ‖ p_student)`` of each epoch, in nats.
    before, memory, after
        The score of the model alone, with its memory, and of the student, on ``test``; None without it.
    """

    model: nn.Module
    divergence: tuple[float, ...]
    before: Score | None = None
    memory: Score | None = None
    after: Score | None = None

    @property
    def kept(self) -> float:
        """The part of the gain in loss that was kept: 1 is all of it; NaN without ``test``, or without a gain."""
        return self._kept(lambda one: -one.loss)

    @property
    def kept_accuracy(self) -> float:
        """The part of the gain in accuracy that was kept."""
        return self._kept(lambda one: one.accuracy)

    def _kept(self, value: Callable[[Score], float]) -> float:
        if self.before is None or self.memory is None or self.after is None:
            return float("nan")
        gain = value(self.memory) - value(self.before)
        return (value(self.after) - value(self.before)) / gain if gain > 0 else float("nan")


def distill(
    attached: Attached,
    data: Batches,
    *,
    student: nn.Module | None = None,
    test: Iterable[tuple[Any, Tensor]] | None = None,
    epochs: int = 3,
    lr: float = 1e-3,
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer] | None = None,
    seed: int = 0,
) -> Distilled:
    r"""Teach a model to predict alone what another predicts with its memory.

    .. math::  \min_w \sum_x \mathrm{KL}\bigl(p(\cdot | x) \,\Vert\, p_w(\cdot | x)\bigr), \qquad
               p = λ\, p_\text{mem} + (1 - λ)\, p_\text{model}

    What was distilled is in the weights: to forget it in the memory does not take it out of them.

    Parameters
    ----------
    attached
        The teacher, in evaluation mode; it is not changed, and nothing in its memory is reinforced.
    data
        Batches ``x`` or ``(x, y)``; of ``y`` only −100 counts, which leaves positions out. No targets are needed: for
        what was stored, the memory tells the target; for other data it tells what it is like. They are iterated and
        held in memory once, with what they recall; every epoch learns them in another order.
    student
        What learns; a copy of the teacher's model unless given. It returns as many classes as the teacher; ``widen``
        makes room for new ones. It learns in training mode; if it is in training mode already, parts of it that are in
        evaluation mode stay so. It shares no part with the teacher's model.
    test
        Batches ``(x, y)`` on which the teacher is scored before, and the student after.
    epochs
        At least 1.
    lr
        The rate of Adam, above 0.
    optimizer
        From parameters to an optimizer, instead of Adam.
    seed
        Of the order.

    Returns
    -------
    Distilled

    Raises
    ------
    InvalidInput, InvalidShape, InvalidDtype, InvalidParameter

    References
    ----------
    Hinton, Vinyals and Dean (2015), Distilling the knowledge in a neural network, arXiv:1503.02531, section 2, at
    temperature 1.
    """
    if not isinstance(attached, Attached):
        raise InvalidDtype(f"distill.attached: {type(attached).__name__} was given; what attach() returns is allowed.")
    check_evaluates(attached.model, "distill: a part of the teacher")
    epochs = check_integer(epochs, "distill.epochs", 1)
    rate = check_number(lr, "distill.lr", 0.0, open_low=True)
    random = np.random.default_rng(check_integer(seed, "distill.seed", 0))
    learner = attached.copy_of_model() if student is None else _check_apart(student, attached.model)
    steps = torch.optim.Adam(learner.parameters(), rate) if optimizer is None else optimizer(learner.parameters())
    lessons = [_lesson(attached, batch) for batch in data]
    batches = None if test is None else list(test)
    before = None if batches is None else score(attached.model, batches, attached)
    memory = None if batches is None else score(attached, batches)
    with mode(learner, training=True):
        divergence = tuple(
            _epoch(attached, learner, [lessons[i] for i in random.permutation(len(lessons))], steps)
            for _ in range(epochs)
        )
    learner.eval()
    after = None if batches is None else score(learner, batches, attached)
    return Distilled(learner, divergence, before, memory, after)


def _check_apart(student: object, teacher: nn.Module) -> nn.Module:
    """Return a student that shares neither a part nor a tensor with its teacher."""
    if not isinstance(student, nn.Module):
        raise InvalidDtype(f"distill.student: {type(student).__name__} was given; a torch.nn.Module is allowed.")
    if _parts_and_numbers(student) & _parts_and_numbers(teacher):
        raise InvalidInput(
            "distill.student: it shares parts with the teacher's model, which would change while it teaches. Make it "
            "of parts of attached.copy_of_model()."
        )
    return student


def _parts_and_numbers(model: nn.Module) -> set[tuple[str, int]]:
    """Return what says which modules these are, and where their numbers lie."""
    numbers = [*model.parameters(), *model.buffers()]
    places = {one.untyped_storage().data_ptr() for one in numbers if one.layout == torch.strided} - {0}
    return {("part", id(part)) for part in model.modules()} | {("numbers", place) for place in places}


@torch.no_grad()
def _lesson(attached: Attached, batch: Any) -> Lesson:
    """Return the model's inputs, which positions count, and what is recalled."""
    x, y = _inputs(batch)
    logits, cues = attached.run(*x)
    wanted = None if y is None else flat_targets(y, logits, "distill.data: y") != IGNORED
    return x, wanted, attached.recalled_by(cues, attached.outputs(logits))


def _epoch(attached: Attached, learner: nn.Module, lessons: list[Lesson], steps: torch.optim.Optimizer) -> float:
    """Learn each batch once, and return the mean divergence."""
    total, n = 0.0, 0
    for x, wanted, recalled in lessons:
        with torch.no_grad():
            target = attached.mixed(attached.logits_of(attached.model(*x)), recalled)
        out = attached.logits_of(learner(*x))
        if out.shape != target.shape:
            raise InvalidShape(
                f"distill.student: logits of shape {tuple(out.shape)} came back; the teacher's are "
                f"{tuple(target.shape)}. widen(head, classes) gives a head more outputs."
            )
        log_p, log_q = target.flatten(0, -2).float(), F.log_softmax(out.flatten(0, -2).float(), -1)
        if wanted is not None:
            log_p, log_q = log_p[wanted], log_q[wanted]
        if not len(log_p):
            continue
        loss = divergence_of(log_p, log_q)
        steps.zero_grad()
        torch.autograd.backward(loss)
        steps.step()
        total, n = total + loss.item() * len(log_p), n + len(log_p)
    if not n:
        raise InvalidInput("distill.data: no example was given; give batches x or (x, y).")
    return total / n


def divergence_of(log_p: Tensor, log_q: Tensor) -> Tensor:
    r"""Return the mean of ``KL(p ‖ q) = Σ p (ln p − ln q)`` over ``ln p, ln q (n, classes)``; ``0 ln 0`` is 0."""
    ruled_out = log_p == -torch.inf
    return (log_p.exp() * (log_p - log_q).masked_fill(ruled_out, 0.0)).sum() / len(log_p)


def _inputs(batch: Any) -> tuple[tuple[Any, ...], Any]:
    """Return the model's inputs, and targets, if there are any."""
    if isinstance(batch, Tensor):
        return (batch,), None
    x, y = (batch[0], None) if isinstance(batch, tuple | list) and len(batch) == 1 else pair(batch, "distill.data")
    return inputs_of(x), y


@torch.no_grad()
def score(model: nn.Module, data: Iterable[tuple[Any, Tensor]], attached: Attached | None = None) -> Score:
    """Return how well a model predicts ``y`` of batches ``(x, y)``; −100 is left out, and nothing is reinforced.

    Classes that the model does not know count as they do in a mixture with ``attached``, if that is given.
    """
    total, right, n = 0.0, 0, 0
    predict = model.without_trace if isinstance(model, Attached) else model
    for batch in data:
        x, y = pair(batch, "score.data")
        out = predict(*inputs_of(x))
        logits = out if attached is None else attached.logits_of(out)
        flat, targets = logits.flatten(0, -2), flat_targets(y, logits, "score.y")
        kept = targets != IGNORED
        log_p = (F.log_softmax(flat.float(), -1) if attached is None else attached.log_model(flat))[kept]
        targets = targets[kept]
        if not len(targets):
            continue
        check_targets(targets.cpu().numpy(), log_p.shape[1], "score.y")
        total += F.nll_loss(log_p, targets, reduction="sum").item()
        right += int((log_p.argmax(-1) == targets).sum())
        n += len(targets)
    if not n:
        raise InvalidInput("score.data: no example was given; give batches (x, y).")
    return Score(total / n, right / n, n)


def widen(head: nn.Linear, outputs: int) -> nn.Linear:
    """Return a copy of a head with more outputs: the new ones start without weights, at the least bias.

    Raises
    ------
    InvalidDtype, InvalidParameter
    """
    if not isinstance(head, nn.Linear):
        raise InvalidDtype(f"widen.head: {type(head).__name__} was given; a torch.nn.Linear is allowed.")
    outputs = check_integer(outputs, "widen.outputs", head.out_features)
    wide = copy.deepcopy(head)
    more = outputs - head.out_features
    wide.out_features = outputs
    wide.weight = nn.Parameter(F.pad(head.weight.detach(), (0, 0, 0, more)))
    if head.bias is not None:
        least = head.bias.detach().min()
        wide.bias = nn.Parameter(torch.cat([head.bias.detach(), least.expand(more)]))
    return wide

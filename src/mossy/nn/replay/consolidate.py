"""Training a slow network from a fast memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import EmptyMemory, InvalidDtype, InvalidParameter, InvalidShape
from mossy.memory import Memory
from mossy.memory.results import Replay
from mossy.nn.parts import mode
from mossy.nn.replay.drive import MATCH
from mossy.nn.replay.losses import Loss, each_loss, matching
from mossy.nn.replay.memory import ReplayMemory
from mossy.nn.replay.odds import BY

__all__ = ["consolidate", "experience"]

# of what a memory replays: inputs, targets, logits or None
Experience = tuple[Tensor, Tensor, Tensor | None]
Read = Callable[[Replay], tuple[Tensor, Tensor]]

RATE = 1e-3  # of Adam, where no optimizer is given


def experience(found: Replay) -> tuple[Tensor, Tensor]:
    """Return patterns ``(n, d)`` and what is to be said of them: payloads that are classes, or else the values.

    Raises
    ------
    InvalidDtype
        There are payloads, and they are no integers.
    """
    x = torch.from_numpy(found.patterns)
    if all(payload is None for payload in found.payload):
        return x, torch.from_numpy(found.values)
    if all(isinstance(payload, int | np.integer) for payload in found.payload):
        return x, torch.tensor([int(payload) for payload in found.payload])
    strange = next(payload for payload in found.payload if not isinstance(payload, int | np.integer))
    raise InvalidDtype(
        f"consolidate.memory: a payload of {type(strange).__name__} is held; integers, the classes, are allowed. Give "
        "read=, a function of a Replay that returns inputs and targets."
    )


def consolidate(
    memory: ReplayMemory | Memory,
    model: nn.Module,
    *,
    batches: int = 100,
    batch: int = 32,
    by: str = "surprise",
    loss: Loss = each_loss,
    match: float = MATCH,
    optimizer: torch.optim.Optimizer | None = None,
    anneal: bool = True,
    read: Read = experience,
    seed: int = 0,
) -> Tensor:
    r"""Train a slow network on what a fast memory replays, and return the losses ``(batches,)``.

    .. math::  L = \frac{1}{m}\sum_j \ell(z_j, y_j) + \frac{α}{mk}\sum_j \|z_j - h_j\|^2

    What surprises the network comes more often, and every class equally often. Where outputs ``h`` of the time of
    storing are held, the network is to say them again, so that it does not forget while it learns.

    Parameters
    ----------
    memory
        A ``ReplayMemory``, which is told the losses; or a ``mossy.Memory``, of which nothing is reinforced.
    model
        The network. It learns in training mode, on the device of its parameters, and every part of it is put back into
        its mode. If it is in training mode already, parts of it that are in evaluation mode (frozen) stay so.
    batches, batch
        How many batches, and of how many examples (of all, where fewer are held).
    by
        ``"uniform"`` (of a ``ReplayMemory``), ``"strength"``, or ``"surprise"``.
    loss
        Of outputs and targets, a loss for each ``(m,)``, at least 0; the default is the cross-entropy for classes, and
        the mean squared difference for numbers.
    match
        ``α``, how much stored logits count, at least 0.
    optimizer
        Of the parameters of ``model``; None makes an Adam.
    anneal
        The rate of the optimizer falls to 0 in the course, ``η(1 - t/T)``, so that the network settles; it is put back
        in the end. False leaves it alone.
    read
        Of a ``mossy.Memory``: a function of what it replays that returns inputs and targets. The default takes
        patterns, and payloads as classes, or, where there are none, values.
    seed
        Of what is replayed.

    Raises
    ------
    EmptyMemory, InvalidParameter, UnknownName, InvalidDtype, InvalidShape

    References
    ----------
    J. McClelland, B. McNaughton and R. O'Reilly (1995), doi:10.1037/0033-295X.102.3.419, slow learning from a fast
    memory; P. Buzzega et al. (2020), arXiv:2004.07211, stored outputs.

    Examples
    --------
    >>> import numpy as np, torch, mossy
    >>> from mossy.nn.replay import consolidate
    >>> rng = np.random.default_rng(0)
    >>> memory = mossy.Memory()
    >>> ids = memory.store(rng.normal(size=(100, 8)), payload=[0, 1] * 50)
    >>> losses = consolidate(memory, torch.nn.Linear(8, 2), batches=50)
    >>> bool(losses[-5:].mean() < losses[:5].mean())
    True
    """
    batches = check_integer(batches, "consolidate.batches", 1)
    batch = check_integer(batch, "consolidate.batch", 1)
    match = check_number(match, "consolidate.match", 0)
    anneal = check_flag(anneal, "consolidate.anneal")
    choose(BY, by, "consolidate.by")
    if not isinstance(memory, ReplayMemory | Memory):
        raise InvalidDtype(
            f"consolidate.memory: {type(memory).__name__} was given; a ReplayMemory or a mossy.Memory is allowed."
        )
    if not len(memory):
        raise EmptyMemory("consolidate: the memory holds nothing; store at least one example first.")
    parameters = [p for p in model.parameters() if p.requires_grad]
    if not parameters:
        raise InvalidParameter(f"consolidate.model: {type(model).__name__} has no parameter that learns; give one.")
    step = optimizer or torch.optim.Adam(parameters, lr=RATE)
    device, random = parameters[0].device, np.random.default_rng(check_integer(seed, "consolidate.seed", 0))
    if isinstance(memory, ReplayMemory):
        draw = _of_tensors(memory, batch, by, random)
    else:
        draw = _of_patterns(memory, model, batch, by, loss, read, device, random)
    taken = []
    with mode(model, training=True), _rates(step, put_back=anneal) as rate:
        for turn in range(batches):
            if anneal:
                rate(1 - turn / batches)
            x, y, logits, tell = draw()
            outputs, y = model(x.to(device)), y.to(device)
            each = loss(outputs, y)
            if each.shape != (len(x),):
                raise InvalidShape(
                    f"consolidate.loss: shape {tuple(each.shape)} was returned; ({len(x)},) is allowed, one for each "
                    'example. A loss with reduction="none" has it.'
                )
            total = each.mean()
            if match and logits is not None:
                total = total + match * matching(outputs, logits.to(device))
            step.zero_grad()
            total.backward()  # type: ignore[no-untyped-call]
            step.step()
            tell(each.detach())
            taken.append(total.detach())
    return torch.stack(taken).float().cpu()


@contextmanager
def _rates(optimizer: torch.optim.Optimizer, *, put_back: bool) -> Iterator[Callable[[float], None]]:
    """Have a function that sets the rates to such a part of what they are."""
    rates = [group["lr"] for group in optimizer.param_groups]

    def part(of: float) -> None:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * of

    try:
        yield part
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True) if put_back else ():
            group["lr"] = rate


def _of_tensors(memory: ReplayMemory, batch: int, by: str, random: np.random.Generator) -> Any:
    """Return a function that draws from a memory of examples: x, y, logits, and what to tell the losses."""

    def draw() -> tuple[Tensor, Tensor, Tensor | None, Callable[[Tensor], None]]:
        found = memory.replay(min(batch, len(memory)), by, generator=random)
        return found.x, found.y, found.logits, lambda losses: memory.update(found.ids, losses)

    return draw


def _of_patterns(
    memory: Memory,
    model: nn.Module,
    batch: int,
    by: str,
    loss: Loss,
    read: Read,
    device: torch.device,
    random: np.random.Generator,
) -> Any:
    """Return a function that draws from a memory of patterns, which asks for the surprise itself."""
    if by == "uniform":
        raise InvalidParameter("consolidate.by: 'uniform' was given; of a mossy.Memory 'strength' and 'surprise' are.")

    def surprise(found: Replay) -> Any:
        x, y = read(found)
        with torch.no_grad(), mode(model, training=False):
            return loss(model(x.to(device)), y.to(device)).double().cpu().numpy()

    def draw() -> tuple[Tensor, Tensor, None, Callable[[Tensor], None]]:
        n = min(batch, len(memory))
        found = memory.replay(n, seed=random, surprise=surprise if by == "surprise" else None)
        return *read(found), None, lambda losses: None

    return draw

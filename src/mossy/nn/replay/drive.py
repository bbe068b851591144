"""Letting a network learn a stream together with what a memory holds of it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import EmptyBatch, InvalidDtype, InvalidParameter, InvalidShape
from mossy.nn.replay.losses import LOSSES, check_classes, each_loss, matching
from mossy.nn.replay.memory import Mixed, ReplayMemory
from mossy.nn.replay.odds import BY

__all__ = ["MATCH", "drive", "replay_loss"]

MATCH = 0.5  # α, chosen on a part of the training images of MNIST and Fashion-MNIST


def replay_loss(outputs: Tensor, mixed: Mixed, loss: str = "symmetric", match: float = MATCH) -> tuple[Tensor, Tensor]:
    """Return the loss ``()`` of outputs ``(b + m, ...)`` for a mixed batch, and the losses ``(m,)`` of its old part.

    Parameters
    ----------
    outputs
        What the network says of ``mixed.x``.
    mixed
        What ``ReplayMemory.mix`` returned.
    loss
        Of the new part: ``"symmetric"``, among all classes, or ``"asymmetric"``, among those of the new batch. For
        targets that are numbers, ``"symmetric"`` is the squared difference.
    match
        ``α``, how much the stored logits count, at least 0.

    Raises
    ------
    UnknownName, InvalidParameter, InvalidShape, EmptyBatch
    """
    new_loss = choose(LOSSES, loss, "replay_loss.loss")
    match = check_number(match, "replay_loss.match", 0)
    if len(outputs) != len(mixed.x):
        raise InvalidShape(
            f"replay_loss.outputs: shape {tuple(outputs.shape)} was given; {len(mixed.x)} rows are allowed, one for "
            "each of mixed.x."
        )
    if not mixed.new:
        raise EmptyBatch("replay_loss.mixed: there is no new example in it; give at least one.")
    if mixed.y.is_floating_point():
        if loss != "symmetric":
            raise InvalidParameter(
                f"replay_loss.loss: {loss!r} was given, and targets of {mixed.y.dtype}, which are no classes; "
                "'symmetric' is allowed."
            )
    else:
        check_classes(outputs, mixed.y, "replay_loss")
    new, old = outputs[: mixed.new], outputs[mixed.new :]
    total = new_loss(new, mixed.y[: mixed.new]).mean()
    if not len(old):
        return total, outputs.new_empty(0)
    old_losses = each_loss(old, mixed.y[mixed.new :])
    total = total + old_losses.mean()
    if match and mixed.logits is not None:
        total = total + match * matching(old, mixed.logits)
    return total, old_losses.detach()


def drive(
    memory: ReplayMemory,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    x: Tensor,
    y: Tensor,
    *,
    replay: int | None = None,
    by: str = "uniform",
    loss: str = "symmetric",
    match: float = MATCH,
    store: bool = True,
) -> Tensor:
    """Let a network learn a new batch together with a replayed one, then store the new one. Return the loss ``()``.

    Before a class is learned that the memory does not hold, what the network says by now of what came last is written
    into the memory (``ReplayMemory.reconsolidate``): that is what it shall say of it from then on.

    Parameters
    ----------
    memory
        It is told the losses of what was replayed, and stores with the new batch what the network said of it.
    model, optimizer
        What learns, in the mode (``train`` or ``eval``) that it is in, and an optimizer of its parameters.
    x, y
        The new batch, on the device of the model.
    replay
        How many remembered examples are learned with it, at most; None takes as many as are new.
    by
        As in ``ReplayMemory.mix``.
    loss, match
        As in ``replay_loss``. With ``match=0`` no logits are stored.
    store
        Whether the new batch is stored. Give False when it is shown again.

    Raises
    ------
    UnknownName, InvalidParameter, InvalidShape, InvalidDtype, InvalidInput, EmptyBatch, NotFinite
        Nothing was learned, stored or written anew, if the memory or the loss cannot be used so.

    Examples
    --------
    >>> import torch
    >>> from mossy.nn.replay import ReplayMemory, drive
    >>> model, memory = torch.nn.Linear(4, 10), ReplayMemory(200)
    >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    >>> for classes in (0, 1), (2, 3):
    ...     x, y = torch.randn(20, 4), torch.tensor(classes).repeat(10)
    ...     loss = drive(memory, model, optimizer, x, y, replay=20)
    >>> len(memory), memory.classes
    (40, [0, 1, 2, 3])
    """
    check_flag(store, "drive.store")
    if not isinstance(memory, ReplayMemory):
        raise InvalidDtype(f"drive.memory: {type(memory).__name__} was given; a ReplayMemory is allowed.")
    choose(LOSSES, loss, "drive.loss")
    choose(BY, by, "drive.by")
    match = check_number(match, "drive.match", 0)
    if replay is not None:
        check_integer(replay, "drive.replay", 0)
    with memory.alone():
        memory.check_new(x, y, "drive")
        anew = match and memory.balanced and not memory.holds(y)
        with memory.trial(model if anew else None):
            mixed = memory.mix(x, y, replay, by)
            outputs = model(mixed.x)
            total, old = replay_loss(outputs, mixed, loss, match)
            logits = outputs[: len(x)].detach().float() if match else None
            if store:
                memory.check(x, y, logits)
            if len(mixed.ids):
                memory.update(mixed.ids, old)
        optimizer.zero_grad()
        total.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if store:
            memory.store(x, y, logits)
    return total.detach()

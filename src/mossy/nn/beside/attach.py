"""attach: mix what a memory recalls into any model's predictions, without training."""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterable
from typing import Any, final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from mossy.arrays import check_flag, check_integer, check_number, choose
from mossy.errors import InvalidDtype, InvalidInput, InvalidParameter, InvalidShape, NotFinite
from mossy.memory import Memory
from mossy.nn.beside.mixture import MOST, MixtureCalibration, calibrated, mixture, votes, weight_of
from mossy.nn.parts import name_of
from mossy.nn.tensors import check_floating, wide

__all__ = ["Attached", "attach"]

UNSEEN = 1e-6  # the probability, of all classes that a model does not know, by the model
IGNORED = -100  # a target that torch's losses leave out

SIDES = {"output": False, "input": True}


def attach(
    model: nn.Module,
    layer: str | nn.Module,
    memory: Memory | None = None,
    *,
    k: int = 32,
    weight: float = 0.25,
    temperature: float = 0.02,
    classes: int | None = None,
    side: str = "output",
    key: Callable[[Tensor], Tensor] | None = None,
    logits: Callable[[Any], Tensor] | None = None,
    reinforce: bool = False,
) -> Attached:
    r"""Mix what a memory recalls into the predictions of any classifier or language model, without training.

    The activation of a layer is the cue. What it recalls votes for the class, or the next token, that it was stored
    with, and the votes are mixed into the model's probabilities:

    .. math::  p(y) = λ\, p_\text{mem}(y) + (1 - λ)\, p_\text{model}(y), \qquad
               p_\text{mem}(y) = \sum_{i : y_i = y} \text{softmax}(f / T)_i

    over the ``k`` memories that fit best, with their fits ``f``. ``calibrate`` chooses ``T``, and how ``λ`` rises with
    familiarity, the best ``f``.

    Parameters
    ----------
    model
        Any module that returns logits: ``(b, classes)``, ``(b, s, classes)``, ``(..., classes)``. It is not changed,
        but for a hook that ``detach`` removes.
    layer
        The layer whose activation is the cue: its name in ``model.named_modules()``, or itself. The first axes of the
        activation are those of the logits; what is left of each is flattened. Of a tuple the first is taken.
    memory
        A ``mossy.Memory``, in this process or, as ``mossy.open`` gives it, in a file; a new one unless given, that
        compares by cosine, which serves activations better than distance. Its payloads are targets.
        ``attached.memory`` is it: what is forgotten there is forgotten here.
    k
        How many memories vote.
    weight, temperature
        ``λ`` from 0 to 0.99, and ``T`` above 0 in units of similarity, until ``calibrate`` chooses them.
    classes
        How many classes there are, if more than the model knows: the others are known to the memory alone.
    side
        ``"output"`` of the layer, or its ``"input"``: the input of the head is often the best cue.
    key
        From the activation to the cue, such as ``lambda a: a.mean((2, 3))``.
    logits
        From what the model returns to logits, such as ``lambda out: out.logits``.
    reinforce
        Whether predicting reinforces what it recalls.

    Returns
    -------
    Attached

    Raises
    ------
    InvalidParameter, InvalidDtype, UnknownName

    References
    ----------
    Khandelwal et al. (2020), Generalization through memorization: nearest neighbor language models, ICLR,
    arXiv:1911.00172, eqs. 2 and 3. For classes: Orhan (2018), A simple cache model for image recognition, NeurIPS,
    arXiv:1805.08709.

    Examples
    --------
    >>> import torch
    >>> from mossy.nn import attach
    >>> _ = torch.manual_seed(0)
    >>> model = torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3)).eval()
    >>> x, y = torch.randn(200, 8), torch.arange(200) % 3
    >>> attached = attach(model, "2", side="input", weight=0.9)
    >>> ids = attached.store(x, y)
    >>> bool((attached(x).argmax(-1) == y).all())
    True
    >>> attached.memory.forget(ids)
    >>> model = attached.detach()
    """
    return Attached(
        model, layer, memory, k=k, weight=weight, temperature=temperature, classes=classes, side=side,
        key=key, logits=logits, reinforce=reinforce,
    )  # fmt: skip


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _thread() -> int:
    return threading.get_ident()


class _Ear:
    """Hears what a layer gives or is given, in the threads that listen: a copy, since a model may write over it."""

    def __init__(self, takes_input: bool) -> None:
        self._takes_input = takes_input
        self._heard: dict[int, Any] = {}

    def on(self, layer: nn.Module) -> Any:
        """Listen to a layer, to its input before it runs; return what ends it by ``remove()``."""
        return layer.register_forward_pre_hook(self) if self._takes_input else layer.register_forward_hook(self)

    def __call__(self, module: nn.Module, given: tuple[Any, ...], output: Any = None) -> None:
        thread = _thread()
        if thread in self._heard:
            heard = given if self._takes_input else output
            if isinstance(heard, tuple):
                heard = heard[0] if heard else None
            self._heard[thread] = heard.detach().clone() if isinstance(heard, Tensor) else heard

    def hear(self, run: Callable[[], Any]) -> tuple[Any, Any]:
        """Return what ``run`` returns, and what the layer did meanwhile, the last time; None if it was not called."""
        thread = _thread()
        self._heard[thread] = None
        try:
            result = run()
        finally:
            heard = self._heard.pop(thread)
        return result, heard

    def __deepcopy__(self, memo: dict[int, Any]) -> _Ear:
        return _Ear(self._takes_input)

    def __reduce__(self) -> tuple[type[_Ear], tuple[bool]]:
        return _Ear, (self._takes_input,)


@final
class Attached(nn.Module):
    """A model with a memory beside it, as ``attach`` makes it.

    It is called as the model is, and returns log-probabilities of the mixture in the shape of the logits. Gradients
    reach the model through its own part; what is recalled is a constant. Its ``state_dict`` holds the model's and what
    ``calibrate`` chose; the memory is kept by ``mossy.open``, or carried by ``memory.state()``.
    """

    slope: Tensor
    offset: Tensor
    temperature: Tensor

    def __init__(
        self,
        model: nn.Module,
        layer: str | nn.Module,
        memory: Memory | None = None,
        *,
        k: int = 32,
        weight: float = 0.25,
        temperature: float = 0.02,
        classes: int | None = None,
        side: str = "output",
        key: Callable[[Tensor], Tensor] | None = None,
        logits: Callable[[Any], Tensor] | None = None,
        reinforce: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise InvalidDtype(f"attach.model: {type(model).__name__} was given; a torch.nn.Module is allowed.")
        if memory is not None and not isinstance(memory, Memory):
            raise InvalidDtype(f"attach.memory: {type(memory).__name__} was given; a mossy.Memory is allowed.")
        takes_input = choose(SIDES, side, "attach.side")
        self.layer = name_of(model, layer, "attach.layer")
        self.k = check_integer(k, "attach.k", 1)
        self.classes = None if classes is None else check_integer(classes, "attach.classes", 1)
        self.reinforce = check_flag(reinforce, "attach.reinforce")
        weight = check_number(weight, "attach.weight", 0.0, MOST)
        temperature = check_number(temperature, "attach.temperature", 0.0, open_low=True)
        self.model = model
        self.memory = Memory(similarity="cosine") if memory is None else memory
        self._key, self._logits = _callable(key, "attach.key"), _callable(logits, "attach.logits")
        self.register_buffer("slope", torch.tensor(0.0))  # of λ, by familiarity
        self.register_buffer("offset", torch.logit(torch.tensor(weight / MOST)))
        self.register_buffer("temperature", torch.tensor(temperature))
        self._ear = _Ear(takes_input)
        self._handle: Any = self._ear.on(model.get_submodule(self.layer))

    # --- predict ---------------------------------------------------------------------------------

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """Return ``ln p (..., classes)``: what the model is given, with what is recalled mixed in.

        An empty memory leaves the model's own prediction.

        Raises
        ------
        InvalidInput
            The activation does not fit the logits or the memory, or holds NaN.
        """
        logits, cues = self.run(*inputs, **named)
        return self.mixed(logits, self.recalled_by(cues, self.outputs(logits), self.reinforce))

    def without_trace(self, *inputs: Any, **named: Any) -> Tensor:
        """Return what a call returns; nothing is reinforced."""
        logits, cues = self.run(*inputs, **named)
        return self.mixed(logits, self.recalled_by(cues, self.outputs(logits)))

    def mixed(self, logits: Tensor, recalled: tuple[Tensor, Tensor] | None) -> Tensor:
        """Return ``ln p (..., classes)`` of logits ``(..., c)`` and what ``recalled`` says of each."""
        log_p = self.log_model(logits.flatten(0, -2))
        if recalled is not None:
            fit, targets = recalled
            share = weight_of(self.slope * fit[:, 0] + self.offset)
            log_p = mixture(log_p, votes(fit, targets, self.temperature, log_p.shape[1]), share)
        return log_p.to(logits.dtype).view(*logits.shape[:-1], log_p.shape[1])

    @torch.no_grad()
    def recalled(self, *inputs: Any) -> tuple[Tensor, Tensor] | None:
        """Return how well the best memories fit ``(n, k)``, and their targets; None if the memory is empty.

        Nothing is reinforced.
        """
        logits, cues = self.run(*inputs)
        recalled: tuple[Tensor, Tensor] | None = self.recalled_by(cues, self.outputs(logits))
        return recalled

    def run(self, *inputs: Any, **named: Any) -> tuple[Tensor, Tensor]:
        """Return the model's logits ``(..., c)``, and the cue of each ``(n, d)``."""
        if self._handle is None:
            raise InvalidInput("attached: it was detached; attach the model again.")
        out, heard = self._ear.hear(lambda: self.model(*inputs, **named))
        logits = self.logits_of(out)
        if logits.dim() < 2:
            raise InvalidShape(f"attach: logits of shape {tuple(logits.shape)} came back; (..., classes) is allowed.")
        if heard is None:
            raise InvalidInput(
                f"attach: the layer {self.layer!r} was not called, or with keywords only, or the model was compiled "
                "before. Choose one that is called, or side='output'; attach first, and compile then."
            )
        activation = check_floating(heard if self._key is None else self._key(heard), "attach: the activation").detach()
        leading = logits.shape[:-1]
        if activation.shape[: len(leading)] != leading or activation.dim() == len(leading):
            raise InvalidShape(
                f"attach: the activation of {self.layer!r} has shape {tuple(activation.shape)}, the logits "
                f"{tuple(logits.shape)}; their first axes must be equal, and some must be left. key= can move them."
            )
        return logits, activation.flatten(0, len(leading) - 1).flatten(1)

    def log_model(self, logits: Tensor) -> Tensor:
        """Return ``ln p_model (n, classes)``, at least in float32; classes that it does not know share ``UNSEEN``."""
        known = logits.to(wide(logits.dtype))
        more = 0 if self.classes is None else self.classes - known.shape[1]
        if more < 0:
            raise InvalidParameter(
                f"attach.classes: {self.classes} was given; the model has {known.shape[1]} outputs. Give at least as "
                "many, or None."
            )
        if more:
            other = known.logsumexp(1, keepdim=True) + math.log(UNSEEN / more)
            known = torch.cat([known, other.expand(-1, more)], 1)
        return F.log_softmax(known, -1)

    def outputs(self, logits: Tensor) -> int:
        """Return how many classes a prediction has, for the model's logits ``(..., c)``."""
        return logits.shape[-1] if self.classes is None else self.classes

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def recalled_by(self, cues: Tensor, classes: int, reinforce: bool = False) -> tuple[Tensor, Tensor] | None:
        """Return how well the best memories fit ``(n, k)``, best first, and their targets; None if there is nothing."""
        if not len(self.memory) or not len(cues):
            return None
        k = min(self.k, len(self.memory))
        found = self.memory.recall(cues.float().cpu().numpy(), k=k, reinforce=reinforce)
        targets = np.asarray(found.payload)
        if targets.dtype.kind not in "iu":
            raise InvalidDtype("attach: the memory has payloads that are no integers; attached.store writes targets.")
        check_targets(targets, classes, "attach: a target in the memory")
        fit = torch.from_numpy(found.fit.astype(np.float32))
        return fit.to(cues.device), torch.from_numpy(targets.astype(np.int64)).to(cues.device)

    # --- store and calibrate ---------------------------------------------------------------------

    @torch.no_grad()
    def store(self, x: Any, y: Tensor) -> Any:
        """Remember examples without training: the activation of each is a key, its target the payload.

        Parameters
        ----------
        x
            The model's input; a tuple or a list is its inputs.
        y
            Targets in the shape of the logits without classes, ``(b,)`` or ``(b, s)``; −100 is left out.

        Returns
        -------
        array
            The ids in ``memory``, one for each target that was not left out.

        Raises
        ------
        InvalidInput
            A part of the model is in training mode, or something does not fit. Nothing was stored.
        """
        logits, keys, targets = self._examined(x, y, "store")
        if not len(keys):
            return np.empty(0, np.int64)
        check_targets(targets.cpu().numpy(), self.outputs(logits), "store.y")
        return self.memory.store(keys.float().cpu().numpy(), payload=targets.tolist())

    def _examined(self, x: Any, y: Any, verb: str) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits ``(n, c)``, cues ``(n, d)`` and targets ``(n,)`` of those that are not left out."""
        check_evaluates(self.model, f"{verb}: a part of the model")
        logits, keys = self.run(*inputs_of(x))
        targets = flat_targets(y, logits, f"{verb}.y")
        wanted = targets != IGNORED
        return logits.flatten(0, -2)[wanted], keys[wanted], targets[wanted]

    @torch.no_grad()
    def calibrate(self, data: Iterable[tuple[Any, Tensor]], *, adaptive: bool = True) -> MixtureCalibration:
        """Choose ``T`` and ``λ`` of least loss on data that was not stored; nothing is stored.

        Parameters
        ----------
        data
            Batches ``(x, y)``, as ``store`` takes them: a ``DataLoader``, or a list.
        adaptive
            ``λ`` depends on the familiarity of each prediction. False takes one for all.

        Raises
        ------
        InvalidInput
            No data, no memory, NaN, or as in ``store``. Nothing was changed.
        """
        adaptive = check_flag(adaptive, "calibrate.adaptive")
        if not len(self.memory):
            raise InvalidInput("calibrate: the memory is empty; store examples first.")
        parts = []
        for batch in data:
            x, y = pair(batch, "calibrate.data")
            logits, keys, targets = self._examined(x, y, "calibrate")
            recalled = self.recalled_by(keys, self.outputs(logits))
            if recalled is None:
                continue
            check_targets(targets.cpu().numpy(), self.outputs(logits), "calibrate.y")
            log_true = self.log_model(logits).gather(1, targets[:, None])[:, 0]
            parts.append((log_true, recalled[0], recalled[1] == targets[:, None]))
        if not parts:
            raise InvalidInput("calibrate.data: no example was given; give batches (x, y).")
        log_true, fits, right = (torch.cat([part[i] for part in parts]).cpu() for i in range(3))
        if bool(log_true.isnan().any()):
            raise NotFinite("calibrate: the model returned NaN; numbers, or −inf for what it rules out, are allowed.")
        chosen = calibrated(log_true, fits, right, adaptive)
        self.slope.fill_(chosen.slope)
        self.offset.fill_(chosen.offset)
        self.temperature.fill_(chosen.temperature)
        return chosen

    # --- the model -------------------------------------------------------------------------------

    def detach(self) -> nn.Module:
        """Take the memory off, and return the model as it was before; the memory stays as it is."""
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
        return self.model

    def copy_of_model(self) -> nn.Module:
        """Return a copy of the model alone."""
        copied = copy.deepcopy(self.model)
        for module in copied.modules():
            for hooks in (module._forward_hooks, module._forward_pre_hooks):
                for number in [number for number, hook in hooks.items() if isinstance(hook, _Ear)]:
                    del hooks[number]
        return copied

    def logits_of(self, out: Any) -> Tensor:
        """Return the logits in what a model returns."""
        return check_floating(out if self._logits is None else self._logits(out), "attach: what the model returns")

    def extra_repr(self) -> str:
        """Return the layer, and how many memories there are."""
        return f"layer={self.layer!r}, k={self.k}, memories={len(self.memory)}"


def check_targets(targets: np.ndarray[Any, Any], classes: int, name: str) -> None:
    low, high = int(targets.min()), int(targets.max())
    if low < 0 or high >= classes:
        raise InvalidParameter(
            f"{name}: {low if low < 0 else high} was given; 0 to {classes - 1} is allowed. attach(classes=) makes room "
            "for more."
        )


def _callable(given: Callable[..., Any] | None, name: str) -> Callable[..., Any] | None:
    if given is not None and not callable(given):
        raise InvalidDtype(f"{name}: {type(given).__name__} was given; a function, or None, is allowed.")
    return given


def check_evaluates(model: nn.Module, what: str) -> None:
    """Refuse a model of which a part is in training mode."""
    if any(part.training for part in model.modules()):
        raise InvalidInput(f"{what} is in training mode, where activations are random. Call eval().")


def flat_targets(y: object, logits: Tensor, name: str) -> Tensor:
    """Return targets ``(n,)`` of logits ``(..., c)``, on their device."""
    if not isinstance(y, Tensor) or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
        what = y.dtype if isinstance(y, Tensor) else type(y).__name__
        raise InvalidDtype(f"{name}: {what} was given; a tensor of integers is allowed.")
    if y.shape != logits.shape[:-1]:
        raise InvalidShape(f"{name}: shape {tuple(y.shape)} was given; {tuple(logits.shape[:-1])} is allowed.")
    return y.to(logits.device, torch.long).flatten()


def inputs_of(x: Any) -> tuple[Any, ...]:
    """Return a model's inputs: a ``DataLoader`` makes lists of what were tuples."""
    return tuple(x) if isinstance(x, tuple | list) else (x,)


def pair(batch: Any, name: str) -> tuple[Any, Tensor]:
    """Return a batch as ``(x, y)``."""
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise InvalidInput(f"{name}: {type(batch).__name__} came; batches (x, y) are allowed, such as [(x, y)].")
    return batch[0], batch[1]

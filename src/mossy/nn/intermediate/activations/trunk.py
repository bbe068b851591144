"""The part of a model up to a layer: run to it and no further, and known again by its weights."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from hashlib import blake2b
from typing import Any, final

import torch
from torch import Tensor, nn

from mossy.errors import InvalidInput, InvalidParameter, InvalidShape, UnknownName
from mossy.nn.intermediate.fingerprint import digest, plain_bytes
from mossy.nn.intermediate.tree import leaves
from mossy.nn.intermediate.weights import counted, parts_of, weights_of

__all__ = ["Trunk", "count"]

Weights = list[tuple[str, Tensor]]


class _Reached(BaseException):
    """Ends a forward pass at the layer. It is no error, so that no model takes it for one."""

    def __init__(self, activation: Any) -> None:
        super().__init__()
        self.activation = activation


@final
class Trunk:
    """What a model computes up to the output of a layer. It refers to the model weakly, so that the model can go.

    Parameters
    ----------
    model
        In evaluation mode.
    layer
        The name of a part, as in ``model.named_modules()``, or the part itself; ``""`` is the whole model.
    example
        A small batch. The parts that run on it are the trunk; what is behind the layer is not.

    Raises
    ------
    InvalidParameter, UnknownName
        The layer is not in the model.
    InvalidInput
        A part of the model is in training mode; or see ``run``.
    """

    def __init__(self, model: nn.Module, layer: str | nn.Module, example: Any) -> None:
        if any(part.training for part in parts_of(model)):
            raise InvalidInput(
                "features.model: a part is in training mode, in which activations differ from pass to pass. Call "
                "model.eval() first."
            )
        self.layer = _name(model, layer)
        self._model = weakref.ref(model)
        entered: dict[str, nn.Module] = {}
        left: dict[str, nn.Module] = {}
        hooks = []
        for name, part in model.named_modules():
            hooks.append(part.register_forward_pre_hook(_noting(entered, name)))
            hooks.append(part.register_forward_hook(_noting(left, name)))
        try:
            self.run(example)
        finally:
            for hook in hooks:
                hook.remove()
        # A part that ran to its end may have used all within it, one that did not only what it entered.
        within = {name for start, part in left.items() for name, _ in part.named_modules(prefix=start)}
        self._names = sorted(entered.keys() | within)
        self._counts, self._digests = _counts(self._weights(model)), _digests(self._weights(model))

    def run(self, batch: Any) -> Tensor:
        """Return the activations ``(n, ...)`` for a batch: a tensor, or a tuple, list or dict of arguments.

        Raises
        ------
        InvalidInput, InvalidShape
            The model is gone, or the layer does not run or does not return one tensor of n rows.
        """
        model = self._alive()
        reached: Any = None
        hook = model.get_submodule(self.layer).register_forward_hook(_stop)
        try:
            with torch.no_grad():
                _call(model, batch)
        except _Reached as end:
            reached = end.activation
        finally:
            hook.remove()
        if not isinstance(reached, Tensor):
            what = "nothing, since it did not run" if reached is None else type(reached).__name__
            raise InvalidInput(
                f"features.layer: {self.layer!r} returned {what}; one tensor is allowed. Choose another part."
            )
        n = count(batch)
        if not reached.dim() or len(reached) != n:
            raise InvalidShape(
                f"features.layer: {self.layer!r} returned shape {tuple(reached.shape)} for {n} items; ({n}, ...) is "
                "allowed."
            )
        return reached

    def glance(self) -> bool:
        """Say whether PyTorch has counted a change of a weight since; it sees most changes, and costs little."""
        model = self._model()
        return model is not None and _counts(self._weights(model)) != self._counts

    def changed(self) -> bool:
        """Say whether a byte of a weight is another than it was; no, if the model is gone."""
        model = self._model()
        if model is None:
            return False
        weights = self._weights(model)
        if _digests(weights) != self._digests:
            return True
        self._counts = _counts(weights)
        return False

    def lasting_digest(self) -> str:
        """Return a digest of all weights that is the same in every process (BLAKE2b)."""
        state = blake2b(digest_size=16)
        for name, weight in self._weights(self._alive()):
            state.update(f"{name}:{weight.dtype}:{tuple(weight.shape)};".encode())
            state.update(plain_bytes(weight[None]).data)
        return state.hexdigest()

    def _alive(self) -> nn.Module:
        model = self._model()
        if model is None:
            raise InvalidInput("features: the model is gone; keep it as long as activations are computed.")
        return model

    def _weights(self, model: nn.Module) -> Weights:
        """Return the parts and weights of the trunk, by name."""
        parts = dict(model.named_modules())
        found: Weights = []
        for name in self._names:
            part = parts.get(name)
            weights = [] if part is None else weights_of([part])
            found += [(f"{name}.{place} {type(part).__name__}", weight) for place, weight in enumerate(weights)]
        return found

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None}  # a copy can only read

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_model": _gone}


def count(batch: Any) -> int:
    """Return the number of items in a batch.

    Raises
    ------
    InvalidInput
    """
    sizes = {len(leaf) if leaf.dim() else 0 for leaf in leaves(batch) if isinstance(leaf, Tensor)}
    if len(sizes) != 1 or 0 in sizes:
        raise InvalidInput("features.data: a batch has tensors of one number of items, and at least one item.")
    return sizes.pop()


def _gone() -> None:
    return None


def _stop(_: nn.Module, __: Any, output: Any) -> None:
    raise _Reached(output)


def _noting(noted: dict[str, nn.Module], name: str) -> Any:
    def note(part: nn.Module, *_: Any) -> None:
        noted[name] = part

    return note


def _name(model: nn.Module, layer: str | nn.Module) -> str:
    names: dict[str, nn.Module] = dict(model.named_modules())
    if isinstance(layer, str):
        if layer in names:
            return layer
        raise UnknownName(f"features.layer: {layer!r} was given; allowed are {', '.join(map(repr, names))}.")
    for name, part in names.items():
        if part is layer:
            return name
    raise InvalidParameter(
        f"features.layer: {type(layer).__name__} was given; the name of a part of the model, or the part, is allowed."
    )


def _call(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, tuple | list):
        model(*batch)
    else:
        model(batch)


def _counts(weights: Weights) -> list[tuple[int, int]]:
    return [(weight.data_ptr(), counted(weight)) for _, weight in weights]


def _digests(weights: Weights) -> list[tuple[str, bytes]]:
    return [(name, digest(weight)) for name, weight in weights]

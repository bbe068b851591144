"""The part of a model up to a layer: run to it and no further, and known again by its weights."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Mapping
from hashlib import blake2b
from types import BuiltinFunctionType, FunctionType
from typing import Any, final

import torch
from torch import Tensor, nn

from mossy.errors import InvalidInput, InvalidShape
from mossy.nn.intermediate.fingerprint import encode, plain_bytes
from mossy.nn.intermediate.tree import leaves
from mossy.nn.intermediate.weights import beside_of, counted, dense_of, is_dense, parts_of, weights_of
from mossy.nn.parts import name_of

__all__ = ["Trunk", "count"]

Named = list[tuple[str, nn.Module]]


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
        A small batch. The parts that run on it, or on a later one, are the trunk; what is behind the layer is not.

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
        self.layer = name_of(model, layer, "features.layer", whole=True)
        self._model = weakref.ref(model)
        self.names: list[str] = []
        self._counts: list[tuple[int, int]] = []
        self._digests: list[tuple[str, bytes]] = []
        self.run(example)

    def run(self, batch: Any) -> Tensor:
        """Return the activations ``(n, ...)`` for a batch: a tensor, or a tuple, list or dict of arguments.

        Raises
        ------
        InvalidInput, InvalidShape
            The model is gone, or the layer does not run or does not return one tensor of n rows.
        """
        model = self._alive()
        reached: Any = None
        entered: dict[str, nn.Module] = {}
        left: dict[str, nn.Module] = {}
        hooks = []
        for name, part in model.named_modules():
            hooks.append(part.register_forward_pre_hook(_here(_noting(entered, name))))
            hooks.append(part.register_forward_hook(_here(_noting(left, name))))
        hooks.append(model.get_submodule(self.layer).register_forward_hook(_here(_stop)))
        try:
            with torch.no_grad():
                _call(model, batch)
        except _Reached as end:
            reached = end.activation
        finally:
            for hook in hooks:
                hook.remove()
        # A part that ran to its end may have used all within it, one that did not only what it entered.
        within = {name for start, part in left.items() for name, _ in part.named_modules(prefix=start)}
        self.widen(entered.keys() | within)
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

    def widen(self, names: Iterable[str]) -> None:
        """Let parts of these names belong to the trunk as well."""
        more = [name for name in names if name not in self.names]
        if more:
            self.names = sorted([*self.names, *more])
            parts = self._parts(self._alive())
            self._counts, self._digests = _counts(parts), _digests(parts)

    def glance(self) -> bool:
        """Say whether PyTorch has counted a change of a weight since; it sees most changes, and costs little."""
        model = self._model()
        return model is not None and _counts(self._parts(model)) != self._counts

    def changed(self) -> bool:
        """Say whether a byte of a weight is another than it was; no, if the model is gone."""
        model = self._model()
        if model is None:
            return False
        parts = self._parts(model)
        if _digests(parts) != self._digests:
            return True
        self._counts = _counts(parts)
        return False

    def lasting_digest(self) -> str:
        """Return a digest of the parts and all weights that is the same in every process (BLAKE2b)."""
        state = blake2b(digest_size=16)
        for name, part in self._parts(self._alive()):
            state.update(f"{name}:{_said(part)};".encode())
            for one in _content(part):
                if isinstance(one, Tensor):
                    state.update(f"{one.dtype}:{tuple(one.shape)};".encode())
                    state.update(plain_bytes(one[None]).data)
                else:
                    state.update(encode(one))
        return state.hexdigest()

    def _alive(self) -> nn.Module:
        model = self._model()
        if model is None:
            raise InvalidInput("features: the model is gone; keep it as long as activations are computed.")
        return model

    def _parts(self, model: nn.Module) -> Named:
        """Return the parts of the trunk that the model has."""
        parts = dict(model.named_modules(remove_duplicate=False))
        return [(name, parts[name]) for name in self.names if name in parts]

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


def _noting(noted: dict[str, nn.Module], name: str) -> Callable[..., None]:
    def note(part: nn.Module, *_: Any) -> None:
        noted[name] = part

    return note


def _here(hook: Callable[..., None]) -> Callable[..., None]:
    """Return a hook that is deaf to other threads, which may run the same model."""
    here = threading.get_ident()

    def called(*given: Any) -> None:
        if threading.get_ident() == here:
            hook(*given)

    return called


def _call(model: nn.Module, batch: Any) -> None:
    if isinstance(batch, Mapping):
        model(**batch)
    elif isinstance(batch, tuple | list):
        model(*batch)
    else:
        model(batch)


def _said(part: nn.Module) -> str:
    """Return what a part says of its kind: class, what ``extra_repr`` shows, and functions that it was given."""
    kind = type(part)
    given = [one for one in vars(part).values() if isinstance(one, FunctionType | BuiltinFunctionType)]
    return f"{kind.__module__}.{kind.__qualname__}({part.extra_repr()}){[one.__qualname__ for one in given]}"


def _content(part: nn.Module) -> list[Any]:
    """Return dense tensors and plain values that say all of what a part holds itself."""
    held = [*weights_of([part]), *beside_of([part])]
    return [one for leaf in held for one in (dense_of(leaf) if isinstance(leaf, Tensor) else [leaf])]


def _counts(parts: Named) -> list[tuple[int, int]]:
    weights = weights_of(part for _, part in parts)
    return [(weight.data_ptr() if is_dense(weight) else 0, counted(weight)) for weight in weights]


def _digests(parts: Named) -> list[tuple[str, bytes]]:
    said = [(f"{name}:{_said(part)}", b"") for name, part in parts]
    return said + [(name, encode(one)) for name, part in parts for one in _content(part)]

"""One call of a module: what it is given, its key or the keys of its rows, and how outputs are taken apart."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, final

import torch
from torch import Tensor
from torch.autograd import forward_ad

from mossy.errors import InvalidDtype, InvalidInput, InvalidShape
from mossy.nn.intermediate.fingerprint import combine, digests, encode
from mossy.nn.intermediate.tree import PLAIN, describe, leaves, rebuild

__all__ = ["Call", "Output", "join", "split"]

SLIGHT = {torch.float16: 3e-2, torch.bfloat16: 1e-1}  # what rounding may change, as a part of the largest entry

# The leaves of an output, tensors and plain values, and a tree of its form.
Output = tuple[tuple[Any, ...], Any]


@final
class Call:
    """Arguments, read.

    Parameters
    ----------
    args, kwargs
        What the module is called with.
    rows
        Whether the first axis of every tensor counts rows.

    Raises
    ------
    InvalidShape
        Tensors have different numbers of rows, or there is none.
    """

    def __init__(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], rows: bool) -> None:
        self.tree = (args, dict(sorted(kwargs.items())))
        self.leaves = list(leaves(self.tree))
        self.tensors = [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]
        self.rows = rows
        if not rows:
            self.n = 1
            return
        shapes = [tuple(tensor.shape) for tensor in self.tensors]
        if not shapes or any(not shape or shape[0] != shapes[0][0] for shape in shapes):
            raise InvalidShape(
                f"memoize: tensors of shapes {shapes} were given; with rows=True all have the same number of rows, "
                "(n, ...), and there is at least one. Use rows=False, or give the others when the module is made."
            )
        self.n = shapes[0][0]

    def about(self) -> bytes:
        """Return a digest of all that decides the output, but for what is in the tensors."""
        kinds = sorted({"cpu", *(tensor.device.type for tensor in self.tensors)})
        mixed = [kind for kind in kinds if torch.amp.is_autocast_available(kind)]
        context = [
            torch.is_grad_enabled(),
            torch.get_default_dtype(),
            *((kind, torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in mixed),
        ]
        plain = [None if isinstance(leaf, Tensor) else encode(leaf) for leaf in self.leaves]
        return combine(repr((context, describe(self.tree), plain)).encode())

    def keys(self, about: bytes) -> list[bytes]:
        """Return the key of each row, or of the whole."""
        given = [tensor if self.rows else tensor[None] for tensor in self.tensors]
        keys = digests(given[0], about) if given else [about]
        for tensor in given[1:]:
            keys = [combine(key, one) for key, one in zip(keys, digests(tensor), strict=True)]
        return keys

    def the_floats(self) -> Tensor:
        """Return the only tensor, of floats, as rows: of which it can be said how near two are.

        Raises
        ------
        InvalidDtype
        """
        if len(self.tensors) != 1 or not self.tensors[0].is_floating_point():
            dtypes = [str(tensor.dtype) for tensor in self.tensors]
            raise InvalidDtype(
                f"memoize: tensors of {dtypes} were given; with a tolerance the only tensor is one of floats. Use "
                "tolerance=None, or memoize the layers behind the embedding."
            )
        return self.tensors[0] if self.rows else self.tensors[0][None]

    def part(self, rows: Sequence[int]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return the arguments of these rows."""
        if not self.rows or list(rows) == list(range(self.n)):
            args, kwargs = self.tree
        else:
            kept = (leaf[list(rows)] if isinstance(leaf, Tensor) else leaf for leaf in self.leaves)
            args, kwargs = rebuild(self.tree, kept)
        return args, kwargs


def split(output: Any, n: int, rows: bool) -> list[Output]:
    """Return the outputs of each row as views, or the whole output as a list of one.

    Raises
    ------
    InvalidInput
        A leaf is neither a tensor nor a plain value, so that a copy of it cannot be kept.
    InvalidShape
        A tensor has another number of rows.
    """
    given = list(leaves(output))
    for leaf in given:
        if not isinstance(leaf, (Tensor, *PLAIN)):
            raise InvalidInput(
                f"memoize: the module returned {type(leaf).__name__}; tensors and plain values, also in tuples, lists, "
                "dicts and dataclasses, are allowed. Memoize a part of it that returns only these."
            )
        if rows and isinstance(leaf, Tensor) and (not leaf.dim() or len(leaf) != n):
            raise InvalidShape(
                f"memoize: the module returned a tensor of shape {tuple(leaf.shape)} for {n} rows; ({n}, ...) is "
                "allowed with rows=True. Use rows=False."
            )
    form = rebuild(output, iter([None] * len(given)))
    if not rows:
        return [(tuple(given), form)]
    columns: list[Sequence[Any]] = [leaf.unbind() if isinstance(leaf, Tensor) else [leaf] * n for leaf in given]
    return [(row, form) for row in zip(*columns, strict=True)] if columns else [((), form)] * n


def join(outputs: Sequence[Output], rows: bool) -> Any:
    """Return a new output of these rows, or a copy of the whole output."""
    first, form = outputs[0]

    def joined() -> Iterator[Any]:
        for place, leaf in enumerate(first):
            if not isinstance(leaf, Tensor):
                yield leaf
            elif rows:
                yield torch.stack([row[place] for row, _ in outputs])
            else:
                yield leaf.clone()

    return rebuild(form, joined())


def copied(output: Output) -> Output:
    """Return the same output in memory of its own."""
    given, form = output
    return tuple(leaf.clone() if isinstance(leaf, Tensor) else leaf for leaf in given), form


def size(output: Output) -> int:
    """Return the bytes of the tensors and plain values of an output."""
    return sum(leaf.nbytes if isinstance(leaf, Tensor) else sys.getsizeof(leaf) for leaf in output[0])


def check_alike(together: Output, alone: Output) -> None:
    """Compare what a row gave in a batch with what it gives alone.

    Raises
    ------
    InvalidInput
    """
    for one, other in zip(together[0], alone[0], strict=True):
        if isinstance(one, Tensor) and one.is_floating_point() and one.numel():
            slight = SLIGHT.get(one.dtype, 1e-3)
            atol = slight * float(one.abs().max())
            if one.shape != other.shape or not torch.allclose(one, other, rtol=slight, atol=atol, equal_nan=True):
                raise InvalidInput(
                    "memoize: a row gave another output beside others than alone; with rows=True rows are independent. "
                    "Use rows=False (batch normalisation without running statistics, for one, needs it)."
                )


def first_tensor(output: Any, rows: bool) -> Tensor:
    """Return the first tensor of an output as rows ``(n, ...)``.

    Raises
    ------
    InvalidInput
    """
    for leaf in leaves(output):
        if isinstance(leaf, Tensor):
            return leaf if rows else leaf[None]
    raise InvalidInput(
        f"memoize: the module returned {type(output).__name__} without a tensor; it has none to compare."
    )


def is_dual(tensors: Iterable[Tensor]) -> bool:
    """Say whether a tensor carries a tangent: forward-mode derivatives are asked for, also under ``no_grad``."""
    if forward_ad._current_level < 0:  # asked first, since there may be many tensors
        return False
    return any(forward_ad.unpack_dual(one).tangent is not None for one in tensors)  # type: ignore[no-untyped-call]


def is_wrapped(tensors: Iterable[Tensor]) -> bool:
    """Say whether a tensor is one of a transform of ``torch.func``, which has no bytes of its own."""
    if torch._C._functorch.peek_interpreter_stack() is None:
        return False
    return any(torch._C._functorch.is_functorch_wrapped_tensor(tensor) for tensor in tensors)


def random_state(tensors: Sequence[Tensor]) -> list[bytes]:
    """Return the states of PyTorch's random number generators on the CPU and on the devices of these tensors."""
    states = [torch.get_rng_state()]
    for kind in sorted({tensor.device.type for tensor in tensors} - {"cpu"}):
        states.append(torch.get_device_module(kind).get_rng_state())
    return [state.cpu().numpy().tobytes() for state in states]

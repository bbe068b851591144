"""``features``: the activations of a frozen trunk, computed once, to train heads from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from mossy.arrays import as_bytes, check_flag, check_integer, choose
from mossy.errors import FullMemory, InvalidInput, InvalidParameter
from mossy.nn.intermediate.activations.folder import Column, read, write
from mossy.nn.intermediate.activations.source import Source, fill
from mossy.nn.intermediate.activations.trunk import Trunk

__all__ = ["Features", "features"]

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


@final
class Features(Dataset[tuple[Tensor, ...]]):
    """Activations of a frozen trunk and the targets that belong to them. ``features`` makes it.

    ``found[i]`` is a tuple: activation, targets; i is a number, a slice, a list or a tensor of numbers. It is a
    ``torch.utils.data.Dataset``; ``batches`` is the fast way to read all of it. What is handed out are copies.

    Attributes
    ----------
    activations
        ``(n, ...)``, as they are stored: a change of it is one of what is handed out. On disk it is a memory map, and
        the file stays as it is.
    targets
        A tuple of tensors ``(n, ...)``, empty if the data had none.
    dtype
        The dtype in which activations are handed out: that of the layer's output.

    Notes
    -----
    While the model lives, ``batches`` compares all bytes of the trunk's weights with what they were, and reading by
    number looks at PyTorch's own counts of changes. What is behind the layer may change.
    """

    def __init__(self, trunk: Trunk, activations: Tensor, targets: tuple[Tensor, ...], dtype: torch.dtype) -> None:
        self.activations, self.targets, self.dtype = activations, targets, dtype
        self._trunk = trunk

    def __len__(self) -> int:
        return len(self.activations)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> tuple[Tensor, ...]:
        if self._trunk.glance():
            self.check()
        return self._take(index)

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, ...]]:
        """Return several items; a ``DataLoader`` asks so."""
        return list(zip(*self[indices], strict=True))

    def batches(
        self, batch_size: int = 256, *, shuffle: bool = True, generator: torch.Generator | None = None
    ) -> Iterator[tuple[Tensor, ...]]:
        """Return all items once, as batches ``(activations, *targets)``.

        Parameters
        ----------
        batch_size
            Items in each but the last.
        shuffle
            Whether they come in a drawn order.
        generator
            Draws the order; None is PyTorch's default.

        Raises
        ------
        InvalidInput
            The trunk was changed.
        """
        check_integer(batch_size, "Features.batches: batch_size", 1)
        check_flag(shuffle, "Features.batches: shuffle")
        self.check()
        if shuffle:
            order = torch.randperm(len(self), generator=generator)
            return (self._take(rows) for rows in torch.split(order, batch_size))
        return (self._take(slice(start, start + batch_size)) for start in range(0, len(self), batch_size))

    def check(self) -> None:
        """Compare the trunk's weights with those that the activations are of.

        Raises
        ------
        InvalidInput
        """
        if self._trunk.changed():
            raise InvalidInput(
                f"Features: the weights of the trunk, up to {self._trunk.layer!r}, were changed since the activations "
                "were stored. Freeze the trunk (requires_grad_(False), and only the head's parameters for the "
                "optimizer), or call features() again."
            )

    @property
    def nbytes(self) -> int:
        """Bytes of activations and targets."""
        return sum(one.numel() * one.element_size() for one in (self.activations, *self.targets))

    def __repr__(self) -> str:
        shape = tuple(self.activations.shape)
        return f"Features({shape}, {self.activations.dtype}, {len(self.targets)} targets, {self.nbytes:,} bytes)"

    def _take(self, index: Any) -> tuple[Tensor, ...]:
        copies = isinstance(index, list) or (isinstance(index, Tensor) and index.dim() > 0)  # other indices give views
        found = [one[index] if copies else one[index].clone() for one in (self.activations, *self.targets)]
        return (found[0].to(self.dtype), *found[1:])


def features(
    model: nn.Module,
    layer: str | nn.Module,
    data: Any,
    *,
    dtype: str | None = None,
    path: str | os.PathLike[str] | None = None,
    budget: int | str = "2 GB",
    batch_size: int = 256,
) -> Features:
    """Return the activations of a layer for all of ``data``, computed in one pass that ends at the layer.

    ::

        found = features(model.eval(), "avgpool", (images, labels), dtype="float16")
        for epoch in range(20):
            for h, y in found.batches(256):
                ...  # train a head

    Parameters
    ----------
    model
        In evaluation mode; it runs without gradients, under the autocast of the caller, on the device it is on.
    layer
        The name of a part, as in ``model.named_modules()``, or the part; ``""`` is the whole model. It returns one
        tensor ``(n, ...)``. If it runs several times, its first output counts. Other threads may use the model.
    data
        Tensors ``(n, ...)``, alone or in a tuple: the input, then targets; or a ``Dataset`` with a length, or a
        ``DataLoader``, whose batches are like that. An input may be a dict or tuple of tensors. A batch that is a
        dict is the model's arguments, ``labels`` the target.
    dtype
        How activations are stored: ``"float32"``, ``"float16"``, ``"bfloat16"``; None leaves them as they are.
    path
        A folder for them, so that they are read from disk, also by later processes: if it is there, and of the same
        trunk, layer, dtype and data, nothing is computed. Of the trunk weights, kinds of parts and what their
        ``extra_repr`` shows are compared; of the data 16 items, and what a ``DataLoader`` draws. None: in memory.
    budget
        The most bytes of all activations and targets.
    batch_size
        Items that are computed together; a ``DataLoader`` has its own.

    Returns
    -------
    Features

    Raises
    ------
    InvalidParameter, UnknownName, EmptyBatch
        A parameter is outside its range, or there is no data.
    InvalidInput, InvalidShape
        The model is in training mode; the layer does not run or returns no tensor ``(n, ...)``; a target is no tensor;
        or at ``path`` there are activations of something else.
    FullMemory
        They need more than the budget.
    NotFinite
        An activation is too large for float16.
    NotAMemory, Damaged
        ``path`` is something else, or a file in it is not as it was written.
    """
    if not isinstance(model, nn.Module):
        raise InvalidParameter(f"features.model: {type(model).__name__} was given; a torch.nn.Module is allowed.")
    name = None if dtype is None else choose(DTYPES, dtype, "features.dtype")
    most = as_bytes(budget, "features.budget")
    source = Source(data, check_integer(batch_size, "features.batch_size", 1), model)
    example, targets = source.example()
    trunk = Trunk(model, layer, example)
    first = trunk.run(example)
    columns = [
        Column(first.shape[1:], name or first.dtype),
        *(Column(target.shape[1:], target.dtype) for target in targets),
    ]
    needed = source.most * sum(column.row for column in columns)
    if needed > most:
        raise FullMemory(
            f"features: {source.most:,} items of {tuple(first.shape[1:])} as {columns[0].dtype} and their targets need "
            f"{needed:,} bytes; {most:,} are allowed. Choose a layer with fewer units (behind a pooling), "
            "dtype='float16', or a larger budget=."
        )
    if path is None:
        with torch.inference_mode(False):  # also heads that are trained read them
            stored = [torch.empty((source.most, *column.shape), dtype=column.dtype) for column in columns]
        n = fill(stored, source, trunk)
        stored = [column[:n] for column in stored]
    else:
        about = {"layer": trunk.layer, "dtype": str(columns[0].dtype), "data": source.digest()}
        folder = Path(path)
        if not folder.exists():
            write(folder, about, columns, source, trunk)
        stored = read(folder, about, columns, trunk)
    return Features(trunk, stored[0], tuple(stored[1:]), first.dtype)

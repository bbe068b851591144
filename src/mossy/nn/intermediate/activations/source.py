"""Where the inputs of a trunk come from: tensors, a data set, a loader."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset, default_collate

from mossy.errors import EmptyBatch, InvalidInput, NotFinite
from mossy.nn.intermediate.activations.trunk import Trunk, count
from mossy.nn.intermediate.fingerprint import plain_bytes
from mossy.nn.intermediate.tree import leaves, rebuild

__all__ = ["Source", "fill"]

LARGEST = 65504.0  # of float16
PROBED = 16  # items of which a digest is made

Batch = tuple[Any, tuple[Tensor, ...]]  # what the model takes, and the targets


@final
class Source:
    """Batches of what a model takes, and of targets.

    Parameters
    ----------
    data
        Tensors ``(n, ...)``, a ``Dataset`` with a length, or a ``DataLoader`` over one.
    batch_size
        Items in a batch, where ``data`` does not say.
    model
        On whose device inputs are put.

    Raises
    ------
    EmptyBatch, InvalidInput
    """

    def __init__(self, data: Any, batch_size: int, model: nn.Module) -> None:
        self._device = next((weight.device for weight in model.parameters()), None)
        if isinstance(data, Tensor):
            data = (data,)
        if isinstance(data, tuple | list) and data and all(isinstance(one, Tensor) and one.dim() for one in data):
            if len({len(one) for one in data}) != 1:
                raise InvalidInput(f"features.data: tensors of {[len(one) for one in data]} items; all have the same.")
            data = TensorDataset(*data)
        self._loader = isinstance(data, DataLoader)
        self._items: Any = data.dataset if isinstance(data, DataLoader) else data
        if not isinstance(self._items, Dataset) or not hasattr(self._items, "__len__"):
            raise InvalidInput(
                f"features.data: {type(data).__name__} was given; tensors (n, ...), a Dataset with a length or a "
                "DataLoader over one are allowed."
            )
        self._batches: Any = data if self._loader else DataLoader(data, batch_size)
        self.most = len(self._items)
        if isinstance(data, DataLoader):
            if data.batch_size is None:
                raise InvalidInput("features.data: the DataLoader has no batch_size; give it one, or give its dataset.")
            self.most = len(data) * data.batch_size
        if not self.most or not len(self._items):
            raise EmptyBatch("features.data: no items were given; give at least one.")

    def __iter__(self) -> Iterator[Batch]:
        if not self._loader and isinstance(self._items, TensorDataset):
            size, tensors = self._batches.batch_size, self._items.tensors
            for start in range(0, len(self._items), size):  # slices, since a loader would take items one by one
                yield self._parted([tensor[start : start + size] for tensor in tensors])
        else:
            for batch in self._batches:
                yield self._parted(batch)

    def example(self) -> Batch:
        """Return a batch of the first item."""
        return self._item(0)

    def digest(self) -> str:
        """Return a digest of 16 items, evenly spaced, and of which ones there are."""
        drawn = self._drawn()
        state = blake2b(f"{len(self._items)},{self.most},{drawn}".encode(), digest_size=16)
        for place in drawn[:: max(len(drawn) // PROBED, 1)]:
            for leaf in leaves(self._item(place)):
                if isinstance(leaf, Tensor):
                    state.update(f"{leaf.dtype}{tuple(leaf.shape)}".encode())
                    state.update(plain_bytes(leaf[None]).data)
        return state.hexdigest()

    def _drawn(self) -> Sequence[Any]:
        """Return the items that a pass takes, in its order if it has one. Random numbers are left as they were."""
        if not self._loader:
            return range(len(self._items))
        own = [self._batches.generator, getattr(self._batches.sampler, "generator", None)]
        generators = [one for one in own if one is not None]
        states = [one.get_state() for one in generators]
        with torch.random.fork_rng(devices=[]):
            one, two = ([item for batch in self._batches.batch_sampler for item in batch] for _ in range(2))
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
        return one if one == two else sorted(one, key=str)

    def _item(self, place: Any) -> Batch:
        collate = self._batches.collate_fn or default_collate
        return self._parted(collate([self._items[place]]))

    def _parted(self, batch: Any) -> Batch:
        given: Any = batch
        targets: tuple[Any, ...] = ()
        if isinstance(batch, Mapping):
            given = {name: value for name, value in batch.items() if name != "labels"}
            targets = (batch["labels"],) if "labels" in batch else ()
        elif isinstance(batch, tuple | list) and batch:
            given, targets = batch[0], tuple(batch[1:])
        n = count(given)
        for target in targets:
            if not isinstance(target, Tensor) or not target.dim() or len(target) != n:
                what = tuple(target.shape) if isinstance(target, Tensor) else type(target).__name__
                raise InvalidInput(
                    f"features.data: {what} was given as target for {n} items; a tensor ({n}, ...) is allowed."
                )
        return self._placed(given), targets

    def _placed(self, given: Any) -> Any:
        if self._device is None:
            return given
        moved = (leaf.to(self._device) if isinstance(leaf, Tensor) else leaf for leaf in leaves(given))
        return rebuild(given, moved)


def fill(columns: Sequence[Tensor], source: Source, trunk: Trunk) -> int:
    """Write the activations and targets of all batches into ``columns``, and return how many items there are.

    Raises
    ------
    NotFinite
        An activation is finite, and too large for the dtype of its column.
    InvalidInput
        An item has another shape than the first.
    """
    at = 0
    for given, targets in source:
        found = [trunk.run(given), *targets]
        n = len(found[0])
        for column, values in zip(columns, found, strict=True):
            if column.shape[1:] != values.shape[1:] or at + n > len(column):
                raise InvalidInput(
                    f"features.data: an item of shape {tuple(values.shape[1:])} came after one of "
                    f"{tuple(column.shape[1:])}, or more than {len(column)} items; all have one shape."
                )
            column[at : at + n] = values
        if columns[0].dtype == torch.float16:
            _check_half(found[0])
        at += n
    return at


def _check_half(values: Tensor) -> None:
    """Say if a finite entry is too large for float16."""
    least, most = values.aminmax()
    if least >= -LARGEST and most <= LARGEST:
        return
    largest = values.abs().nan_to_num(0.0, 0.0, 0.0).max()
    if largest > LARGEST:
        raise NotFinite(
            f"features: an activation of {float(largest):g} was given; up to {LARGEST:g} is allowed as float16. Store "
            "with dtype='bfloat16' or 'float32'."
        )

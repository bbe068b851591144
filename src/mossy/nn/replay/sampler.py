"""Batches that a ``DataLoader`` draws from a memory of examples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

import torch
from torch.utils.data import Sampler

from mossy.arrays import check_integer, choose
from mossy.errors import EmptyMemory, InvalidDtype, InvalidInput
from mossy.nn.replay.checks import as_generator
from mossy.nn.replay.odds import BY

if TYPE_CHECKING:
    from mossy.nn.replay.memory import ReplayMemory

__all__ = ["Drawn", "ReplaySampler"]


@final
class Drawn(list[int]):
    """Places that were drawn when the memory had changed so many times: a worker may hold it as it was before."""

    changes = 0


@final
class ReplaySampler(Sampler[list[int]]):
    """Draws batches of places in a ``ReplayMemory``; see ``ReplayMemory.sampler``, which makes one.

    Batches are drawn in the process of the loop, one by one: what ``update`` told counts from then on (a loader with
    workers draws a few batches ahead). What is held must stay the same during a pass, since workers hold a copy of it;
    with ``persistent_workers=True`` as long as the loader is used.

    Raises
    ------
    InvalidParameter, UnknownName, InvalidDtype
    """

    def __init__(
        self,
        memory: ReplayMemory,
        batch: int,
        by: str = "strength",
        batches: int | None = None,
        generator: torch.Generator | None = None,
    ) -> None:
        self.memory = memory
        self.batch = check_integer(batch, "sampler.batch", 1)
        choose(BY, by, "sampler.by")
        self.by = by
        self.batches = None if batches is None else check_integer(batches, "sampler.batches", 1)
        if generator is not None and not isinstance(generator, torch.Generator):
            raise InvalidDtype(
                f"sampler.generator: {generator!r} was given; a torch.Generator is allowed, such as "
                "torch.Generator().manual_seed(0)."
            )
        self.generator = generator

    def __len__(self) -> int:
        return -(-len(self.memory) // self.batch) if self.batches is None else self.batches

    def __iter__(self) -> Iterator[list[int]]:
        memory = self.memory
        if not len(memory):
            raise EmptyMemory("sampler: the memory holds nothing; store at least one example first.")
        random = as_generator(self.generator, "sampler.generator")
        with memory.alone():
            before = memory.changes
        for _ in range(len(self)):
            with memory.alone():
                places = Drawn(memory.draw(self.batch, self.by, random).tolist())
                places.changes = memory.changes
            if places.changes != before:
                raise InvalidInput(
                    "sampler: examples were stored or forgotten while a loader went over the memory; do so between "
                    "passes, or take batches from memory.replay."
                )
            yield places

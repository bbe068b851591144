"""A memory of training examples as tensors, from which a network is reminded of what it learned."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, Self, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import Dataset

from mossy.arrays import as_bytes, check_flag, check_integer, check_number, choose
from mossy.errors import (
    EmptyBatch,
    EmptyMemory,
    FullMemory,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    UnknownMemory,
)
from mossy.memory.draw import draw
from mossy.nn.parts import mode
from mossy.nn.replay.checks import as_device, as_generator, as_numbers, check_examples
from mossy.nn.replay.examples import Examples, Places, Replayed
from mossy.nn.replay.odds import BY, KEEP, balanced, staying
from mossy.nn.replay.rows import Rows
from mossy.nn.replay.sampler import Drawn, ReplaySampler
from mossy.nn.replay.state import State, read, written
from mossy.strength import LinearLaw, as_law

__all__ = ["Mixed", "ReplayMemory"]

PART = 256  # examples of which a network is asked at once
MODES = 2  # of the strength of an example: it is held for every one
FIXED = 512  # bytes that do not depend on how many examples there are


class Mixed(NamedTuple):
    """A new batch with a replayed one behind it.

    ``x`` and ``y`` are of both; the first ``new`` rows are the new ones. ``ids (m,)`` and ``logits (m, k)`` (or None)
    are of those that were replayed.
    """

    x: Tensor
    y: Tensor
    new: int
    ids: Tensor
    logits: Tensor | None


@final
class ReplayMemory(Dataset[tuple[Tensor, ...]]):
    r"""Holds a stream of training examples in bounded room, and replays it to a network.

    It is a dataset of what is held: item ``i`` is ``(x, y, id)``, or ``(x, y, id, logits)`` where logits were stored.
    ``sampler`` draws batches of it for a ``DataLoader``; ``mix`` joins a new batch with a replayed one; ``drive`` and
    ``consolidate`` are whole loops. What is drawn and what stays is said in ``mossy.nn.replay.odds``. Strength falls as
    a power of time (``mossy.strength.power_law``); time is counted in examples stored.

    Parameters
    ----------
    capacity
        The most examples that are held, an integer; or the most bytes of all of them, a string such as ``"1 MB"``.
        Examples are held in the dtype of the first batch: images of bytes take a quarter of what they do as float32.
    keep
        Which stay when not all can: ``"reservoir"``, a random sample of all that came, or ``"strong"``, the strongest
        (unless reinforced, those are the newest).
    balanced
        ``y`` are classes, integers ``(n,)``, that share the room and the replay. False: ``y`` is any tensor
        ``(n, ...)``, and all examples are alike.
    law
        How strength fades, with one example stored as the unit of time: ``"power_law"``, ``"two_phase"``,
        ``"benna_fusi"`` or a law of ``mossy``. It is taken in its coarse form of two modes.
    device
        Where examples are held. What is drawn comes back there. Workers of a ``DataLoader`` want ``"cpu"``. They hold
        a copy of the memory: what was stored or forgotten since they began is not in it. Batches of ``sampler`` that
        were drawn after that they refuse; other samplers want a new loader, without ``persistent_workers``.
    seed
        Of what stays and what is replayed.

    Raises
    ------
    InvalidParameter, UnknownName

    Examples
    --------
    >>> import torch
    >>> from torch.utils.data import DataLoader
    >>> from mossy.nn.replay import ReplayMemory
    >>> memory = ReplayMemory(100)
    >>> ids = memory.store(torch.rand(1000, 3, 8, 8), torch.arange(1000) % 10)
    >>> loader = DataLoader(memory, batch_sampler=memory.sampler(32, by="surprise"))
    >>> for x, y, id in loader:
    ...     loss = torch.rand(len(x))  # of your model
    ...     memory.update(id, loss)
    >>> len(memory), x.shape[1:]
    (100, torch.Size([3, 8, 8]))
    """

    def __init__(
        self,
        capacity: int | str,
        *,
        keep: str = "reservoir",
        balanced: bool = True,
        law: str | LinearLaw = "power_law",
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        if isinstance(capacity, str):
            as_bytes(capacity, "ReplayMemory.capacity")
        else:
            check_integer(capacity, "ReplayMemory.capacity", 1)
        self.capacity = capacity
        self.keep = keep
        self._lot = choose(KEEP, keep, "ReplayMemory.keep")
        self.balanced = check_flag(balanced, "ReplayMemory.balanced")
        self.device = as_device(device, "ReplayMemory.device")
        self._law = as_law(law).coarse(MODES)
        self._random = np.random.default_rng(check_integer(seed, "ReplayMemory.seed", 0))
        self._lock, self._process = threading.RLock(), os.getpid()
        self._next = 0  # the id of the next example, and so the time
        self._since = 0  # the id of the first example of which the logits are as they were stored
        self.changes = 0  # goes up before and after rows come, move or go: of one value, they are the same rows
        self._examples: Examples | None = None  # until the first batch says of what shape they are
        self._labels: dict[int, int] = {}  # the code of each class

    # --- store -----------------------------------------------------------------------------------

    def store(self, x: Tensor, y: Tensor, logits: Tensor | None = None) -> Tensor:
        """Remember examples ``x (n, ...)`` with targets ``y (n, ...)``, and return their ids ``(n,)``.

        What there is no room for is let go: of the new as of the old.

        Parameters
        ----------
        x, y
            Of the shapes and dtypes of the first batch. Gradients are not kept.
        logits
            What a model said of them, ``(n, k)`` floats; given every time, or never.

        Raises
        ------
        InvalidShape, InvalidDtype, EmptyBatch, InvalidInput
            Nothing was stored.
        FullMemory
            There is not room for one example of each class. Nothing was stored.
        """
        with self.alone():
            given, examples, labels, codes, room = self._fitting(x, y, logits)
            n = len(x)
            ids = np.arange(self._next, self._next + n)
            known = {
                "ids": ids,
                "born": np.full(n, float(self._next + n)),
                "lots": self._random.exponential(size=n),
                "surprise": np.full(n, np.nan, np.float32),
                "codes": codes,
            }
            free, come = self._giving_way(examples, known, room, self._next + n)
            with self._changing():
                examples.write(given, known, come, free[: len(come)], room, self._next + n)
                self._examples, self._labels, self._next = examples, labels, self._next + n
                examples.take_out(free[len(come) :])
        return torch.from_numpy(ids)

    def check(self, x: Tensor, y: Tensor, logits: Tensor | None = None) -> None:
        """Raise as ``store`` would, and store nothing."""
        with self.alone():
            self._fitting(x, y, logits)

    def check_new(self, x: Tensor, y: Tensor, by: str) -> None:
        """Raise unless a new batch can be learned together with what is held."""
        with self.alone():
            held = {} if self._examples is None else self._examples.held
            check_examples({"x": x, "y": y}, held, by, balanced=self.balanced)

    def _fitting(
        self, x: Tensor, y: Tensor, logits: Tensor | None
    ) -> tuple[dict[str, Tensor], Examples, dict[int, int], NDArray[np.int32], int]:
        """Return these by name, where to write them, the codes of all classes and of these, and the room, or raise."""
        given = {"x": x, "y": y} | ({} if logits is None else {"logits": logits})
        examples = self._examples
        check_examples(given, {} if examples is None else examples.held, "store", balanced=self.balanced)
        if not len(x):
            raise EmptyBatch("store.x: no example was given; give at least one.")
        if examples is None:
            examples = Examples(self._law, {name: Rows(batch, self.device) for name, batch in given.items()})
        elif given.keys() != examples.held.keys():
            raise InvalidInput(
                f"store.logits: {'given' if 'logits' in given else 'not given'}, but not so before; give logits "
                "every time, or never."
            )
        labels, codes = self._coded(y)
        room, kinds = self._room(examples), max(len(labels), 1)
        if room < kinds:
            raise FullMemory(
                f"store: capacity={self.capacity!r} has room for {room} examples, and there are {kinds} classes; give "
                "it room for one of each."
            )
        return given, examples, labels, codes, room

    def _coded(self, y: Tensor) -> tuple[dict[int, int], NDArray[np.int32]]:
        """Return the code of each class, the new ones behind the old ones, and the codes ``(n,)`` of ``y``."""
        if not self.balanced:
            return {}, np.zeros(len(y), np.int32)
        there, place = np.unique(y.detach().cpu().numpy(), return_inverse=True)
        labels = dict(self._labels)
        codes = [labels.setdefault(label, len(labels)) for label in there.tolist()]
        return labels, np.array(codes, np.int32)[place]

    def _room(self, examples: Examples) -> int:
        """Return for how many examples like these there is room."""
        if not isinstance(self.capacity, str):
            return self.capacity
        return max(as_bytes(self.capacity, "ReplayMemory.capacity") - FIXED, 0) // examples.each

    def _giving_way(
        self, examples: Examples, known: dict[str, NDArray[Any]], room: int, now: int
    ) -> tuple[Places, Places]:
        """Return the places of the old ones that are let go, and which of the new ones come."""
        old, n = len(examples), len(known["ids"])
        if old + n <= room:
            return np.empty(0, np.intp), np.arange(n)
        fresh = np.full(n, self._law.fresh[0])
        log_s = np.concatenate([examples.log_strengths(now), fresh])
        log_r = np.concatenate([examples.log_fresh(now), fresh])
        lots = self._lot(log_s, log_r, np.concatenate([examples["lots"], known["lots"]]))
        stay = staying(lots, np.concatenate([examples["codes"], known["codes"]]), room)
        return np.flatnonzero(~stay[:old]), np.flatnonzero(stay[old:])

    # --- retrieve --------------------------------------------------------------------------------

    def __len__(self) -> int:
        return 0 if self._examples is None else len(self._examples)

    def __getitem__(self, i: int) -> tuple[Tensor, ...]:
        return self.__getitems__([i])[0]

    def __getitems__(self, places: Sequence[int]) -> list[tuple[Tensor, ...]]:
        """Return the items at these places, from ``-len(memory)`` to ``len(memory) - 1``."""
        with self.alone():
            if isinstance(places, Drawn) and places.changes != self.changes:
                raise InvalidInput(
                    "memory[i]: examples were stored or forgotten since this copy of the memory was made, or since "
                    "these were drawn; make a new DataLoader then, or one without persistent_workers."
                )
            for i in places:
                if not -len(self) <= i < len(self):
                    raise IndexError(f"ReplayMemory: index {i} was given, and {len(self)} examples are held.")
            found = self._some("memory[i]").at(np.asarray(places, np.intp) % max(len(self), 1))
        parts = [found.x, found.y, found.ids] + ([] if found.logits is None else [found.logits])
        return list(zip(*parts, strict=True))

    def sampler(
        self,
        batch: int,
        by: str = "strength",
        *,
        batches: int | None = None,
        generator: torch.Generator | None = None,
    ) -> ReplaySampler:
        """Return a batch sampler: ``DataLoader(memory, batch_sampler=memory.sampler(32))``.

        Parameters
        ----------
        batch
            How many examples a batch has, without repeats; where fewer are held, so many.
        by
            ``"uniform"``, ``"strength"`` or ``"surprise"``, as told by ``update``, also while it goes on.
        batches
            How many there are in one pass; None takes as many as it needs to show as many examples as are held.
        generator
            Makes the batches repeat; None goes on with the memory's own seed.
        """
        return ReplaySampler(self, batch, by, batches, generator)

    def replay(
        self, n: int, by: str = "strength", *, generator: torch.Generator | np.random.Generator | None = None
    ) -> Replayed:
        """Draw ``n`` examples, from 1 to ``len(memory)``, without repeats; nothing is reinforced.

        Raises
        ------
        EmptyMemory, InvalidParameter, UnknownName, InvalidDtype
        """
        with self.alone():
            examples = self._some("replay")
            n = check_integer(n, "replay.n", 1, len(self))
            return examples.at(self.draw(n, by, generator))

    def draw(
        self, n: int, by: str = "strength", generator: torch.Generator | np.random.Generator | None = None
    ) -> Places:
        """Return the places of ``n`` examples that are drawn, or of all if fewer are held."""
        weigh = choose(BY, by, "by")
        random = as_generator(generator, "generator") or self._random
        with self.alone():
            examples = self._some("draw")
            log_s = examples.log_strengths(self._next) if by != "uniform" else np.empty(0)
            log_w = weigh(log_s, examples["surprise"].astype(np.float64))
            return draw(balanced(log_w, examples["codes"]), n, random)

    def mix(self, x: Tensor, y: Tensor, n: int | None = None, by: str = "uniform") -> Mixed:
        """Return a new batch ``x (b, ...)``, ``y (b, ...)`` with ``n`` replayed examples behind it.

        Parameters
        ----------
        x, y
            The new batch. The replayed ones come to its device.
        n
            How many are replayed, at most; None takes as many as are new.
        by
            As in ``replay``.

        Raises
        ------
        InvalidShape, InvalidDtype
            The batch does not fit what is held.
        """
        choose(BY, by, "by")
        with self.alone():
            self.check_new(x, y, "mix")
            wanted = len(x) if n is None else check_integer(n, "mix.n", 0)
            if not wanted or not len(self):
                return Mixed(x, y, len(x), torch.empty(0, dtype=torch.int64), None)
            old = self._some("mix").at(self.draw(wanted, by))
        both = torch.cat([x, old.x.to(x.device)]), torch.cat([y, old.y.to(y.device)])
        return Mixed(*both, len(x), old.ids, None if old.logits is None else old.logits.to(x.device))

    # --- what was of use -------------------------------------------------------------------------

    def update(self, ids: Tensor | Iterable[int], losses: Tensor | Iterable[float]) -> None:
        """Tell the losses ``(n,)`` of examples ``(n,)``, at least 0 each: replay by surprise goes by them.

        Raises
        ------
        UnknownMemory, InvalidShape, InvalidDtype, NotFinite, InvalidParameter
            Nothing was changed.
        """
        told = as_numbers(losses, "update.losses").astype(np.float32)
        with self.alone():
            examples = self._some("update")
            places = examples.places(ids, "update")
            if told.shape != places.shape:
                raise InvalidShape(
                    f"update.losses: shape {told.shape} was given; ({len(places)},) is allowed, one for each id. "
                    'A loss with reduction="none" has it.'
                )
            if not np.isfinite(told).all():
                raise NotFinite(f"update.losses: {told[~np.isfinite(told)][0]} was given; finite numbers are allowed.")
            if told.min(initial=0) < 0:
                raise InvalidParameter(f"update.losses: {told.min():g} was given; at least 0 is allowed.")
            examples["surprise"][places] = told

    def reinforce(self, ids: Tensor | Iterable[int], amount: float = 1.0) -> None:
        """Excite examples by ``amount``, above 0, because they were of use: they are replayed more often, and stay.

        Raises
        ------
        UnknownMemory, InvalidParameter, InvalidDtype
        """
        amount = check_number(amount, "reinforce.amount", 0, 1e15, open_low=True)
        with self.alone():
            examples = self._some("reinforce")
            places = np.unique(examples.places(ids, "reinforce"))
            examples.strengths.excite(places, np.full(len(places), amount), self._next)

    def reconsolidate(self, model: nn.Module) -> None:
        """Write anew what a network says of the examples that were stored since this was last done.

        What it said when they were stored, it said before it had learned them. Do so when it has, before it learns
        something else; ``drive`` does when a class comes that the memory does not hold. Without stored logits nothing
        is changed.

        Parameters
        ----------
        model
            It is asked in ``eval`` mode, on the device of its parameters, and put back into its mode.

        Raises
        ------
        InvalidShape
            Its outputs do not have the shape of the stored logits.
        """
        with self.alone():
            self._say_anew(model)

    @torch.no_grad()
    def _say_anew(self, model: nn.Module) -> tuple[Places, Tensor] | None:
        """Return also where something is written anew, and what stood there."""
        examples, said = self._examples, []
        if examples is None or "logits" not in examples.held:
            return None
        held, places = examples.held["logits"].rows, np.flatnonzero(examples["ids"] >= self._since)
        device = next((p.device for p in model.parameters()), self.device)
        with mode(model, training=False):
            for some in np.array_split(places, -(-len(places) // PART)) if len(places) else ():
                outputs = model(examples.at(some).x.to(device))
                wanted = (len(some), *held.shape[1:])
                if not isinstance(outputs, Tensor) or outputs.shape != wanted:
                    what = tuple(outputs.shape) if isinstance(outputs, Tensor) else type(outputs).__name__
                    raise InvalidShape(
                        f"reconsolidate.model: outputs {what} were returned; {wanted} is allowed, as the logits that "
                        "are stored."
                    )
                said.append(outputs.to(held.device, held.dtype))
        self._since = self._next
        return (places, examples.rewrite("logits", places, torch.cat(said))) if said else None

    @contextmanager
    def trial(self, model: nn.Module | None) -> Iterator[None]:
        """Reconsolidate by a network, if there is one; what is refused within leaves the memory as it was before."""
        with self.alone():
            since, random = self._since, self._random.bit_generator.state
            before = None if model is None else self._say_anew(model)
            try:
                yield
            except BaseException:
                if before is not None and self._examples is not None:
                    self._examples.rewrite("logits", *before)
                self._since, self._random.bit_generator.state = since, random
                raise

    def forget(
        self, ids: Tensor | Iterable[int] | None = None, *, classes: Tensor | Iterable[int] | None = None
    ) -> None:
        """Forget examples by id, or all of some classes; no byte of them is left.

        What was let go for them does not come back, and a model that learned them has to be forgotten otherwise.

        Raises
        ------
        UnknownMemory
            One of them is not held. Nothing was forgotten.
        InvalidInput, InvalidDtype, EmptyBatch
        """
        if (ids is None) == (classes is None):
            raise InvalidInput("forget: give ids, or classes.")
        with self.alone():
            examples = self._some("forget")
            if ids is not None:
                gone = np.unique(examples.places(ids, "forget"))
            else:
                labels = as_numbers([] if classes is None else classes, "forget.classes").tolist()
                for label in labels:
                    if label not in self.classes:
                        raise UnknownMemory(f"forget: nothing of class {label!r} is held; nothing was forgotten.")
                gone = np.flatnonzero(np.isin(examples["codes"], [self._labels[label] for label in labels]))
            with self._changing():
                examples.take_out(gone)
                self._name_again(examples)

    def _name_again(self, examples: Examples) -> None:
        """Know only the classes that are held."""
        there, codes = np.unique(examples["codes"], return_inverse=True)
        names = list(self._labels)
        self._labels = {names[code]: new for new, code in enumerate(there.tolist())} if self.balanced else {}
        examples["codes"][:] = codes

    def alone(self) -> threading.RLock:
        """Return a context in which no other thread uses the memory.

        A forked process has a lock of its own, since a thread that is not there may hold the other.
        """
        if self._process != os.getpid():
            self._lock, self._process = threading.RLock(), os.getpid()
        return self._lock

    @contextmanager
    def _changing(self) -> Iterator[None]:
        self.changes += 1
        try:
            yield
        finally:
            self.changes += 1

    def _some(self, by: str) -> Examples:
        if self._examples is None or not len(self._examples):
            raise EmptyMemory(f"{by}: the memory holds nothing; store at least one example first.")
        return self._examples

    # --- what is there ---------------------------------------------------------------------------

    @property
    def ids(self) -> Tensor:
        """The ids ``(n,)`` of what is held, by place."""
        with self.alone():
            return torch.from_numpy(self._examples["ids"].copy()) if self._examples else torch.empty(0).long()

    @property
    def classes(self) -> list[int]:
        """The classes that are held, rising; none if not ``balanced``."""
        with self.alone():
            there = set(np.unique(self._examples["codes"]).tolist()) if self._examples else set()
            return sorted(label for label, code in self._labels.items() if code in there)

    def holds(self, classes: Tensor) -> bool:
        """Say whether an example of each of these classes is held."""
        return set(classes.detach().cpu().flatten().tolist()) <= set(self.classes)

    @property
    def strengths(self) -> Tensor:
        """The strengths ``(n,)`` now, by place."""
        with self.alone():
            log_s = self._examples.log_strengths(self._next) if self._examples else np.empty(0)
            return torch.from_numpy(np.exp(log_s))

    @property
    def nbytes(self) -> int:
        """Bytes of all that is held."""
        return self._examples.nbytes if self._examples else 0

    def to(self, device: torch.device | str) -> Self:
        """Hold the examples on another device, and return the memory."""
        device = as_device(device, "to.device")
        with self.alone():
            if self._examples is not None:
                self._examples.move(device)
            self.device = device
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return copies of all that is held, for ``torch.save``, and the state of its random numbers."""
        with self.alone():
            return written(State(self._examples, self._labels, self._next, self._since, self._random))

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what ``state_dict`` returned, instead of what is held.

        Raises
        ------
        InvalidInput
            It is not the state of a memory made like this one. Nothing was changed.
        """
        got = read(state, self._law, self.device, balanced=self.balanced)
        n, room = (0, 0) if got.examples is None else (len(got.examples), self._room(got.examples))
        if n > room:
            raise InvalidInput(
                f"load_state_dict: {n} examples were given; {room} are allowed, for as many there is room in "
                f"capacity={self.capacity!r}."
            )
        with self.alone(), self._changing():
            self._examples, self._labels, self._next, self._since, self._random = got

    def __getstate__(self) -> dict[str, Any]:
        with self.alone():
            return {name: part for name, part in self.__dict__.items() if name not in ("_lock", "_process", "_lot")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._lock, self._process = threading.RLock(), os.getpid()
        self._lot = KEEP[self.keep]

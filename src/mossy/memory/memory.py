"""Memory: short term, long term and consolidation, composed of the parts below."""

from __future__ import annotations

import copy
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NoReturn, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import LARGEST, as_vector, check_flag, check_integer
from mossy.clock import Clock, Seconds, check_time, clock_of
from mossy.errors import EmptyMemory, InvalidDtype, InvalidInput, InvalidParameter, InvalidTime, MossyError
from mossy.memory.answer import answer, answer_lone, reinforce_recalled
from mossy.memory.catalog import LONG, PINNED, SHORT
from mossy.memory.configuration import Configuration
from mossy.memory.consolidation import consolidate
from mossy.memory.draw import draw, generator
from mossy.memory.durable import Durable
from mossy.memory.interchange import export, import_
from mossy.memory.interchange.form import Progress
from mossy.memory.payloads import as_payloads
from mossy.memory.results import Consolidation, Imported, Replay, Stats, Stored, stats_of
from mossy.memory.store import Store
from mossy.memory.storing import forget_named, keep_capacity, store_batch
from mossy.recall import Recall, lone
from mossy.separation import Separation
from mossy.similarity import Similarity
from mossy.strength import LinearLaw

__all__ = ["Memory"]

Rows = NDArray[np.intp]

COMPLETION = 8  # steps of completion of a partial cue, unless set


@final
class Memory:
    """A short-term and a long-term memory: in this process, or, as ``mossy.open`` gives it, in a file.

    One store holds every memory. Short-term memory is a bounded set of ids over it: what was just stored or
    recalled. When it is full, its least strong member leaves; leaving, or ``consolidate``, makes a memory long-term.

    Parameters
    ----------
    similarity, separation, beta
        As in ``mossy.Index``: how cues find keys, how memories compete, and how sharply.
    law
        The strength law: ``"power_law"``, ``"two_phase"``, ``"benna_fusi"``, or a ``LinearLaw`` in the clock's
        unit.
    delta
        δ ≥ 0: the difference in similarity that no difference in strength can outweigh; 0 switches the prior off.
    familiar
        How far on the way from an unrelated key to a perfect fit the best memory must lie, from 0 to 1, for a recall to
        count as recognised, and to be reinforced. ``reinforce`` excites what was recalled below it.
    links
        The most links of a memory to others; 0 keeps none. They fade by its coarse form of two modes.
    association
        ``g_a`` ≥ 0: the evidence of one unit of association; needs ``links``.
    short_term
        The most members of short-term memory, at least 1.
    keep
        What leaves short-term memory: ``"all"`` becomes long-term; with ``"frequent"`` only what was reinforced
        since it was stored, or is pinned, and the rest is let go.
    capacity
        What is held at most: beyond it the weakest is forgotten. An integer is a number of memories, at least 1; a
        string is bytes, such as ``"64 MB"`` or ``"1 GiB"``: those of all arrays in this process, as ``stats().bytes``
        counts them (payloads as references). None sets no bound. What is pinned stays.
    merge
        ``consolidate`` merges memories with equal value and payload whose keys differ by at most this much
        similarity: 0 merges identical ones, None merges nothing. Above 0, every memory is compared with every other.
    duplicates
        What becomes of what is there already, with the same pattern, value and payload: ``"reinforce"`` reinforces
        that, and ``store`` returns its id; ``"keep"`` stores it again.
    pathway
        How the keys that fit a cue are found: ``"exact"`` compares all, ``"sketch"`` scans one-bit synapses, and finds
        nearly all of what is best, ``"graph"`` is for what is hardly ever written. ``"auto"`` is ``"exact"`` up to
        65,536 memories and ``"sketch"`` beyond; ``stats()`` tells.
    adapt
        Whether it is learned from use which memories a capacity lets go (``mossy.memory.adapting``). Those leave
        ghosts: a keyed hash of the pattern, and the modes. What is stored again gets its history back, and so has a
        strength above 1. Ghosts, and what is learned, are in no file and in no ``state()``. False lets the weakest go.
    clock
        ``Seconds()`` unless set; ``Steps()`` for training loops and tests.

    Raises
    ------
    InvalidParameter, UnknownName
    """

    def __init__(
        self,
        *,
        similarity: str | Similarity = "euclidean",
        separation: str | Separation = "softmax",
        beta: float | None = None,
        law: str | LinearLaw = "power_law",
        delta: float = 0.002,
        familiar: float = 0.75,
        links: int = 0,
        association: float = 0.0,
        short_term: int = 1024,
        keep: str = "all",
        capacity: int | str | None = None,
        merge: float | None = 0.0,
        duplicates: str = "reinforce",
        pathway: str = "auto",
        adapt: bool = False,
        clock: Clock | None = None,
    ) -> None:
        configuration = Configuration(
            similarity, separation, beta, law, delta, familiar, links, association, short_term, keep, capacity, merge,
            duplicates, pathway, adapt,
        )  # fmt: skip
        self._begin(configuration, clock, None)

    @classmethod
    def made(cls, configuration: Configuration, clock: Clock | None = None, durable: Durable | None = None) -> Memory:
        """Make a memory of these settings; with ``durable``, the one that its journal holds. ``open`` is for users."""
        memory = cls.__new__(cls)
        memory._begin(configuration, clock, durable)
        return memory

    def _begin(self, configuration: Configuration, clock: Clock | None, durable: Durable | None) -> None:
        if clock is not None and not isinstance(clock, Clock):
            raise InvalidDtype(f"Memory.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
        self._clock = Seconds() if clock is None else clock
        self._configuration = configuration
        self._settings = configuration.recall()
        self._store = Store(configuration, durable)
        self._latest = 0.0
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._inside = self._torn = False
        if durable is not None:
            self._latest = durable.journal.head.latest
            self._store = durable.rebuild(configuration, self._now())
            self._finalizer = weakref.finalize(self, durable.close_at, self._clock)

    # -- the four verbs -----------------------------------------------------------------------------------------

    def store(
        self,
        patterns: ArrayLike,
        values: ArrayLike | None = None,
        payload: Any = None,
        *,
        pin: bool = False,
    ) -> Any:
        """Store experiences: each becomes a memory of strength 1, at once, without training.

        Parameters
        ----------
        patterns
            ``(d,)`` or ``(n, d)``: booleans, integers or floats; kept as float32. The first call decides ``d``.
        values
            ``(d_value,)`` or ``(n, d_value)``: what the pattern recalls; the pattern itself if None.
        payload
            Anything to hand back with it: one object for one pattern, a sequence of ``n`` for a batch. It is kept by
            reference.
        pin
            Never forget these by capacity or consolidation.

        Returns
        -------
        int or array
            The id, or the ids ``(n,)``; of what was there already, its own. New ids rise and are never used again. Of
            a batch larger than the capacity, or than short-term memory where only the frequent is kept, the first are
            gone already.

        Raises
        ------
        InvalidInput
            Wrong shape, dtype, NaN, infinity or an empty batch. Nothing was stored.
        FullMemory
            The capacity is used up by pinned memories, or has no room for one memory. Nothing was stored.
        JournalError
            A durable memory could not write; it is as it was before.
        """
        with self._held():
            keys, answers = self._store.index.check(patterns, values, "patterns")
            single = np.ndim(np.asarray(patterns)) == 1
            payloads = self._store.catalog.payloads.prepare(as_payloads(payload, len(keys), single))
            pin = check_flag(pin, "store.pin")
            now = self._now()
            ids = store_batch(self._store, self._configuration, keys, answers, payloads, pin, now)
            return int(ids[0]) if single else ids

    def recall(
        self,
        cue: ArrayLike,
        known: ArrayLike | None = None,
        k: int = 1,
        *,
        steps: int | None = None,
        reinforce: bool = True,
    ) -> Recall:
        """Recall from a noisy or partial cue.

        Parameters
        ----------
        cue
            ``(d,)`` or ``(c, d)``.
        known
            Which entries of the cue are true, ``(d,)`` or ``(c, d)`` booleans. The others may hold anything; they are
            ignored and completed. None: all entries count, none is held fast.
        k
            How many memories to return, from 1 to ``len(memory)``.
        steps
            The most steps of completion: 1 without ``known`` and 8 with it, unless set.
        reinforce
            Excite what was recalled, if it is familiar. False leaves no trace.

        Raises
        ------
        EmptyMemory
            Nothing is stored.
        InvalidInput
            Wrong shape or dtype, NaN, a mask of another shape, nothing known, ``k`` out of range.
        """
        with self._held():
            if len(self) == 0:
                raise EmptyMemory("recall: the memory holds nothing; store at least one pattern first.")
            store = self._store
            cues, single, mask = store.index.check_cues(cue, known)
            k = check_integer(k, "recall.k", 1, len(self))
            reinforce = check_flag(reinforce, "recall.reinforce") and self._store.writes
            limit = (1 if mask is None else COMPLETION) if steps is None else check_integer(steps, "recall.steps", 1)
            now = self._now()
            if reinforce and mask is None and store.adapting is not None:
                store.adapting.asked(cues, now)
            if single and k == 1 and self._settings.gain == 0 and store.vector.answering(store.index) == "exact":
                prepared = store.index.prepare(cues, mask)
                only = lone(store.index, prepared, self._settings)
                if only is not None:
                    return answer_lone(store, self._settings, prepared, only, now, reinforce)
            recalled, excited = answer(store, self._settings, cues, mask, k, limit, now)
            if reinforce:
                reinforce_recalled(store, excited, now)
            store.keep_within()
            return recalled.first() if single else recalled

    def consolidate(self) -> Consolidation:
        """Merge duplicates, as ``merge`` decides, and make short-term memory long-term, as ``keep`` decides.

        Merged memories become one: with the key of the strongest, never an average; with the sum of their strengths,
        which the linear law makes exact; with all their ids, any of which names it from now on. What was stored again
        counts as used.
        """
        with self._held():
            now = self._now()
            store = self._store
            store.check_writes()
            if store.durable is not None:
                store.durable.flush(store, now)
            done = consolidate(store, self._configuration.merge, now)
            if store.durable is not None:
                self._keep_consolidated(store.durable, now)
            return done

    def _keep_consolidated(self, durable: Durable, now: float) -> None:
        """Write it; if that fails, have again what is on disk, which is as it was before."""
        try:
            durable.flush(self._store, now)
        except MossyError:
            self._store = durable.rebuild(self._configuration, now)
            raise
        durable.tidy(self._store)

    def forget(self, ids: int | Iterable[int]) -> None:
        """Forget memories exactly: key, value, payload, strength and links, as if they had not been stored.

        Parameters
        ----------
        ids
            One id or several. An id that was merged into a memory names that whole memory. The id of what the capacity
            let go names its ghost, as long as there is one.

        Raises
        ------
        UnknownMemory
            One of the ids is not there. Nothing was forgotten.
        ForgetPending
            It is forgotten, but another process reads the file just now and so keeps bytes of it there.
        JournalError
            A durable memory could not write. Nothing was forgotten.
        """
        with self._held():
            forget_named(self._store, ids, self._now())

    # -- strength -----------------------------------------------------------------------------------------------

    def reinforce(self, ids: int | Iterable[int], amount: ArrayLike = 1.0) -> None:
        """Excite memories because they were used: add ``amount`` (one number or ``(n,)``, above 0) to each.

        Raises
        ------
        UnknownMemory, InvalidInput
            Nothing was changed.
        """
        with self._held():
            rows = self._store.catalog.rows_of(ids)
            amounts = as_vector(amount, "reinforce.amount", len(rows))
            if (amounts <= 0).any() or (amounts > LARGEST).any():
                raise InvalidParameter(
                    f"reinforce.amount: {amounts.min():g} to {amounts.max():g} was given; more than 0 and at most "
                    f"{LARGEST:g} is allowed."
                )
            now = self._now()
            self._store.check_writes()
            self._store.excite(rows, amounts, now)

    def strength(self, ids: int | Iterable[int]) -> Any:
        """Return the short and the long part of the strength now: ``(2,)`` for one id, ``(n, 2)`` for several."""
        with self._held():
            rows = self._store.catalog.rows_of(ids)
            both = np.stack(self._store.strengths.law.split(*self._store.strengths.modes(rows, self._now())), axis=-1)
            return both[0] if isinstance(ids, int | np.integer) else both

    def pin(self, ids: int | Iterable[int], pinned: bool = True) -> None:
        """Never forget these by capacity or consolidation; False takes that back. Raises ``UnknownMemory``."""
        with self._held():
            rows = self._store.catalog.rows_of(ids)
            pinned = check_flag(pinned, "pin.pinned")
            self._store.pin(rows, pinned, self._now())

    def replay(
        self,
        n: int,
        *,
        seed: int | np.random.Generator,
        surprise: Callable[[Replay], ArrayLike] | None = None,
    ) -> Replay:
        """Sample stored experience for a slow learner, without repeats, by strength and surprise; reinforce nothing.

        Memory ``i`` is drawn with odds ``s_i``; with ``surprise``, ``8n`` are drawn so and ``n`` of them with odds
        ``surprise_i``.

        Parameters
        ----------
        n
            How many, from 1 to ``len(memory)``.
        seed
            An integer, which always draws the same, or a generator, which goes on.
        surprise
            From a ``Replay`` of ``m`` memories to ``m`` numbers of at least 0: the loss of the learner, for example.
            What has none is drawn when nothing else is left.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        with self._held():
            if len(self) == 0:
                raise EmptyMemory("replay: the memory holds nothing; store at least one pattern first.")
            n = check_integer(n, "replay.n", 1, len(self))
            random = generator(seed)
            if surprise is not None and not callable(surprise):
                raise InvalidDtype(f"replay.surprise: {surprise!r} was given; a function of a Replay is allowed.")
            rows = self._store.catalog.alive()
            odds = self._store.strengths.log(rows, self._now())
            if surprise is None:
                return self._replay(rows[draw(odds, n, random)])
            pool = draw(odds, min(8 * n, len(rows)), random)
            seen = self._replay(rows[pool])
            weight = as_vector(surprise(seen), "replay.surprise", len(pool))
            if (weight < 0).any():
                raise InvalidParameter(f"replay.surprise: {weight.min():g} was returned; at least 0 is allowed.")
            with np.errstate(divide="ignore"):
                drawn = seen.ids[draw(np.log(weight), n, random)]
            return self._replay(self._store.catalog.rows_of(drawn))  # by id, in case the function changed the memory

    # -- on disk ------------------------------------------------------------------------------------------------

    def flush(self) -> None:
        """Write what a durable memory has not written yet: reinforcement, links, short-term memory. Else do nothing."""
        with self._held():
            if self._store.durable is not None:
                self._store.durable.flush(self._store, self._now())

    def export(self, path: str | os.PathLike[str], progress: Progress | None = None) -> int:
        """Write all memories into ``NAME.jsonl`` and ``NAME.npz``, and return how many; see the page Interchange."""
        with self._held():
            return export(self._store, self._configuration, self._clock.name, path, self._now(), progress)

    def import_(self, path: str | os.PathLike[str], progress: Progress | None = None) -> Imported:
        """Add the memories that ``export`` wrote, merging them by id; see the page Interchange."""
        with self._held():
            store, now = self._store, self._now()
            done = import_(store, self._configuration, self._clock.name, path, now, progress)
            keep_capacity(store, now, store.catalog.next_id)
            return done

    def close(self) -> None:
        """Write all, leave the file tidy, and let another process write; a memory in this process stays as it is."""
        durable = self._store.durable
        if durable is not None:
            self._renew_after_fork()
            with self._lock:
                durable.close_at(self._clock, self._torn)
                self._finalizer.detach()

    def __enter__(self) -> Memory:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- what is there ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        if self._store.durable is None:
            return len(self._store.index)
        with self._held():
            return len(self._store.index)

    def __contains__(self, id: object) -> bool:
        if not isinstance(id, int | np.integer) or isinstance(id, bool):
            return False
        with self._held():
            return self._store.catalog.holds(int(id))

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    def __getitem__(self, id: int) -> Stored:
        """Return one memory by its id, without recalling it, or raise ``UnknownMemory``."""
        with self._held():
            if not isinstance(id, int | np.integer):
                raise InvalidDtype(
                    f"memory[id]: {id!r} was given; one integer is allowed. Several go to recall or forget."
                )
            row = int(self._store.catalog.rows_of(id)[0])
            short, long = self.strength(id)
            flags = self._store.catalog.flags[row]
            return Stored(
                ids=self._store.catalog.names(row),
                pattern=self._store.index.keys[row].copy(),
                value=self._store.index.values[row].copy(),
                payload=self._store.catalog.payload(row),
                short=float(short),
                long=float(long),
                pinned=bool(flags & PINNED),
                short_term=bool(flags & SHORT),
                long_term=bool(flags & LONG),
            )

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids of all memories, rising."""
        with self._held():
            return self._store.catalog.ids[self._store.catalog.alive()]

    @property
    def short_term(self) -> NDArray[np.int64]:
        """The ids in short-term memory, in the order in which they entered."""
        with self._held():
            return self._store.catalog.ids[self._store.short.rows]

    def stats(self) -> Stats:
        """Return what the memory holds and how it is set."""
        with self._held():
            return stats_of(self._store, self._configuration)

    def __repr__(self) -> str:
        index = self._store.index
        return f"Memory(memories={len(index)}, short_term={len(self._store.short.rows)}, d={index.d})"

    def state(self) -> dict[str, Any]:
        """Return all that makes up the memory: configuration, and copies of its arrays. Payloads are referred to."""
        with self._held():
            now = self._now()
            self._store.compact()
            return {
                "configuration": self._configuration.as_dict(),
                "index": self._store.index.state(),
                "strengths": self._store.strengths.state(),
                "linked": None if self._store.links is None else self._store.links.state(),
                "catalog": self._store.catalog.state(),
                "short": self._store.short.rows.copy(),
                "clock": self._clock.name,
                "now": now,
            }

    @classmethod
    def from_state(cls, state: dict[str, Any], clock: Clock | None = None) -> Memory:
        """Make the memory again that ``state()`` was taken from.

        Parameters
        ----------
        state
            What ``state()`` returned.
        clock
            None takes the system's seconds, or ``Steps`` from where the memory was, as it had them. It must not be
            behind the state.

        Raises
        ------
        InvalidTime, InvalidParameter
        """
        if not set(cls().state()) <= set(state or ()):
            raise InvalidInput("Memory.from_state: this is not a state of a Memory; give what state() returned, whole.")
        clock = clock_of(state["clock"], state["now"], clock)
        memory = cls.made(Configuration.from_dict(state["configuration"]), clock)
        memory._latest = state["now"]
        memory._now()
        if state["index"]["keys"] is not None and len(state["index"]["keys"]):
            memory._store.index.write(state["index"]["keys"], state["index"]["values"])
        memory._store.strengths.restore(state["strengths"])
        if memory._store.links is not None:
            memory._store.links.restore(state["linked"])
        memory._store.catalog.restore(state["catalog"])
        memory._store.short.rows = state["short"].copy()
        return memory

    # -- inside -------------------------------------------------------------------------------------------------

    def _held(self) -> AbstractContextManager[Any]:
        """Return what to hold during a call: a lock, and of a durable memory what it needs besides.

        A forked child has a lock of its own, since a thread that is not there may hold the other.
        """
        self._renew_after_fork()
        return self._lock if self._store.durable is None else self._durable_call()

    def _renew_after_fork(self) -> None:
        if os.getpid() != self._process:
            self._lock, self._process, self._inside = threading.RLock(), os.getpid(), False

    @contextmanager
    def _durable_call(self) -> Iterator[None]:
        """Hold the lock, follow what others wrote, and after an interruption have again what is on disk."""
        durable = self._store.durable
        with self._lock:
            if durable is None or self._inside:
                yield
                return
            durable.check_open()
            self._inside = True
            try:
                with durable.seen() as changed:
                    if self._torn or (changed and not durable.refresh(self._store, self._time())):
                        self._store = durable.rebuild(self._configuration, self._time())
                        self._torn = False
                    durable.flush_if_due(self._store, self._latest)
                    yield
            except MossyError:
                raise
            except BaseException:  # wherever it came, the store may be half changed, and the file is not
                self._torn = True
                raise
            finally:
                self._inside = False

    def _time(self) -> float:
        now = check_time(self._clock.now(), "clock")
        durable = self._store.durable
        return now if durable is None or durable.writes else max(now, durable.journal.head.latest)

    def _now(self) -> float:
        """Finish what an interruption left, and return the time of the clock, or raise ``InvalidTime``."""
        self._store.finish()
        now = self._time()
        if now < self._latest:
            raise InvalidTime(
                f"clock: the time {now:g} was given after {self._latest:g}; a clock must not run backwards. "
                "Nothing was changed."
            )
        self._latest = now
        return now

    def _replay(self, rows: Rows) -> Replay:
        catalog, index = self._store.catalog, self._store.index
        return Replay(catalog.ids[rows], index.keys[rows], index.values[rows], catalog.payload_of(rows))

    def __copy__(self) -> Memory:
        return Memory.from_state(self.state(), self._clock)

    def __deepcopy__(self, memo: dict[int, Any]) -> Memory:
        return Memory.from_state(copy.deepcopy(self.state(), memo), copy.deepcopy(self._clock, memo))

    def __reduce__(self) -> NoReturn:
        raise InvalidInput("a Memory is not pickled; state() and Memory.from_state() carry it as arrays and settings.")

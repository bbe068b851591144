"""Memory: short term, long term and consolidation, composed of the parts below."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NoReturn, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import LARGEST, as_vector, check_flag, check_fraction, check_integer, check_number, choose
from mossy.clock import Clock, Seconds, Steps, check_time
from mossy.errors import EmptyMemory, FullMemory, InvalidDtype, InvalidInput, InvalidParameter, InvalidTime
from mossy.memory.catalog import GONE, LONG, PINNED, SHORT, as_payloads
from mossy.memory.draw import draw, generator
from mossy.memory.duplicates import merge
from mossy.memory.results import Consolidation, Replay, Stats, Stored
from mossy.memory.short_term import NONE, ShortTerm, weakest
from mossy.memory.store import Store
from mossy.recall import Lone, Recall, Settings, gather, lone, settle
from mossy.separation import Separation
from mossy.similarity import Similarity
from mossy.strength import LAWS, LinearLaw, as_law
from mossy.substrate.index import Index

__all__ = ["Memory"]

Rows = NDArray[np.intp]

Excited = tuple[Rows, NDArray[np.float64]]  # rows and activities (c, w), 0 where there is nothing to reinforce

CUES = 256  # cues answered at once
NOTICED = 0.01  # activity from which a recalled memory is reinforced: at most 100 memories a cue
COMPLETION = 8  # steps of completion of a partial cue, unless set
KEEP = {"all": False, "frequent": True}


@final
class Memory:
    """A short-term and a long-term memory in this process.

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
        The most links of a memory to others; 0 keeps none. They fade by the same law.
    association
        ``g_a`` ≥ 0: the evidence of one unit of association; needs ``links``.
    short_term
        The most members of short-term memory, at least 1.
    keep
        What leaves short-term memory: ``"all"`` becomes long-term; with ``"frequent"`` only what was reinforced
        since it was stored, or is pinned, and the rest is let go.
    capacity
        The most memories, at least 1: beyond it the weakest is forgotten. None sets no bound. What is pinned stays.
    merge
        ``consolidate`` merges memories with equal value and payload whose keys differ by at most this much
        similarity: 0 merges identical ones, None merges nothing. Above 0, every memory is compared with every other.
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
        capacity: int | None = None,
        merge: float | None = 0.0,
        clock: Clock | None = None,
    ) -> None:
        index = Index(similarity, separation, beta)
        self._law = as_law(law)
        self._settings = Settings(
            check_number(delta, "Memory.delta", 0, 1e6),
            check_number(association, "Memory.association", 0),
            check_fraction(familiar, "Memory.familiar"),
        )
        most = check_integer(links, "Memory.links", 0, 1024)
        if self._settings.gain > 0 and most == 0:
            raise InvalidParameter("Memory.association: needs links; set links=8, for example.")
        self._keep = keep
        self._capacity = None if capacity is None else check_integer(capacity, "Memory.capacity", 1)
        self._merge = None if merge is None else check_number(merge, "Memory.merge", 0)
        if self._merge and not index.similarity.reflexive:
            raise InvalidParameter(
                f"Memory.merge: {self._merge:g} was given with {index.similarity.name!r}, by which a longer key "
                "fits better than an equal one; 0 or None is allowed, or another similarity."
            )
        if clock is not None and not isinstance(clock, Clock):
            raise InvalidDtype(f"Memory.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
        self._clock = Seconds() if clock is None else clock
        short = ShortTerm(check_integer(short_term, "Memory.short_term", 1), choose(KEEP, keep, "keep"))
        self._store = Store(index, self._law, most, short)
        self._latest = 0.0
        self._lock = threading.RLock()
        self._process = os.getpid()

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
            The id, or the ids ``(n,)``. Ids rise and are never used again. Of a batch larger than the capacity, or than
            short-term memory where only the frequent is kept, the first are gone already.

        Raises
        ------
        InvalidInput
            Wrong shape, dtype, NaN, infinity or an empty batch. Nothing was stored.
        FullMemory
            The capacity is used up by pinned memories. Nothing was stored.
        """
        with self._held():
            keys, answers = self._store.index.check(patterns, values, "patterns")
            single = np.ndim(np.asarray(patterns)) == 1
            payloads = as_payloads(payload, len(keys), single)
            pin = check_flag(pin, "store.pin")
            self._check_room(len(keys), pin)
            now = self._now()
            ids = self._store.append(keys, answers, payloads, pin, now)
            self._keep_capacity(self._store.catalog.present(ids), now)
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
            reinforce = check_flag(reinforce, "recall.reinforce")
            limit = (1 if mask is None else COMPLETION) if steps is None else check_integer(steps, "recall.steps", 1)
            now = self._now()
            if single and k == 1 and self._settings.gain == 0:
                prepared = store.index.prepare(cues, mask)
                only = lone(store.index, prepared, self._settings)
                if only is not None:
                    threshold = float(prepared.from_unrelated(self._settings.familiar)[0])
                    return self._recall_lone(only, threshold, now, reinforce)
            blocks = []
            for first in range(0, len(cues), CUES):
                part = slice(first, first + CUES)
                known_part = mask if mask is None or len(mask) == 1 else mask[part]
                blocks.append(self._answer(cues[part], known_part, k, limit, now))
            if reinforce:
                self._reinforce_recalled([excited for _, excited in blocks], now)
            recalled = Recall.together([block for block, _ in blocks])
            return recalled.first() if single else recalled

    def _answer(
        self, cues: NDArray[Any], mask: NDArray[np.bool_] | None, k: int, limit: int, now: float
    ) -> tuple[Recall, Excited]:
        """Return what a block of cues recalls, and what of it is to be reinforced."""
        index, catalog = self._store.index, self._store.catalog
        prepared = index.prepare(cues, mask)
        table = gather(index, self._store.strengths, self._store.links, prepared, k, self._settings, now)
        activity = index.separation.activity(table.total, len(self))
        pattern, taken, energy = settle(index, prepared.exact, mask, prepared, table, activity, limit)
        familiar = table.fit[:, 0] >= prepared.from_unrelated(self._settings.familiar)
        best = table.rows[:, :k]
        parts = (table.similarity, table.prior, table.association, table.total, table.fit)
        recalled = Recall(
            pattern,
            catalog.ids[best],
            [[catalog.payload(row) for row in line] for line in best.tolist()],
            activity[:, :k],
            energy,
            familiar,
            taken,
            np.stack([part[:, :k] for part in parts], axis=-1),
            *self._store.strengths.modes(best, now),
            self._law,
        )
        noticed = (activity >= NOTICED) & familiar[:, None]
        widest = int(noticed.sum(axis=1).max())
        order = np.argsort(~noticed, axis=1, kind="stable")[:, :widest]
        return recalled, (np.take_along_axis(table.rows, order, 1), np.take_along_axis(activity * noticed, order, 1))

    def _reinforce_recalled(self, blocks: list[Excited], now: float) -> None:
        links = self._store.links
        if links is not None:
            for rows, activity in blocks:
                for i in np.flatnonzero(activity[:, 1:].any(axis=1)):
                    others = rows[i, 1:][: links.most]
                    amounts = (activity[i, 0] * activity[i, 1:])[: links.most]
                    links.strengthen(np.repeat(rows[i, :1], len(others)), others, amounts, now)
        rows, activity = (np.concatenate([block[part].ravel() for block in blocks]) for part in range(2))
        if activity.any():
            self._store.excite(rows[activity > 0], activity[activity > 0], now)

    def _recall_lone(self, only: Lone, threshold: float, now: float, reinforce: bool) -> Recall:
        store, row = self._store, int(only.rows[0])
        familiar = only.fit >= threshold
        recalled = Recall(
            store.index.values[row].copy(),
            store.catalog.ids[only.rows],
            [store.catalog.payload(row)],
            np.ones(1),
            only.energy,
            familiar,
            1,
            np.array([[only.evidence, 0.0, 0.0, only.evidence, only.fit]]),
            *store.strengths.modes(only.rows, now),
            self._law,
        )
        if reinforce and familiar:
            store.excite(only.rows, np.ones(1), now)
        return recalled

    def consolidate(self) -> Consolidation:
        """Merge duplicates, as ``merge`` decides, and make short-term memory long-term, as ``keep`` decides.

        Merged memories become one: with the key of the strongest, never an average; with the sum of their strengths,
        which the linear law makes exact; with all their ids, any of which names it from now on. What was stored again
        counts as used.
        """
        with self._held():
            now = self._now()
            store = self._store
            merged = NONE
            if self._merge is not None and len(self):
                merged = merge(store.index, store.catalog, store.strengths, store.links, self._merge, now)
                store.erase(merged)
            before, long = len(self), store.catalog.having(LONG)
            store.erase(store.short.leave(store.short.rows, store.catalog))
            let_go = before - len(self)
            return Consolidation(store.catalog.having(LONG) - long, let_go, len(merged))

    def forget(self, ids: int | Iterable[int]) -> None:
        """Forget memories exactly: key, value, payload, strength and links, as if they had not been stored.

        Parameters
        ----------
        ids
            One id or several. An id that was merged into a memory names that whole memory.

        Raises
        ------
        UnknownMemory
            One of the ids is not there. Nothing was forgotten.
        """
        with self._held():
            self._store.finish()
            self._store.erase(np.unique(self._store.catalog.rows_of(ids)))

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
            self._store.excite(rows, amounts, now)

    def strength(self, ids: int | Iterable[int]) -> Any:
        """Return the short and the long part of the strength now: ``(2,)`` for one id, ``(n, 2)`` for several."""
        with self._held():
            rows = self._store.catalog.rows_of(ids)
            both = np.stack(self._law.split(*self._store.strengths.modes(rows, self._now())), axis=-1)
            return both[0] if isinstance(ids, int | np.integer) else both

    def pin(self, ids: int | Iterable[int], pinned: bool = True) -> None:
        """Never forget these by capacity or consolidation; False takes that back. Raises ``UnknownMemory``."""
        with self._held():
            rows = self._store.catalog.rows_of(ids)
            pinned = check_flag(pinned, "pin.pinned")
            flags = self._store.catalog.flags
            flags[rows] = flags[rows] | PINNED if pinned else flags[rows] & ~PINNED

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

    # -- what is there ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._store.index)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int | np.integer) and not isinstance(id, bool) and self._store.catalog.holds(int(id))

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
            store = self._store
            links = 0 if store.links is None else store.links.nbytes
            held = store.index.nbytes + store.strengths.nbytes + store.catalog.nbytes + store.short.rows.nbytes + links
            return Stats(
                memories=len(self),
                short_term=len(self._store.short.rows),
                long_term=self._store.catalog.having(LONG),
                pinned=self._store.catalog.having(PINNED),
                capacity=self._capacity,
                d=self._store.index.d,
                d_value=self._store.index.d_value,
                bytes=held,
                bytes_of_patterns=self._store.index.bytes_of_patterns,
                similarity=self._store.index.similarity.name,
                separation=self._store.index.separation.name,
                beta=self._store.index.beta,
                law=self._law.name,
                keep=self._keep,
            )

    def __repr__(self) -> str:
        return f"Memory(memories={len(self)}, short_term={len(self._store.short.rows)}, d={self._store.index.d})"

    def state(self) -> dict[str, Any]:
        """Return all that makes up the memory: configuration, and copies of its arrays. Payloads are referred to."""
        with self._held():
            now = self._now()
            self._store.compact()
            return {
                "index": self._store.index.state(),
                "law": (self._law.name, dict(self._law.parameters)),
                "delta": self._settings.delta,
                "association": self._settings.gain,
                "familiar": self._settings.familiar,
                "links": 0 if self._store.links is None else self._store.links.most,
                "short_term": self._store.short.size,
                "keep": self._keep,
                "capacity": self._capacity,
                "merge": self._merge,
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
        name, parameters = state["law"]
        if clock is None:
            if state["clock"] not in ("seconds", "steps"):
                raise InvalidParameter("Memory.from_state: the memory had a clock of its own; give one as clock=.")
            clock = Seconds() if state["clock"] == "seconds" else Steps(state["now"])
        memory = cls(
            law=choose(LAWS, name, "law")(**parameters),
            **{
                part: state[part]
                for part in ("delta", "association", "familiar", "links", "short_term", "keep", "capacity", "merge")
            },
            clock=clock,
        )
        memory._latest = state["now"]
        memory._now()
        memory._store.index = Index.from_state(state["index"])
        memory._store.strengths.restore(state["strengths"], memory._clock.now())
        if memory._store.links is not None:
            memory._store.links.restore(state["linked"])
        memory._store.catalog.restore(state["catalog"])
        memory._store.short.rows = state["short"].copy()
        return memory

    # -- inside -------------------------------------------------------------------------------------------------

    def _check_room(self, n: int, pin: bool) -> None:
        if self._capacity is None:
            return
        pinned = self._store.catalog.having(PINNED)
        if pinned >= self._capacity or (pin and pinned + n > self._capacity):
            raise FullMemory(
                f"store: the capacity is {self._capacity} and {pinned} memories are pinned; unpin or forget some, or "
                "raise the capacity. Nothing was stored."
            )

    def _keep_capacity(self, new: Rows, now: float) -> None:
        """Forget the weakest beyond the capacity; of what was just stored only what does not fit by itself."""
        excess = 0 if self._capacity is None else len(self) - self._capacity
        if excess <= 0:
            return
        free = np.flatnonzero(self._store.catalog.flags & (PINNED | GONE) == 0)
        old = free[free < new[0]]
        out = old if excess >= len(old) else weakest(old, excess, self._store.strengths, now)
        self._store.erase(np.concatenate([out, free[len(old) :][: excess - len(out)]]))

    def _held(self) -> threading.RLock:
        """Return the lock to hold; a forked child has its own, since a thread that is not there may hold the other."""
        if os.getpid() != self._process:
            self._lock, self._process = threading.RLock(), os.getpid()
        return self._lock

    def _now(self) -> float:
        """Finish what an interruption left, and return the time of the clock, or raise ``InvalidTime``."""
        self._store.finish()
        now = check_time(self._clock.now(), "clock")
        if now < self._latest:
            raise InvalidTime(
                f"clock: the time {now:g} was given after {self._latest:g}; a clock must not run backwards. "
                "Nothing was changed."
            )
        self._latest = now
        return now

    def _replay(self, rows: Rows) -> Replay:
        catalog, index = self._store.catalog, self._store.index
        payload = [catalog.payload(row) for row in rows.tolist()]
        return Replay(catalog.ids[rows], index.keys[rows], index.values[rows], payload)

    def __copy__(self) -> Memory:
        return Memory.from_state(self.state(), self._clock)

    def __deepcopy__(self, memo: dict[int, Any]) -> Memory:
        return Memory.from_state(copy.deepcopy(self.state(), memo), copy.deepcopy(self._clock, memo))

    def __reduce__(self) -> NoReturn:
        raise InvalidInput("a Memory is not pickled; state() and Memory.from_state() carry it as arrays and settings.")

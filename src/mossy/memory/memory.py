"""Memory: short term, long term and consolidation, composed of the parts below."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import LARGEST, as_vector, check_flag, check_integer, check_number, choose
from mossy.clock import Clock, Seconds, Steps, check_time
from mossy.errors import EmptyMemory, FullMemory, InvalidDtype, InvalidParameter, InvalidTime
from mossy.memory.catalog import GONE, LONG, PINNED, SHORT, USED, Catalog, as_payloads
from mossy.memory.duplicates import merge
from mossy.memory.results import Consolidation, Replay, Stats, Stored
from mossy.memory.short_term import ShortTerm, weakest
from mossy.pathway import Links
from mossy.recall import Lone, Recall, Settings, gather, lone, settle
from mossy.separation import Separation
from mossy.similarity import Similarity
from mossy.strength import LAWS, LinearLaw, Strengths, as_law
from mossy.substrate.index import Index

__all__ = ["Memory"]

Rows = NDArray[np.intp]

NOTICED = 0.01  # activity from which a recalled memory is reinforced: at most 100 memories a cue
SMALL = 4096  # rows up to which forgetting compacts at once
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
        links: int = 0,
        association: float = 0.0,
        short_term: int = 1024,
        keep: str = "all",
        capacity: int | None = None,
        merge: float | None = 0.0,
        clock: Clock | None = None,
    ) -> None:
        self._index = Index(similarity, separation, beta)
        self._law = as_law(law)
        self._settings = Settings(
            check_number(delta, "Memory.delta", 0), check_number(association, "Memory.association", 0)
        )
        most = check_integer(links, "Memory.links", 0)
        if self._settings.gain > 0 and most == 0:
            raise InvalidParameter("Memory.association: needs links; set links=8, for example.")
        self._links = Links(most, self._law) if most else None
        self._keep = keep
        self._capacity = None if capacity is None else check_integer(capacity, "Memory.capacity", 1)
        self._merge = None if merge is None else check_number(merge, "Memory.merge", 0)
        if self._merge and not self._index.similarity.reflexive:
            raise InvalidParameter(
                f"Memory.merge: {self._merge:g} was given with {self._index.similarity.name!r}, by which a longer key fits "
                "better than an equal one; 0 or None is allowed, or another similarity."
            )
        if clock is not None and not isinstance(clock, Clock):
            raise InvalidDtype(f"Memory.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
        self._clock = Seconds() if clock is None else clock
        self._strengths = Strengths(self._law)
        self._catalog = Catalog()
        self._short = ShortTerm(check_integer(short_term, "Memory.short_term", 1), choose(KEEP, keep, "keep"))
        self._latest = 0.0
        self._lock = threading.RLock()

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
            The id, or the ids ``(n,)``. Ids rise and are never used again.

        Raises
        ------
        InvalidInput
            Wrong shape, dtype, NaN, infinity or an empty batch. Nothing was stored.
        FullMemory
            The capacity is used up by pinned memories. Nothing was stored.
        """
        with self._lock:
            keys, answers = self._index.check(patterns, values)
            single = np.ndim(np.asarray(patterns)) == 1
            payloads = as_payloads(payload, len(keys), single)
            pin = check_flag(pin, "store.pin")
            self._check_room(len(keys), pin)
            now = self._now()
            alive = self._catalog.alive() if self._links is not None else np.empty(0, np.intp)
            rows = self._index.write(keys, answers)
            self._strengths.append(len(rows), now)
            ids = self._catalog.append(len(rows), PINNED if pin else np.uint8(0), payloads)
            if self._links is not None:
                self._links.append(len(rows), now, int(alive[-1]) if len(alive) else None)
            self._erase(self._short.enter(rows, self._catalog, self._strengths, now))
            self._keep_capacity(self._catalog.present(ids), now)
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
        with self._lock:
            if len(self) == 0:
                raise EmptyMemory("recall: the memory holds nothing; store at least one pattern first.")
            cues, single, mask = self._index.check_cues(cue, known)
            k = check_integer(k, "recall.k", 1, len(self))
            limit = (1 if mask is None else COMPLETION) if steps is None else check_integer(steps, "recall.steps", 1)
            now = self._now()
            prepared = self._index.prepare(cues, mask)
            if single and k == 1 and self._settings.gain == 0 and (limit == 1 or self._index.similarity.distance):
                only = lone(self._index, prepared, self._settings)
                if only is not None:
                    return self._recall_lone(only, float(prepared.familiar[0]), now, reinforce)
            table = gather(self._index, self._strengths, self._links, prepared, k, self._settings, now)
            activity = self._index.separation.activity(table.total, len(self))
            pattern, taken, energy = settle(self._index, prepared.exact, mask, prepared, table, activity, limit)
            familiar = table.fit[:, 0] >= prepared.familiar
            best = table.rows[:, :k]
            parts = (table.similarity, table.prior, table.association, table.total, table.fit)
            found = (
                self._catalog.ids[best],
                [[self._catalog.payload(row) for row in line] for line in best.tolist()],
                activity[:, :k],
                energy,
                familiar,
                taken,
                np.stack([part[:, :k] for part in parts], axis=-1),
                *self._strengths.modes(best, now),
            )
            if reinforce:
                self._reinforce_recalled(table.rows, activity, familiar, now)
            recalled = Recall(pattern, *found, self._law)
            return recalled.first() if single else recalled

    def _recall_lone(self, only: Lone, threshold: float, now: float, reinforce: bool) -> Recall:
        row = int(only.rows[0])
        familiar = only.fit >= threshold
        recalled = Recall(
            self._index.values[row].copy(),
            self._catalog.ids[only.rows],
            [self._catalog.payload(row)],
            np.ones(1),
            only.energy,
            familiar,
            1,
            np.array([[only.evidence, 0.0, 0.0, only.evidence, only.fit]]),
            *self._strengths.modes(only.rows, now),
            self._law,
        )
        if reinforce and familiar:
            self._excite(only.rows, np.ones(1), now)
        return recalled

    def consolidate(self) -> Consolidation:
        """Move short-term memory into long-term memory, as ``keep`` decides, and merge, as ``merge`` decides.

        Merged memories become one: with the key of the strongest, never an average; with the sum of their strengths,
        which the linear law makes exact; with all their ids, any of which names it from now on.
        """
        with self._lock:
            now = self._now()
            before, long = len(self), self._catalog.having(LONG)
            self._erase(self._short.leave(self._short.rows, self._catalog))
            let_go = before - len(self)
            moved = self._catalog.having(LONG) - long
            if self._merge is None or not len(self):
                return Consolidation(moved, let_go, 0)
            parts = (self._index, self._catalog, self._strengths, self._links)
            merged = merge(*parts, self._merge, now)
            self._erase(merged)
            return Consolidation(moved, let_go, len(merged))

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
        with self._lock:
            self._erase(np.unique(self._catalog.rows_of(ids)))

    # -- strength -----------------------------------------------------------------------------------------------

    def reinforce(self, ids: int | Iterable[int], amount: ArrayLike = 1.0) -> None:
        """Excite memories because they were used: add ``amount`` (one number or ``(n,)``, above 0) to each.

        Raises
        ------
        UnknownMemory, InvalidInput
            Nothing was changed.
        """
        with self._lock:
            rows = self._catalog.rows_of(ids)
            amounts = as_vector(amount, "reinforce.amount", len(rows))
            if (amounts <= 0).any() or (amounts > LARGEST).any():
                raise InvalidParameter(
                    f"reinforce.amount: {amounts.min():g} to {amounts.max():g} was given; more than 0 and at most "
                    f"{LARGEST:g} is allowed."
                )
            now = self._now()
            self._excite(rows, amounts, now)

    def strength(self, ids: int | Iterable[int]) -> Any:
        """Return the short and the long part of the strength now: ``(2,)`` for one id, ``(n, 2)`` for several."""
        with self._lock:
            rows = self._catalog.rows_of(ids)
            both = np.stack(self._law.split(*self._strengths.modes(rows, self._now())), axis=-1)
            return both[0] if isinstance(ids, int | np.integer) else both

    def pin(self, ids: int | Iterable[int], pinned: bool = True) -> None:
        """Never forget these memories by capacity or consolidation; ``pinned=False`` takes that back.

        Raises
        ------
        UnknownMemory
            Nothing was changed.
        """
        with self._lock:
            rows = self._catalog.rows_of(ids)
            pinned = check_flag(pinned, "pin.pinned")
            flags = self._catalog.flags
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
        with self._lock:
            if len(self) == 0:
                raise EmptyMemory("replay: the memory holds nothing; store at least one pattern first.")
            n = check_integer(n, "replay.n", 1, len(self))
            random = _generator(seed)
            if surprise is not None and not callable(surprise):
                raise InvalidDtype(f"replay.surprise: {surprise!r} was given; a function of a Replay is allowed.")
            rows = self._catalog.alive()
            odds = self._strengths.log(rows, self._now())
            if surprise is None:
                return self._replay(rows[_draw(odds, n, random)])
            pool = _draw(odds, min(8 * n, len(rows)), random)
            weight = as_vector(surprise(self._replay(rows[pool])), "replay.surprise", len(pool))
            if (weight < 0).any():
                raise InvalidParameter(f"replay.surprise: {weight.min():g} was returned; at least 0 is allowed.")
            with np.errstate(divide="ignore"):
                return self._replay(rows[pool[_draw(np.log(weight), n, random)]])

    # -- what is there ------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._index)

    def __contains__(self, id: object) -> bool:
        return isinstance(id, int | np.integer) and not isinstance(id, bool) and self._catalog.holds(int(id))

    def __iter__(self) -> Iterator[int]:
        return iter(self.ids.tolist())

    def __getitem__(self, id: int) -> Stored:
        """Return one memory by its id, without recalling it, or raise ``UnknownMemory``."""
        with self._lock:
            if not isinstance(id, int | np.integer):
                raise InvalidDtype(
                    f"memory[id]: {id!r} was given; one integer is allowed. Several go to recall or forget."
                )
            row = int(self._catalog.rows_of(id)[0])
            short, long = self.strength(id)
            flags = self._catalog.flags[row]
            return Stored(
                ids=self._catalog.names(row),
                pattern=self._index.keys[row].copy(),
                value=self._index.values[row].copy(),
                payload=self._catalog.payload(row),
                short=float(short),
                long=float(long),
                pinned=bool(flags & PINNED),
                short_term=bool(flags & SHORT),
                long_term=bool(flags & LONG),
            )

    @property
    def ids(self) -> NDArray[np.int64]:
        """The ids of all memories, rising."""
        with self._lock:
            return self._catalog.ids[self._catalog.alive()]

    @property
    def short_term(self) -> NDArray[np.int64]:
        """The ids in short-term memory, in the order in which they entered."""
        with self._lock:
            return self._catalog.ids[self._short.rows]

    def stats(self) -> Stats:
        """Return what the memory holds and how it is set."""
        with self._lock:
            links = 0 if self._links is None else self._links.nbytes
            held = self._index.nbytes + self._strengths.nbytes + self._catalog.nbytes + self._short.rows.nbytes + links
            return Stats(
                memories=len(self),
                short_term=len(self._short.rows),
                long_term=self._catalog.having(LONG),
                pinned=self._catalog.having(PINNED),
                capacity=self._capacity,
                d=self._index.d,
                d_value=self._index.d_value,
                bytes=held,
                bytes_of_patterns=self._index.bytes_of_patterns,
                similarity=self._index.similarity.name,
                separation=self._index.separation.name,
                beta=self._index.beta,
                law=self._law.name,
                keep=self._keep,
            )

    def __repr__(self) -> str:
        return f"Memory(memories={len(self)}, short_term={len(self._short.rows)}, d={self._index.d})"

    def state(self) -> dict[str, Any]:
        """Return all that makes up the memory: configuration, and copies of its arrays. Payloads are referred to."""
        with self._lock:
            self._compact()
            return {
                "index": self._index.state(),
                "law": (self._law.name, dict(self._law.parameters)),
                "delta": self._settings.delta,
                "association": self._settings.gain,
                "links": 0 if self._links is None else self._links.most,
                "short_term": self._short.size,
                "keep": self._keep,
                "capacity": self._capacity,
                "merge": self._merge,
                "strengths": self._strengths.state(),
                "linked": None if self._links is None else self._links.state(),
                "catalog": self._catalog.state(),
                "short": self._short.rows.copy(),
                "clock": self._clock.name,
                "now": self._clock.now(),
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
        name, parameters = state["law"]
        if clock is None:
            if state["clock"] not in ("seconds", "steps"):
                raise InvalidParameter("Memory.from_state: the memory had a clock of its own; give one as clock=.")
            clock = Seconds() if state["clock"] == "seconds" else Steps(state["now"])
        memory = cls(
            law=choose(LAWS, name, "law")(**parameters),
            **{
                part: state[part]
                for part in ("delta", "association", "links", "short_term", "keep", "capacity", "merge")
            },
            clock=clock,
        )
        memory._latest = state["now"]
        memory._now()
        memory._index = Index.from_state(state["index"])
        memory._strengths.restore(state["strengths"], memory._clock.now())
        if memory._links is not None:
            memory._links.restore(state["linked"])
        memory._catalog.restore(state["catalog"])
        memory._short.rows = state["short"].copy()
        return memory

    # -- inside -------------------------------------------------------------------------------------------------

    def _excite(self, rows: Rows, amounts: NDArray[np.float64], now: float) -> None:
        if len(rows) > 1:
            rows, place = np.unique(rows, return_inverse=True)
            every, amounts = amounts, np.zeros(len(rows))
            np.add.at(amounts, place, every)
        self._strengths.excite(rows, amounts, now)
        flags = self._catalog.flags[rows]
        self._catalog.flags[rows] = flags | USED
        if not (flags & SHORT).all():
            self._erase(self._short.enter(rows[flags & SHORT == 0], self._catalog, self._strengths, now))

    def _reinforce_recalled(
        self, rows: Rows, activity: NDArray[np.float64], familiar: NDArray[np.bool_], now: float
    ) -> None:
        noticed = (activity >= NOTICED) & familiar[:, None]
        if self._links is not None:
            for i in np.flatnonzero(noticed[:, 1:].any(axis=1)):
                others = np.flatnonzero(noticed[i])[1 : self._links.most + 1]
                amounts = activity[i, 0] * activity[i, others]
                self._links.strengthen(np.repeat(rows[i, :1], len(others)), rows[i, others], amounts, now)
        if noticed.any():
            self._excite(rows[noticed], activity[noticed], now)

    def _check_room(self, n: int, pin: bool) -> None:
        if self._capacity is None:
            return
        pinned = self._catalog.having(PINNED)
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
        free = np.flatnonzero(self._catalog.flags & (PINNED | GONE) == 0)
        old = free[free < new[0]]
        out = old if excess >= len(old) else weakest(old, excess, self._strengths, now)
        self._erase(np.concatenate([out, free[len(old) :][: excess - len(out)]]))

    def _now(self) -> float:
        """Return the time of the clock, or raise ``InvalidTime``."""
        now = check_time(self._clock.now(), "clock")
        if now < self._latest:
            raise InvalidTime(
                f"clock: the time {now:g} was given after {self._latest:g}; a clock must not run backwards. "
                "Nothing was changed."
            )
        self._latest = now
        return now

    def _erase(self, rows: Rows) -> None:
        if not len(rows):
            return
        self._index.erase(rows)
        self._strengths.erase(rows)
        if self._links is not None:
            self._links.erase(rows)
        self._catalog.erase(rows)
        self._short.drop_gone(self._catalog)
        if self._index.rows <= SMALL or len(self._index.silent) > self._index.rows // 8:
            self._compact()

    def _compact(self) -> None:
        if not len(self._index.silent):
            return
        kept = self._index.compact()
        place = np.full(len(self._catalog.ids), -1, np.intp)
        place[kept] = np.arange(len(kept))
        self._short.rows = place[self._short.rows]
        if self._links is not None:
            self._links.keep(kept)
        self._strengths.keep(kept)
        self._catalog.keep(kept)

    def _replay(self, rows: Rows) -> Replay:
        payload = [self._catalog.payload(row) for row in rows.tolist()]
        return Replay(self._catalog.ids[rows], self._index.keys[rows], self._index.values[rows], payload)


def _generator(seed: int | np.random.Generator) -> np.random.Generator:
    return (
        seed if isinstance(seed, np.random.Generator) else np.random.default_rng(check_integer(seed, "replay.seed", 0))
    )


def _draw(log_odds: NDArray[np.float64], n: int, random: np.random.Generator) -> Rows:
    """Draw ``n`` without repeats, with odds given as logarithms: the greatest of ``ln odds + Gumbel noise``."""
    return np.argsort(-(log_odds + random.gumbel(size=len(log_odds))), kind="stable")[:n]

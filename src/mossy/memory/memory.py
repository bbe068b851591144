"""Memory: short term, long term and consolidation, composed of the parts below."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mossy.arrays import Column, as_vector, check_integer, check_number, choose
from mossy.clock import Clock, Seconds
from mossy.errors import EmptyMemory, FullMemory, InvalidDtype, InvalidParameter, InvalidShape, UnknownMemory
from mossy.pathway import Links
from mossy.recall import Recall, Settings, gather, settle
from mossy.separation import Separation
from mossy.similarity import Similarity
from mossy.strength import LAWS, LinearLaw, Strengths, as_law, two_phase
from mossy.substrate.index import Index

__all__ = ["Consolidation", "Memory", "Replay", "Stats", "Stored"]

Rows = NDArray[np.intp]
Ids = NDArray[np.int64]

LONG, USED, PINNED, SHORT, GONE = 1, 2, 4, 8, 16  # what is known of a row, as bits
NOTICED = 0.01  # activity from which a recalled memory is reinforced: at most 100 memories a cue
SMALL = 4096  # rows up to which forgetting compacts at once
COMPLETION = 8  # steps of completion of a partial cue, unless set
KEEP = {"all": False, "frequent": True}


@dataclass(frozen=True)
class Stored:
    """One memory as it lies there: its ids, key, value, payload, strength and where it is."""

    ids: tuple[int, ...]
    pattern: NDArray[np.float32]
    value: NDArray[np.float32]
    payload: Any
    short: float
    long: float
    pinned: bool
    short_term: bool
    long_term: bool


@dataclass(frozen=True)
class Consolidation:
    """What ``consolidate`` did: how many memories moved to long-term memory, were let go, and were merged into others."""

    moved: int
    let_go: int
    merged: int


@dataclass(frozen=True)
class Replay:
    """Stored experience for a learner: ids ``(n,)``, patterns ``(n, d)``, values ``(n, d_value)``, payloads."""

    ids: Ids
    patterns: NDArray[np.float32]
    values: NDArray[np.float32]
    payload: list[Any]

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Stats:
    """What a memory holds: counts, bytes of all arrays (payloads counted as references), and how it is set."""

    memories: int
    short_term: int
    long_term: int
    pinned: int
    capacity: int | None
    d: int | None
    d_value: int | None
    bytes: int
    bytes_of_patterns: int
    similarity: str
    separation: str
    beta: float
    law: str
    keep: str


@final
class Memory:
    """A short-term and a long-term memory in this process.

    One store holds every memory. Short-term memory is a bounded set of ids over it: what was just stored or recalled.
    When it is full, its least strong member leaves; leaving, or ``consolidate``, makes a memory long-term.

    Parameters
    ----------
    similarity, separation, beta
        As in ``mossy.Index``: how cues find keys, how memories compete, and how sharply.
    law
        The strength law: ``"power_law"``, ``"two_phase"``, ``"benna_fusi"``, or a ``LinearLaw`` in the clock's unit.
    delta
        δ ≥ 0: the difference in similarity that no difference in strength can outweigh; 0 switches the prior off.
    links
        The most links of a memory to others; 0 keeps none.
    association
        ``g_a`` ≥ 0: the evidence of one unit of association; needs ``links``.
    short_term
        The most members of short-term memory, at least 1.
    keep
        What leaves short-term memory: ``"all"`` becomes long-term; with ``"frequent"`` only what was reinforced since it
        was stored, or is pinned, and the rest is let go.
    capacity
        The most memories, at least 1: beyond it the weakest is forgotten. None sets no bound. What is pinned stays.
    merge
        ``consolidate`` merges memories with equal value and payload whose keys are at least this similar, as a distance
        below a perfect fit: 0 merges identical ones, None merges nothing. Above 0, each new memory is compared with all.
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
        self._links = Links(most, two_phase()) if most else None
        self._short_size = check_integer(short_term, "Memory.short_term", 1)
        self._only_frequent = choose(KEEP, keep, "keep")
        self._keep = keep
        self._capacity = None if capacity is None else check_integer(capacity, "Memory.capacity", 1)
        self._merge = None if merge is None else check_number(merge, "Memory.merge", 0)
        if clock is not None and not isinstance(clock, Clock):
            raise InvalidDtype(f"Memory.clock: {clock!r} was given; mossy.Seconds() or mossy.Steps() is allowed.")
        self._clock = Seconds() if clock is None else clock
        self._strengths = Strengths(self._law)
        self._ids = Column((), np.int64)
        self._flags = Column((), np.uint8)
        self._payload: list[Any] | None = None
        self._short: Rows = np.empty(0, np.intp)
        self._merged: dict[int, tuple[int, ...]] = {}
        self._stands_for: dict[int, int] = {}
        self._next_id = 0
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
            Anything to hand back with it: one object for one pattern, a sequence of ``n`` for a batch. It is kept by reference.
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
            single = np.ndim(patterns) == 1
            payloads = _payloads(payload, len(keys), single)
            self._check_room(len(keys), pin)
            now = self._clock.now()
            after = self._latest()
            rows = self._index.write(keys, answers)
            self._strengths.append(len(rows), now)
            ids = np.arange(self._next_id, self._next_id + len(rows), dtype=np.int64)
            self._next_id += len(rows)
            self._ids.append(ids)
            self._flags.append(np.full(len(rows), PINNED if pin else 0, np.uint8))
            if payloads is not None and self._payload is None:
                self._payload = [None] * int(rows[0])
            if self._payload is not None:
                self._payload.extend(payloads or [None] * len(rows))
            if self._links is not None:
                self._links.append(len(rows), now, after)
            self._enter_short_term(rows, now)
            self._keep_capacity(now)
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
            now = self._clock.now()
            prepared = self._index.prepare(cues, mask)
            table = gather(self._index, self._strengths, self._links, prepared, k, self._settings, now)
            activity = self._index.separation.activity(table.total)
            pattern, taken, energy = settle(self._index, prepared.exact, mask, table, activity, limit)
            familiar = table.fit[:, 0] >= self._index.similarity.familiar
            best = table.rows[:, :k]
            parts = (table.similarity, table.prior, table.association, table.total, table.fit)
            ids = self._ids.rows[best]
            payload = [[None if self._payload is None else self._payload[row] for row in line] for line in best.tolist()]
            modes = self._strengths.modes(best.ravel(), now).reshape(*best.shape, self._law.modes)
            found = (ids, activity[:, :k], np.stack([part[:, :k] for part in parts], axis=-1), modes)
            if reinforce:
                self._reinforce_recalled(table.rows, activity, familiar, now)
            if single:
                ids, probability, parts_of, modes = (array[0] for array in found)
                return Recall(
                    pattern[0], ids, payload[0], probability, float(energy[0]), bool(familiar[0]), int(taken[0]),
                    parts_of, modes, self._law,
                )  # fmt: skip
            ids, probability, parts_of, modes = found
            return Recall(pattern, ids, payload, probability, energy, familiar, taken, parts_of, modes, self._law)

    def consolidate(self) -> Consolidation:
        """Move short-term memory into long-term memory, as ``keep`` decides, and merge duplicates, as ``merge`` decides.

        Merged memories become one: with the key of the strongest, never an average; with the sum of their strengths, which
        the linear law makes exact; with all their ids, any of which names it from now on.
        """
        with self._lock:
            now = self._clock.now()
            before = len(self)
            moved = self._leave_short_term(self._short)
            let_go = before - len(self)
            merged = 0 if self._merge is None else self._merge_duplicates(now)
            return Consolidation(moved, let_go, merged)

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
            self._erase(np.unique(self._rows_of(ids)))

    # -- strength -----------------------------------------------------------------------------------------------

    def reinforce(self, ids: int | Iterable[int], amount: ArrayLike = 1.0) -> None:
        """Excite memories because they were used: adds ``amount`` (one number or ``(n,)``, at least 0) to their strength.

        Raises
        ------
        UnknownMemory, InvalidInput
            Nothing was changed.
        """
        with self._lock:
            rows = self._rows_of(ids)
            amounts = as_vector(amount, "reinforce.amount", len(rows))
            if (amounts < 0).any():
                raise InvalidParameter(f"reinforce.amount: {amounts.min():g} was given; at least 0 is allowed.")
            now = self._clock.now()
            self._excite(rows, amounts, now)

    def strength(self, ids: int | Iterable[int]) -> Any:
        """Return the short and the long part of the strength now: ``(2,)`` for one id, ``(n, 2)`` for several."""
        with self._lock:
            rows = self._rows_of(ids)
            both = self._strengths.modes(rows, self._clock.now()) @ self._law.parts.T
            return both[0] if isinstance(ids, int | np.integer) else both

    def pin(self, ids: int | Iterable[int], pinned: bool = True) -> None:
        """Never forget these memories by capacity or consolidation; ``pinned=False`` takes that back.

        Raises
        ------
        UnknownMemory
            Nothing was changed.
        """
        with self._lock:
            rows = self._rows_of(ids)
            flags = self._flags.rows
            flags[rows] = flags[rows] | PINNED if pinned else flags[rows] & ~np.uint8(PINNED)

    def replay(
        self,
        n: int,
        *,
        surprise: Callable[[Replay], ArrayLike] | None = None,
        seed: int | np.random.Generator | None = None,
    ) -> Replay:
        """Sample stored experience for a slow learner, without repeats, by strength and surprise. Nothing is reinforced.

        Memory ``i`` is drawn with odds ``s_i``, or, with ``surprise``, ``s_i·surprise_i`` among ``8n`` drawn by strength.

        Parameters
        ----------
        n
            How many, from 1 to ``len(memory)``.
        surprise
            From a ``Replay`` of ``m`` memories to ``m`` numbers of at least 0: the loss of the learner, for example.
        seed
            An integer or a generator; the same seed draws the same.

        Raises
        ------
        EmptyMemory, InvalidInput
        """
        with self._lock:
            if len(self) == 0:
                raise EmptyMemory("replay: the memory holds nothing; store at least one pattern first.")
            n = check_integer(n, "replay.n", 1, len(self))
            random = np.random.default_rng(seed)
            rows = np.flatnonzero(self._flags.rows & GONE == 0)
            odds = self._strengths.log(rows, self._clock.now())
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
        with self._lock:
            return isinstance(id, int | np.integer) and self._find(np.array([id]))[1]

    def __getitem__(self, id: int) -> Stored:
        """Return one memory by its id, without recalling it, or raise ``UnknownMemory``."""
        with self._lock:
            row = int(self._rows_of(id)[0])
            name = int(self._ids.rows[row])
            short, long = self.strength(id)
            flags = int(self._flags.rows[row])
            return Stored(
                ids=self._merged.get(name, (name,)),
                pattern=self._index.keys[row].copy(),
                value=self._index.values[row].copy(),
                payload=None if self._payload is None else self._payload[row],
                short=float(short),
                long=float(long),
                pinned=bool(flags & PINNED),
                short_term=bool(flags & SHORT),
                long_term=bool(flags & LONG),
            )

    @property
    def ids(self) -> Ids:
        """The ids of all memories, rising."""
        with self._lock:
            return self._ids.rows[self._flags.rows & GONE == 0]

    @property
    def short_term(self) -> Ids:
        """The ids in short-term memory, in the order in which they entered."""
        with self._lock:
            return self._ids.rows[self._short]

    def stats(self) -> Stats:
        """Return what the memory holds and how it is set."""
        with self._lock:
            flags = self._flags.rows[self._flags.rows & GONE == 0]
            parts = [self._index.nbytes, self._strengths.nbytes, self._ids.nbytes, self._flags.nbytes, self._short.nbytes]
            if self._links is not None:
                parts.append(self._links.nbytes)
            if self._payload is not None:
                parts.append(8 * len(self._payload))
            patterns = 0 if self._index.d is None else 4 * len(self) * self._index.d
            return Stats(
                memories=len(self),
                short_term=len(self._short),
                long_term=int((flags & LONG > 0).sum()),
                pinned=int((flags & PINNED > 0).sum()),
                capacity=self._capacity,
                d=self._index.d,
                d_value=self._index.d_value,
                bytes=sum(parts),
                bytes_of_patterns=patterns,
                similarity=type(self._index.similarity).__name__.lower(),
                separation=type(self._index.separation).__name__.lower(),
                beta=self._index.beta,
                law=self._law.name,
                keep=self._keep,
            )

    def __repr__(self) -> str:
        return f"Memory(memories={len(self)}, short_term={len(self._short)}, d={self._index.d})"

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
                "short_term": self._short_size,
                "keep": self._keep,
                "capacity": self._capacity,
                "merge": self._merge,
                "strengths": self._strengths.state(),
                "linked": None if self._links is None else self._links.state(),
                "ids": self._ids.rows.copy(),
                "flags": self._flags.rows.copy(),
                "payload": None if self._payload is None else list(self._payload),
                "short": self._short.copy(),
                "merged": dict(self._merged),
                "next_id": self._next_id,
                "now": self._clock.now(),
            }

    @classmethod
    def from_state(cls, state: dict[str, Any], clock: Clock | None = None) -> Memory:
        """Make the memory again that ``state()`` was taken from; its clock must not be behind the state's."""
        name, parameters = state["law"]
        memory = cls(
            law=choose(LAWS, name, "law")(**parameters),
            **{part: state[part] for part in ("delta", "association", "links", "short_term", "keep", "capacity", "merge")},
            clock=clock,
        )
        memory._index = Index.from_state(state["index"])
        memory._strengths.restore(state["strengths"], memory._clock.now())
        if memory._links is not None:
            memory._links.restore(state["linked"])
        memory._ids.append(state["ids"])
        memory._flags.append(state["flags"])
        memory._payload = None if state["payload"] is None else list(state["payload"])
        memory._short = state["short"].copy()
        memory._merged = dict(state["merged"])
        memory._stands_for = {one: main for main, ids in memory._merged.items() for one in ids}
        memory._next_id = state["next_id"]
        return memory

    # -- inside -------------------------------------------------------------------------------------------------

    def _find(self, ids: Ids) -> tuple[Rows, bool]:
        """Return the rows of ids, and whether all are there."""
        if self._stands_for:
            ids = np.array([self._stands_for.get(one, one) for one in ids.tolist()], np.int64)
        rows = np.searchsorted(self._ids.rows, ids)
        inside = np.minimum(rows, max(len(self._ids.rows) - 1, 0))
        there = len(self) > 0 and bool(
            ((self._ids.rows[inside] == ids) & (self._flags.rows[inside] & GONE == 0)).all()
        )
        return inside, there

    def _rows_of(self, ids: int | Iterable[int]) -> Rows:
        given = np.asarray(ids if isinstance(ids, int | np.integer | np.ndarray) else list(ids))
        if given.size == 0:
            raise InvalidShape("ids: none were given; give at least one id.")
        if given.dtype.kind not in "iu":
            raise InvalidDtype(f"ids: dtype {given.dtype} was given; integers, as store() returned them, are allowed.")
        rows, there = self._find(given.reshape(-1).astype(np.int64))
        if not there:
            missing = next(one for one in given.reshape(-1).tolist() if one not in self)
            raise UnknownMemory(
                f"ids: no memory has the id {missing}; {len(self)} are there, see memory.ids. Nothing was changed."
            )
        return rows

    def _latest(self) -> int | None:
        alive = self._flags.rows & GONE == 0 if len(self) else np.empty(0, bool)
        return int(np.flatnonzero(alive)[-1]) if len(self) else None

    def _excite(self, rows: Rows, amounts: NDArray[np.float64], now: float) -> None:
        if len(rows) > 1:
            rows, place = np.unique(rows, return_inverse=True)
            amounts = np.bincount(place, amounts)
        self._strengths.excite(rows, amounts, now)
        self._flags.rows[rows] |= USED
        new = rows[self._flags.rows[rows] & SHORT == 0]
        if len(new):
            self._enter_short_term(new, now)

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

    def _enter_short_term(self, rows: Rows, now: float) -> None:
        self._flags.rows[rows] |= SHORT
        self._short = np.concatenate([self._short, rows])
        excess = len(self._short) - self._short_size
        if excess > 0:
            logs = self._strengths.log_all(now)[self._short]
            order = logs.argmin(keepdims=True) if excess == 1 else np.argsort(logs, kind="stable")[:excess]
            self._leave_short_term(self._short[order])

    def _leave_short_term(self, rows: Rows) -> int:
        """Let ``rows`` leave short-term memory, and return how many of them became long-term by that."""
        flags = self._flags.rows
        flags[rows] &= ~np.uint8(SHORT)
        self._short = self._short[flags[self._short] & SHORT > 0]
        new = rows[flags[rows] & LONG == 0]
        stays = (flags[new] & (USED | PINNED) > 0) if self._only_frequent else np.ones(len(new), bool)
        flags[new[stays]] |= LONG
        if not stays.all():
            self._erase(new[~stays])
        return int(stays.sum())

    def _check_room(self, n: int, pin: bool) -> None:
        if self._capacity is None:
            return
        pinned = int((self._flags.rows & (PINNED | GONE) == PINNED).sum())
        if pinned >= self._capacity or (pin and pinned + n > self._capacity):
            raise FullMemory(
                f"store: the capacity is {self._capacity} and {pinned} memories are pinned; unpin or forget some, or raise "
                "the capacity. Nothing was stored."
            )

    def _keep_capacity(self, now: float) -> None:
        excess = 0 if self._capacity is None else len(self) - self._capacity
        if excess <= 0:
            return
        free = np.flatnonzero(self._flags.rows & (PINNED | GONE) == 0)
        logs = self._strengths.log_all(now)[free]
        weakest = logs.argmin(keepdims=True) if excess == 1 else np.argsort(logs, kind="stable")[:excess]
        self._erase(free[weakest])

    def _erase(self, rows: Rows) -> None:
        self._index.erase(rows)
        self._strengths.erase(rows)
        if self._links is not None:
            self._links.erase(rows)
        if self._payload is not None:
            for row in rows.tolist():
                self._payload[row] = None
        for name in self._ids.rows[rows].tolist():
            for one in self._merged.pop(name, ()):
                del self._stands_for[one]
        self._flags.rows[rows] = GONE
        self._short = self._short[self._flags.rows[self._short] & GONE == 0]
        gone = len(self._index.silent)
        if self._index.rows <= SMALL or gone > self._index.rows // 8:
            self._compact()

    def _compact(self) -> None:
        if not len(self._index.silent):
            return
        kept = self._index.compact()
        place = np.full(len(self._ids.rows), -1, np.intp)
        place[kept] = np.arange(len(kept))
        self._short = place[self._short]
        if self._payload is not None:
            self._payload = [self._payload[row] for row in kept.tolist()]
        if self._links is not None:
            self._links.keep(kept)
        self._strengths.keep(kept)
        self._ids.keep(kept)
        self._flags.keep(kept)

    def _replay(self, rows: Rows) -> Replay:
        payload = [None] * len(rows) if self._payload is None else [self._payload[row] for row in rows.tolist()]
        return Replay(self._ids.rows[rows], self._index.keys[rows], self._index.values[rows], payload)

    def _merge_duplicates(self, now: float) -> int:
        alive = np.flatnonzero(self._flags.rows & GONE == 0)
        order = alive[np.argsort(-self._strengths.log(alive, now), kind="stable")] if len(alive) else alive
        gone: list[int] = []
        absorbed: set[int] = set()
        for main, others in self._duplicates(order):
            if main in absorbed:
                continue
            same = [row for row in others if row not in absorbed and self._same_content(main, row)]
            if same:
                absorbed.update(same)
                gone.extend(same)
                self._absorb(main, np.array(same, np.intp), now)
        if gone:
            self._erase(np.array(gone, np.intp))
        return len(gone)

    def _duplicates(self, order: Rows) -> Iterable[tuple[int, list[int]]]:
        """Yield rows, the strongest first, each with the later rows whose keys are as similar as ``merge`` asks."""
        if self._merge == 0:
            groups: dict[bytes, list[int]] = {}
            for row in order.tolist():
                groups.setdefault(self._index.keys[row].tobytes(), []).append(row)
            yield from ((group[0], group[1:]) for group in groups.values() if len(group) > 1)
            return
        rank = np.empty(self._index.rows, np.intp)
        rank[order] = np.arange(len(order))
        tolerance = float(self._merge or 0.0)
        for first in range(0, len(order), 256):
            rows = order[first : first + 256]
            cues = self._index.prepare(self._index.keys[rows], None)
            which, found = self._index.scan(cues, None, tolerance, 0.0, 1)
            own = self._index.exact(cues, np.arange(len(rows)), rows)
            near = self._index.exact(cues, which, found) >= own[which] - tolerance
            for i, row in enumerate(rows.tolist()):
                later = found[near & (which == i)]
                later = later[rank[later] > rank[row]]
                if len(later):
                    yield row, later.tolist()

    def _same_content(self, row: int, other: int) -> bool:
        if self._index.values is not self._index.keys and not np.array_equal(
            self._index.values[row], self._index.values[other]
        ):
            return False
        return self._payload is None or _equal(self._payload[row], self._payload[other])

    def _absorb(self, main: int, rows: Rows, now: float) -> None:
        names = [int(self._ids.rows[row]) for row in (main, *rows.tolist())]
        every = tuple(sorted(one for name in names for one in self._merged.pop(name, (name,))))
        self._merged[names[0]] = every
        self._stands_for.update(dict.fromkeys(every, names[0]))
        flags = self._flags.rows
        flags[main] |= np.bitwise_or.reduce(flags[rows]) & (USED | PINNED | LONG)
        self._strengths.merge(main, rows, now)
        if self._links is not None:
            targets, strength = self._links.of(rows, now)
            there = (targets >= 0) & ~np.isin(targets, rows)
            self._links.strengthen(np.full(int(there.sum()), main), targets[there], strength[there], now)


def _payloads(payload: Any, n: int, single: bool) -> list[Any] | None:
    if payload is None:
        return None
    if single:
        return [payload]
    if isinstance(payload, str | bytes) or not isinstance(payload, Sequence | np.ndarray) or len(payload) != n:
        given = f"{len(payload)} items" if hasattr(payload, "__len__") and not isinstance(payload, str) else repr(payload)
        raise InvalidShape(f"payload: {given} was given for {n} patterns; give a sequence of {n}, one for each.")
    return list(payload)


def _equal(one: Any, other: Any) -> bool:
    """Whether two payloads are equal; arrays by their content, what cannot be compared is not equal."""
    if one is other:
        return True
    if isinstance(one, np.ndarray) or isinstance(other, np.ndarray):
        return type(one) is type(other) and np.array_equal(one, other)
    return type(one) is type(other) and bool(one == other)


def _draw(log_odds: NDArray[np.float64], n: int, random: np.random.Generator) -> Rows:
    """Draw ``n`` without repeats, with odds given as logarithms: the greatest of ``ln odds + Gumbel noise``."""
    return np.argsort(-(log_odds + random.gumbel(size=len(log_odds))), kind="stable")[:n]

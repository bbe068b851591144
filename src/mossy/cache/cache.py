"""``Cache``: a mapping with a byte budget that learns what will be needed again."""

from __future__ import annotations

import os
import secrets
import threading
from array import array
from collections.abc import Callable, Hashable, ItemsView, Iterator, MutableMapping, ValuesView
from hashlib import blake2b
from numbers import Integral
from typing import Any, ClassVar, Final, NoReturn, TypeVar, cast, final

from mossy.arrays import as_bytes, check_flag
from mossy.cache.ghosts import NONE, Ghosts
from mossy.cache.size import measure
from mossy.cache.statistics import CacheStats
from mossy.cache.table import Table
from mossy.errors import FullMemory, InvalidInput, InvalidParameter, UnknownMemory
from mossy.strength import Need, power_law

__all__ = ["Cache"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")
T = TypeVar("T")

GHOSTS = 4  # ghosts for each item held
GHOST = 115  # bytes of a slot in all arrays and lists, spare room included
OVERHEAD = 285 + GHOSTS * GHOST  # of an item: its slot, its places in a dict, and its ghosts; measured by a test

FASTEST, SLOWEST, MODES = 8.0, 2.0**20, 7  # time scales, in uses
RATE = 0.005

MISSING: Final = object()


@final
class Cache(MutableMapping[K, V]):
    r"""A mapping with a byte budget. What is needed least goes when there is no room; that is learnt from use.

    ::

        cache = mossy.Cache("64 MB")
        answer = cache.get(key)
        if answer is None:
            answer = cache[key] = work(key)

    Each use of an item (``[]``, ``get``, setting it) excites it. Its strength fades by a power law over the uses of
    all items, and says how likely it is to be used next. Of what time scale the strength is read out, and how much an
    item that was used once is worth, follows from what is asked for (``mossy.strength.need``). The item with the
    least strength for each byte is let go. What was let go leaves a ghost: its modes, under a keyed hash of its key,
    four for each item held at most. If it comes back, it has its history again, and the mistake is learnt from.

    ``in``, ``len``, iteration, ``keys``, ``values``, ``items``, ``==`` and ``peek`` leave no trace. ``pop``, ``del``
    and ``forget`` leave nothing of an item but what the readout has learnt from all items together. What was set last
    is always held until something else is set.

    Parameters
    ----------
    capacity
        The budget: bytes as an integer, or a string such as ``"500 kB"``, ``"64 MB"`` (10⁶) or ``"1 GiB"`` (2³⁰).
    sizeof
        Returns the bytes of a value, as an integer of at least 0. None measures the key and the value: ``nbytes`` of
        arrays and tensors; all that is in containers and objects. To each item ``Cache.overhead`` is added, which is
        what the cache itself needs for it, its ghosts included. To allow ``n`` items of any size, say
        ``Cache(n * (Cache.overhead + 1), sizeof=lambda value: 1)``.
    adapt
        Whether the readout is learnt. Otherwise it stays that of the law with the exponent 0.5.

    Raises
    ------
    InvalidParameter
        The capacity is no budget, or has no room for one item; or, later, a key is not hashable, or ``sizeof``
        returned no size.
    FullMemory
        An item that is set is larger than the budget; nothing was changed.
    UnknownMemory
        A key that is asked for by ``[]`` is not held. It is a ``KeyError``.

    Notes
    -----
    Threads may share a cache; a forked child has a copy of it, empty if the fork came while another thread changed
    it. The same uses in the same order let the same items go, in any process: hashes of keys only find ghosts. A key
    of which Python's ``hash`` is the same has the same ghost; what is told by it is then the history of either.
    A use costs no search. Letting go compares up to about 1,024 candidates (see ``Table``).
    """

    overhead: ClassVar[int] = OVERHEAD

    def __init__(self, capacity: int | str, *, sizeof: Callable[[V], int] | None = None, adapt: bool = True) -> None:
        self._capacity = as_bytes(capacity, "Cache.capacity")
        if self._capacity <= OVERHEAD:
            raise InvalidParameter(
                f"Cache.capacity: {self._capacity:,} bytes were given; more than {OVERHEAD:,} are allowed, "
                "which is what the cache itself needs for one item."
            )
        if sizeof is not None and not callable(sizeof):
            raise InvalidParameter(
                f"Cache.sizeof: {sizeof!r} was given; a function from a value to its bytes, or None, is allowed."
            )
        self._sizeof = sizeof
        self._adapt = check_flag(adapt, "Cache.adapt")
        self._secret = secrets.token_bytes(16)
        self._hits = self._misses = self._evictions = self._returns = 0
        self._lock = threading.RLock()
        self._process = os.getpid()
        self._empty()

    # --- asking ----------------------------------------------------------------------------------
    def __getitem__(self, key: K) -> V:
        found = self._ask(key)
        if found is MISSING:
            raise _unknown(key)
        return cast(V, found)

    def get(self, key: K, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default``; a use of it, and a hit or a miss."""
        found = self._ask(key)
        return default if found is MISSING else found

    def peek(self, key: K, default: Any = None) -> Any:
        """Return the value of ``key``, or ``default``, and leave no trace of it."""
        with self._alone():
            slot = self._find(key)
            return default if slot is None else self._values[slot]

    def __contains__(self, key: object) -> bool:
        with self._alone():
            return self._find(key) is not None

    def __len__(self) -> int:
        return len(self._slots)

    def __iter__(self) -> Iterator[K]:
        with self._alone():
            keys = list(self._slots)
        return iter(keys)

    def items(self) -> ItemsView[K, V]:
        """Return pairs of keys and values, as they are now; no use of them."""
        return self._copy().items()

    def values(self) -> ValuesView[V]:
        """Return the values, as they are now; no use of them."""
        return self._copy().values()

    def stats(self) -> CacheStats:
        """Return counts, bytes, and what is learnt."""
        with self._alone():
            self._table.settle()
            need = self._table.need
            gain = need.gain(self._table.steps)
            return CacheStats(
                items=len(self._slots),
                bytes=self._bytes,
                capacity=self._capacity,
                hits=self._hits,
                misses=self._misses,
                evictions=self._evictions,
                ghosts=len(self._ghosts),
                ghost_hits=self._returns,
                readout=tuple(tuple(float(one) for one in group) for group in need.shares),
                exponent=need.exponent(gain),
            )

    # --- changing --------------------------------------------------------------------------------
    def __setitem__(self, key: K, value: V) -> None:
        size = self._size(key, value)
        mark = self._mark(key)
        with self._alone():
            slot = self._slots.get(key)
            gone = self._whole(lambda: self._put(key, value, size, slot, mark))
        del gone  # only here, where all is in order again: what is let go may have a finalizer that asks the cache

    def setdefault(self, key: K, default: Any = None) -> Any:
        """Return the value of ``key``; if it is not held, set it to ``default`` first."""
        with self._alone():
            found = self._ask(key)
            if found is MISSING:
                self[key] = found = default
            return found

    def __delitem__(self, key: K) -> None:
        if self._drop(key)[0] is MISSING:
            raise _unknown(key)

    def pop(self, key: K, default: Any = MISSING) -> Any:
        """Remove ``key`` with its history and return its value, or ``default`` if it is not held.

        Raises
        ------
        UnknownMemory
            It is not held, and no default was given.
        """
        found, _ = self._drop(key)
        if found is MISSING and default is MISSING:
            raise _unknown(key)
        return default if found is MISSING else found

    def popitem(self) -> tuple[K, V]:
        """Remove the item that is needed least a byte, with its history, and return it.

        Raises
        ------
        UnknownMemory
            The cache is empty.
        """
        with self._alone():
            slot = self._table.weakest(NONE)
            if slot == NONE:
                raise UnknownMemory("Cache.popitem: the cache is empty.")
            key = self._keys[slot]
            return key, self.pop(key)

    def forget(self, key: K) -> bool:
        """Remove ``key`` and its history, ghost included; say whether there was anything of it."""
        found, ghost = self._drop(key)
        return found is not MISSING or ghost

    def clear(self) -> None:
        """Remove all items, all ghosts and all that was learnt; only the counts of hits, misses ... stay."""
        with self._alone():
            self._whole(self._empty)

    # --- inside ----------------------------------------------------------------------------------
    def _empty(self) -> None:
        gone = [self.__dict__.get(part) for part in ("_values", "_keys", "_slots")]  # finalizers, too, come last
        table = Table(Need(power_law(0.5, FASTEST, SLOWEST, MODES), RATE if self._adapt else 0.0))
        ghosts, marks = Ghosts(), array("Q")
        self._slots: dict[K, int] = {}
        self._keys: list[Any] = []
        self._values: list[Any] = []
        self._table, self._ghosts, self._marks, self._bytes, self._torn = table, ghosts, marks, 0, False
        del gone

    def _alone(self) -> Any:
        """Return the lock. In a forked child it is a new one, since whoever held the old one is not there."""
        if self._process != os.getpid():
            self._process, self._lock = os.getpid(), threading.RLock()
            if self._torn:
                self._empty()
        return self._lock

    def _whole(self, change: Callable[[], T]) -> T:
        """Make a change; where it is interrupted half-way, drop everything: a cache may lose items, not mix them up."""
        self._torn = True
        try:
            result = change()
            self._torn = False
            return result
        finally:
            if self._torn:
                self._empty()

    def _ask(self, key: K) -> object:
        with self._alone():
            slot = self._find(key)
            if slot is None:
                self._misses += 1
                return MISSING
            self._hits += 1
            self._table.use(slot)
            return self._values[slot]

    def _find(self, key: Any) -> int | None:
        try:
            return self._slots.get(key)
        except TypeError as error:
            raise _unhashable(key, error) from error

    def _copy(self) -> dict[K, V]:
        with self._alone():
            return {key: self._values[slot] for key, slot in self._slots.items()}

    def _mark(self, key: K) -> int:
        """Return the keyed hash by which a ghost is known."""
        try:
            plain = hash(key)
        except TypeError as error:
            raise _unhashable(key, error) from error
        digest = blake2b(plain.to_bytes(8, "little", signed=True), key=self._secret, digest_size=8)
        return int.from_bytes(digest.digest(), "little")

    def _size(self, key: K, value: V) -> int:
        if self._sizeof is None:
            size = measure(key) + measure(value)
        else:
            size = self._sizeof(value)
            if isinstance(size, bool) or not isinstance(size, Integral) or size < 0:
                raise InvalidParameter(
                    f"Cache.sizeof: it returned {size!r}; the bytes of a value as an integer of at least 0 are allowed."
                )
        size = int(size) + OVERHEAD
        if size > self._capacity:
            raise FullMemory(
                f"Cache: an item of {size - OVERHEAD:,} bytes and {OVERHEAD:,} of overhead was given; "
                f"{self._capacity:,} in all are allowed. Keep it elsewhere, or make the cache with a larger capacity=."
            )
        return size

    def _put(self, key: K, value: V, size: int, slot: int | None, mark: int) -> list[Any]:
        """Set the value of a key, let others go for it, and return the values that go."""
        if slot is None:
            slot = self._enter(key, mark)
        self._bytes += size - int(self._table.sizes[slot])
        gone = [self._values[slot]]
        self._values[slot] = value
        self._table.hold(slot, size)
        self._table.use(slot)
        if self._bytes > self._capacity:
            self._make_room(slot, gone)
        return gone

    def _enter(self, key: K, mark: int) -> int:
        """Return the slot of a new item: that of its ghost, if it has left one."""
        slot = self._ghosts.find(mark)
        if slot == NONE:
            slot = self._table.take()
        else:
            self._ghosts.remove(slot)
            self._returns += 1
        missing = len(self._table.uses) - len(self._keys)
        if missing:
            for column in (self._keys, self._values):
                column.extend([None] * missing)
            self._marks.extend([0] * missing)
        self._slots[key] = slot
        self._keys[slot], self._marks[slot] = key, mark
        return slot

    def _make_room(self, newcomer: int, gone: list[Any]) -> None:
        while self._bytes > self._capacity:
            slot = self._table.weakest(newcomer)
            mark = self._marks[slot]
            gone += (self._keys[slot], self._leave(slot))
            self._evictions += 1
            self._table.let_go(slot)
            twin = self._ghosts.find(mark)  # of another key with the same hash
            if twin != NONE:
                self._ghosts.remove(twin)
                self._table.discard(twin)
            self._ghosts.add(slot, mark)
        self._lay_ghosts()

    def _lay_ghosts(self) -> None:
        """Let the oldest ghosts go, until there are no more than are allowed."""
        while len(self._ghosts) > GHOSTS * len(self._slots):
            self._table.discard(self._ghosts.pop_oldest())

    def _leave(self, slot: int) -> Any:
        """Take an item out; only its row is left. Return its value."""
        value = self._values[slot]
        del self._slots[self._keys[slot]]
        self._bytes -= int(self._table.sizes[slot])
        self._keys[slot] = self._values[slot] = None
        self._marks[slot] = 0
        return value

    def _drop(self, key: K) -> tuple[object, bool]:
        """Remove an item and its ghost; return its value or ``MISSING``, and whether there was a ghost."""
        mark = self._mark(key)
        with self._alone():
            slot, ghost = self._slots.get(key), self._ghosts.find(mark)
            return self._whole(lambda: self._erase(slot, ghost))

    def _erase(self, slot: int | None, ghost: int) -> tuple[object, bool]:
        found: object = MISSING
        key = None if slot is None else self._keys[slot]  # so that its finalizer comes last
        if slot is not None:
            found = self._leave(slot)
            self._table.free(slot)
        if ghost != NONE:
            self._ghosts.remove(ghost)
            self._table.free(ghost)
        self._lay_ghosts()
        del key
        return found, ghost != NONE

    def __repr__(self) -> str:
        """Say how full it is."""
        return f"Cache({len(self)} items, {self._bytes:,} of {self._capacity:,} bytes)"

    def __reduce__(self) -> NoReturn:
        raise InvalidInput("a Cache is not pickled; dict(cache.items()) carries what it holds.")


def _unknown(key: object) -> UnknownMemory:
    return UnknownMemory(f"Cache: {key!r} is not held; get() returns a default instead.")


def _unhashable(key: object, error: TypeError) -> InvalidInput:
    return InvalidParameter(f"Cache key: {type(key).__name__} was given; hashable keys are allowed ({error}).")

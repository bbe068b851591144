"""``mossy.Cache``: a mapping, within its budget, in which nothing is lost but what was let go."""

from __future__ import annotations

import copy
import gc
import multiprocessing
import pickle
import subprocess
import sys
import threading
import tracemalloc
from collections import deque
from collections.abc import MutableMapping

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import mossy
from mossy.arrays import as_bytes
from mossy.cache import cache as module
from mossy.cache import table
from mossy.cache.ghosts import Ghosts
from mossy.cache.size import measure
from mossy.errors import FullMemory, InvalidInput, InvalidParameter, UnknownMemory
from mossy.strength import power_law
from tests.naive import need as naive

ROOM = mossy.Cache.overhead


def of_items(n, **options):
    return mossy.Cache(n * (ROOM + 1), sizeof=lambda value: 1, **options)


def ask(cache, trace):
    """Ask for each key in turn, set what is missing, and return the hits."""
    hits = []
    for key in trace:
        hits.append(cache.get(key) is not None)
        if not hits[-1]:
            cache[key] = key + 1
    return hits


def zipf(n, items=300, seed=0):
    weights = 1 / np.arange(1, items + 1)
    return np.random.default_rng(seed).choice(items, n, p=weights / weights.sum()).tolist()


keys = st.integers(-3, 12)  # hash(-1) == hash(-2): two keys with one ghost


class Model(RuleBasedStateMachine):
    """Any mix of calls, beside loops that search everything."""

    @initialize(adapt=st.booleans(), items=st.integers(1, 6), spare=st.integers(0, 40), warm=st.sampled_from([0, 4096]))
    def start(self, adapt, items, spare, warm):
        self.warm, table.WARM = table.WARM, warm
        capacity = items * (ROOM + 8) + spare
        self.cache = mossy.Cache(capacity, sizeof=lambda value: value[1], adapt=adapt)
        law = power_law(0.5, module.FASTEST, module.SLOWEST, module.MODES)
        need = naive.Need(law.rates.tolist(), law.readout.tolist(), module.RATE if adapt else 0.0)
        self.model = naive.Cache(capacity, ROOM, need)
        self.serial = self.hits = self.misses = self.evictions = 0

    def teardown(self):
        if hasattr(self, "warm"):
            table.WARM = self.warm

    @rule(key=keys.filter(lambda key: key != -2), size=st.sampled_from([1, 8, 8, 8, 30]))
    def set(self, key, size):
        self.serial += 1
        value = (self.serial, size)
        if size + ROOM > self.model.capacity:
            with pytest.raises(FullMemory):
                self.cache[key] = value
            return
        before = len(self.model.last)
        gone = self.model.set(key, value, size)
        self.evictions += len(gone)
        self.cache[key] = value
        if any(ratio < 1.01 for ratio in self.model.last[before:]):  # a draw, but for rounding
            self.follow(key)

    def follow(self, key):
        """Be a new pair, since either choice is right and what follows from them differs."""
        assert key in self.cache
        self.cache.clear()
        self.cache.__init__(self.model.capacity, sizeof=lambda value: value[1], adapt=self.model.need.rate > 0)
        need = self.model.need
        law = power_law(0.5, module.FASTEST, module.SLOWEST, module.MODES)
        fresh = naive.Need(law.rates.tolist(), law.readout.tolist(), need.rate)
        self.model = naive.Cache(self.model.capacity, ROOM, fresh)
        self.hits = self.misses = self.evictions = 0

    @rule(key=keys)
    def get(self, key):
        found = self.cache.get(key)
        if key in self.model.values:
            self.hits += 1
        else:
            self.misses += 1
        assert found == self.model.get(key)

    @rule(key=keys)
    def look(self, key):
        assert (key in self.cache) == (key in self.model.values)
        assert self.cache.peek(key, "none") == self.model.values.get(key, "none")

    @rule(key=keys.filter(lambda key: key not in (-1, -2)))
    def forget(self, key):
        known = key in self.model.values or key in self.model.ghosts
        assert self.cache.forget(key) == known
        self.model.forget(key)
        assert not self.cache.forget(key)

    @rule(key=keys.filter(lambda key: key not in (-1, -2)))
    def pop(self, key):
        assert self.cache.pop(key, None) == self.model.values.get(key)
        self.model.forget(key)

    @invariant()
    def the_same(self):
        if not hasattr(self, "model"):
            return
        assert dict(self.cache.items()) == self.model.values
        assert list(self.cache.values()) == [self.cache.peek(key) for key in self.cache]
        stats = self.cache.stats()
        assert stats.bytes == sum(self.model.sizes.values()) <= stats.capacity
        assert stats.items == len(self.cache) == len(self.model.values)
        assert stats.ghosts == len(self.model.ghosts) <= 4 * stats.items
        assert (stats.hits, stats.misses, stats.evictions) == (self.hits, self.misses, self.evictions)
        assert np.array(stats.readout) == pytest.approx(np.array(self.model.need.shares), rel=1e-3, abs=1e-6)


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)


# --- what is let go --------------------------------------------------------------------------------
def test_it_is_a_mutable_mapping():
    cache = mossy.Cache("1 MB")
    assert isinstance(cache, MutableMapping)
    cache.update({"a": 1, "b": 2})
    assert cache == {"a": 1, "b": 2}
    assert cache.setdefault("a", 5) == 1
    assert cache.setdefault("c", 3) == 3
    assert cache.pop("b") == 2
    assert cache.popitem()[0] in ("a", "c")
    del cache[next(iter(cache))]
    assert len(cache) == 0
    assert not cache
    assert "Cache(0 items" in repr(cache)


def test_looking_leaves_no_trace():
    one, other = of_items(20), of_items(20)
    ask(one, zipf(500))
    ask(other, zipf(500))
    for _ in range(3):
        _ = [0 in one, len(one), list(one), list(one.items()), list(one.values()), one.peek(1), one == other, repr(one)]
    assert one.stats() == other.stats()
    assert ask(one, zipf(500, seed=1)) == ask(other, zipf(500, seed=1))


def test_what_was_set_last_is_there():
    cache = of_items(3)
    for key in range(100):
        cache[key] = key
        assert cache[key] == key
        assert len(cache) <= 3


def test_the_same_uses_let_the_same_go_whatever_the_hashes_are():
    script = (
        "import mossy, random\n"
        "r = random.Random(3)\n"
        "c = mossy.Cache(20 * (mossy.Cache.overhead + 1), sizeof=lambda v: 1)\n"
        "for _ in range(3000):\n"
        "    k = 'k%d' % int(r.paretovariate(1))\n"
        "    if c.get(k) is None: c[k] = 1\n"
        "print(sorted(c), c.stats())"
    )
    runs = {
        subprocess.run(
            [sys.executable, "-c", script], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(runs) == 1


def test_a_scan_does_not_wash_out_what_is_in_use():
    cache = of_items(50)
    favourites = zipf(4000, items=40)
    ask(cache, favourites)
    ask(cache, range(1000, 1200))
    assert sum(ask(cache, favourites[:400])) > 350


def test_it_follows_when_what_is_wanted_changes():
    adaptive, fixed = of_items(50), of_items(50, adapt=False)
    change = [key + 1000 * part for part in range(8) for key in zipf(1500, seed=part)]
    assert sum(ask(adaptive, change)) > sum(ask(fixed, change))


def test_what_comes_back_has_its_history():
    cache = of_items(10)
    ask(cache, [0] * 20 + list(range(100, 109)))
    ask(cache, list(range(200, 205)) * 8 + list(range(300, 304)) * 8 + [400, 401])
    before = cache.stats()
    assert before.ghosts > 0
    ask(cache, range(100, 109))
    assert cache.stats().ghost_hits > before.ghost_hits


def test_of_equal_need_the_larger_goes():
    cache = mossy.Cache(3 * ROOM + 12_000, sizeof=lambda value: value)
    for key, size in (("small", 10), ("large", 10_000), ("new", 5000)):
        cache[key] = size
    assert sorted(cache) == ["new", "small"]


def test_many_items_are_let_go_by_a_pool(monkeypatch):
    monkeypatch.setattr(table, "POOL", 16)
    monkeypatch.setattr(table, "WARM", 200)
    pooled = of_items(200)
    hits = ask(pooled, zipf(6000, items=2000))
    monkeypatch.setattr(table, "POOL", 4096)
    exact = of_items(200)
    best = ask(exact, zipf(6000, items=2000))
    assert len(pooled) == len(exact) == 200
    assert sum(hits) > sum(best) - 120
    for key in list(pooled):
        assert pooled.pop(key) == key + 1
    assert pooled.stats().bytes == 0


# --- the budget ------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (5, 5),
        ("5", 5),
        ("7 B", 7),
        ("64 MB", 64 * 10**6),
        ("1 GiB", 2**30),
        ("1.5kB", 1500),
        (" 2 kib ", 2048),
        ("3TB", 3 * 10**12),
    ],
)
def test_budgets_are_read(given, expected):
    assert as_bytes(given, "Cache.capacity") == expected


@pytest.mark.parametrize(
    "given", [0, -5, True, None, 1.5, "", "MB", "-3 MB", "5 XB", "1e9", b"64 MB", "9" * 30 + " GB", ROOM, "10 B"]
)
def test_what_is_no_budget_is_refused(given):
    with pytest.raises(InvalidParameter, match=r"Cache\.capacity"):
        mossy.Cache(given)


def test_a_numpy_integer_is_a_budget():
    assert mossy.Cache(np.int64(10**6)).stats().capacity == 10**6


def test_an_item_larger_than_the_budget_changes_nothing():
    cache = mossy.Cache(ROOM + 100, sizeof=len)
    cache["a"] = b"x" * 50
    before = cache.stats()
    for key in ("a", "b"):
        with pytest.raises(FullMemory, match=r"101 bytes.*capacity="):
            cache[key] = b"x" * 101
    assert cache.stats() == before
    assert cache["a"] == b"x" * 50


def test_a_larger_value_for_a_key_lets_others_go():
    cache = mossy.Cache(3 * ROOM + 300, sizeof=len)
    for key in "abc":
        cache[key] = b"x" * 100
    cache["a"] = b"x" * 200
    assert len(cache["a"]) == 200
    assert len(cache) == 2
    cache["a"] = b""
    assert cache.stats().bytes == 2 * ROOM + 100


def test_the_overhead_is_what_it_takes():
    n = 3000
    ask(of_items(10), zipf(table.WARM * 2))  # the compiler is not the cache's
    keys, value = list(range(10**6, 10**6 + 6 * n)), object()
    gc.collect()
    tracemalloc.start()
    cache = of_items(n)
    for key in keys:
        cache[key] = value
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert cache.stats().ghosts == 4 * n
    assert held <= n * ROOM


# --- sizes -----------------------------------------------------------------------------------------
class Holder:
    def __init__(self, held):
        self.held = held


class Tensor:
    nbytes = 4000


def test_values_are_measured():
    array = np.zeros(1000)
    assert 8000 <= measure(array) < 8200
    assert measure(array[:5]) == measure(array), "a view keeps all of it"
    assert measure(np.broadcast_to(np.float64(1), (1000, 1000))) < 1000
    assert 4000 <= measure(Tensor()) < 4200
    for container in ([array], (array, 1), {"a": array}, {1: (array,)}, deque([array]), Holder(array), [array, array]):
        assert 8000 < measure(container) < 9500
    assert measure(np.array(["x" * 1000, None], object)) > 1000
    assert measure(b"x" * 1000) >= 1000
    assert measure("é" * 1000) >= 1000
    assert measure(None) >= 1
    assert measure(len) >= 1


def test_a_value_that_holds_itself_and_a_huge_one_are_measured():
    loop = []
    loop.append(loop)
    assert 1 <= measure(loop) < 1000
    many = [float(i) for i in range(100_000)]
    assert measure(many) == pytest.approx(sys.getsizeof(many) + 24 * 100_000, rel=0.4)


@pytest.mark.parametrize("size", [-1, 1.5, None, "5", True])
def test_a_size_that_is_none_is_refused(size):
    cache = mossy.Cache("1 MB", sizeof=lambda value: size)
    with pytest.raises(InvalidParameter, match=r"Cache\.sizeof: it returned"):
        cache["a"] = 1
    assert len(cache) == 0


def test_an_error_of_sizeof_is_the_callers():
    cache = mossy.Cache("1 MB", sizeof=lambda value: 1 // value)
    with pytest.raises(ZeroDivisionError):
        cache["a"] = 0
    assert len(cache) == 0


@pytest.mark.parametrize("options", [{"sizeof": 5}, {"adapt": "yes"}])
def test_bad_options_are_refused(options):
    with pytest.raises(InvalidParameter, match=r"Cache\."):
        mossy.Cache("1 MB", **options)


def test_missing_and_unhashable_keys_are_named():
    cache = mossy.Cache("1 MB")
    for call in (lambda: cache["none"], lambda: cache.pop("none"), lambda: cache.__delitem__("none"), cache.popitem):
        with pytest.raises(UnknownMemory):
            call()
    for call in (
        lambda: cache[[1]],
        lambda: cache.get([1]),
        lambda: [1] in cache,
        lambda: cache.__setitem__([1], 2),
        lambda: cache.forget([1]),
        lambda: cache.peek([1]),
        lambda: cache.pop([1], None),
    ):
        with pytest.raises(InvalidParameter, match="list was given; hashable"):
            call()
    assert cache.stats().hits == 0


# --- forgetting ------------------------------------------------------------------------------------
def test_forgetting_leaves_nothing_of_an_item():
    cache = of_items(5)
    ask(cache, zipf(400, items=30))
    ghosts = cache.stats().ghosts
    held = list(cache)
    gone = [key for key in range(30) if key not in cache and cache.forget(key)]
    assert len(gone) == ghosts
    assert cache.stats().ghosts == 0
    for key in held:
        assert cache.forget(key)
        assert not cache.forget(key)
    inside = cache._table
    assert not inside.rows.any()
    assert not inside.uses.any()
    assert not any(cache._marks)
    assert not any(cache._ghosts._marks)
    assert set(cache._keys) == set(cache._values) == {None}
    assert np.abs(inside.need.totals).max() < 1e6 * inside.need.gain(inside.steps).max()


def test_clearing_is_beginning_again():
    cache = of_items(20)
    first = ask(cache, zipf(800))
    cache.clear()
    assert (len(cache), cache.stats().ghosts, cache.stats().bytes) == (0, 0, 0)
    assert ask(cache, zipf(800)) == first


def test_values_that_are_let_go_are_freed():
    import weakref

    cache = of_items(2)
    value = Holder(1)
    watch = weakref.ref(value)
    cache["a"] = value
    del value
    cache["b"] = cache["c"] = cache["d"] = 0
    gc.collect()
    assert watch() is None


def test_a_value_may_ask_the_cache_while_it_goes():
    cache, seen = of_items(2), []

    class Last:
        def __del__(self):
            cache["left"] = 1  # may let the next one go, and so on
            seen.append(cache.get("left"))

    for key in range(6):
        cache[key] = Last()
    cache[5] = 0
    cache.clear()
    gc.collect()
    assert seen == [1] * 6
    assert cache.stats().bytes == len(cache) * (ROOM + 1)


def test_ghosts_are_found_and_leave_in_order():
    ghosts, kept, rng = Ghosts(), {}, np.random.default_rng(5)
    for slot in range(400):
        mark = int(rng.integers(0, 64)) << 3 | slot << 40  # long runs of one place
        ghosts.add(slot, mark)
        kept[mark] = slot
        if slot % 3 == 0:
            mark = list(kept)[int(rng.integers(len(kept)))]
            ghosts.remove(kept.pop(mark))
        assert len(ghosts) == len(kept)
    assert all(ghosts.find(mark) == slot for mark, slot in kept.items())
    assert ghosts.find(1) == -1
    assert [ghosts.pop_oldest() for _ in range(len(kept))] == list(kept.values())


# --- threads, forks, pickles -----------------------------------------------------------------------
def test_threads_share_it():
    cache, wrong = of_items(40), []

    def work(seed):
        for key in zipf(3000, seed=seed):
            found = cache.get(key)
            if found is None:
                cache[key] = key + 1
            elif found != key + 1:
                wrong.append(key)
            if key % 50 == 49:
                cache.pop(key, None)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    stats = cache.stats()
    assert wrong == []
    assert stats.hits + stats.misses == 12_000
    assert stats.items == len(list(cache)) <= 40
    assert stats.bytes == stats.items * (ROOM + 1)


def child(cache, results):
    cache["child"] = 1
    results.put((cache.get("parent"), cache.get("child")))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="there is no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_has_its_own_though_the_lock_was_held():
    context = multiprocessing.get_context("fork")
    cache, held, done = of_items(5), threading.Event(), threading.Event()
    cache["parent"] = 1

    def hold():
        with cache._lock:
            held.set()
            done.wait()

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait()
    results = context.SimpleQueue()
    process = context.Process(target=child, args=(cache, results))
    process.start()
    found = results.get()
    process.join()
    done.set()
    thread.join()
    assert found == (1, 1)
    assert "child" not in cache


def test_an_interrupted_change_drops_everything_and_goes_on(monkeypatch):
    cache = of_items(3)
    ask(cache, range(3))
    monkeypatch.setattr(table.Table, "weakest", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        cache["new"] = 1
    monkeypatch.undo()
    assert len(cache) == 0
    assert sum(ask(cache, [1, 1, 1, 2, 2])) == 3


def test_it_is_not_pickled():
    cache = of_items(3)
    for call in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(InvalidInput, match="not pickled"):
            call(cache)


def test_what_is_in_slots_counts():
    class Slotted:
        __slots__ = ("__hidden", "held")

        def __init__(self):
            self.held, self.__hidden = bytes(10_000), bytes(5_000)

    assert measure(Slotted()) > 15_000


def test_the_finalizer_of_a_key_may_ask_the_cache():
    class Key:
        def __init__(self, cache, name):
            self.cache, self.name = cache, name

        def __hash__(self):
            return hash(self.name)

        def __eq__(self, other):
            return isinstance(other, Key) and self.name == other.name

        def __del__(self):
            self.cache["seen", self.name] = 0

    cache = mossy.Cache(20 * (mossy.Cache.overhead + 1), sizeof=lambda value: 1)
    for i in range(300):
        cache[Key(cache, i)] = i
    assert 0 < len(cache) <= 20
    cache.clear()


def test_an_interrupted_clear_leaves_an_empty_cache(monkeypatch):
    cache = mossy.Cache("1 MB")
    for i in range(50):
        cache[i] = i
    made = []

    def interrupted(*given):
        made.append(1)
        if len(made) == 1:
            raise KeyboardInterrupt
        return ghosts()

    ghosts = module.Ghosts
    monkeypatch.setattr(module, "Ghosts", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache.clear()
    assert (len(cache), cache.stats().bytes) == (0, 0)
    cache[1] = 2
    assert cache[1] == 2

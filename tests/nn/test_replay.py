from __future__ import annotations

import copy
import pickle
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import nn_replay as naive
from torch.utils.data import DataLoader

from mossy.errors import (
    EmptyBatch,
    EmptyMemory,
    FullMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    UnknownMemory,
    UnknownName,
)
from mossy.nn.replay import ReplayMemory
from mossy.nn.replay.odds import balanced, staying


def batch(n, classes=5, d=4, seed=0):
    g = torch.Generator().manual_seed(seed)
    return torch.rand(n, d, generator=g), torch.randint(classes, (n,), generator=g)


def filled(capacity=50, n=200, logits=False, **given):
    memory = ReplayMemory(capacity, **given)
    for part in range(0, n, 20):
        x, y = batch(20, seed=part)
        memory.store(x, y, x[:, :3] if logits else None)
    return memory


# --- what stays --------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 3), min_size=1, max_size=40), st.integers(1, 40), st.integers(0, 99))
def test_what_stays_is_what_the_loop_leaves(codes, room, seed):
    lots = np.random.default_rng(seed).random(len(codes))
    got = np.flatnonzero(staying(lots, np.array(codes), room)).tolist()
    assert got == naive.staying(lots.tolist(), codes, room)


def test_classes_share_the_room():
    memory = ReplayMemory(100)
    memory.store(torch.rand(900, 3), torch.cat([torch.zeros(800), torch.ones(90), torch.full((10,), 2)]).long())
    assert torch.bincount(memory.replay(100).y).tolist() == [45, 45, 10]
    assert memory.classes == [0, 1, 2]


def test_a_reservoir_is_uniform_over_all_that_came():
    first = 0
    for seed in range(40):
        memory = ReplayMemory(50, seed=seed)
        for part in range(10):
            memory.store(torch.full((50, 1), float(part)), torch.zeros(50).long())
        first += int((memory.replay(50).x < 5).sum())
    assert abs(first / 2000 - 0.5) < 0.05


def test_what_was_reinforced_stays():
    memory = ReplayMemory(100)
    ids = memory.store(torch.rand(100, 2), torch.zeros(100).long())
    memory.reinforce(ids[:20], 1e6)
    memory.store(torch.rand(1000, 2), torch.zeros(1000).long())
    assert torch.isin(ids[:20], memory.ids).all()


def test_strong_keeps_the_newest():
    memory = ReplayMemory(30, keep="strong")
    for part in range(5):
        ids = memory.store(torch.full((30, 1), float(part)), torch.zeros(30).long())
    assert sorted(memory.ids.tolist()) == ids.tolist()


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("shape", [(4,), (3, 8, 8)])
def test_a_budget_of_bytes_is_kept(logits, shape):
    memory = ReplayMemory("20 kB")
    for part in range(30):
        x = torch.full((40, *shape), part, dtype=torch.uint8)
        memory.store(x, torch.arange(40) % 7, torch.rand(40, 10) if logits else None)
        memory.replay(1, "strength")
        assert memory.nbytes <= 20_000
    assert memory.nbytes > 0.8 * 20_000


# --- what is drawn -----------------------------------------------------------------------------------


def test_odds_are_those_of_the_loop():
    weights, codes = np.random.default_rng(0).random(30), np.arange(30) ** 2 % 4
    got = np.exp(balanced(np.log(weights), codes))
    np.testing.assert_allclose(got / got.sum(), naive.odds(weights.tolist(), codes.tolist()), rtol=1e-10)


def share(memory, by, wanted, draws=400):
    got = [memory.replay(1, by).ids.item() for _ in range(draws)]
    return np.isin(got, wanted).mean()


def test_drawn_by_strength_surprise_or_evenly():
    memory = ReplayMemory(100)
    ids = memory.store(torch.rand(100, 2), torch.zeros(100).long())
    chosen = ids[:10].numpy()
    memory.reinforce(ids[:10], 9.0)
    assert abs(share(memory, "strength", chosen) - 100 / 190) < 0.1
    memory.update(ids, torch.cat([torch.full((10,), 9.0), torch.ones(90)]))
    assert abs(share(memory, "surprise", chosen) - 900 / 990) < 0.06
    assert share(memory, "uniform", chosen) < 0.2


def test_classes_are_drawn_equally_often():
    memory = ReplayMemory(100)
    memory.store(torch.rand(100, 2), (torch.arange(100) < 90).long())
    got = np.mean([memory.replay(4, "uniform").y.float().mean().item() for _ in range(200)])
    assert abs(got - 0.5) < 0.1


def test_what_was_not_told_counts_as_the_greatest():
    memory = ReplayMemory(100)
    ids = memory.store(torch.rand(100, 2), torch.zeros(100).long())
    memory.update(ids[:50], torch.full((50,), 1e-9))
    memory.update(ids[50:60], torch.ones(10))
    assert share(memory, "surprise", ids[50:].numpy()) == 1


def test_a_draw_repeats_with_its_generator_and_has_no_repeats():
    memory = filled()
    one, two = (memory.replay(20, generator=torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one.ids, two.ids)
    assert len(one.ids.unique()) == 20
    assert [len(found) for found in one[:3]] == [20, 20, 20]


# --- a data set --------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_draws_from_it(workers):
    memory = filled(logits=True)

    def seen():
        sampler = memory.sampler(8, "surprise", batches=5, generator=torch.Generator().manual_seed(1))
        how = {"multiprocessing_context": "fork"} if workers else {}
        return list(DataLoader(memory, batch_sampler=sampler, num_workers=workers, **how))

    one, two = seen(), seen()
    assert len(one) == 5
    for (x, y, ids, logits), again in zip(one, two, strict=True):
        assert x.shape == (8, 4)
        assert y.shape == ids.shape == (8,)
        assert torch.equal(logits, x[:, :3])
        assert torch.equal(ids, again[2])


def test_a_plain_loader_goes_over_all():
    memory = filled()
    ids = torch.cat([ids for _, _, ids in DataLoader(memory, batch_size=16, shuffle=True)])
    assert sorted(ids.tolist()) == sorted(memory.ids.tolist())
    x, y, name = memory[-1]
    assert torch.equal(name, memory.ids[-1])
    assert x.shape == (4,)
    assert y.shape == ()
    with pytest.raises(IndexError, match="50"):
        memory[50]


def test_a_pass_shows_as_many_as_are_held_and_hears_of_losses():
    memory = filled()
    sampler = memory.sampler(16, "surprise")
    assert len(sampler) == len(list(sampler)) == 4
    for _, _, ids in DataLoader(memory, batch_sampler=sampler):
        memory.update(ids, torch.rand(len(ids)))
    assert len(next(iter(memory.sampler(99)))) == 50


def test_a_change_during_a_pass_is_refused():
    memory = filled()
    going = iter(memory.sampler(8))
    next(going)
    memory.store(*batch(3))
    with pytest.raises(InvalidInput, match="between passes"):
        next(going)


# --- mixing ------------------------------------------------------------------------------------------


def test_a_new_batch_is_joined_with_old_ones():
    memory, (x, y) = filled(logits=True), batch(6, seed=99)
    mixed = memory.mix(x, y, 10)
    assert torch.equal(mixed.x[:6], x)
    assert torch.equal(mixed.y[:6], y)
    assert mixed.new == 6
    assert torch.equal(mixed.logits, mixed.x[6:, :3])
    assert torch.isin(mixed.ids, memory.ids).all()
    assert len(memory.mix(x, y).x) == 12
    assert len(memory.mix(x, y, 0).x) == 6
    assert len(memory.mix(x, y, 1000).x) == 56


def test_nothing_is_replayed_from_an_empty_memory():
    mixed = ReplayMemory(10).mix(*batch(6))
    assert len(mixed.x) == mixed.new == 6
    assert mixed.logits is None
    assert len(mixed.ids) == 0


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.uint8])
def test_dtypes_stay(dtype):
    memory = ReplayMemory(10)
    memory.store(torch.ones(20, 3).to(dtype), torch.arange(20) % 3)
    assert memory.replay(5).x.dtype == dtype


def test_numbers_and_other_targets():
    memory = ReplayMemory(10, balanced=False)
    memory.store(torch.rand(20, 3), torch.rand(20, 2))
    assert memory.replay(5).y.shape == (5, 2)
    assert memory.classes == []
    memory.forget(memory.ids[:5])
    assert len(memory) == 5


# --- forgetting --------------------------------------------------------------------------------------


def test_forgetting_leaves_no_byte():
    memory = ReplayMemory(50)
    ids = memory.store(torch.full((20, 4), 7.25), torch.full((20,), 3))
    memory.store(torch.rand(60, 4), torch.arange(60) % 3)
    buffers = [rows._buffer for rows in memory._examples.held.values()]
    memory.forget(ids=ids[torch.isin(ids, memory.ids)][:1])
    memory.forget(classes=[3])
    assert memory.classes == [0, 1, 2]
    for buffer in [*buffers, *(rows._buffer for rows in memory._examples.held.values())]:
        assert not (buffer == 7.25).any()
    assert len(memory) == len(memory.replay(len(memory)).ids.unique())
    memory.store(*batch(100))
    assert len(memory) == 50


def test_forgetting_all_leaves_an_empty_memory_that_learns_again():
    memory = filled()
    memory.forget(classes=torch.arange(5))
    assert len(memory) == 0
    assert memory.classes == []
    with pytest.raises(EmptyMemory):
        memory.replay(1)
    memory.store(*batch(10))
    assert len(memory) == 10


# --- copies ------------------------------------------------------------------------------------------


def same(one, two):
    a, b = one.replay(20, "surprise"), two.replay(20, "surprise")
    return all(torch.equal(p, q) for p, q in zip(a, b, strict=True) if p is not None)


def test_state_round_trip(tmp_path):
    memory = filled(logits=True)
    memory.update(memory.ids[:10], torch.rand(10))
    torch.save(memory.state_dict(), tmp_path / "memory.pt")
    other = ReplayMemory(50, seed=9)
    other.load_state_dict(torch.load(tmp_path / "memory.pt", weights_only=True))
    assert same(memory, other)
    x, y = batch(30, seed=5)
    assert torch.equal(memory.store(x, y, x[:, :3]), other.store(x, y, x[:, :3]))
    assert torch.equal(memory.ids, other.ids)
    empty = ReplayMemory(50)
    empty.load_state_dict(ReplayMemory(50).state_dict())
    assert len(empty) == 0


@pytest.mark.parametrize(
    "other", [{"capacity": 20}, {"balanced": False}, {"law": "benna_fusi", "capacity": 20}, {"capacity": "1 kB"}]
)
def test_the_state_of_another_memory_is_refused(other):
    memory = ReplayMemory(**{"capacity": 50} | other)
    with pytest.raises(InvalidInput, match="load_state_dict"):
        memory.load_state_dict(filled().state_dict())
    assert len(memory) == 0


def test_a_state_with_parts_missing_is_refused():
    state = filled().state_dict()
    with pytest.raises(InvalidInput, match="lots"):
        filled().load_state_dict({name: part for name, part in state.items() if name != "lots"})
    with pytest.raises(InvalidShape, match="'x'"):
        filled().load_state_dict(state | {"x": state["x"][:3]})


def test_copies_are_their_own():
    memory = filled()
    for other in (copy.deepcopy(memory), pickle.loads(pickle.dumps(memory))):
        other.forget(classes=[0])
        other.store(*batch(100))
    assert len(memory) == 50
    assert 0 in memory.classes
    assert same(copy.deepcopy(memory), memory)


def test_many_threads_at_once():
    memory, failed = filled(), []

    def work(seed):
        try:
            for turn in range(20):
                memory.store(*batch(7, seed=seed * 100 + turn))
                found = memory.replay(10, "surprise")
                assert len(found.x) == 10
                memory.mix(*batch(3), n=5)
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert len(memory) == len(memory.ids.unique()) == 50


def test_another_device():
    memory = filled(logits=True)
    ids = memory.ids
    assert memory.to("cpu") is memory
    memory.to("meta")  # holds no numbers, but says where things are
    assert memory.replay(5).x.device.type == "meta"
    memory.store(torch.rand(20, 4), torch.arange(20) % 5, torch.rand(20, 3))
    assert memory.device.type == "meta"
    assert len(ids) == len(memory)


# --- bad input ---------------------------------------------------------------------------------------

X, Y = batch(4)


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda m: ReplayMemory(0), InvalidParameter, "at least 1"),
        (lambda m: ReplayMemory(2.5), InvalidParameter, "capacity"),
        (lambda m: ReplayMemory("many"), InvalidParameter, "MB"),
        (lambda m: ReplayMemory(5, keep="best"), UnknownName, "reservoir"),
        (lambda m: ReplayMemory(5, balanced=1), InvalidParameter, "True or False"),
        (lambda m: ReplayMemory(5, seed=-1), InvalidParameter, "seed"),
        (lambda m: ReplayMemory(5, device="x"), InvalidParameter, "device"),
        (lambda m: m.to("x"), InvalidParameter, "to.device"),
        (lambda m: ReplayMemory(3).store(X.repeat(9, 1), torch.arange(36)), FullMemory, "36 classes"),
        (lambda m: ReplayMemory("600 B").store(torch.rand(3, 999), torch.arange(3)), FullMemory, "room for 0"),
        (lambda m: m.store(X.numpy(), Y), InvalidDtype, "ndarray"),
        (lambda m: m.store(X, Y[:3]), InvalidShape, "one row for each"),
        (lambda m: m.store(X[:0], Y[:0]), EmptyBatch, "at least one"),
        (lambda m: m.store(X, Y.float()), InvalidDtype, "balanced=False"),
        (lambda m: m.store(X, X), InvalidDtype, "balanced=False"),
        (lambda m: m.store(X[:, :2], Y), InvalidShape, r"\(4,\)"),
        (lambda m: m.store(X.double(), Y), InvalidDtype, "float32"),
        (lambda m: m.store(X, Y, X), InvalidInput, "every time"),
        (lambda m: m.store(X, Y, Y[:, None]), InvalidDtype, "logits"),
        (lambda m: m.store(X, Y, torch.empty(4, 3, device="meta")), InvalidInput, "meta"),
        (lambda m: m.store(X.to_sparse(), Y), InvalidInput, "dense"),
        (lambda m: m.replay(51), InvalidParameter, "50"),
        (lambda m: m.replay(5, generator=5), InvalidDtype, "manual_seed"),
        (lambda m: m.replay(5, "age"), UnknownName, "surprise"),
        (lambda m: ReplayMemory(5).replay(1), EmptyMemory, "store at least one"),
        (lambda m: list(ReplayMemory(5).sampler(1)), EmptyMemory, "store at least one"),
        (lambda m: m.sampler(0), InvalidParameter, "batch"),
        (lambda m: m.sampler(5, "age"), UnknownName, "sampler.by"),
        (lambda m: m.sampler(5, generator=3), InvalidDtype, "manual_seed"),
        (lambda m: m.mix(X[:, :2], Y), InvalidShape, "mix.x"),
        (lambda m: m.mix(X.double(), Y), InvalidDtype, "mix.x"),
        (lambda m: m.mix(X, Y, -1), InvalidParameter, "mix.n"),
        (lambda m: m.mix([1], [2]), InvalidDtype, "mix.x: list"),
        (lambda m: m.mix(X, Y[:3], 5), InvalidShape, "mix.y.*one row for each"),
        (lambda m: ReplayMemory(5).mix([1], [2]), InvalidDtype, "mix.x: list"),
        (lambda m: m.update([10**9], [1.0]), UnknownMemory, "1000000000"),
        (lambda m: m.update(m.ids[:3], [1.0]), InvalidShape, "reduction"),
        (lambda m: m.update(m.ids[:1], [float("nan")]), NotFinite, "nan"),
        (lambda m: m.update(m.ids[:1], [-1.0]), InvalidParameter, "at least 0"),
        (lambda m: m.update([], []), EmptyBatch, "at least one"),
        (lambda m: m.reinforce(m.ids[:2], 0), InvalidParameter, "above 0"),
        (lambda m: m.reinforce([0.5]), InvalidDtype, "integers"),
        (lambda m: m.reinforce("x"), InvalidDtype, "reinforce.ids: str"),
        (lambda m: m.update(m.ids[:1], "x"), InvalidDtype, "update.losses: str"),
        (lambda m: m.forget(), InvalidInput, "ids, or classes"),
        (lambda m: m.forget([-1]), UnknownMemory, "-1"),
        (lambda m: m.forget(classes=[77]), UnknownMemory, "77"),
        (lambda m: m.load_state_dict({"x": X}), InvalidInput, "allowed"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(act, error, says):
    memory = filled()
    before = memory.ids
    with pytest.raises(error, match=says):
        act(memory)
    assert torch.equal(memory.ids, before)

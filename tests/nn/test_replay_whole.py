"""What is refused or cut off leaves no half; networks, workers and modes are left as they were."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

import mossy
from mossy.arrays import Column
from mossy.errors import InvalidDtype, InvalidInput, InvalidParameter, InvalidShape, MossyError, NotFinite
from mossy.nn.replay import ReplayMemory, consolidate, drive
from mossy.nn.replay.rows import Rows


def filled(n=60, capacity=50, logits=3):
    memory = ReplayMemory(capacity)
    x = torch.rand(n, 4) + torch.arange(n)[:, None]
    memory.store(x, torch.arange(n) % 3, x[:, :logits] if logits else None)
    return memory


def same(one, two):
    assert one.keys() == two.keys()
    for name, part in one.items():
        if isinstance(part, torch.Tensor):
            torch.testing.assert_close(part, two[name], rtol=0, atol=0, equal_nan=True)
        else:
            assert part == two[name]


def belongs_together(memory):
    found = memory.replay(len(memory))
    assert torch.equal(found.x[:, :3], found.logits)
    assert torch.equal(found.x[:, 0].long() % 3, found.y)
    assert torch.equal(found.x[:, 0].long(), found.ids)


# --- refused -----------------------------------------------------------------------------------------


class Odd(nn.Module):
    def forward(self, x):
        if len(x) > 6:
            raise RuntimeError("too many")
        return x[:, :3]


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"loss": "hinge"}, MossyError),
        ({"match": -1}, InvalidParameter),
        ({"match": "x"}, InvalidParameter),
        ({"by": "age"}, MossyError),
        ({"replay": -1}, InvalidParameter),
        ({"x": torch.rand(6, 5)}, InvalidShape),
        ({"x": torch.rand(6, 4).double()}, InvalidDtype),
        ({"y": [1]}, InvalidDtype),
        ({"y": torch.full((5,), 7)}, InvalidShape),
        ({"y": torch.full((6,), 7)}, InvalidShape),
        ({"x": torch.rand(0, 4), "y": torch.arange(0)}, MossyError),
        ({"model": nn.Linear(4, 9)}, InvalidShape),
        ({"model": nn.Sequential(nn.Linear(4, 3), nn.Flatten(0))}, InvalidShape),
        ({"model": Odd(), "replay": 30}, RuntimeError),
        ({"model": nn.Sequential(nn.Linear(4, 3), nn.Threshold(1e9, float("nan")))}, NotFinite),
    ],
)
def test_what_drive_refuses_changes_nothing(given, error, store):
    memory, model = filled(5), nn.Linear(4, 3)
    given = {"x": torch.rand(6, 4), "y": torch.full((6,), 2), "model": model, "store": store} | given
    memory.forget(classes=[2])
    memory.update(memory.ids, torch.rand(len(memory)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    learner, x, y = (given.pop(name) for name in ("model", "x", "y"))
    before, weights = memory.state_dict(), {name: part.clone() for name, part in learner.state_dict().items()}
    with pytest.raises(error):
        drive(memory, learner, optimizer, x, y, **given)
    same(memory.state_dict(), before)
    same(dict(learner.state_dict()), weights)


def test_a_network_that_fails_half_way_writes_nothing_anew():
    memory = filled(300, 300)
    before, asked = memory.state_dict(), []

    class Tires(nn.Module):
        def forward(self, x):
            asked.append(len(x))
            if len(asked) == 2:
                raise RuntimeError("tired")
            return x[:, :3] + 1

    with pytest.raises(RuntimeError, match="tired"):
        memory.reconsolidate(Tires())
    same(memory.state_dict(), before)


# --- cut off -----------------------------------------------------------------------------------------


def cut_off_at(monkeypatch, of, name, turn):
    """Have a method interrupted the so-manieth time that it is called, after it has done its work."""
    made, calls = getattr(of, name), []

    def interrupted(self, *given):
        made(self, *given)
        calls.append(1)
        if len(calls) == turn:
            raise KeyboardInterrupt

    monkeypatch.setattr(of, name, interrupted)


@pytest.mark.parametrize(
    ("of", "name", "turn"),
    [(Rows, "append", 1), (Rows, "append", 2), (Column, "append", 1), (Column, "append", 5), (Rows, "reserve", 2)],
)
def test_a_store_that_is_cut_off_stores_nothing(monkeypatch, of, name, turn):
    memory = filled(40)
    before = memory.state_dict()
    x = torch.rand(20, 4) + torch.arange(40, 60)[:, None]
    with monkeypatch.context() as patch:
        cut_off_at(patch, of, name, turn)
        with pytest.raises(KeyboardInterrupt):
            memory.store(x, torch.arange(40, 60) % 3, x[:, :3])
    same(memory.state_dict() | {"random": 0}, before | {"random": 0})
    memory.store(x, torch.arange(40, 60) % 3, x[:, :3])
    belongs_together(memory)
    assert len(memory) == 50


@pytest.mark.parametrize("turn", [1, 2, 3])
def test_what_is_half_written_over_is_let_go(monkeypatch, turn):
    memory = filled()
    ids = memory.ids
    x = torch.rand(30, 4) + torch.arange(60, 90)[:, None]
    with monkeypatch.context() as patch:
        cut_off_at(patch, Rows, "overwrite", turn)
        with pytest.raises(KeyboardInterrupt):
            memory.store(x, torch.arange(60, 90) % 3, x[:, :3])
    belongs_together(memory)
    assert torch.isin(memory.ids, ids).all()
    assert len(memory) < 50


@pytest.mark.parametrize(("name", "turn"), [("overwrite", 1), ("overwrite", 2), ("truncate", 1), ("truncate", 3)])
def test_what_is_half_forgotten_is_forgotten(monkeypatch, name, turn):
    memory = filled()
    ids = memory.ids
    with monkeypatch.context() as patch:
        cut_off_at(patch, Rows, name, turn)
        with pytest.raises(KeyboardInterrupt):
            memory.forget(ids[:7])
    belongs_together(memory)
    assert sorted(memory.ids.tolist()) == sorted(ids[7:].tolist())


def test_what_is_stored_in_inference_mode_is_like_what_is_not():
    memory, x = ReplayMemory(50), torch.rand(20, 4)
    with torch.inference_mode():
        ids = memory.store(x * 1, torch.arange(20) % 3, x[:, :3] * 1)
        memory.store(x * 1, torch.arange(20) % 3, x[:, :3] * 1)
        memory.reconsolidate(nn.Linear(4, 3))
        memory.forget(ids[:2])
    memory.forget(ids[2:4])
    memory.store(x, torch.arange(20) % 3, x[:, :3])
    memory.reconsolidate(nn.Linear(4, 3))
    with torch.inference_mode():
        copied = ReplayMemory(50)
        copied.load_state_dict(memory.state_dict())
    for one in (memory, copied):
        one.forget(one.ids[:3])
        consolidate(one, nn.Linear(4, 3), batches=2)
    assert len(memory) == len(copied) == 47


def test_moving_leaves_no_byte_behind():
    memory = filled()
    buffers = [rows._buffer for rows in memory._examples.held.values()]
    before = memory.nbytes
    memory.to("cpu")
    assert memory.nbytes == before
    belongs_together(memory)
    memory.to("meta")
    assert not any(buffer.any() for buffer in buffers)


# --- the modes of a network --------------------------------------------------------------------------


def frozen_in_part():
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3), nn.BatchNorm1d(3), nn.Dropout(0.1))
    model[1].eval()
    return model


def flags(model):
    return [part.training for part in model.modules()]


def test_a_frozen_part_stays_frozen():
    model, memory = frozen_in_part(), filled(20)
    was, mean = flags(model), model[1].running_mean.clone()
    memory.reconsolidate(model)
    assert flags(model) == was
    consolidate(memory, model, batches=3)
    assert flags(model) == was
    drive(memory, model, torch.optim.SGD(model.parameters(), lr=0.1), torch.rand(4, 4), torch.full((4,), 2))
    assert flags(model) == was
    assert torch.equal(model[1].running_mean, mean)
    assert model[2].num_batches_tracked == 4
    with pytest.raises(InvalidShape):
        memory.reconsolidate(nn.Sequential(model, nn.Flatten(0)))
    assert flags(model) == was


def test_a_network_in_evaluation_mode_learns_and_is_put_back():
    model, memory = frozen_in_part().eval(), filled(20)
    consolidate(memory, model, batches=3)
    assert not any(flags(model))
    assert model[1].num_batches_tracked == 3


def test_asking_for_the_surprise_moves_no_statistics():
    memory, model = mossy.Memory(), nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2))
    memory.store(np.random.default_rng(0).random((20, 4)), payload=[0, 1] * 10)
    consolidate(memory, model, batches=3)
    assert model[0].num_batches_tracked == 3
    assert model.training


# --- workers -----------------------------------------------------------------------------------------

FORK = {"num_workers": 1, "multiprocessing_context": "fork", "timeout": 20}


def test_workers_do_not_wait_for_a_thread_of_the_parent():
    memory, held, done = filled(), threading.Event(), threading.Event()

    def hold():
        with memory.alone():
            held.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(30)
    try:
        loader = DataLoader(memory, batch_sampler=[[0, 1], [2, 3]], **FORK)
        assert [len(x) for x, *_ in loader] == [2, 2]
    finally:
        done.set()
        thread.join()


def test_workers_that_stay_do_not_bring_back_what_was_forgotten():
    memory = filled()
    loader = DataLoader(memory, batch_sampler=memory.sampler(10, batches=2), persistent_workers=True, **FORK)
    for _ in range(2):
        assert len(list(loader)) == 2
    memory.forget(memory.ids[:10])
    with pytest.raises(InvalidInput, match="make a new DataLoader"):
        list(loader)
    del loader
    assert len(list(DataLoader(memory, batch_sampler=memory.sampler(10, batches=2), **FORK))) == 2


# --- states ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"labels": ["a", "b", "c"]}, InvalidInput),
        ({"labels": [0, 1, 1]}, InvalidInput),
        ({"labels": [0, 1]}, InvalidInput),
        ({"labels": 3}, InvalidInput),
        ({"random": {"bit_generator": "none"}}, InvalidInput),
        ({"random": 3}, InvalidInput),
        ({"next": 3.5}, InvalidParameter),
        ({"next": 3}, InvalidInput),
        ({"since": -1}, InvalidParameter),
        ({"x": [1]}, InvalidDtype),
        ({"ids": torch.zeros(50).long()}, InvalidInput),
        ({"ids": torch.zeros(50)}, InvalidDtype),
        ({"codes": torch.full((50,), 7, dtype=torch.int32)}, InvalidInput),
        ({"born": torch.full((50,), float("nan"), dtype=torch.float64)}, InvalidInput),
        ({"logits": torch.rand(7, 3)}, InvalidShape),
        ({"lots": torch.rand(50, 2).double()}, InvalidShape),
        ({"x": torch.rand(50, 4, device="meta")}, InvalidInput),
    ],
)
def test_a_state_that_is_damaged_is_refused_and_changes_nothing(changed, error):
    memory = filled()
    before = memory.state_dict()
    with pytest.raises(error, match="load_state_dict"):
        memory.load_state_dict(before | changed)
    same(memory.state_dict(), before)


def test_losses_and_ids_of_a_generator():
    memory = filled()
    memory.update((int(one) for one in memory.ids), (0.5 for _ in range(50)))
    memory.update(np.asarray(memory.ids), np.full(50, 2.0))
    assert (memory.state_dict()["surprise"] == 2).all()

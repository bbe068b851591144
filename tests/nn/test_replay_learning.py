from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from tests.naive import nn_replay as naive
from torch import nn

import mossy
from mossy.errors import EmptyMemory, InvalidDtype, InvalidParameter, InvalidShape, UnknownName
from mossy.nn.replay import Mixed, ReplayMemory, consolidate, drive, replay_loss


def mixed(dtype=torch.float32, logits=True):
    g = torch.Generator().manual_seed(0)
    x, outputs, stored = (torch.randn(n, k, generator=g).to(dtype) for n, k in ((11, 4), (11, 6), (7, 6)))
    y = torch.tensor([1, 4, 1, 4, 0, 1, 2, 3, 4, 5, 5])
    return outputs, Mixed(x, y, 4, torch.arange(7), stored if logits else None)


def network(inputs=64, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(inputs, 64), nn.ReLU(), nn.Linear(64, 10))


def stream():
    x, y = load_digits(return_X_y=True)
    x, y = torch.from_numpy(x / 16).float(), torch.from_numpy(y)
    for first in range(0, 10, 2):
        rows = torch.nonzero((y == first) | (y == first + 1)).flatten()
        for part in rows.split(10):
            yield x[part], y[part]


# --- losses ------------------------------------------------------------------------------------------


def test_the_loss_is_that_of_the_loop():
    outputs, batch = mixed()
    got, old = replay_loss(outputs, batch, "asymmetric", 0.3)
    want = naive.loss(outputs.tolist(), batch.y.tolist(), 4, batch.logits.tolist(), 0.3)
    assert got.item() == pytest.approx(want, abs=1e-5)
    torch.testing.assert_close(old, nn.functional.cross_entropy(outputs[4:], batch.y[4:], reduction="none"))


def test_the_symmetric_loss_is_that_of_torch():
    outputs, batch = mixed(logits=False)
    got, _ = replay_loss(outputs, batch, "symmetric")
    want = nn.functional.cross_entropy(outputs[:4], batch.y[:4]) + nn.functional.cross_entropy(outputs[4:], batch.y[4:])
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("loss", ["asymmetric", "symmetric"])
def test_gradients(loss):
    outputs, batch = mixed(torch.float64)
    assert torch.autograd.gradcheck(lambda z: replay_loss(z, batch, loss)[0], outputs.requires_grad_())


def test_what_is_new_pushes_no_other_class_down():
    outputs, batch = mixed()
    outputs.requires_grad_()
    replay_loss(outputs, batch, "asymmetric", 0)[0].backward()
    assert outputs.grad[:4, [0, 2, 3, 5]].eq(0).all()
    assert outputs.grad[:4, [1, 4]].ne(0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(dtype):
    outputs, batch = mixed()
    want, _ = replay_loss(outputs, batch)
    got, _ = replay_loss(outputs.to(dtype), batch)
    assert got.item() == pytest.approx(want.item(), rel=0.02)


# --- streams -----------------------------------------------------------------------------------------


def accuracy(model):
    x, y = load_digits(return_X_y=True)
    with torch.no_grad():
        return (model(torch.from_numpy(x / 16).float()).argmax(1).numpy() == y).mean()


def test_a_network_that_is_reminded_does_not_forget():
    got = {}
    for replay in (0, 20):
        model, memory = network(), ReplayMemory(200)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for x, y in stream():
            drive(memory, model, optimizer, x, y, replay=replay)
        got[replay] = accuracy(model)
        assert memory.classes == list(range(10))
    assert got[20] > 0.75
    assert got[20] > got[0] + 0.2


def test_a_stream_repeats_with_its_seed():
    def weights():
        model, memory = network(), ReplayMemory(50, seed=3)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _, (x, y) in zip(range(20), stream(), strict=False):
            drive(memory, model, optimizer, x, y)
        return model[0].weight

    assert torch.equal(weights(), weights())


def test_what_is_stored_with_a_batch():
    model = network()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x, y = next(stream())
    memory = ReplayMemory(100)
    drive(memory, model, optimizer, x, y)
    found = memory.replay(10)
    torch.testing.assert_close(found.logits, model(found.x).detach())
    drive(memory, model, optimizer, x, y, store=False)
    assert len(memory) == 10
    assert drive(ReplayMemory(100), model, optimizer, x, y, match=0).dim() == 0
    plain = ReplayMemory(100)
    drive(plain, model, optimizer, x, y, match=0)
    assert plain.replay(1).logits is None


def test_what_was_learned_is_said_anew_before_a_new_class_comes():
    model, memory = network(), ReplayMemory(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    parts = {c: (torch.rand(10, 64), torch.full((10,), c)) for c in range(3)}
    for c in (0, 0, 1, 1):
        drive(memory, model, optimizer, *parts[c])
    found = memory.replay(len(memory))
    with torch.no_grad():
        away = (found.logits - model(found.x)).abs().amax(1)
    assert (away > 1e-3).all()
    before, kept = copy.deepcopy(model), found.logits[found.y == 0]
    drive(memory, model, optimizer, *parts[2])
    found = memory.replay(len(memory))
    old, was = found.y < 2, found.y == 1
    with torch.no_grad():
        torch.testing.assert_close(found.logits[was], before(found.x[was]))
    assert sorted(found.logits[found.y == 0].sum(1).tolist()) == pytest.approx(sorted(kept.sum(1).tolist()))
    drive(memory, model, optimizer, *parts[0])  # it is held: nothing is said anew
    again = memory.replay(50)
    assert torch.isin(found.logits[old].sum(1), again.logits.sum(1)).all()


def test_a_network_is_asked_in_eval_mode_and_of_the_right_shape():
    memory = full()
    memory.reconsolidate(nn.Linear(4, 3))  # no logits are held
    memory = ReplayMemory(600)
    memory.store(torch.rand(600, 4), torch.arange(600) % 3, torch.zeros(600, 3))
    model = nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3))
    memory.reconsolidate(model)
    found = memory.replay(600)
    assert model.training
    with torch.no_grad():
        torch.testing.assert_close(found.logits, model.eval()(found.x))
    memory.store(torch.rand(5, 4), torch.arange(5) % 3, torch.zeros(5, 3))
    with pytest.raises(InvalidShape, match="stored"):
        memory.reconsolidate(nn.Linear(4, 2))


def test_the_memory_hears_what_surprised():
    model, memory = network(), ReplayMemory(100)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    x, y = next(stream())
    for _ in range(2):
        drive(memory, model, optimizer, x, y)
    told = memory._examples["surprise"]
    assert np.isfinite(told).sum() == 10


def test_autocast_and_compiled_networks():
    x, y = next(stream())
    for model in (network(), torch.compile(network(), backend="eager")):
        memory, optimizer = ReplayMemory(100), torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            with torch.autocast("cpu", torch.bfloat16):
                loss = drive(memory, model, optimizer, x, y)
        assert loss.isfinite()
        assert memory.replay(5).logits.dtype == torch.float32


def test_numbers_as_targets():
    model, memory = nn.Linear(3, 2), ReplayMemory(30, balanced=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(200, 3)
    y = x[:, :2] * 2
    before = (model(x) - y).square().mean()
    for a, b in zip(x.split(10), y.split(10), strict=True):
        drive(memory, model, optimizer, a, b)
    assert (model(x) - y).square().mean() < before / 10


# --- consolidation -----------------------------------------------------------------------------------


def test_a_slow_network_learns_from_a_memory_of_examples():
    x, y = load_digits(return_X_y=True)
    memory = ReplayMemory(1000)
    memory.store(torch.from_numpy(x / 16).float(), torch.from_numpy(y))
    model = network().eval()
    losses = consolidate(memory, model, batches=300)
    assert losses.shape == (300,)
    assert accuracy(model) > 0.85
    assert not model.training
    assert np.isfinite(memory._examples["surprise"]).any()


@pytest.mark.parametrize("by", ["strength", "surprise"])
def test_a_slow_network_learns_from_a_memory_of_patterns(by):
    x, y = load_digits(return_X_y=True)
    memory = mossy.Memory()
    memory.store(x / 16, payload=y.tolist())
    model = network()
    consolidate(memory, model, batches=300, by=by)
    assert accuracy(model) > 0.85


def test_patterns_without_payloads_are_taken_to_their_values():
    memory, x = mossy.Memory(), np.random.default_rng(0).normal(size=(100, 5))
    memory.store(x, x[:, :2] * 3)
    model = nn.Linear(5, 2)
    losses = consolidate(memory, model, batches=100, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    assert losses[-10:].mean() < losses[:10].mean() / 2


def test_inputs_and_targets_can_be_read_otherwise():
    memory = mossy.Memory()
    memory.store(np.eye(4), payload=["a", "b", "a", "b"])
    names = {"a": 0, "b": 1}

    def read(found):
        return torch.from_numpy(found.patterns).view(-1, 1, 2, 2), torch.tensor([names[p] for p in found.payload])

    model = nn.Sequential(nn.Conv2d(1, 4, 2), nn.Flatten(), nn.Linear(4, 2))
    assert consolidate(memory, model, read=read, batches=3, batch=9).shape == (3,)
    with pytest.raises(InvalidDtype, match="read="):
        consolidate(memory, nn.Linear(4, 2))


def test_a_network_says_again_what_it_said():
    torch.manual_seed(0)
    memory, x, said = ReplayMemory(100), torch.randn(100, 5), torch.randn(5, 3)
    memory.store(x, torch.zeros(100).long(), x @ said)

    def apart(match):
        torch.manual_seed(1)
        model = nn.Linear(5, 3)
        consolidate(memory, model, batches=200, match=match, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
        return (model(x) - x @ said).square().mean().item()

    assert apart(5.0) < apart(0.0) / 5


def test_consolidation_repeats_with_its_seed_and_puts_the_mode_back():
    memory = ReplayMemory(100)
    memory.store(torch.rand(100, 64), torch.arange(100) % 10)
    one, two = (consolidate(memory, network(), batches=5, by="uniform", seed=1) for _ in range(2))
    assert torch.equal(one, two)
    model = network().eval()
    with pytest.raises(InvalidShape, match="reduction"):
        consolidate(memory, model, loss=nn.CrossEntropyLoss())
    assert not model.training


def test_the_rate_falls_in_the_course_and_is_put_back():
    memory, model, rates = full(), nn.Linear(4, 3), []
    optimizer = torch.optim.SGD([{"params": [model.weight]}, {"params": [model.bias], "lr": 0.5}], lr=0.1)
    optimizer.register_step_pre_hook(lambda one, *_: rates.append([group["lr"] for group in one.param_groups]))
    consolidate(memory, model, batches=4, optimizer=optimizer)
    assert rates == [pytest.approx([0.1 * k, 0.5 * k]) for k in (1, 0.75, 0.5, 0.25)]
    assert [group["lr"] for group in optimizer.param_groups] == [0.1, 0.5]
    consolidate(memory, model, batches=2, optimizer=optimizer, anneal=False)
    assert rates[4:] == [[0.1, 0.5]] * 2


# --- bad input ---------------------------------------------------------------------------------------


def test_what_cannot_be_stored_is_not_learned():
    model = nn.Linear(4, 3)
    before = model.weight.clone()
    with pytest.raises(InvalidDtype):
        driven(y=torch.rand(6, 3), model=model)
    assert torch.equal(model.weight, before)


def driven(x=None, y=None, model=None, memory=None, **given):
    model = nn.Linear(4, 3) if model is None else model
    memory = ReplayMemory(20) if memory is None else memory
    x, y = (torch.rand(6, 4) if x is None else x), (torch.arange(6) % 3 if y is None else y)
    return drive(memory, model, torch.optim.SGD(model.parameters(), lr=0.1), x, y, **given)


def full():
    memory = ReplayMemory(20)
    memory.store(torch.rand(20, 4), torch.arange(20) % 3)
    return memory


@pytest.mark.parametrize(
    ("act", "error", "says"),
    [
        (lambda: driven(loss="hinge"), UnknownName, "asymmetric"),
        (lambda: driven(match=-1), InvalidParameter, "match"),
        (lambda: driven(by="age"), UnknownName, "surprise"),
        (lambda: driven(replay=-1), InvalidParameter, "drive.replay"),
        (lambda: driven(store=1), InvalidParameter, "True or False"),
        (lambda: driven(memory=[]), InvalidDtype, "ReplayMemory"),
        (lambda: driven(y=torch.arange(6)), InvalidShape, "every class"),
        (lambda: driven(y=torch.rand(6, 3)), InvalidDtype, "balanced=False"),
        (lambda: driven(model=nn.Sequential(nn.Linear(4, 3), nn.Flatten(0))), InvalidShape, "18"),
        (
            lambda: driven(y=torch.rand(6), loss="asymmetric", memory=ReplayMemory(9, balanced=False)),
            InvalidParameter,
            "symmetric",
        ),
        (lambda: consolidate(ReplayMemory(5), nn.Linear(4, 3)), EmptyMemory, "store at least one"),
        (lambda: consolidate([1], nn.Linear(4, 3)), InvalidDtype, "mossy.Memory"),
        (lambda: consolidate(full(), nn.ReLU()), InvalidParameter, "no parameter"),
        (lambda: consolidate(full(), nn.Linear(4, 2)), InvalidShape, "every class"),
        (lambda: consolidate(full(), nn.Linear(4, 3), batches=0), InvalidParameter, "batches"),
        (lambda: consolidate(full(), nn.Linear(4, 3), by="age"), UnknownName, "surprise"),
        (lambda: consolidate(full(), nn.Linear(4, 3), match=-1), InvalidParameter, "match"),
    ],
)
def test_bad_input_is_named(act, error, says):
    with pytest.raises(error, match=says):
        act()


def test_of_a_memory_of_patterns_nothing_is_drawn_evenly():
    memory = mossy.Memory()
    memory.store(np.eye(3), payload=[0, 1, 2])
    with pytest.raises(InvalidParameter, match="uniform"):
        consolidate(memory, nn.Linear(3, 3), by="uniform")

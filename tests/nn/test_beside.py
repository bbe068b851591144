from __future__ import annotations

import copy
import math
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.naive import nn_attach as naive
from torch import nn
from torch.nn import functional as F

import mossy
from mossy.errors import InvalidDtype, InvalidInput, InvalidParameter, InvalidShape, NotFinite, UnknownName
from mossy.nn.beside import attach, distill, mixture, votes
from mossy.nn.beside.mixture import calibrated, weight_of


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def classifier(classes=3):
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, classes)).eval()


class Language(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.gru, self.head = nn.Embedding(11, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 11)

    def forward(self, x):
        return self.head(self.gru(self.embed(x))[0])


def language():
    torch.manual_seed(0)
    return Language().eval()


def examples(n=60, classes=3):
    y = torch.arange(n) % classes
    centres = 2 * random(classes, 8, seed=9)
    return centres[y] + 0.3 * random(n, 8), y


# --- the law -------------------------------------------------------------------------------------


@given(
    fit=st.lists(st.floats(-2, 0, width=32), min_size=1, max_size=6),
    data=st.data(),
    temperature=st.floats(0.05, 2),
    weight=st.floats(0, 0.99),
)
def test_votes_and_mixture_agree_with_loops(fit, data, temperature, weight):
    targets = data.draw(st.lists(st.integers(0, 3), min_size=len(fit), max_size=len(fit)))
    logits = data.draw(st.lists(st.floats(-5, 5, width=32), min_size=4, max_size=4))
    told = votes(torch.tensor([fit]).double(), torch.tensor([targets]), temperature, 4)
    np.testing.assert_allclose(told[0].numpy(), naive.votes(fit, targets, temperature, 4), atol=1e-9)
    log_model = F.log_softmax(torch.tensor([logits]).double(), -1)
    mixed = mixture(log_model, told, torch.tensor([weight], dtype=torch.float64))[0]
    np.testing.assert_allclose(mixed.numpy(), naive.mixture(logits, told[0].tolist(), weight), atol=1e-9)
    assert float(mixed.exp().sum()) == pytest.approx(1)


def test_the_gradient_of_the_mixture():
    memory = torch.tensor([[0.5, 0.5, 0], [0, 0, 1.0]]).double()
    logits = random(2, 3).double().requires_grad_()
    weight = torch.tensor([0.3, 0.6]).double()
    assert torch.autograd.gradcheck(lambda z: mixture(F.log_softmax(z, -1), memory, weight), (logits,))


def test_what_both_rule_out_has_no_chance_and_no_gradient():
    logits = random(2, 3).double()
    logits[0, 1] = -torch.inf
    logits.requires_grad_()
    memory, weight = torch.tensor([[1.0, 0, 0], [0, 0, 1]]).double(), torch.tensor([0.3, 0]).double()
    log_p = mixture(F.log_softmax(logits, -1), memory, weight)
    assert (log_p == -torch.inf).tolist() == [[False, True, False], [False] * 3]
    kept = log_p[log_p > -torch.inf].sum()
    assert torch.isfinite(torch.autograd.grad(kept, logits)[0]).all()


def test_however_cold_the_best_decides():
    fit, targets = torch.tensor([[0.9, 0.9, 0.8]]), torch.tensor([[0, 1, 1]])
    for temperature in (1e-45, torch.tensor(1e-6).half()):
        assert votes(fit, targets, temperature, 2).tolist() == [[0.5, 0.5]]


def test_calibration_finds_the_least_loss():
    generator = torch.Generator().manual_seed(0)
    model = torch.rand(400, generator=generator)
    fit = -torch.rand(400, 5, generator=generator).sort(-1).values
    right = torch.rand(400, 5, generator=generator) < 0.4
    found = calibrated(model.log(), fit, right, adaptive=False)
    memory = ((fit.double() / found.temperature).softmax(-1) * right).sum(-1).tolist()
    losses = [naive.loss(model.tolist(), memory, weight) for weight in np.linspace(0, 0.99, 100)]
    assert found.slope == 0
    assert found.after <= min(losses) + 1e-6
    assert found.after == pytest.approx(naive.loss(model.tolist(), memory, found.weight), abs=1e-5)
    assert found.before == pytest.approx(-float(model.double().log().mean()))


def test_calibration_trusts_what_is_familiar():
    fit = -torch.linspace(0, 1, 400)[:, None]
    right = fit > -0.5
    log_true = torch.full((400,), 0.3).log()
    found, one = calibrated(log_true, fit, right), calibrated(log_true, fit, right, adaptive=False)
    assert found.slope > 0
    assert found.after < 0.8 * one.after
    share = weight_of(found.slope * fit[:, 0] + found.offset)
    assert found.weight == pytest.approx(float(share.mean()), abs=1e-5)
    few = calibrated(log_true[::80], fit[::80], right[::80])
    assert 0 < few.slope < found.slope


# --- what is predicted ---------------------------------------------------------------------------


def test_an_empty_memory_leaves_the_prediction_as_it_was():
    model, x = classifier(), random(5, 8)
    torch.testing.assert_close(attach(model, "1")(x), F.log_softmax(model(x), -1))


@pytest.mark.parametrize("side", ["input", "output"])
def test_the_prediction_agrees_with_loops(side):
    model, (x, y), cues = classifier(), examples(), random(4, 8, seed=1)
    attached = attach(model, "2", side=side, k=5, weight=0.4, temperature=0.2)
    attached.store(x, y)
    keys = model[:2](cues) if side == "input" else model(cues)
    found = attached.memory.recall(keys.detach().numpy(), k=5, reinforce=False)
    for i, row in enumerate(attached(cues).tolist()):
        memory = naive.votes(found.fit[i].tolist(), found.payload[i], 0.2, 3)
        np.testing.assert_allclose(row, naive.mixture(model(cues)[i].tolist(), memory, 0.4), atol=1e-5)


def test_what_was_stored_is_predicted_without_training_until_it_is_forgotten():
    model, (x, y) = classifier(), examples()
    attached = attach(model, "1", weight=0.9)
    before = attached(x)
    ids = attached.store(x, y)
    assert len(ids) == len(attached.memory) == 60
    assert (attached(x).argmax(-1) == y).all()
    attached.memory.forget(ids)
    assert torch.equal(attached(x), before)


def test_classes_that_the_model_never_knew():
    x, y = examples(classes=5)
    attached = attach(classifier(3), "1", classes=5, weight=0.9)
    assert attached(x).shape == (60, 5)
    assert (attached(x)[:, 3:].exp() < 1e-5).all()
    attached.store(x, y)
    assert (attached(x).argmax(-1) == y).all()
    torch.testing.assert_close(attached(x).exp().sum(-1), torch.ones(60))


def test_sequences():
    model, x = language(), torch.randint(0, 11, (3, 6), generator=torch.Generator().manual_seed(0))
    y = x.roll(-1, 1)
    y[:, -1] = -100
    attached = attach(model, "gru", weight=0.9)
    assert len(attached.store(x, y)) == 15
    out = attached(x)
    assert out.shape == (3, 6, 11)
    assert (out.argmax(-1) == y)[:, :-1].all()
    alone = attached(x[:1, :4])
    torch.testing.assert_close(alone, out[:1, :4])


def test_calibrate_prefers_what_helps():
    model, (x, y) = classifier(), examples(400)
    attached = attach(model, "1", weight=0.0)
    attached.store(x[:200], y[:200])
    found = attached.calibrate([(x[200:300], y[200:300]), (x[300:], y[300:])])
    assert found.after < 0.2 < found.before
    assert found.n == 200
    assert F.nll_loss(attached(x[200:]), y[200:]).item() == pytest.approx(found.after, abs=1e-4)
    wrong = attach(model, "1", mossy.Memory())
    wrong.store(x[:200], (y[:200] + 1) % 3)
    assert wrong.calibrate([(x[200:], y[200:])], adaptive=False).weight < 0.3


def test_gradients_reach_the_model_through_its_own_part():
    model, (x, y) = classifier().double(), examples()
    attached = attach(model, "1", weight=0.4)
    attached.store(x.double(), y)
    weight = model[2].weight
    got = torch.autograd.grad(attached(x.double()).sum(), weight)[0]
    step = 1e-6 * random(3, 16, seed=4).double()
    with torch.no_grad():
        weight.add_(step)
        above = attached(x.double()).sum()
        weight.sub_(2 * step)
        below = attached(x.double()).sum()
    assert float(above - below) == pytest.approx(2 * float((got * step).sum()), rel=1e-4)


def test_the_gradient_of_classes_that_the_model_never_knew():
    attached = attach(classifier().double(), "1", classes=5)
    logits = random(2, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(attached.log_model, (logits,))
    more = torch.autograd.grad(attached.log_model(logits)[:, 3:].sum(), logits)[0]
    assert more.abs().max() < 1e-6


def test_a_model_that_rules_out_classes():
    class Masked(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = classifier()

        def forward(self, x):
            return self.body(x).masked_fill(torch.tensor([False, False, True]), -torch.inf)

    model, (x, y) = Masked().eval(), examples()
    x, y = x[y < 2], y[y < 2]
    attached = attach(model, "body.1", weight=0.5)
    attached.store(x[:10], y[:10])
    loss = F.nll_loss(attached(x), y)
    loss.backward()
    assert all(torch.isfinite(one.grad).all() for one in model.parameters())
    assert math.isfinite(attached.calibrate([(x, y)]).after)
    assert math.isfinite(distill(attached, [x], epochs=2).divergence[-1])


def test_predicting_reinforces_only_if_it_is_asked_to_and_nothing_else_does():
    model, (x, y) = classifier(), examples(6)
    for reinforce in (False, True):
        attached = attach(model, "1", mossy.Memory(clock=mossy.Steps()), reinforce=reinforce)
        ids = attached.store(x, y)
        before = attached.memory.strength(ids)
        attached.calibrate([(x, y)])
        attached.recalled(x)
        distill(attached, [x], test=[(x, y)], epochs=1)
        torch.testing.assert_close(attached.without_trace(x), attached.mixed(model(x), attached.recalled(x)))
        assert (attached.memory.strength(ids) <= before).all()
        attached(x)
        assert (attached.memory.strength(ids).sum(-1) > before.sum(-1)).any() == reinforce


def test_a_durable_memory(tmp_path):
    model, (x, y) = classifier(), examples(12)
    with mossy.open(tmp_path / "life.mossy") as memory:
        attach(model, "1", memory, weight=0.9).store(x, y)
    with mossy.open(tmp_path / "life.mossy") as memory:
        again = attach(model, "1", memory, weight=0.9)
        assert (again(x).argmax(-1) == y).all()


# --- as any module -------------------------------------------------------------------------------


@pytest.mark.parametrize("side", ["input", "output"])
def test_the_cue_is_heard_before_a_model_writes_over_it(side):
    torch.manual_seed(0)
    model, x = nn.Sequential(nn.Linear(8, 16), nn.ReLU(inplace=True), nn.Linear(16, 3)).eval(), random(5, 8)
    attached = attach(model, "0" if side == "output" else "1", side=side)
    assert torch.equal(attached.run(x)[1], model[0](x))
    assert not attached.copy_of_model()[1]._forward_pre_hooks


def test_models_of_two_inputs_from_a_loader():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = classifier()

        def forward(self, a, b):
            return self.body(a + b)

    x, y = examples(12)
    loader = torch.utils.data.DataLoader([((a, a / 2), int(b)) for a, b in zip(x, y, strict=True)], batch_size=4)
    attached = attach(Two().eval(), "body.1", weight=0.9)
    for both, labels in loader:
        attached.store(both, labels)
    assert attached.calibrate(loader).n == 12
    assert distill(attached, loader, test=loader, epochs=1).after.n == 12


def test_in_inference_mode():
    model, (x, y) = classifier(), examples()
    attached = attach(model, "1", weight=0.0)
    with torch.inference_mode():
        attached.store(x[:30], y[:30])
        assert attached.calibrate([(x[30:].clone(), y[30:].clone())]).weight > 0.5
    attached(x).sum().backward()
    attached.calibrate([(x[30:], y[30:])])


def test_a_part_in_training_mode_is_seen():
    model = nn.Sequential(nn.Linear(8, 16), nn.Dropout(), nn.Linear(16, 3)).eval()
    model[1].train()
    attached, x, y = attach(model, "1"), random(2, 8), torch.tensor([0, 1])
    for call in (lambda: attached.store(x, y), lambda: distill(attached, [x])):
        with pytest.raises(InvalidInput, match=r"a part of the .* is in training mode"):
            call()


def test_detached_the_model_is_as_it_was():
    model = classifier()
    attached = attach(model, model[1])
    assert attached.layer == "1"
    assert attached.detach() is model
    assert not model[1]._forward_hooks
    with pytest.raises(InvalidInput, match="attach the model again"):
        attached(random(2, 8))
    attach(model, "1")(random(2, 8))


def test_copies_are_apart():
    model, (x, y) = classifier(), examples()
    attached = attach(model, "1")
    attached.store(x[:30], y[:30])
    other = copy.deepcopy(attached)
    assert torch.equal(other(x), attached(x))
    other.store(x[30:], y[30:])
    assert (len(other.memory), len(attached.memory)) == (60, 30)
    bare = attached.copy_of_model()
    assert not bare[1]._forward_hooks
    assert torch.equal(bare(x), model(x))


def test_a_state_dict_carries_what_was_calibrated():
    model, (x, y) = classifier(), examples(400)
    attached = attach(model, "1")
    attached.store(x, y)
    attached.calibrate([(x + 0.1, y)])
    other = attach(classifier(), "1", attached.memory)
    other.load_state_dict(attached.state_dict())
    assert torch.equal(other(x), attached(x))


def test_a_model_that_was_compiled_before_says_so():
    compiled = torch.compile(classifier(), backend="eager")
    compiled(random(2, 8))
    with pytest.raises(InvalidInput, match="attach first"):
        attach(compiled, "_orig_mod.1")(random(2, 8))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_kind_of_float(dtype):
    model, (x, y) = classifier().to(dtype), examples()
    attached = attach(model, "1", weight=0.9)
    attached.store(x.to(dtype), y)
    out = attached(x.to(dtype))
    assert out.dtype == dtype
    assert torch.isfinite(out).all()
    assert (out.argmax(-1) == y).all()


def test_compiled_and_under_autocast_it_answers_the_same():
    model, (x, y) = classifier(), examples(6)
    attached = attach(model, "1", weight=0.9)
    attached.store(x, y)
    torch.testing.assert_close(torch.compile(attached, backend="eager")(x), attached(x))
    with torch.autocast("cpu", torch.bfloat16):
        assert (attached(x).argmax(-1) == y).all()


def test_threads_predict_at_once():
    model, (x, y) = classifier(), examples()
    attached = attach(model, "1")
    attached.store(x, y)
    expected, found = attached(x), {}

    def work(number):
        for _ in range(3):
            found[number] = attached(x[number::4])

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        torch.testing.assert_close(found[number], expected[number::4])


def test_what_a_model_returns_may_be_anything():
    class Wrapped(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(1, 4, 3)

        def forward(self, *, image, scale=1.0):
            return {"logits": scale * self.conv(image).flatten(1)[:, :3]}

    attached = attach(Wrapped(), "conv", key=lambda a: a.mean((2, 3)), logits=lambda out: out["logits"])
    assert attached(image=random(2, 1, 5, 5), scale=2.0).shape == (2, 3)
    assert attached(image=random(0, 1, 5, 5)).shape == (0, 3)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: attach(len, "1"), InvalidDtype, "Module"),
        (lambda m: attach(m, "1", {}), InvalidDtype, r"mossy\.Memory"),
        (lambda m: attach(m, "nine"), UnknownName, "'0', '1', '2'"),
        (lambda m: attach(m, nn.ReLU()), InvalidParameter, "no part"),
        (lambda m: attach(nn.Linear(8, 4), "weight"), InvalidParameter, "Sequential"),
        (lambda m: attach(m, "1", k=0), InvalidParameter, "k"),
        (lambda m: attach(m, "1", weight=1.0), InvalidParameter, "0.99"),
        (lambda m: attach(m, "1", temperature=0), InvalidParameter, "temperature"),
        (lambda m: attach(m, "1", side="left"), UnknownName, "input"),
        (lambda m: attach(m, "1", key=5), InvalidDtype, "key: int"),
        (lambda m: attach(m, "1", logits="x"), InvalidDtype, "logits: str"),
        (lambda m: attach(m, "1", classes=2)(random(1, 8)), InvalidParameter, "3 outputs"),
        (lambda m: attach(m, "1", logits=lambda out: out[0])(random(1, 8)), InvalidShape, r"\(\.\.\., classes\)"),
        (lambda m: attach(m, "1", logits=lambda out: [out])(random(1, 8)), InvalidDtype, "returns"),
        (lambda m: attach(m, "1", key=lambda a: a[:1])(random(2, 8)), InvalidShape, "first axes"),
        (lambda m: attach(m, "1").store(random(2, 8), torch.ones(2)), InvalidDtype, "integers"),
        (lambda m: attach(m, "1").store(random(2, 8), [0, 1]), InvalidDtype, "list"),
        (lambda m: attach(m, "1").store(random(2, 8), torch.tensor([0])), InvalidShape, r"\(2,\)"),
        (lambda m: attach(m, "1").store(random(1, 8), torch.tensor([3])), InvalidParameter, "classes="),
        (lambda m: attach(m.train(), "1").store(random(1, 8), torch.tensor([0])), InvalidInput, "eval"),
        (lambda m: attach(m, "1").store(random(1, 8) / 0, torch.tensor([0])), InvalidInput, "nan"),
        (lambda m: attach(m, "1").calibrate([]), InvalidInput, "empty"),
    ],
)
def test_what_cannot_be_used_is_named(call, error, says):
    with pytest.raises(error, match=says):
        call(classifier())


def test_a_memory_of_something_else():
    x = random(2, 8)
    memory = mossy.Memory()
    memory.store(np.eye(16), payload=list("abcdefghijklmnop"))
    with pytest.raises(InvalidDtype, match="no integers"):
        attach(classifier(), "1", memory)(x)
    memory = mossy.Memory()
    memory.store(np.eye(5), payload=range(5))
    with pytest.raises(InvalidShape):
        attach(classifier(), "1", memory)(x)
    memory = mossy.Memory()
    memory.store(np.eye(16), payload=range(16))
    with pytest.raises(InvalidParameter, match="0 to 2"):
        attach(classifier(), "1", memory)(x)


def test_calibrating_on_nothing():
    attached = attach(classifier(), "1")
    assert len(attached.store(random(2, 8), torch.tensor([-100, -100]))) == 0
    attached.store(random(2, 8), torch.tensor([0, -100]))
    with pytest.raises(InvalidInput, match="no example"):
        attached.calibrate([])
    with pytest.raises(InvalidInput, match=r"batches \(x, y\)"):
        attached.calibrate(random(2, 8))


def test_calibrating_a_model_that_answers_nan_changes_nothing():
    model, (x, y) = classifier(), examples()
    attached = attach(model, "1", logits=lambda out: out / 0 * 0)
    attached.store(x, y)
    with pytest.raises(NotFinite, match="NaN"):
        attached.calibrate([(x, y)])
    assert float(attached.slope) == 0

from __future__ import annotations

import copy
import io

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import nn_long_term as naive
from torch._dynamo.testing import CompileCounterWithBackend
from torch.nn import functional as F

import mossy
from mossy.errors import (
    EmptyMemory,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    UnknownMemory,
)
from mossy.nn.long_term import LongTermMemory
from mossy.nn.long_term.product_keys import _order, bag, best_sums

FLOATS = (torch.float32, torch.float64, torch.bfloat16, torch.float16)


def random(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def layer_of(d=6, slots=25, dtype=torch.float64, **settings):
    torch.manual_seed(0)
    settings = {"heads": 2, "top_k": 4, "d_key": 3, "d_value": 5, "room": 8} | settings
    layer = LongTermMemory(d, slots, **settings).to(dtype)
    torch.nn.init.normal_(layer.values)
    torch.nn.init.normal_(layer.norm.bias)
    return layer


def arrays(layer):
    names = ("query.weight", "norm.weight", "norm.bias", "sub_keys", "values")
    return [layer.state_dict()[name].double().numpy() for name in names]


# --- the search ----------------------------------------------------------------------------------


@settings(max_examples=40)
@given(n=st.integers(1, 9), data=st.data())
def test_the_best_sums_are_the_best_of_all(n, data):
    k = data.draw(st.integers(1, n * n))
    terms = torch.tensor(
        data.draw(st.lists(st.floats(-4, 4, width=32), min_size=2 * n, max_size=2 * n)), dtype=torch.float64
    ).view(2, n)
    i, j = best_sums(terms, k)
    found = (terms[0, i] + terms[1, j]).tolist()
    np.testing.assert_allclose(found, [score for score, _, _ in naive.best_sums(*terms.numpy(), k)])
    assert len({(a, b) for a, b in zip(i.tolist(), j.tolist(), strict=True)}) == k


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n", [7, 70_000])
def test_a_bag_and_its_gradient_are_those_of_torch(dtype, n):
    slots = torch.randint(0, n, (5, 4), generator=torch.Generator().manual_seed(0))
    grad = random(5, 3, seed=1, dtype=dtype)
    results = []
    for way in (bag, lambda s, w, v: F.embedding_bag(s, v, per_sample_weights=w, mode="sum")):
        weights, values = (one.requires_grad_() for one in (random(5, 4, dtype=dtype), random(n, 3, dtype=dtype)))
        out = way(slots, weights, values)
        results.append([out, *torch.autograd.grad(out, (weights, values), grad)])
    for mine, theirs in zip(*results, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_slots_are_sorted_digit_by_digit():
    slots = np.random.default_rng(0).integers(0, 200_000, 1000)
    assert (_order(slots, 200_000) == np.argsort(slots, kind="stable")).all()


# --- what the layer answers ----------------------------------------------------------------------


def test_what_is_learned_agrees_with_loops():
    layer, x = layer_of(), random(3, 4, 6, dtype=torch.float64)
    expected = [naive.learned(one, *arrays(layer), layer.top_k) for one in x.view(-1, 6).numpy()]
    np.testing.assert_allclose(layer(x).detach().view(-1, 5).numpy(), expected, atol=1e-9)
    np.testing.assert_allclose(layer(x[0, 0]).detach().numpy(), expected[0], atol=1e-9)


def test_what_is_written_competes_with_what_is_learned():
    layer, x = layer_of(sharpness=6.0, familiar=0.5), random(5, 6, dtype=torch.float64)
    keys, contents = random(3, 6, seed=1, dtype=torch.float64), random(3, 5, seed=2, dtype=torch.float64)
    layer.store(keys, contents)
    for one, answer in zip(x.numpy(), layer(x).detach().numpy(), strict=True):
        known = naive.learned(one, *arrays(layer), layer.top_k)
        np.testing.assert_allclose(
            answer, naive.with_written(one, known, keys.numpy(), contents.numpy(), 6.0, 0.5), atol=1e-9
        )


def test_what_is_written_is_ranked_as_a_memory_ranks_it():
    x, values = random(6, 8).float(), random(6, 4, seed=1).float()
    layer = LongTermMemory(8, 4, top_k=2, d_value=4, room=6, sharpness=30.0)
    layer.store(x, values)
    cues = x + 0.1 * random(6, 8, seed=2)
    memory = layer.to_memory(delta=0.0)
    found, told = layer.recall(cues, 3, reinforce=False), memory.recall(cues.numpy(), k=3, reinforce=False)
    assert (found.places.numpy() == told.ids).all()


def test_an_untrained_layer_answers_with_what_is_written_and_else_with_nothing():
    layer = LongTermMemory(64, 16, top_k=2)
    x, y = random(4, 64), random(4, 64, seed=1)
    assert not layer(x).any()
    layer.store(x, y)
    assert torch.allclose(layer(x), y, atol=1e-2)
    assert torch.equal(layer.recall(x).values[:, 0], y)
    assert layer(-x).abs().max() < 1e-6


@settings(max_examples=15)
@given(n=st.integers(1, 30), seed=st.integers(0, 99))
def test_every_stored_pair_is_found_again_to_the_bit(n, seed):
    layer = LongTermMemory(12, 4, top_k=2, d_value=3, room=30)
    keys, values = random(n, 12, seed=seed), random(n, 3, seed=seed + 1)
    places = layer.store(keys, values)
    found = layer.recall(keys)
    assert torch.equal(found.places[:, 0], places)
    assert torch.equal(found.values[:, 0], values)
    assert found.familiar.all()


# --- gradients -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 3])
def test_gradients(written):
    layer = layer_of(sharpness=2.0, familiar=0.2)
    if written:
        layer.store(random(written, 6, seed=1, dtype=torch.float64), random(written, 5, seed=2, dtype=torch.float64))
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    x = random(3, 6, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))


def test_only_what_was_chosen_gets_a_gradient():
    layer, x = layer_of(slots=400), random(2, 6, dtype=torch.float64)
    layer(x).sum().backward()
    chosen = torch.zeros(400, dtype=torch.bool)
    chosen[layer.addressed(x).flatten()] = True
    assert torch.equal(layer.values.grad.abs().sum(1) > 0, chosen)


def test_it_learns():
    torch.manual_seed(0)
    layer, x, y = LongTermMemory(16, 256, heads=2, top_k=8), random(64, 16), random(64, 16, seed=1)
    optimizer = torch.optim.Adam(layer.parameters(), 0.02)
    for _ in range(60):
        optimizer.zero_grad()
        loss = F.mse_loss(layer(x), y)
        loss.backward()
        optimizer.step()
    assert loss < 0.1


def test_training_does_not_touch_what_is_written():
    layer, x, y = LongTermMemory(8, 16, top_k=2), random(3, 8), random(3, 8, seed=1)
    layer.store(x, y)
    optimizer = torch.optim.AdamW(layer.parameters(), 0.1, weight_decay=0.5)
    for _ in range(3):
        layer(random(5, 8, seed=2)).square().sum().backward()
        optimizer.step()
    assert torch.equal(layer.recall(x).values[:, 0], y)


def test_a_store_between_forward_and_backward_leaves_the_gradient_as_it_was():
    layer, other = layer_of(sharpness=2.0), random(2, 6, seed=3, dtype=torch.float64)
    layer.store(other, random(2, 5, seed=4, dtype=torch.float64))
    x = random(3, 6, dtype=torch.float64).requires_grad_()
    expected = torch.autograd.grad(layer(x).sum(), x)[0]
    out = layer(x).sum()
    layer.store(other + 1, random(2, 5, seed=5, dtype=torch.float64))
    assert torch.equal(torch.autograd.grad(out, x)[0], expected)


# --- strength and forgetting ---------------------------------------------------------------------


def test_the_weakest_leaves_when_the_room_is_full():
    layer = LongTermMemory(4, 4, top_k=2, room=3)
    keys = torch.eye(4)
    layer.store(keys[:3], keys[:3])
    layer.recall(keys[0])
    assert int(layer.store(keys[3], keys[3])) == 1
    assert len(layer) == 3
    assert layer.recall(keys[3]).familiar
    assert not layer.recall(keys[1]).familiar
    assert layer.uses.tolist() == [1, 1, 0]


def test_strength_is_a_linear_law_of_one_mode():
    layer = LongTermMemory(2, 4, top_k=2, room=4, fading=10.0)
    layer.store(torch.ones(2), torch.ones(2), 2.0)
    layer.store(torch.tensor([1.0, 0]), torch.ones(2))
    layer.reinforce([0], 0.5)
    layer.store(torch.tensor([0, 1.0]), torch.ones(2))
    expected = ((2 * np.exp(-1 / 10) + 0.5) * np.exp(-1 / 10), np.exp(-1 / 10), 1, 0)
    np.testing.assert_allclose(layer.strength().numpy(), expected, rtol=1e-5)


def test_recall_without_reinforcement_leaves_no_trace():
    layer = LongTermMemory(4, 4, top_k=2)
    layer.store(torch.eye(4), torch.eye(4))
    before = copy.deepcopy(layer.state_dict())
    layer.recall(torch.eye(4), reinforce=False)
    layer(torch.eye(4))
    assert all(torch.equal(before[name], now) for name, now in layer.state_dict().items())


def bytes_of(layer):
    stream = io.BytesIO()
    torch.save(layer.state_dict(), stream)
    return stream.getvalue()


def test_no_byte_is_left_of_what_was_forgotten():
    layer, secret = LongTermMemory(8, 16, top_k=2), random(2, 8, seed=5)
    places = layer.store(secret, secret * 3)
    told = [row.numpy().tobytes() for row in (*secret, *(secret * 3))]
    assert all(one in bytes_of(layer) for one in told)
    layer.forget(places[:1])
    assert [one in bytes_of(layer) for one in told] == [False, True, False, True]
    layer.forget(int(places[1]))
    assert len(layer) == 0
    assert not any(one in bytes_of(layer) for one in told)
    for held in (layer.keys, layer.contents, layer.times, layer.uses, layer.strength()):
        assert not held.any()


def test_learned_slots_are_emptied_in_the_optimizer_too():
    layer, x = layer_of(), random(2, 6, dtype=torch.float64)
    optimizer = torch.optim.Adam(layer.parameters(), 0.1)
    layer(x).sum().backward()
    optimizer.step()
    slots = layer.addressed(x).flatten()
    layer.forget_learned(slots, optimizer)
    kept = optimizer.state[layer.values]
    for held in (layer.values, layer.values.grad, kept["exp_avg"], kept["exp_avg_sq"]):
        assert not held[slots].any()
    assert not layer(x).any()


# --- to and from a Memory ------------------------------------------------------------------------


def test_contents_move_to_a_memory_and_back_with_their_strengths():
    layer = LongTermMemory(6, 4, top_k=2, d_value=3, room=5)
    keys, values = random(5, 6), random(5, 3, seed=1)
    amounts = torch.tensor([0.25, 1.0, 2.0, 4.0, 8.0])
    layer.store(keys, values, amounts)
    memory = layer.to_memory(clock=mossy.Steps())
    torch.testing.assert_close(layer.strength(), amounts)
    np.testing.assert_allclose(memory.strength(memory.ids).sum(-1), amounts.numpy(), rtol=1e-5)
    other = LongTermMemory(6, 4, top_k=2, d_value=3, room=5)
    places = other.from_memory(memory)
    assert torch.equal(other.keys[places], keys)
    assert torch.equal(other.contents[places], values)
    torch.testing.assert_close(other.strength(), amounts)


def test_a_memory_without_values_answers_with_its_keys():
    memory = mossy.Memory()
    memory.store(np.eye(4), payload=list("abcd"))
    layer = LongTermMemory(4, 4, top_k=2)
    layer.from_memory(memory)
    assert torch.equal(layer.recall(torch.eye(4)).values[:, 0], torch.eye(4))
    assert len(LongTermMemory(4, 4, top_k=2).from_memory(mossy.Memory())) == 0
    assert len(LongTermMemory(4, 4, top_k=2).to_memory()) == 0
    with pytest.raises(InvalidShape, match="room for 2"):
        LongTermMemory(4, 4, top_k=2, room=2).from_memory(memory)
    with pytest.raises(InvalidShape, match="d_value=3"):
        LongTermMemory(4, 4, top_k=2, d_value=3).from_memory(memory)
    with pytest.raises(InvalidDtype, match=r"mossy\.Memory is allowed"):
        layer.from_memory({})


# --- as any layer --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_every_kind_of_float(dtype):
    layer, x = LongTermMemory(8, 16, top_k=2, dtype=dtype), random(3, 8, dtype=dtype)
    torch.nn.init.normal_(layer.values)
    layer.store(x, -x)
    out = layer(x)
    out.float().sum().backward()
    assert out.dtype == dtype
    torch.testing.assert_close(out, -x, atol=3e-2, rtol=3e-2)
    assert torch.isfinite(layer.values.grad).all()


def test_half_precision_does_not_overflow():
    layer, x = LongTermMemory(64, 16, top_k=2, dtype=torch.float16), torch.full((1, 64), 3e4, dtype=torch.float16)
    layer.store(x, torch.ones_like(x))
    torch.testing.assert_close(layer(x), torch.ones_like(x), atol=1e-2, rtol=0)


def test_autocast():
    layer, x = LongTermMemory(8, 16, top_k=2), random(3, 8)
    layer.store(x, -x)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x.bfloat16())
    torch.testing.assert_close(out.float(), -x, atol=3e-2, rtol=3e-2)


def test_copies_and_state_dicts_are_the_layer_again():
    layer, x = layer_of(dtype=torch.float32), random(3, 6)
    layer.store(x, random(3, 5, seed=1))
    for other in (copy.deepcopy(layer), LongTermMemory(6, 25, heads=2, top_k=4, d_key=3, d_value=5, room=8)):
        other.load_state_dict(layer.state_dict())
        assert len(other) == 3
        assert torch.equal(other(x), layer(x))
        other.forget([0])
        assert len(layer) == 3


def test_compiled_it_answers_the_same():
    layer, x = layer_of(dtype=torch.float32), random(3, 6)
    counter = CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(layer, backend=counter, fullgraph=True)
    for n in (0, 2):
        if n:
            layer.store(x[:n], random(n, 5, seed=1))
        torch.testing.assert_close(compiled(x), layer(x))
        layer.zero_grad()
        compiled(x).sum().backward()
        mine = layer.values.grad
        layer.zero_grad()
        layer(x).sum().backward()
        torch.testing.assert_close(mine, layer.values.grad)
    assert counter.frame_count == 1  # one program, whatever is written


def test_buffers_move_with_the_layer():
    layer = LongTermMemory(8, 16, top_k=2, device="meta")
    assert layer(torch.empty(3, 8, device="meta")).shape == (3, 8)
    assert "written=?/1024" in repr(layer)
    layer.to_empty(device="cpu").reset_parameters()
    assert not layer(random(3, 8)).any()


def test_nothing_in_nothing_out():
    layer = layer_of()
    assert layer(torch.empty(0, 6, dtype=torch.float64)).shape == (0, 5)


# --- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"slots": 10, "top_k": 3}, InvalidParameter, "such as 9 or 16"),
        ({"slots": 4, "top_k": 5}, InvalidParameter, "top_k"),
        ({"heads": 0}, InvalidParameter, "heads"),
        ({"familiar": 2}, InvalidParameter, "familiar"),
        ({"sharpness": 0}, InvalidParameter, "sharpness"),
        ({"room": 0}, InvalidParameter, "room"),
        ({"fading": -1}, InvalidParameter, "fading"),
    ],
)
def test_sizes_that_cannot_be(given, error, says):
    with pytest.raises(error, match=says):
        LongTermMemory(8, **given)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda m: m(torch.ones(2, 5)), InvalidShape, r"\(\.\.\., 4\)"),
        (lambda m: m(torch.tensor(1.0)), InvalidShape, r"shape \(\)"),
        (lambda m: m(torch.ones(2, 4, dtype=torch.long)), InvalidDtype, "floats"),
        (lambda m: m(torch.ones(2, 4).double()), InvalidDtype, "float64"),
        (lambda m: m(np.ones((2, 4))), InvalidDtype, "ndarray"),
        (lambda m: m(torch.ones(2, 4, device="meta")), InvalidInput, "meta"),
        (lambda m: m.recall(torch.ones(4)), EmptyMemory, "store something"),
        (lambda m: m.store(torch.ones(2, 4), torch.ones(3, 4)), InvalidShape, "one value"),
        (lambda m: m.store(torch.ones(1, 2, 4), torch.ones(1, 2, 4)), InvalidShape, r"\(n, 4\)"),
        (lambda m: m.store(torch.ones(4) / 0, torch.ones(4)), NotFinite, "keys"),
        (lambda m: m.store(torch.zeros(4), torch.ones(4)), InvalidInput, "length 0"),
        (lambda m: m.store(torch.full((4,), 3e19), torch.ones(4)), InvalidInput, "length inf"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), "x"), InvalidDtype, "strength: 'x'"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), None), InvalidDtype, "strength: None"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), True), InvalidDtype, "bool"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), 1j), InvalidDtype, "complex"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), float("inf")), InvalidParameter, "above 0"),
        (lambda m: m.store(torch.ones(4), torch.ones(4), 0.0), InvalidParameter, "above 0"),
        (lambda m: m.store(torch.ones(9, 4), torch.ones(9, 4)), InvalidShape, "room for 8"),
        (lambda m: m.store(torch.ones(2, 4), torch.ones(2, 4), torch.ones(3)), InvalidShape, "strength"),
        (lambda m: m.forget(0), UnknownMemory, "at 0"),
        (lambda m: m.forget([99]), UnknownMemory, "at 99"),
        (lambda m: m.forget([0.5]), InvalidDtype, "integers"),
        (lambda m: m.forget("x"), InvalidDtype, "integers"),
        (lambda m: m.forget(None), InvalidDtype, "places: None"),
        (lambda m: m.forget([[0], [1, 2]]), InvalidDtype, "integers"),
        (lambda m: m.forget(10**30), InvalidDtype, "integers"),
        (lambda m: m.reinforce([-1]), UnknownMemory, "at -1"),
        (lambda m: m.forget_learned([4]), InvalidParameter, "0 to 3"),
        (lambda m: m.forget_learned(0, "x"), InvalidDtype, "Optimizer"),
        (lambda m: m.forget_learned(0, torch.optim.SGD([torch.ones(1)])), InvalidParameter, "does not train"),
    ],
)
def test_what_cannot_be_used_is_named(call, error, says):
    layer = LongTermMemory(4, 4, top_k=2, room=8)
    with pytest.raises(error, match=says):
        call(layer)
    assert len(layer) == 0


def test_more_than_is_written_cannot_be_recalled():
    layer = LongTermMemory(4, 4, top_k=2)
    layer.store(torch.eye(4), torch.eye(4))
    layer.forget([])
    with pytest.raises(InvalidParameter, match="from 1 to 4"):
        layer.recall(torch.eye(4), 5)

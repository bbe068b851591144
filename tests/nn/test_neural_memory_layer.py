from __future__ import annotations

import copy
import io
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from mossy.errors import (
    EmptyBatch,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    UnknownName,
)
from mossy.nn.neural_memory import NeuralMemory, NeuralMemoryState


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def made(d=8, seed=0, **choices):
    torch.manual_seed(seed)
    return NeuralMemory(d, **choices)


def finite(state):
    return all(part.isfinite().all() for parts in state[:5] for part in parts)


# --- long streams --------------------------------------------------------------------------------
@pytest.mark.parametrize("depth", [1, 2])
def test_a_hundred_thousand_tokens(depth):
    model = made(4, depth=depth, chunk=512)
    state, most = None, 0
    with torch.no_grad():
        for i in range(10):
            y, state = model(normal(1, 10_000, 4, seed=i), state)
            most = max(most, state.nbytes)
    assert y.isfinite().all()
    assert finite(state)
    assert most <= model.begin(1).nbytes * 2 + 4 * 512 * (4 + 4 + 2 * 16 + 8)  # weights twice, and a chunk of tokens


@pytest.mark.parametrize("gradients", ["token", "chunk"])
@pytest.mark.parametrize("depth", [1, 2])
def test_whatever_comes_the_norm_is_bounded(depth, gradients):
    model = made(8, depth=depth, chunk=64, gradients=gradients, momentum=0.9)
    with torch.no_grad():
        model.gate.bias.copy_(torch.tensor([20.0, 20.0, -20.0]))  # learns and moves on fully, forgets least
        x = torch.cat((torch.ones(1, 2000, 8), 1e4 * normal(1, 2000, 8), torch.zeros(1, 100, 8)), 1)
        start = [torch.zeros_like(w) if i == depth - 1 else model.start[i] for i, w in enumerate(model.begin(1).memory)]
        _, state = model(x)
    assert finite(state)
    bound = 64 * model.rate * model.clip * 8**0.5 / ((1 - model.momentum) * 1e-4)
    for w, w0 in zip(state.memory, start, strict=True):
        assert (w - w0).norm() < bound


@pytest.mark.parametrize("bias", [0.0, 20.0])
@pytest.mark.parametrize("depth", [1, 2])
def test_the_bound_is_near_what_can_happen(depth, bias):
    model = made(8, depth=depth, chunk=1, momentum=0.0, clip=0.5, convolution=1, normalize=False)
    with torch.no_grad():
        model.gate.bias.copy_(torch.tensor([20.0, 0.0, bias]))
        _, state = model(1e4 * normal(1, 1, 8).expand(1, 60, 8))  # one value out of reach, so the same step each time
    forget = 1e-4 + (1 - 1e-4) * torch.sigmoid(torch.tensor(bias)).item()
    bound = model.rate * model.clip * 8**0.5 / forget
    norms = [(w - w0).norm() for w, w0 in zip(state.memory, model.begin(1).memory, strict=True)]
    assert max(norms) <= bound * (1 + 1e-5)
    assert norms[-1] > 0.7 * bound


def test_memory_does_not_grow_with_the_stream():
    model = made(8, chunk=4)
    _, state = model(normal(1, 1000, 8))
    assert state.inputs[0].untyped_storage().nbytes() <= 4 * 8 * 4


# --- dtypes and devices --------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("depth", [1, 2])
def test_half_precision(depth, dtype):
    model = made(16, depth=depth, chunk=8)
    x = normal(2, 20, 16)
    exact, _ = model(x)
    half = copy.deepcopy(model).to(dtype)
    y, state = half(x.to(dtype))
    assert y.dtype == dtype
    assert all(part.dtype == torch.float32 for parts in state[:5] for part in parts)
    torch.testing.assert_close(y.float(), exact, rtol=0.1, atol=0.05)
    y, _ = half((1e4 * x).to(dtype), state)  # squares would overflow in half precision
    assert y.isfinite().all()
    y.float().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in half.parameters())


def test_autocast():
    model = made(16, heads=2, chunk=8)
    x = normal(2, 20, 16)
    exact, _ = model(x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, state = model(x)
        again, _ = model(x[:, :1], state)
    assert y.dtype == torch.float32
    assert again.isfinite().all()
    assert state.memory[0].dtype == torch.float32
    torch.testing.assert_close(y, exact, rtol=0.1, atol=0.05)
    y.sum().backward()
    assert model.project.weight.grad.isfinite().all()


@pytest.mark.parametrize("chunk", [1, 2, 8])
@pytest.mark.parametrize("depth", [1, 2])
def test_backward_under_autocast(depth, chunk):
    model = made(8, depth=depth, chunk=chunk)
    x = normal(2, 10, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        model(x)[0].sum().backward()
    inside = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y, _ = model(x)
    y.sum().backward()
    for a, p in zip(inside, model.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("depth", [1, 2])
def test_meta_device_and_moves(depth):
    model = NeuralMemory(8, depth=depth, heads=2, device="meta")
    assert all(p.is_meta for p in model.parameters())
    y, state = model(torch.empty(2, 3, 8, device="meta"))
    assert y.shape == (2, 3, 8)
    assert state.memory[0].is_meta
    model.to_empty(device="cpu")
    for p in model.parameters():
        p.data.fill_(torch.nan)
    torch.manual_seed(0)
    model.reset_parameters()
    for mine, theirs in zip(model.parameters(), made(depth=depth, heads=2).parameters(), strict=True):
        assert torch.equal(mine, theirs)
    state = made().begin(2)
    assert state.to("cpu").memory[0].device.type == "cpu"
    assert made().double()(normal(1, 3, 8, dtype=torch.float64))[0].dtype == torch.float64


# --- as a module ---------------------------------------------------------------------------------
@pytest.mark.parametrize("choices", [{}, {"depth": 1, "convolution": 1, "normalize": False}, {"heads": 2, "d_head": 3}])
def test_state_dict_and_deepcopy(choices):
    model = made(**choices)
    other = made(seed=1, **choices)
    file = io.BytesIO()
    torch.save(model.state_dict(), file)
    file.seek(0)
    other.load_state_dict(torch.load(file, weights_only=True))
    x = normal(2, 5, 8)
    torch.testing.assert_close(other(x)[0], model(x)[0], rtol=0, atol=0)
    torch.testing.assert_close(copy.deepcopy(model)(x)[0], model(x)[0], rtol=0, atol=0)


@pytest.mark.parametrize("nonlinearity", ["gelu", "relu", "silu", "tanh"])
def test_pickled_whole(nonlinearity):
    model = made(nonlinearity=nonlinearity)
    file = io.BytesIO()
    torch.save(model, file)
    file.seek(0)
    x = normal(2, 5, 8)
    assert torch.equal(torch.load(file, weights_only=False)(x)[0], model(x)[0])


def test_compiled():
    torch._dynamo.reset()
    model = made(chunk=4, heads=2)
    compiled = torch.compile(model, backend="eager")
    x = normal(2, 9, 8)
    y, state = compiled(x)
    expected, after = model(x)
    torch.testing.assert_close(y, expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(compiled(x[:, :3], state)[0], model(x[:, :3], after)[0], rtol=1e-5, atol=1e-5)
    y.sum().backward()
    mine = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    expected.sum().backward()
    for a, p in zip(mine, model.parameters(), strict=True):
        torch.testing.assert_close(a, p.grad, rtol=1e-4, atol=1e-5)


def test_from_several_threads():
    model = made(chunk=4)
    batches = [normal(2, 17, 8, seed=i) for i in range(8)]
    with torch.no_grad():
        alone = [model(x)[0] for x in batches]

    def use(x):
        with torch.no_grad():
            return model(x)[0]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(use, batches))
    for a, b in zip(together, alone, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)


def test_gradients_flow_through_the_state_until_it_is_detached():
    model = made(chunk=4)
    first, second = normal(1, 6, 8).requires_grad_(), normal(1, 6, 8)
    _, state = model(first)
    model(second, state)[0].sum().backward()
    assert first.grad is not None
    first.grad = None
    _, state = model(first)
    model(second, state.detach())[0].sum().backward()
    assert first.grad is None


def test_a_second_derivative_is_refused():
    model = made(chunk=4)
    x = normal(1, 6, 8).requires_grad_()
    with pytest.raises(InvalidInput, match="create_graph"):
        torch.autograd.grad(model(x)[0].sum(), x, create_graph=True)


def test_a_call_changes_no_state_that_it_was_given():
    model = made(chunk=3)
    for s in (1, 2, 3, 4):
        _, state = model(normal(1, s, 8))
        before = [part.clone() for parts in state[:5] for part in parts]
        with torch.no_grad():
            model(normal(1, 5, 8), state)
        for a, b in zip(before, (part for parts in state[:5] for part in parts), strict=True):
            assert torch.equal(a, b)


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("b", [1, 2])
def test_a_state_owns_its_numbers(b, heads):
    model = made(chunk=8, heads=heads)
    x = normal(b, 3, 8)
    start = model.start[0].detach().clone()
    with torch.no_grad():
        expected = [part.clone() for parts in model(x)[1][:5] for part in parts]
        for state in (model(x)[1], model.begin(b)):
            state.memory[0][0].zero_()
            assert torch.equal(model.start[0], start)
            assert b == 1 or state.memory[0][1].abs().sum() > 0
        _, state = model(x)
        model.start[0].add_(1)
    for part, before in zip((part for parts in state[:5] for part in parts), expected, strict=True):
        assert torch.equal(part, before)


def test_training_teaches_it_to_recall():
    torch.manual_seed(0)
    model = NeuralMemory(16, depth=1, chunk=8, momentum=0.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(60):
        pairs = torch.randn(8, 6, 16)
        x = torch.cat((pairs, pairs), 1)
        y, _ = model(x)
        loss = (y[:, 6:] - pairs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]


# --- bad input -----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("choices", "error"),
    [
        ({"depth": 3}, InvalidParameter),
        ({"heads": 3}, InvalidParameter),
        ({"chunk": 0}, InvalidParameter),
        ({"momentum": 1.0}, InvalidParameter),
        ({"rate": 0.0}, InvalidParameter),
        ({"clip": -1.0}, InvalidParameter),
        ({"clip": 1e-50}, InvalidParameter),
        ({"clip": 1e300}, InvalidParameter),
        ({"convolution": 0}, InvalidParameter),
        ({"normalize": 1}, InvalidParameter),
        ({"gradients": "batch"}, UnknownName),
        ({"nonlinearity": "step"}, UnknownName),
    ],
)
def test_choices_that_are_not_allowed(choices, error):
    with pytest.raises(error, match=next(iter(choices))):
        NeuralMemory(8, **choices)


@pytest.mark.parametrize(
    ("x", "error"),
    [
        ([[1.0]], InvalidDtype),
        (torch.ones(1, 2, 8, dtype=torch.int64), InvalidDtype),
        (torch.ones(1, 2, 8, dtype=torch.float64), InvalidDtype),
        (torch.ones(2, 8), InvalidShape),
        (torch.ones(1, 2, 7), InvalidShape),
        (torch.ones(1, 0, 8), EmptyBatch),
        (torch.ones(0, 2, 8), EmptyBatch),
    ],
)
def test_input_that_does_not_fit(x, error):
    with pytest.raises(error, match="NeuralMemory"):
        made()(x)
    with pytest.raises(error, match="NeuralMemory"):
        made().read(x)


def test_masks_that_do_not_fit():
    with pytest.raises(InvalidDtype, match="bool"):
        made()(torch.ones(1, 2, 8), learn=torch.ones(1, 2))
    with pytest.raises(InvalidShape, match="learn"):
        made()(torch.ones(1, 2, 8), learn=torch.ones(1, 3, dtype=torch.bool))


@pytest.mark.parametrize(
    ("other", "error", "match"),
    [
        ({"depth": 1}, InvalidInput, "another depth"),
        ({"momentum": 0.0}, InvalidInput, "momentum"),
        ({"heads": 2}, InvalidShape, "memory"),
        ({"expansion": 2}, InvalidShape, "memory"),
        ({"convolution": 2}, InvalidShape, "tail"),
        ({"chunk": 9}, InvalidInput, "longer chunk"),
    ],
)
def test_state_of_another_layer(other, error, match):
    _, state = made(**{"chunk": 4} | other)(normal(1, 9, 8))
    with pytest.raises(error, match=match):
        made(chunk=4)(normal(1, 2, 8), state)


def test_state_that_does_not_fit():
    model = made()
    _, state = model(normal(2, 3, 8))
    with pytest.raises(InvalidShape, match="memory"):
        model(normal(1, 3, 8), state)
    with pytest.raises(InvalidInput, match="tuple"):
        model(normal(2, 3, 8), tuple(state))
    with pytest.raises(InvalidDtype, match="float64"):
        model(normal(2, 3, 8), NeuralMemoryState(*([p.double() for p in parts] for parts in state[:5]), state.tail))
    with pytest.raises(InvalidParameter, match="begin"):
        model.begin(0)


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tail": None}, InvalidDtype),
        ({"memory": None}, InvalidInput),
        ({"velocity": [1, 2]}, InvalidDtype),
        ({"inputs": (None, None)}, InvalidDtype),
        ({"changes": (torch.zeros(1, 1, 2, 32), torch.zeros(1, 1, 3, 8))}, InvalidShape),
        ({"changes": (torch.zeros(1, 1, 2, 32), torch.zeros(1, 1, 2, 8))}, InvalidShape),
        ({"tail": torch.zeros(1, 3, 24, dtype=torch.int64)}, InvalidDtype),
    ],
)
def test_state_that_was_tampered_with(change, error):
    model = made()
    _, state = model(normal(1, 3, 8))
    with pytest.raises(error, match=f"NeuralMemory: state.*{next(iter(change))}"):
        model(normal(1, 2, 8), state._replace(**change))


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("clip", [1e-6, 1e30])
def test_the_smallest_and_the_largest_clip(clip, depth):
    model = made(depth=depth, clip=clip, chunk=4)
    x = torch.cat((torch.zeros(1, 3, 8), normal(1, 7, 8)), 1)
    learn = torch.arange(10)[None] != 5
    y, state = model(x, learn=learn)
    y.sum().backward()
    assert y.isfinite().all()
    assert finite(state)
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_it_says_what_it_is():
    assert "depth=2" in repr(made())

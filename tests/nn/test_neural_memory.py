from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.naive.nn_neural_memory import neural_memory

from mossy.nn.neural_memory import NeuralMemory
from mossy.nn.neural_memory.network import Options
from mossy.nn.neural_memory.nonlinearity import NONLINEARITIES
from mossy.nn.neural_memory.stream import DEPTHS, Gates, Tokens, begin, finished, run

KINDS = [(depth, gradients) for depth in (1, 2) for gradients in ("token", "chunk")]


def tokens(s, d, seed=0, b=1):
    generator = torch.Generator().manual_seed(seed)
    q, k, v = (torch.randn(b, s, d, generator=generator, dtype=torch.float64) for _ in range(3))
    q, k = (torch.nn.functional.normalize(part, dim=-1) for part in (q, k))
    rate, momentum, forget = (torch.rand(b, s, 1, generator=generator, dtype=torch.float64) for _ in range(3))
    return Tokens(q, k, v), Gates(rate, 0.9 * momentum, 0.3 * forget)


def starting(depth, d, seed=1, hidden=6):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(d, d)] if depth == 1 else [(d, hidden), (hidden, d)]
    return tuple(torch.randn(1, *shape, generator=generator, dtype=torch.float64) for shape in shapes)


def empty(depth, d):
    return *starting(depth, d)[:-1], None


def layer(depth=2, d=8, seed=0, dtype=torch.float64, **choices):
    torch.manual_seed(seed)
    made = NeuralMemory(d, depth=depth, **choices).to(dtype)
    with torch.no_grad():
        for w in made.parameters():
            w += 0.3 * torch.randn_like(w)
    return made


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


@pytest.mark.parametrize("starting_at", [starting, empty])
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("chunk", [1, 4, 32])
@pytest.mark.parametrize(("depth", "gradients"), KINDS)
def test_law(depth, gradients, chunk, clip, starting_at):
    given_tokens, gates = tokens(11, 5)
    start = starting_at(depth, 5)
    options = Options(gradients == "token", clip, NONLINEARITIES["gelu"])
    y, moment = run(DEPTHS[depth], start, begin(start, True), given_tokens, gates, chunk, options)
    from_zero = [w if z is None else z for z, w in zip(start, map(torch.zeros_like, starting(depth, 5)), strict=True)]
    expected, memory, surprise = neural_memory(
        [w[0] for w in from_zero],
        *(part[0] for part in given_tokens),
        *(g[0, :, 0] for g in gates),
        chunk,
        gradients,
        clip,
    )
    torch.testing.assert_close(y[0], expected, rtol=1e-9, atol=1e-9)
    after = finished(moment)
    for mine, theirs in zip((*after.memory, *after.velocity), (*memory, *surprise), strict=True):
        torch.testing.assert_close(theirs * 0 if mine is None else mine[0], theirs, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("phi", NONLINEARITIES)
def test_nonlinearities(phi):
    given_tokens, gates = tokens(7, 4)
    start = starting(2, 4)
    options = Options(True, None, NONLINEARITIES[phi])
    y, _ = run(DEPTHS[2], start, begin(start, True), given_tokens, gates, 3, options)
    expected, _, _ = neural_memory(
        [w[0] for w in start], *(part[0] for part in given_tokens), *(g[0, :, 0] for g in gates), 3, phi=phi
    )
    torch.testing.assert_close(y[0], expected, rtol=1e-9, atol=1e-9)


def test_chunk_of_one_is_titans():
    """S_t = η_t S_{t−1} − θ_t ∇ℓ(M_{t−1}), M_t = (1 − α_t) M_{t−1} + S_t, from M_0 = 0."""
    (q, k, v), (rate, momentum, forget) = tokens(9, 4)
    start = (torch.zeros(1, 4, 4, dtype=torch.float64),)
    options = Options(False, None, NONLINEARITIES["gelu"])
    y, _ = run(DEPTHS[1], start, begin(start, True), Tokens(q, k, v), Gates(rate, momentum, forget), 1, options)
    m, s = torch.zeros(4, 4, dtype=torch.float64), torch.zeros(4, 4, dtype=torch.float64)
    for t in range(9):
        s = momentum[0, t] * s - rate[0, t] * torch.outer(k[0, t], k[0, t] @ m - v[0, t])
        m = (1 - forget[0, t]) * m + s
        torch.testing.assert_close(y[0, t], q[0, t] @ m, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("depth", "gradients"), KINDS)
@given(data=st.data())
def test_where_a_stream_is_cut_does_not_matter(depth, gradients, data):
    chunk = data.draw(st.integers(1, 6))
    length = data.draw(st.integers(1, 14))
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=4)))
    model = layer(
        depth,
        4,
        chunk=chunk,
        gradients=gradients,
        heads=2,
        expansion=2,
        momentum=data.draw(st.sampled_from([0.0, 0.9])),
    )
    x = normal(2, length, 4)
    with torch.no_grad():
        whole, last = model(x)
        state, found = None, []
        for low, high in zip([0, *cuts], [*cuts, length], strict=True):
            if high > low:
                y, state = model(x[:, low:high], state)
                found.append(y)
    torch.testing.assert_close(torch.cat(found, 1), whole, rtol=1e-9, atol=1e-9)
    for mine, theirs in zip(state, last, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)


@given(chunk=st.integers(1, 12), length=st.integers(1, 12))
def test_the_delta_rule_does_not_depend_on_the_chunk(chunk, length):
    model = layer(1, 4, chunk=chunk, gradients="token", momentum=0.0, clip=None)
    other = layer(1, 4, chunk=1, gradients="token", momentum=0.0, clip=None)
    with torch.no_grad():
        for each in (model, other):  # forgetting is once a chunk, so all but none of it
            each.gate.weight[2].zero_()
            each.gate.bias[2] = -80.0
    x = normal(1, length, 4)
    torch.testing.assert_close(model(x)[0], other(x)[0], rtol=1e-3, atol=1e-3)  # 10⁻⁴ is forgotten in each chunk


def test_causal():
    model = layer(2, 8, chunk=4)
    x = normal(1, 10, 8)
    changed = x.clone()
    changed[:, 6:] += 1
    torch.testing.assert_close(model(x)[0][:, :6], model(changed)[0][:, :6], rtol=0, atol=1e-12)


def test_sequences_do_not_meet():
    model = layer(2, 8, chunk=4, heads=2)
    x = normal(3, 10, 8)
    alone = torch.cat([model(x[i : i + 1])[0] for i in range(3)])
    torch.testing.assert_close(model(x)[0], alone, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("depth", "gradients"), KINDS)
@pytest.mark.parametrize("clip", [None, 0.2])
def test_gradient(depth, gradients, clip):
    model = layer(depth, 4, chunk=3, gradients=gradients, heads=2, expansion=2, clip=clip, convolution=2)
    x = normal(2, 7, 4).requires_grad_()
    parameters = dict(model.named_parameters())

    def run(x, *weights):
        y, state = torch.func.functional_call(model, dict(zip(parameters, weights, strict=True)), (x,))
        y2, state = torch.func.functional_call(model, dict(zip(parameters, weights, strict=True)), (x[:, :2], state))
        return y, y2, *state.memory, *state.carried, *state.velocity, *state.changes, *state.inputs

    weights = [w.detach().clone().requires_grad_() for w in parameters.values()]
    assert torch.autograd.gradcheck(run, (x, *weights), fast_mode=True)


def test_float32_agrees_with_float64():
    for depth in (1, 2):
        exact = layer(depth, 16, chunk=8)
        single = layer(depth, 16, chunk=8).float()
        x = normal(2, 40, 16)
        y = single(x.float())[0]
        torch.testing.assert_close(y.double(), exact(x)[0], rtol=1e-5, atol=1e-5)


def test_untrained_it_recalls():
    torch.manual_seed(0)
    model = NeuralMemory(32, depth=1, chunk=16)
    with torch.no_grad():
        model.gate.bias[0] = 20.0  # learn fully
        x = torch.randn(1, 16, 32)
        _, state = model(x)
        value = model.project(model.norm(x))[..., 64:]
        again = model.read(x, state)
    assert torch.cosine_similarity(again, value, dim=-1).min() > 0.6
    assert torch.cosine_similarity(again[0, -1:], value[0, -1:], dim=-1) > 0.99


def test_it_learns_from_fewer_tokens_than_a_chunk():
    model = layer(2, 8, chunk=64)
    x = normal(1, 3, 8)
    before = model.begin(1)
    _, state = model(x)
    assert not torch.allclose(model.read(x, before), model.read(x, state))
    y, _ = model(x[:, :1])
    assert y.shape == (1, 1, 8)


def test_read_is_what_forward_answers_at_the_last_token():
    for depth in (1, 2):
        model = layer(depth, 8, chunk=4, convolution=1)
        x = normal(2, 7, 8)
        y, state = model(x)
        torch.testing.assert_close(model.read(x[:, -1:], state), y[:, -1:], rtol=1e-9, atol=1e-9)


def test_a_token_that_may_not_teach_takes_its_time():
    model = layer(2, 8, chunk=4)
    x = normal(1, 7, 8)
    learn = torch.tensor([[True, False, False, False, False, True, True]])  # over the end of a chunk
    y, state = model(x, learn=learn)
    full, after = model(x)
    torch.testing.assert_close(y[:, :1], full[:, :1], rtol=0, atol=0)
    assert [part.shape for part in state.inputs] == [part.shape for part in after.inputs]
    assert torch.equal(state.tail, after.tail)
    assert all(part[:, :, :1].abs().sum() == 0 for part in state.changes)
    assert y[:, 1:5].abs().sum() > 0


@pytest.mark.parametrize("depth", [1, 2])
@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
@pytest.mark.parametrize("taught", [slice(4, None), slice(None, 5)])
def test_bad_numbers_of_tokens_that_may_not_teach_do_no_harm(taught, bad, depth):
    model = layer(depth, 8, chunk=3)
    learn = torch.zeros(2, 9, dtype=torch.bool)
    learn[:, taught] = True
    x = normal(2, 9, 8)
    given_x = x.masked_fill(~learn[..., None], bad).requires_grad_()
    y, state = model(given_x, learn=learn)
    torch.testing.assert_close(y, model(x.masked_fill(~learn[..., None], 0), learn=learn)[0], rtol=0, atol=0)
    assert all(part.isfinite().all() for parts in state[:5] for part in parts)
    y.square().sum().backward()
    assert all(p.grad.isfinite().all() for p in (given_x, *model.parameters()))


def test_tokens_that_may_not_teach_teach_nothing():
    model = layer(2, 8, chunk=4, convolution=1)
    x = normal(1, 4, 8)
    learn = torch.tensor([[True, True, False, False]])
    _, padded = model(x, learn=learn)
    _, short = model(x[:, :2])
    torch.testing.assert_close(model.read(x, padded), model.read(x, short), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("phi", NONLINEARITIES)
def test_features_of_normal_input_have_mean_0_and_variance_1(phi):
    z = torch.linspace(-10, 10, 100_001, dtype=torch.float64)
    density = torch.exp(-(z**2) / 2)
    features = NONLINEARITIES[phi].of(z.clone())
    assert abs((density * features).sum() / density.sum()) < 1e-5
    assert abs(NONLINEARITIES[phi].gain ** 2 * (density * features**2).sum() / density.sum() - 1) < 1e-4

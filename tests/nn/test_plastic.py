from __future__ import annotations

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from tests.naive import nn_fast_weights as naive

from mossy import errors
from mossy.nn.fast_weights import TRACES, PlasticCell, PlasticRNN, PlasticState
from mossy.plasticity import Oja

KINDS: dict[str, dict[str, Any]] = {rule: {"rule": rule} for rule in TRACES} | {
    "modulated": {"modulated": True},
    "not plastic": {"plastic": False},
}


def made(kind: str, dtype: torch.dtype = torch.float32) -> PlasticRNN:
    torch.manual_seed(0)
    return PlasticRNN(3, 5, dtype=dtype, **KINDS[kind])


@pytest.mark.parametrize("rule", TRACES)
def test_agrees_with_the_equation(rule: str) -> None:
    network, x = made(rule), torch.randn(2, 12, 3)
    torch.nn.init.normal_(network.cell.alpha)
    y, state = network(x)
    cell = network.cell
    parts = [p.detach().double().numpy() for p in (cell.input.weight, cell.input.bias, cell.weight, cell.alpha)]
    for i in range(2):
        want, h, trace = naive.plastic(x[i].double().numpy(), *parts, rate=0.1, rule=rule)
        np.testing.assert_allclose(y[i].detach(), want, atol=1e-5)
        np.testing.assert_allclose(state.activity[i].detach(), h, atol=1e-5)
        np.testing.assert_allclose(state.trace[i].detach(), trace, atol=1e-5)


def test_oja_is_that_of_the_core() -> None:
    pre, post = torch.randn(1, 4, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64)
    trace = torch.randn(1, 3, 4, dtype=torch.float64)
    rule = Oja(rate=0.2)
    want = rule.weights(rule.write(rule.start(3, 4, trace[0].numpy()), pre.numpy(), post.numpy()))
    got = TRACES["oja"](trace, pre, post, torch.tensor(0.2, dtype=torch.float64))
    np.testing.assert_allclose(got[0], want, atol=1e-12)


def test_without_plasticity_it_is_an_ordinary_network() -> None:
    network, x = made("not plastic"), torch.randn(2, 7, 3)
    plain = torch.nn.RNN(3, 5, batch_first=True)
    with torch.no_grad():
        plain.weight_ih_l0.copy_(network.cell.input.weight)
        plain.bias_ih_l0.copy_(network.cell.input.bias)
        plain.weight_hh_l0.copy_(network.cell.weight)
        plain.bias_hh_l0.zero_()
    torch.testing.assert_close(network(x)[0], plain(x)[0], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_cell_by_cell_is_the_sequence(kind: str) -> None:
    network, x = made(kind), torch.randn(2, 6, 3)
    y, last = network(x)
    state, heard = None, []
    for t in range(6):
        h, state = network.cell(x[:, t], state)
        heard.append(h)
    torch.testing.assert_close(torch.stack(heard, 1), y)
    torch.testing.assert_close(tuple(state), tuple(last))
    first, middle = network(x[:, :4])
    torch.testing.assert_close(torch.cat([first, network(x[:, 4:], middle)[0]], 1), y)


@pytest.mark.parametrize("kind", KINDS)
def test_padding_changes_nothing(kind: str) -> None:
    network, x = made(kind), torch.randn(3, 8, 3)
    mask = torch.rand(3, 8) > 0.4
    mask[2] = False
    x[~mask] = torch.nan
    y, state = network(x, None, mask)
    assert not y[~mask].any()
    for i in range(2):
        want, left = network(x[i : i + 1, mask[i]])
        torch.testing.assert_close(y[i, mask[i]], want[0])
        for part, wanted in zip(state, left, strict=True):
            torch.testing.assert_close(part[i], wanted[0])
    assert not state.trace[2].any()
    y.sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in network.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_gradients(kind: str) -> None:
    network = made(kind, torch.float64)
    x = torch.randn(1, 4, 3, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*network.named_parameters(), strict=True)

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> Any:
        y, state = torch.func.functional_call(network, dict(zip(names, parameters, strict=True)), (x,))
        return y, state.trace if network.cell.plastic else y

    assert torch.autograd.gradcheck(run, (x, *parameters))


@pytest.mark.parametrize("kind", KINDS)
def test_dtypes_copies_round_trips_and_autocast(kind: str) -> None:
    network, x = made(kind), torch.randn(2, 5, 3)
    y, state = network(x)
    assert torch.equal(copy.deepcopy(network)(x)[0], y)
    torch.manual_seed(1)
    other = PlasticRNN(3, 5, **KINDS[kind])
    other.load_state_dict(network.state_dict())
    assert torch.equal(other(x)[0], y)
    for dtype in (torch.float64, torch.bfloat16, torch.float16):
        half = made(kind, dtype)
        h, after = half(100 * x.to(dtype))
        assert h.dtype == after.trace.dtype == dtype
        assert bool(h.isfinite().all())
        half(x.to(dtype), after)
    with torch.autocast("cpu", torch.bfloat16):
        h, after = network(x, network(x)[1])
    torch.testing.assert_close(h.float(), network(x, state)[0], atol=0.05, rtol=0.05)
    double = PlasticState(*(part.double() for part in state))
    for given in (after, double):
        h, last = network(x, given)
        assert {h.dtype, *(part.dtype for part in last)} == {torch.float32}
    assert torch.equal(h, network(x, state)[0])
    assert made(kind).to("meta")(torch.empty(2, 5, 3, device="meta"))[0].shape == (2, 5, 5)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_done_to_the_output_is_not_done_to_the_state(kind: str) -> None:
    network, x = made(kind), torch.randn(2, 3)
    with torch.no_grad():
        for h, state in (network.cell(x, network.cell.begin(2)), network(x[:, None])):
            before = state.activity.clone()
            assert torch.equal(h.flatten(), before.flatten())
            h.zero_()
            assert torch.equal(state.activity, before)
            assert before.any()
    with pytest.raises(errors.InvalidParameter, match="begin: b"):
        network.cell.begin(0)


@pytest.mark.parametrize("rate", [1e-50, 0.1, 1 - 1e-16])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_every_rate_has_a_finite_logit(rate: float, dtype: torch.dtype) -> None:
    logit = PlasticCell(3, 5, rate=rate, dtype=dtype).rate_logit.detach()
    assert bool(logit.isfinite())
    torch.testing.assert_close(torch.sigmoid(logit.double()).item(), rate, atol=1e-3, rtol=0)


def test_threads_and_compiled() -> None:
    network, xs = made("hebb"), torch.randn(8, 2, 9, 3).unbind()
    with ThreadPoolExecutor(4) as pool:
        for got, x in zip(pool.map(lambda x: network(x)[0], xs), xs, strict=True):
            torch.testing.assert_close(got, network(x)[0])
    compiled = torch.compile(network, backend="eager", dynamic=False)
    torch.testing.assert_close(compiled(xs[0][:, :3])[0], network(xs[0][:, :3])[0])


def test_detached_state_cuts_the_gradient() -> None:
    network, x = made("hebb"), torch.randn(1, 4, 3, requires_grad=True)
    network(torch.randn(1, 2, 3), network(x)[1].detach())[0].sum().backward()
    assert x.grad is None


@pytest.mark.parametrize(
    ("parameters", "error", "what"),
    [
        ({"d_input": 0}, errors.InvalidParameter, "d_input"),
        ({"d_hidden": 2.5}, errors.InvalidParameter, "d_hidden"),
        ({"rule": "bcm"}, errors.UnknownName, "oja"),
        ({"rate": 0}, errors.InvalidParameter, "rate"),
        ({"rate": 1}, errors.InvalidParameter, "below 1"),
        ({"plastic": "yes"}, errors.InvalidParameter, "plastic"),
        ({"plastic": False, "modulated": True}, errors.InvalidParameter, "no rate"),
    ],
)
def test_refused_parameters(parameters: dict[str, Any], error: type[Exception], what: str) -> None:
    for kind in (PlasticCell, PlasticRNN):
        with pytest.raises(error, match=what):
            kind(**{"d_input": 3, "d_hidden": 5} | parameters)


def test_refused_input() -> None:
    network, x = made("hebb"), torch.randn(2, 4, 3)
    state = network(x)[1]
    for arguments, error, what in (
        ((x.numpy(),), errors.InvalidDtype, "torch.Tensor"),
        ((x.double(),), errors.InvalidDtype, "float64"),
        ((x[0],), errors.InvalidShape, "x: "),
        ((x[..., :2],), errors.InvalidShape, "x: "),
        ((x[:, :0],), errors.EmptyBatch, "one token"),
        ((x[:0],), errors.EmptyBatch, "one sequence"),
        ((x, state.trace), errors.InvalidDtype, "PlasticState"),
        ((x, PlasticRNN(3, 6)(x)[1]), errors.InvalidShape, "goes with the cell"),
        ((x[:1], state), errors.InvalidShape, "same number of sequences"),
        ((x, PlasticState(state.activity, state.trace.to("meta"))), errors.InvalidInput, "meta"),
        ((x, None, torch.ones(2, 4)), errors.InvalidDtype, "torch.bool"),
        ((x, None, torch.ones(2, 3, dtype=torch.bool)), errors.InvalidShape, "mask"),
    ):
        with pytest.raises(error, match=what):
            network(*arguments)
    with pytest.raises(errors.InvalidShape, match="x: "):
        network.cell(x)
    assert "rule='hebb'" in repr(network)

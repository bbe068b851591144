from __future__ import annotations

import copy
import io
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import nn_fast_weights as naive
from torch.nn.functional import normalize

from mossy import errors
from mossy.clock import Steps
from mossy.nn.convolution import convolved
from mossy.nn.fast_weights import FEATURES, RULES, FastState, FastWeights, Modes, as_rule, chunked, modes_of, recurrent
from mossy.plasticity import Delta, Hebb
from mossy.strength import LAWS, power_law
from mossy.synapses import Synapses

# Whether a rule corrects, and whether it fades: as the equations have it, not as the code says.
WRITTEN = {"linear": (False, False), "gated_linear": (False, True), "delta": (True, False), "gated_delta": (True, True)}
CHUNKS = (1, 2, 7, 16, 64, 1000)
LAYERS: dict[str, dict[str, Any]] = {name: {"rule": name} for name in RULES} | {
    "law": {"rule": "linear", "law": power_law(slowest=1000.0, modes=4), "features": "positive"},
    "wide": {"d_key": 5, "d_value": 3, "overshoot": True, "convolution": 1},
}


def drawn(rule: str, s: int, b: int = 2, h: int = 3, dk: int = 8, dv: int = 5, seed: int = 0) -> dict[str, Any]:
    g = torch.Generator().manual_seed(seed)
    q, k = (normalize(torch.randn(b, h, s, dk, generator=g, dtype=torch.float64), dim=-1) for _ in range(2))
    made: dict[str, Any] = {"q": q, "k": k, "v": torch.randn(b, h, s, dv, generator=g, dtype=torch.float64)}
    made["beta"] = 2 * torch.rand(b, h, s, generator=g, dtype=torch.float64)
    if WRITTEN[rule][1]:
        made["log_decay"] = -torch.rand(b, h, s, generator=g, dtype=torch.float64)
    made["state"] = torch.randn(b, h, dv, dk, generator=g, dtype=torch.float64)
    return made


def single(given: dict[str, Any]) -> dict[str, Any]:
    return {name: part.float() for name, part in given.items()}


@pytest.mark.parametrize("run", [recurrent, chunked])
@pytest.mark.parametrize("rule", RULES)
def test_agrees_with_the_equation(rule: str, run: Any) -> None:
    given = drawn(rule, 19)
    read, state = run(**single(given), rule=rule)
    assert read.dtype == state.dtype == torch.float32
    for b in range(2):
        for h in range(3):
            parts = {name: part[b, h].numpy() for name, part in given.items()}
            want, left = naive.fast_weights(**parts, corrects=WRITTEN[rule][0])
            np.testing.assert_allclose(read[b, h], want, atol=1e-5)
            np.testing.assert_allclose(state[b, h], left, atol=1e-5)


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("s", [1, 2, 33, 64])
def test_same_result_for_every_chunk(rule: str, s: int) -> None:
    given = single(drawn(rule, s))
    read, state = recurrent(**given, rule=rule)
    for chunk in CHUNKS:
        again, after = chunked(**given, rule=rule, chunk=chunk)
        torch.testing.assert_close(again, read, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(after, state, atol=1e-5, rtol=1e-5)


@given(st.sampled_from(list(RULES)), st.integers(1, 40), st.integers(1, 41), st.data())
@settings(max_examples=25)
def test_pieces_are_the_whole(rule: str, s: int, chunk: int, data: st.DataObject) -> None:
    given = drawn(rule, s, seed=data.draw(st.integers(0, 99)))
    whole, last = chunked(**given, rule=rule)
    state, read, at = given.pop("state"), [], 0
    while at < s:
        end = at + data.draw(st.integers(1, s - at))
        piece = {name: part[:, :, at:end] for name, part in given.items()}
        one, state = chunked(**piece, rule=rule, state=state, chunk=chunk)
        read.append(one)
        at = end
    torch.testing.assert_close(torch.cat(read, 2), whole, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(state, last, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("law", LAWS)
def test_a_law_fades_as_it_does_synapses(law: str) -> None:
    made = LAWS[law]()
    given = drawn("linear", 23)
    q, k, v = (given[name] for name in "qkv")
    modes = modes_of(law, token=3.0, dtype=torch.float64)
    read, state = recurrent(q, k, v, rule="linear", modes=modes)
    want = naive.lawful(*(part[1, 2].numpy() for part in (q, k, v)), made, 3.0)
    np.testing.assert_allclose(read[1, 2], want, atol=1e-9)
    for chunk in CHUNKS:
        again, after = chunked(q, k, v, rule="linear", modes=modes, chunk=chunk)
        torch.testing.assert_close(again, read, atol=1e-9, rtol=1e-9)
        torch.testing.assert_close(after, state, atol=1e-9, rtol=1e-9)

    clock = Steps()
    synapses = Synapses(8, 5, Hebb(rate=1.0), made, clock=clock)
    for t in range(23):
        synapses.write(k[1, 2, t].numpy(), v[1, 2, t].numpy())
        np.testing.assert_allclose(synapses.transmit(q[1, 2, t].numpy()), read[1, 2, t], atol=1e-6)
        clock.advance(3)


def test_the_delta_rule_is_that_of_the_core() -> None:
    given = drawn("delta", 20)
    read, state = chunked(given["q"], given["k"], given["v"], rule="delta")
    synapses = Synapses(8, 5, Delta(rate=1.0, epsilon=1e-12))
    synapses.write(given["k"][0, 1].numpy(), given["v"][0, 1].numpy())
    np.testing.assert_allclose(state[0, 1], synapses.weights, atol=1e-6)
    np.testing.assert_allclose(read[0, 1, -1], synapses.transmit(given["q"][0, 1, -1].numpy()), atol=1e-6)


def test_what_was_written_last_is_read_exactly() -> None:
    k, v = normalize(torch.randn(1, 2, 30, 8), dim=-1), torch.randn(1, 2, 30, 4)
    torch.testing.assert_close(chunked(k, k, v, rule="delta", chunk=7)[0], v, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("rule", WRITTEN)
@pytest.mark.parametrize("run", [recurrent, chunked])
def test_gradients(rule: str, run: Any) -> None:
    given = drawn(rule, 5, 1, 2, 3, 2)
    names = list(given)
    chunk = {"chunk": 2} if run is chunked else {}
    leaves = [given[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(
        lambda *parts: run(**dict(zip(names, parts, strict=True)), rule=rule, **chunk), leaves
    )


def test_a_gate_of_zero_forgets_all_and_gradients_stay_finite() -> None:
    for rule in ("gated_linear", "gated_delta"):
        given = single(drawn(rule, 40))
        given["log_decay"][:, :, 17] = -torch.inf
        for part in given.values():
            part.requires_grad_()
        read, _ = chunked(**given, rule=rule, chunk=16)
        read[:, :, 17:].sum().backward()
        assert all(bool(part.grad.isfinite().all()) for part in given.values() if part is not given["log_decay"])
        assert not given["state"].grad.any()
        torch.testing.assert_close(read, recurrent(**given, rule=rule)[0], atol=1e-5, rtol=1e-5)


def test_long_decay_underflows_to_zero_not_to_nan() -> None:
    given = single(drawn("gated_delta", 200, 1, 1))
    given["log_decay"] = given["log_decay"] * 50
    read, state = chunked(**given, chunk=64)
    assert bool(read.isfinite().all())
    torch.testing.assert_close((read, state), recurrent(**given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("rule", RULES)
def test_half_precision_adds_up_in_single(rule: str, dtype: torch.dtype) -> None:
    given = drawn(rule, 40)
    state = given.pop("state").float()
    half = {name: part.to(dtype) for name, part in given.items()}
    read, after = chunked(**half, rule=rule, state=state)
    assert read.dtype == dtype
    assert after.dtype == torch.float32
    same = {name: part.float() for name, part in half.items()}
    torch.testing.assert_close(after, chunked(**same, rule=rule, state=state)[1])


def test_features() -> None:
    x = torch.randn(3, 4)
    torch.testing.assert_close(FEATURES["unit"](x).norm(dim=-1), torch.ones(3))
    assert bool((FEATURES["positive"](x) > 0).all())
    assert FEATURES["identity"](x) is x
    assert not FEATURES["unit"](torch.zeros(1, 4)).isnan().any()


def test_convolution() -> None:
    x, kernel = torch.randn(1, 9, 4, dtype=torch.float64), torch.randn(3, 4, dtype=torch.float64)
    y, tail = convolved(x, kernel, x.new_zeros(1, 2, 4))
    np.testing.assert_allclose(y[0], naive.convolved(x[0].numpy(), kernel.numpy()))
    assert torch.equal(tail, x[:, -2:])
    for cut in (1, 2, 5):
        first, carried = convolved(x[:, :cut], kernel, x.new_zeros(1, 2, 4))
        second, carried = convolved(x[:, cut:], kernel, carried)
        torch.testing.assert_close(torch.cat([first, second], 1), y)
        assert torch.equal(carried, tail)
    padded, carried = convolved(x, kernel, x.new_ones(1, 2, 4), torch.tensor([1]))
    torch.testing.assert_close(padded[:, 0], kernel[0] + kernel[1] + kernel[2] * x[:, 0])
    assert torch.equal(carried, torch.stack([x.new_ones(1, 4), x[:, 0]], 1))


# --- the layer -----------------------------------------------------------------------------------


def made(kind: str, dtype: torch.dtype = torch.float32) -> FastWeights:
    torch.manual_seed(0)
    return FastWeights(8, 2, **{"chunk": 4, "dtype": dtype} | LAYERS[kind])


@pytest.mark.parametrize("kind", LAYERS)
def test_token_by_token_is_the_whole(kind: str) -> None:
    layer, x = made(kind), torch.randn(3, 11, 8)
    whole, last = layer(x)
    assert whole.shape == x.shape
    state, read = None, []
    for t in range(11):
        one, state = layer(x[:, t : t + 1], state)
        read.append(one)
    torch.testing.assert_close(torch.cat(read, 1), whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(tuple(state), tuple(last), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("kind", LAYERS)
def test_padding_is_as_if_it_were_not_there(kind: str) -> None:
    layer, x = made(kind), torch.randn(4, 9, 8)
    mask = torch.rand(4, 9) > 0.4
    mask[3] = False
    x[~mask] = torch.nan
    start = layer(torch.randn(4, 3, 8))[1]
    y, state = layer(x, start, mask)
    assert not y[~mask].any()
    for i in range(3):
        own = FastState(*(part[i : i + 1] for part in start))
        want, left = layer(x[i : i + 1, mask[i]], own)
        torch.testing.assert_close(y[i, mask[i]], want[0], atol=1e-5, rtol=1e-5)
        for part, wanted in zip(state, left, strict=True):
            torch.testing.assert_close(part[i], wanted[0], atol=1e-5, rtol=1e-5)
    for part, before in zip(state, start, strict=True):
        torch.testing.assert_close(part[3], before[3])
    (y.sum() + state.weights.sum()).backward()
    assert all(bool(p.grad.isfinite().all()) for p in layer.parameters())


def test_the_first_state_and_what_a_state_holds() -> None:
    for kind in LAYERS:
        layer, x = made(kind), torch.randn(2, 50, 8)
        y, state = layer(x, layer.begin(2))
        assert torch.equal(y, layer(x)[0])
        for part in state:
            assert part.untyped_storage().nbytes() == part.numel() * part.element_size(), kind
    with pytest.raises(errors.InvalidParameter, match="begin: b"):
        layer.begin(0)


@pytest.mark.parametrize("kind", LAYERS)
def test_gradients_of_the_layer(kind: str) -> None:
    layer = made(kind, torch.float64)
    x = torch.randn(1, 5, 8, dtype=torch.float64, requires_grad=True)
    names, parameters = zip(*layer.named_parameters(), strict=True)

    def run(x: torch.Tensor, *parameters: torch.Tensor) -> Any:
        y, state = torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))
        return y, state.weights

    assert torch.autograd.gradcheck(run, (x, *parameters), fast_mode=True)


def test_each_parameter_learns() -> None:
    for kind in LAYERS:
        layer = made(kind)
        layer(torch.randn(2, 9, 8))[0].square().sum().backward()
        assert all(p.grad is not None and bool(p.grad.any()) for p in layer.parameters()), kind


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(dtype: torch.dtype) -> None:
    for kind in LAYERS:
        layer = made(kind, dtype)
        y, state = layer(torch.randn(2, 9, 8, dtype=dtype))
        assert y.dtype == state.tail.dtype == dtype
        assert state.weights.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
        y, _ = layer(torch.randn(2, 1, 8, dtype=dtype), state)
        assert bool(y.isfinite().all())


def test_half_precision_does_not_overflow() -> None:
    for kind in ("linear", "delta", "gated_delta"):
        layer = made(kind, torch.float16)
        y, _ = layer(torch.full((1, 300, 8), 300.0, dtype=torch.float16))
        assert bool(y.isfinite().all()), kind


def test_autocast() -> None:
    layer, x = made("gated_delta"), torch.randn(2, 9, 8)
    with torch.autocast("cpu", torch.bfloat16):
        y, state = layer(x)
        y, state = layer(x, state)
        y.float().sum().backward()
    assert state.weights.dtype == torch.float32
    torch.testing.assert_close(y.float(), layer(x, layer(x)[1])[0], atol=0.1, rtol=0.1)


def test_copies_and_round_trips() -> None:
    for kind in LAYERS:
        layer, x = made(kind), torch.randn(2, 6, 8)
        want = layer(x)[0]
        assert torch.equal(copy.deepcopy(layer)(x)[0], want)
        torch.manual_seed(1)
        other = FastWeights(8, 2, **{"chunk": 4} | LAYERS[kind])
        file = io.BytesIO()
        torch.save(layer.state_dict(), file)
        file.seek(0)
        other.load_state_dict(torch.load(file, weights_only=True))
        assert torch.equal(other(x)[0], want)


def test_moves_with_its_law() -> None:
    layer = made("law").to("meta")
    assert layer.rates.device.type == layer.begin(1).weights.device.type == "meta"
    assert layer(torch.empty(1, 4, 8, device="meta"))[0].shape == (1, 4, 8)


def test_a_slow_law_survives_half_precision() -> None:
    layer = FastWeights(8, rule="linear", law="power_law")
    rates = layer.rates
    assert torch.equal(layer.half().rates, rates)
    assert layer.double().rates.dtype == torch.float64
    np.testing.assert_allclose(layer.rates, power_law().rates, rtol=1e-15)
    assert copy.deepcopy(layer).rates.dtype == torch.float64


def test_threads() -> None:
    layer, xs = made("gated_delta"), torch.randn(8, 2, 40, 8).unbind()
    want = [layer(x)[0] for x in xs]
    with ThreadPoolExecutor(4) as pool:
        for got, wanted in zip(pool.map(lambda x: layer(x)[0], xs), want, strict=True):
            torch.testing.assert_close(got, wanted)


def test_compiled() -> None:
    layer, x = made("gated_delta"), torch.randn(2, 6, 8)
    state = layer(x)[1]
    compiled = torch.compile(layer, backend="eager", dynamic=False)
    torch.testing.assert_close(compiled(x, state)[0], layer(x, state)[0], atol=1e-5, rtol=1e-5)


def test_detached_state_cuts_the_gradient() -> None:
    layer, x = made("delta"), torch.randn(1, 4, 8, requires_grad=True)
    _, state = layer(x)
    layer(torch.randn(1, 4, 8), state.detach())[0].sum().backward()
    assert x.grad is None
    layer(torch.randn(1, 4, 8), state)[0].sum().backward()
    assert x.grad is not None


@pytest.mark.parametrize(
    ("parameters", "error", "what"),
    [
        ({"d_model": 0}, errors.InvalidParameter, "d_model"),
        ({"heads": 3}, errors.InvalidParameter, "divisor"),
        ({"rule": "hebb"}, errors.UnknownName, "gated_delta"),
        ({"law": "power_law"}, errors.InvalidParameter, "rule='linear'"),
        ({"law": "linear", "rule": "linear"}, errors.UnknownName, "benna_fusi"),
        ({"law": "power_law", "rule": "linear", "token": 0}, errors.InvalidParameter, "token"),
        ({"features": "softmax"}, errors.UnknownName, "unit"),
        ({"overshoot": True, "rule": "linear"}, errors.InvalidParameter, "has no β"),
        ({"overshoot": 2}, errors.InvalidParameter, "overshoot"),
        ({"convolution": 0}, errors.InvalidParameter, "convolution"),
        ({"chunk": 0}, errors.InvalidParameter, "chunk"),
    ],
)
def test_refused_parameters(parameters: dict[str, Any], error: type[Exception], what: str) -> None:
    with pytest.raises(error, match=what):
        FastWeights(**{"d_model": 8, "heads": 2} | parameters)


def test_refused_input_of_the_layer() -> None:
    layer = made("gated_delta")
    x = torch.randn(2, 5, 8)
    state = layer(x)[1]
    for arguments, error, what in (
        ((x.numpy(),), errors.InvalidDtype, "torch.Tensor"),
        ((x.double(),), errors.InvalidDtype, "float64"),
        ((x.long(),), errors.InvalidDtype, "floats"),
        ((x[0],), errors.InvalidShape, "'?b'?, '?s'?, 8"),
        ((x[..., :7],), errors.InvalidShape, "8"),
        ((x[:, :0],), errors.EmptyBatch, "one token"),
        ((x[:0],), errors.EmptyBatch, "one sequence"),
        ((x, state.weights), errors.InvalidDtype, "FastState"),
        ((x, made("wide")(x)[1]), errors.InvalidShape, "goes with the layer"),
        ((x[:1], state), errors.InvalidShape, "same number of sequences"),
        ((x, state._replace(weights=state.weights.long())), errors.InvalidDtype, "state.weights"),
        ((x, FastState(*(part.to("meta") for part in state))), errors.InvalidInput, "meta"),
        ((x, None, torch.ones(2, 5)), errors.InvalidDtype, "torch.bool"),
        ((x, None, torch.ones(2, 4, dtype=torch.bool)), errors.InvalidShape, "mask"),
        ((x.to("meta"),), errors.InvalidInput, "meta"),
    ):
        with pytest.raises(error, match=what):
            layer(*arguments)


def test_refused_input_of_the_functions() -> None:
    q = torch.randn(1, 2, 3, 4)
    for arguments, error, what in (
        ({"q": q[0]}, errors.InvalidShape, "q: "),
        ({"k": q[..., :3]}, errors.InvalidShape, "k: "),
        ({"v": q[:, :, :2]}, errors.InvalidShape, "v: "),
        ({"v": q.double()}, errors.InvalidDtype, "v: "),
        ({"q": q[:, :, :0]}, errors.EmptyBatch, "q: "),
        ({"beta": q}, errors.InvalidShape, "beta: "),
        ({"rule": "delta", "log_decay": q[..., 0]}, errors.InvalidParameter, "gated_delta"),
        ({"modes": modes_of("power_law")}, errors.InvalidParameter, "rule='linear'"),
        ({"rule": "linear", "modes": (1, 2)}, errors.InvalidDtype, "modes: tuple was given"),
        ({"rule": "linear", "modes": Modes(1.0, 2.0)}, errors.InvalidDtype, "modes.rates"),
        ({"rule": "linear", "modes": Modes(torch.ones(2), torch.ones(3))}, errors.InvalidShape, "modes.readout"),
        ({"state": q}, errors.InvalidShape, "state: "),
        ({"chunk": 0}, errors.InvalidParameter, "chunk: "),
        ({"rule": 3}, errors.UnknownName, "rule: "),
    ):
        with pytest.raises(error, match=what):
            chunked(**{"q": q, "k": q, "v": q} | arguments)


def test_rules_are_given_by_name_or_made() -> None:
    assert as_rule(RULES["delta"]) is as_rule("delta")
    assert {name: (rule.corrects, rule.fades) for name, rule in RULES.items()} == WRITTEN
    assert "law='power_law'" in repr(FastWeights(8, rule="linear", law="power_law"))

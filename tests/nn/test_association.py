import copy
import math
import threading

import numpy as np
import pytest
import tests.naive.nn_association as naive
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import mossy
from mossy.nn.association import Hopfield, HopfieldLayer, HopfieldPooling
from mossy.nn.association.retrieval import settle
from mossy.nn.separation import SEPARATIONS

SEPARATION_NAMES = sorted(SEPARATIONS)


def drawn(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def wild(module, seed=0):
    """Draw weights that are far from what a new layer has, so that no part of it is without effect."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))
    return module


# --- the law -------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [0, 1, 4])
@pytest.mark.parametrize("separation", SEPARATION_NAMES)
def test_untrained_it_retrieves_as_the_loops_do(separation, steps):
    stored, cues = drawn(2, 5, 6), drawn(2, 3, 6, seed=1)
    layer = Hopfield(scaling=0.7, separation=separation, update_steps_max=steps, update_steps_eps=0)
    assert not list(layer.parameters())
    found = layer((stored, cues))
    for b in range(2):
        for i in range(3):
            keys = stored[b].double().tolist()
            expected = naive.retrieve(cues[b, i].double().tolist(), keys, keys, 0.7, separation, steps)
            np.testing.assert_allclose(found[b, i].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 3])
@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
@pytest.mark.parametrize("separation", ["softmax", "sparsemax", "entmax", "winner"])
def test_known_entries_alone_are_compared_and_stay(separation, similarity, steps):
    stored, cues = drawn(5, 6), drawn(3, 6, seed=1)
    known = torch.tensor([[1, 1, 1, 0, 0, 0], [0, 1, 0, 1, 1, 1], [1, 0, 0, 0, 0, 0]]).bool()
    cues[~known] = math.nan
    options = {"scaling": 2.0, "separation": separation, "similarity": similarity}
    layer = Hopfield(**options, update_steps_max=steps, update_steps_eps=0)
    found = layer((stored, cues), known=known)
    a = layer.get_association_matrix((stored, cues), known=known)[0, 0]
    torch.testing.assert_close(a @ stored, found, atol=1e-5, rtol=1e-5)
    for i in range(3):
        keys, cue = stored.double().tolist(), cues[i].double().tolist()
        expected = naive.retrieve(
            cue, keys, keys, 2.0, separation, steps, known=known[i].tolist(), similarity=similarity
        )
        np.testing.assert_allclose(found[i].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("heads", [1, 2])
def test_projected_it_retrieves_as_the_loops_do(heads):
    d, hidden, pattern = 4, 3, 2
    sizes = {"stored_pattern_size": 5, "pattern_projection_size": 6, "hidden_size": hidden, "pattern_size": pattern}
    layer = wild(Hopfield(d, num_heads=heads, update_steps_max=2, update_steps_eps=0, output_size=7, **sizes))
    stored, state, projection = drawn(1, 4, 5), drawn(1, 3, d, seed=1), drawn(1, 4, 6, seed=2)
    found = layer((stored, state, projection))
    core = layer.association_core
    norms = (layer.norm_state_pattern, layer.norm_stored_pattern, layer.norm_pattern_projection)
    made = []
    for x, role, norm in zip((state, stored, projection), ("state", "stored", "projection"), norms, strict=True):
        weight, bias = (each.tolist() for each in core.weights()[role])
        normed = [naive.layer_norm(row, norm.weight.tolist(), norm.bias.tolist()) for row in x[0].tolist()]
        made.append([naive.project(row, weight, bias) for row in normed])
    for i in range(3):
        read = []
        for h in range(heads):
            q, keys, values = (
                [row[h * size : (h + 1) * size] for row in rows]
                for rows, size in zip(made, (hidden, hidden, pattern), strict=True)
            )
            read += naive.retrieve(q[i], keys, values, hidden**-0.5, steps=2)
        expected = naive.project(read, core.out_proj.weight.tolist(), core.out_proj.bias.tolist())
        np.testing.assert_allclose(found[0, i].detach().numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("steps", [0, 3])
def test_the_nearest_wins_whatever_its_length(steps):
    stored, cues = drawn(2, 5, 6), drawn(2, 3, 6, seed=1)
    padding = torch.tensor([[False] * 5, [True, False, False, True, False]])
    layer = Hopfield(scaling=1.3, similarity="euclidean", update_steps_max=steps, update_steps_eps=0)
    found = layer((stored, cues), padding)
    for b in range(2):
        for i in range(3):
            keys = stored[b].double().tolist()
            expected = naive.retrieve(
                cues[b, i].double().tolist(),
                keys,
                keys,
                1.3,
                steps=steps,
                allowed=(~padding[b]).tolist(),
                similarity="euclidean",
            )
            np.testing.assert_allclose(found[b, i].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("similarity", ["dot", "euclidean"])
@pytest.mark.parametrize("separation", ["softmax", "sparsemax", "entmax", "winner"])
@pytest.mark.parametrize("known", [False, True])
def test_it_retrieves_what_an_index_recalls(separation, known, similarity):
    rng = np.random.default_rng(0)
    keys = rng.standard_normal((40, 16)).astype(np.float32)
    values = rng.standard_normal((40, 4)).astype(np.float32)
    cues = (keys[:7] + 0.6 * rng.standard_normal((7, 16))).astype(np.float32)
    mask = np.arange(16) < 9 if known else np.ones(16, bool)
    index = mossy.Index(similarity, separation=separation, beta=9.0)
    index.write(keys, values)
    wide = keys[:, mask].astype(np.float64)
    scale = float((wide**2).mean(0).sum() if similarity == "dot" else wide.var(0).sum())
    layer = HopfieldLayer.holding(
        torch.tensor(keys), torch.tensor(values), scaling=9.0 / scale, separation=separation, similarity=similarity
    )
    found = layer(torch.tensor(cues), known=torch.tensor(mask) if known else None)
    np.testing.assert_allclose(found.numpy(), index.read(cues, known=mask if known else None), atol=1e-5)


# --- one result, however it is computed -----------------------------------------------------------


@pytest.mark.parametrize("heads", [1, 2])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("masked", [False, True])
def test_patterns_that_are_not_projected_are_read_the_same(heads, steps, masked):
    """One state among many patterns takes the way without projecting them; many states take the other."""
    layer = wild(Hopfield(8, num_heads=heads, update_steps_max=steps, scaling=torch.full((heads,), 0.8)))
    stored, state = drawn(2, 60, 8), drawn(2, 1, 8, seed=1)
    padding = torch.zeros(2, 60, dtype=torch.bool) if masked else None
    if padding is not None:
        padding[0, 3:] = True
        padding[1] = True
    lone = layer((stored, state), padding)
    many = layer((stored, state.expand(2, 400, 8)), padding)[:, :1]
    torch.testing.assert_close(lone, many, atol=1e-5, rtol=1e-5)
    gradients = [torch.autograd.grad(out.square().sum(), layer.parameters()) for out in (lone, many)]
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", [{}, {"normalize_stored_pattern_affine": False}, {"input_bias": False}])
def test_roles_that_read_the_same_tensor_share_their_products(options):
    layer, x = wild(Hopfield(8, num_heads=2, **options)), drawn(3, 12, 8)
    torch.testing.assert_close(layer(x), layer((x, x.clone(), x.clone())), atol=1e-5, rtol=1e-5)


def test_shared_patterns_are_as_good_as_copies():
    layer = wild(Hopfield(8, num_heads=2, update_steps_max=1))
    stored, state = drawn(30, 8), drawn(4, 3, 8, seed=1)
    shared = layer((stored, state))
    torch.testing.assert_close(shared, layer((stored.expand(4, 30, 8), state)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(shared, layer((stored[None], state)))
    padding = torch.zeros(4, 30, dtype=torch.bool)
    torch.testing.assert_close(shared, layer((stored, state), padding), atol=1e-5, rtol=1e-5)


def test_stored_patterns_are_never_copied_for_each_item():
    layer = HopfieldLayer(4, 50, num_heads=2)
    biggest = 0

    class Sizes(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal biggest
            out = func(*args, **(kwargs or {}))
            for each in out if isinstance(out, tuple) else (out,):
                if isinstance(each, torch.Tensor) and each.numel():
                    biggest = max(biggest, each.untyped_storage().nbytes())
            return out

    with Sizes(), torch.no_grad():
        layer(drawn(64, 1, 4))
    assert biggest < 64 * 50 * 4 * 4 / 2


@given(split=st.integers(1, 5), eps=st.sampled_from([0.0, 1e-2, 0.3]))
def test_a_state_settles_by_itself(split, eps):
    stored, cues = drawn(1, 6, 4), drawn(1, 6, 4, seed=3)
    layer = Hopfield(scaling=1.5, update_steps_max=20, update_steps_eps=eps)
    whole = layer((stored, cues))
    parts = torch.cat([layer((stored, cues[:, :split])), layer((stored, cues[:, split:]))], 1)
    torch.testing.assert_close(whole, parts, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("eps", [1e-3, 0.2])
def test_it_stops_where_the_loops_stop(eps):
    stored, cues = drawn(1, 5, 4), drawn(1, 8, 4, seed=2)
    layer = Hopfield(scaling=1.2, update_steps_max=None, update_steps_eps=eps)
    found = layer((stored, cues))
    keys = stored[0].double().tolist()
    for i in range(8):
        expected = naive.retrieve(cues[0, i].double().tolist(), keys, keys, 1.2, steps=1000, eps=eps)
        np.testing.assert_allclose(found[0, i].numpy(), expected, atol=1e-5)


def test_settling_without_a_look_from_the_host_comes_to_the_same(monkeypatch):
    target, q = drawn(3, 1), drawn(5, 3, 2, seed=1)

    def move(x):
        return target + 0.3 * (x - target)

    looked = settle(q, move, 6, 0.05)
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: True)
    torch.testing.assert_close(settle(q, move, 6, 0.05), looked)


# --- shapes, masks, options -----------------------------------------------------------------------


def test_one_set_in_one_set_out():
    layer = wild(Hopfield(6))
    stored, state = drawn(4, 6), drawn(3, 6, seed=1)
    one = layer((stored, state))
    assert one.shape == (3, 6)
    torch.testing.assert_close(one, layer((stored[None], state[None]))[0])
    assert layer((stored.expand(2, 4, 6), state)).shape == (2, 3, 6)
    assert layer(stored).shape == (4, 6)


def test_batch_first():
    first, second = Hopfield(6, num_heads=2), Hopfield(6, num_heads=2, batch_first=False)
    second.load_state_dict(wild(first).state_dict())
    stored, state = drawn(5, 4, 6), drawn(5, 3, 6, seed=1)
    turned = second((stored.transpose(0, 1), state.transpose(0, 1)))
    torch.testing.assert_close(turned.transpose(0, 1), first((stored, state)))
    known = drawn(5, 3, 6, seed=2) > -1
    turned = second((stored.transpose(0, 1), state.transpose(0, 1)), known=known.transpose(0, 1))
    torch.testing.assert_close(turned.transpose(0, 1), first((stored, state), known=known))


def test_masks_are_as_if_the_patterns_were_not_there():
    layer = wild(Hopfield(8, num_heads=2, update_steps_max=1))
    stored, state = drawn(2, 7, 8), drawn(2, 3, 8, seed=1)
    padding = torch.zeros(2, 7, dtype=torch.bool)
    padding[:, 5:] = True
    expected = layer((stored[:, :5], state))
    torch.testing.assert_close(layer((stored, state), padding), expected, atol=1e-5, rtol=1e-5)
    blocked = padding[:1].expand(3, 7)
    for mask in (
        blocked,
        blocked.expand(4, 3, 7),
        blocked.expand(2, 2, 3, 7),
        torch.zeros(3, 7).masked_fill(blocked, -math.inf),
    ):
        torch.testing.assert_close(layer((stored, state), association_mask=mask), expected, atol=1e-5, rtol=1e-5)
    both = layer((stored, state), padding, torch.zeros(3, 7))
    torch.testing.assert_close(both, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("separation", SEPARATION_NAMES)
@pytest.mark.parametrize("length", [1, 5])
def test_a_state_that_may_read_nothing_reads_zero(separation, length):
    layer = Hopfield(4, separation=separation, input_bias=False, update_steps_max=1)
    wild(layer)
    stored, state = drawn(2, 30, 4).requires_grad_(), drawn(2, length, 4, seed=1)
    padding = torch.zeros(2, 30, dtype=torch.bool)
    padding[1] = True
    out = layer((stored, state), padding)
    assert torch.equal(out[1], torch.zeros(length, 4))
    assert out[0].abs().sum() > 0
    out.square().sum().backward()
    assert torch.isfinite(stored.grad).all()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize(
    "options",
    [
        {"concat_bias_pattern": True},
        {"add_zero_association": True},
        {"concat_bias_pattern": True, "add_zero_association": True, "update_steps_max": 1},
        {"normalize_hopfield_space": True, "normalize_hopfield_space_affine": True},
        {"pattern_projection_as_connected": True},
        {"association_activation": "tanh"},
        {"input_bias": False},
        {"disable_out_projection": True},
        {"normalize_stored_pattern": False},
        {"normalize_pattern_projection_affine": False, "normalize_stored_pattern_affine": False},
        {"separation": "entmax", "update_steps_max": 2},
        {"similarity": "euclidean", "update_steps_max": 1, "pattern_size": 3},
        {"scaling": nn.Parameter(torch.tensor([0.3, 0.9], dtype=torch.float64))},
    ],
)
def test_gradients_with_every_option(options):
    layer = wild(Hopfield(4, num_heads=2, **options).double())
    stored, state = drawn(2, 3, 4, dtype=torch.float64), drawn(2, 2, 4, seed=1, dtype=torch.float64)
    padding = torch.tensor([[False, True, False], [False, False, False]])

    def run(stored, state, *parameters):
        named = dict(zip(dict(layer.named_parameters()), parameters, strict=True))
        return torch.func.functional_call(layer, named, ((stored, state), padding))

    given = [each.requires_grad_() for each in (stored, state)] + [
        p.detach().requires_grad_() for p in layer.parameters()
    ]
    assert torch.autograd.gradcheck(run, given, fast_mode=True)


@pytest.mark.parametrize(
    "make", [lambda: HopfieldLayer(4, 12, num_heads=2), lambda: HopfieldPooling(4, 2, num_heads=2)]
)
def test_gradients_of_layer_and_pooling(make):
    layer = wild(make().double())
    x = drawn(2, 20, 4, dtype=torch.float64).requires_grad_()
    names = list(dict(layer.named_parameters()))

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x,))

    assert torch.autograd.gradcheck(
        run, [x, *(p.detach().requires_grad_() for p in layer.parameters())], fast_mode=True
    )


def test_a_bias_pattern_and_zero_are_stored_beside_the_others():
    layer = wild(Hopfield(4, num_heads=2, concat_bias_pattern=True, add_zero_association=True, update_steps_max=1))
    stored, state = drawn(2, 5, 4), drawn(2, 3, 4, seed=1)
    padding = torch.zeros(2, 5, dtype=torch.bool)
    padding[:, 3:] = True
    a = layer.get_association_matrix((stored, state), padding)
    assert a.shape == (2, 2, 3, 7)
    assert torch.equal(a[..., 3:5], torch.zeros(2, 2, 3, 2))
    assert (a[..., 5:] > 0).all()
    torch.testing.assert_close(layer((stored, state), padding), layer((stored[:, :3], state)), atol=1e-5, rtol=1e-5)


def test_each_head_has_its_scaling():
    both = wild(Hopfield(8, num_heads=2, scaling=torch.tensor([0.2, 2.0]), disable_out_projection=True))
    x = drawn(2, 5, 8)
    for head, scaling in enumerate((0.2, 2.0)):
        one = Hopfield(8, num_heads=2, scaling=scaling, disable_out_projection=True)
        one.load_state_dict(both.state_dict())
        part = slice(4 * head, 4 * head + 4)
        torch.testing.assert_close(both(x)[..., part], one(x)[..., part], atol=1e-5, rtol=1e-5)


def test_the_association_matrix_says_who_read_what():
    layer = wild(Hopfield(6, num_heads=2, disable_out_projection=True, update_steps_max=1))
    stored, state = drawn(3, 5, 6), drawn(3, 4, 6, seed=1)
    a = layer.get_association_matrix((stored, state))
    assert a.shape == (3, 2, 4, 5)
    torch.testing.assert_close(a.sum(-1), torch.ones(3, 2, 4))
    weight, bias = layer.association_core.weights()["projection"]
    v = nn.functional.linear(layer.norm_pattern_projection(stored), weight, bias).view(3, 5, 2, 3).transpose(1, 2)
    torch.testing.assert_close((a @ v).transpose(1, 2).flatten(2), layer((stored, state)), atol=1e-5, rtol=1e-5)
    assert HopfieldLayer(6, 9, num_heads=2).get_association_matrix(state).shape == (3, 2, 4, 9)
    assert HopfieldPooling(6, 2).get_association_matrix(state).shape == (3, 1, 2, 4)


def test_what_is_unknown_is_neither_compared_nor_normalised():
    layer = wild(Hopfield(6, num_heads=2))
    stored, state = drawn(2, 5, 6), drawn(2, 3, 6, seed=1)
    known = torch.tensor([True, True, False, True, False, True])
    expected = layer((stored, state), known=known)
    for junk in (math.nan, 1e6, 0.0):
        torch.testing.assert_close(layer((stored, torch.where(known, state, junk)), known=known), expected)
    torch.testing.assert_close(
        layer((stored, state), known=torch.ones(6).bool()), layer((stored, state)), atol=1e-5, rtol=1e-5
    )


def test_dropout_is_for_training_alone():
    layer = Hopfield(8, dropout=0.5, scaling=0.1)
    x = drawn(2, 20, 8)
    assert not torch.equal(layer(x), layer(x))
    layer.eval()
    assert torch.equal(layer(x), layer(x))


# --- layers that store ----------------------------------------------------------------------------


def test_given_patterns_are_completed_untrained():
    stored = torch.sign(drawn(20, 32))
    layer = HopfieldLayer.holding(stored, update_steps_max=3)
    known = torch.arange(32) < 16
    cue = torch.where(known, stored[:5], math.nan)
    torch.testing.assert_close(layer(cue, known=known), stored[:5], atol=1e-3, rtol=0)
    assert not any(p.requires_grad for p in layer.parameters())
    assert torch.equal(layer.lookup_weights[0], stored)


def test_given_targets_are_read():
    stored, targets = 3 * drawn(10, 16), torch.eye(10)
    layer = HopfieldLayer.holding(stored, targets, trainable=True)
    assert layer(stored).argmax(-1).tolist() == list(range(10))
    assert layer.target_weights.requires_grad


def test_a_pooled_set_has_no_order_and_no_padding():
    pool = wild(HopfieldPooling(6, 3, num_heads=2))
    x = drawn(2, 9, 6)
    out = pool(x)
    assert out.shape == (2, 18)
    torch.testing.assert_close(pool(x.flip(1)), out, atol=1e-5, rtol=1e-5)
    padded = torch.cat([x, drawn(2, 4, 6, seed=4)], 1)
    torch.testing.assert_close(pool(padded, torch.arange(13).expand(2, 13) >= 9), out, atol=1e-5, rtol=1e-5)
    assert pool(x[0]).shape == (18,)
    assert pool((x, x)).shape == (2, 18)


# --- devices, dtypes, copies, threads -------------------------------------------------------------

LAYERS = {
    "Hopfield": lambda: Hopfield(8, num_heads=2, update_steps_max=2, scaling=torch.tensor([0.3, 0.4])),
    "HopfieldLayer": lambda: HopfieldLayer(8, 30, num_heads=2, lookup_weights_as_separated=True),
    "HopfieldPooling": lambda: HopfieldPooling(8, 2, num_heads=2, separation="sparsemax"),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_dtypes(name, dtype):
    layer, x = wild(LAYERS[name]()), drawn(2, 5, 8)
    expected = layer(x)
    found = layer.to(dtype)(x.to(dtype))
    assert found.dtype == dtype
    torch.testing.assert_close(found.float(), expected, atol=0.05 if dtype != torch.float64 else 1e-5, rtol=0.05)


@pytest.mark.parametrize("name", LAYERS)
def test_autocast(name):
    layer, x = wild(LAYERS[name]()), drawn(2, 5, 8)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(x)
        found.float().square().sum().backward()
    torch.testing.assert_close(found.float(), expected, atol=0.05, rtol=0.1)
    assert all(torch.isfinite(p.grad).all() for p in layer.parameters())


@pytest.mark.parametrize("separation", SEPARATION_NAMES)
def test_products_beyond_half_precision_do_not_overflow(separation):
    stored = (300 * torch.sign(drawn(1, 6, 64))).half()
    out = Hopfield(scaling=1 / 64, separation=separation, update_steps_max=2)((stored, stored))
    assert torch.isfinite(out).all()
    if separation not in ("linear", "polynomial"):
        torch.testing.assert_close(out, stored)
        layer = Hopfield(scaling=1 / 64, separation=separation, similarity="euclidean", update_steps_max=2)
        torch.testing.assert_close(layer((stored, stored)), stored)
        with torch.autocast("cpu", torch.float16):
            torch.testing.assert_close(layer((stored.float(), stored.float())).float(), stored.float())


@pytest.mark.parametrize("name", LAYERS)
def test_state_and_copies(name):
    layer, x = wild(LAYERS[name]()), drawn(2, 5, 8)
    expected = layer(x)
    other = LAYERS[name]()
    other.load_state_dict(layer.state_dict())
    copied = copy.deepcopy(layer)
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
    assert torch.equal(other(x), expected)
    assert torch.equal(copied(x), expected)
    with pytest.raises(RuntimeError, match=r"size mismatch|Missing key"):
        other.load_state_dict(Hopfield(6).state_dict())


@pytest.mark.parametrize("name", LAYERS)
def test_meta_device_has_nothing_hard_coded(name):
    layer = LAYERS[name]().to("meta")
    assert layer(torch.empty(2, 5, 8, device="meta")).device.type == "meta"


def test_threads():
    layers = {name: wild(make()) for name, make in LAYERS.items()}
    inputs = [drawn(2, 5, 8, seed=i) for i in range(6)]
    expected = {name: [layer(x) for x in inputs] for name, layer in layers.items()}
    wrong = []

    def work(i):
        for _ in range(5):
            for name, layer in layers.items():
                if not torch.equal(layer(inputs[i]), expected[name][i]):
                    wrong.append((name, i))

    threads = [threading.Thread(target=work, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_compiled():
    layer, x = wild(LAYERS["Hopfield"]()), drawn(2, 5, 8)
    compiled = torch.compile(layer, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x), atol=1e-5, rtol=1e-5)


def test_it_learns():
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    x = torch.randn(64, 6, 8, generator=generator)
    y = (x[:, :, 0].amax(1) > 1.2).float()
    net = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), HopfieldPooling(16, scaling=1.0), nn.Linear(16, 1))
    optimiser = torch.optim.Adam(net.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = nn.functional.binary_cross_entropy_with_logits(net(x)[:, 0], y)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] / 2

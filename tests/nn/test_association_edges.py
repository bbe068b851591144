import inspect
import math

import pytest
import torch
from tests.nn.test_association import drawn, wild

from mossy.nn.association import Hopfield, HopfieldLayer, HopfieldPooling
from mossy.nn.association.options import Options
from mossy.nn.association.similarity import SIMILARITIES
from mossy.similarity import SIMILARITIES as CORE


def test_norms_of_known_entries_do_not_overflow_in_half_precision():
    torch.manual_seed(0)
    layer = Hopfield(64).half()
    with torch.no_grad():
        layer.association_core.in_proj_weight.mul_(50)
    x = (100 * drawn(1, 6, 64)).half()
    found = layer.get_association_matrix(x, known=torch.ones(64).bool())
    torch.testing.assert_close(found, layer.get_association_matrix(x), atol=0.02, rtol=0.05)


@pytest.mark.parametrize("junk", [math.nan, math.inf])
@pytest.mark.parametrize("separation", ["softmax", "entmax"])
@pytest.mark.parametrize("given", ["itself", "one state", "many states", "other values"])
def test_padding_may_hold_anything(given, separation, junk):
    layer = wild(Hopfield(8, num_heads=2, separation=separation, update_steps_max=1))
    padding = torch.arange(40).expand(2, 40) >= torch.tensor([[40], [30]])
    state = {"one state": drawn(2, 1, 8, seed=1)}.get(given, drawn(2, 90, 8, seed=1))

    def run(fill):
        layer.zero_grad()
        x, y = (drawn(2, 40, 8, seed=seed).masked_fill(padding[..., None], fill).requires_grad_() for seed in (0, 2))
        out = layer({"itself": x, "other values": (x, state, y)}.get(given, (x, state)), padding)
        out = out.where(~padding[..., None], 0.0) if given == "itself" else out
        out.square().sum().backward()
        return [out, x.grad, *(p.grad for p in layer.parameters())]

    for found, expected in zip(run(junk), run(0.0), strict=True):
        torch.testing.assert_close(found, expected)


def test_padding_of_patterns_that_all_share():
    layer = HopfieldLayer.holding(torch.cat([drawn(5, 4), torch.full((2, 4), math.nan)]))
    state, padding = drawn(3, 2, 4, seed=1), torch.zeros(3, 7, dtype=torch.bool)
    padding[:, 5:] = True
    torch.testing.assert_close(layer(state, padding), HopfieldLayer.holding(drawn(5, 4))(state))


def test_what_is_dropped_takes_its_bias_along():
    """However many states ask: one takes the way without projecting the patterns, which adds the bias afterwards."""
    layer = Hopfield(8, dropout=0.5, disable_out_projection=True)
    with torch.no_grad():
        layer.association_core.weights()["projection"][0].zero_()
        layer.association_core.in_proj_bias.fill_(1.0)
    torch.manual_seed(0)
    for length in (1, 400):
        out = layer((drawn(1, 60, 8), drawn(1, length, 8, seed=1)))
        assert (out - 1).abs().max() > 0.01


@pytest.mark.parametrize("separation", ["softmax", "sparsemax"])
def test_scaling_of_another_precision(separation):
    options = {"num_heads": 2, "separation": separation}
    scaling = torch.tensor([0.4, 0.9])
    ours, wide = (wild(Hopfield(8, scaling=each, **options)) for each in (scaling, scaling.double()))
    x = drawn(2, 5, 8)
    torch.testing.assert_close(wide(x), ours(x))
    torch.testing.assert_close(wide.get_association_matrix(x), ours.get_association_matrix(x))


@pytest.mark.parametrize("name", ["relu", "tanh", "celu", "sin"])
def test_activations_are_functions_of_torch(name):
    layer = wild(Hopfield(4, association_activation=name))
    plain = Hopfield(4)
    plain.load_state_dict(layer.state_dict())
    x = drawn(2, 3, 4)
    torch.testing.assert_close(layer(x), getattr(torch, name)(plain(x)))


def test_options_are_the_arguments_of_hopfield():
    arguments = inspect.signature(Hopfield).parameters
    assert {name: each.annotation for name, each in arguments.items() if name != "input_size"} == {
        name: each.__forward_arg__ for name, each in Options.__annotations__.items()
    }


def test_similarities_are_among_those_of_the_core():
    assert set(SIMILARITIES) <= set(CORE)  # which say what separation they allow


def test_a_pooled_pair_may_be_a_list():
    pool, x = HopfieldPooling(4), drawn(2, 3, 4)
    torch.testing.assert_close(pool([x, x]), pool(x))

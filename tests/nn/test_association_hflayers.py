"""With the weights of hflayers our layers give its outputs; its state is loaded as it is."""

import pytest
import torch
from torch import nn

from mossy.nn import association

hflayers = pytest.importorskip("hflayers")

CASES = {
    "plain": {},
    "heads": {"num_heads": 4},
    "scaling": {"num_heads": 2, "scaling": 0.7},
    "scaling of each head": {"num_heads": 2, "scaling": torch.tensor([0.4, 0.4])},  # unequal, hflayers mixes them
    "updates": {"num_heads": 2, "update_steps_max": 3},
    "no bias": {"input_bias": False},
    "no norms": {
        "normalize_stored_pattern": False,
        "normalize_stored_pattern_affine": False,
        "normalize_state_pattern": False,
        "normalize_state_pattern_affine": False,
        "normalize_pattern_projection": False,
        "normalize_pattern_projection_affine": False,
    },
    "norms without gain": {
        "normalize_stored_pattern_affine": False,
        "normalize_state_pattern_affine": False,
        "normalize_pattern_projection_affine": False,
    },
    "norm in the space": {"hidden_size": 6, "normalize_hopfield_space": True, "normalize_hopfield_space_affine": True},
    "sizes": {"num_heads": 2, "hidden_size": 6, "pattern_size": 5, "output_size": 11},
    "connected": {"num_heads": 2, "pattern_projection_as_connected": True},
    "zero association": {"num_heads": 2, "add_zero_association": True},
    "activation": {"association_activation": "tanh"},
    "no output projection": {"num_heads": 2, "disable_out_projection": True},
    "static stored": {"stored_pattern_as_static": True, "input_bias": False},
}


def pair(name, *given, **options):
    theirs, ours = getattr(hflayers, name)(*given, **options), getattr(association, name)(*given, **options)
    torch.manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.4)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours


@pytest.mark.parametrize("case", CASES)
def test_hopfield(case):
    theirs, ours = pair("Hopfield", 8, **CASES[case])
    stored, state, projection = torch.randn(3, 9, 8), torch.randn(3, 5, 8), torch.randn(3, 9, 8)
    for given in (stored, (stored, state, stored), (stored, state, projection), (stored, state[:, :1], stored)):
        torch.testing.assert_close(ours(given), theirs(given), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", ["plain", "heads", "updates", "no norms"])
def test_masks(case):
    theirs, ours = pair("Hopfield", 8, **CASES[case])
    stored, state = torch.randn(3, 9, 8), torch.randn(3, 5, 8)
    padding = torch.rand(3, 9) < 0.3
    blocked = torch.rand(5, 9) < 0.3
    padding[:, 0], blocked[:, 0] = False, False
    for mask in (blocked, torch.randn(5, 9)):
        found = ours((stored, state, stored), padding, mask)
        torch.testing.assert_close(found, theirs((stored, state, stored), padding, mask), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", ["plain", "heads", "updates", "sizes"])
@pytest.mark.parametrize("name", ["HopfieldLayer", "HopfieldPooling"])
def test_layer_and_pooling(name, case):
    theirs, ours = pair(name, 8, quantity=3 if name == "HopfieldPooling" else 40, **CASES[case])
    for shape in ((2, 1, 8), (2, 30, 8)):
        x = torch.randn(*shape)
        torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
        if name == "HopfieldLayer":
            found, expected = ours.get_association_matrix(x), theirs.get_association_matrix(x)
            torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_targets():
    theirs, ours = pair("HopfieldLayer", 8, quantity=12, lookup_weights_as_separated=True, pattern_projection_size=5)
    x = torch.randn(2, 4, 8)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)


def test_untrained():
    off = dict.fromkeys(
        [
            *("stored_pattern_as_static", "state_pattern_as_static", "pattern_projection_as_static"),
            "disable_out_projection",
        ],
        True,
    ) | dict.fromkeys(
        [
            *("normalize_stored_pattern", "normalize_stored_pattern_affine"),
            *("normalize_state_pattern", "normalize_state_pattern_affine"),
            *("normalize_pattern_projection", "normalize_pattern_projection_affine"),
        ],
        False,
    )
    stored, state = torch.randn(3, 9, 8), torch.randn(3, 5, 8)
    expected = hflayers.Hopfield(scaling=0.8, update_steps_max=2, **off)((stored, state, stored))
    found = association.Hopfield(scaling=0.8, update_steps_max=2)((stored, state))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)

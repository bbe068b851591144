import math

import numpy as np
import pytest
import torch
from torch import nn

from mossy.errors import (
    EmptyBatch,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NothingKnown,
    UnknownName,
)
from mossy.nn.association import Hopfield, HopfieldLayer, HopfieldPooling


@pytest.mark.parametrize(
    ("error", "make"),
    [
        (InvalidParameter, lambda: Hopfield(0)),
        (InvalidParameter, lambda: Hopfield(7, num_heads=2)),
        (InvalidParameter, lambda: Hopfield(8, num_heads=0)),
        (InvalidParameter, lambda: Hopfield(hidden_size=4)),
        (InvalidParameter, lambda: Hopfield(normalize_state_pattern=True)),
        (InvalidParameter, lambda: Hopfield(8, scaling=0)),
        (InvalidShape, lambda: Hopfield(8, scaling=torch.ones(3))),
        (InvalidParameter, lambda: Hopfield(8, update_steps_max=-1)),
        (InvalidParameter, lambda: Hopfield(8, update_steps_max=None, update_steps_eps=0)),
        (InvalidParameter, lambda: Hopfield(8, dropout=2)),
        (InvalidParameter, lambda: Hopfield(8, batch_first=1)),
        (UnknownName, lambda: Hopfield(8, separation="hardmax")),
        (UnknownName, lambda: Hopfield(8, similarity="cosine")),
        (InvalidParameter, lambda: Hopfield(8, similarity="euclidean", separation="linear")),
        (UnknownName, lambda: Hopfield(8, association_activation="nothing")),
        (UnknownName, lambda: Hopfield(8, association_activation="softmax")),
        (UnknownName, lambda: Hopfield(8, association_activation="zeros")),
        (UnknownName, lambda: Hopfield(8, association_activation="save")),
        (UnknownName, lambda: Hopfield(8, association_activation="sum")),
        (UnknownName, lambda: Hopfield(8, association_activation=3)),
        (InvalidParameter, lambda: Hopfield(8, scaling=torch.tensor([math.nan]))),
        (InvalidParameter, lambda: Hopfield(8, scaling=torch.tensor([-1.0]))),
        (InvalidParameter, lambda: Hopfield(8, num_heads=2, scaling=nn.Parameter(torch.tensor([1.0, math.inf])))),
        (InvalidParameter, lambda: HopfieldLayer(None, 3)),
        (InvalidParameter, lambda: HopfieldPooling(None)),
        (InvalidParameter, lambda: Hopfield(8, stored_pattern_as_static=True, hidden_size=4)),
        (InvalidParameter, lambda: Hopfield(8, stored_pattern_as_static=True, concat_bias_pattern=True)),
        (InvalidParameter, lambda: Hopfield(8, stored_pattern_size=6, pattern_projection_as_connected=True)),
        (InvalidParameter, lambda: HopfieldLayer(8, 0)),
        (InvalidParameter, lambda: HopfieldLayer(8, 3, pattern_projection_size=5)),
        (InvalidParameter, lambda: HopfieldPooling(8, "2")),
        (InvalidShape, lambda: HopfieldLayer.holding(torch.ones(2, 3), torch.ones(3, 3))),
    ],
)
def test_bad_options(error, make):
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    ("error", "say", "given"),
    [
        (InvalidDtype, "floats", lambda: (torch.ones(2, 3, 8).int(),)),
        (InvalidDtype, "torch.Tensor", lambda: (np.ones((2, 3, 8)),)),
        (InvalidDtype, "float64", lambda: (torch.ones(2, 3, 8).double(),)),
        (InvalidShape, "state pattern", lambda: ((torch.ones(2, 3, 8), torch.ones(2, 3, 7)),)),
        (InvalidShape, "batch of 3", lambda: ((torch.ones(2, 3, 8), torch.ones(3, 3, 8)),)),
        (
            InvalidShape,
            "pattern projection",
            lambda: ((torch.ones(2, 3, 8), torch.ones(2, 3, 8), torch.ones(2, 4, 8)),),
        ),
        (InvalidShape, "stored pattern", lambda: (torch.ones(8),)),
        (InvalidInput, "4 tensors", lambda: ((torch.ones(2, 8),) * 4,)),
        (InvalidShape, "padding", lambda: (torch.ones(2, 3, 8), torch.zeros(3, 2).bool())),
        (InvalidDtype, "padding", lambda: (torch.ones(2, 3, 8), torch.zeros(2, 3))),
        (InvalidDtype, r"one tuple: \(stored, state\)", lambda: (torch.ones(2, 3, 8), torch.ones(2, 3, 8))),
        (InvalidShape, "association_mask", lambda: (torch.ones(2, 3, 8), None, torch.zeros(3, 4).bool())),
        (InvalidDtype, "association_mask", lambda: (torch.ones(2, 3, 8), None, torch.zeros(3, 3).long())),
        (EmptyBatch, "stored pattern", lambda: (torch.ones(0, 3, 8),)),
        (EmptyBatch, "stored pattern", lambda: (torch.ones(2, 0, 8),)),
        (EmptyBatch, "state pattern", lambda: ((torch.ones(2, 3, 8), torch.ones(2, 0, 8)),)),
        (InvalidInput, "meta", lambda: (torch.ones(2, 3, 8, device="meta"),)),
    ],
)
def test_bad_input(error, say, given):
    with pytest.raises(error, match=say):
        Hopfield(8)(*given())


@pytest.mark.parametrize(
    ("error", "given"), [(InvalidDtype, None), (InvalidDtype, "x"), (InvalidInput, (torch.ones(2, 3, 8),) * 3)]
)
def test_bad_sets_to_pool(error, given):
    pool = HopfieldPooling(8)
    with pytest.raises(error):
        pool(given)
    with pytest.raises(error):
        pool.get_association_matrix(given)


@pytest.mark.parametrize("layer", [HopfieldLayer(8), HopfieldPooling(8)])
def test_nothing_is_given(layer):
    for shape in ((0, 3, 8), (2, 0, 8), (0, 8)):
        with pytest.raises(EmptyBatch):
            layer(torch.ones(shape))
    with pytest.raises(EmptyBatch):
        Hopfield()(torch.ones(2, 3, 0))


@pytest.mark.parametrize(
    "name",
    [
        *("state_pattern_as_static", "stored_pattern_as_static", "pattern_projection_as_static"),
        *("normalize_state_pattern", "normalize_stored_pattern", "normalize_pattern_projection"),
        *("normalize_state_pattern_affine", "normalize_stored_pattern_affine"),
        *("normalize_pattern_projection_affine", "stored_pattern_size", "pattern_projection_size"),
    ],
)
def test_a_message_begins_with_the_argument(name):
    with pytest.raises(InvalidParameter, match=f"^{name}:"):
        Hopfield(8, **{name: "yes"})


def test_bad_known():
    layer = Hopfield()
    x = torch.ones(2, 3, 4)
    with pytest.raises(NothingKnown):
        layer(x, known=torch.zeros(2, 3, 4).bool())
    with pytest.raises(InvalidDtype, match="known"):
        layer(x, known=torch.ones(4))
    with pytest.raises(InvalidShape, match="known"):
        layer(x, known=torch.ones(5).bool())
    with pytest.raises(InvalidShape, match="entries"):
        layer((x, torch.ones(2, 3, 5)))

import math

import numpy as np
import pytest
import tests.naive.separation as naive
import torch
from hypothesis import given
from hypothesis import strategies as st

from mossy.nn.separation import SEPARATIONS, polynomial
from mossy.separation import SEPARATIONS as CORE

NAMES = sorted(SEPARATIONS)
SMOOTH = [name for name in NAMES if name != "winner"]
evidences = st.lists(st.floats(-60, 60, width=32), min_size=1, max_size=9)


def test_the_names_are_those_of_the_core():
    assert list(SEPARATIONS) == list(CORE)


@pytest.mark.parametrize("name", NAMES)
@given(e=evidences)
def test_agrees_with_the_core_and_with_loops(name, e):
    found = SEPARATIONS[name](torch.tensor(e, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, CORE[name]().activity(np.array(e), len(e)), atol=1e-7)
    np.testing.assert_allclose(found, naive.SEPARATIONS[name](e), atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_agrees_in_float32_on_many(name):
    e = torch.randn(3, 400, generator=torch.Generator().manual_seed(0)) * 4
    expected = CORE[name]().activity(e.double().numpy(), 400)
    np.testing.assert_allclose(SEPARATIONS[name](e).numpy(), expected, atol=2e-6)


@pytest.mark.parametrize("name", NAMES)
def test_absent_neurons_are_silent_and_change_nothing(name):
    e = torch.tensor([[1.0, -0.5, 2.0, 1.9]], requires_grad=True)
    absent = torch.tensor([[-math.inf]])
    more = SEPARATIONS[name](torch.cat([absent, e, absent], 1))
    assert torch.equal(more[:, [0, -1]], torch.zeros(1, 2))
    torch.testing.assert_close(more[:, 1:-1], SEPARATIONS[name](e))


@pytest.mark.parametrize("name", NAMES)
def test_where_all_are_absent_nothing_is_active_and_no_gradient_is_nan(name):
    e = torch.full((2, 3), -math.inf)
    e[1] = torch.tensor([0.5, 1.0, 2.0])
    e.requires_grad_()
    a = SEPARATIONS[name](e)
    assert torch.equal(a[0], torch.zeros(3))
    if a.requires_grad:
        (a**2).sum().backward()
        assert torch.isfinite(e.grad).all()


@pytest.mark.parametrize("name", SMOOTH)
def test_gradients(name):
    e = torch.randn(4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    assert torch.autograd.gradcheck(SEPARATIONS[name], e)
    assert torch.autograd.gradgradcheck(SEPARATIONS[name], e)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax", "winner"])
def test_a_bad_row_is_nan_and_touches_no_other(name, bad):
    e = torch.tensor([[0.5, 1.0, 2.0], [0.5, bad, 2.0]], requires_grad=True)
    a = SEPARATIONS[name](e)
    assert torch.equal(a[0], SEPARATIONS[name](e[0]))
    assert a[1].isnan().any()
    if name != "winner":
        a[0].square().sum().backward()
        assert torch.isfinite(e.grad[0]).all()


def test_the_winner_has_no_gradient():
    assert not SEPARATIONS["winner"](torch.ones(3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("name", NAMES)
def test_every_dtype_comes_back(name, dtype):
    e = torch.randn(2, 300, generator=torch.Generator().manual_seed(2)) * 3
    a = SEPARATIONS[name](e.to(dtype))
    assert a.dtype == dtype
    assert torch.isfinite(a).all()
    torch.testing.assert_close(a.float(), SEPARATIONS[name](e.to(dtype).float()), atol=4e-3, rtol=1e-2)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax", "winner"])
@given(e=evidences, c=st.floats(-50, 50, width=32))
def test_a_distribution_that_no_shift_changes(name, e, c):
    e = torch.tensor(e, dtype=torch.float64)
    a = SEPARATIONS[name](e)
    assert (a >= 0).all()
    assert abs(float(a.sum()) - 1) < 1e-9
    if name != "winner":
        torch.testing.assert_close(SEPARATIONS[name](e + c), a, atol=1e-6, rtol=0)


def test_power():
    e = torch.tensor([3.0, 1.0, -2.0])
    torch.testing.assert_close(polynomial(e, 2.0), torch.tensor([0.9, 0.1, 0.0]))

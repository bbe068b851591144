"""What a memoized module must not remember, and what it keeps of versions, counts and containers."""

from collections import defaultdict

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad

import mossy.errors as errors
from mossy.nn.intermediate import memoize

pytestmark = pytest.mark.filterwarnings("ignore:.*torch.jit")  # which PyTorch uses for derivatives in forward mode


class Given(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def frozen(*parts):
    torch.manual_seed(0)
    return nn.Sequential(*parts).eval().requires_grad_(False)


def test_forward_mode_derivatives_pass():
    bare = frozen(nn.Linear(4, 2), nn.Tanh())
    module, strict = memoize(bare), memoize(bare, gradients="refuse")
    x = torch.rand(3, 4)
    with torch.no_grad():
        module(x)
    for tangent in (torch.ones(3, 4), -2 * torch.ones(3, 4)):
        with forward_ad.dual_level(), torch.no_grad():
            dual = forward_ad.make_dual(x, tangent)
            found, true = (forward_ad.unpack_dual(one(dual)).tangent for one in (module, bare))
            torch.testing.assert_close(found, true)
            with pytest.raises(errors.InvalidInput, match="gradients"):
                strict(dual)
            module(x)
    assert module.stats().passed == {"gradients": 2}
    assert module.stats().hits == 2


def test_transforms_pass():
    bare = frozen(nn.Linear(4, 2), nn.Tanh())
    module = memoize(bare)
    x, ones = torch.rand(3, 4), torch.ones(3, 4)
    module(x)
    torch.testing.assert_close(torch.func.jvp(module, (x,), (ones,)), torch.func.jvp(bare, (x,), (ones,)))
    torch.testing.assert_close(torch.func.vmap(module)(x), bare(x))
    torch.testing.assert_close(torch.func.jacrev(module)(x), torch.func.jacrev(bare)(x))
    assert (module.stats().misses, module.stats().hits) == (1, 0)
    assert module.stats().passed["transforms"] == 1


@pytest.mark.parametrize("weights", ["sample", "bytes"])
@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr", "sparse_csc"])
@pytest.mark.filterwarnings("ignore:Sparse")
def test_a_sparse_buffer_is_watched(layout, weights):
    bare = frozen(Given(lambda x: x))
    bare.register_buffer("sparse", torch.eye(4).to_sparse(layout=getattr(torch, layout)))
    bare[0].function = lambda x: bare.sparse.to_dense() @ x
    module = memoize(bare, weights=weights)
    x = torch.rand(4)
    module(x)
    assert torch.equal(module(x), x)
    values = bare.sparse._values() if layout == "sparse_coo" else bare.sparse.values()
    values.data[1] = 3
    assert module(x)[1] == 3 * x[1]
    assert (module.stats().hits, module.stats().invalidations) == (1, 1)


class Scale(nn.Module):
    """Keeps its number as extra state."""

    def __init__(self, by):
        super().__init__()
        self.by = by

    def forward(self, x):
        return x * self.by

    def get_extra_state(self):
        return {"by": self.by}

    def set_extra_state(self, state):
        self.by = state["by"]


def test_what_modules_save_by_themselves_is_watched():
    module = memoize(Scale(2.0).eval())
    x = torch.rand(3)
    module(x)
    assert torch.equal(module(x), 2 * x)
    module.load_state_dict(Scale(3.0).state_dict())
    assert torch.equal(module(x), 3 * x)
    assert (module.stats().hits, module.stats().invalidations) == (1, 1)


class Packed(nn.Module):
    """Keeps weights beside parameters, and needs the version of a state dict, as quantized layers do."""

    _version = 3

    def __init__(self):
        super().__init__()
        self.packed = (torch.ones(2),)

    def forward(self, x):
        return x * self.packed[0]

    def _save_to_state_dict(self, state, prefix, keep_vars):
        super()._save_to_state_dict(state, prefix, keep_vars)
        state[prefix + "packed"] = self.packed

    def _load_from_state_dict(self, state, prefix, about, *rest):
        assert about["version"] == 3
        self.packed = state.pop(prefix + "packed")
        super()._load_from_state_dict(state, prefix, about, *rest)


def test_versions_of_parts_are_kept():
    bare = nn.Sequential(Packed(), nn.BatchNorm1d(2)).eval()
    bare[0].packed = (torch.full((2,), 5.0),)
    module = memoize(nn.Sequential(Packed(), nn.BatchNorm1d(2)).eval())
    x = torch.rand(3, 2)
    with torch.no_grad():
        module(x)
        module.load_state_dict(bare.state_dict())
        torch.testing.assert_close(module(x), bare(x))
    assert module.stats().invalidations == 1
    bare.load_state_dict(module.state_dict())
    memoize(Packed()).load_state_dict(memoize(Packed()).state_dict())
    memoize(Packed()).load_state_dict(Packed().state_dict())
    whole = nn.ModuleDict({"a": module})
    whole.load_state_dict(whole.state_dict())
    nn.ModuleDict({"a": bare}).load_state_dict(whole.state_dict())


def test_what_is_thrown_away_is_not_counted():
    drawing = False
    bare = Given(lambda x: x + (torch.rand_like(x) if drawing else 0)).eval()
    module = memoize(bare, rows=True)
    x = torch.rand(3, 2)
    module(x[:1])
    drawing = True
    before = module.stats()
    module(x)
    stats = module.stats()
    assert stats.passed == {"random": 1}
    assert (stats.hits, stats.misses, stats.saved_s) == (before.hits, before.misses, before.saved_s)


def test_a_dict_that_needs_more_than_its_items():
    def counts(x):
        return defaultdict(list, a=x + 1)

    module = memoize(Given(counts).eval(), rows=True)
    for _ in range(2):
        found = module(torch.zeros(3, 2))
        assert found["b"] == []
        assert torch.equal(found["a"], torch.ones(3, 2))

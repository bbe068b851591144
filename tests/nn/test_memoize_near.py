"""Near hits: within the tolerance and never beyond, and rare enough when false."""

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import nn_memoize as naive
from torch import nn

import mossy.errors as errors
from mossy.kernels.universal import HASHES, PAIRS, universal
from mossy.nn.intermediate import memoize
from mossy.nn.intermediate.calibrate import calibrated, upper_bound
from mossy.nn.intermediate.near import LENGTH, Neighbours, apart, differences, distances, leaders, sketch


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


class Round(nn.Module):
    """A classifier of one number by the nearest of a few, which small changes may cross."""

    def forward(self, x):
        return -(x[:, :1] - torch.arange(10.0)).abs()


def stream(n, jitter, seed=0, d=1):
    generator = torch.Generator().manual_seed(seed)
    means = torch.rand(20, d, generator=generator) * 8
    which = torch.randint(0, 20, (n,), generator=generator)
    return means[which] + jitter * torch.randn(n, d, generator=generator)


def test_universal_hash_is_its_equation():
    rng = np.random.default_rng(0)
    words = rng.integers(0, 2**64, (2, 3, PAIRS), np.uint64)
    key = rng.integers(0, 2**32, (2, PAIRS + 3), np.uint64)
    out = np.empty((2, 3, HASHES), np.uint64)
    universal(words, key, out)
    for i, b in ((0, 0), (1, 2)):
        assert out[i, b].tolist() == naive.block_hash(words[i, b], key)


@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
def test_near_within_the_tolerance_and_not_beyond(rows, dtype):
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=rows)
    x = torch.randn(4, 12).to(dtype)
    module(x)
    assert torch.equal(module(x + 0.05), x)
    assert torch.equal(module(x - 0.2), x - 0.2)
    n = 4 if rows else 1
    assert (module.stats().near_hits, module.stats().misses, module.stats().hits) == (n, 2 * n, 0)
    assert module.stats().hit_ratio == pytest.approx(1 / 3)


def test_equal_hits_come_before_near_ones():
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=True)
    x = torch.randn(4, 12)
    module(x)
    module.tolerance = None
    module(x + 0.01)
    module.tolerance = 0.1
    assert torch.equal(module(x + 0.01), x + 0.01)
    assert torch.equal(module(torch.cat([x[:2], x[2:] + 0.001, x[:1] + 9]))[:4], x)


def test_rows_of_one_batch_are_near_to_each_other():
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=True)
    x = torch.randn(3, 12)
    found = module(torch.cat([x, x[:2] + 0.05, x[1:] - 0.05, x[:1] + 5]))
    assert torch.equal(found, torch.cat([x, x[:2], x[1:], x[:1] + 5]))
    assert (module.stats().near_hits, module.stats().misses) == (4, 4)
    assert torch.equal(module(x + 0.01), x)


def test_leaders_are_those_of_a_loop():
    x = torch.randn(60, 3)
    found = leaders(distances(x / 3**0.5), 0.3)
    pairs = dict(naive.near_hits(x.double().numpy(), 0.3))
    assert found == [pairs.get(i, i) for i in range(60)]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 400), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_sketches_keep_distances(d, scale, seed):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(2, d, generator=generator) * scale
    true = float((x[0] - x[1]).square().mean().sqrt())
    found = float((sketch(x)[0] - sketch(x)[1]).norm())
    assert found == pytest.approx(true, rel=1e-4 if d <= LENGTH else 0.4)


def test_the_nearest_is_that_of_a_loop():
    x, queries = torch.randn(200, 8), torch.randn(50, 8)
    stored = Neighbours(x)
    for part in x.split(30):
        stored.add([bytes([row]) for row in range(len(stored.keys), len(stored.keys) + len(part))], part)
    for query, keys in zip(queries, stored.propose(queries, 1.5), strict=True):
        distances = (x - query).norm(dim=1)
        assert keys == [bytes([row]) for row in distances.argsort()[:4].tolist() if distances[row] <= 1.5]
    stored.keep(lambda key: key[0] % 2 == 0)
    assert len(stored.keys) == 100
    assert stored.propose(x[:2], 1e-6) == [[b"\0"], []]


@pytest.mark.parametrize("batch", [50, 1000])
def test_a_difference_in_few_entries_is_seen(batch):
    """Two entries that a sketch puts into one place with opposite signs are nothing to it."""
    linear, x = nn.Linear(1000, 10).eval(), torch.eye(1000)
    for tolerance in (0.0, 0.04):  # they are .0447 apart
        module = memoize(linear, tolerance=tolerance, rows=True)
        torch.testing.assert_close(torch.cat([module(part) for part in x.split(batch)]), linear(x))
        assert module.stats().near_hits == 0
    module(x + 0.01)
    assert module.stats().near_hits > 500  # of more than four in one place not all are proposed


def test_images_with_one_pixel_moved_are_told_apart():
    image = (torch.rand(28, 28, generator=torch.Generator().manual_seed(0)) < 0.2).float().flatten()
    dark, light = image.nonzero()[:, 0], (image == 0).nonzero()[:, 0]
    x = image.repeat(300, 1)
    for i, row in enumerate(x):
        row[dark[i % len(dark)]], row[light[i % len(light)]] = 0, 1
    module = memoize(nn.Identity().eval(), tolerance=0.04, rows=True)
    for batch in x.split(20):
        assert (module(batch) - batch).square().mean(1).sqrt().max() <= 0.04


def test_float64_is_compared_as_such():
    module = memoize(nn.Identity().eval(), tolerance=1e-12, rows=True)
    x = torch.rand(3, 200, dtype=torch.float64)
    for other in (x, x + 1e-9, torch.cat([x + 1e-6, x + 1.001e-6])):
        assert torch.equal(module(other), other)
    assert torch.equal(module(x + 1e-13), x)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.sampled_from([1e-9, 1e-5, 1.0]), st.integers(0, 99))
def test_differences_are_those_of_a_loop(d, scale, seed):
    x = 3 + torch.randn(6, d, generator=torch.Generator().manual_seed(seed)) * scale
    true = torch.stack([apart(x.double(), row.double().expand_as(x)) for row in x])
    np.testing.assert_allclose(differences(x), true.numpy(), rtol=1e-5, atol=1e-15)


def test_what_is_not_finite_is_near_to_nothing():
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=True)
    for bad in (float("nan"), float("inf")):
        x = torch.randn(3, 12)
        x[1, 2] = bad
        for _ in range(2):
            torch.testing.assert_close(module(x + 0), x, equal_nan=True)
        near = module(x[[0, 2]] + 0.001)
        assert torch.equal(near, x[[0, 2]])
    assert module.stats().near_hits == 4


def test_sketches_go_with_their_outputs():
    module = memoize(nn.Identity().eval(), 60_000, tolerance=0.01, rows=True)
    for _ in range(60):
        x = torch.randn(10, 40)
        module(x)
        assert torch.equal(module(x[-1:] + 1e-4), x[-1:])
    (stored,) = module._neighbours.values()
    assert len(stored.keys) <= 1.25 * module.stats().items + 8
    assert module.stats().bytes <= 60_000


@pytest.mark.parametrize("others", [1, 200])
def test_all_that_is_held_is_within_the_budget(others):
    class Step(nn.Module):
        def forward(self, x, step):
            return x[:, :2] * step, "note" * 1000

    module = memoize(Step().eval(), "1 MB", tolerance=1e-6, rows=True)
    for i in range(250):
        module(torch.randn(2, 200), i % others)
    entries = [module._cache.peek(key) for key in module._cache]
    held = sum(entry.vector.untyped_storage().nbytes() + 8 + 4000 for entry in entries)
    held += sum(one.nbytes + 700 for one in module._neighbours.values())
    assert 100 < module.stats().items < 200
    assert held <= module.stats().bytes <= 1_000_000


def test_near_ones_stored_in_inference_mode_serve_outside():
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=True)
    x = torch.randn(3, 200)
    with torch.inference_mode():
        module(x)
    module(torch.randn(70, 200) + 9)
    with torch.autocast("cpu", torch.bfloat16):
        module(x)
        assert torch.equal(module(x + 0.01), x)
    assert torch.equal(module(x - 0.01), x)


def test_changed_weights_drop_near_ones_too():
    module = memoize(nn.Linear(4, 2).eval(), tolerance=0.1, rows=True)
    x = torch.randn(3, 4)
    module(x)
    module.module.weight.mul_(2)
    torch.testing.assert_close(module(x + 0.01), module.module(x + 0.01))


def test_other_arguments_and_contexts_are_never_near():
    class Scaled(nn.Module):
        def forward(self, x, by):
            return x * by

    module = memoize(Scaled().eval(), tolerance=0.1)
    x = torch.randn(3, 4)
    module(x, 2.0)
    assert torch.equal(module(x + 0.01, 3.0), (x + 0.01) * 3)
    assert torch.equal(module(x[:2], 2.0), x[:2] * 2)
    assert module(x.double(), 2.0).dtype == torch.float64


def test_embed_says_what_is_near():
    module = memoize(nn.Identity().eval(), tolerance=0.1, rows=True, embed=lambda x: x[:, :1])
    x = torch.arange(12.0).view(3, 4)  # far apart in the entry that counts
    module(x)
    assert torch.equal(module(x + torch.tensor([0.0, 5, 5, 5])), x)
    with pytest.raises(errors.InvalidDtype, match="embed"):
        memoize(nn.Identity().eval(), tolerance=0.1, embed=lambda x: 3)(x)
    with pytest.raises(errors.InvalidShape, match="embed"):
        memoize(nn.Identity().eval(), tolerance=0.1, rows=True, embed=lambda x: x[:1])(x)


def test_embed_may_be_a_module():
    embed, inner = nn.Linear(4, 2).eval(), nn.Linear(4, 3).eval()
    module = memoize(inner, tolerance=0.01, rows=True, embed=embed)
    assert list(module.state_dict()) == ["weight", "bias"]
    assert len(list(module.parameters())) == 2
    module.load_state_dict(inner.state_dict())
    embed.weight.copy_(torch.eye(2, 4))
    x = torch.randn(3, 4)
    module(x)
    other = x + torch.tensor([0.0, 0, 5, 5])
    torch.testing.assert_close(module(other), inner(x))
    embed.weight.copy_(torch.eye(4)[2:])
    torch.testing.assert_close(module(other), inner(other))
    assert module.stats().invalidations == 1
    assert copy.deepcopy(module).embed is not embed
    embed.train()
    module(x)
    assert module.stats().passed == {"training": 1}


def test_near_needs_one_tensor_of_floats():
    for wrong in ((torch.zeros(2, dtype=torch.int64),), (torch.zeros(2), torch.zeros(2))):
        with pytest.raises(errors.InvalidDtype, match="tolerance=None"):
            memoize(Pair().eval(), tolerance=0.1)(*wrong)


class Pair(nn.Module):
    def forward(self, x, y=None):
        return x


@pytest.mark.parametrize("rows", [False, True])
def test_an_output_near_a_border_stands_for_none(rows):
    module = memoize(Round().eval(), tolerance=0.2, margin=0.1, rows=rows)
    for x in (torch.tensor([[3.0]]), torch.tensor([[3.49]])):
        module(x)
    module(torch.tensor([[3.01]]))
    assert torch.equal(module(torch.tensor([[3.51]])), Round()(torch.tensor([[3.51]])))
    assert (module.stats().near_hits, module.stats().misses) == (1, 3)


def test_rows_near_to_one_near_a_border_are_computed():
    module = memoize(Round().eval(), tolerance=0.2, margin=0.1, rows=True)
    x = torch.tensor([[3.0], [3.49], [3.01], [3.51], [3.52]])
    found = module(x)
    assert torch.equal(found[[0, 1, 3, 4]], Round()(x[[0, 1, 3, 4]]))
    assert torch.equal(found[2], found[0])
    assert (module.stats().near_hits, module.stats().misses) == (1, 4)
    assert torch.equal(module(x), torch.cat([Round()(x[:2]), found[2:3], Round()(x[3:])]))


def test_each_row_has_its_output_when_a_margin_computes_some_again():
    linear = nn.Linear(4, 3).eval()
    module = memoize(linear, tolerance=0.1, margin=100.0, rows=True)
    a = torch.rand(1, 4)
    x = torch.cat([a, a + 0.01, torch.rand(1, 4) + 5])
    for _ in range(2):
        torch.testing.assert_close(module(x), linear(x))
    assert (module.stats().hits, module.stats().near_hits, module.stats().misses) == (3, 0, 3)


def test_what_stood_under_another_margin_stands_no_more():
    module = memoize(Round().eval(), tolerance=0.2, rows=True)
    module(torch.tensor([[3.4], [7.0]]))
    module.margin = 0.5
    x = torch.tensor([[3.55], [7.1]])
    assert torch.equal(module(x), Round()(x))
    assert torch.equal(module(torch.tensor([[7.15]])), Round()(x[1:]))


def test_a_margin_is_not_asked_for_without_a_tolerance():
    module = memoize(Nothing().eval(), margin=1.0)
    assert [module(torch.zeros(2)) for _ in range(2)] == [3, 3]
    assert module.stats().hits == 1


def test_a_margin_lets_a_calibration_meet_a_lower_rate():
    x = stream(1800, 0.03, d=2)
    module = memoize(Round().eval(), rows=True)
    with pytest.raises(errors.InvalidInput):
        module.calibrate(x, rate=0.006, differs=lambda a, b: a.argmax(1) != b.argmax(1))
    found = module.calibrate(x, rate=0.006)
    assert module.margin == found.margin > 0


# --- calibration -------------------------------------------------------------------------------
@pytest.mark.parametrize(("false", "n", "confidence"), [(0, 299, 0.95), (3, 1000, 0.99), (10, 20, 0.9)])
def test_the_bound_is_where_the_binomial_sum_meets(false, n, confidence):
    p = upper_bound(false, n, confidence)
    assert naive.at_most(false, n, p) == pytest.approx(1 - confidence, rel=1e-6)


def test_the_bound_of_none_and_all():
    assert upper_bound(0, 299, 0.95) == pytest.approx(1 - 0.05 ** (1 / 299))
    assert upper_bound(5, 5, 0.95) == 1
    assert 0.011 < upper_bound(50_000, 5_000_000, 0.95) * 1.15 < 0.013


def test_calibration_counts_as_a_loop():
    x = stream(300, 0.05).double().float()
    module = memoize(Round().eval(), rows=True)
    found = module.calibrate(x, rate=0.3, confidence=0.9, differs=lambda a, b: a.argmax(1) != b.argmax(1))
    outputs = Round()(x).argmax(1).tolist()
    pairs = naive.near_hits(x.double().numpy(), found.tolerance)
    assert (found.near_hits, found.false_hits) == (len(pairs), sum(outputs[i] != outputs[j] for i, j in pairs))
    assert found.bound <= 0.3
    assert module.tolerance == found.tolerance


def test_false_hits_stay_within_the_rate_on_another_stream():
    module = memoize(Round().eval(), rows=True)
    found = module.calibrate(stream(1500, 0.03, d=2), rate=0.02)
    assert found.near_hits > 500
    held_out = stream(4000, 0.03, d=2)[1500:]
    given_out = torch.cat([module(batch) for batch in held_out.split(50)])
    false = int((given_out.argmax(1) != Round()(held_out).argmax(1)).sum())
    assert module.stats().near_hits > 1000
    assert false <= 0.02 * module.stats().near_hits


def test_calibration_leaves_the_cache_alone_and_takes_batches_and_whole_inputs():
    x = stream(400, 0.01, d=3)
    by_rows, whole = memoize(Round().eval(), rows=True), memoize(Round().eval())
    one = by_rows.calibrate(x, rate=0.1, differs=0.5)
    two = by_rows.calibrate(x.split(33), rate=0.1, differs=0.5)
    three = whole.calibrate(x.split(1), rate=0.1, differs=0.5)
    assert one == two
    assert three.tolerance == pytest.approx(one.tolerance, rel=1e-3)
    assert by_rows.stats().items == 0
    assert by_rows.calibrate(x, rate=0.1, differs=lambda true, found: torch.zeros(len(true))).false_hits == 0


def test_equal_inputs_are_no_evidence():
    x = stream(100, 1.0)
    with pytest.raises(errors.InvalidInput, match="near hits are needed"):
        memoize(Round().eval(), rows=True).calibrate(x.repeat(50, 1), rate=0.01)


def test_calibration_says_what_is_wrong():
    module = memoize(Round().eval(), rows=True, tolerance=0.5)
    x = stream(300, 0.05)
    with pytest.raises(errors.EmptyBatch):
        module.calibrate([])
    for wrong in ({"rate": 0}, {"rate": 1}, {"confidence": 2}, {"differs": -1}, {"differs": None}):
        with pytest.raises(errors.InvalidParameter):
            module.calibrate(x, **wrong)
    with pytest.raises(errors.UnknownName):
        module.calibrate(x, differs="words")
    with pytest.raises(errors.InvalidShape, match="differs"):
        module.calibrate(x, rate=0.3, differs=lambda true, found: True)
    with pytest.raises(errors.InvalidInput, match="higher rate"):
        module.calibrate(x, rate=1e-6)
    with pytest.raises(errors.InvalidInput, match="eval"):
        module.train().calibrate(x)
    assert module.tolerance == 0.5
    with pytest.raises(errors.InvalidInput, match="without a tensor"):
        memoize(Nothing().eval(), rows=True).calibrate(x)


class Nothing(nn.Module):
    def forward(self, x):
        return 3


def test_calibration_of_other_shapes_is_refused():
    for d in (1, 0):
        module = memoize(nn.Linear(2, 1).eval() if d else Given(lambda x: x.sum(1)).eval(), rows=True)
        with pytest.raises(errors.InvalidShape, match="classes"):
            module.calibrate(torch.randn(50, 2))
        with pytest.raises(errors.InvalidInput, match="higher rate"):
            module.calibrate(torch.randn(50, 2), differs=0.5)
    with pytest.raises(errors.InvalidShape, match="one shape"):
        memoize(nn.Identity().eval(), rows=True).calibrate([torch.randn(2, 8), torch.randn(2, 9)])


class Given(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.forward = function


def test_all_near_but_one():
    """The nearest distances of a stream whose first inputs are equal but for rounding."""
    found = calibrated(torch.zeros(2000, 2), torch.zeros(2000, 3), lambda a, b: (a != b).any(1), 0.01, 0.95, False)
    assert (found.tolerance, found.near_hits) == (0, 1999)

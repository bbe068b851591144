"""Near hits: within the tolerance and never beyond, and rare enough when false."""

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
from mossy.nn.intermediate.near import LENGTH, Neighbours, distances, leaders, sketch


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
    found = stored.find(queries, 1.5)
    for query, key in zip(queries, found, strict=True):
        distances = (x - query).norm(dim=1)
        assert key == (bytes([int(distances.argmin())]) if distances.min() <= 1.5 else None)
    stored.keep(lambda key: key[0] % 2 == 0)
    assert len(stored.keys) == 100
    assert stored.find(x[:2], 1e-6) == [b"\0", None]


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
    assert len(stored.keys) <= 2 * module.stats().items + 64
    assert module.stats().bytes <= 60_000


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
    x = torch.randn(3, 4)
    module(x)
    assert torch.equal(module(x + torch.tensor([0.0, 5, 5, 5])), x)
    with pytest.raises(errors.InvalidDtype, match="embed"):
        memoize(nn.Identity().eval(), tolerance=0.1, embed=lambda x: 3)(x)
    with pytest.raises(errors.InvalidShape, match="embed"):
        memoize(nn.Identity().eval(), tolerance=0.1, rows=True, embed=lambda x: x[:1])(x)


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


def test_all_near_but_one():
    """The nearest distances of a stream whose first inputs are equal but for rounding."""
    found = calibrated(torch.zeros(2000, 2), torch.zeros(2000, 3), lambda a, b: (a != b).any(1), 0.01, 0.95, False)
    assert (found.tolerance, found.near_hits) == (0, 1999)

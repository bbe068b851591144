from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from tests.naive import encode as naive

from mossy.encode import ImageEncoder
from mossy.encode.framing import framed
from mossy.encode.patches import compete, start, whitening
from mossy.errors import EmptyMemory, InvalidInput, InvalidParameter, InvalidShape, NotFinite
from mossy.plasticity import Projection
from mossy.substrate.matrix import Matrix

DIGITS = (load_digits().data / 16).astype(np.float32)


def photos(n=30, shape=(9, 8, 2), seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, *shape)).cumsum(axis=1).cumsum(axis=2).reshape(n, -1).astype(np.float32)


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(1, 3)),
    size=st.integers(1, 5),
    stride=st.integers(1, 3),
    grid=st.integers(1, 4),
    polarity=st.booleans(),
    power=st.sampled_from([1.0, 0.5, 0.7]),
    bias=st.sampled_from([0.0, 0.4]),
)
def test_follows_its_equation(shape, size, stride, grid, polarity, power, bias):
    x = photos(6, shape)
    encoder = ImageEncoder(
        shape, 5, size, stride, grid, bias=bias, polarity=polarity, power=power, samples=60, seed=3
    ).learn(x)
    found = encoder.encode(x)
    assert found.shape == (6, encoder.units)
    assert found.dtype == np.float32
    patch = min(size, shape[0]), min(size, shape[1])
    for i in (0, 5):
        expected = naive.image(x[i].reshape(shape), patch, stride, grid, encoder._learned, bias, polarity, power)
        np.testing.assert_allclose(found[i], expected, rtol=2e-3, atol=2e-3)


def test_units_learn_as_the_loops_do():
    rng = np.random.default_rng(0)
    patches = rng.normal(size=(700, 6)).astype(np.float32)
    units = start(patches, 9, rng)
    wins = np.zeros(9, np.int64)
    expected, expected_wins = naive.compete(patches, units, wins)
    compete(patches, units, wins)
    np.testing.assert_allclose(units, expected, atol=1e-4)
    assert wins.tolist() == expected_wins
    assert wins.sum() == 700


def test_whitened_patches_are_not_alike():
    x = photos(500, (1, 6, 1))
    mean, z = whitening(x, 1e-6)
    np.testing.assert_allclose(np.cov(((x - mean) @ z).T), np.eye(6), atol=0.02)


@pytest.mark.parametrize("polarity", [False, True])
@pytest.mark.parametrize(("size", "stride"), [(3, 1), (4, 2)])
def test_a_mirror_image_has_the_same_pattern(size, stride, polarity):
    shape = (9, 8, 2)
    x = photos(shape=shape)
    mirrored = x.reshape(-1, *shape)[:, :, ::-1].reshape(len(x), -1)
    make = {"size": size, "stride": stride, "grid": 3, "polarity": polarity, "seed": 1}
    encoder = ImageEncoder(shape, 7, mirror=True, **make).learn(x)
    np.testing.assert_allclose(encoder.encode(mirrored), encoder.encode(x), rtol=1e-3, atol=1e-4)
    plain = ImageEncoder(shape, 7, **make).learn(x)
    cells = plain.encode(mirrored).reshape(len(x), 3, -1, 7 * (1 + polarity))
    assert np.abs(cells - plain.encode(x).reshape(cells.shape)).max() > 0.1


def test_mirror_is_the_sum_of_both_images():
    shape = (8, 9)
    x = photos(shape=(*shape, 1))
    mirrored = x.reshape(-1, *shape)[:, :, ::-1].reshape(len(x), -1)
    both = ImageEncoder(shape, 7, 3, mirror=True).learn(x).encode(x).reshape(len(x), 3, 3, 7)
    plain = ImageEncoder(shape, 7, 3).learn(x)
    seen = plain.encode(x).reshape(both.shape)
    np.testing.assert_allclose(
        both, seen + plain.encode(mirrored).reshape(both.shape)[:, :, ::-1][:, :, ::-1], rtol=1e-3, atol=1e-4
    )


@settings(max_examples=20, deadline=None)
@given(gain=st.floats(1e-3, 1e4), offset=st.floats(-3, 3))
def test_brightness_and_unit_do_not_matter(gain, offset):
    x = DIGITS[:40]
    one = ImageEncoder((8, 8), 12, 4).learn(x)
    other = ImageEncoder((8, 8), 12, 4).learn(gain * (x + offset))
    np.testing.assert_allclose(other.encode(gain * (x + offset)), one.encode(x), rtol=0.02, atol=0.01)


@settings(max_examples=20, deadline=None)
@given(down=st.integers(0, 6), across=st.integers(0, 6), frame=st.sampled_from(["centred", "scaled"]))
def test_a_frame_moves_with_what_is_shown(down, across, frame):
    x = np.zeros((10, 14, 15, 1), np.float32)
    x[:, 3:11, 4:12, 0] = DIGITS[:10].reshape(-1, 8, 8)
    moved = np.roll(x, (down - 3, across - 4), axis=(1, 2))
    np.testing.assert_allclose(framed(moved, frame), framed(x, frame), atol=1e-5)
    middle = (framed(x, "centred")[0, :, :, 0].sum(axis=1) * np.arange(14)).sum() / x[0].sum()
    assert middle == pytest.approx(6.5, abs=1e-3)


def test_a_frame_brings_to_one_size():
    r = np.arange(40) - 18.0
    blobs = [np.exp(-(r[:, None] ** 2 + (r - 3) ** 2) / (2 * spread**2)) for spread in (2.5, 4.0)]
    given = np.stack(blobs)[..., None].astype(np.float32)
    small, large = framed(given, "scaled")
    assert np.abs(small - large).max() < 0.1 < np.abs(given[0] - given[1]).max()
    flat = np.full((1, 5, 5, 2), 3.0, np.float32)
    np.testing.assert_array_equal(framed(flat, "scaled"), flat)


def test_one_by_one_is_as_batched():
    encoder = ImageEncoder((8, 8), 12, 4, stride=2).learn(DIGITS[:50])
    batched = encoder.encode(DIGITS[:20])
    for i in range(20):
        np.testing.assert_allclose(encoder.encode(DIGITS[i]), batched[i], rtol=1e-5, atol=1e-6)


def test_goes_on_learning_where_it_ended():
    encoder = ImageEncoder((8, 8), 10, 4, samples=300).learn(DIGITS[:100])
    before = encoder.state()
    encoder.learn(DIGITS[100:200])
    after = encoder.state()
    assert after["learned.wins"].sum() > before["learned.wins"].sum()
    assert (after["learned.w"] != before["learned.w"]).any()
    for kept in ("mean", "z", "floor"):
        np.testing.assert_array_equal(after[f"learned.{kept}"], before[f"learned.{kept}"])


def test_random_units_do_not_learn():
    encoder = ImageEncoder((8, 8), 10, 4, learning="random").learn(DIGITS[:100])
    before = encoder.state()["learned.w"]
    np.testing.assert_array_equal(encoder.learn(DIGITS[100:]).state()["learned.w"], before)


def test_state_round_trip_and_determinism():
    encoder = ImageEncoder((8, 8), 10, 4, grid=2, polarity=True, mirror=True, frame="scaled", seed=5).learn(DIGITS[:60])
    again = ImageEncoder.from_state(encoder.state())
    np.testing.assert_array_equal(again.encode(DIGITS[:9]), encoder.encode(DIGITS[:9]))
    np.testing.assert_array_equal(again.learn(DIGITS).encode(DIGITS[:9]), encoder.learn(DIGITS).encode(DIGITS[:9]))
    same = (
        ImageEncoder((8, 8), 10, 4, grid=2, polarity=True, mirror=True, frame="scaled", seed=5)
        .learn(DIGITS[:60])
        .learn(DIGITS)
    )
    np.testing.assert_array_equal(same.encode(DIGITS[:9]), encoder.encode(DIGITS[:9]))
    assert encoder.nbytes > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 2, 3)])
def test_small_and_flat_images(shape):
    d = int(np.prod(shape))
    x = np.ones((3, d))
    found = ImageEncoder(shape, 4).learn(x).encode(x)
    assert np.isfinite(found).all()


def test_a_matrix_reads_digits_through_it():
    encoder = ImageEncoder((8, 8), 40, 4, grid=2).learn(DIGITS[:300])
    labels = np.eye(10)[load_digits().target]
    plain, through = Matrix(64, 10, Projection(1.0)), Matrix(64, 10, Projection(1.0), encoder=encoder)
    scores = []
    for memory in (plain, through):
        memory.write(DIGITS[:1000], labels[:1000])
        scores.append((memory.read(DIGITS[1000:]).argmax(axis=1) == labels[1000:].argmax(axis=1)).mean())
    assert scores[1] > scores[0] + 0.02


@pytest.mark.parametrize(
    "wrong",
    [
        {"shape": (8,)},
        {"shape": (8, 0)},
        {"shape": (8, 8, 1, 1)},
        {"patches": 0},
        {"size": 0},
        {"stride": 0},
        {"mirror": True, "size": 3, "stride": 2},
        {"grid": 0},
        {"bias": -1.0},
        {"polarity": 1},
        {"mirror": "no"},
        {"power": 0.0},
        {"power": 2.0},
        {"frame": "golden"},
        {"contrast": 0.0},
        {"whiten": 0.0},
        {"learning": "by heart"},
        {"samples": 0},
        {"seed": -1},
    ],
)
def test_bad_parameters(wrong):
    with pytest.raises(InvalidInput):
        ImageEncoder(**({"shape": (8, 8)} | wrong))


def test_bad_images():
    encoder = ImageEncoder((8, 8), 4)
    with pytest.raises(EmptyMemory):
        encoder.encode(DIGITS[:2])
    with pytest.raises(InvalidShape):
        encoder.learn(DIGITS[:, :60])
    with pytest.raises(NotFinite):
        encoder.learn(np.full((2, 64), np.nan))
    encoder.learn(DIGITS[:10])
    with pytest.raises(InvalidShape):
        encoder.encode(DIGITS[:, :60])
    with pytest.raises(InvalidParameter):
        ImageEncoder((8, 8), "many")

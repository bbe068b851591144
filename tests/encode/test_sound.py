from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.naive import encode as naive

from mossy.encode import SoundEncoder
from mossy.encode.sound import mel_filters
from mossy.errors import InvalidInput, InvalidShape, NotFinite

RATE = 2000.0
SMALL = {"rate": RATE, "bands": 6, "steps": 4, "window": 0.03, "hop": 0.01}


def chirp(n=400, seed=0):
    t = np.arange(n) / RATE
    rng = np.random.default_rng(seed)
    return (np.sin(2 * np.pi * (150 + 900 * t) * t) * np.hanning(n) + 0.01 * rng.normal(size=n)).astype(np.float32)


@pytest.mark.parametrize(("d", "steps", "deltas"), [(400, 4, True), (333, 3, False), (40, 2, True), (60, 5, True)])
def test_follows_its_equation(d, steps, deltas):
    x = chirp(d)
    encoder = SoundEncoder(d, **(SMALL | {"steps": steps, "deltas": deltas}))
    found = encoder.encode(x)
    assert found.shape == (encoder.units,)
    assert found.dtype == np.float32
    expected = naive.sound(x, RATE, 6, steps, 0.03, 0.01, 60.0, 1000.0, deltas, 60.0, 30.0)
    np.testing.assert_allclose(found, expected, atol=2e-3)


@settings(max_examples=20, deadline=None)
@given(before=st.integers(0, 20), gain=st.floats(1e-4, 1e4), after=st.integers(0, 300))
def test_silence_and_loudness_do_not_matter(before, gain, after):
    x = chirp()
    alone = SoundEncoder(400, **SMALL).encode(x)
    padded = np.concatenate([np.zeros(before * 20), gain * x, np.zeros(after)])
    found = SoundEncoder(len(padded), **SMALL).encode(padded)
    np.testing.assert_allclose(found, alone, atol=0.02)


def test_a_tone_sounds_in_its_band():
    encoder = SoundEncoder(800, rate=RATE, bands=8, steps=2, deltas=False)
    edges = 700 * np.expm1(np.linspace(np.log1p(60 / 700), np.log1p(1000 / 700), 10))
    t = np.arange(800) / RATE
    for band in range(8):
        found = encoder.encode(np.sin(2 * np.pi * edges[band + 1] * t)).reshape(2, 8)
        assert (found.argmax(axis=1) == band).all()


def test_filters_have_area_one_even_where_they_fall_between():
    filters = mel_filters(60, 64, 8000.0, 60.0, 4000.0)
    np.testing.assert_allclose(filters.sum(axis=1), 1, rtol=1e-5)


def test_one_by_one_is_as_batched():
    x = np.stack([chirp(seed=seed) for seed in range(70)])
    encoder = SoundEncoder(400, **SMALL)
    batched = encoder.encode(x)
    for i in (0, 1, 63, 64, 69):
        np.testing.assert_allclose(encoder.encode(x[i]), batched[i], atol=1e-5)


@pytest.mark.parametrize("d", [1, 2, 50, 500])
@pytest.mark.parametrize("level", [0.0, 1.0, -1e-30, 1e12])
def test_silence_and_short_recordings_have_patterns(d, level):
    found = SoundEncoder(d, **SMALL).encode(np.full((2, d), level))
    assert np.isfinite(found).all()
    assert SoundEncoder(d, **SMALL).nbytes > 0


def test_state_round_trip():
    encoder = SoundEncoder(400, **SMALL, low=100.0, high=800.0, silence=20.0)
    again = SoundEncoder.from_state(encoder.state())
    assert again.state() == encoder.state()
    np.testing.assert_array_equal(again.encode(chirp()), encoder.encode(chirp()))


@pytest.mark.parametrize(
    "wrong",
    [
        {"d": 0},
        {"rate": 0.0},
        {"bands": 0},
        {"steps": 0},
        {"window": 0.0},
        {"hop": -1.0},
        {"low": 5000.0},
        {"low": 3000.0, "high": 2000.0},
        {"high": 4001.0},
        {"deltas": 1},
        {"range": 0.0},
        {"silence": 0.0},
    ],
)
def test_bad_parameters(wrong):
    with pytest.raises(InvalidInput):
        SoundEncoder(**({"d": 100} | wrong))


def test_bad_recordings():
    encoder = SoundEncoder(400, **SMALL)
    with pytest.raises(InvalidShape):
        encoder.encode(np.zeros(300))
    with pytest.raises(NotFinite):
        encoder.encode(np.full(400, np.nan))

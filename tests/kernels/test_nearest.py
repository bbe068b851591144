"""The nearest centre by signs is the nearest of all, or hardly farther."""

from __future__ import annotations

import numpy as np
import pytest

from mossy.kernels.nearest import COMPARED, nearest, shortlist, signs


def made(seed, n, c, size):
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(c, size)).astype(np.float32)
    patterns = centres[rng.integers(c, size=n)] + rng.normal(size=(n, size)).astype(np.float32)
    return centres, patterns.astype(np.float32)


def bits_of(patterns, middle):
    words = np.empty((len(patterns), patterns.shape[1] // 64), np.uint64)
    signs(patterns, middle, words)
    return words


def unlike(a, b):
    """Count the bits in which each of ``a (n, W)`` differs from each of ``b (c, W)``, in the plain way."""
    return np.bitwise_count(a[:, None] ^ b[None]).sum(axis=2)


@pytest.mark.parametrize("size", [64, 128, 256, 320, 448])
def test_signs_are_those_of_the_entries(size):
    centres, _ = made(0, 1, 30, size)
    middle = centres.mean(axis=0)
    there = np.unpackbits(bits_of(centres, middle).view(np.uint8), axis=1, bitorder="little").astype(bool)
    np.testing.assert_array_equal(there, centres > middle)


@pytest.mark.parametrize("few", [1, 5, 40, 1000])
@pytest.mark.parametrize("size", [64, 192, 256, 448])
def test_a_shortlist_has_those_that_differ_least(size, few):
    centres, patterns = made(1, 20, 300, size)
    middle = centres.mean(axis=0)
    bits, words = bits_of(centres, middle), bits_of(patterns, middle)
    room = np.empty(300, np.uint16), np.empty(size + 1, np.int64), np.empty(301, np.int64)
    for word, far in zip(words, unlike(words, bits), strict=True):
        found = room[2][: shortlist(np.ascontiguousarray(bits.T), word, few, *room)]
        cut = np.sort(far)[min(few, 300) - 1]
        np.testing.assert_array_equal(found, np.flatnonzero(far <= cut))


@pytest.mark.parametrize("size", [64, 256])
def test_the_nearest_is_found(size):
    centres, patterns = made(2, 500, 600, size)
    middle, halves = centres.mean(axis=0), 0.5 * (centres**2).sum(axis=1)
    found = np.zeros(500, np.int64)
    nearest(patterns, middle, centres, halves, np.ascontiguousarray(bits_of(centres, middle).T), found)
    squares = ((patterns[:, None] - centres[None]) ** 2).sum(axis=2)
    assert COMPARED < 600
    assert (found == squares.argmin(axis=1)).mean() > 0.97
    assert squares[np.arange(500), found].mean() < 1.005 * squares.min(axis=1).mean()

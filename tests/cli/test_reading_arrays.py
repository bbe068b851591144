"""``.npy`` and ``.npz``: arrays of any axes, and what cannot be read."""

from __future__ import annotations

import re

import numpy as np
import pytest
from tests.cli.writing import NAMED, PLAIN, archive, fails, gather, npy, npz

from mossy.cli.reading import Options


@pytest.mark.parametrize("shape", [(6,), (4, 6), (4, 2, 3), (4, 1, 3, 2)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_any_axes(shape, order):
    array = np.asarray(np.arange(np.prod(shape)).reshape(shape), np.int16, order=order)
    [one], name = gather(npy(array, None), ".npy")
    assert np.array_equal(one.patterns, array.reshape(-1, 6))
    assert one.place(len(one) - 1) == f"{name}, row {len(one) - 1}"


ARRAYS_THAT_FAIL = {
    "of text": (npy(np.array(["a", "b"]), None), ".npy", r"the array has dtype <U1; booleans, integers and floats"),
    "complex": (npy(np.ones((2, 2), complex), None), ".npy", r"the array has dtype complex128"),
    "of one number": (npy(np.float64(1), None), ".npy", r"the array has shape \(\); \(d,\) or \(n, d\) is allowed"),
    "without neurons": (npy(np.ones((2, 0)), None), ".npy", r"the array has shape \(2, 0\)"),
    "without rows": (npy(np.ones((0, 2)), None), ".npy", r"no pattern was given in it|cannot be read as an array"),
    "with NaN": (npy(np.array([[1.0, 2], [3, np.nan]]), None), ".npy", r"row 1: entry 1 is missing"),
    "an archive": (npz(np.ones((2, 2)), ["a", "b"]), ".npy", r"it cannot be read as an array"),
    "no archive": (npy(np.ones((2, 2)), None), ".npz", r"it is one array, and no archive"),
}


@pytest.mark.parametrize(("content", "suffix", "says"), ARRAYS_THAT_FAIL.values(), ids=ARRAYS_THAT_FAIL)
def test_an_array_that_cannot_be_read(content, suffix, says):
    assert re.search(says, fails(content, suffix))


X = np.arange(6.0).reshape(3, 2)

ARCHIVES_THAT_FAIL = {
    "empty": ({}, PLAIN, r"no column is left"),
    "two arrays": ({"a": X, "b": X}, PLAIN, r"'a' was given; beside 'patterns' are allowed 'values' and 'payload'"),
    "one too many": ({"patterns": X, "b": X}, PLAIN, r"'b' was given; beside 'patterns' are allowed"),
    "no such payload": ({"patterns": X}, NAMED, r"--payload 'name' was given; its columns are 'patterns'"),
    "fewer payloads": ({"patterns": X, "payload": [1, 2]}, PLAIN, r"'payload' has shape \(2,\), and there are 3"),
    "one payload": ({"patterns": X, "payload": 1}, PLAIN, r"'payload' has shape \(\), and there are 3 patterns"),
    "more values": ({"patterns": X, "values": np.ones((4, 1))}, PLAIN, r"'values' has shape \(4, 1\), and there"),
    "values of text": ({"patterns": X, "values": ["a", "b", "c"]}, PLAIN, r"values has dtype <U1"),
    "NaN in a value": ({"patterns": X, "values": X * np.nan}, PLAIN, r"row 0: entry 0 of its value is missing"),
    "pickled": ({"patterns": X, "payload": np.array([{}, {}, {}])}, PLAIN, r"cannot be read as arrays .*pickle"),
}


@pytest.mark.parametrize(("named", "options", "says"), ARCHIVES_THAT_FAIL.values(), ids=ARCHIVES_THAT_FAIL)
def test_an_archive_that_cannot_be_read(named, options, says):
    told = fails(archive(**named), ".npz", options)
    assert re.search(says, told), told


def test_an_archive_of_other_names():
    content = archive(x=X, y=np.array([1, 2, 3]), z=X, rest=0)
    [one], _ = gather(content, ".npz", Options(payload=("y", "z"), ignore=("rest",)))
    assert np.array_equal(one.patterns, X)
    assert [told["y"] for told in one.payload] == [1, 2, 3]
    assert np.array_equal(one.payload[2]["z"], X[2])
    assert np.array_equal(gather(archive(x=X), ".npz")[0][0].patterns, X)

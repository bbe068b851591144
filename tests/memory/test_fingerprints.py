"""Fingerprints: equal patterns are found among all rows, whatever came, left or moved."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mossy.memory import fingerprints as module
from mossy.memory.fingerprints import Fingerprints

POOL = np.random.default_rng(0).normal(size=(30, 4)).astype(np.float32)

happenings = st.lists(
    st.tuples(
        st.sampled_from(["store", "find", "compact", "truncate"]),
        st.lists(st.integers(0, len(POOL) - 1), min_size=1, max_size=12),
    ),
    max_size=30,
)


@pytest.fixture(params=[1, 4, 4096])
def recent(request, monkeypatch):
    monkeypatch.setattr(module, "RECENT", request.param)


@given(happened=happenings)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_all_equal_rows_are_found_and_no_other(recent, happened):
    prints, rows = Fingerprints(), []  # which of the pool is in each row
    for what, which in happened:
        keys = POOL[rows].reshape(-1, 4)
        if what == "store":
            rows += which
        elif what == "find":
            found = prints.find(POOL[which], keys)
            assert found == [[row for row, one in enumerate(rows) if one == i] for i in which]
            assert prints.find(POOL[which[:1]], keys) == found[:1]
        elif what == "compact":
            kept = [row for row in range(len(rows)) if row not in which]
            place = np.full(len(rows), -1, np.intp)
            place[kept] = np.arange(len(kept))
            rows = [rows[row] for row in kept]
            prints.moved(place)
        else:
            rows = rows[: which[0]]
            prints.truncate(len(rows))
    every = np.arange(len(POOL))
    found = prints.find(POOL[every], POOL[rows].reshape(-1, 4))
    assert found == [[row for row, one in enumerate(rows) if one == i] for i in every.tolist()]


def test_rows_that_stay_are_not_hashed_again(monkeypatch):
    prints = Fingerprints()
    keys = np.random.default_rng(1).normal(size=(10_000, 8)).astype(np.float32)
    prints.find(keys[:1], keys[:9000])
    kept = np.arange(1, 9000, 2)
    place = np.full(9000, -1, np.intp)
    place[kept] = np.arange(len(kept))
    prints.moved(place)
    hashed = []
    hash_them = Fingerprints._hash
    monkeypatch.setattr(Fingerprints, "_hash", lambda self, given: hashed.append(len(given)) or hash_them(self, given))
    assert prints.find(keys[7:8], keys[kept]) == [[3]]
    assert hashed == [1]


def test_a_row_takes_eight_bytes():
    prints = Fingerprints()
    keys = np.random.default_rng(2).normal(size=(50_000, 3)).astype(np.float32)
    for n in (20_000, 30_000, 50_000):
        prints.find(keys[:1], keys[:n])
        assert prints.nbytes == 8 * n

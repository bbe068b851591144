"""Links: bounded, fading, both ways, and gone when what they link is gone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.pathway import Links
from mossy.strength import benna_fusi, power_law, two_phase

LAWS = {"two_phase": two_phase, "power_law": power_law, "benna_fusi": benna_fusi}


def as_matrix(links: Links, n: int, now: float) -> np.ndarray:
    """Return ``min(L_ji, 1)`` as a matrix, row j what j excites."""
    matrix = np.zeros((n, n))
    targets, strength = links.of(np.arange(n), now)
    for j in range(n):
        for target, amount in zip(targets[j], strength[j], strict=True):
            if target >= 0:
                matrix[j, target] += amount
    return matrix


def test_neighbours_in_a_batch_are_linked_both_ways():
    links = Links(4, two_phase())
    links.append(4, 0.0, None)
    assert as_matrix(links, 4, 0.0).tolist() == (np.eye(4, k=1) + np.eye(4, k=-1)).tolist()


def test_a_batch_is_linked_with_what_was_stored_before_it():
    links = Links(4, two_phase())
    links.append(2, 0.0, None)
    links.append(2, 0.0, 1)
    assert as_matrix(links, 4, 0.0).tolist() == (np.eye(4, k=1) + np.eye(4, k=-1)).tolist()


@pytest.mark.parametrize("most", [1, 2])
@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_places(most, n):
    links = Links(most, two_phase())
    links.append(n, 0.0, None)
    matrix = as_matrix(links, n, 0.0)
    assert ((matrix > 0).sum(axis=1) <= most).all()
    assert (matrix > 0).sum(axis=1).tolist() == [min(most, (i > 0) + (i < n - 1)) for i in range(n)]
    assert np.diag(matrix).sum() == 0


pairs = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.floats(0, 2), st.floats(0, 1000)), min_size=1, max_size=30
)


@pytest.mark.parametrize("name", LAWS)
@given(happened=pairs)
def test_links_are_the_sum_of_their_events_while_there_is_room(name, happened):
    """``ΔL_ij = ΔL_ji = a_i a_j``, fading by the law, at most 1 when it excites."""
    law, n = LAWS[name](), 6
    links = Links(5, law)  # room for a link to everyone
    links.append(n, 0.0, None)
    expected = [[0.0] * n for _ in range(n)]
    events = [(i, i + 1, 1.0, 0.0) for i in range(n - 1)]
    now = 0.0
    for i, j, amount, elapsed in happened:
        now += elapsed
        links.strengthen(np.array([i]), np.array([j]), np.array([amount]), now)
        if i != j:
            events.append((i, j, amount, now))
    for i, j, amount, when in events:
        r = float(law.response(now - when))
        expected[i][j] += amount * r
        expected[j][i] += amount * r
    assert as_matrix(links, n, now) == pytest.approx(np.minimum(expected, 1.0), rel=1e-3, abs=1e-5)


@given(happened=pairs, most=st.integers(1, 3))
def test_links_are_bounded_and_only_fade(happened, most):
    links = Links(most, two_phase(10.0, 1000.0, 0.01))
    links.append(6, 0.0, None)
    held = links.nbytes
    now = 0.0
    for i, j, amount, elapsed in happened:
        now += elapsed
        links.strengthen(np.array([i]), np.array([j]), np.array([amount]), now)
        matrix = as_matrix(links, 6, now)
        assert ((matrix > 0).sum(axis=1) <= most).all()
        assert (matrix <= 1).all()
        assert (np.diag(matrix) == 0).all()
        assert (as_matrix(links, 6, now + 5.0) <= matrix + 1e-7).all()
    assert links.nbytes == held


def test_a_new_link_takes_the_place_of_the_weakest_only_if_it_is_stronger():
    links = Links(2, two_phase())
    links.append(5, 0.0, None)
    row = np.array([2])  # linked with 1 and 3 by 1
    links.strengthen(row, np.array([0]), np.array([0.5]), 0.0)
    assert set(links.of(row, 0.0)[0][0].tolist()) == {1, 3}
    links.strengthen(row, np.array([3]), np.array([0.5]), 0.0)
    links.strengthen(row, np.array([0]), np.array([1.2]), 0.0)
    assert set(links.of(row, 0.0)[0][0].tolist()) == {0, 3}


@given(st.integers(0, 999))
def test_spread_is_the_product_with_the_matrix(seed):
    rng = np.random.default_rng(seed)
    links = Links(3, two_phase())
    links.append(8, 0.0, None)
    for _ in range(10):
        links.strengthen(rng.integers(0, 8, 1), rng.integers(0, 8, 1), rng.uniform(0, 2, 1), 0.0)
    now = 100.0
    rows = np.sort(rng.choice(8, 4, replace=False))
    activity = rng.uniform(0.1, 1, 4)
    full = np.zeros(8)
    full[rows] = activity
    reached, amount = links.spread(rows, activity, now)
    got = np.zeros(8)
    got[reached] = amount
    assert got == pytest.approx(as_matrix(links, 8, now).T @ full, rel=1e-6, abs=1e-9)
    assert np.array_equal(np.unique(reached), reached)


def test_what_is_erased_is_linked_with_nothing():
    links = Links(4, two_phase())
    links.append(6, 0.0, None)
    links.erase(np.array([2, 3]))
    matrix = as_matrix(links, 6, 0.0)
    assert matrix[[2, 3]].sum() == matrix[:, [2, 3]].sum() == 0
    assert matrix[0, 1] == matrix[4, 5] == 1


def test_kept_rows_keep_their_links_under_new_numbers():
    links = Links(4, two_phase())
    links.append(6, 0.0, None)
    links.strengthen(np.array([0]), np.array([5]), np.array([0.5]), 0.0)
    before = as_matrix(links, 6, 10.0)
    kept = np.array([0, 1, 4, 5])
    for column in links.columns():
        column.put(column.rows[kept])
    links.moved(np.array([0, 1, -1, -1, 2, 3]))
    assert as_matrix(links, 4, 10.0) == pytest.approx(before[np.ix_(kept, kept)])


def test_state_is_restored():
    one, other = Links(3, two_phase()), Links(3, two_phase())
    one.append(5, 0.0, None)
    one.strengthen(np.array([0]), np.array([3]), np.array([0.7]), 4.0)
    other.restore(one.state())
    assert np.array_equal(as_matrix(one, 5, 9.0), as_matrix(other, 5, 9.0))
    one.state()["target"][:] = 0
    assert np.array_equal(as_matrix(one, 5, 9.0), as_matrix(other, 5, 9.0))

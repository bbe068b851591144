"""Links: bounded, fading, both ways, and gone when what they link is gone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.naive import links as naive

from mossy.journal import state_dtype
from mossy.pathway import Links, association
from mossy.strength import LinearLaw, benna_fusi, power_law, two_phase

LAWS = {"two_phase": two_phase, "power_law": power_law, "benna_fusi": benna_fusi}
STEP = 2.0**-10  # by which a float16 is off, at most, when it is rounded up or down


@pytest.fixture(params=["numpy", "compiled"])
def path(request, monkeypatch):
    """Take one of the two paths, however small the memory is."""
    monkeypatch.setattr(association, "FEW", -1 if request.param == "compiled" else 10**9)


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
    """``ΔL_ij = ΔL_ji = a_i a_j``, fading by the law of links, at most 1 when it excites."""
    law, n = LAWS[name]().coarse(2), 6
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
    rounded = (1 + STEP) ** (len(happened) + 1) - 1
    assert as_matrix(links, n, now) == pytest.approx(np.minimum(expected, 1.0), rel=rounded, abs=1e-5)


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


def test_eight_links_take_72_bytes():
    links = Links(8, power_law())
    links.append(1000, 0.0, None)
    assert links.nbytes == 72 * 1000


@pytest.mark.parametrize("law", [power_law(), two_phase(), benna_fusi(1), power_law(modes=3)], ids=lambda law: law.name)
@pytest.mark.parametrize("most", [1, 5])
def test_a_record_of_the_file_holds_them_bit_by_bit(law, most):
    links, other = Links(most, law), Links(most, law)
    links.append(4, 3.0, None)
    links.strengthen(np.array([0]), np.array([2]), np.array([1.7]), 5.0)
    records = np.zeros(4, state_dtype(law.modes, most))
    ids = np.array([3, 5, 8, 9])
    links.describe(np.arange(4), ids, records, np.empty(0, np.intp))
    other.adopt(4)
    other.put(np.arange(4), records, lambda given: (np.searchsorted(ids, given), np.isin(given, ids)))
    for name, array in links.state().items():
        assert array.tobytes() == other.state()[name].tobytes()


# -- the naive reference ------------------------------------------------------------------------------------------

N = 6
events = st.lists(
    st.one_of(
        st.tuples(
            st.just("strengthen"),
            st.lists(
                st.tuples(st.integers(0, N - 1), st.integers(0, N - 1), st.sampled_from([0.0, 1e-4, 0.3, 1.0, 9e4])),
                max_size=8,
            ),
            st.sampled_from([0.0, 1e-3, 1.0, 700.0, 1e9]),
        ),
        st.tuples(st.just("erase"), st.integers(0, N - 1), st.just(0.0)),
        st.tuples(st.just("compact"), st.just(0), st.just(0.0)),
    ),
    max_size=12,
)


@pytest.mark.parametrize("name", ["two_phase", "power_law"])
@given(happened=events, most=st.integers(1, 3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_they_are_those_of_the_loops(path, name, happened, most):
    """Bit by bit, and whatever is erased is gone at once, though it is taken out later."""
    law = LAWS[name]()
    links, model = Links(most, law), naive.Links(most, law.coarse(2).rates.tolist(), law.coarse(2).readout.tolist())
    links.append(N, 0.0, None)
    model.append(N, 0.0)
    names, now = list(range(N)), 0.0  # the model's name of each row
    alive = set(names)
    for what, which, elapsed in happened:
        now += elapsed
        if what == "strengthen":
            some = [(i, j, a) for i, j, a in which if i in alive and j in alive]
            rows = np.array([(names.index(i), names.index(j)) for i, j, _ in some], np.intp).reshape(-1, 2)
            links.strengthen(rows[:, 0], rows[:, 1], np.array([a for _, _, a in some], np.float64), now)
            model.strengthen(some, now)
        elif what == "erase" and which in alive and len(alive) > 1:
            alive.remove(which)
            row = np.array([names.index(which)])
            pointing = {names[i] for i in links.pointing(row).tolist()}
            assert pointing == {i for i in alive if which in model.targets(i)}
            links.erase(row)
            model.erase(which)
        elif what == "compact":
            kept = np.array([row for row, one in enumerate(names) if one in alive])
            place = np.full(len(names), -1)
            place[kept] = np.arange(len(kept))
            for column in links.columns():
                column.put(column.rows[kept])
            links.moved(place)
            names = [names[row] for row in kept.tolist()]
            assert not np.isin(links._target.rows, -1)[links._modes.rows.any(axis=2)].any()
        check_same(links, model, names, alive, now)


def check_same(links: Links, model: naive.Links, names: list[int], alive: set[int], now: float) -> None:
    state = links.state()
    records = np.zeros(len(names), state_dtype(links.law.modes, links.most))
    links.describe(np.arange(len(names)), np.array(names), records, np.empty(0, np.intp))
    for row, one in enumerate(names):
        there = state["target"][row] >= 0
        held = {
            names[target]: modes.tolist()
            for target, modes in zip(state["target"][row][there], state["modes"][row][there], strict=True)
        }
        assert held == model.held(one)
        assert not state["modes"][row][~there].any()
        assert set(records["targets"][row].tolist()) - {-1} == set(held)
        assert records["linked"][row].tobytes() == state["modes"][row].tobytes()
    rows = np.array([row for row, one in enumerate(names) if one in alive])
    activity = np.linspace(0.2, 1.0, len(rows))
    reached, amounts = links.spread(rows, activity, now)
    expected = model.spread({names[row]: a for row, a in zip(rows.tolist(), activity.tolist(), strict=True)}, now)
    assert [names[row] for row in reached.tolist()] == sorted(expected)
    assert amounts == pytest.approx([expected[one] for one in sorted(expected)], rel=1e-12)


@given(happened=pairs, at_once=st.integers(1, 9))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_batch_is_its_pairs_one_after_the_other(path, happened, at_once):
    one, other = Links(2, power_law()), Links(2, power_law())
    for links in (one, other):
        links.append(6, 0.0, None)
    now = 0.0
    for first in range(0, len(happened), at_once):
        some = happened[first : first + at_once]
        now += some[0][3]
        i, j, a = (np.array(part) for part in list(zip(*some, strict=True))[:3])
        one.strengthen(i, j, a.astype(np.float64), now)
        for p in range(len(some)):
            other.strengthen(i[p : p + 1], j[p : p + 1], a[p : p + 1].astype(np.float64), now)
    for name, array in one.state().items():
        assert np.array_equal(array, other.state()[name])


# -- float16 ------------------------------------------------------------------------------------------------------


def lone(law: LinearLaw) -> Links:
    links = Links(2, law)
    links.adopt(3)
    return links


@pytest.mark.parametrize("moves", [0.0, 1e-3])
def test_small_amounts_add_up_also_where_no_float16_lies_so_close(path, moves):
    """At 3 the next float16 is 0.002 away: to the nearest, 0.0002 would be lost every time, and the link stay at 3."""
    links, now = lone(power_law(fastest=1e6, slowest=1e9)), 0.0
    links.strengthen(np.array([0]), np.array([1]), np.array([3.0]), now)
    for _ in range(5000):
        now += moves
        links.strengthen(np.array([0]), np.array([1]), np.array([2e-4]), now)
    assert links.state()["modes"][0].max() == pytest.approx(4.0, rel=0.02)


def test_what_is_written_often_fades_as_what_is_not(path):
    """Each time, the link fades by less than a float16 can tell."""
    links, often = lone(power_law(fastest=1e4, slowest=1e5)), 5000
    links.strengthen(np.array([0]), np.array([1]), np.array([0.9]), 0.0)
    for i in range(often):
        links.strengthen(np.array([0]), np.array([2]), np.array([1e-3]), 2.0 * i)
    targets, strength = links.of(np.array([0]), 2.0 * often)
    assert strength[targets == 1] == pytest.approx(0.9 * links.law.response(2.0 * often), rel=0.03)


def test_nothing_overflows(path):
    links = lone(two_phase())
    for amount in (1e300, 65504.0, 65520.0, 1.0):
        links.strengthen(np.array([0]), np.array([1]), np.array([amount]), 0.0)
        assert links.state()["modes"].max() == 65504
    assert np.isfinite(links.state()["modes"]).all()
    assert links.of(np.array([0]), 0.0)[1].max() == 1


def test_a_link_that_has_faded_away_is_none(path):
    links = lone(two_phase(1.0, 10.0, 0.1))
    links.strengthen(np.array([0]), np.array([1]), np.array([1.0]), 0.0)
    links.strengthen(np.array([0]), np.array([2]), np.array([1.0]), 1e6)
    assert links.state()["target"][0].tolist() == [-1, 2]
    assert links.state()["target"][1].tolist() == [0, -1], "nothing was written there"


@pytest.mark.parametrize("n", [10, 300])
def test_who_points_at_some(path, n):
    rng = np.random.default_rng(n)
    links = Links(3, two_phase())
    links.append(n, 0.0, None)
    one, other = rng.integers(0, n, (2, 4 * n))
    links.strengthen(one, other, rng.uniform(0.5, 2, 4 * n), 1.0)
    for some in (1, 2, 7):
        rows = rng.choice(n, some, replace=False)
        expected = np.flatnonzero(np.isin(links.state()["target"], rows).any(axis=1))
        assert np.array_equal(links.pointing(rows), expected)
    assert len(links.pointing(np.empty(0, np.intp))) == 0

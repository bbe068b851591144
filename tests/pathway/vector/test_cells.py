"""Cells hold exactly the sketches that they were given, each as its equation says, through every change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from tests.naive import sketch as naive

from mossy.kernels.cells import radius_and_factor, row_of
from mossy.kernels.compiled import compiled
from mossy.kernels.pages import NONE, PAGE
from mossy.pathway.vector import cells as cells_module
from mossy.pathway.vector.cells import Cells


def drawn(seed: int, n: int, d: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, d)).astype(np.float32)


def with_cells(patterns: np.ndarray, count: int = 1) -> Cells:
    cells = Cells(patterns.shape[1])
    cells.begin(patterns[:count].copy())
    return cells


@given(st.integers(1, 200), st.integers(0, 9))
@settings(max_examples=25, deadline=None)
def test_the_rotation_keeps_lengths_and_angles(d, seed):
    x = drawn(seed, 6, d).astype(np.float64)
    turned = Cells(d).rotated(x.astype(np.float32)).astype(np.float64)
    assert turned @ turned.T == pytest.approx(x @ x.T, abs=1e-4 * d)


@pytest.mark.parametrize("d", [3, 64, 70, 192])
def test_the_rotation_equals_its_loops(d):
    x, cells = drawn(1, 2, d), Cells(d)
    assert cells.rotated(x)[1] == pytest.approx(naive.rotated(x[1].tolist(), cells.signs.tolist()), abs=1e-4)


def test_rotated_entries_are_spread_out():
    one = np.zeros((1, 100), np.float32)
    one[0, 7] = 1
    assert np.abs(Cells(100).rotated(one)).max() < 0.6


@compiled()
def both_of(word):
    return radius_and_factor(word)


@compiled()
def row_of_word(word):
    return row_of(word)


@pytest.mark.parametrize("d", [5, 64, 130])
def test_a_sketch_equals_its_loops(d):
    x = drawn(2, 40, d)
    cells = with_cells(x)
    cells.add(x, np.arange(40))
    page, seen = cells.pages.first[0], 0
    while page != NONE:
        for slot in range(PAGE):
            row = row_of_word(cells.pages.words[page, -1, slot])
            if row == NONE:
                continue
            bits, r, f = naive.sketch(x[row].tolist(), cells.centres[0].tolist(), cells.signs.tolist())
            words = cells.pages.words[page, :, slot]
            held = [bool(int(words[j // 64]) >> (j % 64) & 1) for j in range(cells.size)]
            if row:  # the centre itself has no direction
                assert sum(a != b for a, b in zip(bits, held, strict=True)) <= 1  # a sum that is 0 but for rounding
            assert both_of(words[-1]) == pytest.approx((r, f), rel=2**-8)
            seen += 1
        page = cells.pages.after[page]
    assert seen == cells.pages.counts[0] == 40
    assert cells.pages.squares[0] == pytest.approx(((x - x[0]) ** 2).sum(), rel=1e-4)


def test_the_estimate_has_no_bias():
    x = drawn(3, 300, 64)
    z = drawn(4, 1, 64)[0]
    cells = with_cells(x)
    signs = cells.signs.tolist()
    centre = cells.centres[0].tolist()
    errors = []
    for one in x[1:]:
        bits, r, f = naive.sketch(one.tolist(), centre, signs)
        errors.append((naive.estimate(bits, f, z.tolist(), signs) - float((one - x[0]) @ z)) / (r * np.linalg.norm(z)))
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))
    assert np.std(errors) < 1.2 * 0.76 / np.sqrt(63)


def test_what_is_alike_lies_together_and_full_cells_split():
    x = np.concatenate([drawn(5, 700, 16) * 0.1 + 10, drawn(6, 700, 16) * 0.1 - 10])
    cells = with_cells(x)
    cells.add(x, np.arange(1400))
    assert cells.full().tolist() == [0]
    cells.split(0, lambda rows: x[rows])
    sides = [set((cells.members(cell) < 700).tolist()) for cell in range(2)]
    assert len(cells) == 2
    assert all(len(side) == 1 for side in sides)


def test_a_cell_of_equal_patterns_stays_whole_until_it_has_doubled():
    x = np.ones((3000, 8), np.float32)
    cells = with_cells(x)
    cells.add(x[:600], np.arange(600))
    cells.split(0, lambda rows: x[rows])
    assert len(cells) == 1
    assert not len(cells.full())
    cells.add(x[600:], np.arange(600, 3000))
    assert cells.full().tolist() == [0]


def test_learning_gives_up_cells_that_nothing_belongs_to():
    cells = Cells(4)
    cells.learn(np.ones((500, 4), np.float32), 50_000)
    assert len(cells) == 1


class Kept(RuleBasedStateMachine):
    """Whatever is added, split and renumbered, the cells hold each row once, in pages that only they hold."""

    def __init__(self):
        super().__init__()
        self.x = drawn(7, 4000, 70)
        self.cells = with_cells(self.x, 3)
        self.rows: dict[int, int] = {}  # row -> pattern
        self.next = 0

    @rule(n=st.integers(1, 90))
    def add(self, n):
        rows = np.arange(self.next, self.next + n)
        patterns = (rows * 17) % 4000
        self.cells.add(self.x[patterns], rows)
        self.rows.update(zip(rows.tolist(), patterns.tolist(), strict=True))
        self.next += n

    @precondition(lambda self: self.rows)
    @rule(cell=st.integers(0, 99))
    def split(self, cell):
        cell %= len(self.cells)
        rows = self.cells.members(cell)
        if len(rows) > 1:
            self.cells.split(cell, lambda rows: self.x[[self.rows[row] for row in rows.tolist()]])

    @precondition(lambda self: self.rows)
    @rule(seed=st.integers(0, 99), share=st.sampled_from([0.1, 0.9]))
    def renumber(self, seed, share):
        alive = sorted(self.rows)
        kept = [row for row in alive if np.random.default_rng((seed, row)).random() > share]
        place = np.full(self.next, -1)
        place[kept] = np.arange(len(kept))
        self.cells.renumber(place)
        self.rows = {int(place[row]): self.rows[row] for row in kept}
        self.next = len(kept)

    @invariant()
    def each_row_is_there_once(self):
        held = [row for cell in range(len(self.cells)) for row in self.cells.members(cell).tolist()]
        assert sorted(held) == sorted(self.rows)
        assert self.cells.sketches == len(self.rows)

    @invariant()
    def no_page_is_lost_or_held_twice(self):
        pages, seen = self.cells.pages, []
        for start in (*pages.first.tolist(), int(pages.free[0])):
            while start != NONE:
                seen.append(start)
                start = int(pages.after[start])
        assert sorted(seen) == list(range(len(pages.after)))

    @invariant()
    def nothing_is_left_in_free_pages(self):
        page = int(self.cells.pages.free[0])
        while page != NONE:
            assert not self.cells.pages.words[page].any()
            page = int(self.cells.pages.after[page])


class TestKept(Kept.TestCase):
    """Run it."""

    settings = settings(max_examples=15, stateful_step_count=20, deadline=None)


def test_room_grows_with_the_square_root():
    assert [cells_module._room(n) for n in (1, 10_000, 10**6)] == [320, 320, 1000]

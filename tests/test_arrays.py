"""The border: what may come in, as what, and what the message says when it may not."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mossy.arrays import (
    Column,
    as_batch,
    as_cues,
    as_known,
    as_vector,
    check_fraction,
    check_integer,
    check_number,
    choose,
)
from mossy.errors import (
    EmptyBatch,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    NothingKnown,
    UnknownName,
)


class TestBatch:
    def test_one_and_many(self):
        batch, single = as_batch([1, 2, 3], "x")
        assert (batch.tolist(), single, batch.dtype) == ([[1, 2, 3]], True, np.float32)
        batch, single = as_batch([[1, 2, 3]], "x", 3)
        assert (batch.tolist(), single) == ([[1, 2, 3]], False)

    @pytest.mark.parametrize("dtype", [bool, np.int8, np.uint64, np.float16, np.float64, np.longdouble])
    def test_every_kind_of_number(self, dtype):
        batch, _ = as_batch(np.ones((2, 3), dtype), "x")
        assert batch.dtype == np.float32
        assert (batch == 1).all()

    def test_any_layout_becomes_contiguous(self):
        array = np.arange(12.0).reshape(3, 4)
        for given_ in (array.T, array[:, ::2], array[::-1], np.asfortranarray(array)):
            batch, _ = as_batch(given_, "x")
            assert batch.flags.c_contiguous
            assert np.array_equal(batch, given_)

    def test_an_array_that_fits_is_not_copied(self):
        array = np.ones((2, 3), np.float32)
        assert np.shares_memory(as_batch(array, "x")[0], array)

    @pytest.mark.parametrize(
        ("given_", "error", "says"),
        [
            (np.zeros((2, 4)), InvalidShape, "shape (2, 4) was given; (3,) or (n, 3) is allowed"),
            (np.zeros((1, 2, 3)), InvalidShape, "reshape"),
            (5.0, InvalidShape, "shape ()"),
            (np.zeros((2, 0)), InvalidShape, "shape (2, 0)"),
            (np.zeros(0), InvalidShape, "shape (0,)"),
            ([[1, 2, 3], [1]], InvalidShape, "different lengths"),
            (np.zeros((0, 3)), EmptyBatch, "at least one item"),
            ([], (EmptyBatch, InvalidShape), "(0,)"),
            ("abc", InvalidDtype, "Encode"),
            ([["a", "b", "c"]], InvalidDtype, "Encode"),
            (np.zeros(3, complex), InvalidDtype, "complex128"),
            (np.array([None, 1, 2]), InvalidDtype, "object"),
            (None, InvalidDtype, "object"),
            ({"a": 1}, InvalidDtype, "object"),
            (np.array(["2020-01-01"] * 3, "datetime64[D]"), InvalidDtype, "datetime64"),
            ([1.0, np.nan, 0], NotFinite, "item 0, entry 1"),
            ([[0, 0, 0], [0, 0, np.inf]], NotFinite, "item 1, entry 2"),
            ([0, 0, -np.inf], NotFinite, "item 0, entry 2"),
            ([1e300, 0, 0], NotFinite, "float32"),
            ([1e16, 0, 0], NotFinite, "1e+15"),
            ([-1e16, 0, 0], NotFinite, "1e+15"),
            (np.array([np.inf, -np.inf, 0]), NotFinite, "entry 0"),
        ],
    )
    def test_what_is_refused_and_what_it_says(self, given_, error, says):
        with pytest.raises(error) as caught:
            as_batch(given_, "patterns", 3)
        assert str(caught.value).startswith("patterns: ")
        assert says in str(caught.value)


class TestKnown:
    cues = np.zeros((2, 3), np.float32)

    def test_shared_and_for_each(self):
        assert as_known([True, False, True], self.cues).tolist() == [[True, False, True]]
        assert as_known([[1, 0, 0], [0, 1, 1]], self.cues).tolist() == [[True, False, False], [False, True, True]]
        assert as_known(np.array([1.0, 0.0, 1.0]), self.cues).dtype == np.bool_

    @pytest.mark.parametrize(
        ("given_", "error"),
        [
            ([True, False], InvalidShape),
            (np.ones((3, 3), bool), InvalidShape),
            (np.ones((1, 2, 3), bool), InvalidShape),
            (True, InvalidShape),
            ([0, 1, 2], InvalidDtype),
            ([0.5, 1, 1], InvalidDtype),
            ([np.nan, 1, 1], InvalidDtype),
            ("yes", InvalidDtype),
            ([None, True, True], InvalidDtype),
            ([1j, 1, 1], InvalidDtype),
            ([False, False, False], NothingKnown),
            ([[True, False, False], [False, False, False]], NothingKnown),
        ],
    )
    def test_what_is_refused(self, given_, error):
        with pytest.raises(error, match=r"^known: "):
            as_known(given_, self.cues)

    def test_it_names_the_cue_of_which_nothing_is_known(self):
        with pytest.raises(NothingKnown, match="cue 1"):
            as_known([[True, False, False], [False, False, False]], self.cues)

    def test_ragged(self):
        with pytest.raises(InvalidShape):
            as_known([[True, False, True], [True]], self.cues)


class TestCues:
    def test_unknown_entries_become_zero(self):
        batch, single, mask = as_cues([[1, np.nan, 3], [np.inf, 5, 6]], [[1, 0, 1], [0, 1, 1]], 3)
        assert batch.tolist() == [[1, 0, 3], [0, 5, 6]]
        assert not single
        assert mask.tolist() == [[True, False, True], [False, True, True]]

    def test_one_cue_with_its_mask(self):
        for known in ([1, 0, 1], [[1, 0, 1]]):
            batch, single, mask = as_cues([1, np.nan, 3], known, 3)
            assert (batch.tolist(), single, mask.tolist()) == ([[1, 0, 3]], True, [[True, False, True]])

    def test_without_a_mask_all_must_be_finite(self):
        assert as_cues([1, 2], None, 2)[2] is None
        with pytest.raises(NotFinite):
            as_cues([1, np.nan], None, 2)
        with pytest.raises(NotFinite):
            as_cues([1, np.nan], [True, True], 2)

    def test_the_caller_s_array_is_left_as_it_was(self):
        cue = np.array([1, np.nan], np.float32)
        as_cues(cue, [True, False], 2, np.float32)
        assert np.isnan(cue[1])

    def test_ragged(self):
        with pytest.raises(InvalidShape):
            as_cues([[1, 2], [1]], None, 2)


class TestVector:
    def test_one_number_or_one_each(self):
        assert as_vector(2, "x", 3).tolist() == [2, 2, 2]
        assert as_vector([1, 2, 3], "x", 3).tolist() == [1, 2, 3]

    @pytest.mark.parametrize(
        ("given_", "error"),
        [
            ([1, 2], InvalidShape),
            ([[1, 2, 3]], InvalidShape),
            ("a", InvalidDtype),
            (None, InvalidDtype),
            ([1j, 1, 1], InvalidDtype),
            ([1, np.nan, 1], NotFinite),
            (np.inf, NotFinite),
        ],
    )
    def test_what_is_refused(self, given_, error):
        with pytest.raises(error, match=r"^amount: "):
            as_vector(given_, "amount", 3)

    def test_ragged(self):
        with pytest.raises(InvalidShape):
            as_vector([[1], [1, 2]], "amount", 2)


class TestNumbers:
    @pytest.mark.parametrize("given_", [3, np.int64(3), np.uint8(3)])
    def test_integers(self, given_):
        assert check_integer(given_, "x", 1, 5) == 3
        assert type(check_integer(given_, "x", 1, 5)) is int

    @pytest.mark.parametrize("given_", [0, 6, -1, 2.0, 2.5, True, np.True_, "3", None, [3], math.nan, np.float64(3)])
    def test_not_integers(self, given_):
        with pytest.raises(InvalidParameter, match=r"^x: .* was given; an integer from 1 to 5 is allowed\.$"):
            check_integer(given_, "x", 1, 5)

    @pytest.mark.parametrize("given_", [0.5, 1, np.float32(0.5), np.int8(1), Fraction(1, 2)])
    def test_numbers(self, given_):
        assert check_number(given_, "x", 0, 1) == float(given_)
        assert type(check_number(given_, "x", 0, 1)) is float

    @pytest.mark.parametrize(
        "given_", [-0.1, 1.1, math.nan, math.inf, -math.inf, True, "1", None, 1j, Decimal("0.5"), [0.5]]
    )
    def test_not_numbers(self, given_):
        with pytest.raises(InvalidParameter, match=r"^x: .* was given; a .*number at least 0"):
            check_number(given_, "x", 0, 1)

    def test_an_open_end(self):
        assert check_number(1e-300, "x", 0, open_low=True) == 1e-300
        with pytest.raises(InvalidParameter, match="above 0"):
            check_number(0.0, "x", 0, open_low=True)

    def test_fractions(self):
        assert [check_fraction(x, "x") for x in (0, 0.25, 1)] == [0, 0.25, 1]
        for wrong in (-1e-9, 1.0001, math.nan):
            with pytest.raises(InvalidParameter):
                check_fraction(wrong, "x")

    def test_an_integer_too_large_for_a_float(self):
        with pytest.raises(InvalidParameter):
            check_number(10**400, "x", 0)

    def test_choose(self):
        registry = {"one": 1, "two": 2}
        assert choose(registry, "two", "thing") == 2
        for wrong in ("three", "", None, 1, ["one"]):
            with pytest.raises(UnknownName, match=re.escape(f"thing: {wrong!r} was given; allowed are 'one', 'two'.")):
                choose(registry, wrong, "thing")


def test_each_refusal_is_the_built_in_kind_too():
    for call in (
        lambda: as_batch(np.zeros((0, 2)), "x"),
        lambda: as_batch([np.nan], "x"),
        lambda: check_integer(0, "x", 1),
        lambda: choose({}, "a", "x"),
    ):
        with pytest.raises(InvalidInput):
            call()
        with pytest.raises(ValueError, match="given"):
            call()
    with pytest.raises(TypeError):
        as_batch("a", "x")


class TestColumn:
    @given(st.lists(st.one_of(st.integers(1, 9), st.sets(st.integers(0, 30), max_size=8)), max_size=25))
    def test_is_a_list_of_rows(self, happened):
        column, model, fresh = Column((2,), np.float32), [], 0
        for what in happened:
            if isinstance(what, int):
                rows = [[float(fresh + i), -1.0] for i in range(what)]
                fresh += what
                column.append(np.array(rows, np.float32))
                model += rows
            else:
                kept = sorted(i for i in what if i < len(model))
                column.put(column.rows[np.array(kept, np.intp)])
                model = [model[i] for i in kept]
            assert column.rows.tolist() == model
            assert column.rows.dtype == np.float32
            assert column.nbytes >= column.rows.nbytes

    def test_growth_is_by_an_eighth_at_most(self):
        column = Column((4,), np.float32)
        for _ in range(500):
            column.append(np.zeros((1, 4), np.float32))
            assert column.nbytes <= 1.125 * column.rows.nbytes + 16

    def test_a_large_one_doubles_its_room_and_counts_what_was_written(self):
        column = Column((1024,), np.float32)
        column.fill(2000, 1.0)
        assert column.room == 4000
        assert column.nbytes == column.rows.nbytes
        column.fill(1000, 2.0)
        assert column.room == 4000
        assert column.nbytes == column.rows.nbytes
        column.truncate(10)
        assert column.nbytes >= column.rows.nbytes
        column.fill(2990, 0.0)
        assert not column.rows[10:].any()

    def test_a_large_one_takes_less_room_where_there_is_no_more(self, monkeypatch):
        column, empty = Column((1024,), np.float32), np.empty

        def scarce(shape, *given):
            if shape[0] > 2500:
                raise MemoryError
            return empty(shape, *given)

        monkeypatch.setattr(np, "empty", scarce)
        column.fill(2000, 1.0)
        assert len(column.rows) == 2000
        with pytest.raises(MemoryError):
            column.fill(1000, 2.0)
        assert len(column.rows) == 2000

    def test_what_is_dropped_leaves_no_byte(self):
        column = Column((), np.int64)
        column.append(np.array([111_111_111, 222_222_222]))
        column.put(column.rows[np.array([1])])
        assert column.rows.base is None or column.rows.base.size == 1
        assert column.rows.tolist() == [222_222_222]

    def test_what_is_appended_is_copied(self):
        column, given_ = Column((), np.int64), np.array([1, 2])
        column.append(given_)
        given_[0] = 9
        assert column.rows.tolist() == [1, 2]

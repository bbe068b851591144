"""CSV, JSON Lines and Parquet: what cannot be read, and what others write."""

from __future__ import annotations

import re
import sys

import numpy as np
import pyarrow as pa
import pytest
from tests.cli.writing import NAMED, PLAIN, fails, gather, lines, parquet

from mossy.cli.reading import Options
from mossy.errors import MissingExtra

TABLES_THAT_FAIL = {
    "nothing": ("", PLAIN, r"it is empty; give a line"),
    "semicolons": ("a;b\n1,5;2\n", PLAIN, r"line 1: ';' parts the columns; a comma is allowed"),
    "tabs": ("a\tb\n1\t2\n", PLAIN, r"line 1: '\\t' parts the columns; a comma is allowed"),
    "no row": ("a,b\n", PLAIN, r"no pattern was given in it"),
    "no header": ("1.5,2\n3,4\n", PLAIN, r"line 1: it holds numbers; put a line with the names"),
    "two of one name": ("a,b,a\n1,2,3\n", PLAIN, r"two columns are called 'a'"),
    "no name": (",a\n0,1\n", PLAIN, r"column 1 has no name.*--ignore ''"),
    "no such payload": ("a,b\n1,2\n", NAMED, r"--payload 'name' was given; its columns are 'a', 'b'"),
    "no such column to ignore": ("a,b\n1,2\n", Options(ignore=("c",)), r"--ignore 'c' was given; its columns are"),
    "all in the payload": ("name\nada\n", NAMED, r"no column is left for the pattern"),
    "short": ("a,b\n1,2\n3\n", PLAIN, r"line 3: it has 1 cells, and the header has 2"),
    "long": ("a,b\n1,2\n3,4,5\n", PLAIN, r"line 3: it has 3 cells, and the header has 2"),
    "a word": (
        "a,b\n1,2\n3,x y\n",
        PLAIN,
        r"line 3, column 'b': 'x y' was given; a number.*--payload b.*--ignore b",
    ),
    "a missing number": (
        "a,b\n1,2\n3, \n",
        PLAIN,
        r"line 3: column 'b' is missing; what is stored has finite.*-bad",
    ),
    "infinity": ("a,b\n1,-inf\n", PLAIN, r"line 2: column 'b' is -inf"),
    "too large": ("a,b\n1,1e300\n", PLAIN, r"line 2: column 'b' is 1e\+300"),
    "after a quoted line": ('name,b\n"two\nlines",1\nx,y\n', NAMED, r"line 4, column 'b': 'y'"),
    "an open quote": ('name,b\n"ada,1\n', NAMED, r"line 2: it is no CSV \(unexpected end of data\)"),
    "old line ends": ("a,b\r1,2\r", PLAIN, r"line 1: it is no CSV"),
    "not UTF-8": ("a,b\n1,2\n1,\xe9\n".encode("latin-1"), PLAIN, r"line 3: byte 3 is not UTF-8"),
    "UTF-16": ("a,b\n1,2\n".encode("utf-16"), PLAIN, r"line 1: byte 1 is not UTF-8"),
}


@pytest.mark.parametrize(("content", "options", "says"), TABLES_THAT_FAIL.values(), ids=TABLES_THAT_FAIL)
def test_a_table_that_cannot_be_read(content, options, says):
    told = fails(content, ".csv", options)
    assert re.search(says, told), told


def test_a_table_as_others_write_it():
    """With a mark of the byte order, Windows's line ends, blanks, an empty line, and columns that are only counted."""
    [one], name = gather(b"\xef\xbb\xbf0,1\r\n 1.5 ,2\r\n\r\n,3\r\n", ".csv")
    assert np.array_equal(one.patterns, [[1.5, 2], [np.nan, 3]], equal_nan=True)
    assert [one.place(i) for i in range(2)] == [f"{name}, line 2", f"{name}, line 4"]
    assert [one.entry(j) for j in range(2)] == ["column '0'", "column '1'"]


def test_several_columns_make_a_payload_by_name_in_the_order_of_the_options():
    content = ",a,b,c\n0,1,2,3\n"
    [one], _ = gather(content.encode(), ".csv", Options(payload=("c", "a"), ignore=("",)))
    assert one.payload == [{"c": "3", "a": "1"}]
    assert list(one.payload[0]) == ["c", "a"]
    assert one.patterns.tolist() == [[2]]


LINES_THAT_FAIL = {
    "nothing": ("\n", PLAIN, r"no pattern was given in it"),
    "no JSON": ('{"a": 1}\n{"a": \n', PLAIN, r"line 2: it is no JSON"),
    "too deep": ("[" * 100_000, PLAIN, r"line 1: it is no JSON"),
    "no object": ("[1, 2]\n", PLAIN, r"line 1: it is no object; a line such as"),
    "another field": ('{"a": 1}\n{"b": 1}\n', PLAIN, r"line 2: the field 'a' is missing"),
    "a field more": ('{"a": 1}\n{"a": 1, "b": 1}\n', PLAIN, r"line 2: the field 'b' is not in the first"),
    "a text": ('{"a": 1}\n{"a": "1"}\n', PLAIN, r"line 2, column 'a': '1' was given; a number is allowed"),
    "a text in a pattern": ('{"pattern": [1, "2"]}\n', PLAIN, r"line 1, column 'pattern': '2' was given"),
    "no list": ('{"pattern": 1}\n', PLAIN, r"line 1: 'pattern' is no list of numbers"),
    "an empty list": ('{"pattern": []}\n', PLAIN, r"line 1: 'pattern' is no list of numbers, or an empty one"),
    "another length": (
        '{"pattern": [1, 2]}\n{"pattern": [1]}\n',
        PLAIN,
        r"line 2: 'pattern' has 1 numbers, and the first has 2",
    ),
    "a value of another length": (
        '{"pattern": [1], "value": [1]}\n{"pattern": [1], "value": [1, 2]}\n',
        PLAIN,
        r"line 2: 'value' has 2 numbers, and the first has 1",
    ),
    "beside the pattern": ('{"pattern": [1], "user": "ada"}\n', PLAIN, r"'user' was given; beside 'pattern' are"),
    "a payload that is not named": (
        '{"pattern": [1], "payload": 1, "name": "ada"}\n',
        NAMED,
        r"'payload' was given; beside 'pattern' are",
    ),
    "no such payload": ('{"a": 1}\n', NAMED, r"--payload 'name' was given; its columns are 'a'"),
    "null": ('{"pattern": [1, null]}\n', PLAIN, r"line 1: entry 1 is missing"),
    "NaN": ('{"pattern": [1, NaN]}\n', PLAIN, r"line 1: entry 1 is missing"),
    "a null value": ('{"pattern": [1], "value": [null]}\n', PLAIN, r"line 1: entry 0 of its value is missing"),
    "too large": (f'{{"a": 1, "b": 1{"0" * 400}}}\n', PLAIN, r"line 1: column 'b' is inf"),
    "not UTF-8": (b'{"a": 1}\n{"\xe9": 1}\n', PLAIN, r"line 2: byte 3 is not UTF-8"),
}


@pytest.mark.parametrize(("content", "options", "says"), LINES_THAT_FAIL.values(), ids=LINES_THAT_FAIL)
def test_lines_that_cannot_be_read(content, options, says):
    told = fails(content, ".jsonl", options)
    assert re.search(says, told), told


def test_a_payload_keeps_its_kind():
    payloads = [None, True, 1, 1.5, "text", [1, None], {"a": {"b": []}}]
    [one], _ = gather(
        lines({"a": 0, "payload": payload} for payload in payloads), ".jsonl", Options(payload=("payload",))
    )
    assert one.payload == payloads
    assert [type(payload) for payload in one.payload] == [type(payload) for payload in payloads]


PARQUET_THAT_FAILS = {
    "text": ({"a": ["x", "y"]}, PLAIN, r"column 'a': its type is string; a number is allowed.*--payload a"),
    "lists by name": ({"a": [[1.0]]}, PLAIN, r"column 'a': its type is list<.*>; a number is allowed"),
    "lists of text": ({"pattern": [["x"]]}, PLAIN, r"column 'pattern': its type is list<.*; lists of numbers are"),
    "a value that is no list": ({"pattern": [[1.0]], "value": [1]}, PLAIN, r"column 'value': its type is int64"),
    "another length": ({"pattern": [[1.0, 2.0], [3.0]]}, PLAIN, r"row 1: 'pattern' has 1 numbers, and the first"),
    "no list in a row": ({"pattern": [[1.0], None]}, PLAIN, r"row 1: 'pattern' has 0 numbers"),
    "no list in the first row": ({"pattern": [None, [1.0]]}, PLAIN, r"row 0: 'pattern' has 0 numbers"),
    "null": ({"a": [1, None]}, PLAIN, r"row 1: column 'a' is missing"),
    "null in a list": ({"pattern": [[1.0], [None]]}, PLAIN, r"row 1: entry 0 is missing"),
    "no row": ({"a": pa.array([], pa.float32())}, PLAIN, r"no pattern was given in it"),
    "no such payload": ({"a": [1]}, NAMED, r"--payload 'name' was given; its columns are 'a'"),
}


@pytest.mark.parametrize(("columns", "options", "says"), PARQUET_THAT_FAILS.values(), ids=PARQUET_THAT_FAILS)
def test_a_parquet_file_that_cannot_be_read(columns, options, says):
    told = fails(parquet(columns), ".parquet", options)
    assert re.search(says, told), told


def test_numbers_of_all_kinds_are_read_from_parquet():
    columns = {
        "a": pa.array([1, None], pa.int8()),
        "b": [True, False],
        "c": pa.array([0.5, 1.5], pa.float32()),
        "d": pa.array(["1.25", "2"]).cast(pa.decimal128(5, 2)),
        "name": [None, {"x": [1]}],
    }
    [one], _ = gather(parquet(columns), ".parquet", NAMED)
    assert np.array_equal(one.patterns, [[1, 1, 0.5, 1.25], [np.nan, 0, 1.5, 2]], equal_nan=True)
    assert one.payload == [None, {"x": [1]}]
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(range(6)), 3)
    [one], _ = gather(parquet({"pattern": fixed}), ".parquet")
    assert one.patterns.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_without_pyarrow_the_message_installs_it(monkeypatch):
    content = parquet({"a": [1]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtra, match=r"pip install 'mossy\[parquet\]'"):
        gather(content, ".parquet")

"""Each format: what is written is read, in any batches; what is torn is named; a source is found with its format."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.cli import writing
from tests.cli.writing import NAMED, PLAIN, gather, read_or_told

from mossy.cli.reading import FORMATS, Options, Source, batch, find_sources, read
from mossy.errors import InvalidParameter, UnknownName


@dataclass(frozen=True)
class Case:
    """How a format is written; whether payloads and values are in it."""

    form: str
    write: Callable[..., bytes]
    options: Options = PLAIN
    payload: bool = True
    values: bool = False


CASES = {
    "npy": Case("npy", writing.npy, payload=False),
    "npz": Case("npz", writing.npz, values=True),
    "csv": Case("csv", writing.comma, NAMED),
    "jsonl, whole": Case("jsonl", writing.whole_lines, values=True),
    "jsonl, by name": Case("jsonl", writing.named_lines, NAMED),
    "parquet, whole": Case("parquet", writing.whole_parquet, values=True),
    "parquet, by name": Case("parquet", writing.named_parquet, NAMED),
}

# Text that NumPy's fixed-width text keeps: it drops NUL at the end.
NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
TABLES = st.integers(1, 12).flatmap(
    lambda n: st.tuples(
        arrays(np.float64, st.tuples(st.just(n), st.integers(1, 4)), elements=st.floats(-1e6, 1e6)),
        st.lists(NAMES, min_size=n, max_size=n),
    )
)


def test_every_format_has_a_case():
    assert {case.form for case in CASES.values()} | {"images"} == set(FORMATS)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@pytest.mark.parametrize("rows", [1, 5, 100])
@given(table=TABLES)
@settings(max_examples=15, deadline=None)
def test_what_is_written_is_read_in_any_batches(case, rows, table):
    patterns, names = table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batch, "ROWS", rows)
        batches, name = gather(case.write(patterns, names), f".{case.form}", case.options)
    assert np.array_equal(np.concatenate([one.patterns for one in batches]), patterns)
    assert all(len(one) == rows for one in batches[:-1])
    if case.payload:
        assert [payload for one in batches for payload in one.payload] == names
    else:
        assert all(one.payload is None for one in batches)
    if case.values:
        assert np.array_equal(np.concatenate([one.values for one in batches]), patterns[:, :1])
    else:
        assert all(one.values is None for one in batches)
    places = [one.place(i) for one in batches for i in range(len(one))]
    assert len(set(places)) == len(patterns)
    assert all(place.startswith(name) for place in places)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
@given(position=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255) | st.none())
@settings(max_examples=60, deadline=None)
@example(position=0.0, byte=None)
def test_a_torn_or_altered_file_is_refused_or_read(case, position, byte):
    """Nothing but a named error may come of it."""
    content = case.write(np.arange(12.0).reshape(4, 3), ["a", "b", "ç", "d"])
    at = int(position * len(content))
    torn = content[:at] if byte is None else content[:at] + bytes([byte]) + content[at + 1 :]
    for one in read_or_told(torn, f".{case.form}", case.options):
        assert one.patterns.ndim == 2
        assert one.patterns.dtype.kind in "biuf"


def test_the_share_that_is_read_is_told():
    for case in CASES.values():
        shares = []
        options = Options(payload=case.options.payload, tell=shares.append)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(batch, "ROWS", 10)
            gather(case.write(np.ones((40, 3)), ["n"] * 40), f".{case.form}", options)
        assert shares == sorted(shares)
        assert len(shares) == 4
        assert 0 < shares[0] < 0.5
        assert 0.9 < shares[-1] <= 1


def test_the_format_is_told_by_the_name_or_given(tmp_path):
    path = tmp_path / "table.txt"
    path.write_text("a\n1\n")
    with pytest.raises(InvalidParameter, match=r"its format cannot be told from its name; it may end with .npy.*npz"):
        find_sources([str(path)], None, PLAIN)
    [(_, format)] = find_sources([str(path)], "csv", PLAIN)
    assert format is FORMATS["csv"]
    with pytest.raises(UnknownName, match="--format: 'xml' was given; allowed are 'npy'"):
        find_sources([str(path)], "xml", PLAIN)
    upper = tmp_path / "T.CSV"
    upper.write_text("a\n1\n")
    assert find_sources([str(upper)], None, PLAIN)[0][1] is FORMATS["csv"]


def test_no_two_formats_share_an_ending():
    suffixes = [suffix for format in FORMATS.values() for suffix in format.suffixes]
    assert len(suffixes) == len(set(suffixes))


def test_sources_that_cannot_be_found(tmp_path):
    with pytest.raises(InvalidParameter, match="it was given, and is not there"):
        find_sources([str(tmp_path / "nothing.csv")], None, PLAIN)
    with pytest.raises(InvalidParameter, match="it is a folder; --format csv reads a file"):
        find_sources([str(tmp_path)], "csv", PLAIN)
    for form in (None, "npy", "images"):
        with pytest.raises(InvalidParameter, match="--format csv or jsonl is allowed"):
            find_sources(["-"], form, PLAIN)


def test_a_file_that_may_not_be_read(monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InvalidParameter, match=r"t\.csv: it cannot be read \(Permission denied\)"):
        list(read(Source("t.csv", Path("t.csv")), FORMATS["csv"], PLAIN))


@pytest.mark.parametrize(
    ("option", "value", "kinds"),
    [
        ("payload", ("a",), "npz, csv, jsonl, parquet"),
        ("ignore", ("a",), "npz, csv, jsonl, parquet"),
        ("size", (2, 2), "images"),
        ("colour", True, "images"),
    ],
)
def test_an_option_that_no_source_heeds_is_refused(option, value, kinds, tmp_path):
    (tmp_path / "x.npy").write_bytes(writing.npy(np.ones((3, 2)), None))
    with pytest.raises(InvalidParameter, match=f"--{option}: .* these are {kinds}"):
        find_sources([str(tmp_path / "x.npy")], None, Options(**{option: value}))

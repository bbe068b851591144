"""The benchmarks' own tools: how a result is kept, and how the tables are written from it."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mossy

ROOT = Path(__file__).resolve().parent.parent


def script(name: str) -> ModuleType:
    """Import ``benchmarks/<name>.py``, which is not a package."""
    spec = importlib.util.spec_from_file_location(f"benchmarks_{name}", ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


record, tables = script("record"), script("tables")


def a_table(results):
    return tables.markdown(("kind", "share"), [("all", tables.number(results["shares"]["result"]["all"]))])


def test_tables_are_up_to_date() -> None:
    assert tables.outdated(ROOT, tables.load(), write=False) == [], "run: make tables"


def test_record_is_read_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    given = {"z": np.float32(0.5), "a": np.arange(3), "n": np.int64(7), "text": "β"}
    path = record.record("one", "What is kept?", given, seeds=range(2), peers=["pytest"])
    entry = tables.load(tmp_path)["one"]
    assert entry["result"] == {"z": 0.5, "a": [0, 1, 2], "n": 7, "text": "β"}
    assert entry["seeds"] == [0, 1]
    assert set(entry["versions"]) == {"python", "numpy", "numba", "mossy", "pytest"}
    assert set(entry["machine"]) == {"cpu", "cores", "memory_gib", "system", "architecture"}
    text = path.read_text(encoding="utf-8")
    assert text == json.dumps(entry, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def test_record_refuses_nan_and_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(record, "RESULTS", tmp_path)
    with pytest.raises(ValueError, match="JSON"):
        record.record("one", "What is kept?", {"x": float("nan")}, seeds=[])
    assert list(tmp_path.iterdir()) == []


def test_data_that_is_not_there_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOSSY_DATA", str(tmp_path))
    (tmp_path / "digits").mkdir()
    assert record.data_dir() == tmp_path
    assert record.data_dir("digits") == tmp_path / "digits"
    with pytest.raises(SystemExit, match="'letters' is not in MOSSY_DATA"):
        record.data_dir("letters")


def test_timing_calls_as_often_as_it_says() -> None:
    calls = []
    timing = record.cpu_and_wall(lambda: calls.append(1), repeat=3, warm_up=2)
    assert len(calls) == 5
    assert timing.repeats == 3
    assert 0 <= timing.best <= timing.median
    with pytest.raises(ValueError, match="repeat"):
        record.cpu_and_wall(lambda: None, repeat=0)


def test_a_table_is_written_between_its_marks() -> None:
    page = "before\n\n<!-- table: shares -->\nold\n<!-- end -->\n\nafter\n"
    results = tables.Results({"shares": {"result": {"all": 0.98}}})
    fresh = tables.render(page, results, {"shares": a_table})
    assert fresh == (
        "before\n\n<!-- table: shares -->\n\n| kind | share |\n| --- | ---: |\n| all | 0.980 |\n\n"
        "<!-- end -->\n\nafter\n"
    )
    assert tables.render(fresh, results, {"shares": a_table}) == fresh


def test_a_missing_result_is_said_and_a_wrong_name_is_refused() -> None:
    page = "<!-- table: shares -->\n<!-- end -->\n"
    assert "Not measured yet (`benchmarks/shares.py`)" in tables.render(page, tables.Results(), {"shares": a_table})
    with pytest.raises(SystemExit, match="'shares' is on a page"):
        tables.render(page, tables.Results(), {})
    with pytest.raises(SystemExit, match="line of their own"):
        tables.render("<!-- table: shares -->\n", tables.Results(), {"shares": a_table})


def test_an_outdated_page_is_named_and_only_written_when_asked(tmp_path: Path) -> None:
    page = tmp_path / "README.md"
    page.write_text("<!-- table: questions -->\n<!-- end -->\n", encoding="utf-8")
    assert tables.outdated(tmp_path, tables.Results(), write=False) == ["README.md"]
    assert "Not measured" not in page.read_text(encoding="utf-8")
    assert tables.outdated(tmp_path, tables.Results(), write=True) == ["README.md"]
    assert tables.outdated(tmp_path, tables.Results(), write=False) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.98, "0.980"),
        (1, "1.00"),
        (9.996, "10.0"),
        (123.4, "123"),
        (1.23e6, "1,230,000"),
        (6e-5, "6.00e-05"),
    ],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert tables.number(value) == text


@pytest.fixture
def kill(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return script("kill")


def test_the_witness_of_a_kill_notices_every_fault(kill: ModuleType, tmp_path: Path) -> None:
    with mossy.open(tmp_path / "life.mossy") as memory:
        ids = memory.store(kill.patterns(range(6)), payload=[kill.payload(i) for i in range(6)]).tolist()
        there = dict(zip(ids, range(6), strict=True))

        def found(without=(), extra=None, forgotten=(), **under_way):
            witness = kill.Witness(
                {id: number for id, number in there.items() if number not in without} | (extra or {})
            )
            witness.forgotten = set(forgotten)
            witness.compare(memory, under_way or None)
            return {name: n for name, n in witness.found.items() if n}

        assert found() == {}
        assert found(extra={99: 9}) == {"lost": 1}
        assert found(extra={ids[2]: 9}) == {"lost": 1}
        assert found(without=[3], forgotten=[3]) == {"came_back": 1}
        assert found(without=[5]) == {"unknown": 1}
        assert found(without=[4, 5], begin="store many", first=4, n=2) == {}
        assert found(without=[4, 5], begin="store many", first=4, n=3) == {"torn_batches": 1}
        assert found(extra={99: 9}, begin="forget", ids=[99]) == {}
        assert found(extra={99: 9}, begin="forget", ids=[99, ids[0]]) == {"torn_batches": 1}


def test_the_witness_finds_what_is_left_of_a_memory(kill: ModuleType, tmp_path: Path) -> None:
    witness = kill.Witness({})
    witness.forgotten = {7, 8}
    (tmp_path / "text").write_text(f"... {kill.payload(7)} ...")
    (tmp_path / "pattern").write_bytes(b"\n..." + kill.patterns([8, 9]).tobytes())
    witness.search(tmp_path)
    assert witness.found["bytes_left"] == 2


@pytest.mark.parametrize("kind", ["bit", "bit of a head", "bytes", "sector", "cut"])
def test_damage_is_where_it_was_meant_to_be(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    before = np.random.default_rng(0).integers(1, 256, 4096, np.uint8).tobytes()
    content = bytearray(before)
    script("damage").KINDS[kind](content, 1000, np.random.default_rng(1))
    other = [i for i, (now, then) in enumerate(zip(content, before, strict=False)) if now != then]
    places = {"bit": {1000}, "bit of a head": set(range(40)), "bytes": {1000}, "sector": {512}, "cut": set()}
    assert set(other[:1]) <= places[kind]
    assert len(other) <= {"bytes": 64, "sector": 512, "cut": 0}.get(kind, 1)
    assert len(content) == (1000 if kind == "cut" else 4096)
    assert bytes(content) != before

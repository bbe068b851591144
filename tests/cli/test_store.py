"""``mossy store``: what is stored, reinforced, skipped and refused, and what of it is kept."""

from __future__ import annotations

import datetime
import json
import signal
import sqlite3
import sys
import tempfile
from dataclasses import replace

import numpy as np
import pytest
from tests.cli.writing import image, lines, parquet

import mossy
from mossy.cli import report
from mossy.cli.reading import FORMATS, batch

ROWS = "a,b\n1,2\n3,4\n5,6\n"


def interrupted(format, after: int):
    """Return a format whose reading is stopped by Ctrl-C, as the system tells it, after so many batches."""

    def read(source, options):
        for i, one in enumerate(format.read(source, options)):
            if i == after:
                signal.raise_signal(signal.SIGINT)
            yield one

    return replace(format, read=read)


def test_sources_of_all_kinds_at_once(told, folder, patterns):
    np.save("a.npy", patterns[:10])
    (folder / "b.csv").write_text("who,a,b,c,d,e,f\nada,1,2,3,4,5,6\n")
    (folder / "images").mkdir()
    (folder / "images" / "i.png").write_bytes(image(np.full((9, 9), 255, np.uint8)))
    done = told("store", "life.mossy", "a.npy", "b.csv", "images", "--payload", "who", "--size", "2x3")
    assert done == {
        "file": "life.mossy",
        "stored": 12,
        "reinforced": 0,
        "skipped": [],
        "memories": 12,
        "stopped": False,
        "ids": list(range(12)),
    }
    with mossy.open("life.mossy", "r") as memory:
        assert np.array_equal(memory[9].pattern, patterns[9])
        assert [memory[id].payload for id in (9, 10, 11)] == [None, "ada", "i.png"]
        assert memory[10].pattern.tolist() == [1, 2, 3, 4, 5, 6]
        assert memory[11].pattern.tolist() == [1] * 6


def test_values_and_payloads_of_lines(told):
    given = lines({"pattern": [i, 0], "value": [i, i, i], "payload": {"i": i}} for i in range(3))
    assert told("store", "life.mossy", "-", "--format", "jsonl", given=given)["stored"] == 3
    with mossy.open("life.mossy", "r") as memory:
        assert memory[2].value.tolist() == [2, 2, 2]
        assert memory[2].payload == {"i": 2}


def test_what_is_there_is_reinforced_unless_told_otherwise(run, told, folder):
    (folder / "t.csv").write_text(ROWS)
    (folder / "more.csv").write_text("a,b\n3,4\n7,8\n7,8\n")
    assert run("store", "life.mossy", "t.csv").stdout == "life.mossy: 3 stored. It holds 3 memories.\n"
    done = run("store", "life.mossy", "more.csv")
    assert done.stdout == "life.mossy: 1 stored, 2 there already and reinforced. It holds 4 memories.\n"
    again = told("store", "life.mossy", "more.csv")
    assert (again["stored"], again["reinforced"], again["ids"]) == (0, 3, [1, 3, 3])
    again = told("store", "life.mossy", "more.csv", "--set", "duplicates=keep")
    assert (again["stored"], again["reinforced"], again["ids"]) == (3, 0, [4, 5, 6])


def test_settings_and_pins_are_the_memory_s(told, folder):
    (folder / "t.csv").write_text(ROWS)
    told("store", "life.mossy", "t.csv", "--set", "similarity=cosine", "--set", "capacity=7", "--pin")
    with mossy.open("life.mossy", "r") as memory:
        stats = memory.stats()
    assert (stats.similarity, stats.capacity, stats.pinned) == ("cosine", 7, 3)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--set", "capacity"], "--set: 'capacity' was given; NAME=VALUE"),
        (["--set", "size=3"], "--set: 'size' was given; allowed are 'similarity', 'separation'"),
        (["--set", "mode=r"], "--set: 'mode' was given; allowed are 'similarity'"),
        (["--set", "keep_raw=false"], "--set: 'keep_raw' was given; allowed are 'similarity'"),
        (["--set", "capacity=many"], "Memory.capacity: 'many' was given; an integer of at least 1"),
        (["--set", "similarity=same"], "'same' was given; allowed are"),
        (["--durability", "some"], "--durability: 'some' was given; allowed are 'full', 'process'"),
        (["--key", "secret"], "key: 'env:NAME' or 'file:PATH' is allowed"),
        (["--key", "env:NOBODY_SETS_THIS"], "the environment variable NOBODY_SETS_THIS is not set"),
        (["--format", "xml"], "--format: 'xml' was given"),
        (["--size", "32"], "--size: '32' was given; WIDTHxHEIGHT"),
        (["--size", "3x3"], "--size: it was given without a source that heeds it"),
        (["--payload", "c"], "t.csv: --payload 'c' was given; its columns are 'a', 'b'"),
        (["u.csv"], "u.csv: it was given, and is not there"),
    ],
)
def test_what_cannot_be_used_is_named_and_no_file_is_made(options, says, refused, folder):
    (folder / "t.csv").write_text(ROWS)
    assert says in refused(2, "store", "life.mossy", "t.csv", *options)
    assert [path.name for path in folder.iterdir()] == ["t.csv"]


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b\n1\n", "a,b\n1,\n"])
def test_no_file_is_made_for_nothing(content, refused, folder):
    (folder / "t.csv").write_text(content)
    refused(2, "store", "life.mossy", "t.csv")
    assert not (folder / "life.mossy").exists()


def test_a_bad_row_keeps_the_batches_before_it_and_says_so(run, folder, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 2)
    (folder / "t.csv").write_text("a,b\n1,2\n3,4\n5,6\n7,8\n9,\n")
    done = run("store", "life.mossy", "t.csv")
    assert (done.exit_code, done.stdout) == (2, "")
    kept, why = done.stderr.splitlines()
    assert kept == "mossy: life.mossy: 4 stored. It holds 4 memories."
    assert why.startswith("mossy: t.csv, line 6: column 'b' is missing")
    assert len(mossy.open("life.mossy", "r")) == 4
    found = json.loads(run("store", "life.mossy", "t.csv", "--json").stdout)
    assert (found["stored"], found["reinforced"], found["stopped"]) == (0, 4, True)


def test_bad_rows_and_images_may_be_left_out_and_are_named(run, folder, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 2)
    (folder / "t.csv").write_text("a,b\n1,2\n3\n5,\n7,8\nx,9\n11,inf\n")
    (folder / "images").mkdir()
    (folder / "images" / "a.png").write_bytes(b"no image")
    (folder / "images" / "b.png").write_bytes(image(np.zeros((1, 2), np.uint8)))
    done = run("store", "life.mossy", "t.csv", "images", "--skip-bad", "--json")
    assert done.exit_code == 0
    told = json.loads(done.stdout)
    assert (told["stored"], told["memories"]) == (3, 3)
    assert [one.partition(":")[0] for one in told["skipped"]] == [
        "t.csv, line 3",
        "t.csv, line 4",
        "t.csv, line 6, column 'a'",
        "t.csv, line 7",
        "images/a.png",
    ]
    assert done.stderr == "".join(f"mossy: skipped: {one}\n" for one in told["skipped"])
    with mossy.open("life.mossy", "r") as memory:
        assert [memory[id].pattern.tolist() for id in memory] == [[1, 2], [7, 8], [0, 0]]


def test_of_many_that_are_skipped_some_are_named(run, folder):
    (folder / "t.csv").write_text("a,b\n1,2\n" + "3\n" * 50)
    done = run("store", "life.mossy", "t.csv", "--skip-bad")
    assert done.stdout == "life.mossy: 1 stored, 50 skipped. It holds 1 memory.\n"
    assert done.stderr.count("\n") == 10
    (folder / "u.csv").write_text("a,b\n1,\n")
    done = run("store", "other.mossy", "u.csv", "--skip-bad")
    assert done.exit_code == 2
    assert "all were skipped" in done.stderr
    assert not (folder / "other.mossy").exists()


def test_a_bad_image_stops_before_anything_is_stored(refused, folder, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 1)
    (folder / "images").mkdir()
    for i in range(4):
        (folder / "images" / f"{i}.png").write_bytes(image(np.full((2, 2), i, np.uint8)))
    (folder / "images" / "4.png").write_bytes(b"no image")
    assert "images/4.png: it cannot be read as an image" in refused(2, "store", "life.mossy", "images")
    assert not (folder / "life.mossy").exists()


def test_what_the_memory_refuses_is_named_with_its_place(refused, life, folder):
    (folder / "t.csv").write_text(ROWS)
    told = refused(2, "store", life, "t.csv")
    assert told.startswith("mossy: t.csv, line 2 to t.csv, line 4: patterns: shape (3, 2) was given; (6,) or (n, 6)")
    when = [datetime.datetime(2026, 1, 1)] * 2
    (folder / "t.parquet").write_bytes(parquet({"a": [1, 2], "when": when}))
    told = refused(2, "store", "other.mossy", "t.parquet", "--payload", "when")
    assert told.startswith("mossy: t.parquet, row 0 to t.parquet, row 1: payload: ")


def test_ctrl_c_between_two_batches_keeps_what_was_stored(run, folder, monkeypatch):
    monkeypatch.setattr(batch, "ROWS", 2)
    monkeypatch.setitem(FORMATS, "csv", interrupted(FORMATS["csv"], after=2))
    (folder / "t.csv").write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(10)))
    done = run("store", "life.mossy", "t.csv", "--json")
    assert (done.exit_code, done.stderr) == (130, "mossy: stopped. life.mossy: 4 stored. It holds 4 memories.\n")
    told = json.loads(done.stdout)
    assert (told["stored"], told["memories"], told["stopped"], told["ids"]) == (4, 4, True, [0, 1, 2, 3])
    assert len(mossy.open("life.mossy", "r")) == 4


def test_ctrl_c_within_a_batch_waits_until_it_is_stored(run, folder, monkeypatch):
    real = mossy.Memory.store

    def store(memory, *arguments, **named):
        signal.raise_signal(signal.SIGINT)
        return real(memory, *arguments, **named)

    monkeypatch.setattr(batch, "ROWS", 2)
    monkeypatch.setattr(mossy.Memory, "store", store)
    (folder / "t.csv").write_text("a,b\n" + "".join(f"{i},{i}\n" for i in range(10)))
    before = signal.getsignal(signal.SIGINT)
    done = run("store", "life.mossy", "t.csv")
    assert (done.exit_code, done.stderr) == (130, "mossy: stopped. life.mossy: 2 stored. It holds 2 memories.\n")
    assert signal.getsignal(signal.SIGINT) is before
    assert len(mossy.open("life.mossy", "r")) == 2


def test_a_second_ctrl_c_does_not_keep_it_from_saying_what_was_kept(run, folder, monkeypatch):
    def say(text):
        signal.raise_signal(signal.SIGINT)
        report.say(text)

    monkeypatch.setattr(sys.modules["mossy.cli.store"], "say", say)
    monkeypatch.setattr(batch, "ROWS", 2)
    monkeypatch.setitem(FORMATS, "csv", interrupted(FORMATS["csv"], after=1))
    (folder / "t.csv").write_text(ROWS)
    done = run("store", "life.mossy", "t.csv", "--json")
    assert (done.exit_code, done.stderr) == (130, "mossy: stopped. life.mossy: 2 stored. It holds 2 memories.\n")
    assert json.loads(done.stdout)["stored"] == 2


def test_ctrl_c_before_anything_is_stored(run, life, folder, monkeypatch):
    def stopped(*arguments, **named):
        raise KeyboardInterrupt

    monkeypatch.setattr(mossy, "open", stopped)
    (folder / "t.csv").write_text(ROWS)
    done = run("store", life, "t.csv")
    assert (done.exit_code, done.stderr) == (130, "mossy: stopped. life.mossy: 0 stored.\n")


def test_another_writer_is_named(refused, folder):
    (folder / "t.csv").write_text(ROWS)
    with mossy.open("life.mossy"):
        assert "this process has it open to write" in refused(1, "store", "life.mossy", "t.csv")


def test_what_the_system_does_not_allow_is_named(refused, folder, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    (folder / "i.png").write_bytes(image(np.zeros((2, 2), np.uint8)))
    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    assert refused(1, "store", "life.mossy", "i.png") == "mossy: the system: No space left on device.\n"


def test_other_files_are_refused_and_left_alone(refused, folder):
    (folder / "t.csv").write_text(ROWS)
    (folder / "notes.txt").write_text("notes" * 10)
    assert "notes.txt: it is not a file of mossy's" in refused(2, "store", "notes.txt", "t.csv")
    assert (folder / "notes.txt").read_text() == "notes" * 10
    with sqlite3.connect("other.db") as other:
        other.execute("CREATE TABLE t (x)")
    assert "SQLite file of another program" in refused(2, "store", "other.db", "t.csv")


def test_a_key_from_the_environment_or_a_file(run, refused, told, folder, monkeypatch):
    monkeypatch.setenv("LIFE_KEY", "correct horse battery")
    (folder / "key").write_text("correct horse battery\n")
    (folder / "wrong").write_text("incorrect horse battery\n")
    (folder / "t.csv").write_text("name,a\nverysecretname,1\n")
    told("store", "life.mossy", "t.csv", "--payload", "name", "--key", "env:LIFE_KEY")
    assert b"verysecretname" not in (folder / "life.mossy").read_bytes()
    found = told("recall", "life.mossy", "--like", "0", "--key", "file:key")
    assert found["recalled"][0]["memories"][0]["payload"] == "verysecretname"
    for command in (["stats", "life.mossy"], ["store", "life.mossy", "t.csv"], ["consolidate", "life.mossy"]):
        assert "encrypted" in refused(2, *command)
        assert "the key does not open it" in refused(2, *command, "--key", "file:wrong")

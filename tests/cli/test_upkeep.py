"""``mossy forget``, ``consolidate`` and ``stats``."""

from __future__ import annotations

from dataclasses import asdict

import pytest

import mossy


def test_forget(run, told, refused, life, folder):
    assert run("forget", life, 3, 5).stdout == "life.mossy: 2 forgotten. It holds 38 memories.\n"
    assert told("forget", life, 7, 7) == {"file": "life.mossy", "forgotten": 1, "memories": 37}
    before = (folder / life).read_bytes()
    assert "no memory has the id 3" in refused(2, "forget", life, 8, 3)
    assert (folder / life).read_bytes() == before
    with mossy.open(life, "r") as memory:
        assert {3, 5, 7}.isdisjoint(memory.ids.tolist())
        assert 8 in memory


def test_no_byte_of_what_was_forgotten_remains(told, folder):
    (folder / "t.csv").write_text("name,a\nsecretsecret,1\nother,2\n")
    told("store", "life.mossy", "t.csv", "--payload", "name")
    assert b"secretsecret" in (folder / "life.mossy").read_bytes()
    told("forget", "life.mossy", 0)
    for path in folder.glob("life*"):
        assert b"secretsecret" not in path.read_bytes(), path


@pytest.mark.parametrize("ids", [["x"], ["1.5"], []])
def test_ids_are_integers(run, life, ids):
    assert run("forget", life, *ids).exit_code == 2


def test_consolidate(run, told, life):
    done = run("consolidate", life)
    assert done.stdout == ("life.mossy: 40 moved to long-term memory, 0 let go, 0 merged. It holds 40 memories.\n")
    again = told("consolidate", life)
    assert again == {"file": "life.mossy", "moved": 0, "let_go": 0, "merged": 0, "memories": 40}


def test_stats(run, told, life):
    with mossy.open(life, "r") as memory:
        assert told("stats", life) == {"file": "life.mossy", **asdict(memory.stats())}
    text = run("stats", life).stdout
    assert ["memories", "40"] in [line.split() for line in text.splitlines()]
    assert ["capacity", "none"] in [line.split() for line in text.splitlines()]


def test_stats_of_a_memory_that_keeps_weights_alone(told, refused):
    with mossy.open("life.mossy", keep_raw=False, substrate=mossy.Matrix(3)) as memory:
        memory.store([[1.0, 2, 3]])
    found = told("stats", "life.mossy")
    assert (found["file"], found["memories"], found["substrate"]) == ("life.mossy", 1, "matrix")
    for command in (["forget", "life.mossy", 0], ["export", "life.mossy", "away"]):
        assert "mossy stats, verify and repair take it" in refused(2, *command)


def test_stats_are_read_beside_a_writer(told, life):
    with mossy.open(life):
        assert told("stats", life)["memories"] == 40


@pytest.mark.parametrize("command", ["forget", "consolidate", "stats"])
def test_what_is_no_memory_is_named(command, refused, folder):
    (folder / "notes.txt").write_text("no memory, and not to be changed")
    ids = [1] if command == "forget" else []
    assert "no.mossy: it was given, and is not there" in refused(2, command, "no.mossy", *ids)
    assert "notes.txt: it is not a file of mossy's" in refused(2, command, "notes.txt", *ids)
    assert (folder / "notes.txt").read_text() == "no memory, and not to be changed"
    assert sorted(path.name for path in folder.iterdir()) == ["notes.txt"]

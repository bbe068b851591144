"""``mossy verify`` and ``mossy repair``."""

from __future__ import annotations

import json

import numpy as np
import pytest

import mossy


@pytest.fixture
def damaged(life, folder) -> str:
    """The memory with one byte of the payload of memory 7 altered."""
    content = (folder / life).read_bytes()
    assert content.count(b'"p7"') == 1
    (folder / life).write_bytes(content.replace(b'"p7"', b'"q7"'))
    return life


def test_a_sound_memory(run, told, life):
    assert run("verify", life).stdout == "life.mossy: sound. It holds 40 memories.\n"
    assert told("verify", life) == {"file": life, "sound": True, "memories": 40, "damage": []}
    with mossy.open(life):
        assert told("verify", life)["sound"]


def test_damage_is_named_and_ends_with_3(run, damaged, folder):
    before = (folder / damaged).read_bytes()
    done = run("verify", damaged)
    assert (done.exit_code, done.stderr) == (3, "")
    *named, last = done.stdout.splitlines()
    assert any("memory 7" in line for line in named)
    assert last == "life.mossy: damaged. Intact: 39 memories; mossy repair rescues them."
    done = run("verify", damaged, "--json")
    found = json.loads(done.stdout)
    assert (done.exit_code, found["sound"], found["memories"]) == (3, False, 39)
    assert len(found["damage"]) == len(named)
    assert (folder / damaged).read_bytes() == before


def test_what_is_intact_is_rescued_and_what_is_lost_is_named(run, damaged, folder, patterns):
    before = (folder / damaged).read_bytes()
    done = run("repair", damaged, "new.mossy")
    assert (done.exit_code, done.stderr) == (3, "")
    assert "memory 7" in done.stdout
    assert "new.mossy: 39 memories rescued from life.mossy" in done.stdout
    assert (folder / damaged).read_bytes() == before
    with mossy.open("new.mossy", "r") as memory:
        assert memory.ids.tolist() == [id for id in range(40) if id != 7]
        assert np.array_equal(memory[8].pattern, patterns[8])
        assert memory[8].payload == "p8"
    assert run("verify", "new.mossy").exit_code == 0


def test_a_sound_memory_loses_nothing(run, told, life):
    assert run("repair", life, "other.mossy").stdout == (
        "other.mossy: 40 memories rescued from life.mossy, nothing lost.\n"
    )
    done = told("repair", life, "new.mossy")
    assert done == {"file": life, "into": "new.mossy", "rescued": 40, "lost": []}


def test_repair_overwrites_nothing(refused, life, folder):
    (folder / "there").write_text("not to be overwritten")
    refused(2, "repair", life, "there")
    refused(2, "repair", life, life)
    assert (folder / "there").read_text() == "not to be overwritten"
    assert len(mossy.open(life, "r")) == 40


@pytest.mark.parametrize("command", [["verify"], ["repair", "new.mossy"]])
def test_what_is_no_memory_is_named(command, refused, folder):
    name, *into = command
    assert "no.mossy" in refused(2, name, "no.mossy", *into)
    assert [path.name for path in folder.iterdir()] == []
    for content in (b"", b"notes", bytes(5000)):
        (folder / "notes.txt").write_bytes(content)
        assert "notes.txt" in refused(2, name, "notes.txt", *into)

"""What is damaged is named, what is intact is rescued, and the damaged file is left as it is."""

from __future__ import annotations

import random
import shutil
import sqlite3
import subprocess
import sys
import warnings
from typing import Any
from zlib import crc32

import numpy as np
import pytest

import mossy
from mossy.errors import Damaged, ForgetPending, NewerLayout, NotAMemory, WrongKey
from mossy.journal import Repaired, Verified, repair, verify
from mossy.journal.layout import PAGE
from mossy.journal.rows import place_of
from tests.journal.files import KEY, POOL, D, N, bytes_in, change, everything, flip, lived
from tests.journal.small import small

# -- what is sound ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["closed", "killed", "sealed"])
def test_a_sound_file_is_sound_and_left_as_it_is(copied, name, tmp_path):
    path = copied(name)
    before = bytes_in(tmp_path)
    found = verify(path, key=KEY if name == "sealed" else None)
    assert found == Verified(N - 3 + 1 + 8, [])
    assert found
    assert bytes_in(tmp_path) == before


def test_an_empty_memory_is_sound(tmp_path):
    mossy.open(tmp_path / "m").close()
    assert verify(tmp_path / "m") == Verified(0, [])
    assert repair(tmp_path / "m", tmp_path / "n") == Repaired(0, [])
    assert verify(tmp_path / "n") == Verified(0, [])


@pytest.mark.parametrize("key", [None, KEY])
def test_with_its_arrays(tmp_path, key):
    with small():
        lived(tmp_path / "m", key=key)
        assert (tmp_path / "m.arrays").exists()
        assert verify(tmp_path / "m", key=key) == Verified(N + 6, [])
        flip(tmp_path / "m.arrays", 3000)
        found = verify(tmp_path / "m", key=key)
        assert found.memories == N + 6
        told = "of the arrays beside it does not fit its checksum; delete m.arrays, it is made again"
        assert [line.partition("of")[1] + line.partition("of")[2] for line in found.damage] == [told]
        (tmp_path / "m.arrays").unlink()
        assert verify(tmp_path / "m", key=key)


def test_the_arrays_of_another_memory_are_named(tmp_path):
    with small():
        lived(tmp_path / "m")
        lived(tmp_path / "other")
        shutil.copy(tmp_path / "other.arrays", tmp_path / "m.arrays")
        assert "do not begin as its own" in verify(tmp_path / "m").damage[0]


def test_beside_a_writer_one_state_is_checked(tmp_path, monkeypatch):
    monkeypatch.setattr("mossy.journal.connection.WAIT", 0.01)
    memory = lived(tmp_path / "m", close=False)
    assert verify(tmp_path / "m") == Verified(N + 6, [])
    count = 0

    def meanwhile(*_: Any) -> None:
        nonlocal count
        count += 1
        memory.store(POOL[200 + count])
        with pytest.raises(ForgetPending):  # since verify reads there
            memory.forget(20 + count)

    assert verify(tmp_path / "m", progress=meanwhile) == Verified(N + 6, [])
    assert count
    assert verify(tmp_path / "m")
    memory.close()


def test_verifying_takes_no_lock_away(tmp_path):
    """Closing a handle of a file drops all locks of the process on it: then another would delete the log in use."""
    memory = lived(tmp_path / "m", close=False)
    verify(tmp_path / "m")
    repair(tmp_path / "m", tmp_path / "n")
    code = """
import sqlite3
connection = sqlite3.connect("m", timeout=0)
connection.execute("SELECT count(*) FROM memory").fetchone()
connection.close()  # the last to close removes the log
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert (tmp_path / "m-wal").exists()
    memory.store(POOL[250])
    memory.close()
    assert verify(tmp_path / "m")


def test_progress_is_told(tmp_path, copied):
    for call in (
        lambda tell: verify(copied("closed"), progress=tell),
        lambda tell: repair(copied("closed"), tmp_path / "n", progress=tell),
    ):
        told: list[tuple[int, int]] = []
        call(lambda done, total, told=told: told.append((done, total)))
        assert told == sorted(told)
        assert told[-1][0] == told[-1][1] > 0


# -- what is no memory --------------------------------------------------------------------------------------------


def test_what_is_not_there_or_another_program_s(tmp_path):
    with pytest.raises(NotAMemory, match="not there"):
        verify(tmp_path / "nothing")
    with pytest.raises(NotAMemory, match="not there"):
        repair(tmp_path / "nothing", tmp_path / "n")
    connection = sqlite3.connect(tmp_path / "other")
    connection.execute("CREATE TABLE memory (a, b, c, d, e, f)")
    connection.execute("INSERT INTO memory VALUES (NULL, 1.5, x'00', NULL, NULL, 7)")
    connection.commit()
    connection.close()
    with pytest.raises(NotAMemory, match="another program"):
        verify(tmp_path / "other")
    with pytest.raises(NotAMemory, match="another program"):
        repair(tmp_path / "other", tmp_path / "n")
    (tmp_path / "text").write_text("hello " * 3000)
    assert "it is another's file" in verify(tmp_path / "text").damage[-1]
    with pytest.raises(NotAMemory, match="nothing of a memory"):
        repair(tmp_path / "text", tmp_path / "n")
    (tmp_path / "empty").touch()
    assert not verify(tmp_path / "empty")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[:1] == "n") == []


def test_a_newer_layout(copied, tmp_path):
    path = copied("closed")
    change(path, "PRAGMA user_version = 7")
    assert verify(path).damage == ["its header says that it has layout 7, and it has layout 1"]
    assert repair(path, tmp_path / "n").lost == []
    change(path, "ALTER TABLE memory ADD COLUMN mood")
    for call in (lambda: verify(path), lambda: repair(path, tmp_path / "n2")):
        with pytest.raises(NewerLayout, match="layout 7"):
            call()


def test_keys(copied, tmp_path):
    sealed, clear = copied("sealed"), copied("closed")
    for call in (verify, lambda path, key: repair(path, tmp_path / "n", key=key)):
        for key, path in ((None, sealed), ("env:MOSSY_OTHER_KEY", sealed), (KEY, clear)):
            with pytest.raises(WrongKey):
                call(path, key)
    assert not (tmp_path / "n").exists()
    assert not (tmp_path / "n.part").exists()


# -- what is damaged ----------------------------------------------------------------------------------------------

SET_KEY = "UPDATE memory SET key = zeroblob(64) WHERE id = 30"
ROW = ["memory 30: the row does not fit its checksum"]
STATE = "memories 64 to 127: strengths, pins and links do not fit their checksum"
WRONG: dict[str, tuple[str, list[str], int, list[str]]] = {
    # what is done; what is named; how many are rescued; what is lost
    "a key": (SET_KEY, ROW, N + 5, ["memory 30: the row"]),
    "a payload": ("UPDATE memory SET payload = x'31' WHERE id = 30", ROW, N + 5, ["memory 30: the row"]),
    "a payload that is a number": (
        "UPDATE memory SET payload = 0 WHERE id = 155",
        ["memory 155: "],
        N + 5,
        ["memory 155: the row"],
    ),
    "a value that is a number": ("UPDATE memory SET value = 0 WHERE id = 30", ROW, N + 5, ["memory 30: the row"]),
    "a key that is text": ("UPDATE memory SET key = 'x' WHERE id = 30", ROW, N + 5, ["memory 30: the row"]),
    "a time": ("UPDATE memory SET stored = stored + 1 WHERE id = 30", ROW, N + 5, ["memory 30: the row"]),
    "no time": ("UPDATE memory SET stored = NULL WHERE id = 30", ["memory 30: "], N + 5, ["memory 30: the row"]),
    "a checksum": ("UPDATE memory SET crc = crc + 1 WHERE id = 30", ROW, N + 5, ["memory 30: the row"]),
    "no checksum": (
        "UPDATE memory SET crc = NULL WHERE id = 30",
        ["memory 30: forgotten, and a part of the row is still there", "memory 30: the row is missing"],
        N + 5,
        ["memory 30: the row"],
    ),
    "some keys": (
        "UPDATE memory SET key = zeroblob(64) WHERE id BETWEEN 30 AND 33",
        ["memories 30 to 33: the row does not fit its checksum"],
        N + 2,
        ["memories 30 to 33: the row"],
    ),
    "a row": ("DELETE FROM memory WHERE id = 30", ["memory 30: the row is missing"], N + 5, ["memory 30: the row"]),
    "a row of another id": (
        "UPDATE memory SET id = 4000 WHERE id = 30",
        ["memory 4000: the row does not fit its checksum", "memory 30: the row is missing"],
        N + 5,
        ["memory 30: the row"],
    ),
    "the last row": (
        "DELETE FROM memory WHERE id = 160",
        ["memory 160: the row is missing"],
        N + 5,
        ["memory 160: the row"],
    ),
    "a state": (
        "UPDATE state SET content = zeroblob(64) WHERE block = 1",
        [STATE],
        N + 6,
        ["memories 64 to 79: strength, "],
    ),
    "no state": (
        "DELETE FROM state WHERE block = 1",
        ["memories 64 to 79: strength, pin and links are missing"],
        N + 6,
        ["memories 64 to 79: strength, "],
    ),
    "the configuration": (
        "UPDATE meta SET value = x'7b7d' WHERE name = 'configuration'",
        ["the configuration is missing, or does not fit its checksum"],
        N + 6,
        [],  # there is a second copy
    ),
    "the spare configuration": (
        "DELETE FROM spare WHERE name = 'configuration'",
        ["the second copy of the configuration is missing, or does not fit its checksum"],
        N + 6,
        [],
    ),
    "the head": (
        "DELETE FROM meta WHERE name = 'head'",
        ["the count of the memories is missing, or does not fit its checksum"],
        N + 6,
        ["the count of the memories: more may be lost than is named here"],
    ),
    "short-term memory": (
        "UPDATE meta SET crc = 0 WHERE name = 'short'",
        ["the list of short-term memory is missing, or does not fit its checksum"],
        N + 6,
        ["which memories were in short-term memory"],
    ),
    "merged ids": (
        "DELETE FROM meta WHERE name = 'merged'",
        ["the list of merged ids is missing, or does not fit its checksum"],
        N + 6,
        ["which ids were merged into others"],
    ),
    "an entry without a name that is text": (
        "UPDATE meta SET name = x'68656164' WHERE name = 'head'",
        ["the count of the memories is missing, or does not fit its checksum"],
        N + 6,
        ["the count of the memories: more may be lost than is named here"],
    ),
    "the header": ("PRAGMA application_id = 5", ["its header does not say any more"], N + 6, []),
    "a table": (
        "DROP TABLE state",
        ["the description of its tables is damaged"],
        N + 6,
        ["memories 0 to 3: strength, "],
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_damaged_is_named_and_the_rest_rescued(copied, tmp_path, what):
    statement, named, rescued, lost = WRONG[what]
    path = copied("closed")
    good = everything(path)
    change(path, statement)
    before = bytes_in(tmp_path)
    found = verify(path)
    assert not found
    assert all(any(line.startswith(start) for line in found.damage) for start in named), found.damage
    done = repair(path, tmp_path / "n")
    assert done.rescued == rescued
    assert all(any(line.startswith(start) for line in done.lost) for start in lost), done.lost
    assert bool(done.lost) == bool(lost)
    assert {name: content for name, content in bytes_in(tmp_path).items() if name[0] != "n"} == before
    assert verify(tmp_path / "n") == Verified(rescued, [])
    whole = {
        id: one for id, one in everything(tmp_path / "n").items() if not any(str(id) in line for line in done.lost)
    }
    if not any(line.startswith(("memories", "which", "the")) for line in lost):
        assert whole == {id: good[id] for id in whole}
    assert all(one[1:3] == good[id][1:3] for id, one in whole.items()), "a pattern or a payload of another"


def test_rows_that_were_exchanged_are_noticed(copied):
    """A row of an older copy of the file fits its own checksum, and not the sum of all."""
    path = copied("closed")
    content = b"\x01" * 4 * D
    place = place_of(30, 0.0)
    change(
        path, "UPDATE memory SET key = ?, payload = NULL, crc = ? WHERE id = 30", content, crc32(content, crc32(place))
    )
    assert verify(path).damage == [f"{N + 6} memories were counted; {N + 6} are there, and not all are the same"]


def test_a_truncated_file(copied, tmp_path):
    path = copied("closed")
    good, whole = everything(path), path.read_bytes()
    rescued = []
    for size in range(0, len(whole), 3 * PAGE + 700):
        path.write_bytes(whole[:size])
        assert not verify(path)
        for old in tmp_path.glob("n*"):
            old.unlink()
        try:
            done = repair(path, tmp_path / "n")
        except (NotAMemory, Damaged):
            assert size < 3 * PAGE
            continue
        rescued.append(done.rescued)
        found = everything(tmp_path / "n")
        assert {id: one[1:3] for id, one in found.items()} == {id: good[id][1:3] for id in found}
        assert done.lost
    assert rescued == sorted(rescued)
    assert rescued[-1] > N // 2


@pytest.mark.parametrize("name", ["closed", "killed", "sealed"])
def test_any_alteration_is_named_or_harmless_and_what_is_rescued_is_true(made, tmp_path, name):
    key = KEY if name == "sealed" else None
    one = random.Random(name)
    shutil.copytree(
        made[name].parent, tmp_path / "good", ignore=lambda _, names: [n for n in names if not n.startswith(name)]
    )
    shutil.copytree(tmp_path / "good", tmp_path / "truth")
    good = everything(tmp_path / "truth" / name, key)
    files = [path.name for path in (tmp_path / "good").iterdir() if not path.name.endswith(".lock")]
    outcomes = {"named": 0, "harmless": 0, "lost": 0}
    for round in range(12 if key else 40):
        shutil.rmtree(tmp_path / "case", ignore_errors=True)
        shutil.copytree(tmp_path / "good", tmp_path / "case")
        path = tmp_path / "case" / one.choice(files)
        content = bytearray(path.read_bytes())
        used = np.flatnonzero(np.frombuffer(bytes(content), np.uint8))
        place = int(used[one.randrange(len(used))])
        if round % 4 == 0:
            content[place : place + 2048] = bytes(len(content[place : place + 2048]))
        elif round % 4 == 1:
            del content[place:]
        else:
            content[place] ^= 1 << one.randrange(8)
        path.write_bytes(content)
        sound = bool(verify(tmp_path / "case" / name, key=key))
        try:
            done = repair(tmp_path / "case" / name, tmp_path / f"n{round}", key=key)
        except (NotAMemory, Damaged):
            assert not sound
            continue
        assert verify(tmp_path / f"n{round}", key=key) == Verified(done.rescued, [])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            rescued = everything(tmp_path / f"n{round}", key)
        assert {id: one[1:3] for id, one in rescued.items()} == {id: good[id][1:3] for id in rescued}
        if not done.lost:
            assert rescued == good
        if sound:
            assert done.lost == []
        outcomes["harmless" if sound else "named"] += 1
        outcomes["lost"] += bool(done.lost)
    assert outcomes["named"] > 3, outcomes

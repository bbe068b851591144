"""A torn or altered file is noticed, or nothing of it matters: never a wrong answer, never an error without a name."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import mossy
from mossy.errors import Damaged, JournalError, MossyError
from tests.journal.damage import NAME, SETS, WAYS, Case, Truth, cases, content_of, looked_at, make
from tests.journal.small import small

SMALL = {"ROWS": 32, "BLOCK": 16, "CHUNK": 64, "ASKED": 50, "SMALL": 4096, "EMPTY": 4096}


@pytest.fixture(scope="module", autouse=True)
def sizes():
    with small(**SMALL):
        yield


@pytest.fixture(scope="module")
def made(sizes, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    make(folder)
    return folder


@pytest.fixture(scope="module")
def truths(made, tmp_path_factory) -> dict[str, Truth]:
    found = {}
    for state in ("closed", "killed"):
        path = Case(state, NAME, lambda content, random: None, 0).lay_out(made, tmp_path_factory.mktemp("truth") / "x")
        with mossy.open(path) as memory:
            found[state] = Truth(memory)
    assert len(found["killed"].ids) == len(found["closed"].ids) + 40 - 3
    return found


def test_every_alteration_is_noticed_or_harmless(made, truths, tmp_path):
    faults, outcomes = [], Counter()
    for case in cases(2 * len(SETS) * len(WAYS), seed=0):
        path = case.lay_out(made, tmp_path / "case")
        outcome, wrong = looked_at(case, path, truths[case.state])
        outcomes[case.name, outcome] += 1
        faults += wrong
    assert faults == []
    assert outcomes[NAME, "detected"] > 30, outcomes
    assert outcomes[NAME + ".arrays", "harmless"] > 10, outcomes
    assert outcomes[NAME + "-wal", "detected"] > 20, outcomes


# -- what a single flip may turn a column into ---------------------------------------------------------------------

ODD = (
    "NULL",
    "0",
    "1",
    "-1",
    "''",
    "'x'",
    "x''",
    "x'00'",
    "1.5",
    "9e307",
    "-9e307",
    "1099511627776",
    "9223372036854775807",
)
COLUMNS = {
    "memory": ("id", "stored", "key", "value", "payload", "crc"),
    "state": ("block", "version", "content", "crc"),
    "meta": ("name", "value", "crc"),
}
LAST = {"memory": "id", "state": "block", "meta": "name = 'head', name"}


def altered(statement: str):
    def way(path: Path) -> None:
        connection = sqlite3.connect(path)
        try:
            connection.execute(statement)
            connection.commit()
        finally:
            connection.close()

    return way


@pytest.mark.parametrize("state", ["closed", "killed"])
@pytest.mark.parametrize(
    "column",
    [f"{table}.{column}" for table in COLUMNS for column in COLUMNS[table]],
)
def test_a_column_of_another_value_or_type_is_noticed_or_harmless(made, truths, tmp_path, column, state):
    """In the last row, which in the file of a killed process is one that was not counted yet."""
    table, name = column.split(".")
    faults, detected = [], 0
    for value in ODD:
        case = Case(state, NAME, lambda content, random: None, 0)
        path = case.lay_out(made, tmp_path / "case")
        place = f"SELECT rowid FROM {table} ORDER BY {LAST[table]} DESC LIMIT 1" if table != "meta" else "'head'"
        key = "name" if table == "meta" else "rowid"
        try:
            altered(f"UPDATE {table} SET {name} = {value} WHERE {key} = ({place})")(path)
        except (sqlite3.IntegrityError, sqlite3.OperationalError):
            continue  # SQLite itself cannot hold this there
        outcome, wrong = looked_at(case, path, truths[state])
        detected += outcome == "detected"
        faults += [f"{column} = {value}: {line}" for line in wrong]
    assert faults == []
    assert detected


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM memory WHERE id = 30",
        "DELETE FROM memory WHERE id >= 150",
        "DELETE FROM state WHERE block = 2",
        "DELETE FROM state",
        "DELETE FROM meta WHERE name = 'head'",
        "DELETE FROM meta WHERE name = 'configuration'",
        "DELETE FROM meta",
        "DROP TABLE memory",
        "DROP TABLE state",
        "DROP TABLE meta",
        "INSERT INTO memory SELECT id + 1000, stored, key, value, payload, crc FROM memory WHERE id = 30",
        "UPDATE memory SET key = (SELECT key FROM memory WHERE id = 31) WHERE id = 30",
        "UPDATE memory SET payload = (SELECT payload FROM memory WHERE id = 31) WHERE id = 30",
        "UPDATE memory SET crc = NULL WHERE id = 30",
        "UPDATE memory SET stored = NULL, key = NULL, value = NULL, payload = NULL, crc = NULL WHERE id = 30",
        "UPDATE state SET content = (SELECT content FROM state WHERE block = 1), "
        "crc = (SELECT crc FROM state WHERE block = 1) WHERE block = 2",
        "UPDATE state SET content = zeroblob(length(content)) WHERE block = 2",
        "UPDATE meta SET value = (SELECT value FROM meta WHERE name = 'merged'), "
        "crc = (SELECT crc FROM meta WHERE name = 'merged') WHERE name = 'short'",
    ],
)
@pytest.mark.parametrize("state", ["closed", "killed"])
def test_what_another_program_changed_is_noticed(made, truths, tmp_path, statement, state):
    case = Case(state, NAME, lambda content, random: None, 0)
    path = case.lay_out(made, tmp_path / "case")
    altered(statement)(path)
    outcome, wrong = looked_at(case, path, truths[state])
    assert wrong == []
    assert outcome == "detected"


@pytest.mark.parametrize("pragma", ["application_id = 7", "user_version = 2", "user_version = 0", "user_version = -1"])
def test_a_header_of_another_kind_is_named(made, tmp_path, pragma):
    path = Case("closed", NAME, lambda content, random: None, 0).lay_out(made, tmp_path / "case")
    altered(f"PRAGMA {pragma}")(path)
    for mode in ("r", "a", "r", "a"):
        with pytest.raises(JournalError):
            mossy.open(path, mode)


def test_the_intact_part_opens_to_read_with_a_warning_that_names_the_rest(made, truths, tmp_path):
    path = Case("closed", NAME, lambda content, random: None, 0).lay_out(made, tmp_path / "case")
    path.with_name(NAME + ".arrays").unlink()
    altered("UPDATE memory SET key = zeroblob(24) WHERE id IN (30, 31)")(path)
    with pytest.raises(Damaged, match=r"memory 30.*memory 31.*mossy repair"):
        mossy.open(path)
    with pytest.warns(RuntimeWarning, match=r"memory 30.*memory 31") as told:
        reader = mossy.open(path, "r")
    assert [one.filename for one in told] == [__file__], "the warning is to name the line that opened it"
    with reader:
        seen = Truth(reader)
    assert seen.ids == [id for id in truths["closed"].ids if id not in (30, 31)]


def test_a_damaged_payload_is_named_when_it_is_asked_for(made, truths, tmp_path):
    path = Case("closed", NAME, lambda content, random: None, 0).lay_out(made, tmp_path / "case")
    altered("UPDATE memory SET payload = x'00aabb' WHERE id = 30")(path)
    with mossy.open(path) as memory:  # its pattern is in the arrays beside it
        with pytest.raises(Damaged, match="memory 30"):
            _ = memory[30]
        with pytest.raises(Damaged, match="memory 30"):
            memory.recall(content_of(30)[0])
        assert memory[31].payload == content_of(31)[2]


def test_a_reader_tells_of_damage_that_it_meets_while_it_follows(tmp_path):
    path = tmp_path / NAME
    keys = np.random.default_rng(0).normal(size=(5, 4))
    with mossy.open(path) as writer:
        writer.store(keys[:2])
        with mossy.open(path, "r") as reader:
            assert len(reader) == 2
            writer.store(keys[2:])
            altered("UPDATE memory SET key = zeroblob(16) WHERE id = 3")(path)
            with pytest.warns(RuntimeWarning, match="memory 3"):
                assert len(reader) == 4


class TestTornLog:
    """SQLite drops the end of a log that does not fit its checksums, and says nothing."""

    N = 20

    @pytest.fixture
    def path(self, tmp_path) -> Path:
        """Make a file whose writer was killed, and whose log is torn at its end."""
        with mossy.open(tmp_path / NAME) as memory:
            memory.store(np.zeros(4))
        child = os.fork()
        if not child:
            try:
                memory = mossy.open(tmp_path / NAME)
                for i in range(1, self.N):
                    memory.store(np.full(4, float(i)))
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        log = tmp_path / (NAME + "-wal")
        content = bytearray(log.read_bytes())
        content[-100] ^= 1
        log.write_bytes(content)
        return tmp_path / NAME

    @pytest.mark.parametrize("mode", ["r", "a"])
    def test_it_is_told(self, path, mode):
        with pytest.warns(RuntimeWarning, match=rf"up to {self.N - 1}.*up to {self.N - 2}"):
            memory = mossy.open(path, mode)
        assert len(memory) == self.N - 1
        memory.close()

    @pytest.mark.parametrize("fails", [{"links": 3}, {"key": "env:MOSSY_TEST_KEY"}, {"law": "two_phase"}])
    def test_an_opening_that_fails_does_not_hide_it(self, path, fails, monkeypatch):
        monkeypatch.setenv("MOSSY_TEST_KEY", "a key of more than sixteen characters")
        with pytest.raises(MossyError):
            mossy.open(path, **fails)
        with pytest.warns(RuntimeWarning, match="log"):
            mossy.open(path).close()

    def test_a_reader_does_not_hide_it_from_the_writer(self, path):
        with pytest.warns(RuntimeWarning, match="log"):
            mossy.open(path, "r").close()
        with pytest.warns(RuntimeWarning, match="log"):
            mossy.open(path).close()

    def test_it_is_told_once_and_then_goes_on(self, path):
        with pytest.warns(RuntimeWarning, match="log"):
            mossy.open(path).close()
        with mossy.open(path) as memory:
            assert memory.store(np.full(4, 99.0)) == self.N - 1

    @pytest.mark.parametrize("left", ["gone", "empty"])
    def test_a_log_that_is_missing_is_told(self, path, left):
        log = path.with_name(NAME + "-wal")
        log.unlink() if left == "gone" else log.write_bytes(b"")
        with pytest.warns(RuntimeWarning, match=rf"up to {self.N - 1}"):
            mossy.open(path).close()

    def test_a_pin_in_the_torn_end_is_told(self, tmp_path):
        path = tmp_path / NAME
        with mossy.open(path) as memory:
            memory.store(np.random.default_rng(0).normal(size=(9, 4)))
        child = os.fork()
        if not child:
            try:
                memory = mossy.open(path)
                memory.pin(3)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        log = path.with_name(NAME + "-wal")
        log.write_bytes(log.read_bytes()[:-10])
        with pytest.warns(RuntimeWarning, match="log"):
            mossy.open(path).close()


@pytest.mark.parametrize("beside", ["arrays", "log", "note"])
def test_a_file_that_lost_all_its_bytes_is_no_new_memory(tmp_path, beside):
    """Nothing of it is left, and what lies beside it says that it was one."""
    path = tmp_path / NAME
    with small(), mossy.open(path) as memory:
        memory.store(np.random.default_rng(0).normal(size=(40, 4)))
        if beside != "arrays":
            shutil.copytree(tmp_path, tmp_path.with_name("left"))
    if beside != "arrays":
        shutil.rmtree(tmp_path)
        tmp_path.with_name("left").rename(tmp_path)
        for name in {"log": (".lock", "-shm"), "note": ("-wal", "-shm")}[beside]:
            path.with_name(NAME + name).unlink()
    path.write_bytes(b"")
    with pytest.raises(Damaged, match=r"empty.*beside it"):
        mossy.open(path)

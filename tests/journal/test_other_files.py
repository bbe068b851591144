"""What is no memory, or one of another time: it is named, and stays as it is."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest

import mossy
from mossy.errors import (
    InvalidParameter,
    JournalError,
    NewerLayout,
    NotAMemory,
)
from tests.journal.small import small
from tests.journal.some import KEYS, fill


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


class TestOtherFiles:
    """What is no memory stays as it is."""

    @pytest.mark.parametrize("mode", ["r", "a"])
    @pytest.mark.parametrize(
        "content",
        [
            b"Dear diary,\n" * 9,
            bytes(100),
            bytes(5000),
            b"SQLite format 3\0" + bytes(200),
        ],
    )
    def test_a_file_of_another_kind(self, path, content, mode):
        path.write_bytes(content)
        with pytest.raises(NotAMemory):
            mossy.open(path, mode)
        assert path.read_bytes() == content
        assert [file.name for file in path.parent.iterdir()] == [path.name]

    def test_a_file_of_one_byte(self, path):
        self.test_a_file_of_another_kind(path, b"x", "r")
        self.test_a_file_of_another_kind(path, b"x", "a")

    @pytest.mark.parametrize("mode", ["r", "a"])
    def test_another_file_of_sqlite(self, path, mode):
        connection = sqlite3.connect(path)
        connection.execute("CREATE TABLE memory (id INTEGER PRIMARY KEY, key BLOB)")
        connection.commit()
        connection.close()
        before = path.read_bytes()
        with pytest.raises(NotAMemory, match="another program"):
            mossy.open(path, mode)
        assert path.read_bytes() == before

    def test_an_empty_file_becomes_a_memory_when_it_is_to_be_written(self, path):
        path.write_bytes(b"")
        with pytest.raises(NotAMemory, match="empty"):
            mossy.open(path, "r")
        with mossy.open(path) as memory:
            memory.store(KEYS[:2])

    def test_a_file_that_is_not_there(self, path):
        with pytest.raises(NotAMemory, match="not there"):
            mossy.open(path, "r")
        assert list(path.parent.iterdir()) == []

    def test_a_folder_and_what_is_no_path(self, tmp_path):
        for given in (tmp_path, "", 7, None, "a\0b", b"a\0b"):
            with pytest.raises(InvalidParameter):
                mossy.open(given)

    def test_a_folder_that_is_not_there(self, tmp_path):
        with pytest.raises(JournalError, match="folder"):
            mossy.open(tmp_path / "none" / "life.mossy")
        with pytest.raises(NotAMemory):
            mossy.open(tmp_path / "none" / "life.mossy", "r")

    @pytest.mark.parametrize("name", ["ünï code 记忆.mossy", "per%20cent?mode=ro#x.mossy", "a b'c\"d.mossy", "-rf"])
    def test_any_name_will_do(self, tmp_path, name):
        with mossy.open(tmp_path / name) as memory:
            memory.store(KEYS[:3])
        assert [file.name for file in tmp_path.iterdir()] == [name]
        with mossy.open(str(tmp_path / name), "r") as memory:
            assert len(memory) == 3

    def test_a_newer_layout(self, path):
        fill(path)
        connection = sqlite3.connect(path)
        connection.execute("PRAGMA user_version = 99")
        connection.close()
        before = path.read_bytes()
        for mode in ("r", "a"):
            with pytest.raises(NewerLayout, match="99"):
                mossy.open(path, mode)
        assert path.read_bytes() == before

    def test_an_older_copy_beside_newer_arrays(self, path):
        """A backup that was brought back; the arrays beside it are of the later state."""
        with small():
            fill(path, 20)
            earlier = path.read_bytes()
            with mossy.open(path) as memory:
                memory.forget(range(4))
                memory.store(KEYS[30:60])
            path.write_bytes(earlier)
            with mossy.open(path) as memory:
                assert memory.ids.tolist() == list(range(20))
                assert np.array_equal(memory[2].pattern, KEYS[2])

    def test_the_arrays_of_another_memory(self, path, tmp_path):
        with small():
            fill(path, 20)
            with mossy.open(tmp_path / "other.mossy") as memory:
                memory.store(KEYS[20:40] * 3)
            shutil.copy(tmp_path / "other.mossy.arrays", tmp_path / "life.mossy.arrays")
            with mossy.open(path) as memory:
                assert np.array_equal(memory[2].pattern, KEYS[2])

"""What is no memory, or one of another time: it is named, and stays as it is."""

from __future__ import annotations

import contextlib
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


class TestBeside:
    """What lies beside a file."""

    @pytest.mark.xfail(strict=True, reason="the arrays can be read by everybody")
    def test_nobody_reads_beside_a_file_what_may_not_be_read_in_it(self, path):
        fill(path)
        path.chmod(0o600)
        with small(BLOCK=mossy.journal.BLOCK), mossy.open(path) as memory:
            memory.store(KEYS[20:50])
            memory.consolidate()
            modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
            assert path.name + ".arrays" in modes
            assert modes == dict.fromkeys(modes, 0o600)

    @pytest.mark.xfail(strict=True, reason="links are followed")
    @pytest.mark.parametrize("end", [".arrays", ".lock"])
    def test_nothing_is_written_through_a_link(self, path, tmp_path_factory, end):
        victim = tmp_path_factory.mktemp("other") / "victim"
        victim.write_bytes(b"important" * 1000)
        path.with_name(path.name + end).symlink_to(victim)
        try:
            with small(), mossy.open(path) as memory:
                memory.store(KEYS[:30])
                memory.forget(3)
                memory.consolidate()
        except JournalError:
            pass
        assert victim.read_bytes() == b"important" * 1000

    @pytest.mark.parametrize(
        "end",
        [
            pytest.param(".arrays", marks=pytest.mark.xfail(strict=True, reason="it is not named")),
            pytest.param(".lock", marks=pytest.mark.xfail(strict=True, reason="it is not named")),
            "-wal",
            "-shm",
        ],
    )
    def test_a_folder_where_a_file_should_be(self, path, end):
        with small():
            with mossy.open(path) as memory:
                memory.store(KEYS[:20])
            beside = path.with_name(path.name + end)
            beside.unlink(missing_ok=True)
            beside.mkdir()
            for mode in ("r", "a"):
                try:
                    with mossy.open(path, mode) as memory:
                        assert len(memory) == 20
                        if mode == "a":
                            memory.store(KEYS[20:40])
                            memory.forget(3)
                except JournalError:
                    pass
            beside.rmdir()
            with mossy.open(path) as memory:
                assert len(memory) in (20, 39)

    @pytest.mark.xfail(strict=True, reason="they are not named")
    def test_names_that_no_file_can_have(self, tmp_path):
        for name in ("~nosuchuser/life.mossy", str(tmp_path / "\ud800.mossy"), str(tmp_path / ("x" * 300))):
            for mode in ("r", "a"):
                with pytest.raises(mossy.MossyError):
                    mossy.open(name, mode)

    def test_a_file_in_the_place_of_the_folder(self, tmp_path):
        (tmp_path / "file").write_text("x")
        for mode in ("r", "a"):
            with pytest.raises(JournalError):
                mossy.open(tmp_path / "file" / "life.mossy", mode)

    @pytest.mark.parametrize("replaced", [False, True])
    def test_a_file_that_is_removed_while_it_is_open(self, path, replaced):
        """What is stored then would be in no file."""
        memory = mossy.open(path)
        memory.store(KEYS[:5])
        reader = mossy.open(path, "r")
        assert len(reader) == 5
        path.unlink()
        if replaced:
            shutil.copy(__file__, path)
        for call in (lambda: memory.store(KEYS[6]), lambda: memory.forget(1), lambda: len(reader)):
            with pytest.raises(JournalError, match="removed or replaced"):
                call()
        with contextlib.suppress(JournalError):
            memory.close()
        reader.close()
        if replaced:
            assert path.read_bytes() == Path(__file__).read_bytes()

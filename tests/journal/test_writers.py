"""One writes at a time, and who holds a file is named."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest

import mossy
from mossy.errors import (
    HeldByWriter,
    InvalidParameter,
    JournalError,
)
from tests.journal.small import small
from tests.journal.some import KEYS, fill, in_a_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


class TestWriters:
    """There is one at a time."""

    def test_a_second_in_this_process(self, path):
        with mossy.open(path) as memory:
            memory.store(KEYS[:3])
            with pytest.raises(HeldByWriter, match="this process"):
                mossy.open(path)
            memory.store(KEYS[3:6])
        with mossy.open(path) as memory:
            assert len(memory) == 6

    @pytest.mark.parametrize("name", ["link.mossy", "folder/life.mossy"])
    def test_a_second_by_another_name_of_the_file(self, path, name):
        with mossy.open(path) as memory:
            memory.store(KEYS[:3])
            other = path.parent / name
            if name.startswith("folder"):
                other.parent.symlink_to(path.parent)
            else:
                other.symlink_to(path.name)
            with pytest.raises(HeldByWriter):
                mossy.open(other)
            with mossy.open(other, "r") as reader:
                assert len(reader) == 3
                memory.store(KEYS[3])
                assert len(reader) == 4

    def test_a_second_by_a_hard_link_is_refused(self, path):
        """It would have another log beside it."""
        fill(path)
        path.with_name("other.mossy").hardlink_to(path)
        for one in (path, path.with_name("other.mossy")):
            with pytest.raises(JournalError, match="link"):
                mossy.open(one)

    def test_a_second_in_another_process_is_told_who_it_is(self, path):
        with mossy.open(path) as memory:
            memory.store(KEYS[:3])
            told = in_a_process(
                """
                try: mossy.open(path)
                except HeldByWriter as error: told["message"] = str(error)
                with mossy.open(path, "r") as reader: told["memories"] = len(reader)
                """,
                path=path,
            )
            assert f"process {os.getpid()} " in told["message"]
            assert told["memories"] == 3
            memory.store(KEYS[4])

    @pytest.mark.parametrize("sleeper", [False, True])
    def test_one_that_died_holds_nothing(self, path, sleeper):
        """Not even where a process that it forked lives on."""
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            memory = mossy.open(path)
            memory.store(KEYS[:3])
            other = os.fork() if sleeper else 0
            if sleeper and not other:
                signal.pause()
            os.write(tell, str(other).encode())
            os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        other = int(os.read(told, 20))
        try:
            with mossy.open(path) as memory:
                assert len(memory) == 3
        finally:
            if other:
                os.kill(other, signal.SIGKILL)
            os.close(told)
            os.close(tell)

    def test_one_that_was_let_go_of_without_closing(self, path):
        memory = mossy.open(path)
        memory.store(KEYS[:3])
        del memory
        with mossy.open(path) as memory:
            assert len(memory) == 3

    def test_one_whose_opening_failed_holds_nothing(self, path):
        fill(path)
        for _ in range(2):
            with pytest.raises(InvalidParameter):
                mossy.open(path, links=3)
        with mossy.open(path) as memory:
            assert len(memory) == 20

    def test_another_program_that_locks_it(self, path):
        with small(WAIT=0.05), mossy.open(path) as memory:
            memory.store(KEYS[:5])
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            before = memory.ids.tolist()
            with pytest.raises(HeldByWriter):
                memory.store(KEYS[30])
            assert memory.ids.tolist() == before
            other.execute("ROLLBACK")
            other.close()
            memory.store(KEYS[30])

    def test_no_file_is_left_open(self, path):
        def opened() -> int:
            return sum(str(path) in os.readlink(link) for link in links_of_process())

        fill(path)
        for mode in ("a", "r"):
            mossy.open(path, mode).close()
        for _ in range(3):
            with pytest.raises(JournalError):
                mossy.open(path, key=f"file:{__file__}")
        path.write_bytes(b"no memory at all" * 40)
        for mode in ("a", "r"):
            with pytest.raises(JournalError):
                mossy.open(path, mode)
        assert opened() == 0


def links_of_process() -> list[Path]:
    folder = Path("/proc/self/fd")
    if not folder.exists():
        pytest.skip("no /proc here")
    return [link for link in folder.iterdir() if link.is_symlink()]

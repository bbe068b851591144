"""A full disk and a limit of the size of files: each has a name, and the memory is as it was before."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mossy
from mossy import Memory, Steps
from mossy.errors import (
    ClosedMemory,
    NoRoom,
)
from mossy.memory.durable import Durable
from tests.journal.alike import unlike
from tests.journal.small import small
from tests.journal.some import KEYS, fill, in_a_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


FILL = """
    import contextlib
    before = None
    memory = mossy.open(path, clock=mossy.Steps(), durability=durability)
    memory.store(np.eye(8), payload=["x" * 200] * 8)
    memory.flush()
    limit()
    keys = np.random.default_rng(0).normal(size=(200_000, 8)).astype(np.float32)
    stored, errors = 8, []
    for first in range(0, 200_000, 50):
        try:
            memory.store(keys[first : first + 50], payload=["x" * 500] * 50)
            stored += 50
        except Exception as error:
            errors.append(error)
            break
    told["stored"], told["seen"] = stored, len(memory)
    told["kinds"] = [type(error).__name__ for error in errors]
    told["recalled"] = memory.recall(keys[0], reinforce=False).ids.tolist()
    for name, call in {
        "pin": lambda: memory.pin(0),
        "reinforce": lambda: memory.reinforce(range(100)),
        "flush": lambda: memory.flush(),
        "consolidate": lambda: memory.consolidate(),
        "forget": lambda: memory.forget(1),
    }.items():
        try:
            call()
            told[name] = "done"
        except MossyError as error:
            told[name] = type(error).__name__
        except Exception as error:
            told[name] = "unnamed: " + repr(error)
    told["pinned"], told["there"] = memory[0].pinned, 1 in memory
    told["ids"] = memory.ids.tolist()
    with contextlib.suppress(JournalError):
        memory.close()
"""


def check_full(told: dict[str, Any], path: Path) -> None:
    assert told["kinds"] == ["NoRoom"]
    assert told["stored"] == told["seen"] > 8
    assert told["recalled"] == [8]
    assert {told[name] for name in ("pin", "reinforce", "flush", "consolidate", "forget")} <= {"done", "NoRoom"}
    assert told["pinned"] == (told["pin"] == "done")
    assert told["there"] == (told["forget"] != "done")
    with mossy.open(path) as memory:
        assert memory.ids.tolist() == told["ids"]
        assert memory[0].pinned == told["pinned"]
        assert memory[7].payload == "x" * 200
        memory.store(np.ones(8) * 7)


@pytest.mark.parametrize("durability", ["full", "process"])
def test_a_limit_of_the_size_of_files(path, durability):
    told = in_a_process(
        "def limit(): resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))\n"
        + textwrap.dedent(FILL),
        path=path,
        durability=durability,
    )
    check_full(told, path)


def test_a_full_disk(tmp_path):
    """A disk of 1 MiB that only a process of its own sees, where such can be made."""
    prefix = ("unshare", "-rm") if os.getuid() else ("unshare", "-m")
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {disk}"
    try:
        tried = subprocess.run([*prefix, "sh", "-c", mount], check=False, capture_output=True)
    except FileNotFoundError:
        pytest.skip("no unshare here")
    if tried.returncode:
        pytest.skip("no disk can be made here")
    body = (
        "import shutil, subprocess\n"
        "subprocess.run(mount.split(), check=True)\n"
        "def limit():\n"
        "    pass\n" + textwrap.dedent(FILL) + "\nshutil.copytree(disk, kept)\n"
        "free = os.statvfs(disk)\n"
        "with open(disk + '/filler', 'wb', buffering=0) as file:\n"
        "    try:\n"
        "        while True: file.write(bytes(4096))\n"
        "    except OSError: pass\n"
        "for mode in ('a', 'r'):\n"
        "    try:\n"
        "        with mossy.open(path, mode) as memory: told['opened ' + mode] = len(memory)\n"
        "    except MossyError as error: told['opened ' + mode] = type(error).__name__\n"
        "try: mossy.open(disk + '/new.mossy')\n"
        "except MossyError as error: told['new'] = type(error).__name__\n"
    )
    path = disk / "life.mossy"
    told = in_a_process(body, *prefix, path=path, disk=disk, kept=tmp_path / "kept", durability="full", mount=mount)
    assert told["new"] == "NoRoom"
    assert told["opened a"] in ("NoRoom", len(told["ids"]))
    assert told["opened r"] in ("NoRoom", len(told["ids"]))
    check_full(told, tmp_path / "kept" / "life.mossy")


def test_a_limit_below_the_arrays(path):
    """What lies beyond the limit cannot even be written over."""
    keys = np.random.default_rng(1).normal(size=(4200, 40)).astype(np.float32)
    with mossy.open(path) as memory:
        memory.store(keys)
    told = in_a_process(
        """
        memory = mossy.open(path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        for id in (7, 8):
            try:
                memory.forget(id)
                told[id] = "done"
            except Exception as error:
                told[id] = [type(error).__name__, isinstance(error, MossyError)]
            told[f"{id} is there"] = id in memory
        """,
        path=path,
    )
    for id in ("7", "8"):
        assert told[id] == "done" or told[id][1], told
    with mossy.open(path) as memory:
        assert [7 in memory, 8 in memory] == [told["7 is there"], told["8 is there"]]
        left = [id for id in (7, 8) if id not in memory]
        content = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert not any(keys[id].tobytes() in content for id in left)


def test_a_limit_that_leaves_no_room_for_a_lock(path):
    fill(path)
    told = in_a_process(
        """
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        for _ in range(2):
            try: mossy.open(path)
            except Exception as error: told.setdefault("errors", []).append(type(error).__name__)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, resource.RLIM_INFINITY))
        with mossy.open(path) as memory: told["memories"] = len(memory)
        """,
        path=path,
    )
    assert told == {"errors": ["NoRoom", "NoRoom"], "memories": 20}


CALLS: dict[str, Any] = {
    "store": lambda memory: memory.store(KEYS[30:33], payload=["a", "b", "c"]),
    "store, pinned": lambda memory: memory.store(KEYS[30:33], pin=True),
    "store, some there": lambda memory: memory.store(KEYS[10:33]),
    "store, some there, pinned": lambda memory: memory.store(KEYS[10:33], pin=True),
    "pin": lambda memory: memory.pin([1, 2, 15]),
    "unpin": lambda memory: memory.pin([3], False),
    "forget": lambda memory: memory.forget([1, 5, 19]),
    "consolidate": lambda memory: memory.consolidate(),
}


class TestFailingCommits:
    """The disk fails at every place where something is written, one after the other."""

    @pytest.fixture(autouse=True)
    def sizes(self):
        with small(LAG=1e9):
            yield

    @pytest.mark.parametrize("name", list(CALLS))
    def test_nothing_of_a_call_that_fails_is_done(self, path, monkeypatch, name):
        call = CALLS[name]
        settings: dict[str, Any] = {"duplicates": "reinforce" if "there" in name else "keep", "links": 2}
        with mossy.open(path, clock=Steps(), **settings) as memory:
            memory.store(KEYS[:20])
            memory.store(KEYS[:3])
            memory.pin([3])
            for nth in range(1, 200):
                twin = Memory.from_state(memory.state(), Steps())
                failing(monkeypatch, memory, nth)
                try:
                    call(memory)
                    done = True
                except NoRoom:
                    done = False
                finally:
                    monkeypatch.undo()
                if done:
                    break
                assert unlike(memory, twin, KEYS[:4]) == [], f"{name}, statement {nth}"
                with mossy.open(path, "r") as reader:
                    assert unlike(reader, twin, KEYS[:4]) == [], f"{name}, statement {nth}, on disk"
            assert nth > 3
            again = Memory.from_state(twin.state(), Steps())
            call(again)
            assert unlike(memory, again, KEYS[:4]) == []
        with mossy.open(path) as memory:
            assert unlike(memory, again, KEYS[:4]) == []

    def test_reinforcement_is_kept_until_it_can_be_written(self, path, monkeypatch):
        with mossy.open(path, clock=Steps()) as memory:
            memory.store(KEYS[:20])
            memory.flush()
            memory.reinforce(4, 3.0)
            strength = memory.strength(4)
            monkeypatch.setattr(Durable, "_is_due", lambda self: True)
            failing(monkeypatch, memory, 1)
            with pytest.warns(RuntimeWarning, match="reinforcement is not on disk yet"):
                memory.recall(KEYS[0], reinforce=False)
            monkeypatch.undo()
            memory.flush()
            with mossy.open(path, "r") as reader:
                assert np.allclose(reader.strength(4), strength)

    def test_a_closing_that_fails_says_so_and_lets_go_of_the_file(self, path, monkeypatch):
        memory = mossy.open(path, clock=Steps())
        memory.store(KEYS[:20])
        memory.flush()
        memory.reinforce(4, 3.0)
        failing(monkeypatch, memory, 1)
        with pytest.raises(NoRoom):
            memory.close()
        monkeypatch.undo()
        memory.close()
        with pytest.raises(ClosedMemory):
            memory.recall(KEYS[0])
        with mossy.open(path) as memory:
            assert len(memory) == 20


class Failing:
    """A connection whose statements fail from the ``nth`` on that writes; taking back and reading succeed."""

    def __init__(self, connection: sqlite3.Connection, nth: int) -> None:
        self.connection, self.left = connection, nth

    def _count(self, statement: str) -> None:
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE", "BEGIN IMMEDIATE", "COMMIT", "VACUUM")):
            self.left -= 1
            if self.left <= 0 and not (statement == "COMMIT" and not self.writing):
                error = sqlite3.OperationalError("database or disk is full")
                error.sqlite_errorname, error.sqlite_errorcode = "SQLITE_FULL", 13
                raise error

    @property
    def writing(self) -> bool:
        return bool(self.connection.total_changes)

    def execute(self, statement: str, *given: Any) -> Any:
        self._count(statement)
        return self.connection.execute(statement, *given)

    def executemany(self, statement: str, *given: Any) -> Any:
        self._count(statement)
        return self.connection.executemany(statement, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


def failing(monkeypatch: pytest.MonkeyPatch, memory: Memory, nth: int) -> None:
    """Let what is written to the file of a memory fail from the ``nth`` statement on."""
    journal = memory._store.durable.journal
    monkeypatch.setattr(journal, "connection", Failing(journal.connection, nth))

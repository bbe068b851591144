"""No permission, a wrong key, a closed memory, a reader that would write: each has a name."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import textwrap
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import mossy
from mossy import Memory, Steps
from mossy.errors import (
    ClosedMemory,
    Damaged,
    InvalidParameter,
    ReadOnly,
    WrongKey,
)
from mossy.journal.rows import place_of
from tests.journal.alike import unlike
from tests.journal.small import small
from tests.journal.some import KEYS, fill, in_a_process


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


NOBODY = 65534


@pytest.fixture
def open_to_all(tmp_path_factory) -> Path:
    """Return a folder that nobody can reach, which pytest's own is not."""
    folder = Path(tempfile.gettempdir()).resolve() / f"mossy-faults-{os.getpid()}-{os.urandom(4).hex()}"
    folder.mkdir()
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


AS_NOBODY = f"os.setgid({NOBODY}); os.setuid({NOBODY})\n"
TRY = """
for mode in ("a", "r"):
    try:
        with mossy.open(path, mode) as memory:
            told[mode] = [len(memory), memory.recall(np.array(cue), reinforce=False).payload[0]]
    except MossyError as error:
        told[mode] = type(error).__name__
    except Exception as error:
        told[mode] = "unnamed: " + repr(error)
"""


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
class TestPermissions:
    """Another user, who may read and not write."""

    def as_nobody(self, folder: Path, body: str = TRY) -> Any:
        return in_a_process(AS_NOBODY + body, path=folder / "life.mossy", cue=KEYS[5].tolist())

    def test_a_folder_that_can_only_be_read(self, open_to_all):
        fill(open_to_all / "life.mossy")
        before = {file.name: file.read_bytes() for file in open_to_all.iterdir()}
        assert self.as_nobody(open_to_all) == {"a": "ReadOnly", "r": [20, "number 5"]}
        assert {file.name: file.read_bytes() for file in open_to_all.iterdir()} == before

    def test_a_file_that_can_only_be_read_in_a_folder_that_can_be_written(self, open_to_all):
        fill(open_to_all / "life.mossy")
        open_to_all.chmod(0o777)
        assert self.as_nobody(open_to_all) == {"a": "ReadOnly", "r": [20, "number 5"]}
        with mossy.open(open_to_all / "life.mossy") as memory:
            assert len(memory) == 20

    def test_a_file_that_cannot_be_read(self, open_to_all):
        fill(open_to_all / "life.mossy")
        (open_to_all / "life.mossy").chmod(0o600)
        assert self.as_nobody(open_to_all) == {"a": "ReadOnly", "r": "ReadOnly"}

    def test_a_log_in_a_folder_that_can_only_be_read(self, open_to_all, tmp_path):
        """What a killed process leaves, and a reader that cannot make the files that SQLite needs."""
        fill(tmp_path / "life.mossy")
        memory = mossy.open(tmp_path / "life.mossy")
        memory.store(KEYS[40])
        for name in ("life.mossy", "life.mossy-wal"):
            shutil.copy(tmp_path / name, open_to_all / name)
        memory.close()
        told = self.as_nobody(open_to_all)
        assert told["a"] == "ReadOnly"
        assert told["r"] in ("ReadOnly", [21, "number 5"]), "the stored, or a name; never 20"

    def test_arrays_that_cannot_be_read_or_written(self, open_to_all):
        with small():
            fill(open_to_all / "life.mossy", n=20)
        arrays = open_to_all / "life.mossy.arrays"
        assert arrays.exists()
        arrays.chmod(0o600)
        told = in_a_process(
            AS_NOBODY + "from tests.journal.small import small\nwith small():\n" + textwrap.indent(TRY, "    "),
            path=open_to_all / "life.mossy",
            cue=KEYS[5].tolist(),
        )
        assert told == {"a": "ReadOnly", "r": [20, "number 5"]}


class TestKeys:
    """A wrong one, none, one too short."""

    @pytest.fixture(autouse=True)
    def secrets(self, monkeypatch, tmp_path):
        monkeypatch.setenv("RIGHT", "correct horse battery staple")
        monkeypatch.setenv("WRONG", "correct horse battery stable")
        monkeypatch.setenv("SHORT", "fifteen letters")
        monkeypatch.delenv("NONE", raising=False)
        (tmp_path / "key").write_text("correct horse battery staple\n")

    @pytest.mark.parametrize("mode", ["r", "a"])
    def test_wrong_and_missing_keys(self, path, mode):
        fill(path, key="env:RIGHT")
        before = path.read_bytes()
        for key in ("env:WRONG", None):
            with pytest.raises(WrongKey):
                mossy.open(path, mode, key=key)
        assert path.read_bytes() == before
        with mossy.open(path, mode, key=f"file:{path.parent / 'key'}") as memory:
            assert memory[7].payload == "number 7"

    @pytest.mark.parametrize("mode", ["r", "a"])
    def test_a_key_for_a_file_in_the_clear(self, path, mode):
        fill(path)
        with pytest.raises(WrongKey, match="not encrypted"):
            mossy.open(path, mode, key="env:RIGHT")

    @pytest.mark.parametrize(
        "key", ["env:SHORT", "env:NONE", "env:", "file:", "file:/nowhere", "correct horse battery staple", 7, b"x" * 20]
    )
    def test_what_is_no_key_makes_no_file(self, path, key):
        with pytest.raises(InvalidParameter) as told:
            mossy.open(path, key=key)
        assert "horse" not in str(told.value)
        assert not path.exists()

    def test_rows_cannot_be_exchanged(self, path):
        """A sealed row is bound to its id and its place, so that another program cannot move it unnoticed."""
        fill(path, key="env:RIGHT")
        connection = sqlite3.connect(path)
        rows = dict(connection.execute("SELECT id, payload FROM memory WHERE id IN (4, 5)"))
        keys = dict(connection.execute("SELECT id, key FROM memory WHERE id IN (4, 5)"))
        (stored,) = connection.execute("SELECT stored FROM memory WHERE id = 4").fetchone()
        for one, other in ((4, 5), (5, 4)):
            crc = crc32(rows[other], crc32(keys[other], crc32(place_of(one, stored))))
            connection.execute(
                "UPDATE memory SET key = ?, payload = ?, crc = ? WHERE id = ?", (keys[other], rows[other], crc, one)
            )
        connection.commit()
        connection.close()
        with pytest.raises(Damaged, match="memory 4"):
            mossy.open(path, key="env:RIGHT")


def test_a_closed_memory_answers_nothing_by_name(path):
    fill(path)
    for mode in ("a", "r"):
        memory = mossy.open(path, mode)
        memory.close()
        memory.close()
        for call in (
            lambda m: m.store(KEYS[0]),
            lambda m: m.recall(KEYS[0]),
            lambda m: m.forget(0),
            lambda m: m.pin(0),
            lambda m: m.reinforce(0),
            lambda m: m.consolidate(),
            lambda m: m.replay(1, seed=0),
            lambda m: m.strength(0),
            lambda m: m.stats(),
            lambda m: m.state(),
            lambda m: m.flush(),
            lambda m: m[0],
            lambda m: m.ids,
            lambda m: m.short_term,
            lambda m: len(m),
            lambda m: list(m),
            lambda m: 0 in m,
        ):
            with pytest.raises(ClosedMemory, match="closed"):
                call(memory)
        assert "Memory" in repr(memory)


def test_a_reader_changes_nothing(path):
    fill(path)
    before = path.read_bytes()
    with mossy.open(path, "r") as reader:
        twin = Memory.from_state(reader.state(), Steps())
        for call in (
            lambda: reader.store(KEYS[30]),
            lambda: reader.forget(0),
            lambda: reader.pin(0),
            lambda: reader.pin(3, False),
            lambda: reader.reinforce(0),
            lambda: reader.consolidate(),
        ):
            with pytest.raises(ReadOnly, match="mode='r'"):
                call()
        reader.flush()
        reader.recall(KEYS[:9])
        assert unlike(reader, twin, KEYS[:5]) == []
    assert path.read_bytes() == before

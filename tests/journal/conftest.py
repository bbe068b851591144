"""Files to be copied and spoiled."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.journal.files import KEY, SECRET, lived


@pytest.fixture(autouse=True)
def secrets(monkeypatch):
    monkeypatch.setenv("MOSSY_TEST_KEY", SECRET)
    monkeypatch.setenv("MOSSY_OTHER_KEY", "another sentence that nobody guesses")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> dict[str, Path]:
    """Return files to be copied: one that was closed, one whose writer was killed, an encrypted one."""
    folder = tmp_path_factory.mktemp("made")
    lived(folder / "closed", links=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MOSSY_TEST_KEY", SECRET)
        lived(folder / "sealed", key=KEY)
    (folder / "open").mkdir()
    memory = lived(folder / "open" / "killed", close=False)
    for path in (folder / "open").iterdir():
        shutil.copy(path, folder / path.name)
    memory.close()
    (folder / "killed-shm").unlink()
    assert (folder / "killed-wal").stat().st_size > 0
    return {name: folder / name for name in ("closed", "sealed", "killed")}


@pytest.fixture
def copied(made, tmp_path) -> Callable[[str], Path]:
    """Copy a file, with all that lies beside it."""

    def one(name: str) -> Path:
        for path in made[name].parent.glob(f"{name}*"):
            shutil.copy(path, tmp_path / path.name)
        return tmp_path / name

    return one

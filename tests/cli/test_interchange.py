"""``mossy export`` and ``mossy import``."""

from __future__ import annotations

import json
import signal
from contextlib import contextmanager

import numpy as np
import pytest

import mossy
from mossy.cli import interchange


@pytest.mark.parametrize("out", ["away", "away.jsonl"])
def test_what_is_exported_is_imported(run, told, life, folder, patterns, out):
    told("forget", life, 3)
    assert run("export", life, out).stdout == "life.mossy: 39 memories exported to away.jsonl and away.npz.\n"
    assert {"away.jsonl", "away.npz"} <= {path.name for path in folder.iterdir()}
    done = told("import", "new.mossy", out)
    assert done == {"file": "new.mossy", "added": 39, "merged": 0, "renamed": {}, "memories": 39, "stopped": False}
    with mossy.open("new.mossy", "r") as memory:
        assert memory.ids.tolist() == [id for id in range(40) if id != 3]
        assert np.array_equal(memory[9].pattern, patterns[9])
        assert memory[9].payload == "p9"


def test_what_is_there_is_merged(run, told, life):
    out = ["away.jsonl", "away.npz"]
    assert told("export", life, "away") == {"file": life, "out": out, "exported": 40, "encrypted": False}
    done = told("import", life, "away")
    assert (done["added"], done["merged"], done["memories"]) == (0, 40, 40)
    done = run("import", life, "away")
    assert done.stdout.startswith("life.mossy: 0 added, 40 merged with what was there, 0 got another id. It holds 40")


def test_export_reads_beside_a_writer(told, life):
    with mossy.open(life):
        assert told("export", life, "away")["exported"] == 40


@pytest.mark.parametrize("share", [0.1, 0.7])
def test_ctrl_c_in_an_import_keeps_what_was_added(run, told, share, monkeypatch):
    """While it reads nothing is added yet; while it writes, whole batches are."""

    @contextmanager
    def progress(what):
        yield lambda done, total: done > share * total and signal.raise_signal(signal.SIGINT)

    patterns = np.random.default_rng(0).normal(size=(20_000, 2)).astype(np.float32)
    np.save("patterns.npy", patterns)
    told("store", "life.mossy", "patterns.npy")
    told("export", "life.mossy", "away")
    with monkeypatch.context() as patch:
        patch.setattr(interchange, "progress", progress)
        done = run("import", "new.mossy", "away", "--json")
    assert done.exit_code == 130
    found = json.loads(done.stdout)
    kept = found["memories"]
    assert kept == found["added"]
    assert found["stopped"] is True
    assert done.stderr == f"mossy: stopped. new.mossy: {kept:,} added. It holds {kept:,} memories.\n"
    assert 0 < kept < 20_000 if share > 0.5 else kept == 0
    with mossy.open("new.mossy", "r") as memory:
        assert np.array_equal(memory.ids, np.arange(kept))
    done = told("import", "new.mossy", "away")
    assert (done["added"], done["merged"], done["memories"]) == (20_000 - kept, kept, 20_000)
    with mossy.open("new.mossy", "r") as memory:
        assert np.array_equal(memory[19_999].pattern, patterns[19_999])


@pytest.mark.parametrize("command", [["export", "no.mossy", "away"], ["import", "new.mossy", "away"]])
def test_what_is_not_there_is_named_and_nothing_is_made(command, refused, folder):
    refused(2, *command)
    assert list(folder.iterdir()) == []


def test_what_cannot_be_read_is_named(refused, life, folder):
    (folder / "away.jsonl").write_text("no lines of ours\n")
    (folder / "away.npz").write_bytes(b"no arrays")
    assert "away.jsonl" in refused(2, "import", life, "away")
    assert "away.jsonl" in refused(2, "import", "new.mossy", "away")
    assert len(mossy.open(life, "r")) == 40
    assert not (folder / "new.mossy").exists()


def test_nothing_is_overwritten_unless_forced(refused, told, life, folder):
    (folder / "away.npz").write_text("not to be overwritten")
    assert "away.npz: it is there already" in refused(2, "export", life, "away")
    assert (folder / "away.npz").read_text() == "not to be overwritten"
    assert not (folder / "away.jsonl").exists()
    assert told("export", life, "away", "--force")["exported"] == 40
    assert told("import", "new.mossy", "away")["added"] == 40


def test_what_is_exported_in_the_clear_is_told(run, told, folder):
    (folder / "key").write_text("correct horse battery\n")
    np.save("patterns.npy", np.eye(3))
    told("store", "life.mossy", "patterns.npy", "--key", "file:key")
    assert (
        "The memory is encrypted, these files are not"
        in run("export", "life.mossy", "away", "--key", "file:key").stdout
    )


def test_an_import_that_fails_leaves_no_memory_that_it_made(refused, told, life, folder):
    told("export", life, "away")
    *rest, _ = (folder / "away.jsonl").read_text().splitlines(keepends=True)
    (folder / "away.jsonl").write_text("".join(rest))
    before = sorted(path.name for path in folder.iterdir())
    refused(3, "import", "new.mossy", "away")
    assert sorted(path.name for path in folder.iterdir()) == before
    mossy.open("empty.mossy").close()
    refused(3, "import", "empty.mossy", "away")
    assert len(mossy.open("empty.mossy", "r")) == 0


def test_where_nothing_can_be_written(refused, life):
    assert "nowhere" in refused(1, "export", life, "nowhere/away")

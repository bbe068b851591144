"""An export in parts: all of a batch or nothing of it, a whole file or none, and little memory for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.memory.lives import PAYLOADS, POOL, linked, lived, strengths, whole
from tests.naive.same import differences

import mossy
from mossy import Memory, Steps
from mossy.errors import (
    HeldByWriter,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    JournalError,
    NoRoom,
    NotAMemory,
    ReadOnly,
)
from mossy.journal import Journal, verify
from mossy.memory.catalog import Catalog
from mossy.memory.interchange import reading, writing
from mossy.memory.results import Imported
from mossy.pathway import Links
from mossy.strength import Strengths
from mossy.substrate import Index

# -- in parts -----------------------------------------------------------------------------------------------------


@pytest.fixture
def parts(monkeypatch):
    """Let an export be many batches."""
    for module in (reading, writing):
        monkeypatch.setattr(module, "AT_ONCE", 4)
    monkeypatch.setattr(writing, "LINES", 3)


@pytest.mark.parametrize("links", [0, 3])
def test_in_parts_it_is_the_same(make, tmp_path, parts, links):
    one, other = lived(make(links=links, duplicates="keep")), make(links=links, clock=Steps(500), duplicates="keep")
    one.export(tmp_path / "life")
    other.import_(tmp_path / "life")
    assert differences(whole(one), whole(other)) == []
    apart = make(links=links, clock=Steps(500), duplicates="keep")
    apart.store(POOL[30:39])
    done = apart.import_(tmp_path / "life")
    assert (done.added, len(apart)) == (16, 25)
    assert linked(apart, 19) == {done.renamed.get(id, id) for id in linked(one, 19)} if links else True
    before = apart.state()
    assert apart.import_(tmp_path / "life") == Imported(0, 16, done.renamed)
    assert differences(apart.state(), before) == []


@pytest.mark.parametrize("begun", [0, 9])
def test_an_import_that_is_cut_off_has_whole_batches_and_is_completed_by_another(tmp_path, monkeypatch, parts, begun):
    lived(Memory(clock=Steps(), duplicates="keep", links=3)).export(tmp_path / "life")

    def opened(name: str) -> Memory:
        memory = mossy.open(tmp_path / name, links=3, clock=Steps(200), durability="process")
        if begun and not len(memory):
            memory.store(POOL[30 : 30 + begun])
        return memory

    with opened("whole") as memory:
        done, expected = memory.import_(tmp_path / "life"), whole(memory)
    transaction, cut = Journal.transaction, 0
    while True:
        cut += 1
        with opened(f"cut{cut}") as memory:
            calls, before = 0, len(memory)

            def failing(self: Journal, cut: int = cut) -> Any:
                nonlocal calls
                calls += 1
                if calls == cut:
                    raise NoRoom("no room")
                return transaction(self)

            monkeypatch.setattr(Journal, "transaction", failing)
            try:
                memory.import_(tmp_path / "life")
                monkeypatch.setattr(Journal, "transaction", transaction)
                break
            except NoRoom:
                monkeypatch.setattr(Journal, "transaction", transaction)
            state = memory.state()
            assert begun or (len(memory) - before) % 4 == 0
        with opened(f"cut{cut}") as memory:  # what is on disk is what was here
            assert differences(memory.state(), state) == []
            again = memory.import_(tmp_path / "life")
            assert again.added + again.merged == 16
            if not begun:
                now = whole(memory)
                for id, names in expected["names"].items():  # an id that comes before its memory may be told instead
                    assert set(names) - set(now["names"][id]) == {one for one in again.renamed if one in names}
                assert sorted(now["short"]) == sorted(expected["short"])
                assert differences(now | {"names": 0, "short": 0}, expected | {"names": 0, "short": 0}) == []
            assert len(memory) == begun + 16
            assert {memory[done.renamed.get(id, id)].pattern.tobytes() for id in range(16, 20)} == {
                memory[again.renamed.get(id, id)].pattern.tobytes() for id in range(16, 20)
            }
        assert verify(tmp_path / f"cut{cut}")
    assert cut > 5


@pytest.mark.parametrize("durable", [False, True])
def test_one_batch_is_all_or_nothing(tmp_path, monkeypatch, durable):
    lived(Memory(clock=Steps(), links=3, duplicates="keep")).export(tmp_path / "life")
    memory = Memory(clock=Steps(90), links=3)
    if durable:
        memory = mossy.open(tmp_path / "m", clock=Steps(90), links=3, durability="process")
    memory.store(POOL[[5, 31, 32]], payload=[PAYLOADS[5], "o", "p"])
    memory.flush()
    before = memory.state()
    faults = [(Index, "extend"), (Strengths, "restore"), (Strengths, "put"), (Catalog, "extend"), (Catalog, "rename")]
    faults += [(Links, "adopt"), (Links, "put")]
    hit = 0
    faults += [(Journal, "put_state"), (Journal, "append")] if durable else []
    for part, name in faults:
        true = getattr(part, name)
        calls = 0

        def failing(self: Any, *given: Any, true: Any = true, **also: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 1:
                raise KeyboardInterrupt
            return true(self, *given, **also)

        monkeypatch.setattr(part, name, failing)
        try:
            memory.import_(tmp_path / "life")
        except KeyboardInterrupt:
            hit += 1
        monkeypatch.setattr(part, name, true)
        assert differences(memory.state(), before) == [], (part, name)
    assert hit == len(faults)
    assert memory.import_(tmp_path / "life").added > 0
    memory.close()
    if durable:
        assert verify(tmp_path / "m")


def test_a_huge_leap_of_ids_is_not_made(make, tmp_path):
    one, other = Memory(clock=Steps()), make()
    one.store(POOL[:3])
    one._store.catalog._ids.rows[:] = [5, 6, 1 << 40]
    one._store.catalog.next_id = (1 << 40) + 1
    one.export(tmp_path / "life")
    assert other.import_(tmp_path / "life") == Imported(3, 0, {1 << 40: 7})
    assert other.store(POOL[9]) == 8


def test_skipped_ids_leave_no_trace_on_disk(tmp_path):
    one = Memory(clock=Steps())
    one.store(np.arange(9000)[:, None] + 1.0)
    one.forget([id for id in range(9000) if id not in (3, 700, 8000)])
    one.export(tmp_path / "life")
    with mossy.open(tmp_path / "m", clock=Steps()) as memory:
        memory.store([[0.5]] * 1)
        memory.import_(tmp_path / "life")
        assert memory.ids.tolist() == [0, 3, 700, 8000]
        assert memory.store([[0.25]]) == 9000
    assert verify(tmp_path / "m")
    assert (tmp_path / "m").stat().st_size < 300_000
    with mossy.open(tmp_path / "m") as memory:
        assert memory.ids.tolist() == [0, 3, 700, 8000, 9000]


def test_an_export_takes_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "AT_ONCE", 128)
    monkeypatch.setattr(reading, "AT_ONCE", 128)
    memory = Memory(clock=Steps())
    memory.store(np.random.default_rng(0).normal(size=(3000, 512)), payload=["x" * 500] * 3000)
    size = memory._store.index.keys.nbytes
    tracemalloc.start()
    memory.export(tmp_path / "life")
    assert tracemalloc.get_traced_memory()[1] < size / 3
    tracemalloc.reset_peak()
    export = reading.Export(tmp_path / "life.jsonl", tmp_path / "life.npz")
    assert sum(len(batch.lines) for batch in export.batches()) == 3000
    assert tracemalloc.get_traced_memory()[1] < size / 3
    tracemalloc.stop()


def test_progress(make, tmp_path, parts):
    one, other = lived(make(duplicates="keep")), make(clock=Steps(500))
    told: list[tuple[int, int]] = []
    one.export(tmp_path / "life", progress=lambda *how: told.append(how))
    assert (told[-1], told) == ((16, 16), sorted(told))
    assert len(told) > 3
    told.clear()
    other.import_(tmp_path / "life", progress=lambda *how: told.append(how))
    assert (told[-1], told) == ((32, 32), sorted(told))
    assert len(told) > 6


def test_progress_must_not_change_the_memory(tmp_path, parts):
    one, other = lived(Memory(clock=Steps(), duplicates="keep")), Memory(clock=Steps(500))
    with pytest.raises(InvalidInput, match="progress changed"):
        one.export(tmp_path / "life", progress=lambda *_: one.store(POOL[38]))
    assert list(tmp_path.iterdir()) == []
    one.export(tmp_path / "life")
    with pytest.raises(InvalidInput, match="progress changed"):
        other.import_(
            tmp_path / "life", progress=lambda done, _: other.store(POOL[39]) if done > 16 and len(other) < 9 else None
        )


# -- the files ----------------------------------------------------------------------------------------------------


def test_numpy_and_json_read_it(tmp_path):
    memory = lived(Memory(clock=Steps(), duplicates="keep", links=1))
    memory.export(str(tmp_path / "life.npz"))
    with np.load(tmp_path / "life.npz", allow_pickle=False) as arrays:
        assert sorted(arrays) == ["ids", "keys"]
        assert arrays["ids"].tolist() == memory.ids.tolist()
        assert np.array_equal(
            arrays["keys"],
            memory.replay(len(memory), seed=0).patterns[np.argsort(memory.replay(len(memory), seed=0).ids)],
        )
    header, *lines = [json.loads(line) for line in (tmp_path / "life.jsonl").read_text("utf-8").splitlines()]
    assert (header["format"], header["version"], header["memories"]) == ("mossy memories", 1, 16)
    assert [line["id"] for line in lines] == memory.ids.tolist()
    assert [line["id"] for line in lines if line["pinned"]] == [6]
    assert lines[1]["payload"] == {"$json": PAYLOADS[2]} or lines[1]["payload"] == PAYLOADS[2]
    assert [line["strength"] for line in lines] == pytest.approx(strengths(memory, memory.ids).tolist(), rel=1e-6)


def test_the_same_memory_gives_the_same_bytes(tmp_path):
    memory = lived(Memory(clock=Steps(), duplicates="keep"))
    memory.export(tmp_path / "one")
    memory.export(tmp_path / "two")
    for end in ("jsonl", "npz"):
        assert (tmp_path / f"one.{end}").read_bytes() == (tmp_path / f"two.{end}").read_bytes()


@pytest.mark.parametrize("name", ["life", "life.jsonl", "life.npz", "v1.2"])
def test_names(tmp_path, name):
    Memory(clock=Steps()).export(tmp_path / name)
    stem = name.removesuffix(".jsonl").removesuffix(".npz")
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.jsonl", f"{stem}.npz"]
    Memory(clock=Steps()).import_(str(tmp_path / name))


@pytest.mark.parametrize("name", ["", None, 3, ".jsonl", "a\0b", "folder/"])
def test_what_is_no_name(tmp_path, name):
    (tmp_path / "folder").mkdir()
    given = str(tmp_path) + "/" + name if isinstance(name, str) and name else name
    for call in (Memory().export, Memory().import_):
        with pytest.raises(InvalidParameter, match="path"):
            call(given)


def test_an_export_that_fails_leaves_the_one_before(tmp_path, monkeypatch):
    memory = lived(Memory(clock=Steps(), duplicates="keep"))
    memory.export(tmp_path / "life")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    memory.store(POOL[30])

    def stop(*_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        memory.export(tmp_path / "life", progress=stop)
    memory.store(POOL[31], payload={1, 2})
    with pytest.raises(InvalidDtype, match="memory 21: payload"):
        memory.export(tmp_path / "life")
    memory.forget(21)
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(NoRoom, match="disk is full"):
        memory.export(tmp_path / "life")
    monkeypatch.undo()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    memory.export(tmp_path / "life")
    assert {path.name for path in tmp_path.iterdir()} == set(before)


def test_a_limit_of_the_size_of_files_is_named(tmp_path):
    code = """
import resource, sys, numpy as np, mossy
memory = mossy.Memory()
memory.store(np.random.default_rng(0).normal(size=(3000, 64)))
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    memory.export("life")
except mossy.errors.NoRoom as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert "a limit of the size of files" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("moment", range(0, 24, 3))
def test_an_export_that_is_killed_leaves_no_half(tmp_path, moment):
    memory = lived(Memory(clock=Steps(), duplicates="keep"))
    memory.export(tmp_path / "life")
    before = (tmp_path / "life.jsonl").read_bytes()
    memory.store(POOL[30])
    child = os.fork()
    if child == 0:
        count = 0

        def counted(*_: Any) -> None:
            nonlocal count
            count += 1
            if count > moment:
                os.kill(os.getpid(), signal.SIGKILL)

        sys.setprofile(None)
        for owner, name in ((os, "fsync"), (Path, "replace"), (Path, "unlink"), (zipfile.ZipFile, "close")):
            true = getattr(owner, name)
            setattr(owner, name, lambda *a, true=true, **k: (counted(), true(*a, **k), counted())[1])
        memory.export(tmp_path / "life", progress=counted)
        os._exit(0)
    os.waitpid(child, 0)
    fresh = Memory(clock=Steps(500))
    if (tmp_path / "life.jsonl").exists():
        assert fresh.import_(tmp_path / "life").added in (16, 17)
        assert ((tmp_path / "life.jsonl").read_bytes() == before) == (len(fresh) == 16)
    else:
        with pytest.raises(NotAMemory):
            fresh.import_(tmp_path / "life")
    memory.export(tmp_path / "life")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["life.jsonl", "life.npz"]


def test_two_exports_of_one_name_at_once(tmp_path):
    one, other = lived(Memory(clock=Steps(), duplicates="keep")), Memory(clock=Steps())
    refused = []

    def meanwhile(*_: Any) -> None:
        with pytest.raises(HeldByWriter, match="another export"):
            other.export(tmp_path / "life")
        refused.append(1)

    one.export(tmp_path / "life", progress=meanwhile)
    assert refused
    assert Memory(clock=Steps(500)).import_(tmp_path / "life").added == 16


def test_a_folder_that_is_not_there_or_may_not_be_written(tmp_path):
    memory = lived(Memory(clock=Steps(), duplicates="keep"))
    with pytest.raises(JournalError, match="folder is not there"):
        memory.export(tmp_path / "nowhere" / "life")
    if os.getuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(ReadOnly):
            memory.export(tmp_path / "closed" / "life")


def test_a_reader_exports_and_does_not_import(tmp_path):
    with mossy.open(tmp_path / "m", clock=Steps()) as writer:
        lived(writer)
        writer.flush()
        with mossy.open(tmp_path / "m", "r") as reader:
            reader.export(tmp_path / "reader")
            writer.export(tmp_path / "writer")
            with pytest.raises(ReadOnly):
                reader.import_(tmp_path / "writer")
    assert (tmp_path / "reader.npz").read_bytes() == (tmp_path / "writer.npz").read_bytes()
    assert Memory(clock=Steps(500)).import_(tmp_path / "reader").added == 16


def test_what_was_let_go_and_is_not_written_yet_is_not_exported(tmp_path):
    with mossy.open(tmp_path / "m", clock=Steps(), capacity=10, durability="process") as memory:
        for first in range(0, 30, 3):
            memory.store(POOL[first : first + 3])
            memory._clock.advance(1)
        memory.export(tmp_path / "life")
        lines = [json.loads(line) for line in (tmp_path / "life.jsonl").read_text().splitlines()[1:]]
        assert [line["id"] for line in lines] == memory.ids.tolist()
        assert [line["stored"] for line in lines] == [id // 3 for id in memory.ids.tolist()]


def test_times_of_storing_go_along(tmp_path):
    with mossy.open(tmp_path / "one", clock=Steps(), durability="process") as memory:
        for i in range(3):
            memory.store(POOL[i])
            memory._clock.advance(2)
        memory.reinforce(0)
        memory.export(tmp_path / "life")
    with mossy.open(tmp_path / "two", clock=Steps(90), durability="process") as memory:
        memory.import_(tmp_path / "life")
        rows = memory._store.durable.journal.connection.execute("SELECT id, stored FROM memory").fetchall()
    assert rows == [(0, 0.0), (1, 2.0), (2, 4.0)]

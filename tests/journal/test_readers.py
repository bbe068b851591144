"""Readers open beside a writer and follow it: each call sees what was committed before it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mossy
from mossy import Memory, Steps
from mossy.errors import EmptyMemory, ForgetPending, UnknownMemory
from mossy.journal import Journal
from tests.journal.alike import unlike
from tests.journal.small import small
from tests.journal.some import in_a_process

KEYS = np.random.default_rng(0).normal(size=(400, 6)).astype(np.float32)
CUES = KEYS[:4] + np.float32(0.02)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


@pytest.fixture(params=[{}, {"WAIT": 0.2, "LAG": 1e9}], ids=["as it is", "small"])
def sizes(request) -> Iterator[None]:
    if not request.param:
        yield
        return
    with small(**request.param):
        yield


@pytest.fixture
def both(path, sizes) -> Iterator[tuple[Memory, Memory]]:
    with mossy.open(path, clock=Steps(), short_term=8, links=2, association=0.5, duplicates="keep") as writer:
        writer.store(KEYS[:3], payload=["a", "b", "c"])
        with mossy.open(path, "r", clock=writer._clock) as reader:
            yield writer, reader


def follows(writer: Memory, reader: Memory) -> None:
    writer.flush()
    assert unlike(reader, writer, CUES) == []


class TestFollowing:
    """Whatever the writer does, in any order."""

    def test_stores_with_payloads(self, both):
        writer, reader = both
        for i in range(3, 150, 7):
            writer.store(KEYS[i : i + 7], payload=[f"number {one}" for one in range(i, i + 7)])
            assert reader.ids.tolist() == list(range(i + 7))
            assert reader.recall(KEYS[i + 3]).payload == [f"number {i + 3}"]
            assert reader[i + 6].payload == f"number {i + 6}"
            follows(writer, reader)

    def test_forgetting(self, both):
        writer, reader = both
        writer.store(KEYS[3:200])
        assert len(reader) == 200
        for id in (0, 7, 8, 63, 64, 199):
            writer.forget(id)
            assert id not in reader
            with pytest.raises(UnknownMemory):
                _ = reader[id]
            assert id not in reader.recall(KEYS[id], k=5).ids
            follows(writer, reader)
        writer.forget(writer.ids)
        assert len(reader) == 0
        with pytest.raises(EmptyMemory):
            reader.recall(KEYS[0])
        writer.store(np.eye(9)[:5])
        assert reader[202].pattern.shape == (9,)

    def test_strengths_pins_and_short_term_memory(self, both):
        writer, reader = both
        writer.store(KEYS[3:150])
        follows(writer, reader)
        for id in (0, 70, 149):
            writer._clock.advance(100.0)
            writer.reinforce(id, 3.0)
            follows(writer, reader)
            writer.pin(id)
            assert reader[id].pinned
            writer.recall(KEYS[id], k=3)
            follows(writer, reader)
        writer.pin(0, False)
        assert not reader[0].pinned
        writer.consolidate()
        assert reader.short_term.tolist() == []
        follows(writer, reader)

    def test_merging(self, both):
        writer, reader = both
        writer.store(KEYS[:3], payload=["a", "b", "c"])
        writer.store(KEYS[3:30])
        assert len(reader) == 33
        assert writer.consolidate().merged == 3
        assert reader[3].ids == reader[0].ids == (0, 3)
        follows(writer, reader)
        writer.forget(4)
        assert 1 not in reader
        follows(writer, reader)

    def test_a_file_that_is_written_anew(self, both):
        writer, reader = both
        epoch = writer._store.durable.journal.head.epoch
        with small(WAIT=0.2, BLOCK=mossy.journal.BLOCK, ROWS=mossy.journal.ROWS):
            writer.store(KEYS[3:300])
            assert len(reader) == 300
            writer.forget(range(10, 290))
            writer.consolidate()
            assert writer._store.durable.journal.head.epoch > epoch
            assert reader.ids.tolist() == [*range(10), *range(290, 300)]
            assert reader[295].payload is None
            assert reader[1].payload == "b"
            follows(writer, reader)
            writer.store(KEYS[300:310])
            follows(writer, reader)

    def test_a_reader_that_was_there_before_anything_was_stored(self, path):
        with mossy.open(path) as writer, mossy.open(path, "r") as reader:
            assert len(reader) == 0
            writer.store(KEYS[:5], KEYS[:5, :2])
            assert reader[3].value.tolist() == KEYS[3, :2].tolist()

    def test_another_writer_and_other_settings(self, path):
        writer = mossy.open(path, clock=Steps())
        writer.store(KEYS[:5])
        with mossy.open(path, "r") as reader:
            writer.close()
            assert len(reader) == 5
            with mossy.open(path, beta=3.0) as writer:
                writer.store(KEYS[5])
                assert len(reader) == 6
            assert len(reader) == 6
            reader.close()
        with mossy.open(path, "r") as reader:
            assert reader.stats().beta == 3.0

    def test_a_reader_reinforces_nothing(self, both):
        writer, reader = both
        before = writer.strength(writer.ids)
        for _ in range(5):
            reader.recall(KEYS[:3], k=2)
        assert np.array_equal(reader.strength(reader.ids), before)
        follows(writer, reader)

    @settings(max_examples=12)
    @given(data=st.data())
    def test_any_order_of_calls(self, tmp_path_factory, data):
        path = tmp_path_factory.mktemp("any") / "life.mossy"
        numbers = st.integers(0, 399)
        given_settings = data.draw(
            st.sampled_from(
                [{}, {"capacity": 12, "short_term": 4}, {"keep": "frequent", "short_term": 6}, {"links": 2}]
            )
        )
        with (
            small(LAG=1e9, WAIT=0.2),
            mossy.open(path, clock=Steps(), durability="process", **given_settings) as writer,
        ):
            reader = mossy.open(path, "r", clock=writer._clock)
            for _ in range(data.draw(st.integers(3, 14))):
                some = data.draw(st.lists(numbers, min_size=1, max_size=6))
                call = data.draw(
                    st.sampled_from(("store", "forget", "reinforce", "pin", "recall", "consolidate", "skip"))
                )
                ids = [int(writer.ids[one % len(writer)]) for one in some] if len(writer) else []
                if call == "store":
                    writer.store(KEYS[some], payload=some)
                elif ids and call == "recall":
                    writer.recall(KEYS[some])
                elif ids and call in ("forget", "reinforce", "pin"):
                    getattr(writer, call)(ids)
                elif call == "consolidate":
                    writer.consolidate()
                writer._clock.advance(data.draw(st.sampled_from([0.0, 1.0, 1e5])))
                if call != "skip":
                    writer.flush()
                    assert unlike(reader, writer, CUES) == [], call
            reader.close()


class TestOpening:
    """A reader sees one state, also where the writer goes on between its steps."""

    @pytest.mark.parametrize("step", ["state", "rows", "read_entries", "alive"])
    @pytest.mark.parametrize("call", ["store", "forget", "pin", "consolidate"])
    def test_what_is_written_while_it_opens(self, path, monkeypatch, step, call):
        with small(WAIT=0.05), mossy.open(path, clock=Steps()) as writer:
            writer.store(KEYS[:40])
            writer.forget([5, 6])
            inside = getattr(Journal, step)
            count = 0

            def meanwhile(journal: Journal, *given: Any) -> Any:
                nonlocal count
                if journal.mode == "r" and count < 3:
                    count += 1
                    with suppress(ForgetPending):  # the reader is in the midst of a call
                        {
                            "store": lambda: writer.store(KEYS[40 + count]),
                            "forget": lambda: writer.forget(count),
                            "pin": lambda: writer.pin(count),
                            "consolidate": writer.consolidate,
                        }[call]()
                return inside(journal, *given)

            monkeypatch.setattr(Journal, step, meanwhile)
            reader = mossy.open(path, "r")  # a warning would be an error
            monkeypatch.undo()
            assert count
            writer.flush()
            assert unlike(reader, writer, CUES) == []
            reader.close()

    def test_beside_a_writer_that_never_rests(self, path):
        """In another process: every reader sees whole batches, in their order, and no warning."""
        with mossy.open(path) as memory:
            memory.store(np.arange(1.0, 5.0), payload=[0, 0])
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                with small(LAG=0.0, BLOCK=mossy.journal.BLOCK):
                    memory = mossy.open(path, durability="process")
                    for batch in range(1, 100_000):
                        numbers = np.random.default_rng(batch).normal(size=(7, 4))
                        ids = memory.store(numbers, payload=[[batch, i] for i in range(7)])
                        if batch % 3 == 0:
                            with suppress(ForgetPending):
                                memory.forget(ids)
                        if batch % 20 == 0:
                            memory.consolidate()
                        os.write(tell, b"x")
            finally:
                os._exit(code)
        try:
            seen = 0
            reader = mossy.open(path, "r")
            os.read(told, 1)
            for turn in range(40):
                with mossy.open(path, "r") as other:
                    state = reader.state() if turn % 2 else other.state()
                batches: dict[int, set[int]] = {}
                for batch, i in state["catalog"]["payload"]:
                    batches.setdefault(batch, set()).add(i)
                whole = {batch: numbers for batch, numbers in batches.items() if batch}
                assert all(numbers == set(range(7)) for numbers in whole.values())
                latest = max(batches)  # it may be one that the writer is about to forget
                assert latest >= seen - (seen % 3 == 0)
                expected = {batch for batch in range(1, latest + 1) if batch % 3}
                assert expected <= set(whole) <= expected | {latest}
                seen = latest
            reader.close()
            assert seen > 3, "the writer did nothing"
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(told)
            os.close(tell)


class TestOtherProcesses:
    """Two programs, as they are used."""

    def test_a_reader_in_a_process_of_its_own(self, path):
        """The writer is here; what the reader sees is asked for after each call."""
        ask, asked = os.pipe()
        answered, answer = os.pipe()
        with mossy.open(path, clock=Steps(), durability="process") as memory:
            memory.store(KEYS[:5], payload=list(range(5)))
        child = os.fork()
        if not child:
            try:
                reader = mossy.open(path, "r")
                while os.read(ask, 1) == b"?":
                    told = {
                        "ids": reader.ids.tolist(),
                        "payload": reader.recall(KEYS[3], k=1).payload,
                        "strength": reader.strength(1).sum(),
                        "pinned": [id for id in reader if reader[id].pinned],
                    }
                    os.write(answer, json.dumps(told).encode())
            finally:
                os._exit(1)
        os.close(answer)

        def seen() -> dict[str, Any]:
            os.write(asked, b"?")
            content = os.read(answered, 1 << 16)
            assert content, "the reader died"
            return json.loads(content)

        try:
            before = seen()
            assert before["payload"] == [3]
            with mossy.open(path) as writer:
                writer.store(KEYS[5:8], payload=["x", "y", "z"])
                assert seen()["ids"] == list(range(8))
                writer.forget(3)
                now = seen()
                assert 3 not in now["ids"]
                assert now["payload"] != [3]
                writer.reinforce(1, 2.0)
                assert seen()["strength"] == before["strength"], "it is not written yet"
                writer.flush()
                assert seen()["strength"] == pytest.approx(3 * before["strength"], rel=1e-5)
                writer.pin([2, 7])
                assert seen()["pinned"] == [2, 7]
                writer.store(np.random.default_rng(5).normal(size=(4500, 6)))
                writer.forget(range(20, 4500))
                writer.consolidate()
                assert len(seen()["ids"]) == len(writer)
            assert len(seen()["ids"]) == 4507 - 4480
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            for one in (ask, asked, answered):
                os.close(one)

    def test_a_reader_of_what_a_killed_writer_left(self, path):
        child = os.fork()
        if not child:
            try:
                memory = mossy.open(path)
                memory.store(KEYS[:30], payload=list(range(30)))
                memory.forget(4)
            finally:
                os.kill(os.getpid(), signal.SIGKILL)
        os.waitpid(child, 0)
        with mossy.open(path, "r") as reader:
            assert len(reader) == 29
            assert reader.recall(KEYS[9]).payload == [9]
            with mossy.open(path) as writer:
                writer.store(KEYS[40])
                assert len(reader) == 30
        told = in_a_process('told["n"] = len(mossy.open(path, "r"))', path=path)
        assert told["n"] == 30


def test_readers_in_threads_beside_a_writer(path):
    with mossy.open(path, durability="process") as writer:
        writer.store(KEYS[:10], payload=list(range(10)))
        stop, raised = threading.Event(), []

        def read() -> None:
            try:
                with mossy.open(path, "r") as reader:
                    last = 0
                    while not stop.is_set():
                        found = reader.recall(KEYS[:4], k=2)
                        assert found.ids[:, 0].tolist() == [0, 1, 2, 3]
                        assert [line[0] for line in found.payload] == [0, 1, 2, 3]
                        assert len(reader) >= last
                        last = len(reader)
            except BaseException as error:  # noqa: BLE001 whatever it is, the test must see it
                raised.append(error)

        threads = [threading.Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        for i in range(10, 200):
            writer.store(KEYS[i], payload=i)
            time.sleep(0)
        stop.set()
        for thread in threads:
            thread.join(60)
        assert raised == []

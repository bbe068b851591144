"""What is given when a memory is opened again, which clock it goes by, and who may use the handle."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.journal.alike import unlike
from tests.journal.small import small

import mossy
from mossy import Memory, Seconds, Steps
from mossy.clock import Clock
from mossy.errors import InvalidInput, InvalidParameter, InvalidTime, ReadOnly, UnknownName
from mossy.separation import Polynomial, Winner
from mossy.similarity import Cosine
from mossy.strength import LinearLaw, power_law, two_phase

KEYS = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.mossy"


def configuration(memory: Memory) -> dict[str, Any]:
    return memory.state()["configuration"]


class TestSettings:
    """They are kept in the file; those given again replace them, but for what the rows are made for."""

    GIVEN = {  # noqa: RUF012
        "similarity": "manhattan",
        "separation": "sparsemax",
        "beta": 7.5,
        "law": "two_phase",
        "delta": 0.01,
        "familiar": 0.6,
        "links": 3,
        "association": 0.25,
        "short_term": 17,
        "keep": "frequent",
        "capacity": 40,
        "merge": 0.01,
        "duplicates": "keep",
    }

    def test_all_are_kept(self, path):
        with mossy.open(path, clock=Steps(), **self.GIVEN) as memory:
            made = configuration(memory)
            memory.store(KEYS[:9])
        for mode in ("a", "r"):
            with mossy.open(path, mode) as memory:
                assert configuration(memory) == made
                assert memory._configuration.short().size == 17

    @pytest.mark.parametrize("name", sorted(set(GIVEN) - {"law", "links", "association"}))
    def test_one_that_is_changed_is_kept_from_then_on(self, path, name):
        with mossy.open(path, clock=Steps()) as memory:
            memory.store(KEYS[:9])
            before = configuration(memory)
        changed = {name: self.GIVEN[name]}
        with mossy.open(path, "r", **changed) as memory:
            assert configuration(memory)[name] == self.GIVEN[name]
        with mossy.open(path) as memory:
            assert configuration(memory) == before, "a reader writes nothing"
        with mossy.open(path, **changed) as memory:
            assert configuration(memory)[name] == self.GIVEN[name]
        with mossy.open(path) as memory:
            after = configuration(memory)
            assert after[name] == self.GIVEN[name]
            assert {key for key in after if after[key] != before[key]} - {name} <= {"beta", "separation_parameters"}

    def test_another_similarity_has_its_own_sharpness(self, path):
        """``beta`` was not given: it is that of the similarity, then as now."""
        with mossy.open(path, clock=Steps()) as memory:
            memory.store(KEYS[:9])
        with mossy.open(path, similarity="cosine") as memory:
            twin = Memory(similarity="cosine", clock=Steps())
            twin.store(KEYS[:9])
            assert unlike(memory, twin, KEYS[:3] + np.float32(0.1)) == []

    @pytest.mark.parametrize("mode", ["a", "r"])
    @pytest.mark.parametrize(
        "given",
        [
            {"law": "two_phase"},
            {"law": power_law(exponent=0.6)},
            {"law": "benna_fusi"},
            {"links": 0},
            {"links": 4},
            {"clock": Seconds()},
        ],
    )
    def test_what_the_rows_are_made_for_cannot_be_changed(self, path, given, mode):
        with mossy.open(path, clock=Steps(), links=3) as memory:
            memory.store(KEYS[:9])
        name = next(iter(given))
        with pytest.raises(InvalidParameter, match=f"open.{name}"):
            mossy.open(path, mode, **given)
        with mossy.open(path, mode, law="power_law", links=3) as memory:
            assert len(memory) == 9

    @pytest.mark.parametrize(
        "given",
        [
            {"similarty": "cosine"},
            {"similarity": "cosin"},
            {"separation": 7},
            {"beta": -1},
            {"law": "none"},
            {"capacity": 0},
            {"short_term": 0},
            {"keep": "some"},
            {"duplicates": "drop"},
            {"association": 1.0},
            {"merge": -1},
            {"durability": "none"},
            {"mode": "w"},
            {"mode": "x"},
            {"clock": 7},
            {"keep_raw": "no"},
        ],
    )
    def test_what_is_no_setting_is_refused_and_makes_no_file(self, path, given):
        with pytest.raises(InvalidInput):
            mossy.open(path, **given)
        assert list(path.parent.iterdir()) == []
        with mossy.open(path) as memory:
            memory.store(KEYS[:5])
        before = path.read_bytes()
        with pytest.raises(InvalidInput):
            mossy.open(path, **given)
        assert path.read_bytes() == before
        with mossy.open(path) as memory:
            assert len(memory) == 5

    def test_objects_of_ours_are_kept(self, path):
        settings = {"similarity": Cosine(), "separation": Polynomial(power=5), "law": two_phase(3.0, 400.0, 0.25)}
        with mossy.open(path, clock=Steps(), **settings) as memory:
            memory.store(KEYS[:9])
            twin = Memory.from_state(memory.state(), Steps())
        with mossy.open(path) as memory:
            assert unlike(memory, twin, KEYS[:3]) == []
            assert configuration(memory)["separation_parameters"] == {"power": 5}

    def test_one_of_your_own_is_refused_since_no_file_can_make_it_again(self, path):
        class Own(type(Winner()).__mro__[1]):  # type: ignore[misc]
            name = "own"
            parameters: dict[str, Any] = {}  # noqa: RUF012
            shift_invariant = Winner.shift_invariant
            reach, activity, conjugate = Winner.reach, Winner.activity, Winner.conjugate

        fade = two_phase()
        law = LinearLaw("own", {}, fade.rates, fade.readout, fade.parts, phases=True)
        for given in ({"separation": Own()}, {"law": law}):
            Memory(**given)
            with pytest.raises(UnknownName):
                mossy.open(path, **given)
        assert not path.exists()

    def test_a_smaller_capacity_and_short_term_hold_from_the_next_store_on(self, path):
        with mossy.open(path, clock=Steps()) as memory:
            memory.store(KEYS[:30])
        with mossy.open(path, capacity=10, short_term=4) as memory:
            memory.store(KEYS[30])
            assert len(memory) <= 10
            assert len(memory.short_term) <= 4
            assert 30 in memory
            ids = memory.ids.tolist()
        with mossy.open(path) as memory:
            assert memory.ids.tolist() == ids


class TestClocks:
    """Time goes on where it was, and never back."""

    def test_steps_go_on(self, path):
        clock = Steps()
        with mossy.open(path, clock=clock) as memory:
            memory.store(KEYS[:3])
            clock.advance(1e6)
            memory.reinforce(1)
            expected = memory.strength([0, 1, 2])
        with mossy.open(path) as memory:
            assert np.allclose(memory.strength([0, 1, 2]), expected, rtol=1e-6)
            assert memory.state()["now"] == 1e6
        with mossy.open(path, clock=Steps(3e6)) as memory:
            assert (memory.strength([0, 1, 2]).sum(1) < expected.sum(1)).all()
            memory.store(KEYS[3])
        with mossy.open(path, "r") as memory:
            assert memory.state()["now"] == 3e6

    def test_a_clock_that_is_behind_is_refused(self, path):
        with mossy.open(path, clock=Steps(100.0)) as memory:
            memory.store(KEYS[:3])
        with pytest.raises(InvalidTime, match="100"):
            mossy.open(path, clock=Steps(99.0))
        with mossy.open(path, clock=Steps(100.0)) as memory:
            assert len(memory) == 3

    def test_a_system_clock_that_was_set_back_waits(self, path, monkeypatch):
        now = time.time()
        with mossy.open(path) as memory:
            memory.store(KEYS[:3])
        monkeypatch.setattr(time, "time", lambda: now - 86_400.0)
        with mossy.open(path) as memory:
            assert memory.store(KEYS[3]) == 3
            assert np.isfinite(memory.strength(memory.ids)).all()
            assert (memory.strength(memory.ids).sum(1) <= 1 + 1e-6).all()
        with mossy.open(path, "r") as memory:
            assert memory.recall(KEYS[1]).ids[0] == 1
        with pytest.raises(InvalidTime):
            mossy.open(path, clock=Seconds())  # one that cannot know how late it was

    def test_a_clock_of_your_own_is_asked_for(self, path):
        class Own(Clock):
            def now(self) -> float:
                return 5.0

        with mossy.open(path, clock=Own()) as memory:
            memory.store(KEYS[:3])
        with pytest.raises(InvalidParameter, match="clock"):
            mossy.open(path)
        with mossy.open(path, clock=Own()) as memory:
            assert len(memory) == 3

    @pytest.mark.parametrize("how", ["garbage", "exit"])
    def test_what_was_never_closed_is_written_with_the_time_at_the_end(self, path, how):
        if how == "garbage":
            clock = Steps()
            memory = mossy.open(path, clock=clock)
            memory.store(KEYS[:3])
            memory.flush()
            clock.advance(1e6)
            memory.reinforce(1)
            del memory
            gc.collect()
        else:
            lines = (
                "import mossy, numpy as np; clock = mossy.Steps()",
                f"memory = mossy.open({str(path)!r}, clock=clock)",
                "memory.store(np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)[:3]); memory.flush()",
                "clock.advance(1e6); memory.reinforce(1)",
            )
            environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
            subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True, env=environment)
        with mossy.open(path) as memory:
            strengths = memory.strength([0, 1, 2]).sum(axis=1)
            assert memory.state()["now"] == 1e6
            assert np.isfinite(strengths).all()
            assert strengths[1] > 0.9
            assert strengths[0] < 0.1


class TestThreads:
    """One memory, many threads."""

    def test_eight_threads_store_and_recall_at_once(self, path):
        with small(LAG=0.01):
            raised: list[BaseException] = []
            stored: dict[int, int] = {}
            start = threading.Barrier(8)
            with mossy.open(path, durability="process", short_term=30) as memory:
                memory.store(KEYS[:4] * 50, payload=[-4, -3, -2, -1])

                def work(first: int) -> None:
                    try:
                        start.wait()
                        for i in range(first, first + 30):
                            key = np.random.default_rng(i).normal(size=6)
                            stored[int(memory.store(key, payload=i))] = i
                            found = memory.recall(KEYS[i % 4] * 50)
                            assert found.payload[0] == i % 4 - 4
                            if i % 5 == 0:
                                memory.pin(int(found.ids[0]), i % 2 == 0)
                            if i % 7 == 0:
                                gone = next(iter(stored))
                                if stored.pop(gone, None) is not None:
                                    memory.forget(gone)
                            if i % 11 == 0:
                                memory.flush()
                            if i % 13 == 0:
                                memory.consolidate()
                    except BaseException as error:  # noqa: BLE001 whatever it is, the test must see it
                        raised.append(error)

                threads = [threading.Thread(target=work, args=(1000 * n,)) for n in range(8)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join(60)
                    assert not thread.is_alive()
                assert raised == []
                state = memory.state()
            with mossy.open(path) as memory:
                assert {id: memory[id].payload for id in memory if id > 3} == stored
                assert memory.state()["catalog"]["payload"] == state["catalog"]["payload"]

    def test_closing_while_others_use_it(self, path):
        memory = mossy.open(path, durability="process")
        memory.store(KEYS[:5])
        raised: list[BaseException] = []

        def work() -> None:
            try:
                while True:
                    memory.store(np.random.default_rng().normal(size=6))
                    memory.recall(KEYS[0])
            except BaseException as error:  # noqa: BLE001 the test must see it
                raised.append(error)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        while len(memory) < 40:
            time.sleep(0.001)
        memory.close()
        for thread in threads:
            thread.join(60)
        assert {type(error).__name__ for error in raised} == {"ClosedMemory"}
        with mossy.open(path) as memory:
            assert len(memory) >= 40


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
class TestForks:
    """A forked child reads, and does not write; the parent goes on."""

    def in_child(self, body: Any) -> Any:
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(tell, repr(body()).encode())
            except BaseException as error:  # noqa: BLE001 whatever it is, the test must see it
                os.write(tell, f"raised {error!r}".encode())
            finally:
                gc.collect()
                os._exit(0)
        os.waitpid(child, 0)
        content = os.read(told, 1 << 16).decode()
        os.close(told)
        os.close(tell)
        assert not content.startswith("raised"), content
        return content

    @pytest.mark.parametrize("mode", ["a", "r"])
    def test_a_child_knows_what_was_there(self, path, mode):
        with mossy.open(path) as memory:
            memory.store(KEYS[:30], payload=list(range(30)))
        with mossy.open(path, mode, clock=None) as memory:
            memory.recall(KEYS[3])

            def body() -> Any:
                return len(memory), memory.ids.tolist(), 3 in memory, 30 in memory, memory.stats().memories

            assert self.in_child(body) == repr((30, list(range(30)), True, False, 30))
            assert memory.recall(KEYS[8]).payload == [8]

    @pytest.mark.parametrize("mode", ["a", "r"])
    def test_a_child_cannot_recall(self, path, mode):
        """What is recalled comes with its payload, and that is in the file."""
        with mossy.open(path) as memory:
            memory.store(KEYS[:30])
        with mossy.open(path, mode) as memory:

            def body() -> Any:
                with pytest.raises(ReadOnly, match="spawn"):
                    memory.recall(KEYS[7] + 0.01)
                return memory.ids.tolist() == list(range(30))

            assert self.in_child(body) == "True"

    def test_a_child_is_told_that_it_cannot_read_payloads(self, path):
        with mossy.open(path) as memory:
            memory.store(KEYS[:30], payload=list(range(30)))

            def body() -> Any:
                with pytest.raises(ReadOnly, match="spawn"):
                    _ = memory[3].payload

            assert self.in_child(body) == "None"

    def test_a_child_cannot_write(self, path):
        with mossy.open(path) as memory:
            memory.store(KEYS[:30])

            def body() -> Any:
                refused = []
                for call in (
                    lambda: memory.store(KEYS[40]),
                    lambda: memory.forget(1),
                    lambda: memory.pin(1),
                    lambda: memory.reinforce(1),
                    lambda: memory.consolidate(),
                ):
                    try:
                        call()
                    except ReadOnly:
                        refused.append(len(memory))
                memory.close()
                return refused

            assert self.in_child(body) == repr([30] * 5)
            assert memory.store(KEYS[41]) == 30
        with mossy.open(path) as memory:
            assert memory.ids.tolist() == list(range(31))

    @pytest.mark.parametrize("how", ["exits", "is killed", "lets go of it"])
    def test_the_parent_goes_on_whatever_the_child_does(self, path, how):
        memory = mossy.open(path, clock=Steps())
        memory.store(KEYS[:10])
        memory.reinforce(3, 5.0)  # not written yet
        child = os.fork()
        if not child:
            try:
                memory.recall(KEYS[3])
                if how == "lets go of it":
                    del memory
                    gc.collect()
                if how == "is killed":
                    os.kill(os.getpid(), signal.SIGKILL)
                if how == "exits":
                    memory.close()
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        with pytest.raises(mossy.errors.HeldByWriter):
            mossy.open(path)
        memory.store(KEYS[10:20])
        memory.forget(4)
        twin = Memory.from_state(memory.state(), Steps())
        memory.close()
        with mossy.open(path) as memory:
            assert unlike(memory, twin, KEYS[:3]) == []

    def test_a_child_goes_on_when_the_parent_has_closed(self, path):
        go, going = os.pipe()
        told, tell = os.pipe()
        memory = mossy.open(path)
        memory.store(KEYS[:10])
        child = os.fork()
        if not child:
            try:
                os.read(go, 1)
                os.write(tell, repr((len(memory), memory.ids.tolist())).encode())
            except BaseException as error:  # noqa: BLE001 whatever it is, the test must see it
                os.write(tell, repr(error).encode())
            finally:
                os._exit(0)
        memory.close()
        with mossy.open(path) as memory:
            memory.forget(9)
            os.write(going, b"x")
            os.waitpid(child, 0)
        assert os.read(told, 1 << 16).decode() == repr((10, list(range(10)))), "as it was when it was forked"
        for one in (go, going, told, tell):
            os.close(one)

    def test_children_of_a_pool(self, path):
        import multiprocessing

        with mossy.open(path) as memory:
            memory.store(KEYS[:30], payload=list(range(30)))
            global SHARED
            SHARED = memory
            with multiprocessing.get_context("fork").Pool(3) as pool:
                assert pool.map(known, range(31)) == [True] * 30 + [False]
            assert memory.store(KEYS[40]) == 30
        with mossy.open(path) as memory:
            assert len(memory) == 31


SHARED: Any = None


def known(id: int) -> bool:
    return id in SHARED

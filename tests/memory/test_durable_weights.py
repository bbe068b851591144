"""A file that keeps weights alone: what is stored lasts, and no pattern is in it."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.journal.load import kill_after
from tests.journal.remnants import remnants
from tests.journal.small import small
from tests.naive.same import differences, same

import mossy
from mossy import Matrix, Sparse, Steps
from mossy.encode import Dentate
from mossy.errors import (
    CannotForget,
    ClosedMemory,
    Damaged,
    EmptyMemory,
    ForgetPending,
    HeldByWriter,
    InvalidDtype,
    InvalidInput,
    InvalidParameter,
    JournalError,
    NoRoom,
    ReadOnly,
    UnknownMemory,
    WrongKey,
)
from mossy.journal import Journal, verify

RANDOM = np.random.default_rng(0)
SIGNS = np.sign(RANDOM.normal(size=(40, 48))).astype(np.float32)
REAL = RANDOM.normal(size=(40, 48)).astype(np.float32)
CODES = np.zeros((40, 64), bool)
for _code in CODES:
    _code[RANDOM.choice(64, 5, replace=False)] = True

KINDS: dict[str, tuple[Callable[[], Matrix | Sparse], Any, Any]] = {
    "projection": (lambda: Matrix(48, 7), REAL, REAL[:, :7]),
    "itself": (lambda: Matrix(48), REAL, None),
    "hebb": (lambda: Matrix(48, rule="hebb"), SIGNS, None),
    "storkey": (lambda: Matrix(48, rule="storkey"), SIGNS, None),
    "delta": (lambda: Matrix(48, 7, rule="delta"), REAL, REAL[:, :7]),
    "dentate": (lambda: Matrix(48, 7, encoder=Dentate(48, 96, seed=3)), REAL, REAL[:, :7]),
    "sparse": (lambda: Sparse(64), CODES, None),
    "counts": (lambda: Sparse(64, counts=True, count_bits=16), CODES, None),
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "weights.mossy"


def opened(path: Path, kind: str = "itself", mode: str = "a", **given: Any) -> Any:
    return mossy.open(path, mode, keep_raw=False, substrate=None if path.exists() else KINDS[kind][0](), **given)


def part(kind: str, which: slice) -> tuple[Any, Any]:
    _, keys, values = KINDS[kind]
    return keys[which], None if values is None else values[which]


def state_of(memory: Any) -> Any:
    return memory._substrate.state()


def arrays_of(memory: Any) -> list[np.ndarray]:
    return [one for one in state_of(memory).values() if isinstance(one, np.ndarray) and one.size > 99]


class TestLasting:
    """As the substrate in this process that was given the same."""

    @pytest.mark.parametrize("kind", KINDS)
    def test_it_is_the_same_after_each_reopening(self, path, kind):
        twin = KINDS[kind][0]()
        for first in range(0, 40, 8):
            keys, values = part(kind, slice(first, first + 8))
            with opened(path, kind) as memory:
                memory.store(keys, values)
                assert len(memory) == first + 8
            twin.write(keys, values)
            for mode in ("a", "r"):
                with opened(path, kind, mode) as memory:
                    assert differences(state_of(memory), twin.state()) == []
                    assert same(memory.recall(keys).pattern, twin.read(keys))
                    assert memory.consolidate().merged == 0
                    assert memory.stats().memories == first + 8

    @pytest.mark.parametrize("kind", ["projection", "itself", "counts"])
    def test_forgetting_is_as_the_substrate_does_it(self, path, kind):
        twin = KINDS[kind][0]()
        keys, values = part(kind, slice(0, 30))
        twin.write(keys, values)
        gone = part(kind, slice(5, 10))
        with opened(path, kind) as memory:
            memory.store(keys, values)
            memory.forget(*gone)
            twin.forget(*gone)
            assert differences(state_of(memory), twin.state()) == []
        with opened(path, kind) as memory:
            assert differences(state_of(memory), twin.state()) == []
            assert len(memory) == 25

    def test_what_cannot_be_forgotten_is_refused(self, path):
        for kind in ("delta", "sparse"):
            keys, values = part(kind, slice(0, 5))
            with opened(path.with_name(kind), kind) as memory:
                memory.store(keys, values)
                before = state_of(memory)
                with pytest.raises(CannotForget):
                    memory.forget(keys[:1], None if values is None else values[:1])
                assert differences(state_of(memory), before) == []

    @pytest.mark.parametrize("kind", ["hebb", "sparse"])
    def test_a_kill_at_any_point_leaves_all_of_a_batch_or_nothing(self, path, kind):
        with opened(path, kind) as memory:
            memory.store(*part(kind, slice(0, 5)))
        done = 5
        for calls in np.random.default_rng(1).integers(1, 600, 12).tolist():
            twins = [KINDS[kind][0](), KINDS[kind][0]()]
            for twin, n in zip(twins, (done, done + 2), strict=True):
                twin.write(*part(kind, slice(0, n)))
            child = os.fork()
            if not child:
                try:
                    memory = opened(path, kind)
                    kill_after(calls)
                    memory.store(*part(kind, slice(done, done + 2)))
                finally:
                    os.kill(os.getpid(), signal.SIGKILL)
            os.waitpid(child, 0)
            assert verify(path), verify(path).damage
            with opened(path, kind) as memory:
                assert len(memory) in (done, done + 2)
                done = len(memory)
                assert differences(state_of(memory), twins[done > len(twins[0])].state()) == []
        assert done > 5

    def test_a_reader_follows(self, path):
        with opened(path) as memory:
            with pytest.raises(EmptyMemory):
                memory.recall(REAL[0])
            memory.store(REAL[:5])
        with opened(path) as memory, opened(path, mode="r") as reader:
            for i in range(5, 20, 5):
                memory.store(REAL[i : i + 5])
                assert len(reader) == i + 5
                assert same(reader.recall(REAL[:3]).pattern, memory.recall(REAL[:3]).pattern)
            memory.forget(REAL[3])
            assert same(reader.recall(REAL[:3]).pattern, memory.recall(REAL[:3]).pattern)
            for call in (lambda: reader.store(REAL[0]), lambda: reader.forget(REAL[0])):
                with pytest.raises(ReadOnly):
                    call()
            assert differences(state_of(reader), state_of(memory)) == []


class TestPrivacy:
    """What is on disk besides weights."""

    @pytest.mark.parametrize("kind", sorted(set(KINDS) - {"sparse", "counts"}))
    def test_no_pattern_is_in_any_file(self, path, kind):
        keys = KINDS[kind][1]
        with opened(path, kind) as memory:
            for first in range(0, 40, 4):
                memory.store(*part(kind, slice(first, first + 4)))
                memory.recall(keys[0])
                assert remnants(path.parent, keys, keys.astype(np.float64)) == {}
        assert remnants(path.parent, keys, keys.astype(np.float64)) == {}

    def test_no_earlier_weights_are_left(self, path):
        """Their difference to those of now would be what was stored between."""
        earlier = []
        with opened(path, "projection") as memory:
            for first in range(0, 12, 3):
                memory.store(*part("projection", slice(first, first + 3)))
                earlier.append(
                    [one for one in state_of(memory).values() if isinstance(one, np.ndarray) and one.size > 99]
                )
        for arrays in earlier[:-1]:
            assert arrays
            assert remnants(path.parent, *arrays) == {}
        assert remnants(path.parent, *earlier[-1]).keys() == {path.name}

    def test_a_reader_in_the_midst_of_a_call_delays_it(self, path):
        with small(WAIT=0.05), opened(path, "projection") as memory:
            memory.store(*part("projection", slice(0, 20)))
            before = arrays_of(memory)
            other = sqlite3.connect(path, isolation_level=None)
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM weights").fetchone()
            with pytest.raises(ForgetPending):
                memory.forget(*part("projection", slice(0, 5)))
            assert len(memory) == 15
            other.close()
            memory.forget(*part("projection", slice(5, 6)))
            assert remnants(path.parent, *before) == {}

    def test_an_encrypted_one_has_no_weights_in_the_clear(self, path, monkeypatch):
        monkeypatch.setenv("MOSSY_TEST_KEY", "a key of more than sixteen characters")
        with opened(path, key="env:MOSSY_TEST_KEY") as memory:
            memory.store(REAL)
            arrays = arrays_of(memory)
            assert remnants(path.parent, *arrays) == {}
        assert remnants(path.parent, *arrays) == {}
        with pytest.raises(WrongKey):
            opened(path)
        with opened(path, key="env:MOSSY_TEST_KEY") as memory:
            assert len(memory) == 40


class TestErrors:
    """Each by name, with nothing changed."""

    def test_a_write_that_fails_changes_nothing(self, path, monkeypatch):
        with opened(path) as memory:
            memory.store(REAL[:5])
            before = state_of(memory)

            def fails(*given: Any) -> None:
                raise NoRoom("full")

            monkeypatch.setattr(Journal, "put_weights", fails)
            for call in (lambda: memory.store(REAL[5:9]), lambda: memory.forget(REAL[0])):
                with pytest.raises(NoRoom):
                    call()
                assert differences(state_of(memory), before) == []
            monkeypatch.undo()
            for call in (lambda: memory.store(REAL[:, :5]), lambda: memory.store([np.nan] * 48)):
                with pytest.raises(InvalidInput):
                    call()
                assert differences(state_of(memory), before) == []
            memory.store(REAL[5:9])
        with opened(path) as memory:
            assert len(memory) == 9

    def test_one_writer(self, path):
        with opened(path) as memory:
            memory.store(REAL[:5])
            with pytest.raises(HeldByWriter, match="this process"):
                opened(path)

    @pytest.mark.xfail(strict=True, reason="the lock is kept until the process ends")
    def test_one_that_was_let_go_of_without_closing(self, path):
        memory = opened(path)
        memory.store(REAL[:5])
        del memory
        gc.collect()
        opened(path).close()

    def test_a_closed_one(self, path):
        memory = opened(path)
        memory.close()
        memory.close()
        for call in (lambda: memory.store(REAL[0]), lambda: memory.recall(REAL[0]), lambda: len(memory), memory.stats):
            with pytest.raises(ClosedMemory):
                call()
        assert "WeightMemory" in repr(memory)

    @pytest.mark.parametrize("empty", [False, True])
    def test_the_kinds_of_files_are_told_apart(self, path, empty):
        with opened(path) as memory:
            if not empty:
                memory.store(REAL[:5])
        for mode in ("a", "r"):
            with pytest.raises(InvalidParameter, match="keep_raw=False"):
                mossy.open(path, mode)
        raw = path.with_name("raw.mossy")
        with mossy.open(raw) as memory:
            if not empty:
                memory.store(REAL[:5])
        for mode in ("a", "r"):
            with pytest.raises(InvalidParameter, match="raw"):
                mossy.open(raw, mode, keep_raw=False)
        with mossy.open(raw) as memory:
            assert len(memory) == 5 * (not empty)

    @pytest.mark.xfail(strict=True, reason="it is accepted, and nothing can be stored in it")
    def test_what_needs_classes_is_refused(self, path):
        with pytest.raises(InvalidParameter):
            mossy.open(path, keep_raw=False, substrate=Matrix(48, 3, per_class=True))

    @pytest.mark.parametrize(
        "given",
        [
            {"substrate": 7},
            {"substrate": "matrix"},
            {"substrate": Matrix(8, keep_examples=True)},
            {"substrate": Matrix(8), "beta": 3.0},
            {"substrate": Matrix(8), "clock": Steps()},
            {},
        ],
    )
    def test_what_is_no_substrate_makes_no_file(self, path, given):
        with pytest.raises((InvalidParameter, InvalidDtype)):
            mossy.open(path, keep_raw=False, **given)
        with pytest.raises(InvalidParameter):
            mossy.open(path, substrate=Matrix(8))
        assert list(path.parent.iterdir()) == []

    def test_a_full_substrate_is_refused(self, path):
        full = Matrix(48)
        full.write(REAL[:3])
        with pytest.raises(InvalidParameter, match="3 pairs"):
            mossy.open(path, keep_raw=False, substrate=full)
        assert not path.exists()

    def test_the_given_substrate_is_not_the_one_that_is_written(self, path):
        given = Matrix(48)
        with mossy.open(path, keep_raw=False, substrate=given) as memory:
            memory.store(REAL[:3])
        assert len(given) == 0

    @pytest.mark.xfail(strict=True, reason="the kind of the substrate is written when the file is made")
    def test_another_substrate_before_anything_is_stored(self, path):
        """What nobody has stored in yet takes the one that is given now, and finds it again."""
        mossy.open(path, keep_raw=False, substrate=Sparse(64)).close()
        with mossy.open(path, keep_raw=False, substrate=Matrix(48)) as memory:
            memory.store(REAL[:5])
        with mossy.open(path, keep_raw=False) as memory:
            assert memory.stats().substrate == "matrix"
            assert len(memory) == 5

    @pytest.mark.xfail(strict=True, reason="the file is made before the substrate is looked at")
    def test_an_empty_file_without_a_substrate_stays_one(self, path):
        path.write_bytes(b"")
        with pytest.raises(InvalidParameter, match="substrate"):
            mossy.open(path, keep_raw=False)
        with mossy.open(path, keep_raw=False, substrate=Sparse(64)) as memory:
            memory.store(CODES[:5])
        with mossy.open(path, keep_raw=False) as memory:
            assert memory.stats().substrate == "sparse"

    def test_damage_is_named(self, path):
        with opened(path) as memory:
            memory.store(REAL)
        sound = path.read_bytes()
        truth = state_of(memory)
        random = np.random.default_rng(2)
        seen = set()
        for _ in range(60):
            content = bytearray(sound)
            used = np.flatnonzero(np.frombuffer(sound, np.uint8))
            content[int(random.choice(used))] ^= 1 << int(random.integers(8))
            path.write_bytes(content)
            for mode in ("r", "a"):
                try:
                    with opened(path, mode=mode) as memory:
                        assert differences(state_of(memory), truth) == []
                except JournalError as error:
                    seen.add(type(error))
        assert Damaged in seen

    def test_unknown_pairs_are_not_forgotten(self, path):
        with opened(path, "counts") as memory:
            memory.store(CODES[:5])
            before = state_of(memory)
            with pytest.raises((UnknownMemory, CannotForget)):
                memory.forget(CODES[20])
            assert differences(state_of(memory), before) == []


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_recalls_and_cannot_write(path):
    with opened(path) as memory:
        memory.store(REAL[:9])
        expected = memory.recall(REAL[0]).pattern
        child = os.fork()
        if not child:
            code = 1
            try:
                assert same(memory.recall(REAL[0]).pattern, expected)
                with pytest.raises(ReadOnly):
                    memory.store(REAL[9])
                memory.close()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        memory.store(REAL[9])
    with opened(path) as memory:
        assert len(memory) == 10


def test_an_interrupted_store_is_done_or_not(path):
    for nth in np.random.default_rng(3).integers(1, 220, 25).tolist():
        shutil.rmtree(path.parent)
        path.parent.mkdir()
        memory = opened(path)
        memory.store(REAL[:5])
        left = nth

        def called(frame: Any, event: str, given: Any) -> Any:
            nonlocal left
            left -= event == "line"
            if left == 0:
                sys.settrace(None)
                raise KeyboardInterrupt
            return called if f"{os.sep}mossy{os.sep}" in frame.f_code.co_filename else None

        try:
            sys.settrace(called)
            memory.store(REAL[5:9])
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(None)
        state, n = state_of(memory), len(memory)
        assert n in (5, 9)
        memory.close()
        with opened(path) as memory:
            assert len(memory) == n
            assert differences(state_of(memory), state) == []

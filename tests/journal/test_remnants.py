"""No byte of what is forgotten is left in any file: secrets are stored, forgotten, and searched for piece by piece."""

from __future__ import annotations

import os
import signal
import sqlite3
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mossy
from mossy import Steps
from mossy.errors import ForgetPending
from tests.journal.remnants import pieces, remnants
from tests.journal.small import small

KEY = "env:MOSSY_TEST_KEY"


def text(random: np.random.Generator, n: int) -> str:
    return "".join(chr(0x4E00 + int(one)) for one in random.integers(0, 0x5000, n))


def secrets(n: int, d: int = 16, d_value: int = 5, seed: int = 0, longest: int = 400) -> tuple[Any, Any, list[Any]]:
    """Return keys, values and payloads of many kinds and lengths; no two have a piece in common."""
    random = np.random.default_rng(seed)
    keys = random.normal(size=(n, d)).astype(np.float32)
    values = random.normal(size=(n, d_value)).astype(np.float32)
    payloads: list[Any] = []
    for i in range(n):
        length = int(random.integers(8, longest))
        payloads.append(
            (
                text(random, length),
                {"name": text(random, 9), "more": [text(random, length)]},
                random.bytes(length),
                random.normal(size=length // 8 + 1),
                random.bytes(length).hex(),
            )[i % 5]
        )
    return keys, values, payloads


def bytes_of(payload: Any) -> list[Any]:
    if isinstance(payload, dict):
        return [payload["name"], *payload["more"]]
    return [payload]


def traces(stored: tuple[Any, Any, list[Any]], which: Any) -> list[Any]:
    """Return all that may not be left of some of what ``secrets`` returned."""
    keys, values, payloads = stored
    return [part for i in which for part in (keys[i], values[i], *bytes_of(payloads[i]))]


def store_all(memory: mossy.Memory, stored: tuple[Any, Any, list[Any]]) -> Any:
    keys, values, payloads = stored
    return memory.store(keys, values, payload=payloads)


def check_rest(path: Path, stored: tuple[Any, Any, list[Any]], left: Any) -> None:
    keys, values, payloads = stored
    with mossy.open(path, "r") as reader:
        assert reader.ids.tolist() == sorted(left)
        for i in left:
            assert np.array_equal(reader[i].pattern, keys[i])
            assert np.array_equal(reader[i].value, values[i])
            assert np.array_equal(reader[i].payload, payloads[i])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "folder").mkdir()
    return tmp_path / "folder" / "life.mossy"


def test_the_search_finds_a_remnant_wherever_it_begins(tmp_path):
    secret = np.random.default_rng(0).bytes(64)
    for first in range(40):
        (tmp_path / "file").write_bytes(bytes(first % 7) + secret[first : first + 23] + b"tail")
        assert remnants(tmp_path, secret) == {"file": 1}
    (tmp_path / "file").write_bytes(secret[3:18] + bytes(9))
    assert remnants(tmp_path, secret) == {}
    assert len(pieces("秘密秘密秘密的")) == 1


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("longest", [60, 3000, 40_000])
def test_forgetting_one_after_the_other_in_any_order(path, seed, longest):
    """Rows of all lengths, up to several pages each; after each of the forgettings nothing of it is left."""
    n = 40 if longest > 10_000 else 150
    stored = secrets(n, seed=seed, longest=longest)
    random = np.random.default_rng(seed)
    order = random.permutation(n)
    with mossy.open(path) as memory:
        for first in range(0, n, 20):
            part = tuple(one[first : first + 20] for one in stored)
            memory.store(part[0], part[1], payload=part[2])
            memory.recall(stored[0][first])
        for turn, i in enumerate(order[: n // 2].tolist()):
            memory.forget(i)
            if turn % 15 == 0:
                assert remnants(path.parent, *traces(stored, order[: turn + 1])) == {}
            if turn % 7 == 0:
                memory.reinforce(int(order[-1]))
        gone = order[: n // 2]
        assert remnants(path.parent, *traces(stored, gone)) == {}
        assert remnants(path.parent, *traces(stored, order[-1:])).keys() == {"life.mossy"}
        memory.forget(order[n // 2 : -5])
        gone = order[:-5]
        assert remnants(path.parent, *traces(stored, gone)) == {}
        memory.store(np.zeros(16), np.zeros(5), payload="more")
        memory.consolidate()
        assert remnants(path.parent, *traces(stored, gone)) == {}
        memory.forget(n)
    assert remnants(path.parent, *traces(stored, gone)) == {}
    check_rest(path, stored, order[-5:].tolist())


def test_what_is_stored_between_leaves_no_copy_of_what_is_forgotten_later(path):
    """Stored and forgotten in turn, so that pages fill, empty and are used again."""
    random = np.random.default_rng(1)
    stored = secrets(400, seed=1, longest=900)
    keys, values, payloads = stored
    there: list[int] = []
    gone: list[int] = []
    with small(EMPTY=50):
        memory = mossy.open(path, durability="process")
        for i in range(400):
            there.append(memory.store(keys[i], values[i], payload=payloads[i], pin=i % 50 == 0))
            while len(there) > 40 or (there and random.random() < 0.4):
                gone.append(there.pop(int(random.integers(len(there)))))
                memory.forget(gone[-1])
            if i % 80 == 0:
                memory.consolidate()
                assert remnants(path.parent, *traces(stored, gone)) == {}
        memory.close()
        assert remnants(path.parent, *traces(stored, gone)) == {}
        check_rest(path, stored, there)


def test_the_file_is_written_anew_without_what_was_forgotten(path):
    stored = secrets(300, seed=2)
    with small():
        with mossy.open(path) as memory:
            store_all(memory, stored)
            memory.consolidate()
            memory.forget(range(0, 290))
            assert remnants(path.parent, *traces(stored, range(290))) == {}
            before = path.stat().st_size
            memory.consolidate()
            assert path.stat().st_size < before / 2
            assert remnants(path.parent, *traces(stored, range(290))) == {}
            memory.forget(299)  # its row was moved when the file was written anew
            assert remnants(path.parent, *traces(stored, [299])) == {}
        assert remnants(path.parent, *traces(stored, [*range(290), 299])) == {}
        check_rest(path, stored, range(290, 299))


class TestSidecar:
    """More than 4,096 memories, so that the arrays are there, in their real size."""

    N = 2 * 4096 + 100

    @pytest.fixture
    def stored(self, path):
        random = np.random.default_rng(3)
        keys = random.normal(size=(self.N, 4)).astype(np.float32)
        values = random.normal(size=(self.N, 2)).astype(np.float32)
        with mossy.open(path) as memory:
            memory.store(keys, values)
        assert set(remnants(path.parent, keys)) == {"life.mossy", "life.mossy.arrays"}
        return keys, values

    GONE = (0, 7, 4095, 4096, 5000, 8191, 8192, 8250)

    def of(self, stored: Any) -> list[Any]:
        return [part[list(self.GONE)] for part in stored]

    def test_it_is_clean_at_once(self, path, stored):
        with mossy.open(path) as memory:
            memory.forget(self.GONE)
            assert remnants(path.parent, *self.of(stored)) == {}
            memory.store(np.ones((5000, 4)) * np.arange(5000)[:, None], np.zeros((5000, 2)))
            memory.forget(9000)
        assert remnants(path.parent, *self.of(stored)) == {}
        assert path.with_name("life.mossy.arrays").stat().st_size > 3 * 4096 * 24
        with mossy.open(path, "r") as memory:
            assert len(memory) == self.N - len(self.GONE) + 5000 - 1

    def test_it_is_clean_without_being_read_first(self, path, stored):
        """The arrays are of an earlier journal, which is seen when it is opened."""
        arrays = path.with_name("life.mossy.arrays")
        earlier = arrays.read_bytes()
        with mossy.open(path) as memory:
            memory.forget([1, 2])
        arrays.write_bytes(earlier)
        with mossy.open(path) as memory:
            memory.forget(self.GONE)
            assert remnants(path.parent, *self.of(stored)) == {}
        assert remnants(path.parent, stored[0][[1, 2]]) == {}

    @pytest.mark.parametrize("alter", ["header", "cut", "short", "longer"])
    def test_a_sidecar_that_does_not_fit_keeps_nothing(self, path, stored, alter):
        """A flipped bit in its header, or a block that is not whole, as a kill while it is written leaves it."""
        arrays = path.with_name("life.mossy.arrays")
        content = arrays.read_bytes()
        altered = {
            "header": content[:3] + b"?" + content[4:],
            "cut": content[:-9],
            "short": content[: 64 + 1000],
            "longer": content + content[64:9000],
        }[alter]
        arrays.write_bytes(altered)
        with mossy.open(path) as memory:
            memory.forget(self.GONE)
            assert remnants(path.parent, *self.of(stored)) == {}
        assert remnants(path.parent, *self.of(stored)) == {}

    def test_nothing_is_left_where_all_is_forgotten(self, path, stored):
        with mossy.open(path) as memory:
            memory.forget(memory.ids)
            assert remnants(path.parent, *stored) == {}
            memory.store(np.ones(9))  # of another width
        assert remnants(path.parent, *stored) == {}

    def test_nothing_is_left_when_another_folder_is_the_current_one(self, path, stored, tmp_path, monkeypatch):
        monkeypatch.chdir(path.parent)
        with mossy.open("life.mossy") as memory:
            monkeypatch.chdir(tmp_path)
            memory.forget(self.GONE)
            assert remnants(path.parent, *self.of(stored)) == {}
        assert sorted(one.name for one in path.parent.iterdir()) == ["life.mossy", "life.mossy.arrays"]
        assert [one.name for one in tmp_path.iterdir()] == ["folder"]


class TestReaders:
    """Somebody else has it open."""

    @pytest.fixture(autouse=True)
    def quick(self):
        with small(WAIT=0.05):
            yield

    def test_an_idle_reader_keeps_nothing(self, path):
        stored = secrets(80, seed=4)
        with mossy.open(path) as memory:
            store_all(memory, stored)
            with mossy.open(path, "r") as reader:
                assert len(reader) == 80
                reader.recall(stored[0][3])
                memory.forget(range(40))
                assert remnants(path.parent, *traces(stored, range(40))) == {}
                assert len(reader) == 40
                memory.forget(range(40, 60))
                memory.consolidate()
                assert remnants(path.parent, *traces(stored, range(60))) == {}
            memory.close()
            assert remnants(path.parent, *traces(stored, range(60))) == {}

    def test_a_reader_in_another_process_keeps_nothing_between_its_calls(self, path):
        stored = secrets(80, seed=5)
        with mossy.open(path) as memory:
            store_all(memory, stored)
        told, tell = os.pipe()
        child = os.fork()
        if not child:
            code = 1
            try:
                reader = mossy.open(path, "r")
                assert reader.recall(stored[0][3]).ids[0] == 3
                os.write(tell, b"x")
                signal.pause()
            finally:
                os._exit(code)
        try:
            os.read(told, 1)
            with mossy.open(path) as memory:
                memory.forget(range(40))
                assert remnants(path.parent, *traces(stored, range(40))) == {}
            assert remnants(path.parent, *traces(stored, range(40))) == {}
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(told)
            os.close(tell)

    def test_a_reader_in_the_midst_of_a_call_delays_it_and_is_named(self, path):
        stored = secrets(80, seed=6)
        with mossy.open(path) as memory:
            store_all(memory, stored)
        told, tell = os.pipe()
        child = os.fork()
        if not child:  # another program, in the midst of reading
            try:
                other = sqlite3.connect(path)
                other.execute("BEGIN")
                other.execute("SELECT count(*) FROM memory").fetchone()
                os.write(tell, b"x")
                signal.pause()
            finally:
                os._exit(1)
        try:
            os.read(told, 1)
            memory = mossy.open(path)
            with pytest.raises(ForgetPending, match=f"process {child}"):
                memory.forget(range(40))
            assert memory.ids.tolist() == list(range(40, 80))
            memory.store(np.zeros(16), np.zeros(5))
            assert memory.recall(stored[0][3], reinforce=False).ids[0] != 3
            memory.close()
            assert remnants(path.parent, *traces(stored, range(40))) != {}, "the case is not made"
        finally:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            os.close(told)
            os.close(tell)
        with mossy.open(path) as memory:
            assert remnants(path.parent, *traces(stored, range(40))) == {}
            assert memory.ids.tolist() == [*range(40, 81)]

    @pytest.mark.parametrize("finish", ["forget", "consolidate", "close"])
    def test_a_reader_in_this_process_delays_it_until_the_next_forgetting(self, path, finish):
        stored = secrets(80, seed=7)
        memory = mossy.open(path)
        store_all(memory, stored)
        reader = mossy.open(path, "r")
        pending = []

        def meanwhile(seen: Any) -> Any:
            with pytest.raises(ForgetPending):
                memory.forget(range(40))
            pending.append(remnants(path.parent, *traces(stored, range(40))))
            return np.ones(len(seen))

        seen = reader.replay(10, seed=0, surprise=meanwhile)
        assert pending
        assert pending[0]
        assert len(seen) == 10
        assert len(reader) == 40
        {"forget": lambda: memory.forget(79), "consolidate": memory.consolidate, "close": memory.close}[finish]()
        assert remnants(path.parent, *traces(stored, range(40))) == {}
        reader.close()
        memory.close()

    def test_a_file_that_could_not_be_written_anew_is_so_later(self, path):
        """Emptied rows are taken out, which moves others; a reader then prevents the rest."""
        stored = secrets(300, seed=8)
        with small(WAIT=0.05):
            memory = mossy.open(path)
            store_all(memory, stored)
            memory.forget(range(200))
            reader = mossy.open(path, "r")

            def meanwhile(seen: Any) -> Any:
                memory.consolidate()
                with pytest.raises(ForgetPending):
                    memory.forget(range(200, 250))
                return np.ones(len(seen))

            reader.replay(3, seed=0, surprise=meanwhile)
            memory.forget(250)
            assert remnants(path.parent, *traces(stored, range(251))) == {}
            assert reader.ids.tolist() == list(range(251, 300))
            memory.close()
            reader.close()
            assert remnants(path.parent, *traces(stored, range(251))) == {}
            check_rest(path, stored, range(251, 300))


class TestOthers:
    """What becomes of memories without a call of ``forget``, and what others keep of them."""

    def test_merged_memories_are_forgotten_whole(self, path):
        stored = secrets(60, seed=9)
        keys, values, payloads = stored
        with mossy.open(path, duplicates="keep", merge=0.01) as memory:
            store_all(memory, stored)
            near = keys[:30] + np.float32(1e-4)
            memory.store(near, values[:30], payload=payloads[:30])
            assert memory.consolidate().merged == 30
            one_key = [*near, *keys[:30]]
            kept = [memory[i].pattern for i in range(30)]
            merged = [key for key in one_key if not any(np.array_equal(key, other) for other in kept)]
            assert len(merged) == 30
            assert remnants(path.parent, *merged) == {}
            memory.forget([*range(10), *range(70, 80)])
            gone = [*traces(stored, range(20)), *near[:20]]
            assert remnants(path.parent, *gone) == {}
            assert len(memory) == 40

    def test_links_keep_nothing(self, path):
        stored = secrets(150, seed=10)
        with mossy.open(path, links=3, association=0.5) as memory:
            store_all(memory, stored)
            memory.recall(stored[0][:20], k=4)
            memory.forget(range(0, 150, 3))
            gone = traces(stored, range(0, 150, 3))
            assert remnants(path.parent, *gone) == {}
            memory.consolidate()
        assert remnants(path.parent, *gone) == {}

    @pytest.mark.parametrize("reader", [False, True])
    @pytest.mark.parametrize("settings", [{"capacity": 30}, {"keep": "frequent", "short_term": 30}])
    def test_what_is_let_go_is_gone_with_the_closing(self, path, settings, reader):
        stored = secrets(200, seed=11)
        keys, values, payloads = stored
        with small(EMPTY=1000):
            memory = mossy.open(path, **settings)
            other = None
            for i in range(200):
                memory.store(keys[i], values[i], payload=payloads[i])
                if reader and i == 50:
                    other = mossy.open(path, "r")
                    assert len(other) > 0
                if i % 60 == 59:
                    memory.consolidate()
            left = memory.ids.tolist()
            assert len(left) <= 30
            memory.close()
            gone = sorted(set(range(200)) - set(left))
            assert remnants(path.parent, *traces(stored, gone)) == {}
            if other is not None:
                assert other.ids.tolist() == left
                other.close()
            assert remnants(path.parent, *traces(stored, gone)) == {}

    def test_what_is_let_go_by_the_dozen_leaves_no_arrays(self, path):
        keys = np.random.default_rng(12).normal(size=(5000, 4)).astype(np.float32)
        with mossy.open(path, keep="frequent", short_term=6000) as memory:
            memory.store(keys)
        assert "life.mossy.arrays" in remnants(path.parent, keys)
        with mossy.open(path) as memory:
            memory.reinforce([3, 4000])
            memory.consolidate()
            assert memory.ids.tolist() == [3, 4000]
        assert remnants(path.parent, np.delete(keys, [3, 4000], axis=0)) == {}

    def test_an_error_stores_nothing(self, path, monkeypatch):
        """What was half written and taken back is not in the log either, once something is forgotten."""
        stored = secrets(40, seed=13)
        with mossy.open(path) as memory:
            memory.store(np.zeros((3, 16)) + np.arange(3)[:, None], np.zeros((3, 5)))
            journal = memory._store.durable.journal
            append = journal.append

            def fails(*given: Any) -> None:
                append(*given)
                raise MemoryError

            monkeypatch.setattr(type(journal), "append", lambda self, *given: fails(*given))
            with pytest.raises(MemoryError):
                store_all(memory, stored)
            monkeypatch.undo()
            assert len(memory) == 3
            memory.forget(1)
            assert remnants(path.parent, *traces(stored, range(40))) == {}

    def test_an_encrypted_file_has_nothing_in_the_clear(self, path, monkeypatch):
        monkeypatch.setenv("MOSSY_TEST_KEY", "correct horse battery staple")
        stored = secrets(200, seed=14)
        with small(), mossy.open(path, key=KEY, clock=Steps()) as memory:
            store_all(memory, stored)
            memory.consolidate()
            assert remnants(path.parent, *traces(stored, range(200)), "correct horse battery staple") == {}
            memory.forget(range(180))
            memory.consolidate()
            memory.store(stored[0][0], stored[1][0], payload="不要写在文件里的秘密文字")
            names = sorted(one.name for one in path.parent.iterdir())
            assert remnants(path.parent, *traces(stored, range(200)), "不要写在文件里的秘密文字") == {}
        assert "life.mossy.arrays" in names
        for name in ("euclidean", "power_law", "power law", "Steps"):
            assert name.encode() not in path.read_bytes()

    def test_forgetting_by_many_threads(self, path):
        stored = secrets(160, seed=15)
        with mossy.open(path) as memory:
            store_all(memory, stored)
            threads = [
                threading.Thread(target=lambda first=first: [memory.forget(i) for i in range(first, 120, 4)])
                for first in range(4)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert remnants(path.parent, *traces(stored, range(120))) == {}
        check_rest(path, stored, range(120, 160))

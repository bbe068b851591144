"""How much is rescued of what kind of damage, and that the new file is whole or not there."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mossy
from mossy import Matrix, Steps
from mossy.errors import Damaged, InvalidParameter, NoRoom, NotAMemory
from mossy.journal import Repaired, Verified, repair, verify
from mossy.journal.layout import PAGE
from mossy.journal.remains import DEFAULTS, Pages
from mossy.memory.configuration import Configuration
from tests.journal.alike import unlike
from tests.journal.files import KEY, POOL, D, N, bytes_in, change, everything, flip, lived, overwrite, root
from tests.journal.small import small
from tests.naive.same import differences

# -- what is rescued ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["closed", "killed", "sealed"])
def test_of_a_sound_file_all_is_rescued(copied, tmp_path, name):
    path, key = copied(name), KEY if name == "sealed" else None
    done = repair(path, tmp_path / "n", key=key)
    assert done == Repaired(N + 6, [])
    assert verify(tmp_path / "n", key=key)
    with mossy.open(path, key=key) as one, mossy.open(tmp_path / "n", key=key) as other:
        assert unlike(one, other, POOL[:4] + np.float32(0.01)) == []
        assert one._configuration.as_dict() == other._configuration.as_dict()
        assert one[150].ids == other[150].ids
        if name == "closed":
            assert differences(one.state()["linked"], other.state()["linked"]) == []
        assert one.store(POOL[299]) == other.store(POOL[299])


def test_a_torn_tree_of_pages_loses_no_row(copied, tmp_path):
    """The leaves are found without the pages that point at them, and without the header."""
    path = copied("closed")
    good = everything(path)
    page = root(path, "memory")
    overwrite(path, (page - 1) * PAGE, bytes(PAGE))
    overwrite(path, 0, bytes(100))
    found = verify(path)
    assert found.memories == N + 6
    assert "its structure is torn" in found.damage[0] or "its header" in found.damage[0]
    assert repair(path, tmp_path / "n") == Repaired(N + 6, [])
    assert everything(tmp_path / "n") == good


def test_a_page_whose_own_header_is_torn_gives_its_rows(copied, tmp_path):
    path = copied("closed")
    good = everything(path)
    with Pages(path) as pages:
        leaves = [image.page for image in pages if image.content[0] == 0x0D and image.page != 1]
    for page in leaves:
        overwrite(path, (page - 1) * PAGE, bytes(8))
    done = repair(path, tmp_path / "n")
    assert done == Repaired(N + 6, [])
    assert everything(tmp_path / "n") == good


def test_a_log_that_is_torn_in_the_middle(made, copied, tmp_path):
    path = copied("killed")
    shutil.copytree(made["killed"].parent, tmp_path / "truth")
    good = everything(tmp_path / "truth" / "killed")
    flip(tmp_path / "killed-wal", 40)
    before = bytes_in(tmp_path)
    assert verify(path).damage[0] == "its log (-wal) is damaged at frame 0: what was written later is lost"
    done = repair(path, tmp_path / "n")
    assert {name: content for name, content in bytes_in(tmp_path).items() if name[0] != "n"} == before
    assert done == Repaired(N + 6, [])
    assert everything(tmp_path / "n") == good


def test_a_log_that_is_cut_off_is_noticed_by_the_note(copied, tmp_path):
    path = copied("killed")
    (tmp_path / "killed-wal").write_bytes(b"")
    assert "its last writer had stored the memories up to 160" in verify(path).damage[-1]
    done = repair(path, tmp_path / "n")
    assert done.lost
    with mossy.open(tmp_path / "n") as memory:
        assert memory.store(POOL[299]) == 161, "no id is used again"


def test_the_configuration_and_all_of_its_copies_are_lost(tmp_path):
    defaults = Configuration()
    assert defaults.as_dict() | {"clock": "seconds", "modes": defaults.linear_law().modes} == DEFAULTS
    for links in (0, 5):
        path = tmp_path / f"m{links}"
        lived(path, links=links)
        change(path, "DELETE FROM meta")
        change(path, "DELETE FROM spare")
        connection = sqlite3.connect(path)
        connection.execute("VACUUM")
        connection.close()
        done = repair(path, tmp_path / f"n{links}")
        assert done.rescued == N + 6
        told = f"the configuration: the new file has the defaults, with links={links} and a clock that counts steps"
        assert told in done.lost
        with mossy.open(tmp_path / f"n{links}") as memory:
            assert memory[9].payload == {"number": 9, "text": "x" * 9}
            assert memory[2].pinned
            assert np.array_equal(memory.recall(POOL[20], reinforce=False).pattern, POOL[20])


@pytest.mark.parametrize("key", [None, KEY])
def test_a_pattern_comes_from_the_arrays(tmp_path, key):
    with small(BLOCK=64):
        lived(tmp_path / "m", key=key, n=40)
        good = everything(tmp_path / "m", key)
        lived(tmp_path / "m2", key=key, n=40)
        change(tmp_path / "m", "UPDATE memory SET key = zeroblob(64) WHERE id = 10")
        change(tmp_path / "m", "UPDATE memory SET crc = 0 WHERE id = 11")
        change(tmp_path / "m", "UPDATE memory SET payload = zeroblob(9) WHERE id = 12")
        change(tmp_path / "m", "DELETE FROM memory WHERE id = 13")
        connection = sqlite3.connect(tmp_path / "m")
        connection.execute("VACUUM")
        connection.close()
        for torn in (None, 40, 1700):  # the header of the arrays; a block of them
            if torn is not None:
                overwrite(tmp_path / "m.arrays", torn, b"torn")
            done = repair(tmp_path / "m", tmp_path / f"n{torn}", key=key)
            assert verify(tmp_path / f"n{torn}", key=key)
            found = everything(tmp_path / f"n{torn}", key)
            if torn is None:
                first = done
                assert done.lost == ["memories 12 to 13: the payload; the rest is rescued from the arrays"]
                for id in (10, 11):
                    assert found[id] == good[id]
                for id in (12, 13):
                    assert found[id][1] == good[id][1]
                    assert found[id][2] == "None"
            elif torn == 40:
                assert done == first, "the header is not needed"


def test_what_was_forgotten_stays_forgotten(tmp_path):
    """Neither a row that a torn state does not speak of, nor stale arrays, bring it back."""
    with small(BLOCK=64):
        lived(tmp_path / "m", n=40)
        stale = (tmp_path / "m.arrays").read_bytes()
        with mossy.open(tmp_path / "m") as memory:
            memory.forget([10, 11])
        (tmp_path / "m.arrays").write_bytes(stale)
        change(tmp_path / "m", "UPDATE state SET crc = 0")
        change(tmp_path / "m", "DELETE FROM memory WHERE id = 11")
        done = repair(tmp_path / "m", tmp_path / "n")
        found = everything(tmp_path / "n")
        assert 10 not in found
        assert done.lost


def test_links_to_what_is_lost_are_cut(copied, tmp_path):
    path = copied("closed")
    change(path, "UPDATE memory SET key = zeroblob(64) WHERE id = 30")
    repair(path, tmp_path / "n")
    with mossy.open(tmp_path / "n") as memory:
        assert 30 not in memory
        links = memory.state()["linked"]["target"]
        row = memory._store.catalog.rows_of(29)[0]
        assert memory._store.catalog.ids[links[row][links[row] >= 0]].tolist() == [28]


def test_values_and_wide_rows_are_rescued(tmp_path):
    rng = np.random.default_rng(1)
    with mossy.open(tmp_path / "m", clock=Steps(), durability="process") as memory:
        keys, values = rng.normal(size=(20, 3000)).astype(np.float32), rng.normal(size=(20, 2000)).astype(np.float32)
        memory.store(keys, values, payload=[rng.integers(0, 9, 4000) for _ in range(20)])
    good = everything(tmp_path / "m")
    overwrite(tmp_path / "m", 0, os.urandom(PAGE))
    assert repair(tmp_path / "m", tmp_path / "n").rescued == 20
    assert everything(tmp_path / "n") == good
    flip(tmp_path / "m", 20 * PAGE)
    assert repair(tmp_path / "m", tmp_path / "n2").rescued == 19


def test_an_encrypted_file_without_its_salt(copied, tmp_path):
    path = copied("sealed")
    change(path, "DELETE FROM meta WHERE name = 'salt'")
    assert "the salt of its encryption is damaged" in verify(path, key=KEY).damage[0]
    assert repair(path, tmp_path / "n", key=KEY).rescued == N + 6, "there is a second copy of it"
    change(path, "UPDATE spare SET crc = 0 WHERE name = 'salt'")
    with pytest.raises(Damaged, match="its salt is lost"):
        repair(path, tmp_path / "n2", key=KEY)


def test_weights(tmp_path):
    path = tmp_path / "w"
    with mossy.open(path, keep_raw=False, substrate=Matrix(D)) as weights:
        weights.store(np.sign(POOL[:6]))
        good = weights.recall(np.sign(POOL[2])).pattern
    assert verify(path) == Verified(6, [])
    assert repair(path, tmp_path / "n") == Repaired(6, [])
    assert verify(tmp_path / "n") == Verified(6, [])
    with mossy.open(tmp_path / "n", keep_raw=False) as weights:
        assert np.array_equal(weights.recall(np.sign(POOL[2])).pattern, good)
    change(path, "UPDATE weights SET crc = crc + 1")
    assert verify(path).damage == ["part 0 of the weights is missing, or does not fit its checksum"]
    with pytest.raises(Damaged, match="weights"):
        repair(path, tmp_path / "n2")


# -- the new file -------------------------------------------------------------------------------------------------


def test_a_file_that_is_there_is_not_written_over(copied, tmp_path):
    path = copied("closed")
    for name in ("n", "n-wal", "n.arrays", "n.part"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(InvalidParameter, match="into"):
            repair(path, tmp_path / "n")
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    for into in (path, tmp_path / "nowhere" / "n", tmp_path):
        with pytest.raises(InvalidParameter):
            repair(path, into)
    assert repair(path, tmp_path / "n").rescued == N + 6


@pytest.mark.parametrize("moment", [1, 2, 60])
def test_a_repair_that_is_cut_off_leaves_nothing(copied, tmp_path, moment):
    path = copied("closed")
    before = bytes_in(tmp_path)

    def stop(done: int, total: int) -> None:
        if done >= moment * total // 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        repair(path, tmp_path / "n", progress=stop)
    assert bytes_in(tmp_path) == before
    assert not (tmp_path / "n.part").exists()


def test_a_disk_that_is_full_is_named(copied, tmp_path):
    path = copied("closed")
    code = f"""
import resource
from mossy.journal import repair
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))
try:
    repair({str(path)!r}, {str(tmp_path / "n")!r})
except OSError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == NoRoom.__name__, done.stderr
    assert not list(tmp_path.glob("n*"))


def test_a_repair_that_is_killed_says_so_the_next_time(copied, tmp_path):
    path = copied("closed")
    child = os.fork()
    if child == 0:
        repair(
            path,
            tmp_path / "n",
            progress=lambda done, total: os.kill(os.getpid(), signal.SIGKILL) if done > total / 2 else None,
        )
        os._exit(0)
    os.waitpid(child, 0)
    with pytest.raises(InvalidParameter, match=r"n\.part is there"):
        repair(path, tmp_path / "n")
    assert not (tmp_path / "n").exists()
    shutil.rmtree(tmp_path / "n.part")
    assert repair(path, tmp_path / "n").rescued == N + 6


# -- pages --------------------------------------------------------------------------------------------------------


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), magic=st.sampled_from([0x0D, 0x0A, 0x02, 0x05, 0x00]))
def test_any_bytes_are_looked_through(tmp_path_factory, seed, magic):
    """Whatever a page holds, it is neither an error nor a search without an end."""
    folder = tmp_path_factory.mktemp("pages")
    one = np.random.default_rng(seed)
    content = one.choice([0, 1, 7, 13, 127, 128, 255], size=3 * PAGE).astype(np.uint8)
    content[::PAGE] = magic
    (folder / "m").write_bytes(content.tobytes())
    assert verify(folder / "m").memories == 0
    with pytest.raises(NotAMemory):
        repair(folder / "m", folder / "n")

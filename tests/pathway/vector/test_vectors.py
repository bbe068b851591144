"""Every vector pathway finds what an exact search finds, or nearly all of it, through every change."""

from __future__ import annotations

import os
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import mossy
from mossy.errors import MissingExtra, UnknownName
from mossy.pathway.vector import PATHWAYS, Exact, Fading, as_pathway
from mossy.pathway.vector import automatic as automatic_module
from mossy.pathway.vector.sketch import KINDS
from mossy.substrate.index import Index

D = 48
FINDS = {"exact": 1.0, "auto": 0.93, "sketch": 0.93, "graph": 0.9}  # share of the true ten best, at least


@pytest.fixture(autouse=True)
def few(monkeypatch):
    """Let the automatic choice change over within the sizes that are tested."""
    monkeypatch.setattr(automatic_module, "FEW", 2500)


def pathway(name):
    if name == "graph":
        pytest.importorskip("usearch")
    return as_pathway(name)


def clustered(seed, n, cues=40, d=D):
    rng = np.random.default_rng(seed)
    middle = rng.normal(size=(30, d))
    every = middle[rng.integers(30, size=n + cues)] + 0.7 * rng.normal(size=(n + cues, d))
    return every[:n].astype(np.float32), every[n:].astype(np.float32)


def found(vector, index, cues, known=None, k=10, reach=0.0, slack=0.0, fading=None):
    prepared = index.prepare(cues, known)
    which, rows = vector.find(index, prepared, reach, slack, k, fading)
    assert (np.diff(which) >= 0).all()
    assert not index.dead[rows].any()
    assert len(np.unique(which * index.rows + rows)) == len(rows)
    fit = index.exact(prepared, which, rows)
    if fading is not None:
        fit = fit + fading.weight * fading.logs[rows]
    return [rows[which == i][np.lexsort((rows[which == i], -fit[which == i]))] for i in range(len(cues))]


def share(vector, index, cues, known=None, k=10, fading=None):
    """Return which part of the true ``k`` best a pathway finds."""
    mine = found(vector, index, cues, known, k, fading=fading)
    true = found(Exact(), index, cues, known, k, fading=fading)
    assert all(len(rows) >= min(k, len(index)) for rows in mine)
    return np.mean([np.isin(a[:k], b[:k]).mean() for a, b in zip(true, mine, strict=True)])


@pytest.mark.parametrize("masked", [False, True], ids=["whole", "half"])
@pytest.mark.parametrize("similarity", list(KINDS))
@pytest.mark.parametrize("name", list(PATHWAYS))
def test_it_finds_what_is_best(name, similarity, masked):
    keys, cues = clustered(1, 4000)
    index, vector = Index(similarity, "winner"), pathway(name)
    index.write(keys)
    known = np.random.default_rng(2).random((len(cues), D)) < 0.5 if masked else None
    least = FINDS[name] if not (name == "graph" and similarity in ("dot", "manhattan")) else 0.75
    assert share(vector, index, cues, known) >= least
    assert share(vector, index, cues[:1], None if known is None else known[:1]) >= 0.7


@pytest.mark.parametrize("similarity", list(KINDS))
def test_a_mask_is_answered_without_comparing_all(similarity, monkeypatch):
    keys, cues = clustered(21, 6000, d=128)
    index, vector = Index(similarity, "winner"), as_pathway("sketch")
    index.write(keys)
    known = np.random.default_rng(22).random((len(cues), 128)) < 0.5
    best = [found(Exact(), index, cues[i : i + 1], known[i : i + 1])[0][:10] for i in range(len(cues))]
    monkeypatch.setattr(Exact, "find", lambda *_: pytest.fail("all were compared"))
    mine = [found(vector, index, cues[i : i + 1], known[i : i + 1])[0][:10] for i in range(len(cues))]
    assert np.mean([np.isin(a, b).mean() for a, b in zip(best, mine, strict=True)]) >= 0.93


@pytest.mark.parametrize("name", list(PATHWAYS))
def test_it_keeps_up_with_what_is_written_and_forgotten(name):
    keys, cues = clustered(3, 6000)
    index, vector = Index("euclidean", "winner"), pathway(name)
    rng = np.random.default_rng(4)
    for first in range(0, 6000, 1500):
        index.write(keys[first : first + 1500])
        assert share(vector, index, cues) >= FINDS[name]
        gone = rng.choice(index.alive(), 500, replace=False)
        vector.forget(gone)
        index.erase(gone)
        assert share(vector, index, cues) >= FINDS[name]
        place = np.full(index.rows, -1)
        place[index.alive()] = np.arange(len(index))
        vector.moved(place)
        index.compact()
        assert share(vector, index, cues) >= FINDS[name]
    vector.truncate(2000)
    index.truncate(2000)
    assert share(vector, index, cues) >= FINDS[name]


@pytest.mark.parametrize("name", list(PATHWAYS))
def test_strengths_take_part_in_the_search(name):
    keys, cues = clustered(5, 4000)
    index, vector = Index("cosine", "winner"), pathway(name)
    index.write(keys)
    logs = np.log(np.random.default_rng(6).uniform(0.05, 1, 4000)).astype(np.float32)
    assert share(vector, index, cues, fading=Fading(0.1, logs, float(logs.max()), 0.0)) >= FINDS[name]


@pytest.mark.parametrize("name", [name for name in PATHWAYS if name != "graph"])  # it fetches a number
def test_all_that_is_within_reach_is_found(name):
    keys, cues = clustered(7, 3000)
    index, vector = Index("euclidean", "winner"), pathway(name)
    index.write(keys)
    reach = 0.05
    mine = found(vector, index, cues, k=1, reach=reach)
    true = found(Exact(), index, cues, k=1, reach=reach)
    assert np.mean([np.isin(a, b).mean() for a, b in zip(true, mine, strict=True)]) >= FINDS[name]


@pytest.mark.parametrize("name", list(PATHWAYS))
@pytest.mark.parametrize("n", [1, 2, 33])
def test_few_memories(name, n):
    keys, cues = clustered(8, n, 3)
    index, vector = Index("euclidean", "winner"), pathway(name)
    index.write(keys)
    for k in {1, n}:
        assert share(vector, index, cues, k=k) == 1.0


@pytest.mark.parametrize("name", [name for name in PATHWAYS if name != "graph"])
@pytest.mark.parametrize("similarity", list(KINDS))
def test_equal_keys_zeros_and_outliers(name, similarity):
    vector, index = pathway(name), Index(similarity, "winner")
    keys = np.zeros((3000, D), np.float32)
    keys[1000:2000] = 1.0
    keys[2000:] = np.random.default_rng(9).normal(size=(1000, D))
    keys[2500] *= 1e6
    index.write(keys)
    for cue in (np.zeros((1, D)), np.ones((1, D)), keys[2500:2501], keys[2001:2002], np.full((1, D), 1e-20)):
        mine = found(vector, index, cue.astype(np.float32), k=5)[0]
        true = found(Exact(), index, cue.astype(np.float32), k=5)[0]
        prepared = index.prepare(cue.astype(np.float32), None)
        best = [index.exact(prepared, np.zeros(5, np.intp), rows[:5]) for rows in (mine, true)]
        scale = max(1.0, np.abs(best[1]).max())
        assert best[0] / scale == pytest.approx(best[1] / scale, abs=1e-6)


def test_a_hundred_thousand_identical_keys_are_answered_with_a_few():
    memory = mossy.Memory(pathway="sketch", duplicates="keep", separation="winner")
    memory.store(np.ones((100_000, 16), np.float32))
    memory.store(np.random.default_rng(0).normal(size=(1000, 16)))
    one = memory.recall(np.ones(16), k=10, reinforce=False)
    assert (one.ids < 100_000).all()
    assert (one.fit == 0).all()
    assert memory.stats().pathway == "sketch"


def test_ties_do_not_grow_the_answer():
    index, vector = Index("euclidean", "softmax"), as_pathway("sketch")
    index.write(np.ones((20_000, 8), np.float32))
    which, rows = vector.find(index, index.prepare(np.ones((1, 8)), None), 0.01, 0.0, 3, None)
    assert 3 <= len(rows) <= 4096
    which, rows = vector.find(index, index.prepare(np.ones((20, 8)), None), 0.01, 0.0, 3, None)
    assert (np.bincount(which) >= 3).all()


@given(st.integers(0, 500), st.sampled_from([1, 2, 5, 8, 20, 33]))
@settings(max_examples=20, deadline=None)
def test_a_batch_finds_what_single_cues_find(seed, c):
    keys, cues = clustered(seed, 900, c)
    index, vector = Index("cosine", "winner"), as_pathway("sketch")
    index.write(keys)
    batch = found(vector, index, cues, k=4)
    single = [found(vector, index, cue[None], k=4)[0] for cue in cues]
    for a, b in zip(batch, single, strict=True):
        assert a[:4].tolist() == b[:4].tolist()


@pytest.mark.parametrize("name", ["sketch", "graph"])
def test_it_compares_all_where_it_cannot_help(name):
    keys, cues = clustered(10, 3000)
    index, vector = Index("cosine", "linear"), pathway(name)
    index.write(keys)
    assert share(vector, index, cues, k=2000) == 1.0
    everything = found(vector, index, cues[:1], reach=np.inf)[0]
    assert len(everything) == 3000


def test_auto_changes_over_when_there_are_many(monkeypatch):
    monkeypatch.setattr(automatic_module, "FEW", 1000)
    keys, cues = clustered(11, 1500)
    memory = mossy.Memory(separation="winner")
    memory.store(keys[:1000])
    memory.recall(cues[0])
    assert memory.stats().pathway == "exact"
    memory.store(keys[1000:])
    memory.recall(cues[0])
    assert memory.stats().pathway == "sketch"
    memory.forget(memory.ids[:600])
    memory.recall(cues[0])
    assert memory.stats().pathway == "exact"


def test_a_memory_answers_alike_by_every_pathway():
    keys, _ = clustered(12, 3000)
    known = np.arange(D) < 40
    answers = {}
    for name in ("exact", "sketch"):
        memory = mossy.Memory(pathway=name, clock=mossy.Steps())
        memory.store(keys)
        memory.forget(memory.ids[::7])
        near = keys[1::300] + np.float32(0.01)
        answers[name] = [memory.recall(near), memory.recall(near[3]), memory.recall(near, known)]
    for mine, true in zip(answers["sketch"], answers["exact"], strict=True):
        assert mine.ids.tolist() == true.ids.tolist()
        assert np.array_equal(mine.pattern, true.pattern)
        assert np.array_equal(mine.probability, true.probability)


def test_it_is_in_the_state_and_in_the_file(tmp_path):
    keys, _ = clustered(13, 100)
    memory = mossy.Memory(pathway="sketch")
    memory.store(keys)
    assert mossy.Memory.from_state(memory.state()).stats().pathway == "sketch"
    with mossy.open(tmp_path / "a.mossy", pathway="sketch") as durable:
        durable.store(keys)
        assert durable.recall(keys[5]).ids == [5]
    with mossy.open(tmp_path / "a.mossy") as durable:
        assert durable.stats().pathway == "sketch"
        assert durable.recall(keys[5]).ids == [5]
    with mossy.open(tmp_path / "a.mossy", pathway="exact") as durable:
        assert durable.stats().pathway == "exact"


def test_bad_names_and_missing_extras(monkeypatch):
    with pytest.raises(UnknownName, match="'auto', 'exact', 'sketch', 'graph'"):
        mossy.Memory(pathway="hnsw")
    import mossy.pathway.vector.graph as graph_module

    def gone(name):
        raise ImportError(name)

    monkeypatch.setattr(graph_module.importlib, "import_module", gone)
    with pytest.raises(MissingExtra, match=r"pip install 'mossy\[graph\]'"):
        mossy.Memory(pathway="graph")


def test_ids_are_forgotten_while_others_recall():
    keys, cues = clustered(14, 3000)
    memory = mossy.Memory(pathway="sketch", separation="winner")
    ids = memory.store(keys)
    faults: list[BaseException] = []

    def recalls():
        try:
            for cue in cues:
                memory.recall(cue, k=5)
        except BaseException as fault:  # noqa: BLE001 - to be told in the main thread
            faults.append(fault)

    threads = [threading.Thread(target=recalls) for _ in range(4)]
    for thread in threads:
        thread.start()
    for first in range(0, 2000, 100):
        memory.forget(ids[first : first + 100])
    for thread in threads:
        thread.join()
    assert not faults
    assert (memory.recall(cues, k=5).ids >= 2000).all()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_recalls():
    keys, cues = clustered(15, 3000)
    memory = mossy.Memory(pathway="sketch", separation="winner")
    memory.store(keys)
    expected = memory.recall(cues, reinforce=False).ids.tolist()
    child = os.fork()
    if child == 0:
        same = memory.recall(cues, reinforce=False).ids.tolist() == expected
        os._exit(0 if same else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int16, np.bool_])
def test_other_dtypes_are_found_as_float32(dtype):
    keys = (np.random.default_rng(16).normal(size=(2000, D)) * 8).astype(dtype)
    memory = mossy.Memory(pathway="sketch", separation="winner", duplicates="keep")
    memory.store(keys[:1000])
    memory.store(keys[1000:].astype(np.float32))
    assert memory.recall(keys[::100]).fit == pytest.approx(0.0, abs=1e-9)
    assert memory.recall(keys[1500]).fit == pytest.approx(0.0, abs=1e-9)


def test_an_interrupted_catching_up_sketches_no_row_twice(monkeypatch):
    keys, cues = clustered(17, 2500)
    index, vector = Index("euclidean", "winner"), as_pathway("sketch")
    index.write(keys[:2000])
    found(vector, index, cues)
    index.write(keys[2000:])

    def interrupted(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(vector._cells), "full", interrupted)
        with pytest.raises(KeyboardInterrupt):
            found(vector, index, cues)
    assert share(vector, index, cues) >= FINDS["sketch"]
    assert vector._cells.sketches == 2500


@pytest.mark.parametrize("similarity", list(KINDS))
def test_cues_that_know_few_entries_are_compared_with_all(similarity):
    keys, cues = clustered(18, 3000)
    index, vector = Index(similarity, "winner"), as_pathway("sketch")
    index.write(keys)
    for n in (1, 4, 16):
        assert share(vector, index, cues, np.arange(D)[None] < np.full((len(cues), 1), n)) == 1.0
    units = Index(similarity, "winner")
    units.write(keys * np.geomspace(0.01, 1000, D).astype(np.float32))
    assert share(as_pathway("sketch"), units, cues * np.geomspace(0.01, 1000, D)) == 1.0


@pytest.mark.parametrize("pathway", ["sketch", "graph"])
def test_strengths_far_apart_are_weighed_among_all(pathway):
    if pathway == "graph":
        pytest.importorskip("usearch")
    keys, cues = clustered(19, 6000)
    found = {}
    for name in ("exact", pathway):
        clock = mossy.Steps()
        memory = mossy.Memory(pathway=name, similarity="cosine", delta=0.5, clock=clock)
        memory.store(keys[:5800])
        clock.advance(10**8)
        memory.reinforce(memory.store(keys[5800:]), 1000.0)
        found[name] = memory.recall(cues, reinforce=False).ids
    assert (found["exact"] == found[pathway]).all()


def test_data_without_neighbourhoods():
    keys = np.random.default_rng(20).normal(size=(8000, 64)).astype(np.float32)
    cues = np.random.default_rng(21).normal(size=(30, 64))
    for similarity in KINDS:
        index, vector = Index(similarity, "winner"), as_pathway("sketch")
        index.write(keys)
        assert share(vector, index, cues) >= 0.85

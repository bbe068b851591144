"""What is no export, or a damaged one, is refused by name and changes nothing."""

from __future__ import annotations

import copy
import json
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.memory.lives import POOL, D
from tests.naive.same import differences

import mossy
from mossy import Memory, Seconds, Steps
from mossy.errors import (
    Damaged,
    InvalidParameter,
    InvalidShape,
    InvalidTime,
    MossyError,
    NewerLayout,
    NotAMemory,
    NotFinite,
)

# -- what is no export --------------------------------------------------------------------------------------------


def lines_of(folder: Path) -> list[str]:
    return (folder / "life.jsonl").read_text("utf-8").splitlines(keepends=True)


def write(folder: Path, lines: list[str]) -> None:
    (folder / "life.jsonl").write_text("".join(lines), "utf-8")


def change(folder: Path, number: int, **told: Any) -> None:
    """Tell other things in a line; ``...`` leaves one out."""
    lines = lines_of(folder)
    line = json.loads(lines[number - 1]) | told
    lines[number - 1] = json.dumps({name: value for name, value in line.items() if value is not ...}) + "\n"
    write(folder, lines)


def rewrite(folder: Path, fit: bool = True, **arrays: Any) -> None:
    """Write other arrays; the header fits them, or not."""
    with np.load(folder / "life.npz") as before:
        arrays = {name: before[name] for name in before} | arrays
    np.savez(folder / "life.npz", **{name: array for name, array in arrays.items() if array is not None})
    if fit:
        with zipfile.ZipFile(folder / "life.npz") as archive:
            change(folder, 1, checksums={info.filename.removesuffix(".npy"): info.CRC for info in archive.infolist()})


def cut(folder: Path, name: str, size: int) -> None:
    path = folder / name
    path.write_bytes(path.read_bytes()[:size])


def flip(folder: Path, name: str, place: int) -> None:
    content = bytearray((folder / name).read_bytes())
    content[place] ^= 4
    (folder / name).write_bytes(content)


KEYS = POOL[:3]
BAD: dict[str, tuple[Any, type[MossyError], str]] = {
    "no lines": (lambda f: (f / "life.jsonl").unlink(), NotAMemory, "life.jsonl: it is not there"),
    "no arrays": (lambda f: (f / "life.npz").unlink(), NotAMemory, "life.npz: it is not there"),
    "empty": (lambda f: write(f, []), NotAMemory, "not an export"),
    "no JSON": (lambda f: write(f, ["hello\n", *lines_of(f)[1:]]), NotAMemory, "not an export"),
    "bytes": (lambda f: (f / "life.jsonl").write_bytes(b"\xff\xfe\x00"), NotAMemory, "not an export"),
    "a list": (lambda f: write(f, ["[1, 2]\n"]), NotAMemory, "not an export"),
    "other JSON": (lambda f: write(f, ['{"a": 1}\n']), NotAMemory, "its format is None"),
    "deep": (lambda f: write(f, ["[" * 100_000 + "\n"]), NotAMemory, "not an export"),
    "a newer version": (lambda f: change(f, 1, version=2), NewerLayout, "version 2"),
    "no version": (lambda f: change(f, 1, version=...), NewerLayout, "version None"),
    "no count": (lambda f: change(f, 1, memories=...), Damaged, "line 1 .*'memories' is missing"),
    "a negative count": (lambda f: change(f, 1, memories=-1), Damaged, "line 1 .*-1 was given"),
    "no d": (lambda f: change(f, 1, d=None), Damaged, "line 1 .*no d"),
    "a wrong d": (lambda f: change(f, 1, d=4), Damaged, "shape"),
    "too few lines": (lambda f: write(f, lines_of(f)[:-1]), Damaged, "3 memories, and 2 are there"),
    "too many lines": (lambda f: write(f, lines_of(f) + lines_of(f)[-1:]), Damaged, "line 5 .*one more"),
    "half a line": (lambda f: write(f, [*lines_of(f)[:-1], lines_of(f)[-1][:40]]), Damaged, "line 4 "),
    "a broken line": (lambda f: write(f, [lines_of(f)[0], "{]\n", *lines_of(f)[2:]]), Damaged, "line 2 "),
    "a line is no object": (lambda f: write(f, [lines_of(f)[0], "7\n", *lines_of(f)[2:]]), Damaged, "line 2 .*object"),
    "lines exchanged": (
        lambda f: write(f, [lines_of(f)[i] for i in (0, 2, 1, 3)]),
        Damaged,
        "line 2 .*it is of memory 1, and life.npz has 0",
    ),
    "a deep line": (lambda f: write(f, [lines_of(f)[0], "[" * 100_000 + "\n", *lines_of(f)[2:]]), Damaged, "line 2 "),
    "no id": (lambda f: change(f, 2, id=...), Damaged, "line 2 .*'id' is missing"),
    "no payload": (lambda f: change(f, 3, payload=...), Damaged, "line 3 .*'payload' is missing"),
    "an id that is text": (lambda f: change(f, 2, id="0"), Damaged, "line 2 .*integer"),
    "an id that is true": (lambda f: change(f, 3, id=True), Damaged, "line 3 .*integer"),
    "a negative id": (lambda f: change(f, 2, ids=[0, -4]), Damaged, "line 2 .*-4"),
    "a huge id": (lambda f: change(f, 2, ids=[0, 1 << 60]), Damaged, "line 2 "),
    "ids without its own": (lambda f: change(f, 2, ids=[7]), Damaged, "line 2 .*ids"),
    "an id twice in a line": (lambda f: change(f, 2, ids=[0, 0]), Damaged, "line 2 .*ids"),
    "an id of two": (lambda f: change(f, 2, ids=[0, 2]), Damaged, "several memories have the id 2"),
    "a further id of two": (
        lambda f: (change(f, 2, ids=[0, 9]), change(f, 3, ids=[1, 9])),
        Damaged,
        "several memories have the id 9",
    ),
    "NaN in modes": (lambda f: change(f, 2, modes=[float("nan")] * 12), Damaged, "line 2 .*NaN is no number"),
    "an infinite time": (lambda f: change(f, 2, when=float("inf")), Damaged, "line 2 .*Infinity"),
    "a number out of range": (
        lambda f: write(f, [lines_of(f)[0], lines_of(f)[1].replace('"when":5.0', '"when":1e999'), *lines_of(f)[2:]]),
        Damaged,
        "line 2 .*time",
    ),
    "a huge integer": (lambda f: change(f, 2, when=10**400), Damaged, "line 2 "),
    "a time after the export": (lambda f: change(f, 2, when=7.5), Damaged, "line 2 .*7.5"),
    "stored after the export": (lambda f: change(f, 2, stored=7.5), Damaged, "line 2 .*7.5"),
    "a negative mode": (lambda f: change(f, 2, modes=[-1.0] * 12), Damaged, "line 2 .*strength"),
    "too great a mode": (lambda f: change(f, 2, modes=[1e31] * 12), Damaged, "line 2 .*strength"),
    "too few modes": (lambda f: change(f, 2, modes=[1.0]), Damaged, "line 2 .*modes"),
    "modes of links of no law": (lambda f: change(f, 1, link_modes=3), Damaged, "3 modes of links"),
    "modes of no law": (lambda f: change(f, 1, modes=7), Damaged, "7 modes"),
    "text for modes": (lambda f: change(f, 2, modes="x" * 12), Damaged, "line 2 .*list"),
    "pinned is a number": (lambda f: change(f, 2, pinned=1), Damaged, "line 2 .*true or false"),
    "a link to itself": (
        lambda f: change(f, 2, links=[{"id": 0, "strength": 1, "modes": [1.0] * 2}], linked=0),
        Damaged,
        "line 2 .*links",
    ),
    "a link without time": (
        lambda f: change(f, 2, links=[{"id": 1, "strength": 1, "modes": [1.0] * 2}]),
        Damaged,
        "line 2 .*'linked' is missing",
    ),
    "bytes that are none": (lambda f: change(f, 2, payload={"$bytes": "*"}), Damaged, "line 2 .*base64"),
    "an array that is none": (lambda f: change(f, 2, payload={"$array": "aGVsbG8="}), Damaged, "line 2 .*NumPy"),
    "an array cut off": (lambda f: change(f, 2, payload={"$array": "k05VTVBZAQA="}), Damaged, "line 2 "),
    "a payload too deep": (
        lambda f: write(f, [lines_of(f)[0], lines_of(f)[1].replace('"one"', "[" * 300 + "]" * 300), *lines_of(f)[2:]]),
        Damaged,
        "line 2 .*deep",
    ),
    "arrays of another export": (lambda f: rewrite(f, False, keys=KEYS * 2), Damaged, "keys does not fit the checksum"),
    "no keys": (lambda f: rewrite(f, keys=None), Damaged, "life.npz"),
    "float64": (lambda f: rewrite(f, keys=KEYS.astype(float)), Damaged, "dtype float64"),
    "columns first": (lambda f: rewrite(f, keys=np.asfortranarray(KEYS)), Damaged, "keys has shape"),
    "too few keys": (lambda f: rewrite(f, keys=KEYS[:2]), Damaged, "shape"),
    "too few ids": (lambda f: rewrite(f, ids=np.arange(2)), Damaged, "shape"),
    "ids that fall": (lambda f: rewrite(f, ids=np.array([2, 1, 0])), Damaged, "do not rise"),
    "negative ids": (lambda f: rewrite(f, ids=np.array([-1, 1, 2])), Damaged, "do not rise"),
    "objects": (lambda f: rewrite(f, keys=np.array([[object()]] * 3)), Damaged, "life.npz"),
    "NaN": (lambda f: rewrite(f, keys=np.where(np.eye(3, D) > 0, np.nan, KEYS).astype("f4")), NotFinite, "memory 0"),
    "infinity": (
        lambda f: rewrite(f, keys=np.where(np.eye(3, D, 1) > 0, np.inf, KEYS).astype("f4")),
        NotFinite,
        "keys",
    ),
    "too large": (lambda f: rewrite(f, keys=KEYS * np.float32(1e20)), NotFinite, "above 1e"),
    "no zip": (lambda f: (f / "life.npz").write_bytes(b"hello"), Damaged, "life.npz: it is torn"),
    "an empty zip": (lambda f: (f / "life.npz").write_bytes(b""), Damaged, "life.npz: it is torn"),
    "half a zip": (lambda f: cut(f, "life.npz", 300), Damaged, "life.npz: it is torn"),
    "a zip without its end": (lambda f: cut(f, "life.npz", -3), Damaged, "life.npz: it is torn"),
    "a flip in the keys": (lambda f: flip(f, "life.npz", 500), Damaged, "life.npz: it is torn"),
}


@pytest.mark.parametrize("durable", [False, True])
@pytest.mark.parametrize("what", BAD)
def test_what_is_no_export_changes_nothing(tmp_path, what, durable):
    spoil, error, told = BAD[what]
    source = Memory(clock=Steps(5))
    source.store(KEYS, payload=["one", "two", {"three": 3}])
    source.export(tmp_path / "life")
    memory = Memory(clock=Steps(9)) if not durable else mossy.open(tmp_path / "m", clock=Steps(9), durability="process")
    memory.store(POOL[9])
    before = memory.state()
    memory.import_(tmp_path / "life")
    memory.forget([id for id in memory.ids if id])
    memory = copy.deepcopy(memory) if not durable else memory
    before = memory.state()
    spoil(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(error, match=told) as raised:
            memory.import_(tmp_path / "life")
    assert str(tmp_path) in str(raised.value)
    assert differences(memory.state(), before) == []
    memory.close()


def test_a_header_or_a_line_of_more_names_is_read(tmp_path):
    source = Memory(clock=Steps(5))
    source.store(KEYS)
    source.export(tmp_path / "life")
    change(tmp_path, 1, comment="by hand")
    change(tmp_path, 3, comment="by hand", strength=2, when=1)
    write(tmp_path, [*lines_of(tmp_path), "\n", "  \n"])
    assert Memory(clock=Steps(5)).import_(tmp_path / "life").added == 3


def test_an_export_that_does_not_go_with_the_memory(tmp_path, make):
    source = Memory(clock=Steps(5))
    source.store(KEYS)
    source.export(tmp_path / "life")
    other = make(clock=Steps(9))
    other.store(POOL[0, :3])
    with pytest.raises(InvalidShape, match="5 entries without values, and this memory of 3 entries"):
        other.import_(tmp_path / "life")
    valued = make(clock=Steps(9))
    valued.store(POOL[0], POOL[0, :2])
    with pytest.raises(InvalidShape, match="with values of 2"):
        valued.import_(tmp_path / "life")
    with pytest.raises(InvalidTime, match=r"at the time 5.*shows 4"):
        make(clock=Steps(4)).import_(tmp_path / "life")
    with pytest.raises(InvalidParameter, match=r"clock of steps.*seconds"):
        make(clock=Seconds()).import_(tmp_path / "life")
    assert len(other) == len(valued) == 1


@settings(max_examples=60)
@given(data=st.data())
def test_an_altered_export_is_refused_or_read_as_it_stands(tmp_path_factory, data):
    """Never an error of another kind, never a half import, and never a pattern that was not written."""
    folder = tmp_path_factory.mktemp("flip")
    source = Memory(clock=Steps(5), links=1)
    source.store(KEYS, payload=["one", b"two", {"three": [3]}])
    source.export(folder / "life")
    name = data.draw(st.sampled_from(["life.jsonl", "life.npz"]))
    content = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[place:]
    (folder / name).write_bytes(content)
    memory = Memory(clock=Steps(9), links=1)
    memory.store(POOL[9])
    before = memory.state()
    try:
        done = memory.import_(folder / "life")
    except MossyError:
        assert differences(memory.state(), before) == []
        return
    assert (done.added, len(memory)) == (3, 4)
    written = {key.tobytes() for key in KEYS} | {POOL[9].tobytes()}
    assert {memory[id].pattern.tobytes() for id in memory.ids.tolist()} == written

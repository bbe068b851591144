"""``mossy recall``: whole and partial cues, what is printed, and what is reinforced."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from tests.cli.writing import image, lines, npy

import mossy


def memories(told) -> list[list[int]]:
    """Return the ids that each cue recalled."""
    return [[one["id"] for one in cue["memories"]] for cue in told["recalled"]]


def test_as_the_library_recalls(told, life, patterns):
    np.save("cues.npy", patterns[[7, 3]] + 0.01)
    found = told("recall", life, "cues.npy", "-k", "3", "--no-reinforce")
    with mossy.open(life, "r") as memory:
        same = memory.recall(patterns[[7, 3]] + 0.01, k=3)
    for i, cue in enumerate(found["recalled"]):
        assert cue["cue"] == f"cues.npy, row {i}"
        assert cue["familiar"] is bool(same.familiar[i])
        assert cue["steps"] == same.steps[i]
        assert np.allclose(cue["pattern"], same.pattern[i])
        assert [one["payload"] for one in cue["memories"]] == same.payload[i]
        for name in ("probability", "fit"):
            assert np.allclose([one[name] for one in cue["memories"]], getattr(same, name)[i])
        assert np.allclose([[one["short"], one["long"]] for one in cue["memories"]], same.strength[i], rtol=0.01)
    assert memories(found) == same.ids.tolist()


def test_whole_and_partial_cues_of_one_table_are_each_recalled_as_such(told, life, patterns, folder):
    """The known entries of a partial cue are held fast, and those of a whole one, which may be noisy, are not."""
    noisy = patterns[5] + np.float32(0.05)
    (folder / "cues.csv").write_text(
        "a,b,c,d,e,f\n"
        + ",".join(map(str, patterns[4, :3].tolist()))
        + ",,nan, \n"
        + ",".join(map(str, noisy.tolist()))
        + "\n"
    )
    found = told("recall", life, "cues.csv")
    assert memories(found) == [[4], [5]]
    assert np.array_equal(np.float32(found["recalled"][0]["pattern"]), patterns[4])
    assert np.array_equal(np.float32(found["recalled"][1]["pattern"]), patterns[5])
    assert [one["cue"] for one in found["recalled"]] == ["cues.csv, line 2", "cues.csv, line 3"]


@pytest.mark.parametrize("known", ["0-2,5", "2,0-1,5", "mask.npy", "mask.csv", "masks.npy"])
def test_only_known_entries_count(told, life, patterns, folder, known):
    mask = np.array([1, 1, 1, 0, 0, 1], bool)
    np.save("mask.npy", mask)
    np.save("masks.npy", np.stack([mask, mask]))
    (folder / "mask.csv").write_text("a,b,c,d,e,f\n1,1,1,0,0,1\n")
    np.save("cues.npy", np.where(mask, patterns[[8, 9]], 100))
    found = told("recall", life, "cues.npy", "--known", known)
    assert memories(found) == [[8], [9]]
    assert np.array_equal(np.float32(found["recalled"][1]["pattern"]), patterns[9])


def test_what_a_mask_and_the_cue_both_know_is_known(told, life, patterns, folder):
    cue = patterns[3].copy()
    cue[0] = np.nan
    cue[4] = 100
    np.save("cue.npy", cue)
    assert memories(told("recall", life, "cue.npy", "--known", "0-3")) == [[3]]


def test_like_a_memory(told, life):
    assert memories(told("recall", life, "--like", "17", "-k", "2"))[0][0] == 17
    assert memories(told("recall", life, "--like", "17", "--known", "0-3")) == [[17]]


def test_cues_of_other_formats(told, life, patterns, folder):
    line = lines([{"pattern": [float(patterns[2, 0]), None, *map(float, patterns[2, 2:])], "payload": "no part of it"}])
    assert memories(told("recall", life, "-", "--format", "jsonl", given=line)) == [[2]]
    pixels = np.random.default_rng(0).integers(0, 255, (6, 4, 4, 3)).astype(np.uint8)
    (folder / "images").mkdir()
    for i, one in enumerate(pixels):
        (folder / "images" / f"{i}.png").write_bytes(image(one))
    told("store", "images.mossy", "images", "--colour", "--size", "4x4")
    found = told("recall", "images.mossy", "images/3.png", "--colour", "--size", "4x4")
    assert found["recalled"][0]["cue"] == "images/3.png"
    assert found["recalled"][0]["memories"][0]["payload"] == "3.png"


def test_it_is_reinforced_unless_told_otherwise(told, life):
    def strength() -> float:
        with mossy.open(life, "r") as memory:
            return float(memory.strength(4).sum())

    before = strength()
    told("recall", life, "--like", "4", "--no-reinforce")
    assert strength() <= before
    told("recall", life, "--like", "4")
    assert strength() > before + 0.5


def test_beside_a_writer_it_only_reads_and_says_so(refused, told, life):
    with mossy.open(life):
        message = refused(1, "recall", life, "--like", "4")
        assert "this process has it open to write" in message
        assert "open it here with mossy stats, export or recall --no-reinforce" in message
        assert memories(told("recall", life, "--like", "4", "--no-reinforce")) == [[4]]


def test_for_people(run, life):
    done = run("recall", life, "--like", "4", "-k", "2", "--explain")
    assert done.exit_code == 0
    heads, first, *_ = done.stdout.splitlines()
    assert heads.split() == ["cue", "id", "probability", "fit", "strength", "payload"]
    assert first.split()[:5] == ["memory", "4", "4", "1.0000", "0"]
    assert first.split()[-1] == "p4"
    assert "  memory 4: evidence 0 = similarity" in done.stdout
    assert "Not familiar" not in done.stdout
    assert "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())


def test_numbers_stand_on_one_line_in_json_and_no_zero_is_negative(run, folder):
    (folder / "t.csv").write_text('who,a,b\n"[\n-0.0,\n 1]",-0.0,1e-30\n')
    assert '"ids": [0]' in run("store", "life.mossy", "t.csv", "--payload", "who", "--json").stdout
    shown = run("recall", "life.mossy", "--like", "0", "--json").stdout
    [line] = [line for line in shown.splitlines() if '"pattern"' in line]
    assert line.startswith('      "pattern": [0.0, ')
    assert not re.search(r"-0\.0,?$", shown, re.MULTILINE)
    assert json.loads(shown)["recalled"][0]["memories"][0]["payload"] == "[\n-0.0,\n 1]"


def test_an_unfamiliar_cue_is_told(run, life):
    np.save("far.npy", np.full((5, 6), 50.0))
    done = run("recall", life, "far.npy")
    assert done.stdout.endswith(
        "Not familiar, and not reinforced: far.npy, row 0, far.npy, row 1, far.npy, row 2 and 2 more.\n"
    )


def test_payloads_of_all_kinds_are_shown(run, told):
    payloads = ["[bold]x[/bold]", "a\nb\x1b[31m", b"\x00\xff", np.arange(3), {"a": [None, "ü"]}, "long " * 40, None]
    with mossy.open("life.mossy") as memory:
        memory.store(np.eye(7), payload=payloads)
    np.save("cues.npy", np.eye(7))
    found = told("recall", "life.mossy", "cues.npy")
    shown = [cue["memories"][0]["payload"] for cue in found["recalled"]]
    assert shown[:2] == payloads[:2]
    assert shown[2] == {"$bytes": "AP8="}
    assert list(shown[3]) == ["$array"]
    assert shown[4:] == payloads[4:]
    text = run("recall", "life.mossy", "cues.npy").stdout
    assert "[bold]x[/bold]" in text
    assert "a b [31m" in text
    assert '"ü"' in text
    assert "2 bytes" in text
    assert "array (3,) of int64" in text
    assert "\x1b" not in text
    assert "long lo..." in text


def test_explained_evidence_adds_up(told, life):
    [cue] = told("recall", life, "--like", "4", "-k", "5", "--explain")["recalled"]
    for one in cue["memories"]:
        assert one["similarity"] + one["prior"] + one["association"] == pytest.approx(one["evidence"])
    [cue] = told("recall", life, "--like", "4")["recalled"]
    assert "evidence" not in cue["memories"][0]


def test_the_recalled_patterns_are_written(told, life, patterns, folder, refused):
    np.save("cues.npy", patterns[:3])
    told("recall", life, "cues.npy", "--out", "found.npy")
    assert np.array_equal(np.load("found.npy"), patterns[:3])
    assert "--out: nowhere/f.npy cannot be written" in refused(2, "recall", life, "cues.npy", "--out", "nowhere/f.npy")


@pytest.mark.parametrize(
    ("options", "code", "says"),
    [
        ([], 2, "recall: neither CUE nor --like ID was given; give one"),
        (["cue.npy", "--like", "1"], 2, "recall: both CUE and --like ID were given; give one"),
        (["--like", "99"], 2, "no memory has the id 99"),
        (["cue.npy", "-k", "0"], 2, "mossy: -k: 0 was given; an integer from 1 to 40"),
        (["cue.npy", "-k", "41"], 2, "mossy: -k: 41 was given"),
        (["short.npy"], 2, "cue: shape (1, 5) was given; (6,) or (n, 6) is allowed"),
        (["short.npy", "--known", "1"], 2, "given; (6,) or (n, 6) is allowed"),
        (["none.npy"], 2, "none.npy, row 1: no entry of the cue is known; at least one must be"),
        (["inf.npy"], 2, "inf.npy, row 0: entry 2 is inf"),
        (["partial.npy", "--known", "0"], 2, "partial.npy, row 0: no entry of the cue is known"),
        (["cue.npy", "--known", "6"], 2, "--known: 6 was given; the entries of the cue are 0 to 5"),
        (["cue.npy", "--known", "3-1"], 2, "--known: 3-1 was given"),
        (["cue.npy", "--known", "mask.npy"], 2, "mask.npy: it was given, and is not there"),
        (["cue.npy", "--known", "short.npy"], 2, "--known: short.npy has shape (1, 5); (1, 6) is allowed, or (1, 6)"),
        (["cue.npy", "--known", "cue.npy"], 2, "--known: cue.npy holds other numbers than 0 and 1"),
        (["words.npy"], 2, "words.npy: the array has dtype <U1"),
        (["nothing.npy"], 2, "nothing.npy: it was given, and is not there"),
    ],
)
def test_what_cannot_be_used_is_named_and_nothing_is_reinforced(options, code, says, refused, life, patterns, folder):
    np.save("cue.npy", patterns[0])
    np.save("short.npy", np.zeros(5))
    np.save("none.npy", np.stack([patterns[0], np.full(6, np.nan)]))
    np.save("inf.npy", np.where(np.arange(6) == 2, np.inf, patterns[0]))
    np.save("partial.npy", np.where(np.arange(6) == 0, np.nan, patterns[0]))
    (folder / "words.npy").write_bytes(npy(np.array(["a"] * 6), None))
    before = (folder / life).read_bytes()
    assert says in refused(code, "recall", life, *options)
    assert (folder / life).read_bytes() == before


def test_nothing_is_made_where_no_memory_is(refused, folder):
    assert "it was given, and is not there; mossy store makes" in refused(2, "recall", "no.mossy", "--like", "1")
    assert list(folder.iterdir()) == []


def test_nothing_is_recalled_from_an_empty_memory(refused, folder):
    mossy.open("life.mossy").close()
    np.save("cue.npy", np.zeros(3))
    assert "the memory holds nothing" in refused(1, "recall", "life.mossy", "cue.npy")

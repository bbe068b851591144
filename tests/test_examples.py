"""Every example runs, on a small part of its data, and prints what it is to show."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).resolve().parent.parent / "examples"

# By name: the small arguments, and what must be in the output.
RUNS: dict[str, tuple[dict[str, int | float], tuple[str, ...]]] = {
    "attach_memory": ({"n": 400, "epochs": 2}, ("these are the digits of scikit-learn", "accuracy on it is 0.000")),
    "cache": (
        {"n": 200, "capacity": 150},
        ("kept 150", "100.0% right", "words: cosine 0.98, a hit", "of 9 users"),
    ),
    "coreset": ({"n": 400}, ("all 320 images    1.000", "coreset of 30    0.9")),
    "hopfield_bags": ({"n": 32, "size": 6, "epochs": 2, "seeds": 1}, ("it is what is read most",)),
    "memoize_encoder": ({"scenes": 60, "width": 8, "epochs": 4, "rate": 0.1}, ("480 frames: ", "answers changed")),
    "plastic_rnn": ({"steps": 24, "tested": 20}, ("names right, of 5 told once: ",)),
    "replay_stream": ({"n": 400, "passes": 1, "kept": 50}, ("a sleep after each part  1.000",)),
    "digits_by_class": ({"n": 300}, ("as if they had never been seen: True",)),
    "few_shot_characters": ({"episodes": 4}, ("these are the digits of scikit-learn", "patches: ")),
    "novel_images": ({}, ("none of them a 4", "area under the ROC curve 0.99")),
    "repair_table": ({}, ("495 measurements and 30 names are missing", "memory        root mean square error 0.7")),
    "replay": ({"n": 400}, ("with replay 1.000 1.000 1.000 1.000",)),
    "spoken_digits": ({"n": 60}, ("fsdd/fsdd.npz is not there",)),
    "complete_digits": ({"n": 60}, ("told what is known: 100.0% of 60", "memory 3 (a 3)")),
    "fading": ({"n": 80, "days": 14}, ("what is left shows: 7\n",)),
    "table": ({"n": 120}, ("standardised    softmax          100.0%                  100.0%",)),
    "short_and_long_term_synapses": ({"n": 3}, ("projection: 100% of the covered pixels",)),
}


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_example_is_run() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == set(RUNS)


@pytest.mark.parametrize("name", RUNS)
def test_example(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MOSSY_DATA", str(tmp_path))  # the tests need nothing but what the packages ship
    arguments, wanted = RUNS[name]
    load(name).main(**arguments)
    printed = capsys.readouterr().out
    for text in wanted:
        assert text in printed

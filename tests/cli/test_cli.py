from __future__ import annotations

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import mossy
from mossy.cli import demo as cli_demo
from mossy.cli import lab as cli_lab
from mossy.cli.app import app
from mossy.cli.demo import _percent, _strength
from mossy.errors import EmptyMemory, MissingExtra

SMALL = ["demo", "--images", "40"]

# Runs ``mossy`` in a process in which the packages named first cannot be imported.
BLOCKED = """
import sys
for name in sys.argv.pop(1).split(","):
    sys.modules[name] = None
from mossy.cli import main
main()
"""


def run(*arguments: str):
    return CliRunner().invoke(app, list(arguments))


def blocked(packages: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", BLOCKED, packages, *arguments], capture_output=True, text=True)


def test_version():
    done = run("--version")
    assert done.exit_code == 0
    assert done.stdout == f"mossy {mossy.__version__}\n"


def test_help_documents_the_exit_codes():
    text = " ".join(run("--help").stdout.split())
    for part in ("Exit codes", "130", "demo", "lab"):
        assert part in text
    assert run().exit_code == 2
    assert run("nothing").exit_code == 2


@pytest.mark.parametrize("group", [[], ["lab"]])
def test_no_summary_of_a_command_is_cut(group):
    assert "..." not in run(*group, "--help").stdout.partition("Commands:")[2]


def test_lab_article_prints_what_was_found():
    done = run("lab", "article")
    assert done.exit_code == 0, done.stderr
    assert "identical to the article's" in done.stdout
    assert "epochs is 0." in done.stdout
    assert "One set of ten random patterns" in done.stdout
    assert "projection" in done.stdout


def test_lab_article_as_json_with_a_figure(tmp_path):
    out = tmp_path / "new" / "folder"
    done = run("lab", "article", "--json", "--out", str(out))
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["program"]["largest_change"] == 0
    assert result["figures"] == [str(out / "article-weights.png")]
    assert (out / "article-weights.png").stat().st_size > 10_000


def test_demo_draws_beside_you_unless_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*SMALL)
    assert done.exit_code == 0, done.stderr
    for part in (
        "mossy, known=",
        "cosine",
        "mean image",
        "masked NumPy search",
        "a year",
        "lets 20 go",
        "two photographs",
    ):
        assert part in done.stdout
    assert "./mossy-demo.png" in done.stdout
    assert "\x1b" not in done.stdout
    assert done.stdout.isascii()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mossy-demo-fading.png", "mossy-demo.png"]


def test_demo_without_figure_as_json(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*SMALL, "--json", "--no-figure")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["completion"]["digits"]["stored"] == 40
    assert result["figures"] == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", [["demo"], ["lab", "article"]])
@pytest.mark.parametrize("below", [False, True])
def test_a_bad_folder_is_named(command, below, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    done = run(*command, "--out", str(file / "below" if below else file))
    assert done.exit_code == 2
    assert done.stdout == ""
    assert done.stderr.startswith("mossy: out: ")
    assert "Traceback" not in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (KeyboardInterrupt(), 130, "mossy: stopped.\n"),
        (EmptyMemory("recall: nothing is stored."), 1, "mossy: recall: nothing is stored.\n"),
    ],
)
@pytest.mark.parametrize("command", [["demo"], ["demo", "--json"], ["lab", "article"], ["lab", "article", "--json"]])
def test_how_a_command_fails(command, error, code, text, monkeypatch):
    def fail(*arguments):
        raise error

    monkeypatch.setattr(cli_demo, "run_demo", fail)
    monkeypatch.setattr(cli_lab, "run_article", fail)
    done = run(*command)
    assert (done.exit_code, done.stderr) == (code, text)


@pytest.mark.parametrize("package", ["typer", "rich"])
def test_without_the_command_line_extra_the_message_installs_it(package):
    done = blocked(package, "--version")
    assert done.returncode == 1
    assert done.stderr == f"mossy: {MissingExtra(package, 'cli')}\n"


@pytest.mark.parametrize("package", ["matplotlib", "sklearn"])
def test_without_the_lab_extra_the_message_installs_it(package, tmp_path):
    done = blocked(package, "demo", "--out", str(tmp_path))
    assert done.returncode == 1
    assert "pip install 'mossy[lab]'" in done.stderr
    assert "Traceback" not in done.stderr


def test_numbers_are_written_as_they_are():
    assert [_percent(x).strip() for x in (1.0, 0.9999, 0.5, 0.0001, 0.0)] == ["100.0", "99.99", "50.0", "0.01", "0.0"]
    assert [_strength(x) for x in (1.0, 0.9715, 0.0276, 8.05e-5, 1e-9, 0.0)] == [
        "1.0",
        "0.97",
        "0.028",
        "0.000081",
        "0",
        "0",
    ]

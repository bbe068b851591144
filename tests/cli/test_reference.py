"""The page of the command line is what the commands say, and its examples run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from typer.main import get_command

from mossy.cli.app import app
from mossy.cli.reading import FORMATS
from mossy.cli.reference import commands, written

PAGE = Path(__file__).resolve().parents[2] / "docs" / "cli.md"


def test_the_page_is_up_to_date():
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page), "run: python -m mossy.cli.reference docs/cli.md"


def test_every_command_is_on_the_page():
    page = PAGE.read_text(encoding="utf-8")
    names = {f"mossy {name}" for name in get_command(app).commands} | {"mossy", "mossy lab article"}
    assert set(commands()) == names
    assert all(f"\n### {name}\n" in page for name in names)


def test_every_format_is_on_the_page():
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == list(FORMATS)


def test_help_tells_every_argument_and_option():
    for name, text in commands().items():
        arguments = text.partition("Arguments:")[2].partition("Options:")[0]
        options = text.partition("Options:")[2].partition("Commands:")[0]
        for line in [*arguments.splitlines(), *options.splitlines()]:
            assert not line.strip() or re.search(r"\S {2,}\S|^ {20}", line), (name, line)


def test_the_examples_run(tmp_path):
    [example, *_] = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    shell = 'mossy() { "$PYTHON" -c "from mossy.cli import main; main()" "$@"; }\n'
    done = subprocess.run(
        ["sh", "-e", "-c", shell + example],
        cwd=tmp_path,
        env={"PYTHON": sys.executable, "PATH": "/usr/bin:/bin", "PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "life.mossy: 3 stored." in done.stdout
    assert re.search(r"standard input, line 2 .* bert", done.stdout)

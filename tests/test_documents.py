"""What the documents show must run: every Python block of README and docs/, in order, one namespace a file.

A block that is fenced as ``python skip`` is not run; nor are blocks in other languages.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted([*ROOT.glob("README*.md"), *ROOT.glob("docs/*.md")])
FENCE = re.compile(
    r"^(?P<indent>[ \t]*)```(?P<info>[^\n`]*)\n(?P<body>.*?)^(?P=indent)```[ \t]*$", re.MULTILINE | re.DOTALL
)


def blocks(text: str) -> list[tuple[int, str, str]]:
    """Return (line of its first line, language, body) of every fenced block."""
    return [
        (text.count("\n", 0, hit.start("body")) + 1, hit["info"].strip(), dedent(hit["body"]))
        for hit in FENCE.finditer(text)
    ]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_python_blocks_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, object] = {"__name__": "__main__"}
    for line, language, body in blocks(path.read_text(encoding="utf-8")):
        if language == "python":
            # The empty lines make a traceback name the line of the document.
            exec(compile("\n" * (line - 1) + body, str(path), "exec"), namespace)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_blocks_say_what_they_are(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("```") % 2 == 0, "a fence is open"
    unclear = [
        f"line {line}: {language!r}"
        for line, language, _ in blocks(text)
        if not language or ("py" in language.lower() and language not in ("python", "python skip", "pycon"))
    ]
    assert unclear == [], "fences are ```python, ```python skip, or another language"


def test_blocks_are_found_with_their_lines() -> None:
    text = "a\n```python\nx = 1\n```\n\n- b\n\n    ```python skip\n    y = 2\n    ```\n\n```sh\nmake\n```\n"
    assert blocks(text) == [(3, "python", "x = 1\n"), (9, "python skip", "y = 2\n"), (13, "sh", "make\n")]

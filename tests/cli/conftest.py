from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from mossy.cli.app import app


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder, in which the commands run."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(folder) -> Callable[..., Result]:
    """Run ``mossy`` in the folder; ``given`` is what stands on standard input."""

    def call(*arguments: object, given: str | bytes | None = None) -> Result:
        return CliRunner().invoke(app, [str(one) for one in arguments], input=given)

    return call


@pytest.fixture
def told(run) -> Callable[..., dict[str, Any]]:
    """Run a command that must work, with ``--json``, and return what it told."""

    def call(*arguments: object, given: str | bytes | None = None) -> dict[str, Any]:
        done = run(*arguments, "--json", given=given)
        assert done.exit_code == 0, done.stderr
        return json.loads(done.stdout)

    return call


@pytest.fixture
def refused(run) -> Callable[..., str]:
    """Run a command that must fail, and return its message, which is one line on standard error."""

    def call(code: int, *arguments: object, given: str | bytes | None = None) -> str:
        done = run(*arguments, given=given)
        assert done.exit_code == code, (done.exit_code, done.stdout, done.stderr)
        assert done.stdout == ""
        assert done.stderr.startswith("mossy: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return call


@pytest.fixture
def patterns() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(40, 6)).astype(np.float32)


@pytest.fixture
def life(folder, patterns, told) -> str:
    """A memory of 40 patterns with the payloads ``p0`` to ``p39``."""
    np.savez("patterns.npz", patterns=patterns, payload=np.array([f"p{i}" for i in range(40)]))
    assert told("store", "life.mossy", "patterns.npz")["stored"] == 40
    return "life.mossy"

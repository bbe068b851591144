"""``mossy`` as a process of its own: exit codes, streams, Ctrl-C, and how quickly it starts."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from tests.cli.writing import lines

import mossy

RUN = [sys.executable, "-c", "from mossy.cli import main; main()"]

# What a command must not import before it needs it.
SLOW = ("PIL", "cryptography", "matplotlib", "numba", "pyarrow", "scipy", "sklearn", "torch")

HELP = """
import sys
from mossy.cli import main
sys.argv = ["mossy", *sys.argv[1:]]
try:
    main()
except SystemExit as ended:
    assert ended.code == 0, ended.code
print([name for name in {slow!r} if name in sys.modules], file=sys.stderr)
"""


def run(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], input=given, capture_output=True, text=True)


def started(*arguments: str, **named) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*RUN, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **named
    )


@pytest.mark.parametrize("command", [[], ["store"], ["recall"], ["demo"], ["lab", "article"]])
def test_help_imports_nothing_slow(command):
    done = subprocess.run(
        [sys.executable, "-c", HELP.format(slow=SLOW), *command, "--help"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == "[]\n"


def test_exit_codes_and_streams(folder):
    (folder / "t.csv").write_text("a,b\n1,2\n3,4\n")
    done = run("store", "life.mossy", "t.csv", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["stored"] == 2
    with mossy.open("life.mossy"):
        done = run("forget", "life.mossy", "0")
        assert (done.returncode, done.stdout) == (1, "")
        assert f"process {os.getpid()}" in done.stderr
        assert done.stderr.count("\n") == 1
    done = run("forget", "life.mossy", "7")
    assert (done.returncode, done.stdout) == (2, "")
    assert run("nothing").returncode == 2


def test_what_is_damaged_ends_with_3(folder):
    (folder / "t.csv").write_text("name,a\nspoiledname,1\nother,2\n")
    assert run("store", "life.mossy", "t.csv", "--payload", "name").returncode == 0
    content = (folder / "life.mossy").read_bytes()
    (folder / "life.mossy").write_bytes(content.replace(b"spoiledname", b"spoilednome"))
    done = run("recall", "life.mossy", "--like", "1")
    assert (done.returncode, done.stdout) == (3, "")
    assert "memory 0" in done.stderr
    for command in (["stats"], ["export", "away"], ["recall", "--like", "1", "--no-reinforce"]):
        name, *more = command
        done = run(name, "life.mossy", *more)
        assert done.returncode == 3
        assert done.stdout
        assert done.stderr.startswith("mossy: warning: ")
        assert "life.mossy: memory 0" in done.stderr
        assert done.stderr.count("\n") == 1


def test_ctrl_c_while_it_waits_for_lines_keeps_what_was_stored(folder):
    """It is interrupted while it reads, and what is half a batch is not stored."""
    patterns = np.random.default_rng(0).normal(size=(17000, 4))
    process = started("store", "life.mossy", "-", "--format", "jsonl", "--json")
    process.stdin.write(lines({"pattern": one} for one in patterns.tolist()).decode())
    process.stdin.flush()
    wait_for(lambda: stored("life.mossy") > 0)
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    kept = stored("life.mossy")
    assert process.returncode == 130
    assert 0 < kept < 17000
    assert stderr == f"mossy: stopped. life.mossy: {kept:,} stored. It holds {kept:,} memories.\n"
    assert json.loads(stdout)["stored"] == kept
    assert json.loads(stdout)["stopped"] is True
    with mossy.open("life.mossy") as memory:
        assert np.array_equal(memory[kept - 1].pattern, patterns[kept - 1].astype(np.float32))


def test_ctrl_c_in_a_store_without_end_leaves_a_whole_file(folder):
    process = started("store", "life.mossy", "-", "--format", "csv")

    def feed() -> None:
        with suppress(BrokenPipeError), process.stdin as stream:
            stream.write("a,b\n")
            for i in itertools.count():
                stream.write(f"{i},{-i}\n")

    threading.Thread(target=feed, daemon=True).start()
    wait_for(lambda: stored("life.mossy") > 0)
    process.send_signal(signal.SIGINT)
    stderr = process.stderr.read()
    assert process.wait(timeout=60) == 130
    kept = stored("life.mossy")
    assert kept > 0
    assert stderr == f"mossy: stopped. life.mossy: {kept:,} stored. It holds {kept:,} memories.\n"
    assert not (folder / "life.mossy.lock").exists()
    assert (mossy.open("life.mossy", "r").ids == np.arange(kept)).all()


def test_progress_shows_on_a_terminal_and_only_there(folder):
    np.save("patterns.npy", np.eye(50))
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*RUN, "store", "life.mossy", "patterns.npy"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # how a terminal ends
            break
        if not part:
            break
        shown += part
    os.close(ours)
    stdout = process.communicate()[0]
    assert process.returncode == 0
    assert b"storing" in shown
    assert stdout == b"life.mossy: 50 stored. It holds 50 memories.\n"


def stored(path: str) -> int:
    """Return how many memories are in a file that another process may be writing."""
    if not Path(path).exists():
        return 0
    try:
        with mossy.open(path, "r") as memory:
            return len(memory)
    except mossy.MossyError:  # it is just being made
        return 0


def wait_for(condition) -> None:
    for _ in range(2000):
        if condition():
            return
        time.sleep(0.01)
    raise AssertionError("it did not come to pass")

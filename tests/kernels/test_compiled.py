"""The decorator of kernels: where no cache folder works, after a fork, in several threads at once."""

import os
import shutil
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import mossy

PROGRAM = """
import numpy as np
from kernel import total
assert total(np.arange(10.0)) == 45.0
"""
KERNEL = """
from mossy.kernels.compiled import compiled

@compiled()
def total(x):
    s = 0.0
    for i in range(x.shape[0]):
        s += x[i]
    return s
"""


def run(folder: Path, program: str, **environment: str) -> None:
    """Run a program in a process of its own, with a kernel module in ``folder``."""
    (folder / "kernel.py").write_text(KERNEL)
    source = str(Path(mossy.__file__).parents[1])
    variables = {k: v for k, v in os.environ.items() if not k.startswith(("NUMBA_", "XDG_"))}
    variables |= {"PYTHONPATH": f"{folder}{os.pathsep}{source}", "PYTHONDONTWRITEBYTECODE": "1"} | environment
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def no_place(folder: Path) -> dict[str, str]:
    """Make every folder that Numba would try impossible, also for root: each lies below a plain file."""
    (folder / "__pycache__").write_text("a file where the folder would be")
    blocked = folder / "blocked"
    blocked.write_text("a file")
    return {"HOME": str(blocked), "XDG_CACHE_HOME": str(blocked / "cache")}


def test_no_folder_at_all(tmp_path: Path) -> None:
    run(tmp_path, PROGRAM + "assert total._cache.cache_path is None", **no_place(tmp_path))


def test_named_cache_folder_is_impossible(tmp_path: Path) -> None:
    run(tmp_path, PROGRAM, **no_place(tmp_path), NUMBA_CACHE_DIR=str(tmp_path / "blocked" / "deeper"))


def test_named_cache_folder_is_impossible_and_the_package_writable(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file")
    run(tmp_path, PROGRAM, NUMBA_CACHE_DIR=str(tmp_path / "blocked" / "deeper"))
    assert list((tmp_path / "__pycache__").glob("*.nbc"))


def test_no_home(tmp_path: Path) -> None:
    run(tmp_path, "import os\nos.environ.pop('HOME')\n" + PROGRAM)


def test_folder_fails_between_import_and_call(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    program = """
    import shutil
    import numpy as np
    from kernel import total
    shutil.rmtree(CACHE)
    open(CACHE, "w").close()
    assert total(np.arange(10.0)) == 45.0
    """
    run(tmp_path, f"CACHE = {str(cache)!r}\n" + textwrap.dedent(program), NUMBA_CACHE_DIR=str(cache))


@pytest.mark.parametrize("torn", ["*.nbi", "*.nbc"])
@pytest.mark.parametrize("content", [b"", b"\0" * 64])
def test_torn_file_heals(tmp_path: Path, torn: str, content: bytes) -> None:
    cache = tmp_path / "cache"
    run(tmp_path, PROGRAM, NUMBA_CACHE_DIR=str(cache))
    (file,) = cache.rglob(torn)
    file.write_bytes(content)
    run(tmp_path, PROGRAM + "assert not total.stats.cache_hits", NUMBA_CACHE_DIR=str(cache))
    run(tmp_path, PROGRAM + "assert total.stats.cache_hits", NUMBA_CACHE_DIR=str(cache))
    shutil.rmtree(cache)


def test_importing_mossy_does_not_import_numba(tmp_path: Path) -> None:
    run(tmp_path, "import mossy, mossy.kernels, sys\nassert 'numba' not in sys.modules")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform has no fork")
def test_fork_after_a_call(tmp_path: Path) -> None:
    run(
        tmp_path,
        PROGRAM
        + """
import os
child = os.fork()
if child == 0:
    os._exit(0 if total(np.arange(5.0)) == 10.0 and total(np.arange(5)) == 10 else 1)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
""",
    )


def test_four_threads_at_once() -> None:
    from mossy.kernels.compiled import compiled

    @compiled(reassociate=True)
    def dot(x, y):  # type: ignore[no-untyped-def]
        s = 0.0
        for i in range(x.shape[0]):
            s += x[i] * y[i]
        return s

    start, sums = threading.Barrier(4), [0.0] * 4

    def work(number: int) -> None:
        start.wait()
        for _ in range(50):
            sums[number] = dot(np.arange(1000.0), np.full(1000, float(number)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sums == [499500.0 * number for number in range(4)]

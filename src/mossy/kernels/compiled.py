"""``compiled``: the one decorator of every kernel.

- ``nogil``: threads run kernels side by side. Threads are the caller's. ``parallel=True`` is never used: its
  threads do not survive a fork, and its fallback cannot be called from two threads at once.
- The machine code is kept on disk, in the first folder that Numba can write to: ``NUMBA_CACHE_DIR``, the
  package's ``__pycache__``, the user's cache folder. Where there is none, or where it fails later (full disk,
  removed folder, torn file), a kernel is compiled anew in each process, with the same results.
"""

from __future__ import annotations

import contextlib
import importlib
import pickle
from collections.abc import Callable
from typing import Any, TypeVar, cast

__all__ = ["compiled"]

F = TypeVar("F", bound=Callable[..., Any])

# Some releases of Numba have types and some have none; as Any it is checked alike under all of them.
numba: Any = importlib.import_module("numba")
caching: Any = importlib.import_module("numba.core.caching")

# What reading or writing a cache file raises when the disk or the file is at fault.
DISK_FAULTS = (OSError, EOFError, pickle.PickleError)


def compiled(*, reassociate: bool = False) -> Callable[[F], F]:
    """Compile a function to machine code, once for each combination of argument types.

    Parameters
    ----------
    reassociate
        Lets sums be added up in another order, so that they use the processor's vector units. NaN and
        infinity keep their meaning. The results are the same from run to run on one platform.

    Returns
    -------
    Callable
        The decorator. The function that it returns takes arrays and numbers, releases the GIL, never raises,
        and may be called by other kernels.

    Notes
    -----
    As in NumPy, a division by zero gives infinity or NaN. Indices are not checked: the caller has done that.
    """

    def decorate(function: F) -> F:
        fastmath: set[str] | bool = {"reassoc", "contract"} if reassociate else False
        kernel = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
        # A RuntimeError is how Numba says that it found no folder that it can write to.
        with contextlib.suppress(RuntimeError):
            kernel._cache = _TolerantCache(caching.FunctionCache(function))
        return cast(F, kernel)

    return decorate


class _TolerantCache:
    """Numba's cache, with faults of the disk kept from the caller: what cannot be read is compiled again."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    @property
    def cache_path(self) -> Any:
        """The folder of the cache."""
        return self._cache.cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel compiled for these argument types, or None where it cannot be read."""
        try:
            return self._cache.load_overload(sig, target_context)
        except DISK_FAULTS:
            self.flush()
            return None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save a compiled kernel if the disk lets it."""
        with contextlib.suppress(*DISK_FAULTS):
            self._cache.save_overload(sig, data)

    def enable(self) -> None:
        """Read and write from now on."""
        self._cache.enable()

    def disable(self) -> None:
        """Neither read nor write from now on."""
        self._cache.disable()

    def flush(self) -> None:
        """Empty the index if the disk lets it: a torn one would fail for ever, an empty one fills again."""
        with contextlib.suppress(*DISK_FAULTS):
            self._cache.flush()

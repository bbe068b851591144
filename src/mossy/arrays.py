"""Shapes, dtypes and checks at the border: what a user gives becomes an array that the inside can trust."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from mossy.errors import (
    EmptyBatch,
    InvalidDtype,
    InvalidParameter,
    InvalidShape,
    NotFinite,
    NothingKnown,
    UnknownName,
)

__all__ = [
    "LARGE",
    "LARGEST",
    "Column",
    "as_array",
    "as_batch",
    "as_bytes",
    "as_cues",
    "as_float",
    "as_known",
    "as_vector",
    "check_flag",
    "check_fraction",
    "check_integer",
    "check_number",
    "choose",
]

T = TypeVar("T")

LARGEST = 1e15  # sums of squares of larger entries would leave the range of float32
LARGE = 1 << 20  # bytes from which the system takes an array from memory that it has not given out yet

UNITS = {"": 1, "b": 1} | {
    f"{prefix}{middle}b": base ** (power + 1)
    for power, prefix in enumerate("kmgt")
    for middle, base in (("", 1000), ("i", 1024))
}
BUDGET = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*", re.IGNORECASE)
MOST_BYTES = 1 << 62  # so that sums of sizes stay in 64 bits


def as_array(given: ArrayLike, name: str) -> NDArray[Any]:
    """Return what NumPy makes of ``given``, or raise if its rows have different lengths, or a part of it is masked."""
    if isinstance(given, np.ma.MaskedArray) and np.ma.is_masked(given):
        raise InvalidDtype(f"{name}: a masked array was given; give x.data, and in a cue known=~x.mask.")
    try:
        return np.asarray(given)
    except ValueError as error:
        raise InvalidShape(f"{name}: the rows have different lengths; give an array (n, d).") from error


def as_batch(
    given: ArrayLike, name: str, d: int | None = None, dtype: DTypeLike = np.float32
) -> tuple[NDArray[Any], bool]:
    """Turn one pattern ``(d,)`` or a batch ``(n, d)`` into a C-contiguous batch of ``dtype``.

    Parameters
    ----------
    given
        One pattern or a batch of booleans, integers or floats.
    name
        What the caller calls it, for messages.
    d
        The number of neurons that is required; None allows any.
    dtype
        The dtype wanted. It is only a copy where ``given`` has another.

    Returns
    -------
    tuple
        The batch ``(n, d)``, and whether one item was given (so that one item is handed back).

    Raises
    ------
    InvalidDtype, InvalidShape, EmptyBatch, NotFinite
    """
    array = as_array(given, name)
    if array.dtype.kind not in "biuf":
        raise InvalidDtype(
            f"{name}: dtype {array.dtype} was given; booleans, integers and floats are allowed. "
            "Encode other data into numbers first."
        )
    expected = f"({d},) or (n, {d})" if d is not None else "(d,) or (n, d)"
    if array.ndim not in (1, 2):
        raise InvalidShape(
            f"{name}: shape {array.shape} was given; {expected} is allowed. Flatten each item, "
            "for example with x.reshape(len(x), -1)."
        )
    single = array.ndim == 1
    batch = array[None] if single else array
    if batch.shape[0] == 0:
        raise EmptyBatch(f"{name}: an empty batch of shape {array.shape} was given; give at least one item.")
    if batch.shape[1] == 0 or (d is not None and batch.shape[1] != d):
        hint = " Flatten it with x.reshape(-1)." if array.size == d else ""
        raise InvalidShape(f"{name}: shape {array.shape} was given; {expected} is allowed.{hint}")
    with np.errstate(over="ignore"):
        batch = np.ascontiguousarray(batch, dtype=dtype)
    if batch.dtype.kind == "f" and not max(batch.max(), -batch.min()) <= LARGEST:  # NaN compares as false
        item, entry = np.argwhere(~(np.abs(batch) <= LARGEST))[0]
        value = batch[item, entry]
        if np.isfinite(value):
            mend = "Scale the patterns down."
        elif name == "cue":
            mend = "Mark it unknown, for example with known=~np.isnan(cue)."
        else:
            mend = "What is stored must be complete: fill it in, or leave the item out."
        raise NotFinite(
            f"{name}: {value} (as {batch.dtype}) was given at item {item}, entry {entry}; finite numbers up to "
            f"{LARGEST:g} are allowed. {mend}"
        )
    return batch, single


def as_vector(given: ArrayLike, name: str, n: int, dtype: DTypeLike = np.float64) -> NDArray[Any]:
    """Turn a scalar or ``(n,)`` into a finite vector ``(n,)`` of ``dtype``.

    Raises
    ------
    InvalidDtype, InvalidShape, NotFinite
    """
    array = as_array(given, name)
    if array.dtype.kind not in "biuf":
        raise InvalidDtype(f"{name}: dtype {array.dtype} was given; numbers are allowed.")
    if array.ndim > 1 or (array.ndim == 1 and array.shape != (n,)):
        raise InvalidShape(f"{name}: shape {array.shape} was given; one number or ({n},) is allowed.")
    vector = np.ascontiguousarray(np.broadcast_to(array, (n,)), dtype=dtype)
    if not np.isfinite(vector).all():
        raise NotFinite(f"{name}: NaN or infinity was given; all entries must be finite.")
    return vector


def as_known(given: ArrayLike, cues: NDArray[Any]) -> NDArray[np.bool_]:
    """Check the mask of known entries of a batch of cues ``(n, d)``.

    Parameters
    ----------
    given
        One mask ``(d,)`` for the whole batch, or one for each cue ``(n, d)``; booleans, or 0 and 1.
    cues
        The batch that it belongs to.

    Returns
    -------
    array
        ``(1, d)`` or ``(n, d)`` booleans.

    Raises
    ------
    InvalidDtype, InvalidShape, NothingKnown
    """
    array = as_array(given, "known")
    n, d = cues.shape
    if array.dtype != np.bool_:
        if array.dtype.kind not in "iuf" or not np.isin(array, (0, 1)).all():
            raise InvalidDtype(
                f"known: dtype {array.dtype} was given; booleans (or 0 and 1) are allowed, True where the cue's "
                "entry is true."
            )
        array = array.astype(np.bool_)
    if array.shape not in ((d,), (n, d)):
        raise InvalidShape(f"known: shape {array.shape} was given; ({d},) or ({n}, {d}) is allowed, as the cue has.")
    mask = np.ascontiguousarray(array.reshape(-1, d))
    some = mask.any(axis=1)
    if not some.all():
        raise NothingKnown(
            f"known: no entry is known in cue {int(np.flatnonzero(~some)[0])}; "
            "at least one must be. Without any known entry there is nothing to recall from."
        )
    return mask


def as_cues(
    given: ArrayLike, known: ArrayLike | None, d: int | None, dtype: DTypeLike = np.float64
) -> tuple[NDArray[Any], bool, NDArray[np.bool_] | None]:
    """Return cues as a batch ``(n, d)``, 0 where unknown, whether one was given, and their mask.

    An unknown entry may hold anything, NaN included. Without ``known`` the mask is None: all entries count, none is
    certain. A mask that is all true is handed back as such: all entries are certain.

    Raises
    ------
    InvalidDtype, InvalidShape, EmptyBatch, NotFinite, NothingKnown
    """
    raw = as_array(given, "cue")
    if known is None or raw.dtype.kind not in "biuf" or raw.ndim not in (1, 2) or not raw.size:
        batch, single = as_batch(raw, "cue", d, dtype)  # says what is wrong with the cue before the mask
        return batch, single, None
    mask = as_known(known, np.atleast_2d(raw))
    batch, single = as_batch(np.where(mask if raw.ndim == 2 else mask[0], raw, 0), "cue", d, dtype)
    return batch, single, mask


def check_integer(given: object, name: str, low: int, high: int | None = None) -> int:
    """Return ``given`` as an int in ``low … high`` or raise ``InvalidParameter``."""
    if type(given) is int and low <= given and (high is None or given <= high):
        return given
    allowed = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    if isinstance(given, bool | np.bool_) or not isinstance(given, Integral):
        raise InvalidParameter(f"{name}: {given!r} was given; {allowed} is allowed.")
    value = int(given)
    if value < low or (high is not None and value > high):
        raise InvalidParameter(f"{name}: {value} was given; {allowed} is allowed.")
    return value


def check_number(
    given: object, name: str, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
) -> float:
    """Return ``given`` as a finite float in ``low … high`` (without ``low`` if ``open_low``) or raise."""
    lower = f"above {low:g}" if open_low else f"at least {low:g}"
    if isinstance(given, bool | np.bool_) or not isinstance(given, Real):
        raise InvalidParameter(f"{name}: {given!r} was given; a number {lower} is allowed.")
    value = as_float(given)
    if not math.isfinite(value) or value < low or value > high or (open_low and value <= low):
        upper = "" if high == math.inf else f" and at most {high:g}"
        raise InvalidParameter(f"{name}: {value:g} was given; a finite number {lower}{upper} is allowed.")
    return value


def check_flag(given: object, name: str) -> bool:
    """Return ``given`` as a bool or raise ``InvalidParameter``."""
    if not isinstance(given, bool | np.bool_):
        raise InvalidParameter(f"{name}: {given!r} was given; True or False is allowed.")
    return bool(given)


def check_fraction(given: object, name: str) -> float:
    """Return ``given`` as a float from 0 to 1 or raise ``InvalidParameter``."""
    return check_number(given, name, 0.0, 1.0)


def as_float(given: Real) -> float:
    """Return a number as a float; one that is too large for it is infinite."""
    try:
        return float(given)
    except OverflowError:
        return math.inf


def choose(registry: Mapping[str, T], name: object, what: str) -> T:
    """Look ``name`` up in a registry or raise ``UnknownName`` with the names that it holds."""
    if isinstance(name, str) and name in registry:
        return registry[name]
    raise UnknownName(f"{what}: {name!r} was given; allowed are {_listed(registry)}.")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def as_bytes(given: object, name: str) -> int:
    """Return a budget in bytes: an integer, or a string such as ``"64 MB"`` (10⁶) or ``"1 GiB"`` (2³⁰).

    Raises
    ------
    InvalidParameter
    """
    if not isinstance(given, str):
        if isinstance(given, Integral) and not isinstance(given, bool):
            return check_integer(given, name, 1, MOST_BYTES)
        raise InvalidParameter(
            f"{name}: {given!r} was given; bytes as an integer, or a string such as '64 MB', is allowed."
        )
    found = BUDGET.fullmatch(given)
    if found is None or found[2].lower() not in UNITS:
        raise InvalidParameter(
            f"{name}: {given!r} was given; a number and a unit is allowed, such as '500 kB', '64 MB' or '1 GiB'."
        )
    return check_integer(int(float(found[1]) * UNITS[found[2].lower()]), name, 1, MOST_BYTES)


class Column:
    """Rows of one array that grows at its end and is compacted in place of its gaps.

    A small one grows by one eighth, so that the memory held stays within 1.125 of what the rows need while
    appending one by one costs a constant number of copies. A large one doubles its room: the system gives it
    memory only where a row is written, so that room costs an address and no memory.

    Parameters
    ----------
    shape
        The shape of one row.
    dtype
        The dtype of the rows.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self._buffer: NDArray[Any] = np.empty((0, *shape), dtype)
        self.rows: NDArray[Any] = self._buffer
        self._touched = 0  # rows that were written since the buffer was made

    def append(self, batch: NDArray[Any]) -> None:
        """Copy a batch ``(n, *shape)`` behind the last row."""
        self.fill(len(batch), batch)

    def fill(self, n: int, value: NDArray[Any] | np.number[Any] | float) -> None:
        """Add ``n`` rows of this value, or of these values, behind the last row."""
        old = len(self.rows)
        new = old + n
        if new > len(self._buffer):
            large = new * math.prod(self._buffer.shape[1:]) * self._buffer.itemsize >= LARGE
            if not large:
                self._grow(max(new, old + old // 8))
            else:
                try:
                    self._grow(2 * new)
                except MemoryError:  # the system gives no addresses beyond what it can fill
                    self._grow(new)
        self._buffer[old:new] = value
        self._touched = max(self._touched, new)
        self.rows = self._buffer[:new]

    def reserve(self, n: int) -> None:
        """Make room for ``n`` rows in all."""
        if n > len(self._buffer):
            self._grow(n)

    def _grow(self, n: int) -> None:
        grown = np.empty((n, *self._buffer.shape[1:]), self._buffer.dtype)
        grown[: len(self.rows)] = self.rows
        self._touched = len(self.rows)
        self._buffer, self.rows = grown, grown[: len(self.rows)]

    @property
    def room(self) -> int:
        """How many rows there is room for."""
        return len(self._buffer)

    def put(self, rows: NDArray[Any]) -> None:
        """Hold these rows instead; the others leave no byte behind."""
        self._buffer = self.rows = rows
        self._touched = len(rows)

    def truncate(self, n: int) -> None:
        """Keep the first ``n`` rows, as if no other had been appended."""
        self._buffer[n : self._touched] = 0
        self.rows = self._buffer[:n]

    @property
    def nbytes(self) -> int:
        """Bytes held: of a small array with its spare room, of a large one up to the last row that was written."""
        held = self._buffer.nbytes
        return held if held < 2 * LARGE else held // len(self._buffer) * self._touched

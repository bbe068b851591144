"""What a table is when it is given: which of its columns are categorical, and what of it is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils._missing import is_pandas_na, is_scalar_nan
from sklearn.utils._set_output import ADAPTERS_MANAGER

__all__ = ["check_finite", "find_categorical", "is_known", "to_frame"]

Mask = NDArray[np.bool_]


def find_categorical(X: Any, given: ArrayLike | str) -> Mask:
    """Return which columns are categorical, ``(columns,)``; empty if none is.

    Raises
    ------
    ValueError
        ``given`` is no mask of the columns and no list of their places or names.
    """
    if isinstance(given, str):
        if given != "from_dtype":
            raise ValueError(
                f"categorical_features must be 'from_dtype', a mask, places or names. Got {given!r} instead."
            )
        return _by_dtype(X)
    wanted, names = np.asarray(given), [str(name) for name in getattr(X, "columns", ())]
    columns = np.shape(X)[1] if np.ndim(X) == 2 else 0
    mask = np.zeros(columns, np.bool_)
    if wanted.dtype == np.bool_ and wanted.shape == (columns,):
        return wanted
    if wanted.dtype.kind in "iu" and wanted.ndim == 1 and (wanted < columns).all() and (wanted >= -columns).all():
        mask[wanted] = True
    elif wanted.dtype.kind in "UO" and set(wanted.tolist()) <= set(names):
        mask[[names.index(name) for name in wanted.tolist()]] = True
    elif wanted.size:
        raise ValueError(
            f"categorical_features must be a mask of the {columns} features, or their places or names. "
            f"Got {given!r} instead."
        )
    return mask


def _by_dtype(X: Any) -> Mask:
    """Return the columns of pandas' category, and those that hold strings."""
    dtypes = [str(dtype) for dtype in getattr(X, "dtypes", ())] if hasattr(X, "columns") else []
    if isinstance(X, np.ndarray) and X.dtype.kind in "biuf":
        return np.zeros(0, np.bool_)
    try:
        values = np.asarray(X)
        if values.dtype.kind in "US":
            values = np.asarray(X, object)
    except ValueError:  # rows of different lengths: validation says so
        return np.zeros(0, np.bool_)
    if values.ndim != 2:
        return np.zeros(0, np.bool_)
    if values.dtype != object:
        return np.array([dtype == "category" for dtype in dtypes], np.bool_)
    text = np.array([any(isinstance(value, str | bytes) for value in column) for column in values.T.tolist()], np.bool_)
    return text | np.array([dtype == "category" for dtype in dtypes], np.bool_) if dtypes else text


def is_known(table: NDArray[Any], missing: Any) -> Mask:
    """Return which entries ``(n, columns)`` of a table are not missing."""
    if table.dtype != object:
        return ~np.isnan(table) if is_scalar_nan(missing) else np.asarray(table != missing)
    absent = is_scalar_nan(missing) or missing is None or is_pandas_na(missing)

    def lacks(value: Any) -> bool:
        return (value is None or is_scalar_nan(value) or is_pandas_na(value)) if absent else value == missing

    return np.array([[not lacks(value) for value in row] for row in table.tolist()], np.bool_).reshape(table.shape)


def check_finite(table: NDArray[Any], known: Mask) -> None:
    """Raise a ValueError unless what is known of numeric columns ``(n, columns)``, held as objects, is finite."""
    values = np.where(known, table, 0.0).astype(np.float64)
    if np.isnan(values).any():
        raise ValueError("Input X contains NaN.")
    if not np.isfinite(values).all():
        raise ValueError("Input X contains infinity or a value too large for dtype('float64').")


def to_frame(made: NDArray[Any], X: Any, kept: NDArray[np.intp], categories: list[NDArray[Any] | None]) -> Any:
    """Return a table of objects as a frame of pandas: numbers as float64, and categories where ``X`` has them.

    Parameters
    ----------
    made
        ``(n, columns)``; those behind the columns that are kept are numbers.
    X
        What was given; a frame hands on its index and its categories, and those that were learned are added.
    kept
        The columns of ``X`` that were kept.
    categories
        For each of them what was learned, or None where it is numeric.
    """
    frame = ADAPTERS_MANAGER.adapters["pandas"].create_container(made, X, columns=None).infer_objects()
    given = list(getattr(X, "dtypes", ())) if hasattr(X, "columns") else []
    dtypes: dict[int, Any] = dict.fromkeys(range(made.shape[1]), np.float64)
    for at, (j, learned) in enumerate(zip(kept.tolist(), categories, strict=True)):
        if learned is None:
            continue
        del dtypes[at]
        dtype = given[j] if given else None
        if dtype is not None and str(dtype) == "category" and len(learned):
            known = dtype.categories.tolist()
            dtypes[at] = type(dtype)([*known, *(c for c in learned.tolist() if c not in set(known))], dtype.ordered)
    return frame.astype(dtypes)

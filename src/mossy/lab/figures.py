"""Figures into files: without a screen, without a global state, only where asked."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mossy.errors import InvalidParameter, MissingExtra

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["GREY", "INK", "RED", "TEAL", "Out", "as_folder", "new_figure", "save"]

Out = str | os.PathLike[str]

INK, GREY, TEAL, RED = "#1d2b2a", "#8a9796", "#00796b", "#c62828"


def as_folder(out: Out) -> Path:
    """Return the folder ``out``, made if it is not there, after trying that it can be written to.

    Raises
    ------
    InvalidParameter
        It is a file, or cannot be made or written to.
    """
    folder = Path(out).expanduser()
    if folder.exists() and not folder.is_dir():
        raise InvalidParameter(f"out: {str(folder)!r} is a file; give a folder, which is made if needed.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error
    return folder


def new_figure(width: float, height: float) -> Figure:
    """Return an empty white figure of this size in inches.

    Raises
    ------
    MissingExtra
        Matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as missing:
        raise MissingExtra("matplotlib", "lab") from missing
    return Figure(figsize=(width, height), facecolor="white")


def save(figure: Figure, folder: Path, name: str, dpi: int = 100) -> Path:
    """Write a figure as ``folder/name`` and return where that is.

    Raises
    ------
    InvalidParameter
        It could not be written.
    """
    path = folder / name
    try:
        figure.savefig(path, dpi=dpi)
    except OSError as error:
        raise _unwritable(path, error) from error
    return path


def _unwritable(path: Path, error: OSError) -> InvalidParameter:
    return InvalidParameter(
        f"out: {str(path)!r} cannot be written ({error.strerror or error}); give a folder that can, "
        "or ask for no figure."
    )

"""Memories as files for other programs: JSON Lines, with the arrays in ``.npz``. See the page Interchange."""

from mossy.memory.interchange.merging import import_
from mossy.memory.interchange.writing import export

__all__ = ["export", "import_"]

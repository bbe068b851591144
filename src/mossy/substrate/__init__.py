"""Substrates: three ways to hold memories. One contract: ``write``, ``read``, ``forget``, ``state``, ``from_state``."""

from __future__ import annotations

from typing import Any

from mossy.substrate.index import Index
from mossy.substrate.matrix import Matrix
from mossy.substrate.sparse import Sparse

__all__ = ["SUBSTRATES", "Index", "Matrix", "Sparse"]

SUBSTRATES: dict[str, Any] = {"index": Index, "matrix": Matrix, "sparse": Sparse}

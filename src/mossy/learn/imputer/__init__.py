"""Fill in what is missing by completing patterns."""

from __future__ import annotations

from mossy.learn.imputer.imputer import MemoryImputer

__all__ = ["MemoryImputer"]

"""A cache with a byte budget, in which the strength law decides what is let go."""

from mossy.cache.cache import Cache
from mossy.cache.statistics import CacheStats

__all__ = ["Cache", "CacheStats"]

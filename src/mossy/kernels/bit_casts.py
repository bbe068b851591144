"""Single machine instructions that Numba has no name for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["float_of", "population"]

extending: Any = importlib.import_module("numba.extending")
types: Any = importlib.import_module("numba.core.types")


@extending.intrinsic
def population(_: Any, word: Any) -> Any:
    """Return the number of bits that are on in a 64-bit word."""
    return types.uint64(types.uint64), lambda context, builder, signature, given: builder.ctpop(given[0])


@extending.intrinsic
def float_of(_: Any, word: Any) -> Any:
    """Return the float32 that has these 32 bits."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        return builder.bitcast(given[0], context.get_value_type(types.float32))

    return types.float32(types.uint32), generate

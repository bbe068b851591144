"""Single machine instructions that Numba has no name for."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["fetch", "float_of", "population"]

extending: Any = importlib.import_module("numba.extending")
types: Any = importlib.import_module("numba.core.types")
ir: Any = importlib.import_module("llvmlite.ir")


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


@extending.intrinsic
def fetch(_: Any, array: Any, at: Any) -> Any:
    """Have the cache line of the element ``at`` of a contiguous array, counted through all of it, brought near."""

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        start = context.make_array(signature.args[0])(context, builder, given[0]).data
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        call = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(builder.module, kind, "llvm.prefetch.p0")
        where = builder.bitcast(builder.gep(start, [given[1]]), byte)
        builder.call(call, [where, *(ir.Constant(number, n) for n in (0, 3, 1))])  # to read, to keep, of data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate

"""Operations on one-bit synapses, packed 64 to a word: NumPy for a few items, compiled loops for many.

``kernels.bits`` says how the bits lie, and does the same as the NumPy lines here. Which of the two runs
depends on the number of items only, and never changes what comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.codes import GOOD, NOT_WRITTEN, SATURATED
from mossy.substrate.active import FEW, Active

__all__ = ["forget", "read", "write"]

Words = NDArray[np.uint64]
Counters = NDArray[Any]

# Cues that are read at a time, so that their outputs, as bits, stay in the cache.
CHUNK = 1024


def write(synapses: Words, counters: Counters | None, keys: Active, values: Active) -> None:
    """Switch on the synapses of every pair, and count them if there are counters."""
    if len(keys) > FEW:
        from mossy.kernels.bits import count_pairs, write_pairs

        pairs = (keys.neurons, keys.offsets, values.neurons, values.offsets)
        write_pairs(synapses, *pairs)
        if counters is not None:
            count_pairs(counters, *pairs)
        return
    for m in range(len(keys)):
        synapses[keys[m]] |= _as_bits(values[m], synapses.shape[1])
        if counters is not None:
            block = np.ix_(keys[m], values[m])
            counters[block] += counters[block] < np.iinfo(counters.dtype).max


def forget(synapses: Words, counters: Counters, keys: Active, values: Active) -> tuple[int, int]:
    """Take every pair back, or none: return a code and the pair at fault."""
    if len(keys) > FEW:
        from mossy.kernels.bits import forget_pairs

        pairs = (keys.neurons, keys.offsets, values.neurons, values.offsets)
        code, fault = forget_pairs(synapses, counters, *pairs)
        return int(code), int(fault)
    blocks = [np.ix_(keys[m], values[m]) for m in range(len(keys))]
    for m, block in enumerate(blocks):
        held = counters[block]
        if held.min() == 0 or held.max() == np.iinfo(counters.dtype).max:
            for done in blocks[:m]:
                counters[done] += 1
            return (NOT_WRITTEN if held.min() == 0 else SATURATED), m
        counters[block] -= 1
    for m, block in enumerate(blocks):
        inputs, outputs = np.nonzero(counters[block] == 0)
        off = ~(np.uint64(1) << (values[m][outputs] & 63).astype(np.uint64))
        np.bitwise_and.at(synapses, (keys[m][inputs], values[m][outputs] >> 6), off)
    return GOOD, -1


def read(synapses: Words, cues: Active, winners: int | None) -> Iterator[tuple[int, Words]]:
    """Yield, chunk by chunk, the number of the first cue and the outputs as bits.

    ``winners`` is the number of outputs with the highest counts; None asks for those that every active input
    reaches.
    """
    for first in range(0, len(cues), CHUNK):
        offsets = cues.offsets[first : first + CHUNK + 1]
        words = np.empty((len(offsets) - 1, synapses.shape[1]), np.uint64)
        if len(cues) > FEW:
            from mossy.kernels.bits import read_all, read_best

            if winners is None:
                read_all(synapses, cues.neurons, offsets, words)
            else:
                read_best(synapses, cues.neurons, offsets, winners, words)
        else:
            for m in range(len(cues)):
                rows = synapses[cues[m]]
                words[m] = np.bitwise_and.reduce(rows) if winners is None else _best(rows, winners)
        yield first, words


def _best(rows: Words, winners: int) -> Words:
    counts = np.unpackbits(rows.view(np.uint8), axis=1, bitorder="little").sum(axis=0, dtype=np.int64)
    order = np.argsort(-counts, kind="stable")[:winners]
    return _as_bits(order[counts[order] > 0], rows.shape[1])


def _as_bits(active: NDArray[Any], words: int) -> Words:
    row = np.zeros(words, np.uint64)
    np.bitwise_or.at(row, active >> 6, np.uint64(1) << (active & 63).astype(np.uint64))
    return row

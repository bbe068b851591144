"""One-bit synapses, packed 64 to a word: writing, counting, forgetting and reading of sparse patterns.

A row of ``synapses`` belongs to one input, and its bits to the outputs: output ``j`` is bit ``j % 64`` of
word ``j // 64``. So a read is a few long rows combined word by word, which is what a processor does best.

Patterns come as lists of active neurons, one after the other: those of pattern ``m`` are
``active[offsets[m] : offsets[m + 1]]``. None appears twice in one pattern.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.codes import GOOD, NOT_A_NEURON, NOT_WRITTEN, SATURATED, TWICE
from mossy.kernels.compiled import compiled

__all__ = [
    "count_pairs",
    "forget_pairs",
    "list_active",
    "pack_active",
    "read_all",
    "read_best",
    "write_pairs",
]

Array = NDArray[Any]

# Pairs that are sorted by their inputs at a time: their lists stay in the second-level cache.
CHUNK = 4096


@compiled()
def pack_active(given: Array, n: int, active: Array, offsets: Array) -> tuple[int, int, int]:
    """Copy index lists padded with -1 ``(m, width)`` into ``active`` and ``offsets``.

    Returns a code (``GOOD``, ``NOT_A_NEURON``, ``TWICE``), the pattern and the index at fault.
    """
    last_seen = np.full(n, -1, np.int64)
    used = 0
    offsets[0] = 0
    for m in range(given.shape[0]):
        for a in range(given.shape[1]):
            i = given[m, a]
            if i == -1:
                continue
            if i < 0 or i >= n:
                return NOT_A_NEURON, m, i
            if last_seen[i] == m:
                return TWICE, m, i
            last_seen[i] = m
            active[used] = i
            used += 1
        offsets[m + 1] = used
    return GOOD, -1, -1


@compiled()
def _set_bits(row: Array, values: Array, first: int, last: int) -> None:
    """Switch on the synapses from one input to the outputs ``values[first:last]``."""
    for b in range(first, last):
        j = values[b]
        row[j >> 6] |= np.uint64(1) << np.uint64(j & 63)


@compiled()
def write_pairs(synapses: Array, keys: Array, key_offsets: Array, values: Array, value_offsets: Array) -> None:
    """Switch on every synapse from an active input to an active output: ``W ← W OR (x yᵀ)``.

    The pairs of a chunk are sorted by input first, so that each row is brought into the cache once. OR does
    not depend on the order, so neither does the result.
    """
    n = synapses.shape[0]
    pairs = key_offsets.shape[0] - 1
    if keys.shape[0] < n:
        for m in range(pairs):
            for a in range(key_offsets[m], key_offsets[m + 1]):
                _set_bits(synapses[keys[a]], values, value_offsets[m], value_offsets[m + 1])
        return
    most = 0
    for low in range(0, pairs, CHUNK):
        most = max(most, key_offsets[min(low + CHUNK, pairs)] - key_offsets[low])
    pair_of = np.empty(most, np.int32)
    place = np.empty(n + 1, np.int64)
    for low in range(0, pairs, CHUNK):
        high = min(low + CHUNK, pairs)
        place[:] = 0
        for a in range(key_offsets[low], key_offsets[high]):
            place[keys[a] + 1] += 1
        for i in range(n):
            place[i + 1] += place[i]
        for m in range(low, high):
            for a in range(key_offsets[m], key_offsets[m + 1]):
                pair_of[place[keys[a]]] = m
                place[keys[a]] += 1
        # Now place[i] is where the pairs of input i end.
        e = 0
        for i in range(n):
            row = synapses[i]
            while e < place[i]:
                _set_bits(row, values, value_offsets[pair_of[e]], value_offsets[pair_of[e] + 1])
                e += 1


@compiled()
def count_pairs(counters: Array, keys: Array, key_offsets: Array, values: Array, value_offsets: Array) -> None:
    """Add one to the counter of every synapse of every pair; a counter that is full stays full."""
    full = np.iinfo(counters.dtype).max
    for m in range(key_offsets.shape[0] - 1):
        for a in range(key_offsets[m], key_offsets[m + 1]):
            row = counters[keys[a]]
            for b in range(value_offsets[m], value_offsets[m + 1]):
                if row[values[b]] < full:
                    row[values[b]] += 1


@compiled()
def _can_forget(counters: Array, keys: Array, values: Array) -> int:
    """Whether every synapse of a pair was written (else ``NOT_WRITTEN``) and none is ``SATURATED``."""
    full = np.iinfo(counters.dtype).max
    code = GOOD
    for i in keys:
        for j in values:
            if counters[i, j] == 0:
                return NOT_WRITTEN
            if counters[i, j] == full:
                code = SATURATED
    return code


@compiled()
def forget_pairs(
    synapses: Array, counters: Array, keys: Array, key_offsets: Array, values: Array, value_offsets: Array
) -> tuple[int, int]:
    """Take one from the counter of every synapse of every pair, and switch off those that reach zero.

    Returns a code (``GOOD``, ``NOT_WRITTEN``, ``SATURATED``) and the pair at fault; then nothing was changed.
    """
    pairs = key_offsets.shape[0] - 1
    code, done = GOOD, 0
    while done < pairs:
        x = keys[key_offsets[done] : key_offsets[done + 1]]
        y = values[value_offsets[done] : value_offsets[done + 1]]
        code = _can_forget(counters, x, y)
        if code != GOOD:
            break
        for i in x:
            for j in y:
                counters[i, j] -= 1
        done += 1
    if code != GOOD:
        for m in range(done):
            for i in keys[key_offsets[m] : key_offsets[m + 1]]:
                for j in values[value_offsets[m] : value_offsets[m + 1]]:
                    counters[i, j] += 1
        return code, done
    for m in range(pairs):
        for i in keys[key_offsets[m] : key_offsets[m + 1]]:
            for j in values[value_offsets[m] : value_offsets[m + 1]]:
                if counters[i, j] == 0:
                    synapses[i, j >> 6] &= ~(np.uint64(1) << np.uint64(j & 63))
    return GOOD, -1


@compiled()
def read_all(synapses: Array, cues: Array, offsets: Array, bits: Array) -> None:
    """Write into ``bits`` the outputs that every active input of a cue reaches: ``AND_i W[i]``."""
    words = synapses.shape[1]
    for m in range(offsets.shape[0] - 1):
        out = bits[m]
        first, last = offsets[m], offsets[m + 1]
        out[:] = synapses[cues[first]]
        for a in range(first + 1, last):
            row = synapses[cues[a]]
            for w in range(words):
                out[w] &= row[w]


@compiled()
def _population(v: Any) -> int:
    """The number of bits that are on in a word."""
    count = 0
    while v:
        v &= v - np.uint64(1)
        count += 1
    return count


@compiled()
def _count_inputs(synapses: Array, cue: Array, planes: Array, carry: Array) -> int:
    """Count, for every output, the active inputs that reach it; bit ``p`` of all counts is ``planes[p]``.

    Returns the number of planes in use.
    """
    words = synapses.shape[1]
    used = 0
    for a in range(cue.shape[0]):
        # After a + 1 inputs a count is at most a + 1.
        if (a + 1) >> used:
            planes[used, :] = 0
            used += 1
        carry[:] = synapses[cue[a]]
        for p in range(used):
            plane = planes[p]
            for w in range(words):
                both = plane[w] & carry[w]
                plane[w] ^= carry[w]
                carry[w] = both
    return used


@compiled()
def read_best(synapses: Array, cues: Array, offsets: Array, k: int, bits: Array) -> None:
    """Write into ``bits`` the ``k`` outputs that most active inputs of a cue reach.

    Among outputs with the same count the lower index wins. An output that no input reaches never wins. The
    k-th highest count is found bit by bit from the top, as a radix selection does, on all outputs at once.
    """
    words = synapses.shape[1]
    largest = 1
    for m in range(offsets.shape[0] - 1):
        largest = max(largest, offsets[m + 1] - offsets[m])
    depth = 0
    while largest >> depth:
        depth += 1
    planes = np.empty((depth, words), np.uint64)
    carry = np.empty(words, np.uint64)
    equal = np.empty(words, np.uint64)
    for m in range(offsets.shape[0] - 1):
        used = _count_inputs(synapses, cues[offsets[m] : offsets[m + 1]], planes, carry)
        out = bits[m]
        out[:] = 0
        equal[:] = ~np.uint64(0)
        missing = k
        reached = False
        for p in range(used - 1, -1, -1):
            plane = planes[p]
            above = 0
            for w in range(words):
                above += _population(equal[w] & plane[w])
            if above >= missing:
                reached = True
                for w in range(words):
                    equal[w] &= plane[w]
            else:
                missing -= above
                for w in range(words):
                    out[w] |= equal[w] & plane[w]
                    equal[w] &= ~plane[w]
        # What is left has the k-th highest count, or no count at all.
        if reached:
            w = 0
            while missing > 0:
                lowest = equal[w] & (~equal[w] + np.uint64(1))
                if lowest:
                    out[w] |= lowest
                    equal[w] ^= lowest
                    missing -= 1
                else:
                    w += 1


@compiled()
def list_active(bits: Array, found: Array) -> None:
    """Write the indices of the active outputs of each row of ``bits`` into ``found``, in order, then -1."""
    for m in range(bits.shape[0]):
        used = 0
        for w in range(bits.shape[1]):
            v = bits[m, w]
            while v:
                lowest = v & (~v + np.uint64(1))
                found[m, used] = (w << 6) + _population(lowest - np.uint64(1))
                used += 1
                v ^= lowest
        found[m, used:] = -1

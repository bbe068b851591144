"""How fast does the sparse memory write and read, on one thread, and what do the plain ways of doing it cost?

n = 10,000 neurons, k = 10 active, random pairs, at the load where about 1 % of the bits read are spurious.
All rates are of whole calls of ``write_active`` and ``read_active``, checks included.

Beside it, on the same pairs:

- a Python dict from key to value: exact, and useless for a noisy cue;
- an inverted index (for each neuron, the pairs it is active in; the pair with the most hits wins): an exact
  nearest neighbour for a noisy cue;
- the same read as a float32 matrix product with the synapses unpacked.
"""
# ruff: noqa: E402

from __future__ import annotations

import os

# One thread: NumPy's matrix product would take all cores. It looks when it is imported, so this comes first.
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[variable] = "1"

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.substrate.sparse import Sparse
from record import cpu_and_wall, record
from sparse_capacity import random_patterns

N, K, PAIRS, SEED = 10_000, 10, 370_000, 0
CUES = 50_000
WRONG = (1, 2, 3)
LIGHTER = (50_000, 100_000, 200_000)
Lists = NDArray[Any]


def rate(items: int, fn: Any) -> dict[str, float]:
    timing = cpu_and_wall(fn, repeat=5)
    return {"per_second": round(items / timing.median), "per_second_best": round(items / timing.best)}


def with_wrong(rng: np.random.Generator, keys: Lists, wrong: int) -> Lists:
    """Replace ``wrong`` active neurons of each key by neurons that are not active in it."""
    noisy = keys.copy()
    for column in range(wrong):
        left = np.arange(len(keys))
        while len(left):
            drawn = rng.integers(0, N, len(left))
            taken = (noisy[left] == drawn[:, None]).any(axis=1) | (keys[left] == drawn[:, None]).any(axis=1)
            noisy[left[~taken], column] = drawn[~taken]
            left = left[taken]
    return noisy


def right_outputs(found: Lists, values: Lists) -> float:
    """Return the share of the true outputs that are among those found."""
    offset = np.arange(len(values))[:, None] * N
    return float(np.isin(values + offset, np.where(found < 0, -1, found + offset)).mean())


def mossy_figures(keys: Lists, values: Lists, rng: np.random.Generator) -> tuple[dict[str, Any], Sparse]:
    sparse = Sparse(N, k=K)
    sparse.write_active(keys, values)
    cues = keys[:CUES]
    found = sparse.read_active(cues)
    figures: dict[str, Any] = {
        "bytes": sparse.nbytes,
        "load": sparse.load,
        "spurious_of_k": float(((found >= 0).sum(axis=1) - K).mean() / K),
        "right_outputs": right_outputs(found, values[:CUES]),
        "write": rate(len(keys), lambda: Sparse(N, k=K).write_active(keys, values)),
        "read_all": rate(CUES, lambda: sparse.read_active(cues)),
    }
    for wrong in WRONG:
        noisy = with_wrong(rng, cues, wrong)
        figures[f"read_best_{wrong}_wrong"] = rate(CUES, lambda noisy=noisy: sparse.read_active(noisy, mode="best")) | {
            "right_outputs": right_outputs(sparse.read_active(noisy, mode="best"), values[:CUES])
        }
    one, pattern = keys[0], np.zeros((1, N), np.float32)
    pattern[0, one] = 1
    figures["one_cue_microseconds"] = {
        "read_all": cpu_and_wall(lambda: sparse.read_active(one), repeat=200).median * 1e6,
        "read_best": cpu_and_wall(lambda: sparse.read_active(one, mode="best"), repeat=200).median * 1e6,
        "read_all_as_pattern": cpu_and_wall(lambda: sparse.read(pattern), repeat=200).median * 1e6,
    }
    return figures, sparse


def lighter_loads(keys: Lists, values: Lists, rng: np.random.Generator) -> dict[str, Any]:
    """Return the share of right outputs of the best k at lighter loads, where noise does no harm."""
    result = {}
    for pairs in LIGHTER:
        sparse = Sparse(N, k=K)
        sparse.write_active(keys[:pairs], values[:pairs])
        cues, true = keys[: CUES // 5], values[: CUES // 5]
        result[f"{pairs} pairs"] = {"load": sparse.load} | {
            f"{wrong}_wrong": right_outputs(sparse.read_active(with_wrong(rng, cues, wrong), mode="best"), true)
            for wrong in WRONG
        }
    return result


def dict_figures(keys: Lists, values: Lists) -> dict[str, Any]:
    x, y = keys.astype(np.int16), values.astype(np.int16)

    def write() -> dict[bytes, bytes]:
        return {key.tobytes(): value.tobytes() for key, value in zip(x, y, strict=True)}

    table = write()
    key, value = next(iter(table.items()))
    held = sys.getsizeof(table) + len(table) * (sys.getsizeof(key) + sys.getsizeof(value))
    return {
        "bytes": held,
        "bytes_of_the_pairs_as_int16": x.nbytes + y.nbytes,
        "write": rate(len(keys), write),
        "read_all": rate(CUES, lambda: [table[cue.tobytes()] for cue in x[:CUES]]),
        "right_outputs": 1.0,
    }


def inverted_index_figures(keys: Lists, values: Lists, rng: np.random.Generator) -> dict[str, Any]:
    order = np.argsort(keys.ravel(), kind="stable")
    pair_of = (order // K).astype(np.int32)
    start = np.searchsorted(keys.ravel()[order], np.arange(N + 1))

    def nearest(cue: Lists) -> int:
        hits = np.concatenate([pair_of[start[i] : start[i + 1]] for i in cue])
        return int(np.bincount(hits).argmax())

    few = 500
    figures: dict[str, Any] = {"bytes": pair_of.nbytes + start.nbytes + values.astype(np.int16).nbytes}
    for wrong in WRONG:
        noisy = with_wrong(rng, keys[:few], wrong)
        found = np.array([nearest(cue) for cue in noisy])
        figures[f"read_best_{wrong}_wrong"] = rate(few, lambda noisy=noisy: [nearest(cue) for cue in noisy]) | {
            "right_outputs": right_outputs(values[found], values[:few])
        }
    return figures


def matrix_product_figures(sparse: Sparse, keys: Lists, values: Lists) -> dict[str, Any]:
    packed = sparse.state()["synapses"].view(np.uint8)
    synapses = np.unpackbits(packed, axis=1, count=N, bitorder="little").astype(np.float32)
    few = 200
    cues = np.zeros((few, N), np.float32)
    cues[np.arange(few)[:, None], keys[:few]] = 1
    found = cues @ synapses == K
    assert (found == sparse.read(cues).astype(bool)).all()
    true = found[np.arange(few)[:, None], values[:few]]
    return {
        "bytes": synapses.nbytes,
        "read_all": rate(few, lambda: cues @ synapses == K),
        "right_outputs": float(true.mean()),
    }


def main() -> None:
    rng = np.random.default_rng(SEED)
    keys, values = random_patterns(rng, PAIRS, N, K), random_patterns(rng, PAIRS, N, K)
    figures, sparse = mossy_figures(keys, values, rng)
    result = {
        "n": N,
        "k": K,
        "pairs": PAIRS,
        "mossy": figures,
        "mossy_at_lighter_loads": lighter_loads(keys, values, rng),
        "python_dict": dict_figures(keys, values),
        "inverted_index": inverted_index_figures(keys, values, rng),
        "float32_matrix_product": matrix_product_figures(sparse, keys, values),
    }
    for name, value in result.items():
        print(name, value)
    question = "How fast does the sparse memory write and read, on one thread, beside the plain ways?"
    record("sparse_speed", question, result, seeds=[SEED])


if __name__ == "__main__":
    main()

"""Attacks on one-bit synapses: find the codes that were stored, and decode them to images.

A stored code of ``k`` active neurons has switched on all ``k²`` synapses among them: it is a clique. The attacker knows
the encoder, hence ``k`` and, from public images and their codes, what a code looks like as an image.

Every attack returns codes ``(m, units)``, at most ``n``, the surest first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from material.attacks import Attacker
from mossy import Sparse
from mossy.encode import Dentate

Floats = NDArray[np.float64]
Bits = NDArray[np.bool_]

TURNS = 60
STARTS = 200  # cliques that are grown in a turn
SHARE = 0.15  # of the codes that are still to be found, how many a turn takes at most
RIDGE = 0.1


def synapses(state: dict[str, object]) -> Bits:
    """Unpack the synapses ``(n, n_out)`` of a file."""
    words = np.asarray(state["synapses"])
    return np.unpackbits(words.view(np.uint8), axis=1, bitorder="little")[:, : int(str(state["n_out"]))].astype(bool)


def completeness(on: Bits, codes: Floats) -> Floats:
    """Return which share of its synapses is on, for each code."""
    found: Floats = ((codes @ on) * codes).sum(axis=1) / np.maximum(codes.sum(axis=1) ** 2, 1)
    return found


def apart(codes: Floats, order: NDArray[np.intp], n: int) -> Floats:
    """Return the first ``n`` codes in this order that share at most 9 of 10 neurons with any before them."""
    taken: list[int] = []
    for i in order:
        if len(taken) == n:
            break
        if not taken or (codes[taken] @ codes[i]).max() <= 0.9 * codes[i].sum():
            taken.append(int(i))
    return codes[taken]


def partners(on: Bits, n: int, k: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Take each neuron's partners for a code, those with most partners in common where they are too many."""
    used = np.flatnonzero(on.diagonal())
    shared = on[used].astype(np.float32) @ on.astype(np.float32)
    shared[~on[used]] = -1
    codes = np.zeros((len(used), len(on)))
    np.put_along_axis(codes, np.argsort(-shared, axis=1, kind="stable")[:, :k], 1.0, axis=1)
    return apart(codes, np.argsort(on[used].sum(axis=1), kind="stable"), n)


def cliques(on: Bits, n: int, k: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Explain all synapses by ``n`` cliques of ``k`` neurons; what is left of ``n`` are public codes.

    In turns: cliques are grown from synapses that nothing explains yet, and those that explain most are taken.
    """
    rng = attacker.rng
    degree = on.sum(axis=1).astype(np.float32)
    shared = on.astype(np.float32) @ on.astype(np.float32)
    unexplained = on.astype(np.float32)
    taken: list[NDArray[np.float32]] = []
    for _ in range(TURNS):
        pairs = np.argwhere(np.triu(unexplained, 1))
        if len(taken) >= n or not len(pairs):
            break
        chance = 1 / np.maximum(shared[tuple(pairs.T)] - k + 1, 1) ** 2  # few common partners: few ways to grow
        pairs = pairs[rng.choice(len(pairs), min(STARTS, len(pairs)), replace=False, p=chance / chance.sum())]
        grown = np.unique(grow(on, unexplained, degree, pairs, k, rng), axis=0).astype(np.float32)
        most, wanted = 0.0, max(1, round(SHARE * (n - len(taken))))
        for _ in range(min(wanted, n - len(taken), len(grown))):
            gain = ((grown @ unexplained) * grown).sum(axis=1)
            best = int(gain.argmax())
            most = max(most, float(gain[best]))
            if gain[best] <= most / 2:
                break
            taken.append(grown[best])
            members = np.flatnonzero(grown[best])
            unexplained[np.ix_(members, members)] = 0
    codes = np.concatenate([np.array(taken).reshape(-1, len(on)), most_complete(on, n, k, attacker, encoder)])
    return apart(codes.astype(np.float64), np.arange(len(codes)), n)


def grow(
    on: Bits,
    unexplained: NDArray[np.float32],
    degree: NDArray[np.float32],
    pairs: NDArray[np.intp],
    k: int,
    rng: np.random.Generator,
) -> Bits:
    """Grow a clique of ``k`` from each pair, by neurons with few partners and many unexplained synapses to it."""
    members = np.zeros((len(pairs), len(on)), np.bool_)
    np.put_along_axis(members, pairs, True, axis=1)
    common = on[pairs[:, 0]] & on[pairs[:, 1]]
    open_ = unexplained[pairs].sum(axis=1)
    for _ in range(k - 2):
        price = degree * rng.uniform(1.0, 1.5, common.shape) / (1 + open_)
        price[~common | members] = np.inf
        pick = price.argmin(axis=1)
        going = np.isfinite(price[np.arange(len(pick)), pick])
        members, common, open_, pick = members[going], common[going], open_[going], pick[going]
        members[np.arange(len(pick)), pick] = True
        common &= on[pick]
        open_ += unexplained[pick]
    return members


def attractors(on: Bits, n: int, k: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Recall from public codes and random ones until nothing changes, and take the most complete."""
    memory = Sparse(len(on), k=k)
    memory = Sparse.from_state(memory.state() | {"synapses": packed(on), "pairs": n})
    rng = attacker.rng
    count = min(max(2 * n, 50), len(attacker.public))
    noise = np.zeros((count, len(on)))
    np.put_along_axis(noise, np.argsort(rng.random(noise.shape), axis=1)[:, :k], 1.0, axis=1)
    codes = np.concatenate([encoder.encode(attacker.guesses(count)), noise])
    for _ in range(10):
        new = memory.read(codes, mode="best").astype(np.float64)
        if (new == codes).all():
            break
        codes = np.where(new.any(axis=1, keepdims=True), new, codes)
    return apart(codes, np.argsort(-completeness(on, codes), kind="stable"), n)


def packed(on: Bits) -> NDArray[np.uint64]:
    """Pack synapses as a file has them."""
    whole = np.zeros((len(on), -(-on.shape[1] // 64) * 64), np.bool_)
    whole[:, : on.shape[1]] = on
    return np.packbits(whole, axis=1, bitorder="little").view(np.uint64)


def most_complete(on: Bits, n: int, k: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Take the codes of the public images that have most of their synapses on."""
    codes = encoder.encode(attacker.public)
    return apart(codes, np.argsort(-completeness(on, codes), kind="stable"), n)


def decoder(attacker: Attacker, encoder: Dentate) -> Callable[[Floats], Floats]:
    """Return what turns codes into images: ridge regression on pairs of active neurons, from public images.

    The square of a code's overlap with another is the product of their pairs of neurons.
    """
    known = encoder.encode(attacker.public)
    mean = attacker.public.mean(axis=0)
    k = float(encoder.k or 1)

    def kernel(codes: Floats) -> Floats:
        return np.square(codes @ known.T / k + 0.2)

    weights = np.linalg.solve(kernel(known) + RIDGE * np.eye(len(known)), attacker.public - mean)
    return lambda codes: np.clip(kernel(codes) @ weights + mean, 0, 1)

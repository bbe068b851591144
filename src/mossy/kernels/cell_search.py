"""Search in cells of sketches: estimates from bits, and the true similarity where an estimate leaves it open."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mossy.kernels.cells import radius_and_factor, row_of
from mossy.kernels.compiled import compiled
from mossy.kernels.instructions import fetch, population
from mossy.kernels.nearest import shortlist, signs
from mossy.kernels.pages import COSINE, DOT, EUCLIDEAN, MANHATTAN, NONE, PAGE, Ask, Memories, Pages
from mossy.kernels.rotate import rotate

__all__ = ["promise", "search"]

Array = NDArray[Any]

PLANES = 3  # bits to which a rotated cue is rounded: a ninth more variance than one bit a key has by itself
LEVELS = 7  # 2^PLANES - 1
TALL = 2.5  # root mean squares of its entries, beyond which one is cut off
SURE = 2.0  # standard errors by which an estimate may be off before a memory is overlooked
ERROR = 0.76  # √(π/2 - 1): standard error of an estimate from one bit an entry, in units of r‖z‖/√(D - 1)
LEFT = 1.25  # √(π/2): f·√D/r, by which the rest of a cue counts that its signs leave out
NARROWER = 0.9  # of the usual ratio of the two distances, for manhattan
TWICE, FOURFOLD = np.uint64(1), np.uint64(2)  # shifts
FOUND, BEST, CROWDED, VISITED, IMPROVED = range(5)  # counts: kept, among the k best, whether crowded, cells
LINE = 64  # bytes that come into the cache at once
WAITING = 8  # memories whose keys are on their way, from which they are looked at
MORE, FEW = 4, 128  # cells whose distance is looked at: so many times those to visit, and so many
SIGNED, GLANCED, SURELY, UNSURE, SQUARED = range(5)  # what estimates multiply with: Σ b_j z_j twice, r twice, r²
FLOOR, CUT, HIGHEST, RATIO, FAR, STRAIGHT = range(6)  # levels: of scores, of estimates; and of the two distances


@compiled(reassociate=True)
def _fit(kind: int, key: Array, norm: Any, cue: Array, mask: Array, unit: Any) -> tuple[Any, Any]:
    """Return the similarity of a key to a cue over the entries of the mask, and the squared euclidean distance."""
    total = np.float32(0)
    other = np.float32(0)
    masked = mask.shape[0] > 0
    if kind in (EUCLIDEAN, MANHATTAN):
        if masked:
            for j in range(key.shape[0]):
                gap = mask[j] * (key[j] - cue[j])
                total += gap * gap
                other += abs(gap)
        else:
            for j in range(key.shape[0]):
                gap = key[j] - cue[j]
                total += gap * gap
                other += abs(gap)
        return (np.float32(-0.5) * total / unit if kind == EUCLIDEAN else -other / unit), total
    for j in range(key.shape[0]):
        total += key[j] * cue[j]
    if kind == DOT:
        return total / unit, np.float32(0)
    if masked:
        for j in range(key.shape[0]):
            other += mask[j] * key[j] * key[j]
        norm = np.float32(1) / np.sqrt(other) if other > np.float32(1e-30) else np.float32(0)
    return total * norm, np.float32(0)


@compiled(reassociate=True)
def _planes(z: Array, levels: Array, planes: Array) -> tuple[Any, Any, Any]:
    """Write ``z (D,)``, rounded to 3 bits an entry, into bit planes ``(3, D/64)``.

    Return the step, ``‖z‖`` and ``‖z‖₁``. ``levels (D,)`` in bytes is to work with.
    """
    square = np.float32(0)
    total = np.float32(0)
    for j in range(z.shape[0]):
        square += z[j] * z[j]
        total += abs(z[j])
    step = np.float32(2 * TALL / LEVELS) * np.sqrt(square / np.float32(z.shape[0]))
    inverse = np.float32(1) / step if step > 0 else np.float32(0)
    for j in range(z.shape[0]):
        level = z[j] * inverse + np.float32(LEVELS / 2 + 0.5)
        level = level if level > np.float32(0) else np.float32(0)
        level = level if level < np.float32(LEVELS) else np.float32(LEVELS)
        levels[j] = np.uint8(level)
    eights = levels.view(np.uint64)
    for p in range(PLANES):
        for w in range(planes.shape[1]):
            word = np.uint64(0)
            for e in range(8):  # one bit of each of eight bytes, brought together by a product
                ones = (eights[8 * w + e] >> np.uint64(p)) & np.uint64(0x0101010101010101)
                word |= ((ones * np.uint64(0x0102040810204080)) >> np.uint64(56)) << np.uint64(8 * e)
            planes[p, w] = word
    return step, np.sqrt(square), total


@compiled(reassociate=True)
def _glance(page: Array, planes: Array, scale: Array, term: Any, cut: Any, unlike: Array, out: Array) -> int:
    """Write an optimistic estimate of each of the 32 sketches of a page into ``out``; return how many reach a cut.

    It looks at the signs of the cue alone: ``Σ_j b_j z_j ≈ (π/2)·(‖z‖₁/D)·(D - 2·unlike)`` with so many signs that
    differ, as two normal numbers that go little together have signs that do so by ``2/π`` as much.

    ``scale`` is what ``_scales`` writes, and ``term`` is added to all. ``unlike (32,)`` is room.
    """
    words, signs = planes.shape[1], planes[PLANES - 1]
    for i in range(PAGE):
        unlike[i] = 0
    for w in range(0, words - 3, 4):  # four words at a time, so that sums stay in registers
        a, b, c, d = signs[w], signs[w + 1], signs[w + 2], signs[w + 3]
        for i in range(PAGE):
            here = population(page[w, i] ^ a) + population(page[w + 1, i] ^ b)
            unlike[i] += here + population(page[w + 2, i] ^ c) + population(page[w + 3, i] ^ d)
    for w in range(words - words % 4, words):
        for i in range(PAGE):
            unlike[i] += population(page[w, i] ^ signs[w])
    size = np.float32(64 * planes.shape[1])
    for i in range(PAGE):
        radius, factor = radius_and_factor(page[-1, i])
        signed = size - np.float32(2) * np.float32(np.int32(unlike[i]))
        out[i] = term + scale[GLANCED] * factor * signed + radius * (scale[UNSURE] + radius * scale[SQUARED])
    hits = 0
    for i in range(PAGE):
        if out[i] >= cut:
            hits += 1
    return hits


@compiled()
def _estimate(page: Array, i: int, planes: Array, scale: Array, term: Any) -> Any:
    """Return an optimistic estimate of the ``i``-th sketch of a page, from all bits of the rounded cue.

    With bits ``a_p``, ``z_j ≈ step·(Σ_p 2^p a_pj - 3.5)``, so that with ``unlike_p`` bits in which sketch and plane
    differ ``Σ_j b_j z_j = step·(3.5 D - Σ_p 2^p·unlike_p)``.
    """
    unlike = np.uint64(0)
    for w in range(planes.shape[1]):
        x = page[w, i]
        unlike += population(x ^ planes[0, w])
        unlike += population(x ^ planes[1, w]) << TWICE
        unlike += population(x ^ planes[2, w]) << FOURFOLD
    signed = np.float32(0.5 * LEVELS * 64 * planes.shape[1]) - np.float32(np.int32(unlike))
    radius, factor = radius_and_factor(page[-1, i])
    return term + scale[SIGNED] * factor * signed + radius * (scale[SURELY] + radius * scale[SQUARED])


@compiled()
def _sift(heap: Array, at: int, n: int) -> None:
    """Let the entry at ``at`` of a min-heap of ``n`` sink to its place."""
    while True:
        low = 2 * at + 1
        if low >= n:
            return
        if low + 1 < n and heap[low + 1] < heap[low]:
            low += 1
        if heap[at] <= heap[low]:
            return
        heap[at], heap[low] = heap[low], heap[at]
        at = low


@compiled()
def _sink(order: Array, bounds: Array, at: int, n: int) -> None:
    """Let the cell at ``at`` of a max-heap of ``n`` cells, by their bounds, sink to its place."""
    while True:
        high = 2 * at + 1
        if high >= n:
            return
        if high + 1 < n and bounds[order[high + 1]] > bounds[order[high]]:
            high += 1
        if bounds[order[at]] >= bounds[order[high]]:
            return
        order[at], order[high] = order[high], order[at]
        at = high


@compiled(reassociate=True)
def _square(a: Array, b: Array) -> Any:
    """Return the squared distance."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        gap = a[j] - b[j]
        total += gap * gap
    return total


@compiled(reassociate=True)
def _masked_square(a: Array, b: Array, mask: Array) -> Any:
    """Return the squared distance over the entries of a mask."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        gap = mask[j] * (a[j] - b[j])
        total += gap * gap
    return total


@compiled(reassociate=True)
def _dot(a: Array, b: Array) -> Any:
    """Return the dot product."""
    total = np.float32(0)
    for j in range(a.shape[0]):
        total += a[j] * b[j]
    return total


@compiled()
def _thin(rows: Array, scores: Array, n: int, floor: Any, strictly: Any, most: int) -> int:
    """Keep what reaches the floor, of what does not exceed ``strictly`` no more than ``most`` in all."""
    kept = 0
    for i in range(n):
        if scores[i] >= floor and (kept < most or scores[i] > strictly):
            rows[kept], scores[kept] = rows[i], scores[i]
            kept += 1
    return kept


@compiled()
def _cut(ask: Ask, floor: Any, ratio: Any) -> Any:
    """Return what an estimate must reach for a score to reach the floor: ``-d²``, or a dot product."""
    if ask.product:
        return (floor - abs(floor) * ask.uneven) / ask.gain
    if ask.kind == EUCLIDEAN:
        return 2 * floor * ask.unit
    if ask.kind == COSINE:
        return 2 * (floor - 1)
    far = min(floor, np.float32(0)) * ask.unit / ratio
    return -far * far


@compiled()
def _offer(best: Array, tally: Array, score: Any) -> bool:
    """Take a score if it is one of the best, which are a min-heap once they are as many as are asked for."""
    k = best.shape[0]
    if tally[BEST] < k:
        best[tally[BEST]] = score
        tally[BEST] += 1
        if tally[BEST] == k:
            for at in range(k // 2, -1, -1):
                _sift(best, at, k)
        return True
    if score > best[0]:
        best[0] = score
        _sift(best, 0, k)
        return True
    return False


@compiled()
def _keep(rows: Array, scores: Array, best: Array, tally: Array, level: Array, ask: Ask, row: int, score: Any) -> None:
    """Keep a row with its score, if it reaches the floor, and raise the floor and the cut.

    The floor rises further where there is no room for all that reach it.
    """
    if score < level[FLOOR] or (tally[CROWDED] and score <= level[FLOOR]):
        return
    level[HIGHEST] = max(level[HIGHEST], score)
    if _offer(best, tally, score):
        tally[IMPROVED] = tally[VISITED]
    most = rows.shape[0]
    if tally[FOUND] == most:
        tally[FOUND] = _thin(rows, scores, tally[FOUND], level[FLOOR], np.float32(np.inf), most)
        if 2 * tally[FOUND] > most:  # too many are alike: what is no better than the k-th best is left out
            tally[CROWDED] = 1
            tally[FOUND] = _thin(rows, scores, tally[FOUND], best[0], best[0], most // 2)
    rows[tally[FOUND]], scores[tally[FOUND]] = row, score
    tally[FOUND] += 1
    if tally[BEST] == best.shape[0]:
        level[FLOOR] = best[0] if tally[CROWDED] else min(best[0], level[HIGHEST] - ask.reach) - ask.margin
        level[CUT] = _cut(ask, level[FLOOR], level[RATIO])


@compiled(reassociate=True)
def _towards(memories: Memories, cell: int, cue: Array, mask: Array, whole: Array, z: Array) -> None:
    """Write the rotated way from the centre of a cell to the cue, over the mask, into ``z``."""
    if mask.shape[0] == 0:
        turned = memories.turned[cell]
        for j in range(z.shape[0]):
            z[j] = whole[j] - turned[j]
        return
    z[:] = 0
    centre = memories.centres[cell]
    for j in range(cue.shape[0]):
        z[j] = mask[j] * (cue[j] - centre[j])
    rotate(z, memories.signs)


@compiled(reassociate=True)
def _rank(
    pages: Pages,
    memories: Memories,
    cue: Array,
    mask: Array,
    whole: Array,
    length: Any,
    share: Any,
    wide: Any,
    product: bool,
    few: int,
) -> tuple[Array, Array, Array, Array]:
    """Return how far each cell is, how near for the order of visits, what it holds at best, and a heap of cells.

    Nearness and what it holds are ``-d²``, or dot products. Where distances are whole, the heap has only cells whose
    signs are most like those of the cue, ``few`` or a few more.
    """
    n = pages.first.shape[0]
    gaps, near = np.empty(n, np.float32), np.empty(n, np.float32)
    bounds, order = np.empty(n, np.float32), np.empty(n, np.int32)
    n_open, candidates = 0, np.arange(n)
    if few < n and not product and mask.shape[0] == 0:
        word, size = np.empty((1, memories.bits.shape[0]), np.uint64), whole.shape[0]
        signs(whole.reshape(1, size), memories.middle, word)
        unlike, tally = np.empty(n, np.uint16), np.empty(size + 1, np.int64)
        alike = np.empty(n + 1, np.int64)
        candidates = alike[: shortlist(memories.bits, word[0], few, unlike, tally, alike)]
    for cell in candidates:
        if pages.counts[cell] == 0:
            continue
        spread = np.float32(pages.squares[cell] / pages.counts[cell])
        if product:
            gaps[cell] = _dot(memories.centres[cell], cue)
            bounds[cell] = gaps[cell] + wide * np.sqrt(spread) * length
            near[cell] = gaps[cell] + np.float32(0.5) * np.sqrt(spread) * length
        else:
            if mask.shape[0] > 0:
                square = _masked_square(memories.centres[cell], cue, mask)
            else:
                square = _square(memories.turned[cell], whole)
            gaps[cell] = square
            away = np.sqrt(square)
            radius = min(np.sqrt(spread * share), wide * away)  # some lie nearer to the centre than the mean
            bounds[cell] = radius * (2 * wide * away - radius) - square
            near[cell] = -square
        order[n_open] = cell
        n_open += 1
    for at in range(n_open // 2, -1, -1):
        _sink(order, near, at, n_open)
    return gaps, near, bounds, order[:n_open]


@compiled()
def _learn_ratio(level: Array, far: Any, square: Any) -> None:
    """Learn what part of the distance along the axes is to be expected of a straight one."""
    if square > 0:
        level[FAR] += far
        level[STRAIGHT] += np.sqrt(square)
        level[RATIO] = np.float32(NARROWER) * level[FAR] / level[STRAIGHT]


@compiled()
def _scales(scale: Array, ask: Ask, size: int, step: Any, length: Any, total: Any) -> None:
    """Write what estimates multiply with, for a rounded cue of this step, length and sum of absolute entries.

    What the signs of a cue miss is met by those of a sketch at random: its square is ``‖z‖² - (π - π²/4)·‖z‖₁²/D``.
    """
    twice = np.float32(1 if ask.product else 2)
    mean = total / np.float32(size)
    left = np.float32(LEFT) * np.sqrt(
        max(length * length - np.float32(np.pi - np.pi**2 / 4) * mean * total, np.float32(0))
    )
    error = np.float32(ERROR) * length
    unit = np.float32(SURE / np.sqrt(size - 1.0))
    scale[SIGNED], scale[GLANCED] = twice * step, twice * np.float32(np.pi / 2) * mean
    scale[SURELY], scale[UNSURE] = twice * unit * error, twice * unit * np.sqrt(error * error + left * left)
    scale[SQUARED] = np.float32(0) if ask.product else ask.uneven - ask.share


@compiled()
def _fetch_page(words: Array, page: int) -> None:
    """Have a page brought near."""
    size = words.shape[1] * PAGE
    for at in range(page * size, (page + 1) * size, LINE // 8):
        fetch(words, at)


@compiled()
def _fetch_key(keys: Array, row: int) -> None:
    """Have a row of float32 brought near."""
    for at in range(row * keys.shape[1], (row + 1) * keys.shape[1], LINE // 4):
        fetch(keys, at)


@compiled(reassociate=True)
def _search_one(
    pages: Pages,
    memories: Memories,
    cue: Array,
    mask: Array,
    ask: Ask,
    wide: Any,
    visits: int,
    limit: int,
    rows: Array,
    scores: Array,
    best: Array,
) -> int:
    """Visit cells for one cue; return how many rows were kept. Scalars go about in a tuple, arrays by themselves:

    a tuple of arrays costs a fifth of the speed.
    """
    size = memories.turned.shape[1]
    whole, z = np.zeros(size, np.float32), np.empty(size, np.float32)
    levels, planes = np.empty(size, np.uint8), np.empty((PLANES, size // 64), np.uint64)
    unlike, glances, scale = np.empty(PAGE, np.uint64), np.empty(PAGE, np.float32), np.empty(5, np.float32)
    waiting, hopes, n_waiting = np.empty(WAITING + PAGE, np.int64), np.empty(WAITING + PAGE, np.float32), 0
    tally, level = np.zeros(5, np.int64), np.zeros(6, np.float32)
    level[FLOOR] = level[CUT] = level[HIGHEST] = -np.inf
    level[RATIO] = NARROWER * np.sqrt(2 * cue.shape[0] * ask.share / np.pi)
    whole[: cue.shape[0]] = cue
    rotate(whole, memories.signs)
    step, length, total = _planes(whole, levels, planes)
    few = MORE * visits + FEW
    gaps, near, bounds, order = _rank(pages, memories, cue, mask, whole, length, ask.share, wide, ask.product, few)
    n_open, looked, k = order.shape[0], 0, best.shape[0]
    while n_open > 0 and looked < limit:
        if tally[VISITED] >= visits and 2 * (tally[VISITED] - tally[IMPROVED]) > visits and tally[BEST] == k:
            break
        cell = order[0]
        n_open -= 1
        order[0] = order[n_open]
        _sink(order, near, 0, n_open)
        if bounds[cell] < level[CUT]:
            continue
        tally[VISITED] += 1
        looked += pages.counts[cell]
        if not ask.product:  # the sketches of a cell are of what leads away from its centre
            _towards(memories, cell, cue, mask, whole, z)
            step, length, total = _planes(z, levels, planes)
        _scales(scale, ask, size, step, length, total)
        term = gaps[cell] if ask.product else -gaps[cell]
        page, cut = pages.first[cell], level[CUT]
        if n_open > 0:
            _fetch_key(memories.turned, order[0])
            _fetch_page(pages.words, max(pages.first[order[0]], 0))
        while page != NONE:
            words, page = pages.words[page], pages.after[page]
            if page != NONE:
                _fetch_page(pages.words, page)
            if _glance(words, planes, scale, term, cut, unlike, glances):
                for i in range(PAGE):
                    if glances[i] >= cut:
                        estimate = _estimate(words, i, planes, scale, term)
                        row = row_of(words[-1, i])
                        if estimate >= cut and row != NONE:
                            waiting[n_waiting], hopes[n_waiting] = row, estimate
                            n_waiting += 1
                            _fetch_key(memories.keys, row)
            if page != NONE and n_waiting < WAITING and tally[BEST] == k:
                continue  # the keys are still on their way
            for w in range(n_waiting):
                row = waiting[w]
                if hopes[w] < cut or memories.dead[row]:
                    continue
                prior = np.float32(0)
                if ask.weight > 0:
                    prior = ask.weight * (memories.logs[row] - ask.top)
                    if hopes[w] < _cut(ask, level[FLOOR] - prior, level[RATIO]):
                        continue
                norm = memories.norms[row] if ask.kind == COSINE else np.float32(1)
                fit, square = _fit(ask.kind, memories.keys[row], norm, cue, mask, ask.unit)
                if ask.kind == MANHATTAN:
                    _learn_ratio(level, -fit * ask.unit, square)
                if fit + prior >= level[FLOOR]:
                    _keep(rows, scores, best, tally, level, ask, row, fit + prior)
                    cut = level[CUT]
            n_waiting = 0
    return _thin(rows, scores, tally[FOUND], level[FLOOR], np.float32(np.inf), rows.shape[0])


@compiled()
def promise(pages: Pages, memories: Memories, cues: Array, kind: int, wide: float, promises: Array) -> None:
    """Write how near each cell is to cues ``(c, d)`` into ``promises (c, C)``, ``-inf`` if it is empty."""
    nothing, size = np.empty(0, np.float32), memories.turned.shape[1]
    levels, planes = np.empty(size, np.uint8), np.empty((PLANES, size // 64), np.uint64)
    for c in range(cues.shape[0]):
        whole = np.zeros(size, np.float32)
        whole[: cues.shape[1]] = cues[c]
        rotate(whole, memories.signs)
        _, length, _ = _planes(whole, levels, planes)
        one, wide32, every = np.float32(1), np.float32(wide), memories.turned.shape[0]
        _, near, _, order = _rank(pages, memories, cues[c], nothing, whole, length, one, wide32, kind == DOT, every)
        promises[c] = -np.inf
        for cell in order:
            promises[c, cell] = near[cell]


@compiled()
def search(
    pages: Pages,
    memories: Memories,
    cues: Array,
    masks: Array,
    units: Array,
    shares: Array,
    kind: int,
    k: int,
    reach: float,
    margins: Array,
    weight: float,
    top: float,
    wide: float,
    visits: int,
    limit: int,
    rows: Array,
    scores: Array,
    found: Array,
) -> None:
    """Write into ``rows (c, w)`` and ``scores (c, w)``, ``found (c,)`` of each, what may be among the ``k`` best.

    Or within ``reach`` of the best, as far as the sketches show it. Cells are visited from the most promising on, until
    none can hold more; or at least ``visits`` were visited, and more than half as many went by since the last that
    bettered the ``k`` best; or ``limit`` sketches were looked at.

    Parameters
    ----------
    pages, memories
        What is searched.
    cues, masks, units
        Cues ``(c, d)``, 0 where unknown; masks ``(c, d)``, ``(1, d)`` or ``(1, 0)``; what one unit of similarity is
        worth ``(c,)`` or ``(1,)``.
    shares
        Which part of the variance lies in the known entries, ``(c,)`` or ``(1,)``.
    kind
        EUCLIDEAN, COSINE, DOT or MANHATTAN; cues for COSINE have the length 1.
    k, reach, margins
        As for ``similarity.scan``; margins ``(c,)``. ``w`` is at least ``4k``.
    weight, top
        A memory's score is its similarity and ``weight·(ln s - top)``, ``top`` the greatest ``ln s``; the weight 0
        leaves strengths out.
    wide
        How far the patterns of a cell reach towards a cue, in mean radii; at 1 one of them may be a twin of the cue.
    visits
        The cells to visit at least, if they can hold more.
    limit
        The most sketches to look at for each cue.
    """
    d, best = memories.keys.shape[1], np.empty(k, np.float32)
    for c in range(cues.shape[0]):
        mask, share = masks[c % masks.shape[0]], np.float32(shares[c % shares.shape[0]])
        unit, masked = np.float32(units[c % units.shape[0]]), mask.shape[0] > 0
        product = kind == DOT or (kind == COSINE and masked)
        gain = np.float32(1) / (unit if kind == DOT else np.sqrt(share))
        uneven = np.float32(0)
        if masked and kind != DOT:
            uneven = np.float32(SURE * np.sqrt(2 * share * (1 - share) / d))
        scores_are = np.float32(reach), np.float32(margins[c]), np.float32(weight), np.float32(top)
        ask = Ask(kind, product, unit, share, gain, uneven, *scores_are)
        found[c] = _search_one(
            pages, memories, cues[c], mask, ask, np.float32(wide), visits, limit, rows[c], scores[c], best
        )

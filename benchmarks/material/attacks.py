"""Attacks on weights: what someone who has the file of a matrix memory can do to see the images that made it.

A matrix memory keeps ``G = K Kᵀ``, or sums from which it follows; the columns of ``K (d, n)`` are the stored images.
From ``G`` follows an ``H`` with ``G = H Hᵀ``, and ``K = H Q``, where only the rotation ``Q`` is unknown. What everybody
knows of images (no pixel is below black, most are black, each has one of 256 greys) finds ``Q``. It helps that:

- ``xᵀ G⁺ x`` (the leverage) is 1 for a stored image where the images are independent, and never above 1;
- the stored images lie in the span of ``H``, and most others do not.

Every attack gets what the file holds and images of the same kind that were not stored. It returns ``n`` images at most.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg.lapack import dpstrf as pstrf

from material.lattice import unit_vectors
from material.leaks import distinct, prototypes, squares
from mossy.encode import Dentate

Floats = NDArray[np.float64]
Pixels = NDArray[np.float32]
Project = Callable[[Pixels], Pixels]

SPAN = 1e-11  # what is below this share of the largest entry is 0
SETTLED = 1e-3  # what project changes, as a share of the whole, when the search has ended
LARGEST_LATTICE = 200  # images; beyond, the reduction takes minutes, and the search for factors is faster
LARGEST_COMPONENTS = 80  # images; beyond, FastICA takes longer than the search for factors and finds less
THRESHOLD = 0.05  # what is subtracted from a pixel in the search: most pixels are black


@dataclass(frozen=True)
class Attacker:
    """What an attacker has besides the file: images of the same kind, and how many steps a pixel has."""

    public: Floats
    levels: int
    seed: int

    @property
    def rng(self) -> np.random.Generator:
        """The same random numbers for every attack."""
        return np.random.default_rng([self.seed, 7])

    def guesses(self, n: int) -> Floats:
        """Return ``n`` of the public images."""
        return self.public[self.rng.permutation(len(self.public))[:n]]


class Span:
    """Where stored patterns lie, by the sums of their products ``G (d, d)``: ``G = H Hᵀ``."""

    def __init__(self, gram: Floats) -> None:
        # Pivoted Cholesky stops at the rank, which is far below d where few patterns are stored.
        lower, pivots, rank, _ = pstrf(gram, tol=SPAN * np.diag(gram).max(), lower=1)
        factor = np.zeros((len(gram), rank))
        factor[pivots - 1] = np.tril(lower)[:, :rank]
        self.basis: Floats
        self.basis, values, _ = np.linalg.svd(factor, full_matrices=False)
        self.rank = int(rank)
        self.roots: Floats = self.basis * values
        self.inverse: Floats = self.basis / values

    def project(self, x: Floats) -> Floats:
        """Return the nearest points of the span to patterns ``(m, d)``."""
        return x @ self.basis @ self.basis.T

    def leverage(self, x: Floats) -> Floats:
        """Return ``xᵀ G⁺ x`` of patterns ``(m, d)``."""
        return np.square(x @ self.inverse).sum(axis=1)

    def outside(self, x: Floats) -> Floats:
        """Return the share of the length of patterns that is outside the span, squared."""
        return np.square(x - self.project(x)).sum(axis=1) / np.maximum(np.square(x).sum(axis=1), 1e-12)

    def to_leverage_one(self, x: Floats) -> Floats:
        """Scale patterns to leverage 1."""
        return x / np.sqrt(np.maximum(self.leverage(x), 1e-12))[:, None]

    def strangeness(self, x: Floats) -> Floats:
        """Return what is small for stored patterns: leverage, and above all what is outside the span."""
        return self.leverage(x) + 1e6 * np.maximum(self.outside(x) - 1e-9, 0.0)


# --- attacks on G itself ---------------------------------------------------------------------------


def nearest_in_span(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Project the public images that are least strange to the span onto it."""
    span = Span(gram)
    order = np.argsort(span.strangeness(attacker.public))[: 20 * n]
    seen = np.clip(span.to_leverage_one(span.project(attacker.public[order])), 0, 1)
    return distinct(seen, np.arange(len(seen)), n)


def columns(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Take the columns of ``G`` as images: a pixel that is on in one image alone gives that image."""
    used = np.flatnonzero(np.diag(gram) > 0)
    seen = gram[used] / np.sqrt(np.diag(gram)[used])[:, None]  # leverage 1
    return distinct(np.clip(seen, 0, 1), np.argsort((seen > 0).sum(axis=1), kind="stable"), n, 0.95)


def components(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Separate the span into independent components (FastICA)."""
    import warnings

    from sklearn.decomposition import FastICA
    from sklearn.exceptions import ConvergenceWarning

    span = Span(gram)
    if span.rank > LARGEST_COMPONENTS:
        return np.empty((0, len(gram)))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found = FastICA(whiten="unit-variance", fun="cube", max_iter=300, random_state=attacker.seed).fit(span.roots)
    turn = found.components_ / np.linalg.norm(found.components_, axis=1, keepdims=True)
    seen = turn @ span.roots.T
    return np.clip(seen * np.where(seen.sum(axis=1) < 0, -1, 1)[:, None], 0, 1)[:n]


def lattice(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Find the images exactly, as the unit vectors of the lattice of the pixels."""
    span = Span(gram)
    if n > LARGEST_LATTICE or span.rank < n:  # with fewer pixels than images the lattice has no unit vectors
        return np.empty((0, len(gram)))
    seen = unit_vectors(np.rint(gram * attacker.levels**2))
    return np.clip(seen * np.where(seen.sum(axis=1) < 0, -1, 1)[:, None] / attacker.levels, 0, 1)[:n]


def factors(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Search for the factor ``K`` with ``K Kᵀ = G`` and all pixels between black and white."""
    span = Span(gram)
    used = np.diag(gram) > 0
    roots, levels = span.roots[used], attacker.levels
    whole = np.rint(gram[np.ix_(used, used)] * levels**2)

    def whole_factor(y: Pixels) -> Pixels | None:
        """Round to grey levels, turn back into the span, and round again: is that it?"""
        rounded = np.rint(np.clip(y, 0, 1) * levels) / levels
        k = np.rint(np.clip(roots @ rotation(roots.T @ rounded), 0, 1) * levels)
        return (k / levels).astype(np.float32) if (np.abs(k @ k.T - whole) < 0.5).all() else None

    start = attacker.guesses(n)[:, used]
    steps = int(np.clip(200_000 / n, 450, 2000)) if span.rank == n else 600
    y = search(roots, start, lambda x: np.clip(x - np.float32(THRESHOLD), 0, 1), steps, whole_factor)
    answers = np.zeros((n, len(gram)))
    answers[:, used] = np.clip(y, 0, 1)
    return answers


def bent(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Search for ``K`` among images that resemble public ones: where black and white do not decide alone."""
    span = Span(gram)
    if span.rank == n:
        return np.empty((0, len(gram)))
    y = search(span.roots, attacker.guesses(n), likely(attacker, 10, 0.3), 200, None)
    return np.clip(y, 0, 1)


def bent_prototypes(gram: Floats, n: int, attacker: Attacker) -> Floats:
    """Do as ``bent`` does from what stands for all public images, and end with images that resemble them."""
    span = Span(gram)
    if span.rank == n:
        return np.empty((0, len(gram)))
    nearer = likely(attacker, 5, 0.2)
    y = search(span.roots, prototypes(attacker.public, n, attacker.seed), nearer, 400, None)
    return np.clip(nearer(np.clip(y.T, 0, 1).astype(np.float32)).T.astype(np.float64), 0, 1)


def likely(attacker: Attacker, neighbours: int, share: float) -> Project:
    """Return what draws images, the columns ``(d, n)``, towards the public ones that are nearest."""
    public = attacker.public.astype(np.float32)

    def drawn(x: Pixels) -> Pixels:
        seen = np.clip(x.T, 0, 1)
        distance = squares(seen, public)
        order = np.argpartition(distance, neighbours, axis=1)[:, :neighbours]
        distance = np.take_along_axis(distance, order, axis=1)
        weight = np.exp(distance.min(axis=1, keepdims=True) - distance)
        weight /= weight.sum(axis=1, keepdims=True)
        drawn_to = np.einsum("nk,nkd->nd", weight, public[order])
        found: Pixels = ((1 - share) * seen + share * drawn_to).T
        return found

    return drawn


def search(
    roots: Floats, start: Floats, project: Project, steps: int, whole: Callable[[Pixels], Pixels | None] | None
) -> Floats:
    """Search for ``Q`` such that ``H Q`` is what ``project`` leaves as it is; return the patterns ``(n, d)``.

    By relaxed reflections, which leave points where plain projections to and fro get stuck: ``x ← x + y − z`` with
    ``z = project(x)`` and ``y`` the nearest ``H Q`` to ``2z − x``. ``whole`` returns the answer once ``y`` is near it.
    """
    h = roots.astype(np.float32)
    x = h @ rotation(h.T @ start.T.astype(np.float32))
    y = x
    for step in range(1, steps + 1):
        z = project(x)
        y = h @ rotation(h.T @ (2 * z - x))
        x = x + (y - z)
        if whole is not None and step % 25 == 0:
            found = whole(y)
            if found is not None:
                return found.T.astype(np.float64)
        if step % 25 == 0 and np.linalg.norm(y - z) < SETTLED * np.linalg.norm(y):
            break
    return y.T.astype(np.float64)


def rotation(m: Pixels) -> Pixels:
    """Return the nearest matrix with orthonormal rows (or columns, whichever are fewer)."""
    left, _, right = np.linalg.svd(m, full_matrices=False)
    return left @ right


# --- attacks on codes of a known expansion ---------------------------------------------------------


def nearest_codes(gram: Floats, n: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Take the public images whose codes are least strange to the span."""
    order = np.argsort(Span(gram).strangeness(encoder.encode(attacker.public)))
    return attacker.public[order[:n]]


def factors_of_codes(gram: Floats, n: int, attacker: Attacker, encoder: Dentate) -> Floats:
    """Search for codes without negative entries, decode them, and descend to images whose codes fit the span."""
    span = Span(gram)
    steps = int(np.clip(100_000 / n, 300, 2000))
    start = encoder.encode(attacker.guesses(n))
    codes = search(span.roots, start, lambda x: np.maximum(x, 0), steps, None)
    return descend(span, decode_linear(np.maximum(codes, 0), attacker, encoder), encoder)


def decode_linear(codes: Floats, attacker: Attacker, encoder: Dentate, ridge: float = 1.0) -> Floats:
    """Decode codes by ridge regression of the public images on their codes."""
    known = encoder.encode(attacker.public)
    of_codes, of_images = known.mean(axis=0), attacker.public.mean(axis=0)
    known = known - of_codes
    weights = np.linalg.solve(known.T @ known + ridge * np.eye(encoder.units), known.T @ (attacker.public - of_images))
    return np.clip((codes - of_codes) @ weights + of_images, 0, 1)


def descend(span: Span, start: Floats, encoder: Dentate, steps: int = 200, rate: float = 0.01) -> Floats:
    """Change images until their codes lie in the span and have leverage 1, by gradient (Adam)."""
    weights, thresholds = drives(encoder)
    weights, thresholds = weights.astype(np.float32), thresholds.astype(np.float32)
    basis, inverse = span.basis.astype(np.float32), span.inverse.astype(np.float32)
    x = start.astype(np.float32)
    mean, square = np.zeros_like(x), np.zeros_like(x)
    for step in range(1, steps + 1):
        codes = np.maximum(x @ weights.T + thresholds, 0)
        within = codes @ inverse
        off = codes - (codes @ basis) @ basis.T
        length = np.maximum(np.square(codes).sum(axis=1, keepdims=True), np.float32(1e-6))
        excess = np.square(within).sum(axis=1, keepdims=True) - 1
        slope = ((2 * off / length + 4 * excess * (within @ inverse.T)) * (codes > 0)) @ weights
        mean = 0.9 * mean + 0.1 * slope
        square = 0.99 * square + 0.01 * slope**2
        size = rate * (1 - step / (steps + 1))
        x = x - size * (mean / (1 - 0.9**step)) / (np.sqrt(square / (1 - 0.99**step)) + np.float32(1e-8))
        x = np.clip(x, 0, 1)
    return x.astype(np.float64)


def decode_exactly(codes: Floats, encoder: Dentate) -> Floats:
    """Solve ``(W x + b)_j = code_j`` over the active units for images without negative pixels."""
    from scipy.optimize import nnls

    weights, thresholds = drives(encoder)
    seen = []
    for code in codes:
        on = code > 0
        seen.append(nnls(weights[on], code[on] - thresholds[on])[0])
    return np.clip(np.array(seen), 0, 1)


def drives(encoder: Dentate) -> tuple[Floats, Floats]:
    """Return ``W`` and ``b`` with drive ``W x + b``: they follow from the seed, which is in the file."""
    rng = np.random.default_rng(encoder.seed)
    weights = rng.standard_normal((encoder.units, encoder.d)) / np.sqrt(encoder.d) / encoder.scale
    thresholds = encoder.bias * rng.standard_normal(encoder.units) - weights.sum(axis=1) * encoder.mean
    if encoder.k is None:
        dark = np.zeros(encoder.d)
        assert np.allclose(encoder.encode(dark), np.maximum(thresholds, 0)), "Dentate draws its numbers differently now"
    return weights, thresholds

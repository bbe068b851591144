"""How much of the stored images is in what an attacker hands in: error, right images, exact images, membership."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

ALIKE = 0.9  # the least correlation of a reconstruction with the image that it is to be


def squares(a: Floats, b: Floats) -> Floats:
    """Return the squared distances ``(len(a), len(b))``."""
    found: Floats = np.square(a).sum(axis=1)[:, None] + np.square(b).sum(axis=1) - 2 * a @ b.T
    return np.maximum(found, 0.0)


def judge(answers: Floats, stored: Floats, others: Floats, mean: Floats, levels: int) -> dict[str, float]:
    """Compare an attacker's list of answers with what was stored.

    Parameters
    ----------
    answers
        ``(m, d)`` with ``m ≤ n``: as many answers as there are stored images, at most.
    stored, others
        The stored images ``(n, d)``, and images that neither the memory nor the attacker has.
    mean
        The mean image ``(d,)`` of the attacker's own images. It is an answer too, whatever else was handed in.
    levels
        Steps of a pixel from black to white.

    Returns
    -------
    dict
        ``error``: squared error of the best answer for each stored image, over all of them, in units of what the
        mean image alone would get. ``right``: the share of stored images for which some answer is nearer to it than
        to every other stored image and all ``others``, and correlates with it by ``ALIKE`` at least.
        ``exact``: the share of which some answer has every pixel, rounded to the levels.
    """
    assert len(answers) <= len(stored), "more answers than stored images"
    of_mean = np.square(stored - mean).sum(axis=1)
    if not len(answers):
        return {"error": 1.0, "right": 0.0, "exact": 0.0}
    assert np.isfinite(answers).all()
    distance = squares(answers, np.concatenate([stored, others]))
    nearest = distance.argmin(axis=1)
    right, exact = np.zeros(len(stored), np.bool_), np.zeros(len(stored), np.bool_)
    for answer, i in zip(answers, nearest, strict=True):
        if i < len(stored):
            right[i] |= correlation(answer, stored[i]) >= ALIKE
            exact[i] |= bool((np.abs(answer - stored[i]) < 0.5 / levels).all())
    least = np.minimum(distance[:, : len(stored)].min(axis=0), of_mean)
    return {
        "error": float(least.sum() / of_mean.sum()),
        "right": float(right.mean()),
        "exact": float(exact.mean()),
    }


def correlation(a: Floats, b: Floats) -> float:
    """Return Pearson's correlation, 0 where one of the two does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / size if size > 0 else 0.0


def auc(stored: ArrayLike, others: ArrayLike) -> float:
    """Return how often a stored image scores above one that is not: ½ for a guess, ties count ½."""
    high, low = np.asarray(stored, np.float64), np.sort(np.asarray(others, np.float64))
    below, not_above = np.searchsorted(low, high, "left"), np.searchsorted(low, high, "right")
    return float((below + not_above).mean() / (2 * len(low)))


def prototypes(images: Floats, n: int, seed: int) -> Floats:
    """Return ``n`` images that stand for all ``images`` (k-means): the best ``n`` guesses without the file."""
    from sklearn.cluster import KMeans

    found: Floats = KMeans(n, n_init=1, max_iter=30, random_state=seed).fit(images).cluster_centers_
    return found


def distinct(answers: Floats, order: NDArray[np.intp], n: int, alike: float = 0.99) -> Floats:
    """Return the first ``n`` of ``answers`` in this order that correlate with none before them by ``alike``."""
    kept: list[Floats] = []
    directions = answers - answers.mean(axis=1, keepdims=True)
    directions = directions / np.maximum(np.linalg.norm(directions, axis=1, keepdims=True), 1e-12)
    taken: list[int] = []
    for i in order:
        if len(taken) == n:
            break
        if not taken or (directions[taken] @ directions[i]).max() < alike:
            taken.append(int(i))
            kept.append(answers[i])
    return np.array(kept).reshape(-1, answers.shape[1])

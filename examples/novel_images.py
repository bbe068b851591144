"""Find the digit that was never seen: a memory of nine kinds of handwritten digits meets the tenth.

python examples/novel_images.py --out figures
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score

from mossy.learn import NoveltyDetector


def main(out: str | None = None, unseen: int = 4, seed: int = 0) -> None:
    data = load_digits()
    images, labels = data.data / 16, data.target
    seen = np.random.default_rng(seed).permutation(np.flatnonzero(labels != unseen))
    known, rest = np.split(seen, [len(seen) // 2])
    new = np.flatnonzero(labels == unseen)
    tested = np.concatenate([rest, new])

    detector = NoveltyDetector(contamination=0.05).fit(images[known])
    scores, called = detector.score_samples(images[tested]), detector.predict(images[tested])
    is_new = labels[tested] == unseen
    print(f"{len(known)} digits are remembered, none of them a {unseen}")
    print(f"area under the ROC curve {roc_auc_score(is_new, -scores):.3f}")
    print(
        f"called new: {np.mean(called[is_new] == -1):.0%} of the {unseen}s, {np.mean(called[~is_new] == -1):.0%} else"
    )

    threshold = detector.offset_
    detector.partial_fit(images[new[:20]])
    later = detector.predict(images[new[20:]])
    print(f"called new after twenty of them were shown: {np.mean(later == -1):.0%} of the other {unseen}s")

    if out is not None:
        draw(Path(out), images[tested], scores, is_new, unseen, threshold)


def draw(
    folder: Path, images: np.ndarray, scores: np.ndarray, is_new: np.ndarray, unseen: int, threshold: float
) -> None:
    """Save how familiar the digits are, and the least familiar and the most familiar of them."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    figure, (plot, *rows) = plt.subplots(3, 1, figsize=(8, 4.5), height_ratios=(3, 1, 1), layout="constrained")
    edges = np.linspace(scores.min(), scores.max(), 50)
    plot.hist(scores[~is_new], edges, alpha=0.7, density=True, label="digits of the nine kinds that were seen")
    plot.hist(scores[is_new], edges, alpha=0.7, density=True, label=f"{unseen}s")
    plot.axvline(threshold, color="0.4", linestyle=":", label="called new below")
    plot.set(xlabel="familiarity", ylabel="density")
    plot.legend()
    order = np.argsort(scores)
    for row, which, title in zip(
        rows, (order[:12], order[-12:]), ("the least familiar", "the most familiar"), strict=True
    ):
        row.imshow(np.hstack([np.pad(images[i].reshape(8, 8), 1) for i in which]), cmap="gray_r")
        row.set_title(title)
        row.set_axis_off()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "novel_images.png"
    figure.savefig(path, dpi=120)
    plt.close(figure)
    print(f"wrote {path}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", help="folder for the figure")
    main(parser.parse_args().out)

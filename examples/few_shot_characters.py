"""See 20 characters of an alphabet once each, then know them again in the hand of somebody else.

MOSSY_DATA=… python examples/few_shot_characters.py --out out

The drawings are those of Omniglot, as ``omniglot/omniglot.npz`` in the folder ``MOSSY_DATA``; where they are not there,
ten handwritten digits are shown instead, and what is learned before is learned from other digits.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

import mossy
from mossy.learn import ImageEncoder


def main(episodes: int = 200, out: str | None = None) -> None:
    images, side, alphabets, characters = omniglot_or_digits()
    rng = np.random.default_rng(0)
    unseen = alphabets == alphabets.max()
    encoder = ImageEncoder(
        (side, side), patches=100, size=min(6, side // 2), grid=4, bias=1.0, power=0.5, frame="scaled"
    )
    encoder.fit(images[~unseen])  # other alphabets, without labels

    right: dict[str, list[float]] = {"pixels": [], "patches": []}
    for _ in range(episodes):
        names = rng.permutation(np.unique(characters[unseen]))[:20]
        pairs = np.array(
            [rng.choice(np.flatnonzero(unseen & (characters == name)), 2, replace=False) for name in names]
        )
        for kind, encode in (("pixels", lambda x: x), ("patches", encoder.transform)):
            memory = mossy.Memory(similarity="cosine")
            memory.store(encode(images[pairs[:, 0]]), payload=names.tolist())
            found = memory.recall(encode(images[pairs[:, 1]]), k=1, reinforce=False)
            right[kind].append(float(np.mean(found.ids[:, 0] == np.arange(len(names)))))
    for kind, shares in right.items():
        print(f"{kind}: {np.mean(shares):.1%} of characters that were seen once are known again, of {len(names)}")
    if out is not None:
        print(f"drawn: {drawn(images, side, pairs, found.ids[:, 0], Path(out))}")


def omniglot_or_digits() -> tuple[Any, int, Any, Any]:
    """Return images ``(n, side²)``, their side, and the alphabet and character of each."""
    folder = os.environ.get("MOSSY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    path = Path(folder) / "omniglot" / "omniglot.npz"
    if not path.exists():
        print("omniglot/omniglot.npz is not there (MOSSY_DATA); these are the digits of scikit-learn.")
        x, y = load_digits(return_X_y=True)
        return x.astype(np.float32), 8, np.arange(len(x)) % 2, y
    held = np.load(path)
    ink = np.unpackbits(held["images_packed"], axis=-1)[..., :105].astype(np.float32)
    small = ink.reshape(-1, 35, 3, 35, 3).mean(axis=(2, 4))
    return small.reshape(len(small), -1), 35, held["alphabet"], held["character"]


def drawn(images: Any, side: int, pairs: Any, recalled: Any, folder: Path) -> Path:
    """Draw what was asked for, and below it what was recalled."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(pairs), figsize=(10, 1.6), layout="constrained")
    for column, (pair, found) in enumerate(zip(pairs, recalled, strict=True)):
        for row, image in enumerate((images[pair[1]], images[pairs[found, 0]])):
            axes[row, column].imshow(image.reshape(side, side), cmap="Greys")
            axes[row, column].set(xticks=[], yticks=[])
        for spine in axes[1, column].spines.values():
            spine.set(color="tab:green" if found == column else "tab:red", linewidth=2)
    axes[0, 0].set_ylabel("asked")
    axes[1, 0].set_ylabel("recalled")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "few_shot_characters.png", dpi=150)
    return folder / "few_shot_characters.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

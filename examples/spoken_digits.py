"""Learn spoken digits in one pass, digit after digit: a spectrum, patches of it as of an image, and a memory.

MOSSY_DATA=… python examples/spoken_digits.py --out out

The recordings are those of the Free Spoken Digit Dataset, as ``fsdd/fsdd.npz`` in the folder ``MOSSY_DATA``.
"""

from __future__ import annotations

import argparse
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.pipeline import make_pipeline

from mossy.learn import ImageEncoder, MemoryClassifier, SoundEncoder


def main(n: int = 1250, out: str | None = None) -> None:
    folder = os.environ.get("MOSSY_DATA", Path(__file__).resolve().parents[2] / "shared" / "data")
    path = Path(folder) / "fsdd" / "fsdd.npz"
    if not path.exists():
        print("spoken digits: fsdd/fsdd.npz is not there; set MOSSY_DATA to the folder that holds it.")
        return
    held = np.load(path)
    samples, starts = held["samples"], held["offsets"]
    rows = np.unique(np.linspace(0, len(held["digit"]) - 1, n).astype(int))
    sounds = np.zeros((len(starts) - 1, int(np.diff(starts).max())), np.float32)
    for sound, (first, last) in zip(sounds, itertools.pairwise(starts), strict=True):
        sound[: last - first] = samples[first:last]
    sounds, digits, takes = sounds[rows], held["digit"][rows], held["take"][rows]
    learned = takes >= 5

    spectrum = SoundEncoder(rate=float(held["rate"]), steps=32, silence=25.0, deltas=False)
    image = ImageEncoder(shape=(32, 40), patches=200, power=0.5)
    memory = MemoryClassifier("matrix", encoder=make_pipeline(spectrum, image))
    for digit in range(10):
        now = learned & (digits == digit)
        memory.partial_fit(sounds[now], digits[now])

    said = memory.predict(sounds[~learned])
    right = said == digits[~learned]
    print(f"spoken digits: {learned.sum()} learned, {right.mean():.1%} of {len(right)} other takes are recognised")
    for digit in range(10):
        mine = digits[~learned] == digit
        print(f"  {digit}: {right[mine].mean():.0%} of {mine.sum()}")
    if out is not None:
        print(f"drawn: {drawn(memory, sounds[~learned], digits[~learned], said, Path(out))}")


def drawn(memory: MemoryClassifier, sounds: Any, digits: Any, said: Any, folder: Path) -> Path:
    """Draw what the memory hears of each digit, and which digits it confuses."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    left, right = plt.figure(figsize=(11, 4), layout="constrained").subfigures(1, 2, width_ratios=(5, 3))
    axes = left.subplots(2, 5)
    spectrum = memory.encoder_[0]
    for digit, place in zip(range(10), axes.ravel(), strict=True):
        one = np.flatnonzero(digits == digit)[:1]
        place.imshow(spectrum.transform(sounds[one]).reshape(32, 40).T, origin="lower", aspect="auto")
        place.set(title=str(digit), xticks=[], yticks=[])
    left.supylabel("pitch")
    left.supxlabel("time")
    counts = np.zeros((10, 10))
    np.add.at(counts, (digits, said), 1)
    confused = right.subplots()
    confused.imshow(counts, cmap="Greys")
    for i, j in zip(*np.nonzero(counts), strict=True):
        confused.text(j, i, f"{counts[i, j]:.0f}", ha="center", va="center", color="w" if i == j else "C3")
    confused.set(xlabel="recognised as", ylabel="said", xticks=range(10), yticks=range(10))
    folder.mkdir(parents=True, exist_ok=True)
    plt.savefig(folder / "spoken_digits.png", dpi=150)
    return folder / "spoken_digits.png"


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--out", help="a folder for the figure")
    main(out=ask.parse_args().out)

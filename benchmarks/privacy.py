"""How much of the raw images does an attacker get back from the file of a memory that keeps only weights?

The attacker has exactly what ``state()`` returns (weights, the seeds and settings of encoders, how many images were
written), knows how mossy works, and has images of the same kind that were not stored. The images are scikit-learn's
digits and MNIST, written to each memory alone and with their labels, from one image to five for each pixel.

- Beside it: the index, whose file is the images, and nothing: the best of the mean image, as many public images as were
  stored, and as many prototypes of all public images (k-means).
- An attack hands in at most as many images as were stored. Its error is the squared error of the best of them (or of
  the mean image) for each stored image, over all of them, in units of what the mean image alone gets: 0 is all, 1
  nothing. A stored image is right if one of them is nearer to it than to all other stored images and ten times as many
  that neither side has (or as many as there are), and correlates with it by .9 or more; exact if every pixel rounds
  to its grey level.
- Membership: how often an image that was stored scores above one that was not (AUC: .5 is a guess). The best score
  counts.
- Two versions: the file before and after one more image was written; what is found is that image.
- Each cell is a mean over the seeds. The best attack of a cell has the least error or the most right images there.

What it means. The projection rule keeps ``Σ k kᵀ``, and with fewer images than pixels that are ever on it hides next to
nothing: pixels are whole numbers, so the images are the unit vectors of a lattice, and reduction finds them, exactly;
where that takes too long, it is enough that no pixel is darker than black. Hebb's and the covariance rule from image to
image keep the same sums, so the same holds for them. An expansion hides less, not more: its seed is in the file, and as
many images as it has units can be told apart. What remains hidden is hidden by crowding: far more images than pixels,
sums over a class (Hebb's rule from images to labels), or one-bit synapses that many codes share; there images that
resemble the stored ones come back, hardly better than without the file. Even then it often shows whether a given image
was stored, and two versions of a file show the image between them in all memories but the one-bit ones without
counters. What these attacks don't find is not shown to be safe: better ones may find it.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from material.attacks import Attacker
from material.bits import decoder
from material.images import digits, mnist
from material.leaks import auc, judge, prototypes, squares
from material.stolen import UNITS, Case, ClassSums, Clipped, Expanded, Shared, Superposed
from mossy.encode import Dentate
from mossy.substrate.index import Index
from record import data_dir, record

QUESTION = "How much of the raw images does an attacker get back from a file that keeps only weights?"

# The number of seeds by stored images for each pixel (0: one image): fewer where the attacks take long.
SEEDS = {
    "digits": {0.0: 5, 0.05: 5, 0.25: 5, 0.5: 5, 0.75: 5, 1.0: 5, 2.0: 3, 5.0: 2},
    "MNIST": {0.0: 3, 0.01: 3, 0.1: 3, 0.25: 2, 0.5: 2},
}
PUBLIC = {"digits": 800, "MNIST": 3000}
LEVELS = {"digits": 16, "MNIST": 255}
ACTIVE = (10, 50)  # of UNITS, in a sparse code: log₂ of them, as Sparse takes it, and a twentieth
MORE = 2  # images of which each is written to one file, for the attack on two versions
FEWEST_OTHERS = 500
MOST_SCORED = 1000

Floats = NDArray[np.float64]
Figures = dict[str, float]


def material(name: str, levels: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return images with pixels that are whole numbers of grey levels, from 0 to 1, and their labels."""
    if name == "digits":
        from sklearn.datasets import load_digits

        images, labels = digits(), load_digits().target
    else:
        images, labels = mnist(), np.load(data_dir("mnist_t10k") / "mnist_t10k.npz")["labels"]
    return np.rint(images.pixels.astype(np.float64) * levels) / levels, labels.astype(np.int64)


def black_and_white(images: Floats) -> Floats:
    return (images > 0.5).astype(np.float64)


def memories(public: Floats, levels: int, seed: int) -> list[Case]:
    """Return the memories, with expansions fitted to images of this kind, as their documentation says."""
    fitted = {"seed": seed, "mean": float(public.mean()), "scale": float(public.std())}
    d, share = public.shape[1], float(black_and_white(public).mean())
    expansion = Dentate(d, UNITS, **fitted)
    found: list[Case] = [
        Superposed("projection, image → image", "projection", False, False, share),
        Superposed("projection, image → label", "projection", True, False, share),
        Expanded(f"projection behind {UNITS:,} units, image → image", expansion, False),
        Expanded(f"projection behind {UNITS:,} units, image → label", expansion, True),
        Superposed("hebb, image → image", "hebb", False, True, share),
        Superposed("covariance, image → image", "covariance", False, True, share),
        ClassSums("hebb, image → label"),
    ]
    for k in ACTIVE:
        encoder = Dentate(d, UNITS, k, **fitted)
        decode = decoder(Attacker(public, levels, seed), encoder)
        name = f"sparse, {k} of {UNITS:,} units"
        found += [
            Clipped(f"{name}, counts=True", encoder, decode, counts=True),
            Clipped(name, encoder, decode),
            Clipped(f"{name}, → label", encoder, decode, to_labels=True),
        ]
    return found


class Found:
    """The figures of every memory, load and attack, seed by seed."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._all: dict[str, dict[str, dict[str, dict[str, list[Figures]]]]] = defaultdict(
            lambda: defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
        )

    def add(self, memory: str, load: str, kind: str, name: str, figures: Figures) -> None:
        """Keep the figures of one seed."""
        self._all[memory][load][kind][name].append(figures)

    def means(self) -> dict[str, Any]:
        """Return the means over the seeds, and the best attack and score of each cell."""
        return {memory: {load: _cell(kinds) for load, kinds in loads.items()} for memory, loads in self._all.items()}


def _cell(kinds: dict[str, dict[str, list[Figures]]]) -> dict[str, Any]:
    means = {
        kind: {
            name: {figure: float(np.mean([seed[figure] for seed in seeds])) for figure in seeds[0]}
            for name, seeds in names.items()
        }
        for kind, names in kinds.items()
    }
    attacks, scores = means["attacks"], means["membership"]
    least = min(attacks, key=lambda name: attacks[name]["error"])
    most = max(attacks, key=lambda name: (attacks[name]["right"], -attacks[name]["error"]))
    score = max(scores, key=lambda name: scores[name]["auc"])
    cell: dict[str, Any] = {
        "error": attacks[least]["error"],
        "error_by": least,
        "right": attacks[most]["right"],
        "right_by": most,
        "right_over_seeds": [figures["right"] for figures in kinds["attacks"][most]],
        "exact": max(figures["exact"] for figures in attacks.values()),
        "auc": scores[score]["auc"],
        "auc_by": score,
        "attacks": attacks,
    }
    if "two versions" in means:
        cell["two_versions"] = means["two versions"]["difference"]
    return cell


def count(load: float, d: int) -> int:
    return max(1, round(load * d))


def heading(load: float) -> str:
    return f"{load:g}" if load else "one image"


def measure(name: str) -> dict[str, Any]:
    """Attack every memory of one kind of images."""
    loads, n_public, levels = SEEDS[name], PUBLIC[name], LEVELS[name]
    pixels, labels = material(name, levels)
    d = pixels.shape[1]
    found = Found()
    for seed in range(max(loads.values())):
        order = np.random.default_rng(seed).permutation(len(pixels))
        public, rest = pixels[order[:n_public]], order[n_public:]
        cases = memories(public, levels, seed)
        for load in [load for load, seeds in loads.items() if seed < seeds]:
            n = count(load, d)
            others = rest[n : n + max(FEWEST_OTHERS, 10 * n)]
            sets = (pixels[rest[:n]], pixels[others], public)
            grey = Target(*sets, levels, seed, labels[rest[:n]], labels[others])
            white = Target(*map(black_and_white, sets), 1, seed, labels[rest[:n]], labels[others])
            references(found, heading(load), grey, white)
            for case in cases:
                start = time.perf_counter()
                (white if case.black_and_white else grey).attack(case, heading(load), found)
                found.seconds[case.name] += time.perf_counter() - start
            print(f"{name}, seed {seed}, {n} images: {sum(found.seconds.values()):.0f} s", flush=True)
    return {
        "pixels": d,
        "pixels_ever_on": int(pixels.any(axis=0).sum()),
        "public": n_public,
        "stored": {heading(load): count(load, d) for load in loads},
        "seeds": {heading(load): seeds for load, seeds in loads.items()},
        "memories": found.means(),
        "seconds": {memory: round(seconds, 1) for memory, seconds in found.seconds.items()},
    }


class Target:
    """Stored images, others, and the attacker who is after them."""

    def __init__(
        self,
        stored: Floats,
        others: Floats,
        public: Floats,
        levels: int,
        seed: int,
        labels: NDArray[np.int64],
        labels_of_others: NDArray[np.int64],
    ) -> None:
        self.stored, self.others, self.labels, self.labels_of_others = stored, others, labels, labels_of_others
        self.attacker = Attacker(public, levels, seed)
        self.mean = public.mean(axis=0)
        self._done: dict[tuple[str, bytes, int], Figures] = {}

    def judge(self, answers: Floats) -> Figures:
        """Compare answers with what was stored."""
        return judge(answers, self.stored, self.others, self.mean, self.attacker.levels)

    def attack(self, case: Case, load: str, found: Found) -> None:
        """Write the memory, run every attack on its file, and judge what comes back."""
        state = case.write(self.stored, self.labels)
        for name, attack in case.attacks(state, self.attacker).items():
            found.add(case.name, load, "attacks", name, self._once(attack))
        asked, n = np.concatenate([self.stored, self.others[:MOST_SCORED]]), len(self.stored)
        for name, scores in case.membership(state, self.attacker, asked).items():
            found.add(case.name, load, "membership", name, {"auc": auc(scores[:n], scores[n:])})
        for image, label in zip(self.others[:MORE, None], self.labels_of_others[:MORE], strict=True):
            after = case.write(np.concatenate([self.stored, image]), np.append(self.labels, label))
            answer = case.difference(state, after, self.attacker)
            judged = judge(answer[None], image, self.others[MORE:], self.mean, self.attacker.levels)
            found.add(case.name, load, "two versions", "difference", judged)

    def _once(self, attack: Callable[[], Floats]) -> Figures:
        if not isinstance(attack, Shared):
            return self.judge(attack())
        if attack.key not in self._done:
            self._done[attack.key] = self.judge(attack())
        return self._done[attack.key]


def references(found: Found, load: str, grey: Target, white: Target) -> None:
    """Judge an attacker who has the images themselves, and one who has no file."""
    index = Index()
    index.write(grey.stored)
    keys = np.asarray(index.state()["keys"], np.float64)
    found.add("index", load, "attacks", "read", grey.judge(keys))
    scores = [-squares(images, keys).min(axis=1) for images in (grey.stored, grey.others[:MOST_SCORED])]
    found.add("index", load, "membership", "distance", {"auc": auc(*scores)})
    for name, target in (("nothing", grey), ("nothing, black and white", white)):
        n, public = len(target.stored), target.attacker.public
        found.add(name, load, "attacks", "mean image", target.judge(target.mean[None]))
        found.add(name, load, "attacks", "public images", target.judge(target.attacker.guesses(n)))
        found.add(name, load, "attacks", "prototypes", target.judge(prototypes(public, n, target.attacker.seed)))
        scores = [-squares(images, public).min(axis=1) for images in (target.stored, target.others[:MOST_SCORED])]
        found.add(name, load, "membership", "distance to the public", {"auc": auc(*scores)})


def main() -> None:
    """Measure, print and record."""
    names = [name for name in SEEDS if name == "digits" or mnist().name.startswith(name)]
    result = {name: measure(name) for name in names}
    for name, of in result.items():
        print(f"{name}: right / error of the best attack, at images a pixel of {', '.join(of['stored'])}")
        for memory, loads in of["memories"].items():
            print(f"  {memory:48}", " ".join(f"{c['right']:.2f}/{c['error']:.2f}" for c in loads.values()))
    seeds = range(max(max(SEEDS[name].values()) for name in names))
    print(record("privacy", QUESTION, result, seeds, peers=["scikit-learn"]))


if __name__ == "__main__":
    main()

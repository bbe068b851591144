"""Does a memory that is attached to a trained model make it better without training, and how much moves into weights?

Three questions, each with the layer before the head as the cue, 32 memories, weight and temperature on validation:

``domain``   a GRU (128 units, word by word) has read the World, Sports and Business news of AG News. The memory is
             given 1,200 items of Sci/Tech. Perplexity on other items of Sci/Tech, and on the news that it knew.
``images``   a CNN has learned 14,000 images of Fashion-MNIST for two epochs. The memory is given the same images.
``classes``  the CNN has learned classes 0 to 7. The memory is given images of all ten.

Beside them, on the same features: one nearest neighbour, a kNN of cosines with its own temperature, and that kNN mixed
in with a weight of its own, both exact in torch. ``distilled`` learned from what the model predicts with memory, on the
examples stored, without targets. Accuracy and loss are on test data that nothing was chosen on.

``--quick`` takes a fraction of the data and writes no result; ``--only images --seeds 1`` takes a part.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
import re
import time
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from material.timing import rounded
from mossy.nn.beside import Attached, attach, distill, score, widen
from mossy.nn.beside.mixture import TEMPERATURES, calibrated, mixture, votes
from record import data_dir, record

QUESTION = "Does a memory attached to a trained model make it better without training, and what moves into the weights?"
SEEDS = {"domain": range(3), "images": range(5), "classes": range(5)}
K = 32
UNITS, RARE, LENGTH = 128, 3, 40  # of the GRU; occurrences of a word that is known; words of an item
WORD = re.compile(r"[a-z]+|\d+|[.,;:!?$%']")
BATCH = 64
LEARNING = 1e-3

Batches = list[tuple[Tensor, Tensor]]


# --- what is learned -----------------------------------------------------------------------------


class Network(nn.Module):
    """Two convolutions and a hidden layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 49, 64), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(64, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits."""
        return self.head(self.body(x))


class Language(nn.Module):
    """A recurrent language model."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.embed, self.gru = nn.Embedding(words, UNITS), nn.GRU(UNITS, UNITS, batch_first=True)
        self.head = nn.Linear(UNITS, words)

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits of every next word."""
        return self.head(self.gru(self.embed(x))[0])


def learn(model: nn.Module, data: Batches, epochs: int, seed: int) -> nn.Module:
    """Train by Adam on the targets."""
    optimizer, random = torch.optim.Adam(model.parameters(), LEARNING), np.random.default_rng(seed)
    model.train()
    for _ in range(epochs):
        for i in random.permutation(len(data)):
            x, y = data[i]
            optimizer.zero_grad()
            F.cross_entropy(model(x).flatten(0, -2), y.flatten(), ignore_index=-100).backward()
            optimizer.step()
    return model.eval()


def batches(x: Tensor, y: Tensor, size: int = BATCH) -> Batches:
    return list(zip(x.split(size), y.split(size), strict=True))


# --- baselines -----------------------------------------------------------------------------------


@torch.no_grad()
def examined(attached: Attached, data: Batches) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-probabilities of the model alone, cues and targets of all data."""
    parts = []
    for x, y in data:
        logits, keys = attached.run(x)
        kept = y.flatten() != -100
        parts.append((attached.log_model(logits.flatten(0, -2))[kept], keys[kept], y.flatten()[kept]))
    log_p, keys, targets = (torch.cat(part) for part in zip(*parts, strict=True))
    return log_p, keys, targets


def neighbours(cues: Tensor, keys: Tensor, targets: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the cosines and the targets of the ``k`` nearest."""
    keys, found = F.normalize(keys, dim=1), []
    for part in F.normalize(cues, dim=1).split(512):
        fit, at = (part @ keys.T).topk(k)
        found.append((fit, targets[at]))
    fit, near = (torch.cat(part) for part in zip(*found, strict=True))
    return fit, near


def told(log_p: Tensor, y: Tensor) -> dict[str, float]:
    right = (log_p.argmax(1) == y).double().mean()
    return {"loss": F.nll_loss(log_p, y).item(), "accuracy": right.item()}


def baselines(attached: Attached, stored: Batches, validation: Batches, test: Batches) -> dict[str, dict[str, float]]:
    """Return how well neighbours on the same features predict, alone and mixed in."""
    _, keys, targets = examined(attached, stored)
    known, cues, y = examined(attached, test)
    known_v, cues_v, y_v = examined(attached, validation)
    fit, near = neighbours(cues, keys, targets, K)
    fit_v, near_v = neighbours(cues_v, keys, targets, K)
    classes = known.shape[1]
    nearest = torch.cat([targets[torch.cdist(part, keys).argmin(1)] for part in cues.split(512)])
    right = {t: (votes(fit_v, near_v, t, classes).argmax(1) == y_v).double().mean().item() for t in TEMPERATURES}
    best = max(right, key=lambda t: right[t])
    chosen = calibrated(known_v.gather(1, y_v[:, None])[:, 0], fit_v, near_v == y_v[:, None], adaptive=False)
    mixed = mixture(known, votes(fit, near, chosen.temperature, classes), torch.full((len(y),), chosen.weight))
    return {
        "nearest neighbour": {"accuracy": (nearest == y).double().mean().item()},
        "cosine kNN": {"accuracy": (votes(fit, near, best, classes).argmax(1) == y).double().mean().item()},
        "model and cosine kNN": told(mixed, y),
    }


# --- the questions -------------------------------------------------------------------------------


def measure(
    model: nn.Module, classes: int | None, stored: Batches, validation: Batches, test: Batches, epochs: int,
    elsewhere: Batches | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Return how well a model predicts alone, with memory, and after distillation, and what that cost."""
    attached = attach(model, "head", side="input", k=K, classes=classes)
    start = time.process_time()
    for x, y in stored:
        attached.store(x, y)
    kept = time.process_time()
    calibration = attached.calibrate(validation)
    student = attached.copy_of_model()
    if classes is not None:
        student.head = widen(student.head, classes)
    ready = time.process_time()
    done = distill(attached, [x for x, _ in stored], student=student, test=test, epochs=epochs)
    spent = time.process_time() - ready
    rows: dict[str, Any] = {
        "model": vars(done.before), "with memory": vars(done.memory), "distilled": vars(done.after)
    }  # fmt: skip
    rows |= baselines(attached, stored, validation, test)
    if elsewhere is not None:
        teachers: dict[str, nn.Module] = {"model": model, "with memory": attached, "distilled": done.model}
        for name, one in teachers.items():
            rows[name] = rows[name] | {"elsewhere": score(one, elsewhere).loss}
    return {
        "rows": rows,
        "kept": done.kept,
        "kept_accuracy": done.kept_accuracy,
        "memories": len(attached.memory),
        "weight": calibration.weight,
        "slope": calibration.slope,
        "temperature": calibration.temperature,
        "store_cpu_s": kept - start,
        "distill_cpu_s": spent,
    }


def images(seed: int, quick: bool, classes: int) -> dict[str, Any]:
    """Return what a memory adds to a CNN that has learned the first ``classes`` of Fashion-MNIST."""
    held = np.load(data_dir("fashion_mnist") / "fashion_mnist.npz")
    order = np.random.default_rng(seed).permutation(len(held["train_images"]))
    x, y = torch.from_numpy(held["train_images"][order]), torch.from_numpy(held["train_labels"][order]).long()
    x, seen = (images.float()[:, None] / 255 for images in (x, torch.from_numpy(held["test_images"])))
    n = 1500 if quick else 14_000
    stored, validation = batches(x[:n], y[:n]), batches(x[14_000:16_000], y[14_000:16_000])
    test = batches(seen, torch.from_numpy(held["test_labels"]).long())
    torch.manual_seed(seed)
    known = y[:n] < classes
    model = learn(Network(classes), batches(x[:n][known], y[:n][known]), 2, seed)
    return measure(model, None if classes == 10 else 10, stored, validation, test, 3)


def domain(seed: int, quick: bool) -> dict[str, Any]:
    """Return what a memory of news on science and technology adds to a model that has read other news."""
    with gzip.open(data_dir("ag_news") / "ag_news_test.tsv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    texts: dict[bool, list[list[str]]] = {False: [], True: []}
    for row in rows:
        texts[row["label"] == "Sci/Tech"].append(WORD.findall(row["text"].lower())[:LENGTH])
    random = np.random.default_rng(seed)
    for some in texts.values():
        random.shuffle(some)
    old, new = texts[False][: 800 if quick else None], texts[True][: 700 if quick else 1800]
    part = len(new) // 6
    read, held = old[:-300], old[-300:]
    words = [word for word, n in Counter(w for text in read + new[: -2 * part] for w in text).items() if n >= RARE]
    number = {word: i + 2 for i, word in enumerate(sorted(words))}  # 0 begins, 1 is any other word

    def coded(some: list[list[str]]) -> Batches:
        some = sorted(some, key=len)
        parts = []
        for first in range(0, len(some), BATCH):
            lines = some[first : first + BATCH]
            y = torch.full((len(lines), max(map(len, lines))), -100)
            for row, line in zip(y, lines, strict=True):
                row[: len(line)] = torch.tensor([number.get(word, 1) for word in line])
            parts.append((F.pad(y.clamp_min(0)[:, :-1], (1, 0)), y))
        return parts

    torch.manual_seed(seed)
    model = learn(Language(len(number) + 2), coded(read), 1 if quick else 4, seed)
    stored, validation, test = coded(new[: -2 * part]), coded(new[-2 * part : -part]), coded(new[-part:])
    return measure(model, None, stored, validation, test, 4, coded(held)) | {"words": len(number) + 2}


ASKED = {
    "domain": domain,
    "images": lambda seed, quick: images(seed, quick, 10),
    "classes": lambda seed, quick: images(seed, quick, 8),
}


def summary(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return means and deviations over the seeds."""
    rows: dict[str, Any] = {}
    for name, row in runs[0]["rows"].items():
        rows[name] = {}
        for what in row:
            values = [run["rows"][name][what] for run in runs]
            rows[name][what] = rounded(np.mean(values))
            rows[name][f"{what}_sd"] = rounded(np.std(values))
        for what in ("loss", "elsewhere"):
            if what in rows[name]:
                rows[name][f"perplexity_{what}"] = rounded(math.exp(rows[name][what]))
    single = {what: [run[what] for run in runs] for what in runs[0] if what != "rows"}
    return {"rows": rows} | {
        what: {"mean": rounded(np.mean(values)), "least": rounded(min(values))} for what, values in single.items()
    }


def shown(name: str, found: dict[str, Any]) -> Iterable[str]:
    for row, values in found["rows"].items():
        means = {what: value for what, value in values.items() if not what.endswith("_sd") and what != "n"}
        told_of = ", ".join(f"{what} {value:.4g}" for what, value in means.items())
        yield f"{name:8} {row:22} {told_of}"
    yield f"{name:8} kept {found['kept']}, of accuracy {found['kept_accuracy']}"


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="a fraction of the data, one seed; writes no result")
    ask.add_argument("--only", choices=ASKED, help="one question; writes no result")
    ask.add_argument("--seeds", type=int, help="so many seeds; writes no result")
    given = ask.parse_args()
    torch.set_num_threads(1)  # what is asked is not how fast
    results = {}
    for name, run in ASKED.items():
        if given.only in (None, name):
            seeds = list(SEEDS[name])[: 1 if given.quick else given.seeds]
            results[name] = summary([run(seed, given.quick) for seed in seeds]) | {"seeds": seeds}
            print(*shown(name, results[name]), sep="\n", flush=True)
    if not (given.quick or given.only or given.seeds):
        record("nn_attach", QUESTION, results, SEEDS["images"], ["torch"])


if __name__ == "__main__":
    main()

"""How much CPU time does it take to train a head on a frozen trunk, from stored activations and through the trunk?

The trunk is a small convolutional network (``material.frames``) that was trained on the classes 0 to 4 of
Fashion-MNIST, up to its pooling (1,568 units) and up to its last hidden layer (256 units). A head for all ten classes
(one layer; Adam, batches of 256) learns from 10,000 images of all classes for up to 20 epochs; after each, the
accuracy on 2,000 images for validation is taken.

- through the trunk: each epoch runs it on all images, without gradients, and on those for validation;
- from memory: ``features`` runs it once, and stores float16.

Both draw the same order and start with the same head. The goal is the best accuracy that the head reaches through the
trunk; CPU time to it, writing included, two threads. For both, the time of all 20 epochs is given too.

``--quick`` takes a tenth of the images and 3 epochs, and writes nothing.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from material.frames import Network, images, trained
from material.timing import rounded
from mossy.nn.intermediate import features
from record import record

QUESTION = "How much CPU time does it take to train a head on a frozen trunk, from memory and through the trunk?"
SEEDS = range(3)
LEARNED, HELD, EPOCHS, BATCH, WIDTH = 10_000, 2000, 20, 256, 16
LAYERS = {"pooling": ("trunk.11", 49 * 2 * WIDTH), "hidden": ("trunk", 256)}
TRUNK_EPOCHS = 2

Batches = Callable[[torch.Generator], Iterator[tuple[Tensor, Tensor]]]


def curve(head: nn.Linear, batches: Batches, held: Batches, epochs: int, seed: int, start: float) -> list[list[float]]:
    """Train a head; return after each epoch the CPU time since ``start`` and the accuracy on what is held out."""
    optimizer = torch.optim.Adam(head.parameters(), 1e-3)
    order = torch.Generator().manual_seed(seed)
    points = []
    for _ in range(epochs):
        for h, y in batches(order):
            optimizer.zero_grad()
            functional.cross_entropy(head(h.flatten(1)), y).backward()
            optimizer.step()
        with torch.no_grad():
            right = [(head(h.flatten(1)).argmax(1) == y).float() for h, y in held(order)]
        points.append([time.process_time() - start, float(torch.cat(right).mean())])
    return points


def head(units: int, seed: int) -> nn.Linear:
    torch.manual_seed(seed)
    return nn.Linear(units, 10)


def through(model: Network, layer: str, units: int, learn: Any, hold: Any, epochs: int, seed: int) -> list[list[float]]:
    """Train a head through the trunk."""
    trunk = model.trunk if layer == "trunk" else model.trunk[: int(layer.split(".")[1]) + 1]

    def batches(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        for rows in torch.randperm(len(learn[0]), generator=generator).split(BATCH):
            with torch.no_grad():
                h = trunk(learn[0][rows])
            yield h, learn[1][rows]

    def held(generator: torch.Generator) -> Iterator[tuple[Tensor, Tensor]]:
        return ((trunk(x), y) for x, y in zip(hold[0].split(BATCH), hold[1].split(BATCH), strict=True))

    start = time.process_time()
    return curve(head(units, seed), batches, held, epochs, seed, start)


def remembered(
    model: Network, layer: str, units: int, learn: Any, hold: Any, epochs: int, seed: int
) -> list[list[float]]:
    """Train a head from memory."""
    start = time.process_time()
    learning = features(model, layer, learn, dtype="float16")
    holding = features(model, layer, hold, dtype="float16")
    return curve(
        head(units, seed),
        lambda order: learning.batches(BATCH, generator=order),
        lambda order: holding.batches(BATCH, shuffle=False),
        epochs,
        seed,
        start,
    )


def measure(seed: int, quick: bool) -> dict[str, dict[str, float]]:
    """Return CPU times to the goal and in all, for each layer."""
    part = 10 if quick else 1
    x, y = images("train")
    known = y < 5
    model = trained(x[known][: LEARNED // part], y[known][: LEARNED // part], TRUNK_EPOCHS, seed, width=WIDTH)
    rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    learn, hold = rows[: LEARNED // part], rows[-HELD // part :]
    found = {}
    for name, (layer, units) in LAYERS.items():
        given = (model, layer, units, (x[learn], y[learn]), (x[hold], y[hold]), 3 if quick else EPOCHS, seed)
        slow, fast = through(*given), remembered(*given)
        goal = max(accuracy for _, accuracy in slow)
        to_goal = [next((cpu for cpu, reached in points if reached >= goal), None) for points in (slow, fast)]
        found[name] = {
            "goal": rounded(goal),
            "through_s": rounded(to_goal[0]),
            "memory_s": None if to_goal[1] is None else rounded(to_goal[1]),
            "times_less": None if to_goal[1] is None else rounded(to_goal[0] / to_goal[1]),
            "best_from_memory": rounded(max(accuracy for _, accuracy in fast)),
            "times_less_in_all": rounded(slow[-1][0] / fast[-1][0]),
            "first_epoch_from_memory_s": rounded(fast[0][0]),
        }
    return found


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="a tenth of the images, 3 epochs; writes no result")
    ask.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds")
    given = ask.parse_args()
    torch.set_num_threads(2)
    rows = []
    for seed in SEEDS[: 1 if given.quick else given.seeds]:
        rows.append(measure(seed, given.quick))
        print(seed, rows[-1], flush=True)
    if not given.quick and len(rows) == len(SEEDS):
        result = {"images": LEARNED, "validation": HELD, "epochs": EPOCHS, "seeds": rows}
        record("nn_features", QUESTION, result, SEEDS, ("torch",))


if __name__ == "__main__":
    main()

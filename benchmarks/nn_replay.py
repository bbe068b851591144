"""Which replay lets a network learn classes that come two at a time, from the same few examples?

Ten classes come in five parts of two; one head of ten outputs, nothing says which part an image is of. A network
784-256-256-10 learns each part in five passes, batches of 32, with stochastic gradient descent, and replays 32 examples
a step from a buffer of 200 or 500 images. 5,000 training images of MNIST and of Fashion-MNIST, 10,000 and 2,000 to
test. The same for all: network, first weights by seed, buffer, passes, batches, examples replayed a step.

- ``mossy``: ``drive`` with a ``ReplayMemory``, and ``consolidate`` in the end, a sleep. Awake it replays 16 examples a
  step, and asleep what is left of 32 a step: no more in all than the others. ``mossy, no sleep`` replays 32 a step.
- ``replay``, ``DER++``: as Avalanche has them, if it is installed (see ``material/continual.py``), which fill the
  buffer after each part; and written here after the papers: reservoir, uniform draws, and of DER++ half of the replayed
  examples for the stored outputs and half for the labels (Buzzega et al. 2020, arXiv:2004.07211, algorithm 2), or all
  of them for both, as is better.
- ``ER-ACE``: Caccia et al. 2022, arXiv:2104.05025; written here.
- Bounds: nothing replayed; GDumb (Prabhu et al. 2020), trained on the buffer alone; and all classes at once.
- Settings are chosen on a fifth of the training images with the first seed; the rates to choose among are the same for
  all. Five seeds: first weights and order. CPU time on one thread, to learn.

``--quick`` runs one seed of one buffer on the digits of scikit-learn and writes no result. ``--only NAME`` runs methods
whose names contain it, and writes none either.
"""

from __future__ import annotations

import argparse
import io
import itertools
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from material import continual
from material.streams import Labelled, digits, fashion, mnist
from mossy.nn.replay import ReplayMemory, consolidate, drive
from record import record

SEEDS = 5
CLASSES, TOGETHER = 10, 2
BUFFERS = (200, 500)
BATCH, REPLAY, PASSES = 32, 32, 5
AWAKE = 16  # that mossy replays a step; the rest it replays asleep
IMAGES = 5000
WIDTH = 256
RATES = (0.05, 0.1)
QUESTION = "Which replay lets a network learn classes that come two at a time, from the same few examples?"

Setting = dict[str, Any]
# x, y, buffer, seed, setting → the network
Learn = Callable[[Tensor, Tensor, int, int, Setting], nn.Module]


def network(inputs: int, seed: int) -> nn.Sequential:
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Linear(inputs, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, CLASSES)
    )


def parts(y: Tensor, seed: int, together: int = TOGETHER) -> Iterator[tuple[bool, Tensor]]:
    """Yield whether rows are shown for the first time, and the rows of a batch."""
    rng = np.random.default_rng(seed)
    for first in range(0, CLASSES, together):
        rows = np.flatnonzero((y.numpy() >= first) & (y.numpy() < first + together))
        for turn in range(PASSES):
            for batch in torch.from_numpy(rng.permutation(rows)).split(BATCH):
                yield turn == 0, batch


def sgd(model: nn.Module, setting: Setting) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=setting["rate"])


def step(optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


# --- who learns --------------------------------------------------------------------------------------


def mossy(awake: int) -> Learn:
    """Return mossy, that replays so many examples a step, and the rest in the end."""

    def learn(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
        model, memory = network(x.shape[1], seed), ReplayMemory(buffer, seed=seed)
        optimizer, rest = sgd(model, setting), 0
        loss, match = setting["loss"], setting["match"]
        for new, rows in parts(y, seed):
            rest += max(min(REPLAY, len(memory)) - awake, 0)
            drive(memory, model, optimizer, x[rows], y[rows], replay=awake, loss=loss, match=match, store=new)
        if rest:
            memory.reconsolidate(model)
            asleep: Setting = {"batches": rest // REPLAY, "batch": REPLAY, "by": "uniform", "match": match}
            consolidate(memory, model, optimizer=optimizer, seed=seed, **asleep)
        return model

    return learn


class Reservoir:
    """A random sample of all that came, with what the network said of it (Vitter 1985)."""

    def __init__(self, room: int, inputs: int, seed: int) -> None:
        self.room, self.came, self.random = room, 0, np.random.default_rng(seed)
        self.x, self.y, self.z = torch.zeros(room, inputs), torch.zeros(room, dtype=torch.long), torch.zeros(room, 10)

    def __len__(self) -> int:
        return min(self.came, self.room)

    def store(self, x: Tensor, y: Tensor, z: Tensor) -> None:
        """Take each over with the odds ``room / came``."""
        for i in range(len(x)):
            place = self.came if self.came < self.room else int(self.random.integers(self.came + 1))
            self.came += 1
            if place < self.room:
                self.x[place], self.y[place], self.z[place] = x[i], y[i], z[i]

    def draw(self, n: int) -> Tensor:
        """Return places, without repeats."""
        return torch.from_numpy(self.random.choice(len(self), min(n, len(self)), replace=False))


def written(kind: str) -> Learn:
    """Return replay, DER++ or ER-ACE after their papers."""

    def learn(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
        model, memory = network(x.shape[1], seed), Reservoir(buffer, x.shape[1], seed)
        optimizer = sgd(model, setting)
        for new, rows in parts(y, seed):
            a, b = x[rows], y[rows]
            n = len(a)
            if not len(memory):
                z = model(a)
                loss = F.cross_entropy(z, b)
            elif kind == "DER++":
                one, two = memory.draw(REPLAY // 2), memory.draw(REPLAY // 2)
                old = torch.cat([one, two])
                z = model(torch.cat([a, memory.x[old]]))
                half = slice(None) if setting["draws"] == "both" else slice(len(one))
                rest = slice(None) if setting["draws"] == "both" else slice(len(one), None)
                loss = F.cross_entropy(z[:n], b)
                loss = loss + setting["alpha"] * F.mse_loss(z[n:][half], memory.z[old][half])
                loss = loss + setting["beta"] * F.cross_entropy(z[n:][rest], memory.y[old][rest])
            else:
                old = memory.draw(REPLAY)
                z = model(torch.cat([a, memory.x[old]]))
                if kind == "ER-ACE":
                    absent = torch.ones(CLASSES, dtype=torch.bool).index_fill(0, b, False)
                    loss = F.cross_entropy(z[:n].masked_fill(absent, -1e9), b) + F.cross_entropy(z[n:], memory.y[old])
                else:
                    loss = F.cross_entropy(z, torch.cat([b, memory.y[old]]))
            step(optimizer, loss)
            if new:
                memory.store(a, b, z[:n].detach())
        return model

    return learn


def avalanche(kind: str) -> Learn:
    """Return replay or DER++ of Avalanche."""

    def learn(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
        supervised = continual._loaded()
        from avalanche.training.plugins import EvaluationPlugin

        model = network(x.shape[1], seed)
        given: Setting = {"mem_size": buffer, "train_mb_size": BATCH, "train_epochs": PASSES}
        if kind == "DER":
            given |= {"batch_size_mem": REPLAY, "alpha": setting["alpha"], "beta": setting["beta"]}
        learner = getattr(supervised, kind)(
            model=model,
            optimizer=sgd(model, setting),
            criterion=nn.CrossEntropyLoss(),
            evaluator=EvaluationPlugin(loggers=[]),
            eval_mb_size=500,
            **given,
        )
        with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):  # progress, at length
            for part in stream(x, y, seed):
                learner.train(part)
        return model

    return learn


def stream(x: Tensor, y: Tensor, seed: int) -> Any:
    """Return the parts as Avalanche wants them."""
    from avalanche.benchmarks import nc_benchmark

    rows = torch.from_numpy(np.random.default_rng(seed).permutation(len(y)))
    told = torch.utils.data.TensorDataset(x[rows], y[rows])
    told.targets = y[rows].tolist()
    order = list(range(CLASSES))
    return nc_benchmark(told, told, CLASSES // TOGETHER, False, shuffle=False, fixed_class_order=order).train_stream


def tuned(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
    """Learn part after part, and replay nothing."""
    model = network(x.shape[1], seed)
    optimizer = sgd(model, setting)
    for _, rows in parts(y, seed):
        step(optimizer, F.cross_entropy(model(x[rows]), y[rows]))
    return model


def at_once(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
    """Learn all classes together: nothing is to be remembered."""
    model = network(x.shape[1], seed)
    optimizer = sgd(model, setting)
    for _, rows in parts(y, seed, CLASSES):
        step(optimizer, F.cross_entropy(model(x[rows]), y[rows]))
    return model


def gdumb(x: Tensor, y: Tensor, buffer: int, seed: int, setting: Setting) -> nn.Module:
    """Keep a balanced sample, and learn it alone at the end: as many examples as the others replay."""
    model, memory = network(x.shape[1], seed), ReplayMemory(buffer, seed=seed)
    steps = 0
    for new, rows in parts(y, seed):
        steps += 1
        if new:
            memory.store(x[rows], y[rows])
    consolidate(memory, model, batches=steps, batch=REPLAY, by="uniform", optimizer=sgd(model, setting), seed=seed)
    return model


def options(**choices: tuple[Any, ...]) -> list[Setting]:
    """Return all settings."""
    return [dict(zip(choices, chosen, strict=True)) for chosen in itertools.product(*choices.values())]


def methods() -> dict[str, tuple[Learn, list[Setting]]]:
    """Return who learns, with the settings to choose among."""
    dark = options(rate=RATES, alpha=(0.5, 0.2), beta=(1.0, 0.5))
    mine = options(rate=RATES, match=(0.2, 0.5), loss=("symmetric", "asymmetric"))
    rows: dict[str, tuple[Learn, list[Setting]]] = {
        "mossy": (mossy(AWAKE), mine),
        "mossy, no sleep": (mossy(REPLAY), [one for one in mine if one["loss"] == "symmetric"]),
        "DER++": (written("DER++"), [one | {"draws": draws} for one in dark for draws in ("both", "halves")]),
        "ER-ACE": (written("ER-ACE"), options(rate=RATES)),
        "replay": (written("replay"), options(rate=RATES)),
    }
    if continual.available():
        rows["DER++ (Avalanche)"] = (avalanche("DER"), dark)
        rows["replay (Avalanche)"] = (avalanche("Replay"), options(rate=RATES))
    else:
        print("Avalanche is not installed: its rows are left out.")
    return rows | {
        "GDumb": (gdumb, options(rate=RATES)),
        "nothing replayed": (tuned, options(rate=RATES)),
        "all classes at once": (at_once, options(rate=RATES)),
    }


# --- measuring ---------------------------------------------------------------------------------------


def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    model.eval()
    with torch.no_grad():
        return float((model(x).argmax(1) == y).float().mean())


def choose(learn: Learn, settings: list[Setting], x: Tensor, y: Tensor, buffer: int) -> Setting:
    """Return the setting that is best on a fifth of the images."""
    rows = torch.from_numpy(np.random.default_rng(0).permutation(len(y)))
    seen, held = rows[len(y) // 5 :], rows[: len(y) // 5]
    scores = [accuracy(learn(x[seen], y[seen], buffer, 0, setting), x[held], y[held]) for setting in settings]
    return settings[int(np.argmax(scores))]


def measure(learn: Learn, setting: Setting, images: tuple[Tensor, ...], buffer: int, seeds: int) -> dict[str, Any]:
    x, y, t, u = images
    found, cpu = [], []
    for seed in range(seeds):
        start = time.process_time()
        model = learn(x, y, buffer, seed, setting)
        cpu.append(time.process_time() - start)
        found.append(accuracy(model, t, u))
    return {
        "setting": ", ".join(f"{name}={value}" for name, value in setting.items()),
        "accuracy": np.mean(found),
        "deviation": np.std(found),
        "cpu_s": np.median(cpu),
    }


def tensors(images: Labelled) -> tuple[Tensor, ...]:
    """Return images and classes to learn from, at most 5,000, and those to test."""
    x, y, t, u = images.split(0)
    rows = np.random.default_rng(0).permutation(len(y))[:IMAGES]
    return torch.from_numpy(x[rows]), torch.from_numpy(y[rows]).long(), torch.from_numpy(t), torch.from_numpy(u).long()


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="the digits, one seed; writes no result")
    ask.add_argument("--only", default="", help="methods whose names contain this; writes no result")
    ask.add_argument("--seeds", type=int, default=SEEDS, help="other than 5 writes no result")
    ask.add_argument("--first", action="store_true", help="the first setting of each; writes no result")
    asked = ask.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    sets = [digits()] if asked.quick else [mnist(), fashion()]
    seeds, result = 1 if asked.quick else asked.seeds, {}
    for images, buffer in itertools.product(sets, BUFFERS[:1] if asked.quick else BUFFERS):
        given, rows = tensors(images), {}
        for name, (learn, settings) in methods().items():
            if asked.only not in name:
                continue
            few = settings[:1] if asked.quick or asked.first else settings
            setting = choose(learn, few, *given[:2], buffer) if len(few) > 1 else few[0]
            rows[name] = row = measure(learn, setting, given, buffer, seeds)
            show(images.name, buffer, name, row)
        result[f"{images.name}, {buffer}"] = rows
    if not asked.quick and not asked.first and not asked.only and seeds == SEEDS:
        peers = ["torch"] + (["avalanche-lib"] if continual.available() else [])
        told = {"passes": PASSES, "batch": BATCH, "replayed": REPLAY, "images": IMAGES, "cells": result}
        record("nn_replay", QUESTION, told, range(SEEDS), peers)


def show(images: str, buffer: int, name: str, row: dict[str, Any]) -> None:
    print(
        f"{images:14}{buffer:5}  {name:30}{row['accuracy']:.4f} ± {row['deviation']:.4f}{row['cpu_s']:8.2f} s  "
        f"{row['setting']}",
        flush=True,
    )


if __name__ == "__main__":
    main()

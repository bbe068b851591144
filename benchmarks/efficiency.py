"""How much CPU time does it take to a fixed validation accuracy, with a memory and without?

1. **One pass**: ``MemoryClassifier``, which sees each image once, against networks and linear models that are trained
   epoch by epoch, logistic regression and an SVC.
2. **Replay**: two classes, and then one after another come, and after each the model has to reach the accuracy on all
   so far. A ``TrainingMemory`` drives one network on, against a network that is trained anew from all images so far,
   and one that is trained further with all of them.
3. **Coreset**: a model that learns a coreset, against the same model that learns all images; beside it, random images.
4. **Transfer**: a network of convolutions knows five classes; five others come. Its features are remembered by a
   ``MemoryClassifier``, against the network that is trained further with a new last layer, and against the nearest
   neighbour and logistic regression on the same features.

The goal of a comparison is fixed beforehand (``GOALS``), about .01 below what the iterative models reach at last on
validation images of a split that is not among those measured. Time is that of all threads, on one BLAS thread, until a
fifth of the training images, held out, is told with that accuracy: storing, encoding, choosing, training, and for
models that learn at once the prediction of the held-out images. Models that are trained epoch by epoch are asked after
every epoch, and that is not counted: in their favour. Of their settings the fastest on average is taken, also in their
favour; that of mossy is the fastest that reaches the goal on that other split (an encoder: the smallest of some that
passes the goal by .01 there). Five seeds; a setting that does not reach the goal at one of them, within the most
epochs, is out of the comparison and not run at the next.

``--quick`` runs one seed on the digits and writes no result.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from threadpoolctl import threadpool_limits

from material.streams import Labelled, found
from mossy.learn import ImageEncoder, MemoryClassifier, TrainingMemory
from record import record

SEEDS = 5
BEFOREHAND = range(100, 101)  # the seed of the split that goals and settings are fixed on
MOST = 40  # epochs
REMEMBERED = 2  # times as many as are new, in a batch of the driven model
CLASSES = 10
AT_ONCE = ("SVC", "LogisticRegression", "nearest neighbour")  # not trained epoch by epoch
GOALS = {
    "digits": {"one pass": 0.97, "replay": 0.95, "coreset": 0.97, "transfer": 0.97},
    "MNIST": {"one pass": 0.97, "replay": 0.93, "coreset": 0.93, "transfer": 0.97},
}
ENCODERS: dict[str, dict[str, Any]] = {
    "digits": {"patches": 30, "size": 4},
    "MNIST": {"patches": 60, "size": 8, "bias": 0.5, "power": 0.5},
}
SHARES = {"digits": 0.2, "MNIST": 0.25}  # of the images that are a coreset

Split = tuple[Any, Any, Any, Any]
Outcome = tuple[float, float]  # CPU seconds, accuracy at the end
Run = Callable[[Split, int, float], Outcome]


# --- models that are trained epoch by epoch ------------------------------------------------------


class Convolutions:
    """A small network with two convolutions, trained with Adam; its features are what the last layer reads."""

    def __init__(self, shape: tuple[int, ...], seed: int, batch: int = 32, rate: float = 1e-3) -> None:
        torch.manual_seed(seed)
        side = shape[0] // 4
        self.batch, self.rate, self.random = batch, rate, np.random.default_rng(seed)
        self.body = torch.nn.Sequential(
            torch.nn.Unflatten(1, (1, *shape)),
            torch.nn.Conv2d(1, 16, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Conv2d(16, 32, 3, padding=1),
            torch.nn.ReLU(),
            torch.nn.MaxPool2d(2),
            torch.nn.Flatten(),
        )
        self.width = 32 * side * side
        self.renew()

    def renew(self) -> None:
        """Take a new last layer."""
        self.head = torch.nn.Linear(self.width, CLASSES)
        self.optimizer = torch.optim.Adam([*self.body.parameters(), *self.head.parameters()], lr=self.rate)

    def epoch(self, x: Any, y: Any) -> None:
        """Learn all images once."""
        order = self.random.permutation(len(x))
        for first in range(0, len(x), self.batch):
            rows = order[first : first + self.batch]
            self.optimizer.zero_grad()
            drive = self.head(self.body(torch.from_numpy(x[rows])))
            torch.nn.functional.cross_entropy(drive, torch.from_numpy(y[rows])).backward()
            self.optimizer.step()

    def features(self, x: Any) -> Any:
        """Return what the last layer reads."""
        with torch.no_grad():
            return np.concatenate([self.body(part).numpy() for part in torch.from_numpy(x).split(500)])

    def predict(self, x: Any) -> Any:
        """Return the most probable class of each."""
        with torch.no_grad():
            return self.head(torch.from_numpy(self.features(x))).argmax(dim=1).numpy()


class Estimator:
    """A model of scikit-learn that learns in batches of an epoch."""

    def __init__(self, model: Any, batch: int, seed: int) -> None:
        self.model, self.batch, self.random = model, batch, np.random.default_rng(seed)

    def epoch(self, x: Any, y: Any) -> None:
        """Learn all images once."""
        order = self.random.permutation(len(x))
        for first in range(0, len(x), self.batch):
            rows = order[first : first + self.batch]
            self.learn(x[rows], y[rows])

    def learn(self, x: Any, y: Any) -> None:
        """Learn one batch."""
        self.model.partial_fit(x, y, classes=np.arange(CLASSES))

    def predict(self, x: Any) -> Any:
        """Return the class of each."""
        return self.model.predict(x)


def networks(shape: tuple[int, ...]) -> dict[str, Callable[[int], Any]]:
    """Return models that are trained epoch by epoch, by name."""

    def mlp(batch: int, rate: float) -> Callable[[int], Any]:
        return lambda seed: Estimator(MLPClassifier((256,), learning_rate_init=rate, random_state=seed), batch, seed)

    return {
        **{f"MLPClassifier, batch {b}, rate {r}": mlp(b, r) for b, r in ((32, 1e-3), (32, 3e-3), (128, 3e-3))},
        "SGDClassifier": lambda seed: Estimator(SGDClassifier(loss="log_loss", random_state=seed), 10_000, seed),
        **{f"convolutions, rate {r}": (lambda s, r=r: Convolutions(shape, s, rate=r)) for r in (1e-3, 3e-3)},
    }


def trained(model: Any, x: Any, y: Any, v: Any, u: Any, goal: float, most: int = MOST) -> Outcome:
    """Train until the goal is reached; return the CPU time of training alone, and the accuracy."""
    spent, told = 0.0, 0.0
    for _ in range(most):
        start = time.process_time()
        model.epoch(x, y)
        spent += time.process_time() - start
        told = float((model.predict(v) == u).mean())
        if told >= goal:
            break
    return spent, told


def at_once(model: Any, x: Any, y: Any, v: Any, u: Any) -> Outcome:
    """Fit and ask; return the CPU time of both, and the accuracy."""
    start = time.process_time()
    told = model.fit(x, y).predict(v)
    return time.process_time() - start, float((told == u).mean())


# --- the four comparisons: (with mossy, without), each by name -----------------------------------


def one_pass(images: Labelled) -> tuple[dict[str, Run], dict[str, Run]]:
    """One pass against epochs."""

    def memory(**given: Any) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            encoder = ImageEncoder(shape=images.shape, random_state=seed, **given) if given else None
            return at_once(MemoryClassifier("matrix", encoder=encoder, random_state=seed), *split)

        return run

    def epochs(make: Callable[[int], Any]) -> Run:
        return lambda split, seed, goal: trained(make(seed), *split, goal)

    def logistic(split: Split, seed: int, goal: float) -> Outcome:
        return at_once(LogisticRegression(max_iter=200), *split)

    def vectors(split: Split, seed: int, goal: float) -> Outcome:
        return at_once(SVC(C=10), *split)

    ours = {"MemoryClassifier, ImageEncoder": memory(**ENCODERS[images.name]), "MemoryClassifier": memory()}
    theirs: dict[str, Run] = {name: epochs(make) for name, make in networks(images.shape).items()}
    return ours, theirs | {"LogisticRegression": logistic, "SVC": vectors}


def replay(images: Labelled) -> tuple[dict[str, Run], dict[str, Run]]:
    """One network driven on, against networks trained anew."""
    names = [name for name in networks(images.shape) if name.startswith("MLP")]

    def grown(make: Callable[[int], Any], how: str) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            x, y, v, u = split
            model, memory, spent, told = make(seed), TrainingMemory("100 MB", random_state=seed), 0.0, 1.0
            for last in range(1, CLASSES):
                known, asked = y <= last, u <= last
                new = known & (y >= last) if last > 1 else known
                if how == "driven":
                    most = MOST * int(known.sum()) // int(new.sum()) // (1 + REMEMBERED)  # as many images in all
                    more, one = trained(Driven(model, memory), x[new], y[new], v[asked], u[asked], goal, most)
                else:
                    model = make(seed) if how == "anew" else model
                    more, one = trained(model, x[known], y[known], v[asked], u[asked], goal)
                spent, told = spent + more, min(told, one)
            return spent, told

        return run

    makers = {name: networks(images.shape)[name] for name in names}
    return (
        {f"TrainingMemory + {name}": grown(make, "driven") for name, make in makers.items()},
        {f"{name}, {how}": grown(make, how) for how in ("anew", "further") for name, make in makers.items()},
    )


class Driven:
    """A model that learns new images in batches, each with twice as many that are remembered."""

    def __init__(self, model: Any, memory: TrainingMemory) -> None:
        self.model, self.memory, self.stored = model, memory, False

    def epoch(self, x: Any, y: Any) -> None:
        """Learn all new images once, with others; the memory holds them from then on."""
        order = self.model.random.permutation(len(x))
        for first in range(0, len(x), self.model.batch):
            rows = order[first : first + self.model.batch]
            new = x[rows], y[rows]
            if len(self.memory):
                old, known, _ = self.memory.replay(min(REMEMBERED * len(rows), len(self.memory)))
                new = np.concatenate([x[rows], old]), np.concatenate([y[rows], known])
            self.model.learn(*new)
        if not self.stored:
            self.memory.store(x, y)
            self.stored = True

    def predict(self, x: Any) -> Any:
        """Return the class of each."""
        return self.model.predict(x)


def coreset(images: Labelled) -> tuple[dict[str, Run], dict[str, Run]]:
    """Few images against all."""

    def chosen(split: Split, seed: int, how: str) -> tuple[float, Any, Any]:
        x, y, _, _ = split
        start = time.process_time()
        if how == "coreset":
            memory = TrainingMemory("100 MB", random_state=seed)
            memory.store(x, y)
            x, y, _ = memory.coreset(SHARES[images.name])
        elif how == "random":
            rows = np.random.default_rng(seed).choice(len(x), round(SHARES[images.name] * len(x)), replace=False)
            x, y = x[rows], y[rows]
        return time.process_time() - start, x, y

    def vectors(how: str) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            spent, x, y = chosen(split, seed, how)
            more, told = at_once(SVC(C=10), x, y, *split[2:])
            return spent + more, told

        return run

    def network(how: str, name: str) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            spent, x, y = chosen(split, seed, how)
            more, told = trained(networks(images.shape)[name](seed), x, y, *split[2:], goal)
            return spent + more, told

        return run

    mlp = "MLPClassifier, batch 32, rate 0.003"
    rows = {
        how: {f"SVC, {how}": vectors(how), f"{mlp}, {how}": network(how, mlp)} for how in ("coreset", "random", "all")
    }
    return rows["coreset"], rows["all"] | rows["random"]


def transfer(images: Labelled) -> tuple[dict[str, Run], dict[str, Run]]:
    """Features remembered against a network trained further."""

    def prepared(split: Split, seed: int, rate: float) -> tuple[Convolutions, Split]:
        x, y, v, u = split
        net = Convolutions(images.shape, seed)
        for _ in range(5):
            net.epoch(x[y < 5], y[y < 5])
        net.rate = rate
        net.renew()
        return net, (x[y >= 5], y[y >= 5], v[u >= 5], u[u >= 5])

    def tuned(rate: float) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            net, new = prepared(split, seed, rate)
            return trained(net, *new, goal)

        return run

    def known_by(make: Callable[[int], Any]) -> Run:
        def run(split: Split, seed: int, goal: float) -> Outcome:
            net, (x, y, v, u) = prepared(split, seed, 1e-3)
            start = time.process_time()
            x, v = net.features(x), net.features(v)
            spent = time.process_time() - start
            more, told = at_once(make(seed), x, y, v, u)
            return spent + more, told

        return run

    return (
        {
            "MemoryClassifier of features, index": known_by(lambda seed: MemoryClassifier("index")),
            "MemoryClassifier of features, matrix": known_by(
                lambda seed: MemoryClassifier("matrix", units=500, random_state=seed)
            ),
        },
        {f"trained further, rate {rate}": tuned(rate) for rate in (1e-3, 3e-3)}
        | {
            "nearest neighbour of features": known_by(lambda seed: KNeighborsClassifier(1)),
            "LogisticRegression of features": known_by(lambda seed: LogisticRegression(max_iter=500)),
        },
    )


COMPARISONS = {"one pass": one_pass, "replay": replay, "coreset": coreset, "transfer": transfer}


def measure(run: Run, images: Labelled, goal: float, seeds: range) -> dict[str, Any]:
    """Return the CPU time and the accuracy of the held-out images over the seeds."""
    spent, told = [], []
    for seed in seeds:
        x, y, _, _ = images.split(seed)
        x, v, y, u = train_test_split(x, y, test_size=0.2, stratify=y, random_state=seed)
        seconds, accuracy = run((x, y.astype(np.int64), v, u), seed, goal)
        spent.append(seconds)
        told.append(accuracy)
        if accuracy < goal:
            break
    return {
        "cpu_s": np.mean(spent),
        "cpu_s_least": min(spent),
        "cpu_s_most": max(spent),
        "accuracy": np.mean(told),
        "reached": int(sum(one >= goal for one in told)),
    }


def warm(images: Labelled) -> None:
    """Import and compile what is measured."""
    some = slice(None, None, max(len(images.x) // 200, 1))  # of all classes, which may come one after another
    x, y = images.x[some], images.y[some].astype(np.int64)
    for runs in (*one_pass(images), *transfer(images)):
        for run in runs.values():
            run((x, y, x, y), 0, 0.0)


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    ask.add_argument("--quick", action="store_true", help="one seed on the digits; writes no result")
    ask.add_argument("--beforehand", action="store_true", help="the split that goals are fixed on; writes no result")
    asked = ask.parse_args()
    seeds = BEFOREHAND if asked.beforehand else range(1 if asked.quick else SEEDS)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    result: dict[str, Any] = {"most_epochs": MOST, "shares": SHARES, "sets": {}}
    for images in found(asked.quick):
        if images.name not in GOALS:
            continue
        result["sets"][images.name] = {}
        warm(images)
        for kind, compared in COMPARISONS.items():
            goal = GOALS[images.name][kind]
            rows: list[dict[str, Any]] = []
            ours, theirs = compared(images)
            if not asked.beforehand:
                ours = fastest(ours, images, goal)
            for mossy, runs in ((True, ours), (False, theirs)):
                for name, run in runs.items():
                    whole = kind != "coreset" and name.startswith(AT_ONCE)  # a coreset is learned by the same model
                    rows.append({"name": name, "mossy": mossy, "at_once": whole} | measure(run, images, goal, seeds))
                    told = rows[-1]
                    print(
                        f"{images.name:7}{kind:9} ≥ {goal:.3f}  {name:55}{told['cpu_s']:8.3f} s  "
                        f"{told['accuracy']:.4f}  reached {told['reached']} of {len(seeds)}",
                        flush=True,
                    )
            times = {
                against: ratio([r for r in rows if r["mossy"] or at_once_too or not r["at_once"]], len(seeds))
                for against, at_once_too in (("epochs", False), ("all", True))
            }
            print(f"{images.name:7}{kind:9} CPU time of the best without a memory / with one: {times}", flush=True)
            result["sets"][images.name][kind] = {"goal": goal, "rows": rows, "times_less": times}
        if not asked.quick and not asked.beforehand:
            question = "How much CPU time is it to a fixed accuracy, with a memory?"
            record("efficiency", question, result, range(SEEDS), ["scikit-learn", "torch"])


def fastest(runs: dict[str, Run], images: Labelled, goal: float) -> dict[str, Run]:
    """Return the fastest that reaches the goal on the split that is not measured; all, if none does."""
    tried = {name: measure(run, images, goal, BEFOREHAND) for name, run in runs.items()}
    able = [name for name, told in tried.items() if told["reached"]]
    return {name: runs[name] for name in [min(able, key=lambda name: tried[name]["cpu_s"])]} if able else runs


def ratio(rows: list[dict[str, Any]], seeds: int) -> float | None:
    """Return the CPU time of the fastest without mossy over that of the fastest with it; None if one is missing."""
    best = {
        mossy: min((r["cpu_s"] for r in rows if r["mossy"] == mossy and r["reached"] == seeds), default=None)
        for mossy in (True, False)
    }
    return None if None in best.values() else best[False] / best[True]


if __name__ == "__main__":
    with threadpool_limits(1):
        main()

"""What does a remembered output cost, how often is it false, and how much faster is a model on a stream with repeats?

- A hit: a module is given 2 MiB and returns 2 MiB that it has returned before; beside ``joblib.Memory`` on the same
  array (its store on disk, as it is; equal tensors have different hashes there, so it is given NumPy's), and beside
  the copy alone. CPU and wall time, medians of rounds of 10 calls in turns, one thread.
- A stream of frames: a small convolutional network trained on 10,000 images of Fashion-MNIST; scenes of its test
  images that stay for 8 frames in the mean, each frame with noise of the sensor (.01), a tenth of them equal to the
  one before; 5,000 frames in batches of 32. Tolerance and margin are calibrated on a stream of other images (the
  last 10,000 for training) to a rate of .005. What is measured: false hits among near hits, changed classes, and CPU
  time beside the bare network, two threads, in turns, each from an empty cache. Three seeds.
- A stream of words: those of AG News's test file in running order, in batches of 256, through a recurrent
  network over their letters (its weights are drawn; only equal inputs are hits, so outputs do not change). Repeats are
  real.

``--quick`` takes a fiftieth of it in a narrow network and writes nothing.
"""

from __future__ import annotations

import argparse
import gzip
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from material.frames import images, stream, trained
from material.timing import in_turns, rounded
from material.traces import WORD
from mossy.nn.intermediate import Memoized, memoize
from record import data_dir, record

try:
    import joblib
except ImportError:
    raise SystemExit("joblib is not installed: pip install joblib") from None

QUESTION = "What does a remembered output cost, how often is it false, and how much faster is a model with repeats?"
SEEDS = range(3)
WORDS = 256  # of a batch
CALLS = 10  # of each way in a round
STAY, NOISE, STILL = 8.0, 0.01, 0.1
RATE = 0.005
FRAMES, BATCH, TRAINED, EPOCHS, CALIBRATED = 5000, 32, 10_000, 2, 6000


class Scaled(nn.Module):
    """Returns as many bytes as it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.by = nn.Parameter(torch.tensor(2.0), requires_grad=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the input, scaled."""
        return x * self.by


def hits(rounds: int) -> dict[str, Any]:
    """Return the time of a hit on 2 MiB."""
    x = torch.randn(512, 1024)
    module = memoize(Scaled().eval())
    module(x)
    with tempfile.TemporaryDirectory() as folder:
        remembered = joblib.Memory(folder, verbose=0).cache(double)
        remembered(x.numpy())
        ways = {
            "memoize": lambda: module(x),
            "joblib.Memory": lambda: remembered(x.numpy()),
            "copy": lambda: x.clone(),
        }
        times = in_turns({name: several(way) for name, way in ways.items()}, rounds)
    times = {name: {kind: rounded(took / CALLS) for kind, took in row.items()} for name, row in times.items()}
    return times | {"times_faster_cpu": rounded(times["joblib.Memory"]["cpu"] / times["memoize"]["cpu"])}


def several(way: Callable[[], object]) -> Callable[[int], None]:
    """Return what makes a few calls in a row, so that a way does not pay for what the other has put into the caches."""

    def calls(turn: int) -> None:
        for _ in range(CALLS):
            way()

    return calls


def double(x: Any) -> Any:
    return x * 2.0


def run(module: nn.Module, batches: list[Tensor]) -> Tensor:
    return torch.cat([module(batch) for batch in batches])


def beside(bare: nn.Module, fresh: Callable[[], Memoized], batches: list[Tensor], rounds: int) -> dict[str, Any]:
    """Return the CPU time of a stream, with memory (from empty each time) and without."""
    times = in_turns(
        {"memoized": lambda turn: run(fresh(), batches), "bare": lambda turn: run(bare, batches)}, rounds, 1
    )
    return times | {"times_faster_cpu": rounded(times["bare"]["cpu"] / times["memoized"]["cpu"])}


def frames(seed: int, quick: bool) -> dict[str, Any]:
    """Return what a stream of frames costs, and what of its answers changes."""
    part = 50 if quick else 1
    x, y = images("train")
    test, _ = images("test")
    model = trained(x[: TRAINED // part], y[: TRAINED // part], EPOCHS, seed, NOISE, width=8 if quick else 32)
    calibrating = stream(x[-10_000:], CALIBRATED // (8 if quick else 1), 100 + seed, STAY, NOISE, STILL)
    found = memoize(model, rows=True).calibrate(calibrating, rate=RATE * (100 if quick else 1))
    batches = list(stream(test, FRAMES // part, seed, STAY, NOISE, STILL).split(BATCH))

    def fresh() -> Memoized:
        return memoize(model, rows=True, tolerance=found.tolerance, margin=found.margin)

    module = fresh()
    answers, true = run(module, batches), run(model, batches)
    stats, changed = module.stats(), int((answers.argmax(1) != true.argmax(1)).sum())
    return {
        "tolerance": rounded(found.tolerance),
        "margin": rounded(found.margin),
        "bound": rounded(found.bound),
        "hits": stats.hits,
        "near_hits": stats.near_hits,
        "misses": stats.misses,
        "false_of_near": rounded(changed / max(stats.near_hits, 1)),
        "changed": rounded(changed / len(true)),
        **beside(model, fresh, batches, 1 if quick else 2),
    }


class Letters(nn.Module):
    """A recurrent network over the letters of a word."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(128, 32)
        self.read = nn.GRU(32, 256, num_layers=2, batch_first=True)

    def forward(self, letters: Tensor) -> Tensor:
        """Return the last state of each word."""
        return self.read(self.embed(letters))[0][:, -1]


def words(quick: bool) -> dict[str, Any]:
    """Return what a stream of words costs."""
    with gzip.open(data_dir("ag_news") / "ag_news_test.tsv.gz", "rt", encoding="utf-8") as file:
        text = file.read(2_000_000).lower()
    spoken = WORD.findall(text)[: 1000 if quick else 20_000]
    letters = torch.tensor([[ord(c) % 128 for c in word[:16].rjust(16)] for word in spoken])
    torch.manual_seed(0)
    model = Letters().eval().requires_grad_(False)
    batches = list(letters.split(WORDS))
    module = memoize(model, rows=True)
    answers, true = run(module, batches), run(model, batches)
    return {
        "words": len(spoken),
        "hit_ratio": rounded(module.stats().hit_ratio),
        "largest_difference": rounded((answers - true).abs().max()),
        **beside(model, lambda: memoize(model, rows=True), batches, 1 if quick else 5),
    }


def main() -> None:
    """Measure, print and record."""
    ask = argparse.ArgumentParser(description=QUESTION)
    ask.add_argument("--quick", action="store_true", help="a fiftieth of it, in a narrow network; writes no result")
    ask.add_argument("--seeds", type=int, default=len(SEEDS), help="how many seeds of frames")
    given = ask.parse_args()
    torch.set_grad_enabled(False)
    torch.set_num_threads(1)
    hit = hits(5 if given.quick else 41)
    print("2 MiB", hit)
    torch.set_num_threads(2)
    seeds = SEEDS[: 1 if given.quick else given.seeds]
    streams = []
    for seed in seeds:
        streams.append(frames(seed, given.quick))
        print("frames", seed, streams[-1])
    said = words(given.quick)
    print("words", said)
    middle = {
        name: rounded(np.median([one[name] for one in streams]))
        for name in (
            "tolerance",
            "margin",
            "hits",
            "near_hits",
            "misses",
            "false_of_near",
            "changed",
            "times_faster_cpu",
        )
    }
    print("frames, medians", middle)
    if not given.quick and len(seeds) == len(SEEDS):
        result = {"hit_2_mib": hit, "rate": RATE, "frames": {"median": middle, "seeds": streams}, "words": said}
        record("nn_memoize", QUESTION, result, SEEDS, ("joblib", "torch"))


if __name__ == "__main__":
    main()

"""Methods of Avalanche, on streams of classes, with as many bytes as they are given.

Avalanche asks for torchvision, which pip only has with CUDA beside a PyTorch that is for the CPU alone. Installed
without its dependencies it runs: it needs torchvision's transforms, none of its compiled operators, and wandb only to
log. ``pip install --no-deps avalanche-lib torchvision==0.28 torchmetrics lightning-utilities pytorchcv gputil dill tqdm
psutil qpsolvers tensorboard gdown`` beside torch 2.13, and what these import.
"""

from __future__ import annotations

import importlib.util
import sys
import types
import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["MODELS", "available", "learned", "settings"]

CLASSES, PARTS = 10, 5
BATCH = 32

MODELS = {"replay": 3, "GDumb": 4, "A-GEM": 4, "EWC": 5}  # parameters, what Adam keeps, copies, gradients
WIDEST = 256  # units of the hidden layer, at most; no more than take half of the budget


def settings(method: str, small: bool) -> list[dict[str, Any]]:
    """Return the settings to choose among; ``small`` data sets can be shown more often."""
    times = 5 if small else 1
    return {
        "replay": [{"epochs": times}, {"epochs": 3 * times}, {"epochs": times, "net": "convolutions"}],
        "GDumb": [{"epochs": 5 * times}, {"epochs": 5 * times, "net": "convolutions"}],
        "A-GEM": [{"epochs": times}, {"epochs": times, "net": "convolutions"}],
        "EWC": [{"epochs": 1, "strength": strength} for strength in (1.0, 100.0, 10_000.0)],
    }[method]


def available() -> bool:
    """Whether Avalanche is installed."""
    return importlib.util.find_spec("avalanche") is not None


def _loaded() -> Any:
    """Import Avalanche without the compiled operators of torchvision and without wandb."""
    import torch

    if "avalanche" not in sys.modules:
        for name in ("nms", "qnms"):
            torch.library.define(f"torchvision::{name}", "(Tensor dets) -> Tensor")
        sys.modules.setdefault("wandb", types.ModuleType("wandb"))
    import avalanche.training.supervised as supervised

    torch.set_num_threads(1)
    warnings.filterwarnings("ignore", category=DeprecationWarning)
    return supervised


def learned(
    method: str,
    setting: dict[str, Any],
    shape: tuple[int, ...],
    x: NDArray[np.float32],
    y: NDArray[np.intp],
    t: NDArray[np.float32],
    budget: int,
    seed: int,
) -> tuple[NDArray[Any], int]:
    """Show a stream of five times two classes to a method; return its answers to ``t`` and the bytes that it holds.

    An image in a buffer counts as one byte a pixel and eight of its label, whatever Avalanche makes of it.
    """
    import torch

    supervised = _loaded()
    from avalanche.training.plugins import EvaluationPlugin

    torch.manual_seed(seed)
    models = MODELS[method]
    hidden = min(WIDEST, budget // 2 // (4 * models * (x.shape[1] + CLASSES + 1)))
    net = _net(setting.get("net", "dense"), shape, hidden)
    size = 4 * models * sum(part.numel() for part in net.parameters())
    room = min(max((budget - size) // (x.shape[1] + 8), PARTS), len(x))
    kind, given = {
        "replay": ("Replay", {"mem_size": room}),
        "GDumb": ("GDumb", {"mem_size": room}),
        "A-GEM": ("AGEM", {"patterns_per_exp": room // PARTS, "sample_size": 64}),
        "EWC": ("EWC", {"ewc_lambda": setting.get("strength"), "mode": "online", "decay_factor": 0.9}),
    }[method]
    strategy = getattr(supervised, kind)(
        model=net,
        optimizer=torch.optim.Adam(net.parameters(), lr=1e-3),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=BATCH,
        train_epochs=setting["epochs"],
        evaluator=EvaluationPlugin(loggers=[]),
        **given,
    )
    for part in _stream(x, y, seed):
        strategy.train(part)
    strategy.model.eval()
    with torch.no_grad():
        answers = torch.cat([strategy.model(part) for part in torch.from_numpy(t).split(1000)]).argmax(dim=1).numpy()
    return answers, size + (0 if method == "EWC" else room * (x.shape[1] + 8))


def _stream(x: Any, y: Any, seed: int) -> Any:
    import torch
    from avalanche.benchmarks import class_incremental_benchmark
    from avalanche.benchmarks.utils import as_classification_dataset

    rows = np.random.default_rng(seed).permutation(len(y))
    told = torch.utils.data.TensorDataset(torch.from_numpy(x[rows]), torch.from_numpy(y[rows].astype(np.int64)))
    told.targets = y[rows].tolist()
    stream = class_incremental_benchmark(
        {"train": as_classification_dataset(told), "test": as_classification_dataset(told)},
        num_experiences=PARTS,
        class_order=list(range(CLASSES)),
    )
    return stream.train_stream


def _net(kind: str, shape: tuple[int, ...], hidden: int) -> Any:
    from torch import nn

    if kind == "dense":
        return nn.Sequential(nn.Linear(int(np.prod(shape)), hidden), nn.ReLU(), nn.Linear(hidden, CLASSES))
    side = shape[0] // 4
    return nn.Sequential(
        nn.Unflatten(1, (1, *shape)),
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * side * side, CLASSES),
    )

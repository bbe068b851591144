"""What a memory of examples is saved as: a dict of tensors and numbers, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mossy.arrays import check_integer
from mossy.errors import InvalidDtype, InvalidInput, InvalidShape
from mossy.nn.replay.checks import check_dense
from mossy.nn.replay.examples import Examples
from mossy.nn.replay.rows import Rows
from mossy.strength import LinearLaw

__all__ = ["State", "read", "written"]

ALONE = {"labels", "next", "since", "random"}  # of a memory that never held anything
DTYPES = {
    "ids": torch.int64,
    "born": torch.float64,
    "lots": torch.float64,
    "surprise": torch.float32,
    "codes": torch.int32,
    "modes": torch.float32,
    "when": torch.float64,
}
ALL = ALONE | {"x", "y"} | set(DTYPES)


class State(NamedTuple):
    """Examples or None, the code of each class, the next id, the first id of late, and random numbers."""

    examples: Examples | None
    labels: dict[int, int]
    next: int
    since: int
    random: np.random.Generator


def written(state: State) -> dict[str, Any]:
    """Return copies of all, for ``torch.save``."""
    held = {} if state.examples is None else state.examples.state()
    return held | {
        "labels": list(state.labels),
        "next": state.next,
        "since": state.since,
        "random": state.random.bit_generator.state,
    }


def read(given: Mapping[str, Any], law: LinearLaw, device: torch.device, *, balanced: bool) -> State:
    """Return what ``written`` was given, or raise if it is not of a memory made like this.

    Raises
    ------
    InvalidInput, InvalidShape, InvalidDtype, InvalidParameter
    """
    names = set(given) - {"logits"}
    if names not in (ALL, ALONE):
        raise InvalidInput(f"load_state_dict: {sorted(given)} were given; {sorted(ALL)} are allowed.")
    after = check_integer(given["next"], "load_state_dict.next", 0)
    since = check_integer(given["since"], "load_state_dict.since", 0, after)
    labels = given["labels"]
    if not isinstance(labels, list) or any(type(one) is not int for one in labels) or len(set(labels)) < len(labels):
        raise InvalidInput(f"load_state_dict.labels: {labels!r} was given; a list of classes, each once, is allowed.")
    random = np.random.default_rng(0)
    try:
        random.bit_generator.state = given["random"]
    except (TypeError, ValueError, KeyError, OverflowError) as error:
        raise InvalidInput(f"load_state_dict.random: not the state of a generator ({error}).") from None
    examples = None if names == ALONE else _examples(given, law, device)
    if examples is not None:
        _check(examples, labels, after, balanced=balanced)
    return State(examples, {label: code for code, label in enumerate(labels)}, after, since, random)


def _examples(given: Mapping[str, Any], law: LinearLaw, device: torch.device) -> Examples:
    tensors = {name: given[name] for name in ("x", "y", "logits", *DTYPES) if name in given}
    for name, rows in tensors.items():
        if not isinstance(rows, Tensor) or rows.dtype != DTYPES.get(name, rows.dtype):
            what = rows.dtype if isinstance(rows, Tensor) else type(rows).__name__
            allowed = DTYPES.get(name, "any dtype")
            raise InvalidDtype(f"load_state_dict.{name}: {what} was given; a tensor of {allowed} is allowed.")
        check_dense(rows, f"load_state_dict.{name}")
    n = tensors["ids"].numel()
    for name, rows in tensors.items():
        if rows.dim() == 0 or len(rows) != n or (name in DTYPES and name != "modes" and rows.dim() != 1):
            raise InvalidShape(f"load_state_dict: {name!r} of shape {tuple(rows.shape)} was given, and {n} ids.")
    if tensors["modes"].shape[1:] != (law.modes,):
        raise InvalidInput(
            "load_state_dict: the state of a memory with another law was given; make this one as that one was made."
        )
    examples = Examples(law, {name: Rows(rows, device) for name, rows in tensors.items() if name not in DTYPES})
    examples.restore(tensors)
    return examples


def _check(examples: Examples, labels: list[int], after: int, *, balanced: bool) -> None:
    """Raise unless ids and codes are what a memory gives."""
    ids, codes = examples["ids"], examples["codes"]
    if len(ids) and bool(labels) != balanced:
        raise InvalidInput(
            "load_state_dict: the state of a memory with another balanced was given; make this one as that one was "
            "made."
        )
    if len(ids) and (len(np.unique(ids)) < len(ids) or not 0 <= ids.min() <= ids.max() < after):
        raise InvalidInput(f"load_state_dict.ids: ids from 0 to below next={after}, each once, are allowed.")
    if len(ids) and not 0 <= codes.min() <= codes.max() < max(len(labels), 1):
        raise InvalidInput(
            f"load_state_dict.codes: codes from {codes.min()} to {codes.max()} were given, and {len(labels)} labels."
        )
    told = [examples["lots"], examples["born"], *(column.rows for column in examples.strengths.columns())]
    if not all(np.isfinite(numbers).all() for numbers in told):
        raise InvalidInput("load_state_dict: lots, born, modes and when were given that are not all finite.")

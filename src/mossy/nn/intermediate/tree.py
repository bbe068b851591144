"""What modules are called with and return: tensors and plain values in tuples, lists, dicts and dataclasses."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator
from enum import Enum
from typing import Any

import torch

__all__ = ["PLAIN", "describe", "leaves", "rebuild"]

# Values that never change, and whose repr says all of them.
PLAIN = (type(None), bool, int, float, complex, str, bytes, Enum, torch.dtype, torch.device)


def _parts(tree: Any) -> dict[str, Any] | None:
    """Return the branches of a tree by name, or None for a leaf."""
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):  # outputs of transformers are dicts as well
        return {field.name: getattr(tree, field.name) for field in dataclasses.fields(tree) if field.init}
    if isinstance(tree, dict):
        return {repr(key): value for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return {str(place): value for place, value in enumerate(tree)}
    return None


def leaves(tree: Any) -> Iterator[Any]:
    """Return the leaves from left to right."""
    parts = _parts(tree)
    if parts is None:
        yield tree
    else:
        for part in parts.values():
            yield from leaves(part)


def rebuild(tree: Any, into: Iterator[Any]) -> Any:
    """Return a tree like ``tree`` with other leaves, taken from left to right."""
    parts = _parts(tree)
    if parts is None:
        return next(into)
    built = [rebuild(part, into) for part in parts.values()]
    if dataclasses.is_dataclass(tree) and not isinstance(tree, type):
        return dataclasses.replace(tree, **dict(zip(parts, built, strict=True)))
    if isinstance(tree, dict):
        filled = copy.copy(tree)  # a kind of dict of its own, such as a defaultdict, may need more than its items
        for key, value in zip(tree, built, strict=True):
            filled[key] = value
        return filled
    return type(tree)(*built) if hasattr(tree, "_fields") else type(tree)(built)


def describe(tree: Any) -> str:
    """Return a text that two trees share if they have the same form."""
    parts = _parts(tree)
    if parts is None:
        return "*"
    kind = type(tree)
    return f"{kind.__module__}.{kind.__qualname__}({','.join(f'{n}={describe(part)}' for n, part in parts.items())})"

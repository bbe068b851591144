"""A state of arrays, numbers and names as bytes of a length that depends on their sizes alone, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from mossy.errors import Damaged

__all__ = ["pack", "unpack"]

HEAD = 1 << 16  # bytes of the description; it is padded, so that a counter may grow


def pack(state: Mapping[str, Any]) -> bytes:
    """Return a state as bytes: its description in JSON, and then its arrays."""
    arrays: list[bytes] = []

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            arrays.append(np.ascontiguousarray(value).tobytes())
            return {"array": value.dtype.str, "shape": list(value.shape)}
        if isinstance(value, np.generic):
            return value.item()
        if isinstance(value, Mapping):
            return {"items": [[plain(name), plain(part)] for name, part in value.items()]}
        if isinstance(value, tuple | list):
            return {"tuple" if isinstance(value, tuple) else "list": [plain(part) for part in value]}
        return value

    told = json.dumps(plain(state)).encode()
    size = -(-(len(told) + 8) // HEAD) * HEAD
    return len(told).to_bytes(8, "little") + told.ljust(size - 8) + b"".join(arrays)


def unpack(content: bytes) -> Any:
    """Return the state that ``pack`` was given."""
    length = int.from_bytes(content[:8], "little")
    place = -(-(length + 8) // HEAD) * HEAD

    def whole(value: Any) -> Any:
        nonlocal place
        if not isinstance(value, dict):
            return value
        if "array" in value:
            dtype, shape = np.dtype(value["array"]), value["shape"]
            count = int(np.prod(shape))
            array = np.frombuffer(content, dtype, count, place).reshape(shape).copy()
            place += count * dtype.itemsize
            return array
        if "items" in value:
            return {whole(name): whole(part) for name, part in value["items"]}
        if "tuple" in value:
            return tuple(whole(part) for part in value["tuple"])
        return [whole(part) for part in value["list"]]

    try:
        return whole(json.loads(content[8 : 8 + length]))
    except (ValueError, KeyError, TypeError) as error:
        raise Damaged(f"the weights cannot be read ({error})") from error

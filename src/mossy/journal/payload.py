"""What a payload is on disk: JSON in UTF-8, or bytes, or an array as NumPy's own format. Nothing else, and no pickle.

The first byte tells them apart: no JSON text begins with 0 or 0x93.
"""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np

from mossy.errors import InvalidDtype

__all__ = ["decode", "encode", "same"]

BYTES = b"\x00"
ARRAY = b"\x93"  # how NumPy's format begins
DEEPEST = 100  # lists and dicts in each other


def encode(payload: Any) -> bytes | None:
    """Return a payload as bytes, None if there is none.

    Raises
    ------
    InvalidDtype
        It holds something that neither JSON nor NumPy can keep, such as a set, NaN, or a key that is no string.
    """
    if payload is None:
        return None
    if type(payload) is str:
        return _encode_text(_JSON.encode(payload))
    if isinstance(payload, bytes | bytearray | memoryview):
        return BYTES + bytes(payload)
    if isinstance(payload, np.ndarray) and payload.ndim:
        return _encode_array(payload)
    try:
        _check_names(payload)
        text = _JSON.encode(payload)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidDtype(
            f"payload: {_short(payload)} was given ({error}); on disk a payload is what JSON holds (None, booleans, "
            "finite numbers, strings, lists, dicts with strings as keys), bytes, or a NumPy array."
        ) from error
    return _encode_text(text)


def decode(content: bytes | None) -> Any:
    """Return the payload that ``encode`` was given; tuples come back as lists."""
    if content is None:
        return None
    first = content[:1]
    if first == BYTES:
        return content[1:]
    if first == ARRAY:
        return np.lib.format.read_array(io.BytesIO(content), allow_pickle=False, max_header_size=len(content))
    return json.loads(content)


def same(one: bytes | None, other: bytes | None) -> bool:
    """Whether two encoded payloads are equal, in whatever order their dicts were made."""
    if one == other:
        return True
    if one is None or other is None or one[:1] in (BYTES, ARRAY) or other[:1] in (BYTES, ARRAY):
        return False
    return json.dumps(json.loads(one), sort_keys=True) == json.dumps(json.loads(other), sort_keys=True)


def _encode_text(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half of a surrogate pair: JSON has an escape for it
        return json.dumps(json.loads(text)).encode()


def _encode_array(array: np.ndarray[Any, Any]) -> bytes:
    if type(array) is not np.ndarray:
        raise InvalidDtype(
            f"payload: a {type(array).__name__} was given; on disk it must be a plain array: np.asarray(x) drops what "
            "else there is."
        )
    if array.dtype.hasobject:
        raise InvalidDtype(f"payload: an array of dtype {array.dtype} was given; on disk it must be numbers or text.")
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def _check_names(payload: Any, depth: int = 0) -> None:
    """Refuse dicts whose keys JSON would turn into strings, and what is nested so deep that it could not be read."""
    if not isinstance(payload, dict | list | tuple):
        return
    if depth > DEEPEST:
        raise ValueError(f"nested more than {DEEPEST} deep")
    if isinstance(payload, dict):
        for name in payload:
            if type(name) is not str:
                raise TypeError(f"the key {name!r} is no string")
    for part in payload.values() if isinstance(payload, dict) else payload:
        if isinstance(part, dict | list | tuple):
            _check_names(part, depth + 1)


def _as_plain(value: Any) -> Any:
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and not value.ndim):
        plain = value.item()
        if isinstance(plain, bool | int | float | str):
            return plain
    raise TypeError(f"{type(value).__name__} in it")


def _short(payload: Any) -> str:
    if isinstance(payload, int | list | dict):  # a number may have too many digits to be written out
        return f"a {type(payload).__name__}"
    text = repr(payload)
    return text if len(text) <= 60 else f"{text[:57]}..."


_JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, default=_as_plain)

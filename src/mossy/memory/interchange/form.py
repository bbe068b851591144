"""What an export looks like: the names of its files, its version, and how a payload stands in a line."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mossy.errors import InvalidParameter
from mossy.journal import check_path, decode, encode

__all__ = ["AT_ONCE", "FORMAT", "VERSION", "Progress", "as_text", "encoded", "files_of"]

Progress = Callable[[int, int], None]

FORMAT = "mossy memories"
VERSION = 1
AT_ONCE = 4096  # memories read, and stored in one commit

# A payload that is no JSON, or that is one and looks like this, is an object of one name.
JSON, BYTES, ARRAY = "$json", "$bytes", "$array"
# What JSON allows in a string, and some programs take for the end of a line.
BREAKS = (("\x85".encode(), b"\\u0085"), ("\u2028".encode(), b"\\u2028"), ("\u2029".encode(), b"\\u2029"))
MISTAKEN = tuple(b'{"%s":' % tag.encode() for tag in (JSON, BYTES, ARRAY))
ZERO, NPY = b"\x00", b"\x93"  # how bytes and arrays begin as the journal encodes them


def files_of(given: object) -> tuple[Path, Path]:
    """Return the two files of an export: ``life``, ``life.jsonl`` and ``life.npz`` name the same.

    Raises
    ------
    InvalidParameter
    """
    if not isinstance(given, str | os.PathLike) or not os.fspath(given):
        raise InvalidParameter(f"path: {given!r} was given; the path of an export is allowed, such as 'life'.")
    text = os.fsdecode(given)
    stem = text.removesuffix(".jsonl") if text.endswith(".jsonl") else text.removesuffix(".npz")
    if os.path.basename(stem) in ("", ".", ".."):
        raise InvalidParameter(f"path: {given!r} was given; the name of an export is allowed, such as 'life'.")
    return check_path(stem + ".jsonl"), check_path(stem + ".npz")


def as_text(payload: Any) -> bytes:
    """Return a payload as it stands in a line: JSON in UTF-8, or raise ``InvalidDtype``."""
    content = encode(payload)
    if content is None:
        return b"null"
    if content[:1] == ZERO:
        return _tagged(BYTES, b'"' + base64.b64encode(content[1:]) + b'"')
    if content[:1] == NPY:
        return _tagged(ARRAY, b'"' + base64.b64encode(content) + b'"')
    for sign, escape in BREAKS:
        content = content.replace(sign, escape)
    return _tagged(JSON, content) if content.startswith(MISTAKEN) else content


def _tagged(tag: str, text: bytes) -> bytes:
    return b'{"%s":%s}' % (tag.encode(), text)


def encoded(told: Any) -> bytes | None:
    """Return a payload of a line as the journal encodes it.

    Raises
    ------
    ValueError
        It is none.
    """
    if not _is_tagged(told):
        return encode(told)
    ((tag, content),) = told.items()
    return _TAGS[tag](content)


def _is_tagged(told: Any) -> bool:
    return isinstance(told, dict) and len(told) == 1 and next(iter(told)) in _TAGS


def _from_base64(content: Any) -> bytes:
    if not isinstance(content, str):
        raise ValueError("bytes are told in base64")
    try:
        return base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ValueError(f"bytes are told in base64 ({error})") from error


def _array(content: Any) -> bytes | None:
    raw = _from_base64(content)
    if raw[:1] != NPY:
        raise ValueError("an array is told in NumPy's format")
    return encode(decode(raw))


_TAGS: dict[str, Callable[[Any], bytes | None]] = {
    JSON: encode,
    BYTES: lambda content: encode(_from_base64(content)),
    ARRAY: _array,
}

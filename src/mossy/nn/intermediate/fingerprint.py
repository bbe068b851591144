"""Digests of tensors: two that differ in a byte, in shape or in dtype have the same one with a chance below 2⁻¹²⁶."""

from __future__ import annotations

import secrets
from hashlib import blake2b
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from mossy.errors import InvalidInput
from mossy.nn.intermediate.tree import PLAIN

__all__ = ["combine", "digest", "digests", "encode", "plain_bytes"]

BYTES = 16  # of a digest
SECRET = secrets.token_bytes(32)  # of this process: no input can be made to meet another

BLOCK, PLACES = 4096, 512 + 3  # bytes of a block, places of its key (``mossy.kernels.universal``)
KEY = np.frombuffer(secrets.token_bytes(8 * PLACES), np.uint32).reshape(2, -1).astype(np.uint64)


def digests(rows: Tensor, about: bytes = b"") -> list[bytes]:
    """Return the digest of each row of a tensor ``(n, ...)`` and of ``about``, all else that it depends on.

    Whole blocks of 4 KiB are hashed by NH (``mossy.kernels.universal``), what comes out and what is left over by
    BLAKE2b (RFC 7693), both with secret keys. Two rows with other bytes have the same digest if NH meets (chance at
    most 2⁻¹²⁸) or BLAKE2b does (2⁻¹²⁸). A row shorter than a block needs no compiler. Bytes on another device are
    copied to the host first. Equal numbers with other bytes, 0 and -0, differ.

    Raises
    ------
    InvalidInput
        The tensor is sparse, or has no bytes (the device ``meta``).
    """
    about = combine(about, f"{rows.dtype},{tuple(rows.shape[1:])},{rows.device}".encode())
    raw = plain_bytes(rows)
    whole = raw.shape[1] // BLOCK * BLOCK
    rest = raw[:, whole:]
    if not whole:
        return [combine(about, row) for row in rest]
    blocks = np.ascontiguousarray(raw[:, :whole])
    hashes = _universal(blocks.reshape(len(raw), -1, BLOCK))
    return [combine(about, hashed, left) for hashed, left in zip(hashes, rest, strict=True)]


def digest(tensor: Tensor) -> bytes:
    """Return the digest of a tensor."""
    return digests(tensor[None])[0]


def combine(first: bytes, *parts: Any) -> bytes:
    """Return a digest of parts whose lengths ``first`` decides: it, too, is of a fixed length, or alone of any."""
    state = blake2b(first, key=SECRET, digest_size=BYTES)
    for part in parts:
        state.update(part)
    return state.digest()


def encode(leaf: object) -> bytes:
    """Return bytes that stand for one argument that is no row: the digest of a tensor, or the value itself.

    Raises
    ------
    InvalidInput
        It is of a kind of which equality cannot be told for certain.
    """
    if isinstance(leaf, Tensor):
        return b"t" + digest(leaf)
    if isinstance(leaf, np.ndarray) and leaf.dtype.kind in "biufc":
        return b"n" + digest(torch.from_numpy(np.ascontiguousarray(leaf)))
    if isinstance(leaf, PLAIN):
        return f"{type(leaf).__qualname__}:{leaf!r}".encode()
    raise InvalidInput(
        f"memoize: {type(leaf).__name__} was given; tensors, numeric arrays, numbers, text and None, also in "
        "tuples, lists, dicts and dataclasses, are allowed. Call .module for the rest."
    )


def plain_bytes(rows: Tensor) -> NDArray[np.uint8]:
    """Return the bytes of each row ``(n, bytes)``, on the host."""
    if rows.layout != torch.strided or rows.is_quantized or rows.device.type == "meta":
        raise InvalidInput(
            f"memoize: a tensor of layout {rows.layout} on {rows.device} was given; dense tensors that hold numbers "
            "are allowed. Give x.to_dense()."
        )
    plain = rows.detach().resolve_conj().resolve_neg().cpu().contiguous()
    n, entries = len(plain), plain[0].numel() if len(plain) else 0
    if not n * entries:
        return np.empty((n, 0), np.uint8)
    if plain.is_complex():
        plain = torch.view_as_real(plain)
    raw: NDArray[np.uint8] = plain.reshape(-1).view(torch.uint8).numpy()
    return raw.reshape(n, -1)


def _universal(blocks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    from mossy.kernels.universal import universal  # only here, since short rows need no compiler

    words = np.require(blocks.view(np.uint64), requirements="A")
    hashes = np.empty((*blocks.shape[:2], 4), np.uint64)
    universal(words, KEY, hashes)
    return hashes

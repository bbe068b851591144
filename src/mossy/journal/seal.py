"""Encryption at rest: AES-256-GCM over the content of every row, with a key that never enters the file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, final

from mossy.errors import InvalidParameter, MissingExtra, WrongKey

__all__ = ["Plain", "Seal", "Sealed", "as_secret", "seal_for"]

SALT = 16
NONCE = 12
SHORTEST = 16  # characters of a key


class Seal(Protocol):
    """Turns the content of a row into what stands on disk, and back. ``place`` binds it to where it stands."""

    overhead: int

    def close(self, content: Any, place: bytes) -> Any:
        """Return what stands on disk."""

    def open(self, content: bytes, place: bytes) -> bytes:
        """Return the content, or raise ``WrongKey``."""


@final
class Plain:
    """No encryption: what is on disk is the content itself."""

    overhead = 0

    def close(self, content: Any, place: bytes) -> Any:
        """Return the content."""
        return content

    def open(self, content: bytes, place: bytes) -> bytes:
        """Return the content."""
        return content


@final
class Sealed:
    """AES-256-GCM; the key comes from a secret by scrypt (n = 2¹⁵, r = 8, p = 1) with the salt of the file.

    Parameters
    ----------
    secret
        At least 16 bytes.
    salt
        16 random bytes, kept in the file in the clear.

    Raises
    ------
    MissingExtra
        The package cryptography is not installed.
    """

    overhead = NONCE + 16

    def __init__(self, secret: bytes, salt: bytes) -> None:
        try:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
        except ModuleNotFoundError as error:
            raise MissingExtra("cryptography", "encrypt") from error
        self._invalid = InvalidTag
        self._cipher = AESGCM(Scrypt(salt=salt, length=32, n=2**15, r=8, p=1).derive(secret))

    def close(self, content: Any, place: bytes) -> bytes:
        """Return nonce, ciphertext and tag."""
        nonce = os.urandom(NONCE)
        return nonce + self._cipher.encrypt(nonce, bytes(content), place)

    def open(self, content: bytes, place: bytes) -> bytes:
        """Return the content, or raise ``WrongKey``."""
        try:
            return self._cipher.decrypt(content[:NONCE], content[NONCE:], place)
        except (self._invalid, ValueError) as error:
            raise WrongKey("the key does not open it; give the key with which it was made.") from error


def as_secret(key: object) -> bytes | None:
    """Return the secret that ``key`` names (``"env:NAME"`` or ``"file:PATH"``), None for None.

    Raises
    ------
    InvalidParameter
        It names nothing, or the secret has fewer than 16 characters. A secret itself is never part of a message.
    """
    if key is None:
        return None
    kind, _, name = key.partition(":") if isinstance(key, str) else ("", "", "")
    if kind == "env" and name:
        secret = os.environb.get(name.encode(), b"")
        if not secret:
            raise InvalidParameter(f"key: the environment variable {name} is not set; set it to the key.")
    elif kind == "file" and name:
        try:
            secret = Path(name).expanduser().read_bytes().strip()
        except OSError as error:
            raise InvalidParameter(f"key: the file {name} cannot be read ({error.strerror}).") from error
    else:
        raise InvalidParameter("key: 'env:NAME' or 'file:PATH' is allowed, so that no key stands in a program.")
    if len(secret) < SHORTEST:
        raise InvalidParameter(f"key: it has {len(secret)} characters; at least {SHORTEST} are allowed.")
    return secret


def seal_for(secret: bytes | None, salt: bytes | None) -> Plain | Sealed:
    """Return the seal of a file with this salt, None for one in the clear, or raise ``WrongKey``."""
    if salt is None:
        if secret is not None:
            raise WrongKey("the file is not encrypted; open it without key=.")
        return Plain()
    if secret is None:
        raise WrongKey("the file is encrypted; give key='env:NAME' or key='file:PATH'.")
    return Sealed(secret, salt)

"""Arrays beside the journal that make opening quick. They can be deleted at any time, and are made again.

A header, and then blocks of ``ROWS`` memories each, in the order of their ids: ids, times, checksums, keys, values.
Every block has a checksum. Whether it belongs to the journal as it is now, the journal's own checksums decide.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from mossy.errors import WrongKey
from mossy.journal.rows import Chunk, Width
from mossy.journal.seal import Seal

__all__ = ["ROWS", "Sidecar"]

ROWS = 4096
MAGIC = b"mossyarr"
VERSION = 1
HEAD = struct.Struct("<8sqqq16s")  # magic, version, d, d_value, lineage
HEAD_SIZE = 64


@final
class Sidecar:
    """The arrays of one journal.

    Parameters
    ----------
    path
        Where they are.
    width
        The neurons of keys and values.
    lineage
        16 bytes that the journal was made with.
    seal
        Its encryption.
    """

    def __init__(self, path: Path, width: Width, lineage: bytes, seal: Seal) -> None:
        self.path = path
        self._width = width
        self._seal = seal
        self._head = HEAD.pack(MAGIC, VERSION, width.d, width.d_value or 0, lineage)
        self._head += struct.pack("<I", crc32(self._head))
        fields: list[Any] = [
            ("ids", "<i8", (ROWS,)),
            ("stored", "<f8", (ROWS,)),
            ("crcs", "<u4", (ROWS,)),
            ("keys", "<f4", (ROWS, width.d)),
        ]
        if width.d_value is not None:
            fields.append(("values", "<f4", (ROWS, width.d_value)))
        self._block = np.dtype(fields)
        self.size = self._block.itemsize + seal.overhead + 4  # with its checksum

    def blocks(self) -> int:
        """Return how many whole blocks there are; 0 if it is not there, or not this journal's."""
        try:
            with self.path.open("rb") as file:
                if file.read(len(self._head)) != self._head:
                    return 0
                return max(0, os.fstat(file.fileno()).st_size - HEAD_SIZE) // self.size
        except OSError:
            return 0

    def read(self) -> Iterator[Chunk | None]:
        """Yield block after block; None, and then nothing, where one is not sound.

        They share one buffer, so what is to be kept of a block is copied before the next is asked for.
        """
        number_of_blocks = self.blocks()
        if not number_of_blocks:
            return
        with self.path.open("rb", buffering=0) as file:
            buffer = np.empty(self.size, np.uint8)
            for number in range(number_of_blocks):
                block = self._read(file.fileno(), number, buffer)
                yield None if block is None else self._chunk(block)
                if block is None:
                    return

    def block(self, number: int) -> Chunk | None:
        """Return one block, None where it is not sound; the header and the other blocks are not looked at."""
        with self.path.open("rb", buffering=0) as file:
            block = self._read(file.fileno(), number)
        return None if block is None else self._chunk(block)

    def append(self, chunk: Chunk) -> None:
        """Write one block of ``ROWS`` memories behind the last."""
        number = self.blocks()
        flags = os.O_RDWR | os.O_CREAT | (0 if number else os.O_TRUNC)
        file = os.open(self.path, flags, 0o644)
        try:
            if not number:
                os.pwrite(file, self._head.ljust(HEAD_SIZE, b"\0"), 0)
            block = np.zeros((), self._block)
            block["ids"], block["stored"], block["crcs"], block["keys"] = (
                chunk.ids,
                chunk.stored,
                chunk.crcs,
                chunk.keys,
            )
            if chunk.values is not None:
                block["values"] = chunk.values
            self._write(file, number, block)
            os.ftruncate(file, HEAD_SIZE + (number + 1) * self.size)
        finally:
            os.close(file)

    def scrub(self, alive: NDArray[np.bool_]) -> None:
        """Overwrite what it holds of ids that are not ``alive`` (one flag an id), and see it onto the disk."""
        try:
            sound = not self.path.exists() or self._scrub(alive)
        except OSError:  # it cannot be written over
            sound = False
        if not sound:
            self.remove()

    def _scrub(self, alive: NDArray[np.bool_]) -> bool:
        """Overwrite what is gone; False if the file is torn, so that nothing of it is worth keeping."""
        number = self.blocks()
        file = os.open(self.path, os.O_RDWR)
        try:
            if not number or os.fstat(file).st_size != HEAD_SIZE + number * self.size:
                return False
            for n in range(number):
                if self._has_gone(file, n, alive):
                    block = self._read(file, n)
                    if block is None:
                        return False
                    gone = ~_alive(alive, block["ids"])
                    for name in ("stored", "crcs", "keys", "values"):
                        if name in (self._block.names or ()):
                            block[name][gone] = 0
                    self._write(file, n, block)
            os.fsync(file)
            return True
        finally:
            os.close(file)

    def remove(self) -> None:
        """Delete it, and overwrite what it held."""
        try:
            file = os.open(self.path, os.O_RDWR)
        except FileNotFoundError:
            return
        self.path.unlink(missing_ok=True)  # first, so that a kill leaves no half of it
        try:
            with suppress(OSError):  # where it cannot be written over, it is deleted still
                size = os.fstat(file).st_size
                for first in range(0, size, 1 << 20):
                    os.pwrite(file, bytes(min(1 << 20, size - first)), first)
                os.fsync(file)
        finally:
            os.close(file)

    def _has_gone(self, file: int, number: int, alive: NDArray[np.bool_]) -> bool:
        """Whether a block may hold content of an id that is gone; what is encrypted has to be read for that."""
        if self._seal.overhead:
            block = self._read(file, number)
            if block is None:
                return True
            ids, crcs = block["ids"], block["crcs"]
        else:
            first = HEAD_SIZE + number * self.size
            ids = np.frombuffer(os.pread(file, 8 * ROWS, first), "<i8")
            crcs = np.frombuffer(os.pread(file, 4 * ROWS, first + 16 * ROWS), "<u4")
        return bool((~_alive(alive, ids) & (crcs != 0)).any())

    def _read(self, file: int, number: int, buffer: NDArray[np.uint8] | None = None) -> NDArray[Any] | None:
        """Return a block as it was written, None if it does not fit its checksum."""
        content = np.empty(self.size, np.uint8) if buffer is None else buffer
        view = content.data
        done = 0
        while done < self.size:
            got = os.preadv(file, [view[done:]], HEAD_SIZE + number * self.size + done)
            if not got:
                return None
            done += got
        body = view[: self.size - 4]
        if crc32(body, number) != int.from_bytes(view[self.size - 4 :], "little"):
            return None
        if not self._seal.overhead:
            return content[: self._block.itemsize].view(self._block)[0]  # type: ignore[no-any-return]
        try:
            opened = self._seal.open(bytes(body), struct.pack("<q", number))
        except WrongKey:
            return None
        return np.frombuffer(bytearray(opened), self._block)[0]  # type: ignore[no-any-return]

    def _write(self, file: int, number: int, block: NDArray[Any]) -> None:
        body = self._seal.close(block.tobytes(), struct.pack("<q", number))
        content = memoryview(bytes(body) + struct.pack("<I", crc32(body, number)))
        first, done = HEAD_SIZE + number * self.size, 0
        while done < len(content):
            done += os.pwrite(file, content[done:], first + done)

    def _chunk(self, block: NDArray[Any]) -> Chunk:
        values = block["values"] if self._width.d_value is not None else None
        return Chunk(block["ids"], block["stored"], block["crcs"], block["keys"], values)


def _alive(alive: NDArray[np.bool_], ids: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return which ids are alive, where ``alive`` has a flag for each id from 0."""
    inside = (ids >= 0) & (ids < len(alive))
    return inside & alive[np.where(inside, ids, 0)] if len(alive) else inside

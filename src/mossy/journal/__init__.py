"""The durable record on disk from which a memory is rebuilt."""

from mossy.journal.connection import DURABILITY, check_path, named
from mossy.journal.journal import Journal
from mossy.journal.layout import BLOCK, GONE
from mossy.journal.lock import readers_of
from mossy.journal.packing import pack, unpack
from mossy.journal.payload import decode, encode
from mossy.journal.rows import Chunk
from mossy.journal.seal import as_secret
from mossy.journal.sidecar import ROWS, Sidecar

__all__ = [
    "BLOCK",
    "DURABILITY",
    "GONE",
    "ROWS",
    "Chunk",
    "Journal",
    "Sidecar",
    "as_secret",
    "check_path",
    "decode",
    "encode",
    "named",
    "pack",
    "readers_of",
    "unpack",
]

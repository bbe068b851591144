"""The durable record on disk from which a memory is rebuilt."""

from mossy.journal.connection import DURABILITY, check_path, named
from mossy.journal.files import on_disk, sync_folder
from mossy.journal.journal import Journal
from mossy.journal.layout import BLOCK, GONE, LINK_MODES, state_dtype
from mossy.journal.lock import readers_of
from mossy.journal.packing import pack, unpack
from mossy.journal.payload import decode, encode
from mossy.journal.payload import same as same_on_disk
from mossy.journal.repair import Repaired, repair
from mossy.journal.rows import Chunk
from mossy.journal.seal import as_secret
from mossy.journal.sidecar import ROWS, Sidecar
from mossy.journal.verify import Verified, verify

__all__ = [
    "BLOCK",
    "DURABILITY",
    "GONE",
    "LINK_MODES",
    "ROWS",
    "Chunk",
    "Journal",
    "Repaired",
    "Sidecar",
    "Verified",
    "as_secret",
    "check_path",
    "decode",
    "encode",
    "named",
    "on_disk",
    "pack",
    "readers_of",
    "repair",
    "same_on_disk",
    "state_dtype",
    "sync_folder",
    "unpack",
    "verify",
]

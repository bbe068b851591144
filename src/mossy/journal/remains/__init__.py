"""What is left of a torn file: its pages, read without SQLite, and the rows in them that fit their checksums."""

from mossy.journal.remains.contents import DEFAULTS, STATE, Contents
from mossy.journal.remains.copies import Copies
from mossy.journal.remains.pages import MAGIC, Log, Pages, is_open_here
from mossy.journal.remains.remains import Remains, Row, look_through

__all__ = [
    "DEFAULTS",
    "MAGIC",
    "STATE",
    "Contents",
    "Copies",
    "Log",
    "Pages",
    "Remains",
    "Row",
    "is_open_here",
    "look_through",
]

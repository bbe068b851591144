"""The errors that mossy raises. Each says what was given, what is allowed and what to do.

::

    MossyError
    ├── InvalidInput          (ValueError)    what was given cannot be used
    │   ├── InvalidShape                      an array of another shape than allowed
    │   ├── InvalidDtype      (TypeError)     not a number, or not the kind of number allowed
    │   ├── NotFinite                         NaN or infinity
    │   ├── EmptyBatch                        nothing was given
    │   ├── NothingKnown                      a cue without one known entry
    │   ├── InvalidParameter                  a parameter outside its range
    │   ├── InvalidTime                       negative time, or a clock that runs backwards
    │   └── UnknownName                       a rule, law, separation … that is not in its registry
    ├── UnknownMemory         (KeyError)      no memory has this id, or none is equal to this pattern
    ├── EmptyMemory           (LookupError)   asked before anything was stored
    ├── FullMemory                            no room, and nothing that may be forgotten
    ├── CannotForget                          forgetting would not be exact, so it is refused
    ├── ForgetPending                         forgotten, but an open reader keeps bytes of it in the file for now
    ├── ClosedMemory          (ValueError)    a durable memory was used after it was closed
    ├── JournalError          (OSError)       the file of a durable memory cannot be used
    │   ├── HeldByWriter                      another process or handle writes to it
    │   ├── ReadOnly                          it was opened to read, or may not be written
    │   ├── NoRoom                            the disk is full, or a limit of the file's size is reached
    │   ├── NotAMemory                        the file is not one of mossy's
    │   ├── NewerLayout                       a newer version of mossy wrote it
    │   ├── Damaged                           a checksum does not fit, or a part is missing
    │   └── WrongKey                          it is encrypted, and this is not its key
    ├── DamageWarning         (RuntimeWarning) a warning: a part of a file is damaged, and was left out
    └── MissingExtra          (ImportError)   an optional dependency is not installed

Every one is also the built-in kind that a caller would expect, named in brackets.
"""

from __future__ import annotations

__all__ = [
    "CannotForget",
    "ClosedMemory",
    "DamageWarning",
    "Damaged",
    "EmptyBatch",
    "EmptyMemory",
    "ForgetPending",
    "FullMemory",
    "HeldByWriter",
    "InvalidDtype",
    "InvalidInput",
    "InvalidParameter",
    "InvalidShape",
    "InvalidTime",
    "JournalError",
    "MissingExtra",
    "MossyError",
    "NewerLayout",
    "NoRoom",
    "NotAMemory",
    "NotFinite",
    "NothingKnown",
    "ReadOnly",
    "UnknownMemory",
    "UnknownName",
    "WrongKey",
]


class MossyError(Exception):
    """Any error that mossy raises on purpose."""


class InvalidInput(MossyError, ValueError):
    """What was given cannot be used; nothing was changed."""


class InvalidShape(InvalidInput):
    """An array has another shape than is allowed here."""


class InvalidDtype(InvalidInput, TypeError):
    """A value is not a number, or not the kind of number that is allowed here."""


class NotFinite(InvalidInput):
    """An array holds NaN or infinity."""


class EmptyBatch(InvalidInput):
    """A batch without items was given."""


class NothingKnown(InvalidInput):
    """A cue has no known entry, so there is nothing to recall from."""


class InvalidParameter(InvalidInput):
    """A parameter is outside the range that is allowed."""


class InvalidTime(InvalidInput):
    """A time is negative or not finite, or a clock was turned back."""


class UnknownName(InvalidInput):
    """A name that its registry does not hold."""


class UnknownMemory(MossyError, KeyError):
    """No memory has this id, or none equals this pattern."""

    def __str__(self) -> str:
        """Return the message itself; ``KeyError`` would put it in quotes."""
        return str(self.args[0]) if self.args else ""


class EmptyMemory(MossyError, LookupError):
    """A recall from a memory that holds nothing."""


class FullMemory(MossyError):
    """The capacity is used up by memories that may not be forgotten."""


class CannotForget(MossyError):
    """Forgetting this would not be exact, so nothing was forgotten."""


class ForgetPending(MossyError):
    """It is forgotten, but an open reader keeps bytes of it in the file until the next opening to write."""


class ClosedMemory(MossyError, ValueError):
    """A durable memory was used after it was closed."""


class JournalError(MossyError, OSError):
    """The file of a durable memory cannot be used as asked."""


class HeldByWriter(JournalError):
    """Another process, or another handle of this one, writes to the file."""


class ReadOnly(JournalError):
    """The file was opened to read, or may not be written."""


class NoRoom(JournalError):
    """The disk is full, or a limit of the file's size is reached; the memory is as it was before."""


class NotAMemory(JournalError):
    """The file is not one of mossy's."""


class NewerLayout(JournalError):
    """A newer version of mossy wrote the file."""


class Damaged(JournalError):
    """A checksum does not fit, or a part is missing; the message names what."""


class WrongKey(JournalError):
    """The file is encrypted, and no key or another key was given."""


class DamageWarning(MossyError, RuntimeWarning):
    """A warning: a part of a file that was opened to read is damaged and left out, or the end of its log is torn."""


class MissingExtra(MossyError, ImportError):
    """An optional dependency is not installed; the message is the line that installs it."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed. It comes with an extra: pip install 'mossy[{extra}]'")

"""A change that must not stop half-way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["undisturbed"]

HELD_BACK = [name for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGALRM", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)]


@contextmanager
def undisturbed() -> Iterator[None]:
    """Hold signals that a Python function handles back until the block is done; they are handled then.

    Python handles signals in its main thread, so a block in another thread is not disturbed by any.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    handlers = {getattr(signal, name): signal.getsignal(getattr(signal, name)) for name in HELD_BACK}
    mine = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in mine:
            signal.signal(number, note)
        yield
    finally:
        for number, handler in mine.items():
            signal.signal(number, handler)
        for number in came:
            signal.raise_signal(number)

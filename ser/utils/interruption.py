"""Ctrl-C and SIGTERM at moments of our choosing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def postponed() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C and SIGTERM wait until the block asks for them, at its end at the latest.

    Python raises `KeyboardInterrupt` wherever it happens to be.  Within TensorFlow that may be a
    destructor, which swallows it, or a callback that leaves memory damaged.  A second signal is
    obeyed at once, should the block hang.  Without effect outside the main thread, and for signals
    that do not raise `KeyboardInterrupt` anyway.

    Yields
    ------
    callable
        Raises `KeyboardInterrupt` if one of them has come.

    Examples
    --------
    >>> with postponed() as obey:
    ...     try:
    ...         signal.raise_signal(signal.SIGINT)
    ...         print("goes on")
    ...         obey()
    ...     except KeyboardInterrupt:
    ...         print("now it is stopped")
    goes on
    now it is stopped
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: None
        return
    come: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        come.append(number)
        if len(come) > 1:
            signal.default_int_handler(number, frame)

    def obey() -> None:
        if come:
            signal.default_int_handler(come.pop(), None)

    raising = [
        number
        for number in (signal.SIGINT, signal.SIGTERM)
        if signal.getsignal(number) is signal.default_int_handler
    ]
    for number in raising:
        signal.signal(number, note)
    try:
        yield obey
    finally:
        for number in raising:
            signal.signal(number, signal.default_int_handler)
        obey()

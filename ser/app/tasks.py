"""Long work in a thread of its own: how far it is, how to stop it, and how it ended."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Thread
from typing import Any

from ser.errors import Stopped


@dataclass(frozen=True)
class Status:
    """How far a task has come.

    Attributes
    ----------
    what : str
        What is being done, in words.
    done, total : int
        In whatever it counts; a total of 0 is not known yet.
    speed : float or None
        How much of that per second since this kind of work began; None at its beginning.
    """

    what: str
    done: int = 0
    total: int = 0
    speed: float | None = None

    @property
    def seconds_left(self) -> float | None:
        """Time until this kind of work is done, if that can be said."""
        return (self.total - self.done) / self.speed if self.speed and self.total else None


class Task:
    """A function that runs in a thread of its own, from now on.

    Parameters
    ----------
    work : callable
        Called with the task, so that it can `report` how far it is.
    what : str
        Words for its beginning.

    Attributes
    ----------
    status : Status
        How far it has come.
    so_far : Any
        What `work` has found already, for it to say; None at first.
    result : Any
        What `work` returned; None before, or if it failed.
    error : Exception or None
        Why it failed.  Being stopped is no error.
    stopped : str
        What was said when it stopped because it was asked to; empty if it did not.

    Examples
    --------
    >>> def work(task):
    ...     task.report("Counting", 1, 2)
    ...     return "done"
    >>> task = Task(work, "Beginning")
    >>> task.join()
    >>> task.running, task.result, task.status.what
    (False, 'done', 'Counting')
    """

    def __init__(self, work: Callable[[Task], Any], what: str) -> None:
        self.status = Status(what)
        self.so_far: Any = None
        self.result: Any = None
        self.error: Exception | None = None
        self.stopped = ""
        self._stop = Event()
        self._first = (what, 0, time.monotonic())
        self._thread = Thread(target=self._run, args=(work,), name=what, daemon=True)
        self._thread.start()

    def _run(self, work: Callable[[Task], Any]) -> None:
        try:
            self.result = work(self)
        except Stopped as stopped:
            self.stopped = str(stopped)
        except Exception as error:
            # Without its traceback, which would keep everything alive that the work held.
            self.error = error.with_traceback(None)

    @property
    def running(self) -> bool:
        """Whether it still works."""
        return self._thread.is_alive()

    @property
    def stopping(self) -> bool:
        """Whether it was asked to stop."""
        return self._stop.is_set()

    def report(self, what: str, done: int = 0, total: int = 0) -> None:
        """Say how far the work is; a `ser.utils.parallel.Progress`.

        Raises
        ------
        Stopped
            If someone asked the task to stop.
        """
        now = time.monotonic()
        if what != self._first[0] or done < self._first[1]:
            self._first = (what, done, now)
        gained, elapsed = done - self._first[1], now - self._first[2]
        speed = gained / elapsed if gained > 0 and elapsed > 0 else None
        self.status = Status(what, done, total, speed)
        if self.stopping:
            so_far = f", {done} of {total} done" if total else ""
            raise Stopped(f"Stopped: {what[:1].lower()}{what[1:]}{so_far}.")

    def stop(self) -> None:
        """Ask the work to stop; it does at its next report."""
        self._stop.set()

    def join(self, timeout: float | None = None) -> None:
        """Wait until it has ended, at most so many seconds if that is given."""
        self._thread.join(timeout)

"""Runs beside each other are trained one after the other, and stop when they are asked to.

A process that waits for its turn needs nothing large, neither NumPy nor pandas, so it takes a fifth
of the memory that it would take with them.
"""

from __future__ import annotations

import logging
import signal
import time
from _thread import interrupt_main
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from ser.training.runs import BUSY_STATES, Run, find_runs


def ahead_of(run: Run, members: Path | None = None) -> list[Run]:
    """Return the runs that train before a queued one: what is running, then the queue.

    Parameters
    ----------
    run : Run
        The queued one.
    members : Path, optional
        A folder with a folder for each of several people, whose runs take turns with it; without
        it those in the same folder do.
    """
    folders = [run.folder.parent] if members is None else sorted(members.glob("*"))
    found = [other for folder in folders for other in find_runs(folder)]
    others = [other for other in found if other.folder != run.folder]
    own = run.read_status()
    running, waiting = [], []
    for other in others:
        status = other.read_status()
        if status.state == "queued":
            # Names decide between runs that came in the same millisecond.
            if (status.since, other.folder) < (own.since, run.folder):
                waiting.append((status.since, other))
        elif status.state in BUSY_STATES:
            running.append(other)
    return running + [other for _, other in sorted(waiting, key=lambda pair: pair[0])]


def wait_for_turn(run: Run, members: Path | None = None) -> None:
    """Keep a run that this process holds in the queue until none is ahead, see `ahead_of`."""
    run.write_status("queued", "Waiting for its turn")
    while ahead_of(run, members):
        time.sleep(0.5)
    run.write_status("preparing", "Loading TensorFlow")


def log_steps() -> None:
    """Let this process say every step to stderr, which `begin` makes the log of the run."""
    logging.basicConfig(format="%(asctime)s %(message)s", datefmt="%Y-%m-%d %H:%M:%S")
    logging.getLogger("ser").setLevel(logging.INFO)


@contextmanager
def obeying_stop(run: Run, *, part_of: Run | None = None) -> Iterator[None]:
    """Let SIGTERM and `ser.training.runs.Run.ask_to_stop` do what Ctrl-C does, in this block.

    For the main thread of a process that holds the run; where it is a part of another, the end of
    what holds that does the same.
    """
    run.forget_stop()
    ended = Event()
    # Some disks that machines share have no locks: there nobody seems to hold it, ever.
    watched = part_of if part_of is not None and part_of.is_held() else None

    def watch() -> None:
        while not ended.wait(0.2):
            if run.is_stopping or (watched and not watched.is_held()):
                interrupt_main(signal.SIGTERM)
                ended.wait(30)  # then again: compiled code may have swallowed it

    watcher = Thread(target=watch, daemon=True)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    watcher.start()
    try:
        yield
    finally:
        ended.set()
        watcher.join()
        signal.signal(signal.SIGTERM, before)
        run.forget_stop()

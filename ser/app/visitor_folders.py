"""Folders of strangers: one for each session, gone soon after its connection is.

A connection may be lost for a moment (a tunnel, a locked phone), and what a page was doing goes on
for a while without it.  So a folder stays as long as Streamlit lets a session come back, and is
then deleted as often as it is made anew.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Lock, Thread

from filelock import FileLock, Timeout

_PREFIX, _LOCK = "ser-visitors-", ".lock"
_WATCHED = 600.0  # seconds for which what was still going on may make a folder anew
_BEGINNING = 60.0  # seconds in which another process may not have locked its folder yet


class VisitorFolders:
    """The folders of all strangers of this process.

    Parameters
    ----------
    is_here : callable
        Says whether a session is connected.
    grace : float
        Seconds for which a session may come back.
    """

    def __init__(self, is_here: Callable[[str], bool], grace: float) -> None:
        _delete_left_behind()
        self._is_here, self._grace = is_here, grace
        self._all = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
        self._held = FileLock(Path(self._all.name) / _LOCK)
        self._held.acquire()
        self._seen: dict[str, float] = {}
        self._lock, self._closed = Lock(), Event()
        Thread(target=self._watch, name="visitor-folders", daemon=True).start()

    def of(self, session: str) -> Path:
        """Return the folder of a session, made if it is missing."""
        folder = Path(self._all.name) / session
        with self._lock:
            self._seen[session] = time.monotonic()
            folder.mkdir(parents=True, exist_ok=True)  # should all of them have been cleaned away
        return folder

    def close(self) -> None:
        """Delete all of them."""
        self._closed.set()
        self._held.release()
        self._all.cleanup()

    def _watch(self) -> None:
        tick = min(max(self._grace / 4, 0.2), 30)
        while not self._closed.wait(tick):
            with suppress(OSError):
                os.utime(Path(self._all.name) / _LOCK)  # what cleans up takes what is old
            now = time.monotonic()
            for session in list(self._seen):
                here = self._is_here(session)
                with self._lock:
                    if here:
                        self._seen[session] = now
                    gone = now - self._seen[session]
                    if gone > self._grace + tick:  # it may have left just before a tick
                        shutil.rmtree(Path(self._all.name) / session, ignore_errors=True)
                    if gone > self._grace + tick + _WATCHED:
                        del self._seen[session]


def _delete_left_behind() -> None:
    """Delete what processes left that were killed."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, Timeout):  # in use, or somebody else's
            if time.time() - folder.stat().st_mtime > _BEGINNING:
                with FileLock(folder / _LOCK, timeout=0):
                    shutil.rmtree(folder, ignore_errors=True)

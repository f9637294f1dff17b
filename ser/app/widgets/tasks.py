"""Long work that belongs to the server, not to a visit: shared by all, found again by all."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import streamlit as st

from ser.app.tasks import Status, Task
from ser.app.widgets import layout
from ser.errors import SerError

Key = tuple[str, str]
"""A kind of work, and what it is done with."""
Work = Callable[[Task], Any]

_LOCK = Lock()


@st.cache_resource(show_spinner=False)
def all_tasks() -> dict[Key, Task]:
    """Return the tasks of this server, the last of each key."""
    return {}


def start(key: Key, work: Work, what: str) -> None:
    """Start a task, unless one of this key runs."""
    with _LOCK:
        task = all_tasks().get(key)
        if task is None or not task.running:
            all_tasks()[key] = Task(work, what)


def clips_in_words(status: Status) -> str:
    """Say how far a task is that counts clips or steps."""
    words = status.what
    if status.total:
        words += f": {status.done:,} of {status.total:,}".replace(",", "\u202f")
    return words + time_left(status)


def time_left(status: Status) -> str:
    """Say how long it will still take, if that can be said."""
    seconds = status.seconds_left
    return f" · about {layout.in_words(seconds)} left" if seconds is not None else ""


@st.fragment(run_every=0.5)
def watch(
    key: Key,
    describe: Callable[[Status], str] = clips_in_words,
    stop: str = "Stop",
    is_news: Callable[[], bool] = lambda: False,
) -> None:
    """Show how far a running task is, with a button to stop it.

    The page reruns when it ends, and when there is something new to show.
    """
    task = all_tasks().get(key)
    if task is None or not task.running or is_news():
        st.rerun()
    status = task.status
    share = min(status.done / status.total, 1.0) if status.total else 0.0
    st.progress(share, describe(status))
    st.button(
        "Stopping …" if task.stopping else stop,
        key=f"stop {key}",
        on_click=task.stop,
        disabled=task.stopping,
        icon=":material/pause:",
    )


def result(key: Key, work: Work, what: str) -> Any:
    """Return what a task returned; until then show how far it is, or why it ended.

    Until then it returns what the task has found so far, which is None at first.  It is started if
    it never was.
    """
    if key not in all_tasks():
        start(key, work, what)
    task = all_tasks()[key]
    if task.running:
        known = task.so_far
        watch(key, is_news=lambda: task.so_far is not known)
        return known
    if task.error or task.stopped:
        show_end(task)
        st.button(
            "Resume" if task.stopped else "Try again",
            key=f"again {key}",
            on_click=start,
            args=(key, work, what),
            icon=":material/refresh:",
        )
        return None
    return task.result


def show_end(task: Task) -> None:
    """Say why a task ended without a result.

    Raises
    ------
    Exception
        Whatever it failed of, if that is nothing the user can mend.
    """
    if isinstance(task.error, SerError):
        st.error(layout.plain(str(task.error)), icon=":material/error:")
    elif task.error is not None:
        raise task.error
    elif task.stopped:
        st.info(task.stopped, icon=":material/pause_circle:")

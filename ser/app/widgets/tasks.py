"""Long work that belongs to the server, not to a visit: shared by all, found again by all."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

import streamlit as st

from ser.app.tasks import Job, Status
from ser.errors import SerError

Key = tuple[str, str]
"""A kind of work, and what it is done with."""
Work = Callable[[Job], Any]

_LOCK = Lock()


@st.cache_resource(show_spinner=False)
def all_jobs() -> dict[Key, Job]:
    """Return the jobs of this server, the last of each key."""
    return {}


def start(key: Key, work: Work, what: str) -> None:
    """Start a job, unless one of this key runs."""
    with _LOCK:
        job = all_jobs().get(key)
        if job is None or not job.running:
            all_jobs()[key] = Job(work, what)


def clips_in_words(status: Status) -> str:
    """Say how far a job is that counts clips or steps."""
    words = status.what
    if status.total:
        words += f": {status.done:,} of {status.total:,}".replace(",", "\u202f")
    return words + time_left(status)


def time_left(status: Status) -> str:
    """Say how long it will still take, if that can be said."""
    seconds = status.seconds_left
    if seconds is None or seconds < 1:
        return ""
    return f" · {seconds:.0f} s left" if seconds < 90 else f" · {seconds / 60:.0f} min left"


@st.fragment(run_every=0.5)
def watch(key: Key, describe: Callable[[Status], str] = clips_in_words, stop: str = "Stop") -> None:
    """Show how far a running job is, with a button to stop it; the page reruns when it ends."""
    job = all_jobs().get(key)
    if job is None or not job.running:
        st.rerun()
    status = job.status
    share = min(status.done / status.total, 1.0) if status.total else 0.0
    st.progress(share, describe(status))
    st.button(
        "Stopping …" if job.stopping else stop,
        key=f"stop {key}",
        on_click=job.stop,
        disabled=job.stopping,
        icon=":material/pause:",
    )


def result(key: Key, work: Work, what: str) -> Any:
    """Return what a job returned; until then show how far it is, or why it ended, and return None.

    It is started if it never was.
    """
    if key not in all_jobs():
        start(key, work, what)
    job = all_jobs()[key]
    if job.running:
        watch(key)
    elif job.error or job.stopped:
        show_end(job)
        st.button(
            "Go on" if job.stopped else "Try again",
            key=f"again {key}",
            on_click=start,
            args=(key, work, what),
            icon=":material/refresh:",
        )
    else:
        return job.result
    return None


def show_end(job: Job) -> None:
    """Say why a job ended without a result.

    Raises
    ------
    Exception
        Whatever it failed of, if that is nothing the user can mend.
    """
    if isinstance(job.error, SerError):
        st.error(str(job.error), icon=":material/error:")
    elif job.error is not None:
        raise job.error
    elif job.stopped:
        st.info(job.stopped, icon=":material/pause_circle:")

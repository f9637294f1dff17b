"""Who is served: a stranger, with limits, or somebody who has logged in."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.scriptrunner import get_script_run_ctx

from ser.app import access, metrics
from ser.app.access import Visitor
from ser.app.visitor_folders import VisitorFolders
from ser.errors import DataError, SerError
from ser.utils import logs

PER_MINUTE = 30
"""Recordings that strangers may have answered in a minute, each of them."""
MOST_BYTES = 100_000_000
"""What a stranger may keep, recordings and models together."""

_PATIENCE = 30.0  # seconds until a long recording may be followed
_following = Semaphore(1)


@st.cache_resource(show_spinner=False, on_release=VisitorFolders.close)
def _folders() -> VisitorFolders:
    def is_here(session: str) -> bool:
        return not Runtime.exists() or Runtime.instance().is_active_session(session)

    return VisitorFolders(is_here, float(st.get_option("server.disconnectedSessionTTL")))


def current() -> Visitor | None:
    """Return whose page is being made; None outside of a page, or who is not of the team.

    Raises
    ------
    DataError
        See `ser.app.access.member`.
    """
    if (page := get_script_run_ctx(suppress_warning=True)) is None:
        return None
    if access.is_team():
        return access.member(st.user.to_dict()) if st.user.get("is_logged_in") else None
    return Visitor(_folders().of(page.session_id))


def largest_upload(megabytes: int) -> int:
    """Return how large an upload may be, in MB, where `megabytes` are enough for anybody."""
    return min(megabytes, access.PUBLIC_UPLOAD) if access.is_public() else megabytes


def count(recordings: int = 1) -> None:
    """Count recordings that are about to be answered.

    Raises
    ------
    DataError
        If a stranger has had too many answered within a minute.
    """
    if not access.is_public():
        return
    now = time.monotonic()
    times = [then for then in st.session_state.get("answered", []) if now - then < 60]
    if len(times) + recordings > PER_MINUTE:
        raise DataError(
            f"On this server at most {PER_MINUTE} recordings a minute are analysed. Give fewer, or "
            "wait a minute and go on."
        )
    st.session_state["answered"] = times + [now] * recordings


def log(what: str, **fields: str | float) -> None:
    """Log that something happened in this session, which is known by a random number alone."""
    session = st.session_state.setdefault("session", secrets.token_hex(4))
    logs.event(what, session=session, **fields)


def answered(verdict: str, seconds: float) -> None:
    """Count and log that a recording was answered."""
    metrics.SECONDS.observe(seconds)
    metrics.ANSWERS.labels(verdict).inc()
    log("answer", seconds=round(seconds, 3))


def refused(error: SerError) -> None:
    """Count and log that a visitor was told that something cannot be done."""
    metrics.REFUSALS.labels(error.code).inc()
    log("refusal", code=error.code)


def check_space() -> None:
    """Look whether a visitor may keep one thing more.

    Raises
    ------
    DataError
        If a stranger keeps as much as there may be.
    """
    if not access.is_public():
        return
    files = [path for path in access.visitor().folder.rglob("*") if path.is_file()]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise DataError(
            f"On this server a visitor can keep {MOST_BYTES / 1e6:.0f} MB. Delete recordings or "
            "models, or download them first."
        )


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let one stranger at a time have a long recording followed.

    Raises
    ------
    DataError
        If others are before for too long.
    """
    if not access.is_public():
        yield
        return
    if not _following.acquire(timeout=_PATIENCE):
        raise DataError(
            "Other visitors' long recordings are being listened to. Try again in a minute."
        )
    try:
        yield
    finally:
        _following.release()

"""The audit log of a team: who started, stopped, deleted, shared or chose what, and when.

One line of JSON each in ``audit.jsonl`` of the server's folder.  It is written before the thing is
done, so nothing is done that cannot be logged.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ser.app import access
from ser.app.access import Visitor
from ser.errors import OutputError
from ser.utils.files import locked, write_text

COLUMNS = ("time", "who", "role", "what", "which")
ERASED = "(erased)"
"""Stands for the name of somebody who had all that is theirs erased."""


def record(what: str, which: str = "", *, who: Visitor | None = None) -> None:
    """Log what whoever is served is about to do; nothing unless there is a team.

    Parameters
    ----------
    what : str
        Such as ``start training``.
    which : str
        The name of what it is done to.
    who : Visitor, optional
        Who does it, where a page is no longer being made for them.

    Raises
    ------
    OutputError
        If it cannot be logged.
    """
    if not access.is_team():
        return
    who = who or access.visitor()
    now = datetime.now(UTC).isoformat(timespec="seconds")
    line = dict(zip(COLUMNS, (now, who.name, who.role, what, which), strict=True))
    line["member"] = who.folder.name  # a name can change, or be another's
    try:
        with _locked():
            _append(json.dumps(line).encode() + b"\n")
    except OSError as error:
        raise OutputError(
            f"The audit log cannot be written ({error.strerror}), so this was not done."
        ) from error


def entries(member: str | None = None) -> pd.DataFrame:
    """Return the log, the newest first, of everybody or of one member, by their folder's name."""
    table = _all()[::-1].reset_index(drop=True)
    own = table if member is None else table[table["member"] == member]
    return own[[*COLUMNS]].reset_index(drop=True)


def _all() -> pd.DataFrame:
    try:
        lines = _file().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    return pd.DataFrame(map(json.loads, lines), columns=[*COLUMNS, "member"], dtype=object)


def forget(member: str) -> None:
    """Take a member's names out of the log, by that of their folder; what was done stays in it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with _locked():
        table = _all().fillna("")
        table.loc[table["member"] == member, ["who", "member"]] = ERASED
        write_text(_file(), "".join(json.dumps(row) + "\n" for row in table.to_dict("records")))


def _file() -> Path:
    return access.home() / "audit.jsonl"


def _append(line: bytes) -> None:
    """Write a line whole or not at all: half a one would spoil the next."""
    with _file().open("ab", buffering=0) as file:
        before = file.tell()
        if file.write(line) < len(line):
            file.truncate(before)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _locked() -> AbstractContextManager[None]:
    return locked(access.home(), name=".audit-lock")

"""The audit log of a team: who started, stopped, deleted, shared or chose what, and when.

One line of JSON each in ``audit.jsonl`` of the server's folder.  It is written before the thing is
done, so nothing is done that cannot be logged.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from ser.app import access
from ser.app.access import Visitor
from ser.errors import OutputError
from ser.utils.files import append_line, locked, write_text

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
            append_line(_file(), json.dumps(line))
    except OSError as error:
        raise OutputError(
            f"The audit log cannot be written ({error.strerror}), so this was not done."
        ) from error


def entries(who: Visitor | None = None) -> pd.DataFrame:
    """Return the log, the newest first, of everybody or of one member."""
    table = _all()[::-1]
    own = table if who is None else table[_of(table, who)]
    return own[[*COLUMNS]].reset_index(drop=True)


def _of(table: pd.DataFrame, who: Visitor) -> pd.Series:
    """Say which lines are of a member: by their folder, or in old lines by their name."""
    old = table["member"].isna() & (table["who"] == who.name)
    return (table["member"] == who.folder.name) | old


def _all() -> pd.DataFrame:
    try:
        lines = _file().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        lines = []
    return pd.DataFrame(map(json.loads, lines), columns=[*COLUMNS, "member"], dtype=object)


def forget(who: Visitor) -> None:
    """Take a member's names out of the log; what was done stays in it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    with _locked():
        table = _all()
        table.loc[_of(table, who), ["who", "member"]] = ERASED
        table = table.fillna("")
        write_text(_file(), "".join(json.dumps(row) + "\n" for row in table.to_dict("records")))


def _file() -> Path:
    return access.home() / "audit.jsonl"


def _locked() -> AbstractContextManager[None]:
    return locked(access.home(), name=".audit-lock")

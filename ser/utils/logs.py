"""What a server logs as JSON, where ``SER_LOG`` asks for it: what happened, never whose it was.

Each line on standard error is one object.  This project's own events have fields that it chose;
of what a library logs, and of every error, there is the place in the code and the kind, and no
message: a message may quote what somebody uploaded, typed or is called.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from traceback import walk_tb
from types import TracebackType
from typing import Any

from ser.errors import DataError

_EVENTS = logging.getLogger("ser.events")


def begin(mode: str) -> None:
    """Let this process log as ``SER_LOG`` says: as JSON, or as it does by itself.

    Parameters
    ----------
    mode : str
        How the server is run; every line has it.

    Raises
    ------
    DataError
        If ``SER_LOG`` is something else.
    """
    asked = os.environ.get("SER_LOG", "")
    if asked not in ("", "json"):
        raise DataError(f"SER_LOG is {asked!r}. Set it to json, or leave it out for plain text.")
    if not asked:
        return
    formatter = _Json(mode)
    # Streamlit and uvicorn give each of their loggers a handler and a format of its own, some of
    # them anew whenever settings are read; what every handler asks is this.
    logging.Handler.format = lambda self, record: formatter.format(record)  # type: ignore[method-assign]
    logging.basicConfig()
    logging.captureWarnings(True)
    _EVENTS.setLevel(logging.INFO)
    sys.excepthook = lambda *error: _EVENTS.critical("failed", exc_info=error)
    threading.excepthook = lambda given: _EVENTS.error(
        "thread failed",
        exc_info=(given.exc_type, given.exc_value or given.exc_type(), given.exc_traceback),
    )
    event("start")


def event(what: str, **fields: str | int | float | None) -> None:
    """Log that something happened; nothing unless it is logged as JSON.

    Parameters
    ----------
    what : str
        Of a few fixed words.
    **fields
        Nothing that comes from a visitor: no name, no text, no content.
    """
    _EVENTS.info(what, fields)


class _Json(logging.Formatter):
    """Makes a line of JSON of a record.

    Examples
    --------
    >>> record = logging.LogRecord("web", 40, "web.py", 7, "no %s", ("ada.wav",), None)
    >>> record.created = 0.5
    >>> print(_Json("public").format(record))
    {"time": "1970-01-01T00:00:00.500+00:00", "level": "error", "mode": "public", "event": "log",
     "logger": "web", "place": "web:7"}
    """

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode

    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "time": when.isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "mode": self.mode,
        }
        if record.name == _EVENTS.name:
            line["event"] = record.msg
            line |= record.args if isinstance(record.args, Mapping) else {}
        else:
            place = f"{record.module}:{record.lineno}"
            line |= {"event": "log", "logger": record.name, "place": place}
        if record.exc_info and record.exc_info[0]:
            kind, _, trace = record.exc_info
            line |= {"error": f"{kind.__module__}.{kind.__qualname__}", "frames": _frames(trace)}
        return json.dumps(line)


def _frames(trace: TracebackType | None) -> list[str]:
    """Return where an error came from, the innermost place last."""
    return [f"{frame.f_globals.get('__name__')}:{line}" for frame, line in walk_tb(trace)]

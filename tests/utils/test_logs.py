"""What a process logs as JSON: the place and the kind, and nothing that somebody typed."""

import json
import os
import subprocess
import sys

import pytest

from ser.errors import DataError
from ser.utils import logs

PROGRAM = """
import logging, threading, warnings
from ser.utils import logs

def fail(*_):
    raise ValueError("anna.wav is damaged")

library = logging.getLogger("library")
handler = logging.StreamHandler()
handler.setFormatter(logging.Formatter("%(levelname)s of a library: %(message)s"))
library.addHandler(handler)
library.propagate = False

logs.begin("public")
logs.event("answer", seconds=0.25, code=None)
library.error("no file %s", "anna.wav")
logging.getLogger("another").warning("said anna")
warnings.warn("said anna")
try:
    fail()
except ValueError:
    library.exception("failed for anna")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
fail()
"""


def run(**env):
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1 and not done.stdout
    return done.stderr


def test_every_line_is_json_and_names_nobody():
    text = run(SER_LOG="json")
    assert "anna" not in text
    lines = list(map(json.loads, text.splitlines()))
    assert all(line["mode"] == "public" and line["time"].endswith("+00:00") for line in lines)
    said = [(line["level"], line["event"], line.get("logger"), line.get("error")) for line in lines]
    error = "builtins.ValueError"
    assert said == [
        ("info", "start", None, None),
        ("info", "answer", None, None),
        ("error", "log", "library", None),
        ("warning", "log", "another", None),
        ("warning", "log", "py.warnings", None),
        ("error", "log", "library", error),
        ("error", "thread failed", None, error),
        ("critical", "failed", None, error),
    ]
    assert (lines[1]["seconds"], lines[1]["code"]) == (0.25, None)
    assert lines[5]["frames"] == ["__main__:20", "__main__:6"]


def test_without_being_asked_libraries_log_as_they_do():
    text = run(SER_LOG="")
    assert "ERROR of a library: no file anna.wav" in text
    assert "{" not in text


def test_another_way_to_log_is_refused(monkeypatch):
    monkeypatch.setenv("SER_LOG", "xml")
    with pytest.raises(DataError, match=r"'xml'\. Set it to json"):
        logs.begin("alone")

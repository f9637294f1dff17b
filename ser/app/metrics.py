"""How much the app is used and how it fares, for Prometheus: numbers, never whose they are.

They are served where ``SER_METRICS`` says, such as ``127.0.0.1:9100``, apart from the app itself.
Beside what is here, the Prometheus client tells memory and processor time of this process.
"""

from __future__ import annotations

import os

from prometheus_client import Counter, Gauge, Histogram, start_http_server

from ser.app import access, workspace
from ser.errors import DataError, OutputError
from ser.training.runs import BUSY_STATES, find_runs

ANSWERS = Counter("ser_answers", "Recordings answered", ["verdict"])
REFUSALS = Counter("ser_refusals", "Messages to visitors that something cannot be done", ["code"])
SECONDS = Histogram(
    "ser_answer_seconds",
    "Time from a recording to its answer",
    buckets=(0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30),
)
_QUEUED = Gauge("ser_queued_trainings", "Trainings that run or wait for their turn")


def serve() -> None:
    """Serve the figures from a thread of their own, if ``SER_METRICS`` says where.

    Raises
    ------
    DataError
        If that is no address.
    OutputError
        If it is taken or not this computer's.
    """
    where = os.environ.get("SER_METRICS")
    if not where:
        return
    address, _, port = where.rpartition(":")
    if not address or not port.isdecimal() or not 0 < int(port) < 65536:
        raise DataError(f"SER_METRICS is {where!r}. Give address and port: 127.0.0.1:9100.")
    if not access.is_public():  # strangers cannot train
        _QUEUED.set_function(_count_queued)
    try:
        start_http_server(int(port), address.strip("[]"))
    except OSError as error:
        raise OutputError(f"SER_METRICS={where} cannot be used: {error.strerror}.") from error


def _count_queued() -> int:
    folders = access.members().glob("*") if access.is_team() else [workspace.folder()]
    runs = [run for folder in folders for run in find_runs(folder)]
    return sum(run.read_status().state in BUSY_STATES for run in runs)

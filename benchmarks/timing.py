"""How the benchmarks measure time and memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def milliseconds(function: Callable[[], Any], *, calls: int) -> float:
    """Return the median time of so many calls, after one that is not measured."""
    function()
    times = []
    for _ in range(calls):
        began = time.perf_counter()
        function()
        times.append(1000 * (time.perf_counter() - began))
    return statistics.median(times)


def megabytes(process: int, field: str) -> float:
    """Return the memory of a process, in MB: ``VmRSS`` now, or ``VmHWM`` at most so far."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0]) / 1000
